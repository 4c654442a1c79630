/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making room for an init of the image: it becomes PID 1, the agent goes on as its child.
 *
 * The agent forks when the root is in place and before anything else runs. The child has the
 * channel, the loop and a session of its own; the parent executes the init with the console as its
 * standard streams, clean signals and the configured environment. Orphans are the init's from then
 * on.
 *
 * The end: asked by the host, the agent asks the init in its own way: SIGRTMIN+4 is systemd's word
 * for powering off, SIGUSR2 busybox's, SIGTERM is left for those that take neither. An init that
 * ends the machine sends SIGTERM to all others first; for the agent that is the moment to kill the
 * rest, write back and say BYE, before anybody else resets the machine. An init that does neither
 * has the time of grace.
 *
 * One that has only just begun listens to nothing yet, and what PID 1 has no handler for is lost.
 * So it is looked at again every second, and asked by what it listens to by then. The signals of
 * systemd and busybox mean the same however often they come; a SIGTERM that somebody has heard is
 * not repeated, because its handler may not like to run twice.
 */
#pragma once

#include "agent/agent.h"

/**
 * hand_over - start @a->config.init as PID 1; returns in the child
 * @why, @what: filled on failure, which is only reported before the fork
 */
int hand_over(struct agent *a, struct msg_failure *why, char *what, size_t what_size)
	MSB_MUST_CHECK;

/** hand_over_end - ask PID 1 to power off, now and until hand_over_gone() */
void hand_over_end(struct agent *a);

/** hand_over_gone - there is nobody to ask any more */
void hand_over_gone(struct agent *a);

/**
 * hand_over_signal - by which the process of this /proc/PID/status is asked
 * @ret_heard: does it listen to that?
 */
int hand_over_signal(const char *status, bool *ret_heard);
