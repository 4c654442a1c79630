/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a body with placeholders: what comes out is the same in any pieces. */
#include <sys/mman.h>
#include <unistd.h>

#include "net/secrets/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20 };

/* Of no letter of the other values: together with what is around them they could make it up. */
#define FOREIGN "0123456789"

static const struct secret_settings settings = {.n = 3,
	.rules = {{.name = "A", .n_hosts = 1, .hosts = {"here"}, .inject = SECRET_IN_BODY},
		{.name = "AB", .n_hosts = 1, .hosts = {"here"}, .inject = SECRET_IN_BODY},
		{.name = "A_B", .n_hosts = 1, .hosts = {"there"}, .inject = SECRET_IN_BODY}}};

static struct secrets *make(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct secrets *s = NULL;

	if (fd < 0 || secret_value_write(fd, "one", NULL) < 0 ||
		secret_value_write(fd, "the second", NULL) < 0 ||
		secret_value_write(fd, FOREIGN, NULL) < 0 ||
		secrets_new(&settings, fd, &s, NULL) < 0)
		abort();
	(void)close(fd);
	return s;
}

/* Pieces of @step bytes. Return: as secret.h says. */
static int run(const struct secrets *s, const uint8_t *p, size_t n, size_t step, bool form,
	struct buf *all)
{
	static const struct secret_place place = {.host = "here", .tls = true, .pinned = true};
	struct secret_verdict v;
	struct secret_body b;
	struct buf out;
	size_t at = 0;
	int r = 0;

	buf_init(&out, SECRET_ROOM);
	secret_body_init(&b, s, &place, form);
	while (r == 0 && at < n) {
		size_t used;

		r = secret_body_feed(&b, p + at, MIN(step, n - at), &out, &used, &v);
		if (r == 0 && used == 0 && buf_len(&out) == 0)
			abort();
		if (used > n - at)
			abort();
		at += used;
		if (r == 0 && buf_append(all, buf_data(&out), buf_len(&out)) < 0)
			abort();
		buf_consume(&out, buf_len(&out));
	}
	if (r == 0)
		r = secret_body_end(&b, &out, &v);
	if (r == 0 && buf_append(all, buf_data(&out), buf_len(&out)) < 0)
		abort();
	buf_deinit(&out);
	return r;
}

static void same(const struct secrets *s, const uint8_t *p, size_t n, size_t step, bool form)
{
	struct buf whole;
	struct buf parts;
	int r;

	buf_init(&whole, OUT_MAX);
	buf_init(&parts, OUT_MAX);
	r = run(s, p, n, n, form, &whole);
	if (run(s, p, n, step, form, &parts) != r)
		abort();
	if (r == 0 && (buf_len(&whole) != buf_len(&parts) ||
			      memcmp(buf_data(&whole), buf_data(&parts), buf_len(&whole)) != 0))
		abort();
	if (memmem(buf_data(&whole), buf_len(&whole), FOREIGN, strlen(FOREIGN)) &&
		!memmem(p, n, FOREIGN, strlen(FOREIGN)))
		abort();
	buf_deinit(&whole);
	buf_deinit(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct secrets *s;

	if (!s)
		s = make();
	if (size < 2 || size > OUT_MAX / 16)
		return 0;
	same(s, data + 1, size - 1, 1 + (data[0] >> 1), data[0] & 1);
	return 0;
}
