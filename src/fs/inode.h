/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table of the inodes that the other side knows.
 *
 * A node number is an index and a generation, so a number that was never given out, or was
 * forgotten, is found to be wrong. An entry remembers where its file was last seen (parent and
 * name) and what it was (device, inode number, kind, birth time). It also holds an O_PATH
 * descriptor, but only as long as there are enough: the entry unused for longest gives its own
 * away and opens it again, by the same single step from its parent, when it is needed. What it
 * finds there must be the same file, else the entry is stale (ESTALE). So a guest may know more
 * files than the host lets us open, and cannot exhaust descriptors.
 *
 * A file that loses its name while it is known keeps its descriptor (it is pinned).
 *
 * An entry lives while the other side refers to it (n_lookup), a handle is open on it, or a child
 * in the table needs it as its parent.
 */
#pragma once

#include "base/base.h"

#include "fs/sys.h"

struct inode {
	uint64_t dev;
	uint64_t ino;
	int64_t birth_ns;
	uint64_t n_lookup;
	char *name; /* in @parent; NULL: none known */
	uint32_t index;
	uint32_t gen;
	uint32_t parent; /* index, 0: none */
	uint32_t children;
	uint32_t handles;
	uint32_t hash_next; /* index; of a free entry: next free one */
	uint32_t lru_prev; /* index; entries that hold a descriptor which they may give away */
	uint32_t lru_next;
	uint32_t type; /* S_IFMT bits of the host's file */
	int fd;
	bool used;
	bool pinned;
	bool given; /* has no name, and the quota does not count it any more */
	bool hashed;
	bool permanent;
};

struct inodes {
	struct inode *table; /* entry 0 is never used: its links are the ends of the LRU list */
	uint32_t *buckets;
	uint32_t cap;
	uint32_t bucket_mask;
	uint32_t n_used;
	uint32_t n_seen; /* entries ever used */
	uint32_t free; /* index */
	uint32_t next_gen;
	uint32_t fd_max;
	uint32_t n_fds;
	uint64_t reopened;
	/* Called before a pinned entry that still counts goes; @fd is its descriptor. */
	void (*on_drop)(void *arg, int fd);
	void *arg;
};

/* The second: what a share of one file holds. Neither is ever forgotten. */
enum { INODE_ROOT = 1, INODE_ONLY = 2 };

/** inodes_init - for @cap entries with @fd_max descriptors at once; 0 or -ENOMEM */
int inodes_init(struct inodes *t, uint32_t cap, uint32_t fd_max) MSB_MUST_CHECK;
void inodes_deinit(struct inodes *t);

/** inodes_clear - forget everything but the first @keep entries */
void inodes_clear(struct inodes *t, uint32_t keep);

/** inode_set_root - entry INODE_ROOT; @fd is consumed */
void inode_set_root(struct inodes *t, int fd, const struct statx *sx);

static inline uint64_t inode_id(const struct inode *n)
{
	return (uint64_t)n->gen << 32 | n->index;
}

/** inode_by_id - NULL when the number was not given out */
struct inode *inode_by_id(struct inodes *t, uint64_t id);

/** inode_find - entry of the file that @sx describes, or NULL */
struct inode *inode_find(struct inodes *t, const struct statx *sx);

/** inode_fd - O_PATH descriptor, borrowed until the end of the request; or -ESTALE and the like */
int inode_fd(struct inodes *t, struct inode *n) MSB_MUST_CHECK;

/**
 * inode_enter - the other side gets one more reference to the file found at @name in @parent
 * @fd: O_PATH descriptor of it, consumed in any case
 *
 * Return: 0, -ENFILE (the table is full) or -ENOMEM.
 */
int inode_enter(struct inodes *t, struct inode *parent, const char *name, int fd,
	const struct statx *sx, struct inode **ret) MSB_MUST_CHECK;

/** inode_forget - the other side gives up @n references; the entry may be gone afterwards */
void inode_forget(struct inodes *t, struct inode *node, uint64_t n);

/** inode_put_handle - a handle on the inode was closed; the entry may be gone afterwards */
void inode_put_handle(struct inodes *t, struct inode *node);

/** inode_moved - the file is now @name in @parent; without memory it is pinned */
void inode_moved(struct inodes *t, struct inode *node, struct inode *parent, const char *name);

/** inode_pin - the file is about to lose its name; 0 or a negative errno */
int inode_pin(struct inodes *t, struct inode *node) MSB_MUST_CHECK;

/** inode_unpin - it did not; @node may be NULL */
void inode_unpin(struct inodes *t, struct inode *node);

static inline uint64_t statx_dev(const struct statx *sx)
{
	return (uint64_t)sx->stx_dev_major << 32 | sx->stx_dev_minor;
}
