/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: archives of images. Both ways to read one must agree: what is skipped and what is
 * spooled give the same members with the same contents.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/layer/members.h"
#include "image/layer/outer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	assert(fd >= 0);
	assert(io_write_full(fd, p, n) == 0);
	return fd;
}

static char *content(int fd, size_t *ret_len)
{
	struct stat st;
	char *text;

	assert(fstat(fd, &st) == 0);
	*ret_len = (size_t)st.st_size;
	text = malloc(*ret_len + 1);
	assert(text && pread(fd, text, *ret_len, 0) == st.st_size);
	return text;
}

static int scan(int archive_fd, int table_fd)
{
	cleanup_with(outer_free_p) struct outer *o = NULL;
	struct msb_err err = {};
	int r;

	assert(outer_new(table_fd, -EBADF, &o) == 0);
	r = outer_scan(o, archive_fd, &err);
	if (r == 0)
		r = outer_finish(o, &err);
	assert(r == 0 || err.msg[0]);
	return r;
}

static int spool(const uint8_t *p, size_t n, int spool_fd, int table_fd)
{
	cleanup_with(outer_free_p) struct outer *o = NULL;
	struct msb_err err = {};
	int r = 0;

	assert(outer_new(table_fd, spool_fd, &o) == 0);
	for (size_t at = 0; at < n && r == 0; at += 700)
		r = outer_feed(o, p + at, MIN((size_t)700, n - at), &err);
	if (r == 0)
		r = outer_finish(o, &err);
	assert(r == 0 || err.msg[0]);
	return r;
}

static void compare(int table, const uint8_t *archive, size_t size, int spooled_table, int spool_fd)
{
	size_t n[3];
	cleanup_free char *a = content(table, &n[0]);
	cleanup_free char *b = content(spooled_table, &n[1]);
	cleanup_free char *s = content(spool_fd, &n[2]);
	struct members x;
	struct members y;
	int r = members_parse(a, n[0], size, &x, NULL);

	assert(members_parse(b, n[1], n[2], &y, NULL) == r && x.n == y.n);
	for (size_t i = 0; i < x.n; i++) {
		const struct member *p = &x.items[i];
		const struct member *q = &y.items[i];

		assert(streq(p->name, q->name) && streq(p->link, q->link));
		assert(p->kind == q->kind && p->size == q->size);
		if (p->kind == MEMBER_FILE && p->size)
			assert(memcmp(archive + p->offset, s + q->offset, p->size) == 0);
	}
	members_deinit(&x);
	members_deinit(&y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_fd int archive = file(data, size);
	cleanup_fd int table = file("", 0);
	cleanup_fd int spooled_table = file("", 0);
	cleanup_fd int spooled = file("", 0);
	int r = scan(archive, table);

	/* Contents that are not looked at may be missing, or be holes, without harm to the table.
	 */
	if (spool(data, size, spooled, spooled_table) == 0 && r == 0)
		compare(table, data, size, spooled_table, spooled);
	return 0;
}
