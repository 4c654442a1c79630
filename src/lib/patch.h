/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches: what becomes of the root file system of a new sandbox before anything runs in it.
 *
 * They are carried out in the order they were given, once, through the guest's agent: a path of the
 * guest is looked up inside the guest and nowhere else, whatever links its image holds, and
 * contents are streamed. On the host only what the user names is read; below it no symbolic link is
 * followed. What lies under a mount is not the root file system's and is refused.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

#include "lib/guest-fs.h"
#include "lib/run-args.h"
#include "lib/volume-args.h"

enum { PATCHES_MAX = 256, PATCH_TEXT_MAX = 1024 * 1024 };

enum patch_kind {
	PATCH_COPY, /* a file or a directory */
	PATCH_COPY_FILE,
	PATCH_COPY_DIR,
	PATCH_MKDIR, /* with its parents; an existing one is fine */
	PATCH_REMOVE, /* with all that is in it; a missing one is fine */
	PATCH_TEXT, /* a file with @text */
	PATCH_APPEND, /* @text at the end of a file */
	PATCH_SYMLINK, /* to @text */
};

struct run_patch {
	enum patch_kind kind;
	char *path; /* owned, of the guest: absolute, without . and .. */
	char *source; /* owned, PATCH_COPY*: a path here */
	char *text; /* owned */
	size_t text_len;
	int mode; /* -1: that of the source, or 0644 and 0755 */
	bool into; /* the path ends with a slash: a directory that gets the source */
	bool replace; /* what is there is removed */
};

struct run_patches {
	size_t n;
	struct run_patch *list; /* owned */
};

/* Option values; each appends to the struct run_patches @target. */

/** run_parse_copy - SRC:DST[:mode=0644,replace] */
int run_parse_copy(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_copy_file(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_copy_dir(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
/** run_parse_mkdir - PATH[:mode=0755] */
int run_parse_mkdir(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_rm(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** patch_add - @path is checked; @text and @source are copied, and may be NULL; @ret, if not NULL,
 * is for the other fields */
int patch_add(struct run_patches *p, enum patch_kind kind, const char *path, const char *source,
	const char *text, struct run_patch **ret, struct msb_err *err) MSB_MUST_CHECK;

/** patch_mode - four octal digits at most */
int patch_mode(const char *text, int *ret, struct msb_err *err) MSB_MUST_CHECK;

/** run_patches_check - before a machine is started: sources that cannot be read, paths that lead
 * into a mount */
int run_patches_check(const struct run_patches *p, const struct run_tmpfs *tmpfs,
	const struct run_volumes *volumes, struct msb_err *err) MSB_MUST_CHECK;

/** run_patches_apply - all of them, on a connection of the caller's, then sandbox_prepared()
 * @g: lasts as long as the connection */
int run_patches_apply(const struct run_patches *p, struct guest_fs *g, struct loop *loop,
	struct sandbox *sb, struct msb_err *err) MSB_MUST_CHECK;

void run_patches_deinit(struct run_patches *p);
