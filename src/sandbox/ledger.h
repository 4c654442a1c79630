/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of a sandbox: one JSON line per event of its network (net/event-msg.h), in a chain of
 * hashes, outside of the guest.
 *
 * A line is an object whose last member is "hash": the SHA-256, in hexadecimal, of the hash of the
 * line before it and then of the line without that member. "seq" counts the lines. So a line that
 * was changed, removed, added or moved is found by reading the rest, and SANDBOX_LEDGER_HEAD, which
 * holds number and hash of the last line, tells an end that was cut off.
 *
 * The lines are in a ring of LEDGER_FILES files of at most LIMIT_LEDGER bytes. Each begins with a
 * line that has the number of the file, counted from 1, and the hash of the last line of the file
 * before; when the ring is full, the oldest file is emptied and used again.
 *
 * What cannot be written (a full disk) is lost, counted and said so, in the sandbox's log at once
 * and in the ledger as soon as it can be written again. The sandbox goes on.
 *
 * Against whom: a guest, and whatever runs in it, cannot reach the files. Who may write to the
 * directory can write a ledger anew from its beginning; for that case keep the head's hash, which
 * `msb net verify` prints, somewhere else.
 *
 * Trust: lines are written by a supervisor that a hostile guest may have taken over.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "net/event-msg.h"
#include "sandbox/log-read.h"

#define SANDBOX_LEDGER_HEAD "ledger.head"

enum { LEDGER_FILES = 4, LEDGER_HASH = 64, LEDGER_HEAD_BYTES = 256 };

/* Number and hash of the last line. */
struct ledger_head {
	uint64_t seq; /* 0: none */
	uint64_t file;
	char hash[LEDGER_HASH + 1];
};

struct ledger {
	int fds[LEDGER_FILES];
	int head_fd;
	bool open;
	struct ledger_head head;
	uint64_t bytes; /* of the file that is written */
	bool head_is_old; /* SANDBOX_LEDGER_HEAD is */
	uint64_t lost; /* events that could not be written, since the last line */
	uint64_t lost_since_ns;
	int lost_error;
	struct buf line;
};

extern const struct log_ring ledger_ring;

/** ledger_init - a closed ledger, on which writing is legal and does nothing */
void ledger_init(struct ledger *l);

/** ledger_open - go on behind what is there; 0 or a negative errno */
int ledger_open(struct ledger *l, int dir_fd) MSB_MUST_CHECK;
void ledger_close(struct ledger *l);

/** ledger_event - one line. Return: 0, or the negative errno because of which it was lost, the
 * first time */
int ledger_event(struct ledger *l, const struct net_event *e);

/** ledger_say - a line of the supervisor: "start", "end", with its reason or NULL */
int ledger_say(struct ledger *l, const char *event, const char *text);

/** ledger_flush - write the head; after every run of lines */
void ledger_flush(struct ledger *l);

/** ledger_head_parse - what is in SANDBOX_LEDGER_HEAD; 0 or -EBADMSG */
int ledger_head_parse(const char *text, size_t len, struct ledger_head *ret) MSB_MUST_CHECK;

/**
 * ledger_line_hash - the hash of the line @text (without newline) behind one with @prev
 * @stated: gets what the line says it is
 *
 * Return: 0, or -EBADMSG for a line that has no hash at its end.
 */
int ledger_line_hash(const char *text, size_t len, const char *prev, char ret[LEDGER_HASH + 1],
	char stated[LEDGER_HASH + 1]) MSB_MUST_CHECK;

/* The hash before the first line. */
#define LEDGER_ZERO "0000000000000000000000000000000000000000000000000000000000000000"
