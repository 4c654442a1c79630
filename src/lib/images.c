/* SPDX-License-Identifier: Apache-2.0 */
/* Images of the store as commands name and judge them: see images.h. */
#include "lib/images.h"

#include "base/str.h"

static const char digest_head[] = "sha256:";

/* Digits of @word if it can be the beginning of a digest, else NULL. */
static const char *digest_digits(const char *word)
{
	const char *digits = str_starts(word, digest_head) ? word + strlen(digest_head) : word;
	size_t len = strlen(digits);

	return len >= IMAGE_PREFIX_MIN && len <= REF_DIGEST_LEN - strlen(digest_head) &&
			       strspn(digits, "0123456789abcdef") == len
		       ? digits
		       : NULL;
}

struct prefix_search {
	const char *digits;
	size_t n;
	char digest[REF_DIGEST_LEN + 1];
};

static int match_prefix(void *arg, const char *digest)
{
	struct prefix_search *p = arg;

	if (!str_starts(digest + strlen(digest_head), p->digits))
		return 0;
	p->n++;
	memcpy(p->digest, digest, sizeof(p->digest));
	return 0;
}

/* Return: 0, -ENOENT without a message, -EINVAL. */
static int find_by_digest(
	const struct store *s, const char *word, struct image_name *ret, struct msb_err *err)
{
	struct prefix_search p = {.digits = digest_digits(word)};
	int r;

	if (!p.digits)
		return -ENOENT;
	r = store_image_each(s, match_prefix, &p);
	if (r < 0)
		return msb_err_errno(err, r, "cannot read the image store");
	if (p.n == 0)
		return -ENOENT;
	if (p.n > 1) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "%zu images begin with %.80s", p.n, word);
		return msb_err_hint(err, r, "give more digits");
	}
	ret->by_ref = false;
	memcpy(ret->digest, p.digest, sizeof(ret->digest));
	return 0;
}

struct near_search {
	const struct image_ref *wanted;
	const char *text;
	unsigned int best;
	char *ret;
};

/* Only the tag may be missing altogether; another name must be almost the same. */
static int match_near(void *arg, const struct image_ref *ref, const char *digest)
{
	struct near_search *n = arg;
	bool same_name = streq(ref->host, n->wanted->host) && streq(ref->path, n->wanted->path);
	char text[REF_TEXT_MAX + 1];
	unsigned int d;

	(void)digest;
	if (ref->digest[0])
		return 0;
	image_ref_short(ref, text);
	d = same_name ? 1 : str_distance(n->text, text);
	if (d < n->best && (same_name || d <= MAX(1u, (unsigned int)strlen(n->text) / 4))) {
		n->best = d;
		memcpy(n->ret, text, sizeof(text));
	}
	return 0;
}

bool image_nearest(const struct store *s, const struct image_ref *ref, char ret[REF_TEXT_MAX + 1])
{
	char text[REF_TEXT_MAX + 1];
	struct near_search n = {.wanted = ref, .text = text, .best = UINT_MAX, .ret = ret};

	image_ref_short(ref, text);
	return store_ref_each(s, match_near, &n) >= 0 && n.best != UINT_MAX;
}

int image_find(const struct store *s, const char *word, struct image_name *ret, struct msb_err *err)
{
	struct image_name name = {.by_ref = true};
	char near[REF_TEXT_MAX + 1];
	int r = image_ref_parse(word, &name.ref, err);

	if (r == 0)
		r = store_ref_get(s, &name.ref, name.digest, err);
	if (r == -ENOENT) {
		r = find_by_digest(s, word, &name, err);
		if (r == -ENOENT && image_nearest(s, &name.ref, near))
			return msb_err_hint(err, r, "did you mean %.180s?", near);
		if (r == -ENOENT)
			return msb_err_hint(err, r, "'msb images' lists those that are here");
	}
	if (r < 0)
		return r;
	*ret = name;
	return 0;
}

static int list_add(struct image_list *l, const struct image_ref *ref, const char *digest)
{
	struct image_entry *e;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		void *more = realloc(l->items, cap * sizeof(l->items[0]));

		if (!more)
			return -ENOMEM;
		l->items = more;
		l->cap = cap;
	}
	e = &l->items[l->n++];
	*e = (struct image_entry){.has_ref = ref != NULL};
	memcpy(e->digest, digest, sizeof(e->digest));
	if (ref) {
		e->ref = *ref;
		image_ref_short(ref, e->text);
	}
	return 0;
}

