/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a tar: see tar-out.h. */
#include "image/archive/tar-out.h"

#include "base/io.h"

enum { BLOCK = 512, AT_CHECKSUM = 148, AT_SIZE = 124 };

static int put(struct tar_out *t, const void *p, size_t n, struct msb_err *err)
{
	int r = io_write_full(t->fd, p, n);

	return r < 0 ? msb_err_errno(err, r, "cannot write the archive") : 0;
}

/* Eleven octal digits hold 8 GiB; larger numbers are binary, as GNU tar began and all read. */
static void put_size(char header[BLOCK], uint64_t size)
{
	if (size < UINT64_C(1) << 33) {
		(void)snprintf(header + AT_SIZE, 12, "%011" PRIo64, size);
		return;
	}
	memset(header + AT_SIZE, 0, 12);
	header[AT_SIZE] = (char)0x80;
	for (int i = 0; i < 8; i++)
		header[AT_SIZE + 4 + i] = (char)(size >> (56 - 8 * i));
}

int tar_out_begin(struct tar_out *t, const char *name, uint64_t size, struct msb_err *err)
{
	char header[BLOCK] = {};
	unsigned int sum = 0;

	assert(strlen(name) <= TAR_OUT_NAME_MAX);
	(void)snprintf(header, TAR_OUT_NAME_MAX + 1, "%s", name);
	(void)snprintf(header + 100, 8, "%07o", 0644u);
	(void)snprintf(header + 108, 8, "%07o", 0u);
	(void)snprintf(header + 116, 8, "%07o", 0u);
	put_size(header, size);
	(void)snprintf(header + 136, 12, "%011o", 0u);
	memset(header + AT_CHECKSUM, ' ', 8);
	header[156] = '0';
	(void)snprintf(header + 257, 6, "ustar");
	memset(header + 263, '0', 2); /* version */
	for (size_t i = 0; i < BLOCK; i++)
		sum += (uint8_t)header[i];
	(void)snprintf(header + AT_CHECKSUM, 7, "%06o", sum);
	t->left = size;
	t->padding = (size_t)(-size % BLOCK);
	return put(t, header, sizeof(header), err);
}

int tar_out_data(struct tar_out *t, const void *p, size_t n, struct msb_err *err)
{
	assert(n <= t->left);
	t->left -= n;
	return put(t, p, n, err);
}

int tar_out_end(struct tar_out *t, struct msb_err *err)
{
	static const char zeroes[BLOCK];

	if (t->left)
		return msb_err_set(err, -EIO, MSB_IO, "a file is shorter than announced");
	return t->padding ? put(t, zeroes, t->padding, err) : 0;
}

int tar_out_file(struct tar_out *t, const char *name, const void *p, size_t n, struct msb_err *err)
{
	int r = tar_out_begin(t, name, n, err);

	if (r == 0)
		r = tar_out_data(t, p, n, err);
	return r < 0 ? r : tar_out_end(t, err);
}

int tar_out_finish(struct tar_out *t, struct msb_err *err)
{
	static const char zeroes[2 * BLOCK];

	return put(t, zeroes, sizeof(zeroes), err);
}
