/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this directory. */
#pragma once

#include "agent/init/boot.h"

#define BOOT_ROOT  "/r" /* the new root, before the switch */
#define BOOT_LOWER "/l" /* ROOT_OVERLAY: the image */
#define BOOT_UPPER "/u" /* ROOT_OVERLAY: tmpfs that holds upper and work directory */

/* Where a step failed; filled by boot_fail(). */
struct boot_error {
	enum msg_stage stage;
	char *what;
	size_t what_size;
};

/** boot_fail - -errno of the system call that just failed, with what was tried */
int boot_fail(struct boot_error *err, enum msg_stage stage, const char *fmt, ...) MSB_PRINTF(3, 4);

/** root_lower_early - mount vda at BOOT_LOWER if it is an EROFS image; did it? */
bool root_lower_early(void);

/**
 * root_assemble - the configured root at BOOT_ROOT, with the mount points that boot.c needs
 * @have_lower: what root_lower_early() said
 */
int root_assemble(const struct msg_config *cfg, bool have_lower, struct boot_error *err)
	MSB_MUST_CHECK;

/**
 * copy_image - copy the tree @from, attributes and all, to the directory @name of @beside
 *
 * Nothing else may be in @beside under the name "links". Return: 0 or a negative errno.
 */
int copy_image(const char *from, const char *beside, const char *name) MSB_MUST_CHECK;

/** probe_fstype - what file system a disk holds, NULL: none that we know */
const char *probe_fstype(const char *device);

/** mount_all - the configured tmpfs and shares, parents before children; after the switch */
int mount_all(const struct msg_config *cfg, struct boot_error *err) MSB_MUST_CHECK;

/** mount_option_flag - apply the option to flags of mount(2); false when it is none of those */
bool mount_option_flag(const char *name, size_t len, unsigned long *flags);

/** share_mount - a shared directory or file of the host, with the flags @force besides its own */
int share_mount(const struct msg_share *s, unsigned long force, struct boot_error *err)
	MSB_MUST_CHECK;
