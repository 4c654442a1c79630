/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what an archive of images says about itself. The input is a tar, read as the jailed
 * worker reads it; then index.json, manifest.json and repositories, with all they lead to, are
 * understood.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/archive/load-internal.h"
#include "image/layer/outer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : io_write_full(fd, p, n);

	assert(r == 0);
	return fd;
}

/* As msb-layer does it; 0 or a negative errno. */
static int scan(int fd, int table_fd)
{
	cleanup_with(outer_free_p) struct outer *o = NULL;
	struct msb_err err = {};
	int r = outer_new(table_fd, -EBADF, &o);

	if (r == 0)
		r = outer_scan(o, fd, &err);
	return r < 0 ? r : outer_finish(o, &err);
}

static int open_source(int fd, size_t size, struct source *s)
{
	cleanup_fd int table_fd = file("", 0);
	struct stat st;
	int r = scan(fd, table_fd);

	if (r < 0 || fstat(table_fd, &st) < 0)
		return -EBADMSG;
	s->fd = fd;
	s->table = malloc((size_t)st.st_size + 1);
	if (!s->table || pread(table_fd, s->table, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	return members_parse(s->table, (size_t)st.st_size, size, &s->members, NULL);
}

static void check(const struct load_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct load_image *image = &l->images[i];

		assert(image->config_json && image_digest_check(image->config_digest));
		assert(image->n_layers == image->config.n_diff_ids);
		assert(!image->digest[0] == !image->manifest_json);
		for (size_t n = 0; n < image->n_layers; n++)
			assert(image->layers[n].name &&
				image_digest_check(image->layers[n].diff_id));
		for (size_t n = 0; n < image->n_refs; n++)
			assert(image->refs[n].path[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const listers[])(const struct source *, struct load_list *,
		struct msb_err *) = {load_list_oci, load_list_docker, load_list_legacy};
	cleanup_with(source_close) struct source s = {.dir_fd = -EBADF, .fd = -EBADF};
	cleanup_fd int fd = file(data, size);

	if (open_source(fd, size, &s) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(listers); i++) {
		struct load_list list = {};
		struct msb_err err = {};

		if (listers[i](&s, &list, &err) < 0)
			assert(err.msg[0]);
		else
			check(&list);
		load_list_deinit(&list);
	}
	return 0;
}
