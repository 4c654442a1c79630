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
 *
 * The bytes of every file are compared by a checksum, whichever way they go. A file that does not
 * get all of them does not stay: on the host it has no name yet, in a guest the agent removes it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "lib/guest-fs.h"

#define COPY_PART ".msb-part" /* behind the name of a file that is not whole yet */

enum { COPY_DEPTH_MAX = 100, COPY_ENTRIES_MAX = 1000000 };

struct copy {
	struct guest_fs *guest; /* the one end */
	struct guest_fs *to; /* the other one, if it is a sandbox, too */
	bool archive; /* owners are kept */
	bool follow; /* the source, if it is a link */
	bool resume; /* what was cut goes on: copy-resume.c */
	unsigned int entries; /* so far */
	unsigned int skipped; /* what could not be copied */
	/* Told of each; @path is printable. May be NULL */
	void (*skip)(void *arg, const char *path, const char *why);
	void *skip_arg;
	/* Told of each file with a part of an earlier copy, @kept bytes of it good. May be NULL */
	void (*resumed)(void *arg, const char *path, uint64_t kept);
	void *resumed_arg;
};

/** copy_name_check - may an entry of the guest have this name on the host? */
bool copy_name_check(const char *name);

/** copy_link_target - the target for a link @depth directories below the top; 0, or -EXDEV when it
 * would lead out */
int copy_link_target(const char *target, unsigned int depth, char *to, size_t size) MSB_MUST_CHECK;

/** copy_out_file - file @path of the guest becomes @name in the directory @dir_fd */
int copy_out_file(struct copy *c, const char *path, const struct msg_stat *st, int dir_fd,
	const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** copy_read_link - target of the link @path of the guest, as it is */
int copy_read_link(struct copy *c, const char *path, char target[LIMIT_PATH], struct msb_err *err)
	MSB_MUST_CHECK;

/** copy_make_link - @name in the directory @dir_fd becomes a link; it replaces links only */
int copy_make_link(const char *target, int dir_fd, const char *name, struct msb_err *err)
	MSB_MUST_CHECK;

/** copy_out_tree - what is in directory @path of the guest goes into the directory @dir_fd */
int copy_out_tree(struct copy *c, const char *path, int dir_fd, struct msb_err *err) MSB_MUST_CHECK;

/** copy_in_file - @fd becomes file @path of the guest */
int copy_in_file(struct copy *c, int fd, const struct guest_attr *attr, const char *path,
	struct msb_err *err) MSB_MUST_CHECK;

/** copy_host_attr, copy_guest_attr - what goes along with a file of the host or of a guest */
struct stat;
struct guest_attr copy_host_attr(const struct copy *c, const struct stat *st);
struct guest_attr copy_guest_attr(const struct copy *c, const struct msg_stat *st);

/** copy_out_attr - mode, time and owner of @st to the open file or directory @fd; 0 or a negative
 * errno */
int copy_out_attr(const struct copy *c, int fd, const struct msg_stat *st) MSB_MUST_CHECK;

/** copy_error - @err for a transfer that failed: "@what @path: ..."; returns @r */
int copy_error(struct msb_err *err, int r, const char *what, const char *path);

/* Where guest_fs_read() puts what it gets; more than @left is -EFBIG. */
struct copy_sink {
	int fd;
	uint64_t left;
};
int copy_sink_write(void *sink, const void *p, size_t n);

/** copy_source_read - source of guest_fs_write(); @arg points to the descriptor */
ssize_t copy_source_read(void *arg, void *p, size_t n);

/** copy_skip - say that one entry is left out; the rest goes on */
void copy_skip(struct copy *c, const char *path, const char *name, const char *why);

/** copy_join - @dir/@name; 0 or -ENAMETOOLONG */
int copy_join(char to[LIMIT_PATH], const char *dir, const char *name) MSB_MUST_CHECK;

/* Something in a directory of the guest; the name is one that may be joined to a path. */
struct copy_entry {
	const char *dir;
	const char *path; /* @dir/@name */
	const struct msg_dirent *e;
	unsigned int depth; /* of @dir */
};

typedef int copy_entry_fn(
	struct copy *c, const struct copy_entry *entry, void *arg, struct msb_err *err);

/** copy_walk - @fn for everything in directory @dir of @c->guest, @depth below the top. The one
 * door for what a guest lists: entries are counted, names that are none are skipped
 * @of: what errors say behind the directory's name
 */
int copy_walk(struct copy *c, const char *dir, const char *of, unsigned int depth,
	copy_entry_fn *fn, void *arg, struct msb_err *err) MSB_MUST_CHECK;

/** copy_across_file, copy_across_tree - from @c->guest to @c->to; both ends distrust each other:
 * the rules of a copy to the host hold */
int copy_across_file(struct copy *c, const char *from, const struct msg_stat *st, const char *to,
	struct msb_err *err) MSB_MUST_CHECK;
int copy_across_tree(struct copy *c, const char *from, const char *to, struct msb_err *err)
	MSB_MUST_CHECK;

/* As copy_out_file(), copy_in_file() and copy_across_file(), with --resume. */
int copy_resume_out(struct copy *c, const char *path, const struct msg_stat *st, int dir_fd,
	const char *name, struct msb_err *err) MSB_MUST_CHECK;
int copy_resume_in(struct copy *c, int fd, const struct guest_attr *attr, const char *path,
	struct msb_err *err) MSB_MUST_CHECK;
/* Writes what is behind the first @at bytes of @from to @to. */
typedef int copy_across_fn(struct copy *c, const struct guest_attr *attr, const char *from,
	uint64_t size, const char *to, uint64_t at);
int copy_resume_across(struct copy *c, const struct guest_attr *attr, const char *from,
	uint64_t size, const char *to, copy_across_fn *write, struct msb_err *err) MSB_MUST_CHECK;

/** copy_in_tree - what is in the directory @dir_fd goes into directory @path of the guest */
int copy_in_tree(struct copy *c, int dir_fd, const char *path, struct msb_err *err) MSB_MUST_CHECK;
