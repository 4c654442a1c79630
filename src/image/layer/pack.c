/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's tar again: see pack.h. */
#include "image/layer/pack.h"

#include "base/io.h"

#include "image/layer/recipe.h"

enum { OUT_BYTES = 256 * 1024, IN_BYTES = 128 * 1024 };

struct pack {
	int data_fd;
	int out_fd;
	uint8_t *out;
	size_t len;
	struct msb_err *err;
};

static int flush(struct pack *p)
{
	int r = io_write_full(p->out_fd, p->out, p->len);

	p->len = 0;
	return r < 0 ? msb_err_errno(p->err, r, "cannot write a layer") : 0;
}

static int on_literal(void *arg, const uint8_t *from, size_t n)
{
	struct pack *p = arg;

	while (n) {
		size_t part = MIN(n, OUT_BYTES - p->len);

		memcpy(p->out + p->len, from, part);
		p->len += part;
		from += part;
		n -= part;
		if (p->len == OUT_BYTES) {
			int r = flush(p);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int on_copy(void *arg, uint64_t at, uint64_t n)
{
	struct pack *p = arg;

	while (n) {
		size_t room = (size_t)MIN(n, (uint64_t)(OUT_BYTES - p->len));
		ssize_t got = pread(p->data_fd, p->out + p->len, room, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return msb_err_errno(p->err, -errno, "cannot read layer data");
		if (got == 0)
			return msb_err_set(p->err, -EBADMSG, MSB_IO, "layer data is too short");
		p->len += (size_t)got;
		at += (uint64_t)got;
		n -= (uint64_t)got;
		if (p->len == OUT_BYTES) {
			int r = flush(p);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int replay(struct pack *p, struct recipe_in *recipe, int recipe_fd, uint8_t *in)
{
	for (;;) {
		ssize_t got = read(recipe_fd, in, IN_BYTES);
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return msb_err_errno(p->err, -errno, "cannot read a layer recipe");
		r = got ? recipe_feed(recipe, in, (size_t)got) : recipe_finish(recipe);
		if (r < 0 && p->err && !p->err->msg[0])
			return msb_err_set(p->err, r, MSB_IO, "layer recipe is damaged");
		if (r < 0 || got == 0)
			return r;
	}
}

int pack_layer(int recipe_fd, int data_fd, int out_fd, struct msb_err *err)
{
	static const struct recipe_ops ops = {.literal = on_literal, .copy = on_copy};
	struct pack p = {.data_fd = data_fd, .out_fd = out_fd, .err = err};
	cleanup_with(recipe_in_free_p) struct recipe_in *recipe = recipe_in_new(&ops, &p);
	cleanup_free uint8_t *out = malloc(OUT_BYTES);
	cleanup_free uint8_t *in = malloc(IN_BYTES);
	int r;

	if (!recipe || !out || !in)
		return msb_err_errno(err, -ENOMEM, "cannot start");
	p.out = out;
	if (err)
		err->msg[0] = '\0';
	r = replay(&p, recipe, recipe_fd, in);
	return r < 0 ? r : flush(&p);
}
