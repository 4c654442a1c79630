/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two real kernels around stack and flows, for tests and benchmarks.
 *
 * The process keeps two network namespaces of its own. In one there is a TAP device, and a child
 * that plays the guest; in the other one a child that plays the Internet, and the flows in this
 * process. Every destination is dialled on the loopback of the second one. Skips where namespaces
 * or TAP devices are not permitted.
 */
#pragma once

#include <sys/socket.h>

#include "base/io.h"

#include "net/flow/flow.h"

#include "test.h"

enum {
	PATIENCE_S = 120,
	BULK = 100 * 1000 * 1000,
	PORT = 7000,
	CLOSED_PORT = 7001,
	DENIED_PORT = 7002,
	SILENT_PORT = 7003
};

struct bed {
	struct loop loop;
	struct loop_fd tap_src;
	struct loop_fd done_src;
	int tap;
	int up_ns, guest_ns;
	struct flows *flows;
	unsigned int opened, closed, failed, denied;
	unsigned int used; /* times that bytes went through published ports */
	int last_error;
	uint64_t frames_in;
	bool inspect; /* the first bytes of connections decide */
	bool never; /* and none are good any more */
	uint32_t inspect_ms, connect_ms, echo_ms; /* set before bed_init(); 0: the default */
	bool lossy; /* drops every 50th frame to the guest */
	unsigned int tick;
};

extern struct bed bed;

/* @offload: 64 KiB segments and partial checksums; @max_tcp as in struct stack_config. */
void bed_init(bool offload, uint32_t max_tcp);
void bed_deinit(void);

/* A child that runs @fn in the namespace @ns and exits with what it returns; reap() wants 0. */
pid_t child(int ns, int (*fn)(int), int arg);
void reap(pid_t pid);

/* Run flows until the guest @fn is done and its connections have ended. */
void play(int (*fn)(int), int arg);

/* For the children: the guest's connection to the outside, a listener, bytes with known content. */
int connect_to(uint16_t port);
int listen_at(uint16_t port);
uint8_t pattern(size_t i);
int send_pattern(int fd, size_t n);
int recv_pattern(int fd, size_t n);

/* What both children do; they return an exit status and say where. */
#define CHECK(x)                                                                               \
	do {                                                                                   \
		if (!(x)) {                                                                    \
			(void)fprintf(                                                         \
				stderr, "# line %d: %s: %s\n", __LINE__, #x, strerror(errno)); \
			return 1;                                                              \
		}                                                                              \
	} while (0)
