/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the parts of the FUSE server: see server.h. */
#pragma once

#include <linux/fuse.h>

#include "base/base.h"

#include "fs/inode.h"
#include "fs/server.h"

/* What the host may keep of a mode. The owner always keeps access: the server runs as the owner. */
enum {
	MODE_PERM = 07777,
	MODE_HOST_MIRROR = 0755,
	MODE_HOST_PRIVATE = 0700,
	OWNER_NOBODY = 65534, /* shown for files of other users of the host */
};

enum { DIRENTS_MAX = 32 * 1024, LIST_BYTES_MAX = 64 * 1024 };

struct handle {
	int fd;
	uint32_t gen;
	uint32_t node; /* index of the inode */
	uint32_t next_free;
	bool used;
	bool dir;
	bool append;
};

struct handles {
	struct handle *table; /* entry 0 is never used */
	uint32_t cap;
	uint32_t n_seen;
	uint32_t n_used;
	uint32_t free;
	uint32_t next_gen;
};

struct fs {
	struct fs_options o;
	int proc_fd;
	uint32_t host_uid; /* owner of what the server makes */
	bool ready; /* INIT was seen */
	struct inodes inodes;
	struct handles handles;
	int only_fd; /* the one file of a share of a file, or -1 */
	struct statx root; /* as it was at the start */
	int64_t own_used; /* growth since the start, when there is a quota */
	int64_t *used; /* that, or the count that all servers of a volume have in common */
	struct fs_stats stats;
	uint8_t dirents[DIRENTS_MAX] __attribute__((aligned(8)));
};

/* A request being executed. */
struct call {
	const struct fuse_in_header *in;
	const uint8_t *arg; /* behind the header */
	size_t arg_len;
	const struct fs_request *rq;
	struct fs_reply *rp;
	struct inode *node; /* what in->nodeid refers to; NULL where it means nothing */
	uint8_t *body; /* where the reply's body goes */
	size_t room; /* of it */
	size_t len; /* of the body */
};

/* A file as the other side sees it. */
struct attr {
	struct statx sx;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev_major;
	uint32_t rdev_minor;
};

/* A path relative to the working directory: descriptor @fd in /proc/self/fd. */
struct fd_name {
	char s[16];
};

static inline struct fd_name fd_name(int fd)
{
	struct fd_name n;

	(void)snprintf(n.s, sizeof(n.s), "%d", fd);
	return n;
}

/* server.c */

/** call_body - @size zeroed bytes for the reply's body, or NULL: the other side left no room */
void *call_body(struct call *c, size_t size) MSB_MUST_CHECK;

/** call_name - next NUL-terminated argument that is a legal name of one component; -EINVAL */
int call_name(struct call *c, const char **ret) MSB_MUST_CHECK;

/** call_text - next NUL-terminated argument of at most @max bytes; -EINVAL */
int call_text(struct call *c, size_t max, const char **ret) MSB_MUST_CHECK;

/** only_enter - entry of the file of a share of one file; it needs no reference */
int only_enter(struct fs *fs, const char *name, struct fuse_entry_out *to) MSB_MUST_CHECK;

/* handle.c */

int handles_init(struct handles *t, uint32_t cap) MSB_MUST_CHECK;
void handles_deinit(struct handles *t);
void handles_clear(struct handles *t);

/** handle_add - @fd is consumed on success; 0 or -ENFILE */
int handle_add(struct fs *fs, struct inode *node, int fd, bool dir, bool append, uint64_t *ret)
	MSB_MUST_CHECK;

/** handle_get - the handle @fh of the call's inode; -EBADF when it is none, or of the other kind */
int handle_get(struct fs *fs, const struct inode *node, uint64_t fh, bool dir, struct handle **ret)
	MSB_MUST_CHECK;

/** handle_close - the inode may be gone afterwards */
void handle_close(struct fs *fs, struct handle *h);

/* attr.c */

/** attr_get - of an O_PATH descriptor */
int attr_get(const struct fs *fs, int fd, struct attr *ret) MSB_MUST_CHECK;

void attr_to_fuse(const struct fs *fs, const struct attr *a, struct fuse_attr *to);

/** attr_own - a file just made belongs to the caller and has @mode (with its kind) */
int attr_own(struct fs *fs, int fd, uint32_t uid, uint32_t gid, uint32_t mode, uint32_t rdev)
	MSB_MUST_CHECK;

