/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are copied with --resume.
 *
 * The bytes go into NAME.msb-part beside the destination, which gets its name when all of them are
 * there. The next copy finds what came of it, has both ends compute the checksum of that many
 * bytes, and goes on behind them if they agree; otherwise the source has become another, or what
 * was written was lost in a crash, and it begins anew. The rest has a checksum of its own, so at
 * the end every byte was compared. On the host the part is locked while it is written.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "lib/copy.h"

enum { PIECE = 128 * 1024 };

static int part_error(struct msb_err *err, int r, const char *path)
{
	return copy_error(err, r, "part of", path);
}

/* Checksum of the first @n bytes; -ENODATA when there are fewer. */
static int host_sum(int fd, uint64_t n, uint64_t *ret)
{
	cleanup_free uint8_t *piece = malloc(PIECE);
	struct checksum sum;

	if (!piece)
		return -ENOMEM;
	checksum_init(&sum);
	for (uint64_t at = 0; at < n;) {
		ssize_t got = pread(fd, piece, (size_t)MIN(n - at, (uint64_t)PIECE), (off_t)at);

		if (got == 0)
			return -ENODATA;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			checksum_add(&sum, piece, (size_t)got);
			at += (uint64_t)got;
		}
	}
	*ret = checksum_value(&sum);
	return 0;
}

static void tell(const struct copy *c, const char *path, uint64_t kept)
{
	char q[200];

	if (c->resumed)
		c->resumed(c->resumed_arg, str_quote(q, sizeof(q), path, strlen(path)), kept);
}

/* Do the first @n bytes of @path in @g have this checksum? 1 or 0. */
static int guest_has(struct guest_fs *g, const char *path, uint64_t n, uint64_t sum)
{
	uint64_t there_n;
	uint64_t there;
	int r = guest_fs_sum(g, path, true, n, &there_n, &there);

	return r < 0 ? r : there_n == n && there == sum;
}

