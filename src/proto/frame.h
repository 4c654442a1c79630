/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: how messages share one byte stream.
 *
 * Spoken on two hops: between the guest agent and the supervisor (over a virtio-console port), and
 * between the supervisor and its clients (over a unix socket). A frame is a 12-byte header and a
 * payload:
 *
 *	u32 len	   payload bytes, at most LIMIT_FRAME_PAYLOAD
 *	u32 stream 0 is the control stream; any other number is one operation
 *	u8  type   enum frame_type
 *	u8  flags  FRAME_* below, others must be zero
 *	u16 zero
 *
 * Streams. The client picks a number that is free on its hop and opens the stream with a request
 * (EXEC, FS, PING, METRICS, FREEZE, MODIFY). The answering side ends it with exactly one terminal
 *frame (the types of frame_is_terminal()), after which the number is free again. CANCEL from the
 *client asks for an early end; the terminal frame still comes. Frames of the client that cross the
 *terminal frame on their way find no stream and are dropped without a word.
 *
 * Flow control. Only DATA costs credit. Each direction of a stream starts with LIMIT_STREAM_WINDOW
 * bytes; the receiver returns what it has passed on with CREDIT (arithmetic: credit.h). Sending
 * beyond the credit is a protocol violation that ends the channel, so a receiver needs at most one
 * window of memory per stream and a reader that stalls stops only its own stream. All other frames
 * are small and bounded by LIMIT_CTRL_BACKLOG at the sender.
 *
 * End. The machine ends by a reset, a triple fault or an exit of the VMM, and all of them look the
 * same for a power-off and for a crash of the guest kernel. Therefore BYE is the last frame of an
 * orderly end: the agent sends it after everything is stopped, unmounted and synced, and resets the
 * machine once the host took it. It carries 0 when the host asked by SHUTDOWN, and otherwise the
 * signal by which a process of the guest asked PID 1 (SIGUSR2 of `poweroff`, SIGTERM of `reboot`,
 * SIGUSR1 of `halt`, SIGINT). A machine that ends without BYE or BOOT_FAILED before it has crashed.
 *
 * Trust: both decoders face an adversary (a hostile guest, a confused client). A decoding failure
 * ends the connection, never the process.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/caps.h"

enum { PROTO_VERSION = 2, FRAME_HEADER = 12 };

enum frame_type {
	/* Control stream, guest to host. */
	FRAME_HELLO = 0x01, /* msg_hello: first frame of the agent */
	FRAME_READY = 0x02, /* msg_ready: the root is in place, requests are served */
	FRAME_BOOT_FAILED = 0x03, /* msg_failure: the agent gave up; it powers off next */
	FRAME_BYE = 0x04, /* u32: the end is orderly; see below */

	/* Control stream, host to guest. */
	FRAME_CONFIG = 0x08, /* msg_config: once, may be sent before HELLO arrives */
	FRAME_CLOCK = 0x09, /* msg_clock */
	FRAME_TRUST = 0x0b, /* text, before CONFIG: a piece of the certificates (PEM) of the host
			       that the guest is to trust */
	FRAME_SHUTDOWN = 0x0a, /* msg_shutdown: stop everything, unmount, power off */

	/* Requests of a client: open a stream. */
	FRAME_EXEC = 0x10, /* msg_exec */
	FRAME_FS = 0x11, /* msg_fs */
	FRAME_PING = 0x12, /* payload of at most 64 bytes, echoed by PONG */
	FRAME_METRICS = 0x13, /* no payload */
	FRAME_FREEZE = 0x14, /* u32 ms: hold writes to the root disk, no longer than this */
	FRAME_MODIFY = 0x15, /* msg_modify: other processors, other defaults of commands */

	/* On an open stream. */
	FRAME_DATA = 0x20, /* flags: channel, FRAME_EOF; both directions; costs credit */
	FRAME_CREDIT = 0x21, /* u32 bytes; both directions */
	FRAME_RESIZE = 0x22, /* msg_resize: client to guest */
	FRAME_SIGNAL = 0x23, /* u32 signal number: to the process group of an exec */
	FRAME_CANCEL = 0x24, /* client to guest: kill the exec / drop the transfer */
	FRAME_STARTED = 0x25, /* u32 pid: guest to client, before any DATA of an exec */
	FRAME_FROZEN = 0x26, /* guest to client: the root disk is consistent and nothing writes to
				it, until CANCEL or the time of FREEZE is over */
	FRAME_DETACH = 0x27, /* client to supervisor: the exec goes on without it; EXITED answers */

