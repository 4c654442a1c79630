/* SPDX-License-Identifier: Apache-2.0 */
/* Table of inodes: see inode.h. */
#include "fs/inode.h"

#include <sys/mman.h>

enum { DEPTH_MAX = 128 }; /* ancestors opened again for one file; two such chains fit in fd_max */

static int64_t birth_ns(const struct statx *sx)
{
	return sx->stx_mask & STATX_BTIME
		       ? sx->stx_btime.tv_sec * (int64_t)NSEC_PER_SEC + sx->stx_btime.tv_nsec
		       : 0;
}

static bool is_same(const struct inode *n, const struct statx *sx)
{
	return n->dev == statx_dev(sx) && n->ino == sx->stx_ino &&
	       n->type == (sx->stx_mode & S_IFMT) && n->birth_ns == birth_ns(sx);
}

/* Address space, not memory: pages come when entries are used. */
static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t table_bytes(const struct inodes *t)
{
	return ((size_t)t->cap + 1) * sizeof(t->table[0]);
}

static size_t bucket_bytes(const struct inodes *t)
{
	return ((size_t)t->bucket_mask + 1) * sizeof(t->buckets[0]);
}

int inodes_init(struct inodes *t, uint32_t cap, uint32_t fd_max)
{
	uint32_t buckets = 1;

	while (buckets < cap)
		buckets *= 2;
	*t = (struct inodes){
		.cap = cap, .bucket_mask = buckets - 1, .fd_max = fd_max, .next_gen = 1};
	t->table = reserve(table_bytes(t));
	t->buckets = reserve(bucket_bytes(t));
	if (!t->table || !t->buckets) {
		inodes_deinit(t);
		return -ENOMEM;
	}
	return 0;
}

void inodes_deinit(struct inodes *t)
{
	for (uint32_t i = 1; t->table && i <= t->n_seen; i++) {
		if (t->table[i].used) {
			fd_close(t->table[i].fd);
			free(t->table[i].name);
		}
	}
	if (t->table)
		(void)munmap(t->table, table_bytes(t));
	if (t->buckets)
		(void)munmap(t->buckets, bucket_bytes(t));
	*t = (struct inodes){0};
}

static uint32_t *bucket(struct inodes *t, uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);

	return &t->buckets[(h >> 32) & t->bucket_mask];
}

static void unhash(struct inodes *t, struct inode *n)
{
	uint32_t *at = bucket(t, n->dev, n->ino);

	if (!n->hashed)
		return;
	while (*at != n->index)
		at = &t->table[*at].hash_next;
	*at = n->hash_next;
	n->hashed = false;
}

static void hash(struct inodes *t, struct inode *n)
{
	uint32_t *at = bucket(t, n->dev, n->ino);

	n->hash_next = *at;
	*at = n->index;
	n->hashed = true;
}

static void lru_del(struct inodes *t, struct inode *n)
{
	if (n->lru_next == n->index)
		return;
	t->table[n->lru_prev].lru_next = n->lru_next;
	t->table[n->lru_next].lru_prev = n->lru_prev;
	n->lru_prev = n->lru_next = n->index; /* in no list */
}

/* The newest is behind entry 0, the oldest before it. */
static void lru_add(struct inodes *t, struct inode *n)
{
	uint32_t next = t->table[0].lru_next;

	n->lru_prev = 0;
	n->lru_next = next;
	t->table[next].lru_prev = n->index;
	t->table[0].lru_next = n->index;
}

static void drop_fd(struct inodes *t, struct inode *n)
{
	if (n->fd < 0)
		return;
	lru_del(t, n);
	n->fd = fd_close(n->fd);
	t->n_fds--;
}

/* Room for one more descriptor: the entry that was unused for longest gives its own. */
static int make_room(struct inodes *t)
{
	uint32_t oldest = t->table[0].lru_prev;

	if (t->n_fds < t->fd_max)
		return 0;
	if (oldest == 0)
		return -ENFILE;
	drop_fd(t, &t->table[oldest]);
	return 0;
}

