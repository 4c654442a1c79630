/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the channel for tests: an agent in a process of its own on a socket pair, and
 * a client that keeps the rules of flow control.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "proto/credit.h"
#include "proto/frame.h"
#include "proto/msg.h"

struct peer {
	int fd;
	pid_t pid; /* the agent's process */
	struct buf in;
	struct buf out;
	uint32_t consume; /* bytes of the frame given last */
};

/* What came on one stream. */
struct result {
	struct buf out[3]; /* by channel */
	bool eof[3];
	bool started;
	uint32_t pid;
	bool done;
	uint8_t last; /* type of the terminal frame */
	struct msg_exited exited;
	struct msg_fs_done fs;
	uint32_t stage;
	int error; /* of FAILED */
	char what[MSG_TEXT_MAX + 1];
	struct credit_rx rx;
	bool no_credit; /* a client that does not read */
};

/* For the agents of peer_start(); NULL: nothing can be frozen. */
struct freezer;
extern const struct freezer *peer_freezer;

/** peer_start - fork an agent; @setup (may be NULL) runs there before it serves */
void peer_start(struct peer *p, void (*setup)(void));

/** peer_config - the least CONFIG, and READY */
void peer_config(struct peer *p);

/** peer_serve - both of the above */
void peer_serve(struct peer *p);

/** peer_stop - hang up; the agent must end with @status, and not by a signal */
void peer_stop(struct peer *p, int status);

/** peer_flush - send what was encoded into p->out */
void peer_flush(struct peer *p);

/** peer_next - the next frame, valid until the next call; false at the end of the connection */
bool peer_next(struct peer *p, struct frame *f);

void result_init(struct result *r);
void result_deinit(struct result *r);

/** result_take - add a frame; returns credit to the agent unless r->no_credit */
void result_take(struct result *r, struct peer *p, const struct frame *f);

/** peer_result - take frames until stream @id ended; frames of other streams are errors */
void peer_result(struct peer *p, uint32_t id, struct result *r);

/** peer_exec - start @argv with @m on stream @id */
void peer_exec(struct peer *p, uint32_t id, const struct msg_exec *m, const char *const *argv,
	const char *const *env);

/** peer_sh - run a shell script to its end */
void peer_sh(struct peer *p, const struct msg_exec *m, const char *script, struct result *r);

/** peer_data - DATA for stream @id, with end of file if @eof */
void peer_data(struct peer *p, uint32_t id, const void *data, size_t n, bool eof);

/** peer_fs - one FS operation to its end */
void peer_fs(struct peer *p, const struct msg_fs *m, struct result *r);

const char *result_text(struct result *r, int channel);
