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

enum { CONSOLE_PORTS = 2, CONSOLE_CTRL_BACKLOG = 16 };

struct virtio_console;

struct console_host {
	int log_fd; /* not owned; a pipe, made non-blocking; SIGPIPE must be ignored; -1: discard */
	int channel_fd; /* not owned; a stream socket */
	/* The peer of the channel is gone: called once, loop thread. May be NULL. */
	void (*on_hangup)(struct virtio_console *c, void *arg);
	/* The guest opened or closed the channel port: loop thread. May be NULL. */
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

	/* Under dev.lock: what the driver said. */
	bool guest_open; /* channel port opened by the guest */
	uint32_t tx_done; /* bytes of the channel chain at the head of the tx queue already sent */
	uint16_t backlog[CONSOLE_CTRL_BACKLOG]; /* control messages waiting for a buffer */
	unsigned int n_backlog;

	/* Loop thread. */
	struct loop_fd channel_src;
	bool tx_blocked; /* the socket is full: wait for EPOLLOUT */
	bool rx_ready; /* the socket has bytes */
	bool hung_up;
	bool told_open; /* last on_guest_open() */
};

/** virtio_console_init - 0 or a negative errno */
int virtio_console_init(struct virtio_console *c, const struct virtio_env *env,
	const struct console_host *host) MSB_MUST_CHECK;

void virtio_console_deinit(struct virtio_console *c);