static void give_fd(struct inodes *t, struct inode *n, int fd)
{
	n->fd = fd;
	t->n_fds++;
	if (!n->pinned)
		lru_add(t, n);
}

static void use_fd(struct inodes *t, struct inode *n)
{
	if (n->pinned)
		return;
	lru_del(t, n);
	lru_add(t, n);
}

void inode_set_root(struct inodes *t, int fd, const struct statx *sx)
{
	struct inode *n = &t->table[INODE_ROOT];

	*n = (struct inode){.dev = statx_dev(sx),
		.ino = sx->stx_ino,
		.birth_ns = birth_ns(sx),
		.n_lookup = 1,
		.index = INODE_ROOT,
		.lru_prev = INODE_ROOT,
		.lru_next = INODE_ROOT,
		.type = sx->stx_mode & S_IFMT,
		.fd = fd,
		.used = true,
		.pinned = true,
		.permanent = true};
	t->n_seen = MAX(t->n_seen, (uint32_t)INODE_ROOT);
	t->n_used = 1;
	t->n_fds = 1;
	hash(t, n);
}

struct inode *inode_by_id(struct inodes *t, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	struct inode *n;

	if (index == 0 || index > t->n_seen)
		return NULL;
	n = &t->table[index];
	/* One that the other side forgot and that lives on for its children is none of theirs. */
	return n->used && n->gen == id >> 32 && (n->n_lookup > 0 || n->handles > 0) ? n : NULL;
}

struct inode *inode_find(struct inodes *t, const struct statx *sx)
{
	uint32_t i = *bucket(t, statx_dev(sx), sx->stx_ino);

	while (i) {
		struct inode *n = &t->table[i];

		if (n->dev == statx_dev(sx) && n->ino == sx->stx_ino)
			return is_same(n, sx) ? n : NULL;
		i = n->hash_next;
	}
	return NULL;
}

/* One step: @n from its parent, which has a descriptor. */
static int reopen(struct inodes *t, struct inode *n)
{
	struct inode *parent = &t->table[n->parent];
	struct statx sx;
	int fd;
	int r = make_room(t);

	if (r < 0)
		return r;
	if (parent->fd < 0)
		return -ENFILE;
	fd = sys_open_child(parent->fd, n->name);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
	r = sys_statx(fd, &sx);
	if (r == 0 && !is_same(n, &sx))
		r = -ESTALE;
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	give_fd(t, n, fd);
	t->reopened++;
	return 0;
}

int inode_fd(struct inodes *t, struct inode *n)
{
	uint32_t chain[DEPTH_MAX];
	unsigned int depth = 0;

	for (struct inode *at = n; at->fd < 0; at = &t->table[at->parent]) {
		if (depth == DEPTH_MAX)
			return -ENAMETOOLONG;
		if (!at->parent || !at->name)
			return -ESTALE;
		chain[depth++] = at->index;
	}
	while (depth > 0) {
		struct inode *at = &t->table[chain[--depth]];
		int r;

		use_fd(t, &t->table[at->parent]);
		r = reopen(t, at);
		if (r < 0)
			return r;
	}
	use_fd(t, n);
	return n->fd;
}

static void set_place(struct inodes *t, struct inode *n, struct inode *parent, char *name)
{
	uint32_t old = n->parent;

	free(n->name);
	n->name = name;
	n->parent = parent->index;
	parent->children++;
	/* Not before the new parent is held: it may be the old one. */
	if (old) {
		t->table[old].children--;
		inode_forget(t, &t->table[old], 0);
	}
}

static struct inode *alloc(struct inodes *t)
{
	uint32_t i = t->free;

	if (i)
		t->free = t->table[i].hash_next;
	else if (t->n_seen < t->cap)
		i = ++t->n_seen;
	else
		return NULL;
	t->n_used++;
	return &t->table[i];
}

/* A new entry; the descriptor is the entry's on success. */
static int add(struct inodes *t, struct inode *parent, char *name, int fd, const struct statx *sx,
	struct inode **ret)
{
	struct inode *n;
	int r = make_room(t);

