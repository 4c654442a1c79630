/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: snapshots. */
#include "base/str.h"

#include "image/snapshot/snapshot.h"
#include "lib/api-items.h"
#include "lib/api.h"
#include "lib/labels.h"
#include "lib/snapshot-archive.h"
#include "lib/snapshot-make.h"
#include "lib/store-json.h"
#include "msb/sandbox.h"

static int make_snapshot(const struct msb *m, const char *sandbox, const char *name,
	const struct msb_snapshot_options *o, struct snapshot *s, struct msb_err *err)
{
	struct opt_list labels = {.n = 0};
	const struct snapshot_make_opts make = {.home = m->home,
		.sandbox = sandbox,
		.name = name,
		.parent = o->directory,
		.labels = &labels,
		.replace = o->replace != 0};
	int r = snapshot_name_check(name, err);

	for (size_t i = 0; r == 0 && o->labels && o->labels[i]; i++)
		r = opt_list_add(&labels, o->labels[i]);
	if (r == 0)
		r = labels_check(&labels, err);
	if (r == 0) {
		(void)snapshot_reap(m->home);
		r = snapshot_make(&make, s, err);
	}
	free(labels.items);
	return r;
}

int msb_snapshot_make(struct msb *m, const char *sandbox, const char *name,
	const struct msb_snapshot_options *options, char *ret_digest, char **ret_path,
	struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;
	struct msb_err err = {0};
	int r;

	_Static_assert(MSB_DIGEST_SIZE == DIGEST_TEXT, "digests fit");
	if (ret_path)
		*ret_path = NULL;
	if (options)
		memcpy(&o, options, MIN(options->size, sizeof(o)));
	r = make_snapshot(m, sandbox, name, &o, &s, &err);
	if (r == 0 && ret_path) {
		*ret_path = strdup(s.path);
		r = *ret_path ? 0 : -ENOMEM;
	}
	if (r == 0 && ret_digest)
		memcpy(ret_digest, s.digest, MSB_DIGEST_SIZE);
	return api_result(error, &err, r);
}

int msb_snapshot_create(
	struct msb *m, const char *sandbox, const char *name, int replace, struct msb_error *error)
{
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;

	o.replace = replace;
	return msb_snapshot_make(m, sandbox, name, &o, NULL, NULL, error);
}

/* What a list has of each, or (@all) everything. */
static int snapshot_text(
	const struct snapshot *s, bool all, bool verified, char **ret, struct msb_err *err)
{
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, ITEM_JSON_MAX);
	if (all) {
		r = snapshot_json(s, verified, &text);
	} else {
		json_out_init(&o, &text, JSON_PRETTY);
		json_begin_object(&o, NULL);
		snapshot_json_members(&o, s);
		json_end_object(&o);
		r = json_out_end(&o);
	}
	r = item_take_json(&text, r, ret, err);
	buf_deinit(&text);
	return r;
}

static void put_snapshot(struct item *to, const struct snapshot *s)
{
	item_put(to->name, sizeof(to->name), s->name);
	item_put(to->digest, sizeof(to->digest), s->digest);
	item_put(to->image, sizeof(to->image), s->m.reference);
	to->kind = s->m.image == SNAPSHOT_OCI ? "image" : "base";
	to->bytes = s->m.size_bytes;
	to->used = snapshot_allocated(s);
	to->created_ns = s->m.created_ns;
}

int msb_snapshot_list(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(snapshot_list_deinit) struct snapshot_list list = {.n = 0};
	struct msb_err err = {0};
	int r = snapshot_list_get(m->home, &list, &err);

	*ret = NULL;
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		put_snapshot(&(*ret)->items[i], &list.items[i]);
	return api_result(error, &err, r);
}

static int put_list(const struct snapshot_list *list, struct msb_items **ret, struct msb_err *err)
{
	int r = items_new(list->n + list->n_damaged, ret);

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		put_snapshot(&(*ret)->items[i], &list->items[i]);
		r = snapshot_text(&list->items[i], false, false, &(*ret)->items[i].json, err);
	}
	for (size_t i = 0; r == 0 && i < list->n_damaged; i++) {
		struct item *to = &(*ret)->items[list->n + i];

		item_put(to->name, sizeof(to->name), list->damaged[i]);
		to->problem = strdup("it cannot be read");
		r = to->problem ? 0 : -ENOMEM;
	}
	return r;
}

/* What is given back is whole or nothing. */
static int give(struct msb_items **ret, int r, const struct msb_err *err, struct msb_error *error)
{
	if (r < 0)
		*ret = msb_items_free(*ret);
	return api_result(error, err, r);
}