/* The part as an open, locked file that nobody else has. */
static int open_part(int dir_fd, const char *part, int *ret_fd, struct stat *st)
{
	cleanup_fd int fd = openat(dir_fd, part,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat named;

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1)
		return -EEXIST;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* Whoever had the lock may have made it whole, and renamed it. */
	if (fstatat(dir_fd, part, &named, AT_SYMLINK_NOFOLLOW) < 0 || named.st_ino != st->st_ino ||
		fstat(fd, st) < 0)
		return -EBUSY;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* How much of the part can stay; what cannot is cut off. */
static int out_kept(
	struct copy *c, const char *path, int fd, uint64_t have, uint64_t size, uint64_t *ret)
{
	uint64_t sum;
	int same = have > 0 && have <= size;
	int r = same ? host_sum(fd, have, &sum) : 0;

	if (r == 0 && same)
		same = guest_has(c->guest, path, have, sum);
	if (r < 0 || same < 0)
		return r < 0 ? r : same;
	if (have)
		tell(c, path, same ? have : 0);
	*ret = same ? have : 0;
	if (ftruncate(fd, (off_t)*ret) < 0 || lseek(fd, (off_t)*ret, SEEK_SET) < 0)
		return -errno;
	return 0;
}

int copy_resume_out(struct copy *c, const char *path, const struct msg_stat *st, int dir_fd,
	const char *name, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	char part[NAME_MAX + 1];
	struct copy_sink sink;
	struct stat part_st = {0};
	uint64_t kept = 0;
	int n = snprintf(part, sizeof(part), "%s" COPY_PART, name);
	int r;

	if (n < 0 || (size_t)n >= sizeof(part))
		return part_error(err, -ENAMETOOLONG, name);
	r = open_part(dir_fd, part, &fd, &part_st);
	if (r == -EBUSY)
		return msb_err_set(err, r, MSB_FAIL, "'%s': another copy is writing it", part);
	if (r < 0)
		return part_error(err, r, name);
	r = out_kept(c, path, fd, (uint64_t)part_st.st_size, st->size, &kept);
	if (r < 0)
		return part_error(err, r, name);
	sink = (struct copy_sink){.fd = fd, .left = st->size - kept};
	r = guest_fs_read_range(c->guest, path, kept, UINT64_MAX, copy_sink_write, &sink);
	/* Nobody knows which of its bytes are wrong. */
	if (r == -EBADMSG && ftruncate(fd, (off_t)kept) < 0)
		(void)unlinkat(dir_fd, part, 0);
	if (r == 0)
		r = copy_out_attr(c, fd, st);
	if (r == 0 && renameat(dir_fd, part, dir_fd, name) < 0)
		r = -errno;
	return r < 0 ? copy_error(err, r, "copy of", path) : 0;
}

/* How much of the part @part in @g may stay, if at most @size bytes can: 0 when there is none. */
static int guest_part(struct guest_fs *g, const char *part, uint64_t size, uint64_t *ret_n,
	uint64_t *ret_sum, bool *ret_any)
{
	struct msg_stat st;
	int r = guest_fs_stat(g, part, false, &st);

	*ret_n = 0;
	*ret_any = false;
	if (r == -ENOENT)
		return 0;
	if (r == 0 && !S_ISREG(st.mode))
		r = -EEXIST;
	if (r < 0)
		return r;
	*ret_any = st.size > 0;
	return st.size > 0 && st.size <= size
		       ? guest_fs_sum(g, part, false, st.size, ret_n, ret_sum)
		       : 0;
}

static int part_path(char to[LIMIT_PATH], const char *path)
{
	int n = snprintf(to, LIMIT_PATH, "%s" COPY_PART, path);

	return n < 0 || (size_t)n >= LIMIT_PATH ? -ENAMETOOLONG : 0;
}

static int in_kept(struct copy *c, int fd, const char *path, const char *part, uint64_t *ret)
{
	uint64_t there = 0;
	uint64_t here = 0;
	struct stat st;
	bool any = false;
	int r = fstat(fd, &st) < 0 ? -errno : 0;

	*ret = 0;
	if (r == 0)
		r = guest_part(c->guest, part, (uint64_t)st.st_size, ret, &there, &any);
	if (r == 0 && *ret)
		r = host_sum(fd, *ret, &here);
	if (r < 0)
		return r;
	if (here != there)
		*ret = 0;
	if (any)
		tell(c, path, *ret);
	return lseek(fd, (off_t)*ret, SEEK_SET) < 0 ? -errno : 0;
}

/* The part becomes the file, or what is wrong about it goes. */
static int settle_part(
	struct guest_fs *g, int r, const char *part, const char *path, struct msb_err *err)
{
	if (r == 0)
		r = guest_fs_rename(g, part, path);
	if (r == -EBADMSG)
		(void)!guest_fs_unlink(g, part);
	return r < 0 ? copy_error(err, r, "copy to", path) : 0;
}

int copy_resume_in(struct copy *c, int fd, const struct guest_attr *attr, const char *path,
	struct msb_err *err)
{
	char part[LIMIT_PATH];
	uint64_t kept = 0;
	int r = part_path(part, path);

	if (r == 0)
		r = in_kept(c, fd, path, part, &kept);
	if (r < 0)
		return part_error(err, r, path);
	r = guest_fs_write_from(c->guest, part, attr, kept, copy_source_read, &fd);
	return settle_part(c->guest, r, part, path, err);
}

int copy_resume_across(struct copy *c, const struct guest_attr *attr, const char *from,
	uint64_t size, const char *to, copy_across_fn *write, struct msb_err *err)
{
	char part[LIMIT_PATH];
	uint64_t kept = 0;
	uint64_t sum = 0;
	bool any = false;
	int r = part_path(part, to);

	if (r == 0)
		r = guest_part(c->to, part, size, &kept, &sum, &any);
	if (r == 0 && kept)
		r = guest_has(c->guest, from, kept, sum);
	if (r < 0)
		return part_error(err, r, to);
	kept = r ? kept : 0;
	if (any)
		tell(c, to, kept);
	return settle_part(c->to, write(c, attr, from, size, part, kept), part, to, err);
}