/** attr_drop_suid - what a write does to a program that runs as somebody else */
int attr_drop_suid(struct fs *fs, int fd) MSB_MUST_CHECK;

/** attr_host_mode - mode on the host of a new file with mode @mode for the guest */
uint32_t attr_host_mode(const struct fs *fs, uint32_t mode);

/** attr_is_hidden - is the extended attribute @name none of the guest's business? */
bool attr_is_hidden(const char *name);

int op_getattr(struct fs *fs, struct call *c);
int op_setattr(struct fs *fs, struct call *c);

/* name.c */

/** name_enter - reply for the file @name of @parent: one more reference, number, attributes */
int name_enter(struct fs *fs, struct inode *parent, const char *name, struct fuse_entry_out *to)
	MSB_MUST_CHECK;

/** name_unmake - take back @name, just made in @dir, when the rest of a request failed */
void name_unmake(struct fs *fs, struct inode *dir, const char *name, int flags);

/** name_can_make - is @c->node a directory of the host in which things can be made? */
int name_can_make(const struct fs *fs, const struct call *c) MSB_MUST_CHECK;

/** name_new_gid - group and mode of something made by the caller in the directory @c->node */
int name_inherit(struct fs *fs, const struct call *c, uint32_t *mode, uint32_t *ret_gid)
	MSB_MUST_CHECK;

int op_lookup(struct fs *fs, struct call *c);
int op_forget(struct fs *fs, struct call *c);
int op_batch_forget(struct fs *fs, struct call *c);
int op_readlink(struct fs *fs, struct call *c);
int op_symlink(struct fs *fs, struct call *c);
int op_mknod(struct fs *fs, struct call *c);
int op_mkdir(struct fs *fs, struct call *c);
int op_unlink(struct fs *fs, struct call *c);
int op_rmdir(struct fs *fs, struct call *c);
int op_rename(struct fs *fs, struct call *c);
int op_rename2(struct fs *fs, struct call *c);
int op_link(struct fs *fs, struct call *c);

/* file.c */
int op_open(struct fs *fs, struct call *c);
int op_create(struct fs *fs, struct call *c);
int op_read(struct fs *fs, struct call *c);
int op_write(struct fs *fs, struct call *c);
int op_release(struct fs *fs, struct call *c);
int op_fsync(struct fs *fs, struct call *c);
int op_fallocate(struct fs *fs, struct call *c);
int op_lseek(struct fs *fs, struct call *c);
int op_copy_file_range(struct fs *fs, struct call *c);
int op_statfs(struct fs *fs, struct call *c);
int op_syncfs(struct fs *fs, struct call *c);

/** file_reopen - another descriptor for the regular file behind an O_PATH one */
int file_reopen(const struct fs *fs, int fd, int flags) MSB_MUST_CHECK;

/* dir.c */
int op_opendir(struct fs *fs, struct call *c);
int op_readdir(struct fs *fs, struct call *c);
int op_readdirplus(struct fs *fs, struct call *c);
int op_releasedir(struct fs *fs, struct call *c);
int op_fsyncdir(struct fs *fs, struct call *c);

/* xattr.c */
int op_setxattr(struct fs *fs, struct call *c);
int op_getxattr(struct fs *fs, struct call *c);
int op_listxattr(struct fs *fs, struct call *c);
int op_removexattr(struct fs *fs, struct call *c);

/* quota.c */
enum { QUOTA_INODE = 4096 }; /* what a file without content costs */

/** quota_take - @bytes more; 0 or -ENOSPC, and then nothing was taken */
int quota_take(struct fs *fs, uint64_t bytes) MSB_MUST_CHECK;
void quota_give(struct fs *fs, uint64_t bytes);

/** quota_grow - the file behind @fd is about to be @end bytes long; @ret_taken for quota_give() */
int quota_grow(struct fs *fs, int fd, uint64_t end, uint64_t *ret_taken) MSB_MUST_CHECK;

/**
 * quota_unheld - give back what @n takes if it has no name and is open nowhere
 *
 * The other side says late that it has forgotten a file; who removes one wants its space at once.
 */
void quota_unheld(struct fs *fs, struct inode *n);

/** quota_retake - count such a file again, because it is about to be opened; 0 or -ENOSPC */
int quota_retake(struct fs *fs, struct inode *n) MSB_MUST_CHECK;

/** quota_dropped - the last reference to a file without a name goes (inodes.on_drop) */
void quota_dropped(void *fs, int fd);
