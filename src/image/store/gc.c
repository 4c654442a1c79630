/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image store, garbage collection: images nobody refers to, then layers no image has, then
 * interrupted downloads.
 *
 * Each step removes only what the step before made unreachable, so a collection that is killed
 * leaves a consistent store and the next one goes on.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/str.h"

#include "image/store/internal.h"

/* A set of digests: sorted once, then searched. */
struct digests {
	char (*items)[REF_DIGEST_LEN + 1];
	size_t n;
	size_t cap;
};

struct collection {
	struct store *s;
	bool (*in_use)(void *arg, const char *digest);
	void *arg;
	struct digests keep;
	struct digests doomed;
	struct msb_err *err;
};

static int digest_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int digests_add(struct digests *d, const char *digest)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		void *more = realloc(d->items, cap * sizeof(d->items[0]));

		if (!more)
			return -ENOMEM;
		d->items = more;
		d->cap = cap;
	}
	memcpy(d->items[d->n++], digest, REF_DIGEST_LEN + 1);
	return 0;
}

static void digests_sort(struct digests *d)
{
	if (d->n)
		qsort(d->items, d->n, sizeof(d->items[0]), digest_compare);
}

static bool digests_have(const struct digests *d, const char *digest)
{
	return d->n && bsearch(digest, d->items, d->n, sizeof(d->items[0]), digest_compare);
}

static void digests_deinit(struct digests *d)
{
	free(d->items);
	*d = (struct digests){};
}

static int keep_ref(void *arg, const struct image_ref *ref, const char *digest)
{
	struct collection *c = arg;

	(void)ref;
	return digests_add(&c->keep, digest);
}

static int judge(void *arg, const char *digest)
{
	struct collection *c = arg;

	if (digests_have(&c->keep, digest) || (c->in_use && c->in_use(c->arg, digest)))
		return 0;
	return digests_add(&c->doomed, digest);
}

/* Removes what is doomed from @dir_fd; the lists are empty afterwards. */
static int execute(struct collection *c, int dir_fd, uint64_t *count, uint64_t *bytes)
{
	int r = 0;

	for (size_t i = 0; i < c->doomed.n && r == 0; i++) {
		r = store_remove(c->s, dir_fd, digest_hex(c->doomed.items[i]), bytes, c->err);
		*count += r == 0;
	}
	digests_deinit(&c->keep);
	digests_deinit(&c->doomed);
	return r;
}

static int keep_layers(void *arg, const char *digest)
{
	struct collection *c = arg;
	struct store_image i;
	int r = store_image_get(c->s, digest, &i, c->err);

	/* With a damaged image we do not know which layers it has: better to keep everything. */
	if (r < 0)
		return r;
	for (uint32_t n = 0; n < i.n_layers && r == 0; n++)
		r = digests_add(&c->keep, i.layers[n].digest);
	store_image_deinit(&i);
	return r;
}

static int judge_layer(void *arg, const char *digest)
{
	struct collection *c = arg;

	return digests_have(&c->keep, digest) ? 0 : digests_add(&c->doomed, digest);
}

static void remove_parts(const struct store *s, uint64_t *bytes)
{
	int dir = openat(s->parts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_fd int fd = -EBADF;
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		fd = openat(s->parts_fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
			continue;
		if (unlinkat(s->parts_fd, e->d_name, 0) == 0)
			*bytes += (uint64_t)st.st_blocks * 512;
	}
	if (d)
		closedir(d);
}

static int collect(struct collection *c, struct store_gc_report *report)
{
	int r = store_ref_each(c->s, keep_ref, c);

	digests_sort(&c->keep);
	if (r == 0)
		r = store_image_each(c->s, judge, c);
	if (r == 0)
		r = execute(c, c->s->manifests_fd, &report->images, &report->bytes);
	if (r == 0)
		r = store_image_each(c->s, keep_layers, c);
	digests_sort(&c->keep);
	if (r == 0)
		r = store_each_hex(c->s->layers_fd, judge_layer, c);
	if (r == 0)
		r = execute(c, c->s->layers_fd, &report->layers, &report->bytes);
	if (r == 0) {
		remove_parts(c->s, &report->bytes);
		store_refs_tidy(c->s);
	}
	digests_deinit(&c->keep);
	digests_deinit(&c->doomed);
	return r;
}

int store_gc(const char *home, bool (*in_use)(void *arg, const char *digest), void *arg,
	struct store_gc_report *ret, struct msb_err *err)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	struct collection c = {.in_use = in_use, .arg = arg, .err = err};
	int r = store_open_locked(home, LOCK_EX | LOCK_NB, &s, err);

	if (r == -EWOULDBLOCK) {
		msb_err_set(err, -EBUSY, MSB_BUSY, "the image store is in use");
		return msb_err_hint(err, -EBUSY, "try again when no image is being pulled");
	}
	if (r < 0)
		return r;
	if (err)
		err->msg[0] = '\0';
	*ret = (struct store_gc_report){};
	c.s = s;
	r = collect(&c, ret);
	if (r < 0 && err && !err->msg[0])
		return msb_err_errno(err, r, "cannot clean the image store");
	return r;
}

void store_discard(struct store *s, const char *const *digests, size_t n)
{
	struct msb_err err = {};
	struct collection c = {.s = s, .err = &err};
	uint64_t bytes = 0;
	int r = flock(s->lock_fd, LOCK_EX | LOCK_NB);

	/* Somebody else may be about to use these layers: then a collection removes them, later. */
	if (r == 0)
		r = store_image_each(s, keep_layers, &c);
	digests_sort(&c.keep);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (digests_have(&c.keep, digests[i]))
			continue;
		store_part_remove(s, digests[i]);
		r = store_remove(s, s->layers_fd, digest_hex(digests[i]), &bytes, &err);
		if (r == -ENOENT)
			r = 0;
	}
	digests_deinit(&c.keep);
}