int msb_snapshot_details(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(snapshot_list_deinit) struct snapshot_list list = {.n = 0};
	struct msb_err err = {0};
	int r;

	*ret = NULL;
	(void)snapshot_reap(m->home);
	r = snapshot_list_get(m->home, &list, &err);
	if (r == 0)
		r = put_list(&list, ret, &err);
	return give(ret, r, &err, error);
}

static int put_one(
	const struct snapshot *s, bool verified, struct msb_items **ret, struct msb_err *err)
{
	int r = items_new(1, ret);

	if (r < 0)
		return r;
	put_snapshot(&(*ret)->items[0], s);
	return snapshot_text(s, true, verified, &(*ret)->items[0].json, err);
}

int msb_snapshot_inspect(struct msb *m, const char *name, int verify, struct msb_items **ret,
	struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	int r;

	*ret = NULL;
	(void)snapshot_reap(m->home);
	r = snapshot_open(m->home, name, &s, &err);
	if (r == 0 && verify)
		r = snapshot_verify(&s, &err);
	if (r == 0)
		r = put_one(&s, verify != 0, ret, &err);
	return give(ret, r, &err, error);
}

int msb_snapshot_remove(struct msb *m, const char *name, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	int r = snapshot_open(m->home, name, &s, &err);

	if (r == 0)
		r = snapshot_remove(&s, &err);
	return api_result(error, &err, r);
}

/* Those that were made of sandboxes that began from it do not need it, but name it. */
static int check_children(const char *home, const struct snapshot *s, struct msb_err *err)
{
	cleanup_with(snapshot_list_deinit) struct snapshot_list list = {.n = 0};
	int r = snapshot_list_get(home, &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++) {
		if (!streq(list.items[i].m.parent, s->digest))
			continue;
		r = msb_err_set(err, -EBUSY, MSB_BUSY, "snapshot '%s' is the parent of '%s'",
			s->name, list.items[i].name);
		r = msb_err_hint(err, r, "remove that first, or give --force");
	}
	return r;
}

static int discard(const char *home, const char *name, bool force, struct msb_err *err)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	int r = snapshot_open(home, name, &s, err);

	/* A damaged one keeps every image; whose directory it is is known by its place only. */
	if (r < 0 && force && s.fd >= 0 && !strchr(name, '/'))
		return snapshot_remove(&s, err);
	if (r == 0 && !force)
		r = check_children(home, &s, err);
	return r == 0 ? snapshot_remove(&s, err) : r;
}

int msb_snapshot_discard(struct msb *m, const char *name, int force, struct msb_error *error)
{
	struct msb_err err = {0};

	(void)snapshot_reap(m->home);
	return api_result(error, &err, discard(m->home, name, force != 0, &err));
}

int msb_snapshot_json(struct msb *m, const char *name, char **ret, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	int r = snapshot_open(m->home, name, &s, &err);

	*ret = NULL;
	if (r == 0)
		r = snapshot_text(&s, true, false, ret, &err);
	return api_result(error, &err, r);
}

int msb_snapshot_verify(struct msb *m, const char *name, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	int r = snapshot_open(m->home, name, &s, &err);

	if (r == 0)
		r = snapshot_verify(&s, &err);
	return api_result(error, &err, r);
}

int msb_snapshot_save(struct msb *m, const char *name, int fd, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct api_sigpipe sigpipe;
	struct msb_err err = {0};
	int r = snapshot_open(m->home, name, &s, &err);

	if (r == 0) {
		api_sigpipe_begin(&sigpipe);
		r = snapshot_save(&s, fd, &err);
		api_sigpipe_end(&sigpipe);
	}
	return api_result(error, &err, r);
}

int msb_snapshot_import(struct msb *m, int fd, const struct msb_snapshot_options *options,
	struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;
	struct snapshot_load l = {.home = m->home, .fd = fd};
	struct msb_err err = {0};
	int r;

	*ret = NULL;
	if (options)
		memcpy(&o, options, MIN(options->size, sizeof(o)));
	l.parent = o.directory;
	l.replace = o.replace != 0;
	l.lib_dir = api_lib_dir(m, &err);
	if (o.labels && o.labels[0])
		r = msb_err_usage(&err, "an archive brings the labels of its snapshot");
	else
		r = l.lib_dir ? snapshot_load(&l, &s, &err) : -ENOENT;
	if (r == 0)
		r = put_one(&s, false, ret, &err);
	return give(ret, r, &err, error);
}

int msb_snapshot_load(struct msb *m, int fd, int replace, char *ret_name, struct msb_error *error)
{
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;
	struct msb_items *l = NULL;
	int r;

	o.replace = replace;
	r = msb_snapshot_import(m, fd, &o, &l, error);
	if (r == 0 && ret_name)
		item_put(ret_name, MSB_NAME_SIZE, msb_items_name(l, 0));
	(void)msb_items_free(l);
	return r;
}
