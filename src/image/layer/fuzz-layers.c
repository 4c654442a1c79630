/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: tar streams to an image, the whole way of msb-layer but the decompression.
 *
 * Layers stand one behind the other with MARK between them. Each is unpacked twice, as a whole and
 * in small pieces, with the same result; those that are accepted are merged, and the image that
 * comes out is walked by the reader. Checksums of headers are put right first: guessing them would
 * cost a fuzzer its time.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/erofs/read.h"
#include "image/layer/merge.h"
#include "image/layer/tar.h"
#include "image/layer/unpack.h"

enum { LAYERS = 4, CHECKSUM = 148, CHECKSUM_LEN = 8, MAGIC = 257 };

static const char mark[] = "<next layer>";

struct mapping {
	void *p;
	size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_checksums(uint8_t *p, size_t n)
{
	for (; n >= TAR_BLOCK; p += TAR_BLOCK, n -= TAR_BLOCK) {
		unsigned int sum = 0;

		if (memcmp(p + MAGIC, "ustar", 5) != 0)
			continue;
		memset(p + CHECKSUM, ' ', CHECKSUM_LEN);
		for (size_t i = 0; i < TAR_BLOCK; i++)
			sum += p[i];
		(void)snprintf((char *)p + CHECKSUM, CHECKSUM_LEN, "%06o", sum);
	}
}

static int unpack_pieces(
	const uint8_t *p, size_t n, size_t piece, const int fds[3], struct unpack_stats *ret)
{
	cleanup_with(unpack_free_p) struct unpack *u = NULL;
	struct msb_err err = {};
	int r = unpack_new(fds[0], fds[1], fds[2], &u);

	assert(r == 0);
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = unpack_feed(u, p + at, MIN(piece, n - at), &err);
	if (r == 0)
		r = unpack_finish(u, ret, &err);
	assert(r == 0 || err.msg[0]);
	return r;
}

static struct mapping map(int fd)
{
	struct mapping m = {.p = NULL};
	struct stat st;

	if (fstat(fd, &st) < 0)
		abort();
	m.len = (size_t)st.st_size;
	if (m.len)
		m.p = mmap(NULL, m.len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (m.p == MAP_FAILED)
		abort();
	return m;
}

static void unmap(struct mapping m)
{
	if (m.len)
		munmap(m.p, m.len);
}

static void make_files(int fds[3])
{
	for (size_t i = 0; i < 3; i++) {
		fds[i] = memfd_create("layer", MFD_CLOEXEC);
		if (fds[i] < 0)
			abort();
	}
}

static void close_files(const int fds[3])
{
	for (size_t i = 0; i < 3; i++)
		fd_close(fds[i]);
}

/* The index of an accepted layer, mapped; len 0 when it was refused. */
static struct mapping unpack_twice(const uint8_t *p, size_t n, struct unpack_stats *ret)
{
	struct unpack_stats again;
	struct mapping one = {.p = NULL};
	struct mapping two;
	int a[3];
	int b[3];
	int r;

	make_files(a);
	make_files(b);
	r = unpack_pieces(p, n, n ? n : 1, a, ret);
	assert(unpack_pieces(p, n, 1 + n % 700, b, &again) == r);
	if (r == 0) {
		assert(ret->entries == again.entries && ret->data_bytes == again.data_bytes &&
			ret->tar_bytes == n && ret->data_bytes % EROFS_BLOCK == 0);
		one = map(a[1]);
		two = map(b[1]);
		if (!one.p || !two.p)
			abort();
		assert(one.len == two.len && memcmp(one.p, two.p, one.len) == 0);
		unmap(two);
	}
	close_files(a);
	close_files(b);
	return one;
}

static void check_image(int fd, uint64_t data_blocks)
{
	struct mapping meta = map(fd);
	const char *why = "no image";
	struct erofs_image i;
	size_t names;

	if (erofs_image_open(&i, meta.p, meta.len, data_blocks) < 0 ||
		erofs_image_check(&i, &names, &why) < 0) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	unmap(meta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_with(merge_free_p) struct merge *m = NULL;
	cleanup_free uint8_t *copy = malloc(size ? size : 1);
	cleanup_fd int fd = memfd_create("meta", MFD_CLOEXEC);
	struct mapping indexes[LAYERS] = {};
	struct msb_err err = {};
	uint64_t blocks = 0;
	size_t at = 0;
	int r = 0;

	if (!copy || fd < 0 || merge_new(&m) < 0)
		abort();
	memcpy(copy, data, size);
	for (size_t k = 0; k < LAYERS && at <= size && r == 0; k++) {
		uint8_t *next = memmem(copy + at, size - at, mark, sizeof(mark) - 1);
		size_t n = next ? (size_t)(next - (copy + at)) : size - at;
		struct unpack_stats stats;

		fix_checksums(copy + at, n);
		indexes[k] = unpack_twice(copy + at, n, &stats);
		at += n + sizeof(mark) - 1;
		if (!indexes[k].len)
			continue;
		r = merge_layer(
			m, indexes[k].p, indexes[k].len, stats.data_bytes / EROFS_BLOCK, &err);
		assert(r == 0 || err.msg[0]);
		blocks += stats.data_bytes / EROFS_BLOCK;
	}
	if (r == 0) {
		r = merge_finish(m, fd, &err);
		assert(r == 0 || err.msg[0]);
	}
	if (r == 0)
		check_image(fd, blocks);
	for (size_t k = 0; k < LAYERS; k++)
		unmap(indexes[k]);
	return 0;
}
