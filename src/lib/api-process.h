/* SPDX-License-Identifier: Apache-2.0 */
/* A command on its way: what a struct msb_process is made of, see api-exec.c. */
#pragma once

#include "base/loop.h"

#include "lib/api-command.h"
#include "lib/api.h"
#include "lib/stream.h"
#include "sandbox/client.h"

struct creation;

struct msb_process {
	/* Of the command, without what is needed only once. */
	struct msb_command c;
	const struct msb *m;
	char name[LIMIT_SANDBOX_NAME + 1]; /* of the sandbox */
	struct loop loop;
	struct sandbox *sb;
	struct creation *creation; /* of a new sandbox, or NULL; goes with the process */
	struct sandbox_stream stream;
	struct outlet out[2]; /* with descriptors only */
	struct inlet in;
	struct buf chunk; /* of the input function, not yet taken */
	uint32_t pid;
	uint32_t grace_ms; /* of a sandbox that was started for this */
	bool input_over;
	bool open; /* the stream */
	bool detaching;
	bool given_up;
	bool started; /* the sandbox was started for this */
	bool owned; /* it was, and has not ended */
	bool stopping; /* and was told to */
	bool left; /* nothing is waited for any more */
	bool automatic; /* nobody chose the engine of the sandbox */
	bool over;
	struct loop_timer limit;
	struct api_cancel asking;
	const struct cancel *cancel;
	struct loop_fd cancel_src;
	int status;
	int result;
	enum msb_process_end end;
	uint64_t exec_ns;
	uint64_t exit_ns;
	uint64_t end_ns;
	struct msg_timing boot; /* of a sandbox that was started, once it is up */
	struct msb_err err;
	char console[8192];
	char notice[512];
};

extern const struct sandbox_events process_events;
extern const struct sandbox_stream_ops process_stream_ops;

/** process_init - what @c says, without what is needed only once */
void process_init(struct msb_process *p, const struct msb_command *c);

/** process_new - on a loop of its own, nothing sent; msb_process_free() */
int process_new(const struct msb *m, const char *name, const struct msb_command *c,
	struct msb_process **ret, struct msb_err *err) MSB_MUST_CHECK;

/** process_watch_cancel - the handle's descriptor counts from now on */
int process_watch_cancel(struct msb_process *p, struct msb_err *err) MSB_MUST_CHECK;

/** process_reach - p->sb becomes the sandbox of the name; @start: start it if it does not run */
int process_reach(struct msb_process *p, bool start, struct msb_err *err) MSB_MUST_CHECK;

/**
 * process_send - the command goes to the sandbox
 * @c: words and limits
 * @argv: instead of its words
 * @has_term: TERM is in the environment anyway
 */
int process_send(struct msb_process *p, const struct msb_command *c, const char *const *argv,
	bool has_term, struct msb_err *err) MSB_MUST_CHECK;

/** process_feed - input goes on, as much as the command takes */
void process_feed(struct msb_process *p);

/** process_give_up - the first reason to end counts; its message is in p->err already */
void process_give_up(struct msb_process *p, enum msb_process_end why, int r);
