/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest agent: serves requests of the host over the channel.
 *
 * One thread (and that of ops/freeze.h), one loop. In a guest it is PID 1: it assembles the root
 * file system when CONFIG comes (init/), reaps every orphan, and ends the machine. In tests the
 * same code serves a socket as an ordinary process; `machine` is false then, and nothing of the
 * host is mounted, unmounted, signalled or rebooted.
 *
 * Life: WAITING for CONFIG, SERVING after READY, STOPPING when the host or a process of the guest
 * asked for the end.
 */
#pragma once

#include "base/base.h"
#include "base/loop.h"

#include "agent/channel/channel.h"
#include "proto/msg.h"

struct exec;
struct freeze;
struct freezer;

enum agent_state { AGENT_WAITING, AGENT_SERVING, AGENT_STOPPING };

struct agent {
	struct loop loop;
	struct channel ch;
	enum agent_state state;
	bool machine; /* PID 1 of a guest that we set up ourselves */
	bool handed_over; /* a program of the image is PID 1, we are its child */
	bool no_exec; /* for the fuzz target: every EXEC fails */
	bool have_lower; /* between boot_common() and boot_root() */
	uint64_t pid1_ns;
	uint64_t pid1_cycles;

	/* What CONFIG said; strings point into config_text. */
	struct msg_config config;
	uint8_t *config_text; /* owned */
	struct buf trust; /* pieces of TRUST, until CONFIG is here */
	uint8_t *defaults_text; /* owned: a later MODIFY, for cwd and env of config; may be NULL */

	struct loop_fd signals;
	int signal_fd; /* owned */
	struct exec *execs; /* all whose process has not been reaped */
	uint32_t n_execs; /* all whose stream is open */

	const struct freezer *freezer; /* of the root disk; NULL: cannot be frozen */
	struct freeze *freeze; /* under way */

	/* STOPPING. */
	struct loop_timer stop_timer;
	struct loop_timer ask_timer; /* another PID 1 is asked again */
	bool asked; /* it was, by a signal that counts once */
	uint32_t stop_signal; /* of the guest process that asked, 0: the host asked */
	bool killing; /* SIGKILL was sent */
};

/**
 * agent_init - serve the channel @fd
 * @fd: non-blocking, not owned
 * @machine: see struct agent
 *
 * Blocks the signals that the loop takes in. Nothing is left behind on failure.
 */
int agent_init(struct agent *a, int fd, bool machine) MSB_MUST_CHECK;

/** agent_deinit - kills every exec */
void agent_deinit(struct agent *a);

/** agent_hello - queue HELLO */
int agent_hello(struct agent *a) MSB_MUST_CHECK;

/** agent_boot - HELLO, then all of the boot that does not need CONFIG */
int agent_boot(struct agent *a) MSB_MUST_CHECK;

/** agent_watch_signals - take them in; again, in a process that was forked */
int agent_watch_signals(struct agent *a) MSB_MUST_CHECK;

/** agent_refuse - FAILED on @stream, which is not open (any more) */
void agent_refuse(
	struct agent *a, uint32_t stream, enum msg_stage stage, int error, const char *what);
