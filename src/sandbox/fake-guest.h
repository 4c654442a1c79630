/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for tests: speaks the agent's side of the channel, obediently or not.
 *
 * What an EXEC does is its argv[0]; "exit 3", "emit BYTES" (pattern on stdout), "cat" (stdin to
 * stdout), "sink" (eats stdin, exits with its checksum), "stall" (never reads stdin, ends by signal
 * or CANCEL), "sync", "poweroff", and the hostile ones: see fake-guest.c. With a store it has files
 * as well: /, /root and /tmp are directories that hold them.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/checksum.h"
#include "base/loop.h"

#include "proto/credit.h"
#include "proto/msg.h"
#include "sandbox/fake-store.h"

enum fake_mode {
	FAKE_FREE = 0,
	FAKE_EMIT,
	FAKE_CAT,
	FAKE_SINK,
	FAKE_STALL,
	FAKE_FROZEN,
	FAKE_READ,
	FAKE_WRITE,
	FAKE_FILE,
};

struct fake_stream {
	uint32_t id;
	enum fake_mode mode;
	struct credit_tx tx;
	struct credit_rx rx;
	uint64_t total; /* EMIT: bytes to send */
	uint64_t sent;
	uint32_t sum; /* SINK */
	bool eof; /* CAT: stdin ended */
	struct buf echo; /* CAT, READ */
	struct fake_file *file; /* READ, WRITE */
	bool summed; /* the answer has a checksum */
	struct checksum check; /* of what was read or written */
};

struct fake_guest {
	struct loop *loop;
	int fd; /* owned */
	struct loop_fd src;
	struct loop_timer serve;
	struct buf in;
	struct buf out;
	struct fake_stream streams[LIMIT_STREAMS];
	struct fake_store *store; /* not owned; NULL: no files */
	unsigned int configs;
	char hostname[LIMIT_HOSTNAME + 1]; /* of CONFIG */
	unsigned int requests; /* taken so far */
	unsigned int cancels;
	unsigned int given; /* FS requests that ended; "/refuse" ends in EROFS */
	unsigned int given_at_exec; /* when the last EXEC came */
	uint64_t given_bytes;
	unsigned int shutdowns;
	bool ready;
	bool deaf; /* does not read its channel */
	bool closed; /* the host closed the channel */
	/* What ends a machine, for the program around the guest; may be NULL. */
	void (*on_config)(struct fake_guest *g);
	void (*on_end)(struct fake_guest *g, const char *how); /* "poweroff", "crash" */
};

/** fake_guest_init - @g is zeroed memory, @fd a non-blocking socket, consumed */
void fake_guest_init(struct fake_guest *g, struct loop *loop, int fd);
void fake_guest_deinit(struct fake_guest *g);

void fake_guest_hello(struct fake_guest *g);
void fake_guest_ready(struct fake_guest *g);

/** fake_guest_raw - append any frame and send */
void fake_guest_raw(struct fake_guest *g, uint8_t type, uint8_t flags, uint32_t stream,
	const void *p, size_t len);
void fake_guest_flush(struct fake_guest *g);

/** fake_guest_listen - start or stop reading the channel */
void fake_guest_listen(struct fake_guest *g, bool on);

/** fake_pattern - byte number @at of the output of a stream that was asked for @total bytes */
static inline uint8_t fake_pattern(uint64_t total, uint64_t at)
{
	return (uint8_t)((at >> 16) * 31 + (at >> 8) * 7 + at + total * 13);
}

/** fake_sum - checksum of "sink", to be continued from 0 */
uint32_t fake_sum(uint32_t sum, const uint8_t *p, size_t n);
