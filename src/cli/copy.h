/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying trees between the host and a sandbox.
 *
 * Out of a sandbox everything comes from a hostile guest. On the host nothing is opened by a path
 * that the guest has a say in: one component at a time, relative to a descriptor, never through a
 * symbolic link. A file is written under a name of ours and renamed. Names with a slash, "." and
 * ".." are refused, so are links that lead out of the tree: a target may begin with as many ".."
 * as there are directories above the link, and contains none later, where it could step back
 * through another link; an absolute one is made relative to the top of the tree. Set-user-ID bits
 * do not come along. Depth, number and size of what comes are bounded.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "cli/guest-fs.h"

enum { COPY_DEPTH_MAX = 100, COPY_ENTRIES_MAX = 1000000 };

struct copy {
	struct guest_fs *guest;
	unsigned int entries; /* so far */
	unsigned int skipped; /* what could not be copied, each with a note */
};

/** copy_name_check - may an entry of the guest have this name on the host? */
bool copy_name_check(const char *name);

/** copy_link_target - the target for a link @depth directories below the top; 0, or -EXDEV when it
 * would lead out */
int copy_link_target(const char *target, unsigned int depth, char *to, size_t size) MSB_MUST_CHECK;

/** copy_out_file - file @path of the guest becomes @name in the directory @dir_fd */
int copy_out_file(struct copy *c, const char *path, const struct msg_stat *st, int dir_fd,
	const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** copy_out_tree - what is in directory @path of the guest goes into the directory @dir_fd */
int copy_out_tree(struct copy *c, const char *path, int dir_fd, struct msb_err *err) MSB_MUST_CHECK;

/** copy_in_file - @fd becomes file @path of the guest */
int copy_in_file(struct copy *c, int fd, uint32_t mode, const char *path, struct msb_err *err)
	MSB_MUST_CHECK;

/** copy_in_tree - what is in the directory @dir_fd goes into directory @path of the guest */
int copy_in_tree(struct copy *c, int dir_fd, const char *path, struct msb_err *err) MSB_MUST_CHECK;
