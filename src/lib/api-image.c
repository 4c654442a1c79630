/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: images. */
#include "base/str.h"

#include "image/store/store.h"
#include "lib/api-items.h"
#include "lib/api.h"
#include "lib/archive.h"
#include "lib/image-remove.h"
#include "lib/images.h"
#include "lib/store-json.h"

int msb_image_list(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	cleanup_with(image_list_deinit) struct image_list list = {.n = 0};
	struct msb_err err = {0};
	int r = store_open(m->home, &s, &err);

	*ret = NULL;
	if (r == 0)
		r = image_list_get(s, &list, &err);
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		item_put((*ret)->items[i].name, sizeof((*ret)->items[i].name), list.items[i].text);
		item_put((*ret)->items[i].digest, MSB_DIGEST_SIZE, list.items[i].digest);
	}
	return api_result(error, &err, r);
}

/* A name with a digest says nothing new beside a tag of the same image. */
static bool is_redundant(const struct image_list *list, const struct image_entry *e)
{
	for (size_t i = 0; e->has_ref && e->ref.digest[0] && i < list->n; i++) {
		const struct image_entry *other = &list->items[i];

		if (other->has_ref && other->ref.tag[0] && streq(other->ref.host, e->ref.host) &&
			streq(other->ref.path, e->ref.path) && streq(other->digest, e->digest))
			return true;
	}
	return false;
}

static void put_image(struct item *to, const struct image_entry *e, const struct store_image *image)
{
	item_put(to->name, sizeof(to->name), e->text);
	item_put(to->digest, MSB_DIGEST_SIZE, e->digest);
	to->bytes = image->size_bytes;
	to->created_ns = image->created_s * NSEC_PER_SEC;
}

/* Return: 1 when @to was filled in, 0 if the image has gone meanwhile. */
static int describe_image(const struct store *s, const struct image_entry *e, struct item *to)
{
	cleanup_with(store_image_deinit) struct store_image image = {.n_layers = 0};
	struct msb_err err = {0};
	struct json_out o;
	struct buf text;
	int r = store_image_get(s, e->digest, &image, &err);

	if (r == -ENOENT)
		return 0;
	put_image(to, e, &image);
	/* A damaged one must not hide the others. */
	if (r < 0) {
		to->problem = strdup(err.msg);
		return to->problem ? 1 : -ENOMEM;
	}
	buf_init(&text, ITEM_JSON_MAX);
	json_out_init(&o, &text, JSON_PRETTY);
	json_begin_object(&o, NULL);
	image_json_members(&o, e, &image);
	json_end_object(&o);
	r = item_take_json(&text, json_out_end(&o), &to->json, &err);
	buf_deinit(&text);
	return r < 0 ? r : 1;
}

int msb_image_details(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	cleanup_with(image_list_deinit) struct image_list list = {.n = 0};
	struct msb_err err = {0};
	size_t n = 0;
	int r = store_open(m->home, &s, &err);

	*ret = NULL;
	if (r == 0)
		r = image_list_get(s, &list, &err);
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		if (is_redundant(&list, &list.items[i]))
			continue;
		r = describe_image(s, &list.items[i], &(*ret)->items[n]);
		if (r > 0)
			n++;
		r = MIN(r, 0);
	}
	if (r == 0)
		(*ret)->n = n;
	else
		*ret = msb_items_free(*ret);
	return api_result(error, &err, r);
}

static int image_text(const struct image_about *a, char **ret, struct msb_err *err)
{
	struct buf text;
	int r;

	buf_init(&text, ITEM_JSON_MAX);
	r = item_take_json(&text, image_json(a, &text), ret, err);
	buf_deinit(&text);
	return r;
}

int msb_image_inspect(
	struct msb *m, const char *reference, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(image_about_deinit) struct image_about a = {.entry = {.has_ref = false}};
	cleanup_with(store_close_p) struct store *s = NULL;
	struct msb_err err = {0};
	int r = store_open(m->home, &s, &err);

	*ret = NULL;
	if (r == 0)
		r = image_about_get(s, reference, &a, &err);
	if (r == 0)
		r = items_new(1, ret);
	if (r == 0) {
		put_image(&(*ret)->items[0], &a.entry, &a.image);
		r = image_text(&a, &(*ret)->items[0].json, &err);
	}
	if (r < 0)
		*ret = msb_items_free(*ret);
	return api_result(error, &err, r);
}

