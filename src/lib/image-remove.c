/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images out of the store: see image-remove.h.
 *
 * Under the store's exclusive lock it is looked again which images sandboxes and snapshots need:
 * whoever makes one holds the store open until its description is on disk.
 */
#include "lib/image-remove.h"

#include "base/str.h"

#include "lib/images.h"

/* What a collection may take. */
struct sweep {
	const char *home;
	bool looked; /* @users are known */
	bool blind; /* they could not be read: nothing is taken */
	struct image_users users;
	struct msb_err err;
	const struct opt_list *only; /* digests, NULL: whatever nobody needs */
};

static bool is_listed(const struct opt_list *digests, const char *digest)
{
	for (size_t i = 0; i < digests->n; i++) {
		if (streq(digests->items[i], digest))
			return true;
	}
	return false;
}

static bool is_needed(void *arg, const char *digest)
{
	struct sweep *w = arg;

	if (w->only && !is_listed(w->only, digest))
		return true;
	if (!w->looked) {
		w->looked = true;
		w->blind = image_users_get(w->home, &w->users, &w->err) < 0;
	}
	return w->blind || image_user(&w->users, digest, NULL);
}

static int sweep(const char *home, const struct opt_list *only, struct store_gc_report *ret,
	struct msb_err *err)
{
	struct sweep w = {.home = home, .only = only};
	int r = store_gc(home, is_needed, &w, ret, err);

	image_users_deinit(&w.users);
	if (r == 0 && w.blind && err)
		*err = w.err;
	return r == 0 && w.blind ? -EIO : r;
}

static int forget_all(
	struct store *s, const struct image_list *list, const char *digest, struct msb_err *err)
{
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i++) {
		const struct image_entry *e = &list->items[i];

		if (e->has_ref && streq(e->digest, digest))
			r = store_ref_remove(s, &e->ref, err);
		/* Somebody else was faster. */
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* The name may be both, a tag and a digest: NAME:TAG@sha256:... */
static bool is_meant(const struct image_name *n, const struct image_entry *e)
{
	return e->has_ref && streq(e->digest, n->digest) && streq(e->ref.host, n->ref.host) &&
	       streq(e->ref.path, n->ref.path) &&
	       (e->ref.digest[0] ? streq(e->ref.digest, n->ref.digest)
				 : streq(e->ref.tag, n->ref.tag));
}

static int forget_ref(struct store *s, const struct image_list *list, const struct image_name *n,
	struct msb_err *err)
{
	bool found = false;
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i++) {
		if (!is_meant(n, &list->items[i]))
			continue;
		found = true;
		r = store_ref_remove(s, &list->items[i].ref, err);
		if (r == -ENOENT)
			r = 0;
	}
	/* A digest that was never pulled by that name: the image itself is meant. */
	return r == 0 && !found ? forget_all(s, list, n->digest, err) : r;
}

/* Does anything but @n refer to its image? */
static bool has_other_name(const struct image_list *list, const struct image_name *n)
{
	for (size_t i = 0; n->by_ref && i < list->n; i++) {
		const struct image_entry *e = &list->items[i];

		if (e->has_ref && streq(e->digest, n->digest) && !is_meant(n, e))
			return true;
	}
	return false;
}

static int check_use(
	const struct image_removal *m, const char *word, const char *digest, struct msb_err *err)
{
	cleanup_with(image_users_deinit) struct image_users users;
	struct image_doubt doubt;
	const char *what;
	const char *user;
	int r = image_users_get(m->home, &users, err);

	if (r < 0)
		return r;
	user = image_user(&users, digest, &what);
	if (user && !m->force && image_doubt(&users, 0, &doubt) && user == doubt.name) {
		r = msb_err_set(err, -EBUSY, MSB_BUSY,
			"image %.100s may be needed by %s%s%s%s, which cannot be read: %.160s",
			word, user[0] ? what : "what is in a directory", user[0] ? " '" : "", user,
			user[0] ? "'" : "", doubt.why);
		r = msb_err_hint(err, r,
			user[0] ? "repair or remove the %s, or give --force"
				: "repair the %s, or give --force",
			what);
	} else if (user && !m->force) {
		r = msb_err_set(
			err, -EBUSY, MSB_BUSY, "image %.200s is used by %s '%s'", word, what, user);
		r = msb_err_hint(err, r, "remove the %s first, or give --force", what);
	} else if (user && m->kept) {
		m->kept(m->arg, what, user, word);
	}
	return r;
}

static int remember(struct opt_list *digests, const char *digest, struct msb_err *err)
{
	char *copy = strdup(digest);
	int r = copy ? opt_list_add(digests, copy) : -ENOMEM;

	if (r < 0)
		free(copy);
	return r < 0 ? msb_err_errno(err, r, "removing images") : 0;
}

int image_remove(struct image_removal *m, const char *word, struct msb_err *err)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	cleanup_with(image_list_deinit) struct image_list list = {.n = 0};
	struct image_name name = {.by_ref = false};
	bool other;
	int r = store_open(m->home, &s, err);

	if (r == 0)
		r = image_find(s, word, &name, err);
	if (r == 0)
		r = image_list_get(s, &list, err);
	if (r < 0)
		return r;
	other = has_other_name(&list, &name);
	if (!other)
		r = check_use(m, word, name.digest, err);
	if (r == 0)
		r = name.by_ref ? forget_ref(s, &list, &name, err)
				: forget_all(s, &list, name.digest, err);
	if (r == 0 && !other)
		r = remember(&m->digests, name.digest, err);
	return r;
}

int image_remove_end(struct image_removal *m, struct msb_err *err)
{
	struct store_gc_report report;
	int r = m->digests.n ? sweep(m->home, &m->digests, &report, err) : 0;

	for (size_t i = 0; i < m->digests.n; i++)
		free((char *)(uintptr_t)m->digests.items[i]);
	free(m->digests.items);
	m->digests = (struct opt_list){.n = 0};
	return r;
}

/* Forgets every reference to an image that no sandbox needs. */
static int forget_unused(const char *home, void (*doubt)(void *arg, const struct image_doubt *d),
	void *arg, struct msb_err *err)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	cleanup_with(image_list_deinit) struct image_list list = {.n = 0};
	cleanup_with(image_users_deinit) struct image_users users = {.sandboxes = {.n = 0}};
	struct image_doubt d;
	int r = store_open(home, &s, err);

	if (r == 0)
		r = image_users_get(home, &users, err);
	if (r == 0)
		r = image_list_get(s, &list, err);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		if (!image_user(&users, list.items[i].digest, NULL) && list.items[i].has_ref)
			r = store_ref_remove(s, &list.items[i].ref, err);
		if (r == -ENOENT)
			r = 0;
	}
	for (size_t i = 0; r == 0 && doubt && image_doubt(&users, i, &d); i++)
		doubt(arg, &d);
	return r;
}

int image_prune(const char *home, void (*doubt)(void *arg, const struct image_doubt *d), void *arg,
	struct store_gc_report *ret, struct msb_err *err)
{
	struct store_gc_report second = {.images = 0};
	/* First what needs no decision: fails, with everything as it was, when the store is in use.
	 */
	int r = sweep(home, NULL, ret, err);

	if (r == 0)
		r = forget_unused(home, doubt, arg, err);
	if (r == 0)
		r = sweep(home, NULL, &second, err);
	if (r < 0)
		return r;
	ret->images += second.images;
	ret->layers += second.layers;
	ret->bytes += second.bytes;
	return 0;
}
