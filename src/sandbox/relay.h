/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay: one channel to the guest, many clients, and streams between them.
 *
 * It moves frames, translates stream numbers and enforces the protocol of frame.h on both hops; it
 * decides nothing about the life of the sandbox, that is the supervisor's part (struct
 * relay_events). Used from one loop thread.
 *
 * Stream states, by fields of struct relay_stream:
 *
 *	free	    request == 0
 *	open	    request != 0, client != NULL: frames pass in both directions
 *	orphaned    request != 0, client == NULL: the client is gone, CANCEL was sent; frames of the
 *		    guest are checked and dropped until its terminal frame frees the number
 *	detached    request == EXEC, client == NULL, detached: the client let go of the command;
 *		    its output is shown to `output` and its credit returned here
 *
 *	given	    request == FS, client == NULL, given: a file that we put into the guest
 *
 * The main stream is the first command of the owner, attached or detached.
 *
 * Requests go to the guest at once: they wait behind CONFIG until the agent has started, which
 *saves a round trip at the moment it is ready. The guest may answer them only after its READY.
 *
 * Memory. Guest to client: DATA is bounded by one window per stream and everything else by one
 * frame of each kind per stream, so a client that does not read costs its streams' windows; as a
 * backstop one client may have LIMIT_CLIENT_QUEUE bytes waiting, all together LIMIT_RELAY_QUEUE;
 *who exceeds it is disconnected. The channel itself is always read: no client can hold up another.
 * Client to guest: one queue of about LIMIT_CTRL_BACKLOG; when it is full, clients that want to
 *send are not read until the guest has taken some.
 *
 * Trust: the guest is hostile; what it may not send ends the channel (`broken`), and with it the
 * sandbox. Clients are the user's own programs but may be confused; what they may not send ends
 * their connection. Unknown streams are no error in a client's frame: it may have crossed the
 * terminal frame on its way.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/loop.h"

#include "proto/credit.h"
#include "proto/frame.h"
#include "proto/msg.h"

enum { RELAY_READ_MIN = 4096, RELAY_READ_MAX = LIMIT_FRAME_PAYLOAD };

struct relay;
struct relay_client;
struct relay_stream;

/* Called from the loop. Inside, neither relay_finish() nor relay_deinit() may be called. */
struct relay_events {
	void (*hello)(struct relay *r, const struct msg_hello *m);
	void (*ready)(struct relay *r, const struct msg_ready *m);
	void (*boot_failed)(struct relay *r, const struct msg_failure *m);
	void (*bye)(struct relay *r, uint32_t signal);
	/* The guest broke the protocol, or the channel failed; nothing more comes from it. */
	void (*broken)(struct relay *r, const struct msb_err *err);
	/* The other end of the channel is closed: the machine is ending. */
	void (*channel_end)(struct relay *r);
	/* A client asks for the end of the sandbox. */
	void (*stop)(struct relay *r, uint32_t grace_ms);
	/* The owner disconnected. */
	void (*owner_gone)(struct relay *r);
	/* The owner let go of the main stream's command; may be NULL. */
	void (*main_detached)(struct relay *r);
	/* The main stream ended; @err says why the command could not start, or is ""; may be NULL.
	 */
	void (*main_ended)(struct relay *r, bool detached, int exit_status, const char *err);
	/* A file or directory of relay_give_*() could not be made: negative errno; may be NULL. */
	void (*give_failed)(struct relay *r, int error);
	/* The owner has prepared the guest's files; false if that was not awaited. May be NULL. */
	bool (*prepared)(struct relay *r);
	/* A signal for the main process; false if there is none. */
	bool (*signal)(struct relay *r, int signo);
	/*
	 * A client asks for @mib of memory for the guest. 0: relay_memory_done() will follow; or a
	 * negative errno.
	 */
	int (*memory)(struct relay *r, uint32_t mib);
	/* So many processors of the guest are on, it says; may be NULL. */
	void (*cpus)(struct relay *r, uint32_t online);
	/* Other rules for the network, as JSON. 0: relay_policy_done() will follow; or a negative
	 * errno. May be NULL. */
	int (*policy)(struct relay *r, const void *text, size_t len);
	/* Other secrets, as JSON, and their values, borrowed, negative: none; 0 or a negative
	 * errno. May be NULL. */
	int (*secrets)(struct relay *r, const void *text, size_t len, int fd);
	/* Checked output of a command, before the client has it; may be NULL. */
	void (*output)(struct relay *r, const struct relay_stream *s, unsigned int channel,
		const void *p, size_t n);
	/* After relay_finish(): the last client took its last byte or went away. */
	void (*finished)(struct relay *r);
};