	/* Terminal frames, guest to client. */
	FRAME_EXITED = 0x30, /* msg_exited */
	FRAME_FAILED = 0x31, /* msg_failure: request refused or spawn failed */
	FRAME_FS_DONE = 0x32, /* msg_fs_done */
	FRAME_PONG = 0x33, /* echo of PING */
	FRAME_METRICS_DONE = 0x34, /* msg_metrics */
	FRAME_THAWED = 0x35, /* u32: 0 after CANCEL; else the errno of why writes went on before */
	FRAME_MODIFIED = 0x36, /* u32: processors that are online now, or MiB after SB_MEMORY */

	/* Control stream between supervisor and client; never seen by the guest. */
	FRAME_SB_READY =
		0x40, /* msg_sb_ready: supervisor to each client once the sandbox serves requests */
	FRAME_SB_FAILED =
		0x41, /* msg_sb_failed: the sandbox is lost or never came up; connection ends */
	FRAME_SB_STOP = 0x42, /* msg_shutdown: client asks the supervisor to end the sandbox */
	FRAME_SB_STOPPED = 0x43, /* msg_sb_stopped: last frame to every client */
	FRAME_SB_TOUCH = 0x44, /* no payload: client uses the sandbox, it is not idle */
	FRAME_SB_SIGNAL =
		0x45, /* request, u32 signal: to the main process; PONG or FAILED answers */
	FRAME_SB_PREPARED = 0x46, /* request of the owner, no payload: the guest's files are as they
				     should be, others are served from now on; PONG or FAILED */
	FRAME_SB_MEMORY = 0x47, /* request, u32 MiB: memory for the guest, up to the machine's;
				   MODIFIED or FAILED answers when it has taken or given it */
	FRAME_SB_POLICY = 0x48, /* request, JSON: the network's rules from now on; PONG or FAILED */
	FRAME_SB_SECRETS = 0x49, /* request, JSON: secrets from now on, a file with their values
				    comes with it as a descriptor; PONG or FAILED */
};

enum frame_flags {
	FRAME_CHANNEL = 0x03, /* DATA: 0 stdin or file bytes, 1 stdout, 2 stderr */
	FRAME_EOF = 0x80, /* DATA: last of this channel and direction; payload may be empty */
};

struct frame {
	uint32_t len;
	uint32_t stream;
	uint8_t type;
	uint8_t flags;
	const uint8_t *payload; /* @len bytes inside the decoder's buffer */
};

/**
 * frame_decode - next frame at the head of @in
 * @ret: header fields and a view of the payload, valid until @in changes; the caller consumes
 *	FRAME_HEADER + len bytes when done
 *
 * Return: 0; -EAGAIN when more bytes are needed; -EBADMSG when the header is invalid (unknown type,
 * bad flags, too long): the connection must end.
 */
int frame_decode(const struct buf *in, struct frame *ret) MSB_MUST_CHECK;

/**
 * frame_put - append a whole frame
 *
 * Return: 0; -ENOBUFS when it does not fit under the buffer's maximum, -EMSGSIZE when the payload
 * is over LIMIT_FRAME_PAYLOAD, -ENOMEM: nothing was appended then.
 */
int frame_put(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
	size_t len) MSB_MUST_CHECK;

/**
 * frame_begin - append a header whose length is filled in by frame_finish(); the payload is then
 * written with wire_put_*() on the same buffer
 *
 * Return: 0 or a negative errno. @ret_mark goes to frame_finish().
 */
int frame_begin(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, size_t *ret_mark)
	MSB_MUST_CHECK;

/** frame_finish - patch the length; with @error < 0 or a payload over the cap (-EMSGSIZE) the frame
 * is taken back; 0 or the error */
int frame_finish(struct buf *out, size_t mark, int error) MSB_MUST_CHECK;

/** frame_is_terminal - does @type end its stream */
bool frame_is_terminal(uint8_t type);

/** frame_type_name - for messages and traces; "?" for unknown types */
const char *frame_type_name(uint8_t type);
