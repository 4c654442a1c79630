/* SPDX-License-Identifier: Apache-2.0 */
/* A FUSE kernel for tests: sends one request at a time to a server over a temporary directory. */
#pragma once

#include <linux/fuse.h>

#include "fs/server.h"
#include "fs/sys.h"

struct peer {
	struct fs *fs;
	int dir_fd; /* the share, as the host sees it */
	int proc_fd;
	uint32_t uid; /* who asks */
	uint32_t gid;
	size_t room; /* for replies */
	uint8_t request[FS_HEAD_MAX];
	uint8_t reply[FS_REPLY_MAX];
	size_t len; /* of the reply's body */
};

/** peer_start - serve @path, through INIT; failures end the process */
void peer_start(struct peer *p, const char *path, const struct fs_options *o, uint32_t fd_max);
void peer_stop(struct peer *p);

static inline void *peer_body(struct peer *p)
{
	return p->reply + FS_REPLY_HEAD;
}

/**
 * peer_call - one request: @arg, then @text, with @text_len bytes
 *
 * Return: 0 or the negative errno of the reply; 1 when there was none.
 */
int peer_call(struct peer *p, uint32_t opcode, uint64_t node, const void *arg, size_t arg_len,
	const void *text, size_t text_len);

/** peer_name - a request with one name */
int peer_name(struct peer *p, uint32_t opcode, uint64_t node, const char *name);

/* The usual requests. Node numbers and handles are results; 0 where the call failed. */
int peer_lookup(struct peer *p, uint64_t dir, const char *name, uint64_t *ret);
int peer_mkdir(struct peer *p, uint64_t dir, const char *name, uint32_t mode, uint64_t *ret);
int peer_mknod(struct peer *p, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev,
	uint64_t *ret);
int peer_symlink(struct peer *p, uint64_t dir, const char *name, const char *target, uint64_t *ret);
int peer_link(struct peer *p, uint64_t node, uint64_t dir, const char *name);
int peer_rename(struct peer *p, uint64_t dir, const char *name, uint64_t to_dir, const char *to,
	uint32_t flags);
int peer_create(struct peer *p, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
	uint64_t *ret_node, uint64_t *ret_fh);
int peer_open(struct peer *p, uint64_t node, uint32_t flags, uint64_t *ret_fh);
int peer_opendir(struct peer *p, uint64_t node, uint64_t *ret_fh);
int peer_release(struct peer *p, uint32_t opcode, uint64_t node, uint64_t fh);
int peer_read(struct peer *p, uint64_t node, uint64_t fh, uint64_t off, uint32_t size);
int peer_write(
	struct peer *p, uint64_t node, uint64_t fh, uint64_t off, const void *data, size_t len);
int peer_setattr(struct peer *p, uint64_t node, struct fuse_setattr_in *in);
int peer_getattr(struct peer *p, uint64_t node, struct fuse_attr *ret);
void peer_forget(struct peer *p, uint64_t node, uint64_t n);