	if (r < 0)
		return r;
	n = alloc(t);
	if (!n)
		return -ENFILE;
	*n = (struct inode){.dev = statx_dev(sx),
		.ino = sx->stx_ino,
		.birth_ns = birth_ns(sx),
		.index = (uint32_t)(n - t->table),
		.type = sx->stx_mode & S_IFMT,
		.gen = t->next_gen++,
		.fd = -EBADF,
		.used = true};
	n->lru_prev = n->lru_next = n->index;
	if (t->next_gen == 0)
		t->next_gen = 1;
	hash(t, n);
	give_fd(t, n, fd);
	set_place(t, n, parent, name);
	*ret = n;
	return 0;
}

int inode_enter(struct inodes *t, struct inode *parent, const char *name, int fd,
	const struct statx *sx, struct inode **ret)
{
	cleanup_fd int own = fd;
	cleanup_free char *copy = NULL;
	struct inode *n = inode_find(t, sx);
	bool here = n && n->parent == parent->index && n->name && streq(n->name, name);
	int r = 0;

	if (n && n->n_lookup == UINT64_MAX)
		return -EOVERFLOW;
	if (!here && !(n && n->index == INODE_ROOT)) {
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
	}
	if (!n) {
		r = add(t, parent, copy, own, sx, &n);
		if (r < 0)
			return r;
		(void)TAKE_PTR(copy);
		(void)TAKE_FD(own);
	} else {
		if (copy)
			set_place(t, n, parent, TAKE_PTR(copy));
		if (n->fd < 0 && make_room(t) == 0)
			give_fd(t, n, TAKE_FD(own));
		else if (n->fd >= 0)
			use_fd(t, n);
	}
	n->n_lookup++;
	*ret = n;
	return 0;
}

/* Frees @n when nothing needs it, then maybe its parent, and so on. */
static void release(struct inodes *t, struct inode *n)
{
	while (!n->permanent && n->n_lookup == 0 && n->handles == 0 && n->children == 0) {
		struct inode *parent = n->parent ? &t->table[n->parent] : NULL;

		if (n->pinned && !n->given && t->on_drop)
			t->on_drop(t->arg, n->fd);
		unhash(t, n);
		drop_fd(t, n);
		free(n->name);
		n->name = NULL;
		n->used = false;
		n->hash_next = t->free;
		t->free = n->index;
		t->n_used--;
		if (!parent)
			return;
		parent->children--;
		n = parent;
	}
}

void inode_forget(struct inodes *t, struct inode *node, uint64_t n)
{
	if (node->permanent)
		return;
	node->n_lookup -= MIN(node->n_lookup, n);
	release(t, node);
}

void inode_put_handle(struct inodes *t, struct inode *node)
{
	node->handles--;
	release(t, node);
}

void inode_moved(struct inodes *t, struct inode *node, struct inode *parent, const char *name)
{
	char *copy = strdup(name);

	if (copy)
		set_place(t, node, parent, copy);
	else if (inode_pin(t, node) < 0)
		unhash(t, node); /* found no more: the old place will turn out to be stale */
}

int inode_pin(struct inodes *t, struct inode *node)
{
	int fd = inode_fd(t, node);

	if (fd < 0)
		return fd;
	lru_del(t, node);
	node->pinned = true;
	return 0;
}

void inode_unpin(struct inodes *t, struct inode *node)
{
	if (!node || !node->pinned)
		return;
	node->pinned = false;
	lru_add(t, node);
}

void inodes_clear(struct inodes *t, uint32_t keep)
{
	for (uint32_t i = keep + 1; i <= t->n_seen; i++) {
		struct inode *n = &t->table[i];

		if (!n->used)
			continue;
		if (n->pinned && !n->given && t->on_drop)
			t->on_drop(t->arg, n->fd);
		unhash(t, n);
		drop_fd(t, n);
		free(n->name);
		n->name = NULL;
		n->used = false;
		n->hash_next = t->free;
		t->free = i;
		t->n_used--;
	}
	for (uint32_t i = INODE_ROOT; i <= keep; i++) {
		t->table[i].children = i < keep ? 1 : 0;
		t->table[i].handles = 0;
		t->table[i].n_lookup = 1;
	}
}
