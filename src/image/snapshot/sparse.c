/* SPDX-License-Identifier: Apache-2.0 */
/* Files with holes: see sparse.h. */
#include "image/snapshot/sparse.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* Between two looks at the clock. */
enum { COPY_CHUNK = 8 * 1024 * 1024, HAND_CHUNK = 256 * 1024 };

int sparse_next(int fd, uint64_t at, uint64_t size, struct sparse_extent *ret)
{
	off_t data;
	off_t hole;

	if (at >= size)
		return 0;
	data = lseek(fd, (off_t)at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 0;
	/* Where holes are not known, everything is data. */
	if (data < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
		*ret = (struct sparse_extent){at, size - at};
		return 1;
	}
	if (data < 0)
		return -errno;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0)
		return -errno;
	if ((uint64_t)data >= size)
		return 0;
	*ret = (struct sparse_extent){(uint64_t)data, MIN((uint64_t)hole, size) - (uint64_t)data};
	return ret->len > 0;
}

/* One read and write of @n bytes at the same place; bytes, or a negative errno. */
static ssize_t copy_by_hand(int from, int to, uint64_t at, size_t n)
{
	cleanup_free uint8_t *bytes = malloc(HAND_CHUNK);
	ssize_t got = bytes ? pread(from, bytes, MIN(n, (size_t)HAND_CHUNK), (off_t)at) : -1;
	ssize_t done = 0;

	if (got <= 0)
		return got < 0 ? -errno : -EIO;
	while (done < got) {
		ssize_t put = pwrite(to, bytes + done, (size_t)(got - done), (off_t)at + done);

		if (put < 0)
			return -errno;
		done += put;
	}
	return done;
}

/* As above in the kernel, while that can do it. */
static ssize_t copy_some(int from, int to, uint64_t at, size_t n, bool *by_hand)
{
	off_t in = (off_t)at;
	off_t out = (off_t)at;
	ssize_t done = *by_hand ? 0 : copy_file_range(from, &in, to, &out, n, 0);

	if (done > 0)
		return done;
	if (done < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
		return -errno;
	*by_hand = true;
	return copy_by_hand(from, to, at, n);
}

static int copy_extent(
	int from, int to, struct sparse_extent e, uint64_t deadline_ns, bool *by_hand)
{
	while (e.len) {
		ssize_t n;

		if (deadline_ns != UINT64_MAX && clock_mono_ns() >= deadline_ns)
			return -ETIMEDOUT;
		n = copy_some(
			from, to, e.offset, (size_t)MIN(e.len, (uint64_t)COPY_CHUNK), by_hand);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		e.offset += (uint64_t)n;
		e.len -= (uint64_t)n;
	}
	return 0;
}

int sparse_copy(int from, int to, uint64_t deadline_ns)
{
	struct sparse_extent e = {.len = 0};
	bool by_hand = false;
	struct stat st;
	uint64_t at = 0;
	int r;

	if (fstat(from, &st) < 0)
		return -errno;
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, st.st_size) < 0)
		return -errno;
	while ((r = sparse_next(from, at, (uint64_t)st.st_size, &e)) > 0) {
		r = copy_extent(from, to, e, deadline_ns, &by_hand);
		if (r < 0)
			return r;
		at = e.offset + e.len;
	}
	return r;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int read_block(int fd, uint64_t at, uint8_t *to, size_t want)
{
	size_t have = 0;

	while (have < want) {
		ssize_t n = pread(fd, to + have, want - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		have += (size_t)n;
	}
	return 0;
}

/* @bytes: room for a block; @next: the first block that was not looked at yet. */
static int digest_extent(struct digest *d, int fd, const struct sparse_extent *e, uint64_t size,
	uint8_t *bytes, uint64_t *next)
{
	uint64_t last = (e->offset + e->len - 1) / SPARSE_BLOCK;

	for (uint64_t i = MAX(e->offset / SPARSE_BLOCK, *next); i <= last; i++) {
		uint64_t number = htole64(i);
		size_t want = (size_t)MIN(size - i * SPARSE_BLOCK, (uint64_t)SPARSE_BLOCK);
		int r = read_block(fd, i * SPARSE_BLOCK, bytes, want);

		if (r < 0)
			return r;
		if (!is_zero(bytes, want)) {
			digest_add(d, &number, sizeof(number));
			digest_add(d, bytes, want);
		}
		*next = i + 1;
	}
	return 0;
}

int sparse_digest(int fd, char ret[DIGEST_TEXT])
{
	cleanup_free uint8_t *bytes = malloc(SPARSE_BLOCK);
	struct sparse_extent e = {.len = 0};
	struct digest d;
	struct stat st;
	uint64_t size;
	uint64_t next = 0;
	int r;

	if (!bytes || fstat(fd, &st) < 0)
		return -errno;
	digest_init(&d);
	size = (uint64_t)st.st_size;
	while ((r = sparse_next(fd, next * SPARSE_BLOCK, size, &e)) > 0) {
		r = digest_extent(&d, fd, &e, size, bytes, &next);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	size = htole64(size);
	digest_add(&d, &size, sizeof(size));
	digest_text(&d, ret);
	return 0;
}
