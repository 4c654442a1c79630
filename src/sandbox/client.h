/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client side of a sandbox: start one or connect to one, run commands, move files.
 *
 * Everything happens on the caller's loop and in callbacks; nothing blocks. A handle is one
 * connection to a supervisor. Requests are streams, embedded in the caller's own structs; they may
 * be opened at once and wait until the guest serves requests.
 *
 * Flow control. Output is handed to the caller as it comes; the guest may send more only after the
 * caller has said with sandbox_stream_consumed() that it has passed the bytes on, so a stalled
 * reader stalls only its own stream. sandbox_stream_write() takes what the guest can take.
 *
 * Trust: the supervisor relays what the guest says. Malformed frames end the connection with an
 * error, never the process. Text in results comes from the guest: quote it before printing.
 *
 * Callbacks may open and cancel streams and may call sandbox_close(), also of the handle they are
 * called for. An open stream belongs to the library until `done`.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

#include "proto/credit.h"
#include "proto/msg.h"
#include "sandbox/spec.h"

struct sandbox;
struct sandbox_stream;

struct sandbox_events {
	/* The guest serves requests. At most once. */
	void (*ready)(struct sandbox *sb, const struct msg_sb_ready *m, void *arg);
	/*
	 * The end, exactly one of the two, after the `done` of every open stream. Only
	 * sandbox_close() is left to do. @console: last lines of the guest, printable text, may be
	 * "".
	 */
	void (*failed)(
		struct sandbox *sb, const struct msb_err *err, const char *console, void *arg);
	void (*stopped)(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg);
};

/**
 * sandbox_spawn - start a sandbox; this connection is its owner
 * @spec: only read during the call
 * @image_fd: borrowed, the root device when spec->image_path is "", else -1
 * @events: must outlive the handle
 *
 * When the owner closes, or dies, a sandbox that is not detached ends at once.
 */
