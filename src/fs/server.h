/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE server over one shared directory or file: a request in, a reply out.
 *
 * The other side is a hostile kernel. A request is bytes; everything in it is checked before use:
 * node and handle numbers against the tables, names to be single components, sizes against what is
 * there. Nothing outside the share can be named: the only paths ever given to the host are single
 * components below descriptors of this share, and symbolic links are never followed. There is no
 * state but the tables, no thread, no clock, so the server runs under a fuzzer as it runs under a
 * guest.
 *
 * What the process must provide (fs/jail.h does): a umask of zero, and the working directory at
 * /proc/self/fd, through which descriptors without rights (O_PATH) are opened again.
 */
#pragma once

#include <sys/uio.h>

#include "base/base.h"

enum {
	FS_DATA_MAX = 128 * 1024, /* payload of one READ or WRITE */
	FS_HEAD_MAX =
		72 * 1024, /* bytes of a request other than WRITE: a value of 64 KiB and its name */
	FS_HEAD_WRITE = 80, /* of a WRITE: both headers */
	FS_IOV_MAX = 256, /* pieces of a payload */
	FS_REPLY_HEAD = 16,
	FS_REPLY_MAX = FS_DATA_MAX + FS_REPLY_HEAD,
	FS_REQUEST_MAX = FS_DATA_MAX + 4096, /* what a transport must be able to carry */
};

/* Where owner, mode and kind of a file come from; see docs/internals/fs.md. */
enum fs_stat_virt {
	FS_STAT_STRICT = 0, /* from an attribute of the file; an error where the host has none */
	FS_STAT_RELAXED, /* the same, but what the host cannot keep is forgotten */
	FS_STAT_OFF, /* from the host, as it is */
};

struct fs_options {
	bool read_only;
	enum fs_stat_virt stat_virt;
	bool no_suid; /* set-id bits do not exist */
	bool no_dev; /* neither do device nodes: they are not made, and those there are devices of
			no number */
	bool private_perms; /* nobody on the host but the owner gets rights to new files */
	uint32_t uid; /* shown as owner of what belongs to the server's user */
	uint32_t gid;
	uint64_t quota; /* bytes that the share may grow by, 0: no limit */
	bool whole; /* the quota is for all there is, counted in FS_FD_USAGE (fs/usage.h) */
	char only[256]; /* the share is a file of this name, "": it is a directory */
};

/* One request: @head then @data, which is used for the payload of a WRITE only. */
struct fs_request {
	const uint8_t *head; /* private copy */
	size_t head_len;
	const struct iovec *data; /* may change under the reader's feet */
	unsigned int n_data;
	size_t data_len;
};

/*
 * Room for one reply. The first FS_REPLY_HEAD bytes always end up in @buf; the rest in @data when
 * @in_data is set (a READ), else behind them. @data may point into @buf.
 */
struct fs_reply {
	uint8_t *buf; /* FS_REPLY_MAX bytes */
	size_t room; /* what the other side takes, at most FS_REPLY_MAX */
	const struct iovec *data; /* room - FS_REPLY_HEAD bytes */
	unsigned int n_data;
	bool in_data;
};

struct fs_stats {
	uint64_t requests;
	uint64_t failed; /* answered with an error */
	uint64_t malformed; /* rules the other side broke */
	uint64_t reopened; /* descriptors that had to be opened again */
};

struct fs;

/**
 * fs_new - serve what @root_fd refers to
 * @root_fd: O_PATH or more, consumed on success
 * @proc_fd: directory /proc/self/fd, borrowed
 * @fd_max: descriptors that the server may hold open, at least 64
 */
int fs_new(const struct fs_options *o, int root_fd, int proc_fd, uint32_t fd_max, struct fs **ret)
	MSB_MUST_CHECK;

struct fs *fs_free(struct fs *fs);

/** fs_count_in - count for the quota in @used, which other processes change, too */
void fs_count_in(struct fs *fs, int64_t *used);

/**
 * fs_handle - execute one request
 *
 * Return: length of the reply, at most @rp->room; 0: the request has no reply (or there is no room
 * for one).
 */
size_t fs_handle(struct fs *fs, const struct fs_request *rq, struct fs_reply *rp);

struct fs_stats fs_statistics(const struct fs *fs);

/** fs_held - entries in the tables of inodes and handles, for tests */
void fs_held(const struct fs *fs, uint32_t *ret_inodes, uint32_t *ret_handles, uint32_t *ret_fds);

DEFINE_CLEANUP(struct fs *, fs_free);
