/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By how much a share may grow.
 *
 * What counts is the length of files (holes included, they can be filled at any time) and a block
 * for each name. Only what is done through this server counts; removing what was there
 * before makes room. A file without a name counts as long as somebody has it open.
 *
 * The count of a volume is one for all servers of it, in shared memory (usage.h). What two of them
 * do to the same file at the same moment may be counted twice or not at all; the next count from
 * the start corrects it.
 */
#include "fs/internal.h"

int quota_take(struct fs *fs, uint64_t bytes)
{
	int64_t before = __atomic_load_n(fs->used, __ATOMIC_RELAXED);
	int64_t after;

	if (!fs->o.quota)
		return 0;
	do {
		if (bytes > INT64_MAX || __builtin_add_overflow(before, (int64_t)bytes, &after) ||
			(after > 0 && (uint64_t)after > fs->o.quota))
			return -ENOSPC;
	} while (!__atomic_compare_exchange_n(
		fs->used, &before, after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

void quota_give(struct fs *fs, uint64_t bytes)
{
	int64_t before = __atomic_load_n(fs->used, __ATOMIC_RELAXED);
	int64_t after;

	if (!fs->o.quota || bytes > INT64_MAX)
		return;
	do {
		if (__builtin_sub_overflow(before, (int64_t)bytes, &after))
			return;
	} while (!__atomic_compare_exchange_n(
		fs->used, &before, after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

int quota_grow(struct fs *fs, int fd, uint64_t end, uint64_t *ret_taken)
{
	struct statx sx;
	int r;

	*ret_taken = 0;
	if (!fs->o.quota)
		return 0;
	r = sys_statx(fd, &sx);
	if (r < 0 || end <= sx.stx_size)
		return r;
	r = quota_take(fs, end - sx.stx_size);
	if (r == 0)
		*ret_taken = end - sx.stx_size;
	return r;
}

void quota_unheld(struct fs *fs, struct inode *n)
{
	struct statx sx;

	if (!fs->o.quota || !n->pinned || n->given || n->fd < 0 || n->type != S_IFREG)
		return;
	if (sys_statx(n->fd, &sx) < 0 || sx.stx_nlink > 0)
		return;
	quota_give(fs, QUOTA_INODE + sx.stx_size);
	n->given = true;
}

int quota_retake(struct fs *fs, struct inode *n)
{
	struct statx sx;
	int r;

	if (!n->given)
		return 0;
	r = sys_statx(n->fd, &sx);
	if (r == 0)
		r = quota_take(fs, QUOTA_INODE + sx.stx_size);
	if (r == 0)
		n->given = false;
	return r;
}

void quota_dropped(void *arg, int fd)
{
	struct fs *fs = arg;
	struct statx sx;

	if (fs->o.quota && fd >= 0 && sys_statx(fd, &sx) == 0 && sx.stx_nlink == 0)
		quota_give(fs, QUOTA_INODE + (S_ISREG(sx.stx_mode) ? sx.stx_size : 0));
}