int sandbox_spawn(struct loop *loop, const struct sandbox_spec *spec, int image_fd,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * sandbox_start - start an existing sandbox that the caller has locked
 * @dir: of sandbox_dir_lock(); borrowed, the supervisor holds the lock from now on
 */
struct sandbox_dir;
int sandbox_start(struct loop *loop, const struct sandbox_spec *spec, const struct sandbox_dir *dir,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** sandbox_connect - connect to the running sandbox @name */
int sandbox_connect(struct loop *loop, const char *home, const char *name,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * sandbox_stop - ask for the end: SIGTERM to everything, SIGKILL after @grace_ms, clean unmount
 *
 * With 0 the machine of an ephemeral sandbox is switched off at once. When `stopped` follows, the
 * name and the disks are free, and what is left of the machine is dying.
 */
int sandbox_stop(struct sandbox *sb, uint32_t grace_ms);

/** sandbox_touch - the sandbox is used: its idle timeout begins anew */
int sandbox_touch(struct sandbox *sb) MSB_MUST_CHECK;

/** sandbox_close - drop the connection; open streams end without a callback, the guest's side of
 * them is cancelled. NULL is fine. Return: NULL */
struct sandbox *sandbox_close(struct sandbox *sb);

/** sandbox_pid - process of the supervisor, 0 if this handle did not spawn it; it ends by itself, a
 * caller that lives on reaps it */
pid_t sandbox_pid(const struct sandbox *sb);

/* How a stream ended. */
struct sandbox_result {
	/* FRAME_EXITED, FRAME_FS_DONE, FRAME_PONG, FRAME_METRICS_DONE, FRAME_THAWED,
	 * FRAME_MODIFIED; FRAME_FAILED or 0 (the connection was lost): see @err. */
	uint8_t type;
	union {
		struct msg_exited exited;
		struct msg_fs_done fs;
		struct msg_metrics metrics;
		struct msg_failure failure;
		uint32_t modified; /* CPUs that are online, 0: not asked; or MiB */
		uint32_t thawed; /* 0: after our cancel; else errno of why it was before */
	};
	struct msb_err err; /* of FRAME_FAILED and 0: kind gives the exit code */
};

struct sandbox_stream_ops {
	/* Any of them may be NULL. @s may be reused or freed inside `done`. `started` with 0 is
	 * the answer to sandbox_freeze(): nothing writes from now on. */
	void (*started)(struct sandbox_stream *s, uint32_t pid);
	/* @channel: 0 file bytes, 1 stdout, 2 stderr; @p is valid during the call; @eof: last of
	 * this channel. Without this callback bytes are dropped and consumed. */
	void (*data)(struct sandbox_stream *s, unsigned int channel, const void *p, size_t len,
		bool eof);
	/* sandbox_stream_write() took less than offered before; now it takes more. */
	void (*writable)(struct sandbox_stream *s);
	/* Exactly once, last. */
	void (*done)(struct sandbox_stream *s, const struct sandbox_result *r);
};

struct sandbox_stream {
	const struct sandbox_stream_ops *ops; /* set by the caller before opening */
	/* private */
	struct sandbox *sb; /* NULL when not open */
	struct sandbox_stream *next;
	uint32_t id;
	struct credit_tx tx; /* what the guest still takes */
	struct credit_rx rx; /* what the guest may still send */
	uint8_t request; /* frame type that opened it */
	uint8_t eof_seen; /* bit per channel */
	bool started;
	bool eof_sent;
	bool cancelled;
	bool want_write;
};

/* Open a stream; 0 or a negative errno: -ENOBUFS (the request is too large), -EMFILE (too many),
 * -ENOTCONN (the sandbox has ended). */
int sandbox_exec(struct sandbox *sb, struct sandbox_stream *s, const struct msg_exec *m,
	const char *const *argv, const char *const *env) MSB_MUST_CHECK;
int sandbox_fs(struct sandbox *sb, struct sandbox_stream *s, const struct msg_fs *m) MSB_MUST_CHECK;
int sandbox_ping(struct sandbox *sb, struct sandbox_stream *s) MSB_MUST_CHECK;
int sandbox_metrics(struct sandbox *sb, struct sandbox_stream *s) MSB_MUST_CHECK;

/**
 * sandbox_freeze - hold all writes to the guest's root disk; `started` follows
 *
 * They go on after sandbox_stream_cancel(), when this connection ends, and in any case after
 * @limit_ms, at most LIMIT_FREEZE_MS. Only a result of FRAME_THAWED with 0 says that nothing was
 * written in between.
 */
int sandbox_freeze(struct sandbox *sb, struct sandbox_stream *s, uint32_t limit_ms) MSB_MUST_CHECK;

/** sandbox_modify - other CPUs, up to those of the machine, and other defaults of later commands
 * @env: with m->defaults: instead of the environment so far; NULL: none */
int sandbox_modify(struct sandbox *sb, struct sandbox_stream *s, const struct msg_modify *m,
	const char *const *env) MSB_MUST_CHECK;

/**
 * sandbox_memory - @mib of memory for the guest, up to what the machine has
 *
 * FRAME_MODIFIED when the guest has that. FRAME_FAILED says how far it came if it does not do as it
 * is told; it is then told to go back.
 */
int sandbox_memory(struct sandbox *sb, struct sandbox_stream *s, uint32_t mib) MSB_MUST_CHECK;

/** sandbox_signal - a signal to the main process of the sandbox: FRAME_PONG, or FRAME_FAILED with
 * -ESRCH if it has none */
int sandbox_signal(struct sandbox *sb, struct sandbox_stream *s, int signo) MSB_MUST_CHECK;

/**
 * sandbox_policy - other rules for its network, at once: FRAME_PONG, or FRAME_FAILED
 * @text: JSON as policy_to_json() writes it, at most LIMIT_FRAME_PAYLOAD bytes
 */
int sandbox_policy(struct sandbox *sb, struct sandbox_stream *s, const void *text, size_t len)
	MSB_MUST_CHECK;

/** sandbox_secret_write - append the value of @rule to a file, from here or from the environment */
int sandbox_secret_write(int fd, const struct secret_rule *rule, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * sandbox_secrets - other secrets, for new connections: FRAME_PONG, or FRAME_FAILED
 * @text: JSON as secret_settings_to_json() writes it, at most LIMIT_FRAME_PAYLOAD bytes
 * @fd: their values (secret_value_write()), owned from here on, also on failure
 */
int sandbox_secrets(struct sandbox *sb, struct sandbox_stream *s, const void *text, size_t len,
	int fd) MSB_MUST_CHECK;

/** sandbox_prepared - the owner of a sandbox with spec->prepare has done its work: FRAME_PONG, and
 * everybody else is served */
int sandbox_prepared(struct sandbox *sb, struct sandbox_stream *s) MSB_MUST_CHECK;

/** sandbox_stream_write - offer bytes of stdin or of a file
 *
 * Return: bytes taken (0: wait for `writable`), -EPIPE after the end, or a negative errno.
 */
ssize_t sandbox_stream_write(struct sandbox_stream *s, const void *p, size_t n) MSB_MUST_CHECK;

/** sandbox_stream_write_eof - no more bytes will be written; legal twice */
int sandbox_stream_write_eof(struct sandbox_stream *s);

/** sandbox_stream_consumed - @n bytes of `data` were passed on */
void sandbox_stream_consumed(struct sandbox_stream *s, size_t n);

int sandbox_stream_resize(struct sandbox_stream *s, uint16_t rows, uint16_t cols);
int sandbox_stream_signal(struct sandbox_stream *s, int signo);

/** sandbox_stream_cancel - ask for an early end; `done` still comes */
int sandbox_stream_cancel(struct sandbox_stream *s);

/** sandbox_stream_detach - the command goes on without us: `done` comes with exit status 0; if it
 * was the owner's, the sandbox now ends with the command instead of with the owner */
int sandbox_stream_detach(struct sandbox_stream *s);
