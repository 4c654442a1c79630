/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files and directories of the other side. A handle number is an index and a generation, and
 * counts only together with the inode that it was opened on.
 */
#include "fs/internal.h"

int handles_init(struct handles *t, uint32_t cap)
{
	*t = (struct handles){.cap = cap, .next_gen = 1};
	t->table = calloc((size_t)cap + 1, sizeof(t->table[0]));
	return t->table ? 0 : -ENOMEM;
}

void handles_clear(struct handles *t)
{
	for (uint32_t i = 1; t->table && i <= t->n_seen; i++) {
		if (t->table[i].used)
			fd_close(t->table[i].fd);
	}
	t->n_seen = t->n_used = t->free = 0;
}

void handles_deinit(struct handles *t)
{
	handles_clear(t);
	free(t->table);
	t->table = NULL;
}

int handle_add(struct fs *fs, struct inode *node, int fd, bool dir, bool append, uint64_t *ret)
{
	struct handles *t = &fs->handles;
	uint32_t i = t->free;

	if (i)
		t->free = t->table[i].next_free;
	else if (t->n_seen < t->cap)
		i = ++t->n_seen;
	else
		return -ENFILE;
	t->table[i] = (struct handle){.fd = fd,
		.gen = t->next_gen++,
		.node = node->index,
		.used = true,
		.dir = dir,
		.append = append};
	t->n_used++;
	node->handles++;
	*ret = (uint64_t)t->table[i].gen << 32 | i;
	return 0;
}

int handle_get(struct fs *fs, const struct inode *node, uint64_t fh, bool dir, struct handle **ret)
{
	struct handles *t = &fs->handles;
	uint32_t i = (uint32_t)fh;
	struct handle *h;

	if (i == 0 || i > t->n_seen)
		return -EBADF;
	h = &t->table[i];
	if (!h->used || h->gen != fh >> 32 || h->dir != dir || h->node != node->index)
		return -EBADF;
	*ret = h;
	return 0;
}

void handle_close(struct fs *fs, struct handle *h)
{
	struct handles *t = &fs->handles;
	struct inode *node = &fs->inodes.table[h->node];

	h->fd = fd_close(h->fd);
	h->used = false;
	h->next_free = t->free;
	t->free = (uint32_t)(h - t->table);
	t->n_used--;
	if (node->handles == 1)
		quota_unheld(fs, node);
	inode_put_handle(&fs->inodes, node);
}