struct relay_stream {
	struct relay_client *client;
	struct relay_stream
		*next; /* of the client, most recently used first; or of the free list */
	uint32_t client_id; /* number on the client's hop; on the guest's it is the index + 1 */
	struct credit_tx to_guest;
	struct credit_tx to_client;
	uint32_t exec_id; /* EXEC: number of the command, from 1 */
	uint8_t request; /* frame type that opened it */
	bool pty;
	uint8_t guest_eof; /* bit per channel that the guest has ended */
	bool client_eof;
	bool started;
	bool cancelled;
	bool detached;
	bool given; /* ours: relay_give_*() */
};

struct relay {
	struct loop *loop;
	const struct relay_events *events;

	int channel_fd; /* borrowed; -1: none (yet, or any more) */
	struct loop_fd channel_src;
	struct buf channel_in;
	struct buf channel_out;
	bool hello;
	bool ready; /* the guest serves requests */
	bool bye;
	bool finishing;
	bool held; /* only the owner is served, and who asks for the end */

	struct relay_client *clients;
	unsigned int n_clients;
	unsigned int n_blocked;
	size_t queued; /* bytes in all queues to clients */
	uint32_t n_execs; /* commands so far */
	unsigned int n_busy; /* open EXEC, FS and FREEZE streams: the sandbox is in use */
	uint64_t active_ns; /* when it was last used */
	struct relay_stream *main; /* or NULL */
	struct relay_client *resizer; /* waits for relay_memory_done(), or NULL */
	uint32_t resizer_id; /* its stream */
	bool resizing; /* memory() was answered with 0; the one who asked may be gone */

	struct relay_client *changer; /* waits for relay_policy_done(), or NULL */
	uint32_t changer_id; /* its stream */
	bool changing; /* policy() was answered with 0; the one who asked may be gone */

	struct buf greeting; /* SB_READY, for clients that come later */

	unsigned int n_streams; /* in use */
	unsigned int high_water; /* entries of streams[] ever used */
	struct relay_stream *free_streams;
	struct relay_stream streams[LIMIT_STREAMS];
};

/** relay_init - @r is zeroed memory, 64 KiB of it are only touched as streams are used */
void relay_init(struct relay *r, struct loop *loop, const struct relay_events *events);

/** relay_deinit - disconnects everybody without a word */
void relay_deinit(struct relay *r);

/** relay_attach - @fd, borrowed and non-blocking, is the channel; @config is sent first */
int relay_attach(struct relay *r, int fd, const struct buf *config) MSB_MUST_CHECK;

/**
 * relay_give_directory, relay_give_file - put it into the guest, before whatever is asked for later
 * @path: absolute
 * @len: of a file, at most LIMIT_STREAM_WINDOW
 */
int relay_give_directory(struct relay *r, const char *path, uint32_t mode) MSB_MUST_CHECK;
int relay_give_file(struct relay *r, const char *path, uint32_t mode, const void *p, size_t len)
	MSB_MUST_CHECK;

/** relay_detach - forget the channel; what has arrived is taken in first */
void relay_detach(struct relay *r);

/** relay_add_client - @fd is consumed on success and must be non-blocking */
int relay_add_client(struct relay *r, int fd, bool owner) MSB_MUST_CHECK;

/** relay_hold - serve no client but the owner, and who asks for the end, until relay_release() */
void relay_hold(struct relay *r);
void relay_release(struct relay *r);

/** relay_announce - the guest serves requests: frame @greeting goes to every client, now and later
 */
int relay_announce(struct relay *r, const struct buf *greeting) MSB_MUST_CHECK;

/** relay_shutdown_guest - ask the agent to stop everything and power off */
int relay_shutdown_guest(struct relay *r, uint32_t grace_ms) MSB_MUST_CHECK;

/** relay_memory_done - answers memory(), not from inside it: the guest has @mib now, or @why not */
void relay_memory_done(struct relay *r, uint32_t mib, const char *why);

/** relay_policy_done - answers policy(), not from inside it: the rules hold, or a negative errno;
 * nothing if nobody waits */
void relay_policy_done(struct relay *r, int error);

/** relay_signal_main - to the process group of the main stream; false if there is none */
bool relay_signal_main(struct relay *r, int signo);

/** relay_set_clock - tell the guest what time it is */
int relay_set_clock(struct relay *r) MSB_MUST_CHECK;

/** relay_finish - @last goes to every client behind all that waits, then they are disconnected */
void relay_finish(struct relay *r, const struct buf *last);
