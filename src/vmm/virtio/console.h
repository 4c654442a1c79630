/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console with two ports (virtio 1.2, 5.3).
 *
 * Port 0 is the console: what the guest kernel prints goes to log_fd and never makes the guest
 * wait; when the reader is slow, bytes are dropped and counted. Port 1, "msb.channel", carries the
 * agent channel as a byte stream: nothing is lost, a full socket stops the consumption of the
 * guest's buffers and the guest's buffers bound what is read from the socket.
 */
#pragma once

#include <linux/virtio_console.h>

#include "vmm/virtio/device.h"

#define VIRTIO_CONSOLE_CHANNEL_NAME "msb.channel"

enum { CONSOLE_PORTS = 2 };

struct virtio_console;

struct console_host {
	int log_fd; /* not owned; a pipe, made non-blocking; SIGPIPE must be ignored; -1: discard */
	int channel_fd; /* not owned; a stream socket */
	/* The callbacks run on the loop thread under the device's lock; either may be NULL. */
	/* The peer of the channel is gone: called once. */
	void (*on_hangup)(struct virtio_console *c, void *arg);
	/* The guest opened or closed the channel port. */
	void (*on_guest_open)(struct virtio_console *c, bool open, void *arg);
	void *arg;
};

struct virtio_console {
	struct virtio_dev dev;
	struct console_host host;
	struct virtio_console_space {
		uint16_t cols;
		uint16_t rows;
		uint32_t max_nr_ports;
		uint32_t emerg_wr;
	} space;

	/* Under dev.lock. */
	bool guest_ready; /* the guest has set up the channel port */
	bool guest_open; /* the guest has the channel port open */
	uint32_t
		tx_done; /* bytes already sent of the chain at the head of the channel's tx queue */
	uint32_t pending; /* set of control messages that wait for a buffer */

	/* Loop thread. */
	struct loop_fd channel_src;
	bool tx_blocked; /* the socket is full: wait for EPOLLOUT */
	bool rx_ready; /* the socket may have bytes */
	bool hung_up; /* the peer of the channel is gone */
	bool told_hangup;
	bool told_open; /* argument of the last on_guest_open() */
};

/** virtio_console_init - 0 or a negative errno */
int virtio_console_init(struct virtio_console *c, const struct virtio_env *env,
	const struct console_host *host) MSB_MUST_CHECK;

void virtio_console_deinit(struct virtio_console *c);
