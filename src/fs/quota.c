/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By how much a share may grow.
 *
 * What counts is the length of files (holes included, they can be filled at any time) and a block
 * for each name's file. Only what is done through this server counts; removing what was there
 * before makes room. A file without a name counts until nobody has it open.
 */
#include "fs/internal.h"

int quota_take(struct fs *fs, uint64_t bytes)
{
	int64_t after;

	if (!fs->o.quota)
		return 0;
	if (bytes > INT64_MAX || __builtin_add_overflow(fs->used, (int64_t)bytes, &after) ||
		(after > 0 && (uint64_t)after > fs->o.quota))
		return -ENOSPC;
	fs->used = after;
	return 0;
}

void quota_give(struct fs *fs, uint64_t bytes)
{
	int64_t after;

	if (fs->o.quota && bytes <= INT64_MAX &&
		!__builtin_sub_overflow(fs->used, (int64_t)bytes, &after))
		fs->used = after;
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

void quota_dropped(void *arg, int fd)
{
	struct fs *fs = arg;
	struct statx sx;

	if (fs->o.quota && fd >= 0 && sys_statx(fd, &sx) == 0 && sx.stx_nlink == 0)
		quota_give(fs, QUOTA_INODE + (S_ISREG(sx.stx_mode) ? sx.stx_size : 0));
}