int msb_image_json(struct msb *m, const char *reference, char **ret, struct msb_error *error)
{
	struct msb_items *one;
	int r = msb_image_inspect(m, reference, &one, error);

	*ret = NULL;
	if (r == 0)
		*ret = TAKE_PTR(one->items[0].json);
	(void)msb_items_free(one);
	return r;
}

int msb_image_remove(struct msb *m, const char *reference, int force, struct msb_error *error)
{
	struct image_removal removal = {.force = force != 0};
	struct msb_err err = {0};
	struct msb_err later = {0};
	int e;
	int r = str_copy(removal.home, sizeof(removal.home), m->home);

	if (r == 0)
		r = image_remove(&removal, reference, &err);
	e = image_remove_end(&removal, &later);
	/* In use by somebody: the next collection takes it. */
	if (r == 0 && e < 0 && e != -EBUSY)
		return api_fail(error, &later, e);
	return api_result(error, &err, r);
}

struct removing {
	struct msb_image_removal told;
};

static void on_kept(void *arg, const char *what, const char *user, const char *word)
{
	const struct removing *x = arg;

	if (x->told.kept)
		x->told.kept(x->told.arg, word, what, user);
}

static void tell_removed(
	const struct removing *x, const char *reference, const struct msb_err *err, int r)
{
	struct msb_error e = MSB_ERROR_INIT;

	if (x->told.removed)
		x->told.removed(x->told.arg, reference, api_result(&e, err, r), &e);
}

int msb_image_remove_all(struct msb *m, const char *const *references, int force,
	const struct msb_image_removal *told, struct msb_error *error)
{
	struct removing x = {.told = MSB_IMAGE_REMOVAL_INIT};
	struct image_removal removal = {.force = force != 0, .kept = on_kept, .arg = &x};
	struct msb_err err = {0};
	int r = str_copy(removal.home, sizeof(removal.home), m->home);

	if (r < 0)
		return api_fail(error, &err, r);
	if (told)
		memcpy(&x.told, told, MIN(told->size, sizeof(x.told)));
	for (; *references; references++) {
		struct msb_err why = {0};

		tell_removed(&x, *references, &why, image_remove(&removal, *references, &why));
	}
	return api_result(error, &err, image_remove_end(&removal, &err));
}

struct doubter {
	void (*doubt)(void *arg, const char *what, const char *name, const char *why);
	void *arg;
};

static void on_doubt(void *arg, const struct image_doubt *d)
{
	const struct doubter *x = arg;

	x->doubt(x->arg, d->what, d->name, d->why);
}

int msb_image_prune(struct msb *m,
	void (*doubt)(void *arg, const char *what, const char *name, const char *why), void *arg,
	struct msb_image_pruned *ret, struct msb_error *error)
{
	struct doubter d = {.doubt = doubt, .arg = arg};
	struct store_gc_report report = {.images = 0};
	struct msb_err err = {0};
	int r = image_prune(m->home, doubt ? on_doubt : NULL, &d, &report, &err);

	if (r == 0 && ret) {
		const struct msb_image_pruned x = {.size = ret->size,
			.images = report.images,
			.layers = report.layers,
			.bytes = report.bytes};

		memcpy(ret, &x, MIN(ret->size, sizeof(x)));
	}
	return api_result(error, &err, r);
}

int msb_image_load(struct msb *m, int fd, const char *tag,
	int (*loaded)(void *arg, const char *reference), void *arg, struct msb_error *error)
{
	struct msb_err err = {0};
	const char *lib_dir = api_lib_dir(m, &err);
	int r = lib_dir ? archive_load(m->home, lib_dir, fd, tag, loaded, arg, &err) : -ENOENT;

	return api_result(error, &err, r);
}

int msb_image_save(struct msb *m, const char *const *references, const char *format, int fd,
	struct msb_error *error)
{
	struct msb_err err = {0};
	const char *lib_dir = api_lib_dir(m, &err);
	int r = -ENOENT;

	if (!streq(format, "docker") && !streq(format, "oci"))
		r = msb_err_usage(&err, "an archive has the format 'docker' or 'oci'");
	else if (!references[0])
		r = msb_err_usage(&err, "no image is named");
	else if (lib_dir)
		r = archive_save(m->home, lib_dir, fd, references, format, &err);
	return api_result(error, &err, r);
}
