/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the initramfs to the guest's root file system. Only PID 1 calls this.
 *
 * boot_early() mounts what is needed to reach the host. boot_common() does what is the same for
 * every guest; it runs while CONFIG is on its way. boot_root() does the rest. The steps before
 * READY are what every start of a sandbox pays for: nothing here forks, waits for a timer or mounts
 * what nobody could see.
 */
#pragma once

#include "base/base.h"

#include "proto/msg.h"

/* Where they are until the root is in place. */
#define BOOT_SYSFS "/s"
#define BOOT_PROC  "/p"

/** boot_early - devtmpfs and sysfs; -errno */
int boot_early(void) MSB_MUST_CHECK;

/**
 * boot_common - kernel file systems, device links, loopback, the image; failures as boot_root()
 * @ret_have_lower: for boot_root()
 */
int boot_common(bool *ret_have_lower, struct msg_failure *why, char *what, size_t what_size)
	MSB_MUST_CHECK;

/** root_release - make the root's writable layer consistent, if it is on a disk; at the end */
void root_release(void);

/* Of the disk below the root; -EOPNOTSUPP when its writable layer is not on a disk of msb's. */
struct freezer;
extern const struct freezer root_freezer;

/**
 * boot_root - assemble the root file system and make it ours
 * @host_cas: certificates to trust besides those of the image, "" for none
 * @why: on failure, with `what` in @what
 *
 * Return: 0 or a negative errno.
 */
int boot_root(const struct msg_config *cfg, const char *host_cas, bool have_lower,
	struct msg_failure *why, char *what, size_t what_size) MSB_MUST_CHECK;