static int add_ref(void *arg, const struct image_ref *ref, const char *digest)
{
	return list_add(arg, ref, digest);
}

static int add_nameless(void *arg, const char *digest)
{
	struct image_list *l = arg;

	for (size_t i = 0; i < l->n; i++) {
		if (streq(l->items[i].digest, digest))
			return 0;
	}
	return list_add(l, NULL, digest);
}

static int by_text(const void *a, const void *b)
{
	const struct image_entry *x = a;
	const struct image_entry *y = b;

	if (x->has_ref != y->has_ref)
		return x->has_ref ? -1 : 1;
	return x->has_ref ? strcmp(x->text, y->text) : strcmp(x->digest, y->digest);
}

int image_list_get(const struct store *s, struct image_list *ret, struct msb_err *err)
{
	struct image_list list = {.n = 0};
	int r = store_ref_each(s, add_ref, &list);

	if (r >= 0)
		r = store_image_each(s, add_nameless, &list);
	if (r < 0) {
		image_list_deinit(&list);
		return msb_err_errno(err, r, "cannot read the image store");
	}
	if (list.n)
		qsort(list.items, list.n, sizeof(list.items[0]), by_text);
	*ret = list;
	return 0;
}

void image_list_deinit(struct image_list *list)
{
	free(list->items);
	*list = (struct image_list){.n = 0};
}

int image_users_get(const char *home, struct image_users *ret, struct msb_err *err)
{
	int r;

	*ret = (struct image_users){.sandboxes = {.n = 0}};
	r = sandbox_list_get(home, &ret->sandboxes, &ret->unread[0]);
	if (r != -ENOMEM)
		r = snapshot_list_get(home, &ret->snapshots, &ret->unread[1]);
	return r == -ENOMEM ? msb_err_errno(err, r, "looking who needs images") : 0;
}

void image_users_deinit(struct image_users *u)
{
	sandbox_list_deinit(&u->sandboxes);
	snapshot_list_deinit(&u->snapshots);
}

bool image_doubt(const struct image_users *u, size_t i, struct image_doubt *ret)
{
	for (size_t k = 0; k < ARRAY_SIZE(u->unread); k++) {
		*ret = (struct image_doubt){"directory", "", u->unread[k].msg};
		if (ret->why[0] && i-- == 0)
			return true;
	}
	for (size_t k = 0; k < u->sandboxes.n; k++) {
		const struct sandbox_info *info = &u->sandboxes.items[k];

		*ret = (struct image_doubt){"sandbox", info->name, info->spec_err.msg};
		if (!info->readable && i-- == 0)
			return true;
	}
	if (i >= u->snapshots.n_damaged)
		return false;
	*ret = (struct image_doubt){"snapshot", u->snapshots.damaged[i], "it is damaged"};
	return true;
}

static const char *snapshot_user(const struct snapshot_list *snapshots, const char *digest)
{
	for (size_t i = 0; i < snapshots->n; i++) {
		const struct snapshot_manifest *m = &snapshots->items[i].m;

		if (m->image == SNAPSHOT_OCI && streq(m->image_digest, digest))
			return snapshots->items[i].name;
	}
	return NULL;
}

static const char *sandbox_user(const struct sandbox_list *sandboxes, const char *digest)
{
	for (size_t i = 0; i < sandboxes->n; i++) {
		const struct sandbox_info *info = &sandboxes->items[i];

		if (info->readable && info->spec.image_kind == IMAGE_OCI &&
			streq(info->spec.image_digest, digest))
			return info->name;
	}
	return NULL;
}

const char *image_user(const struct image_users *u, const char *digest, const char **ret_what)
{
	struct image_doubt d = {"sandbox", sandbox_user(&u->sandboxes, digest), NULL};

	if (!d.name)
		d = (struct image_doubt){"snapshot", snapshot_user(&u->snapshots, digest), NULL};
	if (!d.name && !image_doubt(u, 0, &d))
		return NULL;
	if (ret_what)
		*ret_what = d.what;
	return d.name;
}
