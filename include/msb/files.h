/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: files of sandboxes. */
#ifndef MSB_FILES_H
#define MSB_FILES_H

#include <msb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A connection to the files of one sandbox. Paths are absolute ones of the guest. */
struct msb_files;

/** msb_files_open - of one that runs. @ret: msb_files_close() */
MSB_API int msb_files_open(
	struct msb *m, const char *name, struct msb_files **ret, struct msb_error *err);

/** msb_files_start - the same, but a sandbox that does not run is started; it ends with
 * msb_files_end(), or with the process */
MSB_API int msb_files_start(
	struct msb *m, const char *name, struct msb_files **ret, struct msb_error *err);

/** msb_files_end - of a sandbox that was started: the files are on its disk when this succeeds. @f
 * is gone in any case */
MSB_API int msb_files_end(struct msb_files *f, struct msb_error *err);

/** msb_files_close - msb_files_end() for those who do not care; NULL is fine. Return: NULL */
MSB_API struct msb_files *msb_files_close(struct msb_files *f);

struct msb_stat {
	size_t size; /* set by the caller: MSB_STAT_INIT */
	uint32_t mode; /* with the type, as in struct stat */
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink;
	uint64_t bytes;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t reserved;
};

/* clang-format off */
#define MSB_STAT_INIT {sizeof(struct msb_stat), 0, 0, 0, 0, 0, 0, 0, 0}
/* clang-format on */

/** msb_files_stat - @follow: a link's target instead of the link */
MSB_API int msb_files_stat(struct msb_files *f, const char *path, int follow, struct msb_stat *ret,
	struct msb_error *err);

/**
 * msb_files_list - what is in a directory, in no order, without "." and ".."
 * @fn: @target: of a symbolic link, otherwise "". Another value than 0 ends the walk and is
 * returned. @name and @target are what the guest says
 */
MSB_API int msb_files_list(struct msb_files *f, const char *path,
	int (*fn)(void *arg, const char *name, const struct msb_stat *st, const char *target),
	void *arg, struct msb_error *err);

/**
 * msb_files_read - @length bytes from @offset on, or as many as there are
 * @length: UINT64_MAX for all
 * @fn: a negative errno ends it and is returned
 */
MSB_API int msb_files_read(struct msb_files *f, const char *path, uint64_t offset, uint64_t length,
	int (*fn)(void *arg, const void *data, size_t n), void *arg, struct msb_error *err);

/** msb_files_get - all of a file of at most @max bytes, with a NUL behind it, for free(); -E2BIG
 * (MSB_E_LIMIT) */
MSB_API int msb_files_get(struct msb_files *f, const char *path, size_t max, void **ret,
	size_t *ret_len, struct msb_error *err);

/**
 * msb_files_write - a new file, or one that is emptied first
 * @mode: permissions of a new one
 * @fn: fills @to with up to @n bytes and returns how many, 0 at the end; a negative errno ends it
 * and is returned
 */
MSB_API int msb_files_write(struct msb_files *f, const char *path, uint32_t mode,
	ssize_t (*fn)(void *arg, void *to, size_t n), void *arg, struct msb_error *err);

/** msb_files_put - msb_files_write() of @n bytes */
MSB_API int msb_files_put(struct msb_files *f, const char *path, uint32_t mode, const void *data,
	size_t n, struct msb_error *err);

/** msb_files_mkdir - with its parents; one that exists is fine */
MSB_API int msb_files_mkdir(
	struct msb_files *f, const char *path, uint32_t mode, struct msb_error *err);

/** msb_files_symlink - @path becomes a link to @target; an existing link is replaced */
MSB_API int msb_files_symlink(
	struct msb_files *f, const char *path, const char *target, struct msb_error *err);

/** msb_files_remove - a file, a link, or an empty directory; @tree: one with all that is in it */
MSB_API int msb_files_remove(
	struct msb_files *f, const char *path, int tree, struct msb_error *err);

/** msb_files_rename - within one file system of the guest; what has the new name is replaced as
 * rename(2) does */
MSB_API int msb_files_rename(
	struct msb_files *f, const char *path, const char *new_path, struct msb_error *err);

/**
 * msb_copy_in - a file or a tree of the host becomes @path of the guest
 *
 * Into a directory that exists the tree is merged. Permissions and times come along, links stay
 * links. @ret_skipped: sockets, devices and the like that were left out; may be NULL
 */
MSB_API int msb_copy_in(struct msb_files *f, const char *host_path, const char *path,
	unsigned int *ret_skipped, struct msb_error *err);

/**
 * msb_copy_out - a file or a tree of the guest becomes @host_path
 *
 * However hostile the guest, nothing outside of @host_path is touched: links that lead out of the
 * tree are left out, no link on the host is followed, set-user-ID bits do not come along.
 */
MSB_API int msb_copy_out(struct msb_files *f, const char *path, const char *host_path,
	unsigned int *ret_skipped, struct msb_error *err);

struct msb_copy_options {
	size_t size; /* set by the caller: MSB_COPY_OPTIONS_INIT */
	int archive; /* keep the numbers of user and group, too */
	int follow; /* copy what the source points to if it is a link */
	int resume; /* keep what has come when the copy is cut, and go on there the next time */
	int in; /* descriptor that "-" as the source means; -1: none */
	int out; /* the same for the destination */
	/* Told of what is not copied; @path is printable. May be NULL */
	void (*skipped)(void *arg, const char *path, const char *why);
	/* Told of each file of which there is a part: @kept bytes of it are good. May be NULL */
	void (*resumed)(void *arg, const char *path, uint64_t kept);
	void *arg;
};

/* clang-format off */
#define MSB_COPY_OPTIONS_INIT {sizeof(struct msb_copy_options), 0, 0, 0, -1, -1, NULL, NULL, NULL}
/* clang-format on */

/**
 * msb_copy - all of msb-cp(1): between the host and a sandbox, or two of them
 * @from, @to: NAME:/path in a sandbox, a path here, or "-"; as docker cp understands them
 * @options: NULL: the defaults
 * @ret_skipped: what was left out; may be NULL
 *
 * Sandboxes that do not run are started for it. Both ends compare a checksum of every file; one
 * that does not become whole is removed, or with @resume stays as NAME.msb-part.
 */
MSB_API int msb_copy(struct msb *m, const char *from, const char *to,
	const struct msb_copy_options *options, unsigned int *ret_skipped, struct msb_error *err);

#ifdef __cplusplus
}
#endif

#endif
