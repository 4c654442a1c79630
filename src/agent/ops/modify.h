/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MODIFY: what of a guest can change while it runs.
 *
 * Processors go on and off by the kernel's own switches. The first ones are on and all others off,
 * whatever processes of the guest did about them. One takes milliseconds, for which the agent does
 * nothing else. The switches are reached by a mount of sysfs of our own: what is at /sys belongs to
 * whoever is root in the guest, and may be read-only.
 *
 * The environment and the working directory are those of CONFIG for every command that starts from
 * now on.
 */
#pragma once

#include "agent/agent.h"

/** modify_request - serve the MODIFY @f; 0, or a negative errno that breaks the channel */
int modify_request(struct agent *a, const struct frame *f) MSB_MUST_CHECK;

/**
 * modify_cpus - the first @want processors on, the others off
 * @dir_fd: devices/system/cpu of sysfs
 * @ret_online: how many are on then, also on failure
 *
 * The first processor has no switch. Return: 0, -ENODEV: there are fewer; or why one could not be
 * switched.
 */
int modify_cpus(int dir_fd, uint32_t want, uint32_t *ret_online) MSB_MUST_CHECK;
