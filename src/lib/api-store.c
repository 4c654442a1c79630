/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: images, named volumes, snapshots. */
#include "base/str.h"

#include "image/snapshot/snapshot.h"
#include "image/store/store.h"
#include "lib/api.h"
#include "lib/archive.h"
#include "lib/config.h"
#include "lib/image-remove.h"
#include "lib/images.h"
#include "lib/labels.h"
#include "lib/pull.h"
#include "lib/snapshot-archive.h"
#include "lib/snapshot-make.h"
#include "lib/store-json.h"
#include "lib/volumes.h"
#include "msb/sandbox.h"
#include "msb/store.h"
#include "sandbox/state.h"
#include "sandbox/volume.h"

struct item {
	char name[REF_TEXT_MAX + 1];
	char image[REF_TEXT_MAX + 1];
	char digest[MSB_DIGEST_SIZE];
	const char *kind;
	uint64_t bytes;
	uint64_t created_ns;
};

struct msb_items {
	size_t n;
	struct item items[];
};

_Static_assert(MSB_DIGEST_SIZE == REF_DIGEST_LEN + 1, "digests fit");

enum { JSON_MAX = 16 * MIB };

/* The text, if writing it has gone well, as the caller's own. */
static int take_json(struct buf *text, int r, char **ret, struct msb_err *err)
{
	const char *s = r == 0 ? buf_cstr(text) : NULL;

	*ret = s ? strdup(s) : NULL;
	if (*ret)
		return 0;
	return msb_err_errno(err, r < 0 ? r : -ENOMEM, "the description");
}

static int items_new(size_t n, struct msb_items **ret)
{
	struct msb_items *l;
	size_t bytes;

	if (!size_mul(n, sizeof(struct item), &bytes) || !size_add(bytes, sizeof(*l), &bytes))
		return -ENOMEM;
	l = calloc(1, bytes);
	if (!l)
		return -ENOMEM;
	l->n = n;
	*ret = l;
	return 0;
}

struct msb_items *msb_items_free(struct msb_items *l)
{
	free(l);
	return NULL;
}

size_t msb_items_size(const struct msb_items *l)
{
	return l->n;
}

const char *msb_items_name(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].name : "";
}

const char *msb_items_digest(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].digest : "";
}

const char *msb_items_kind(const struct msb_items *l, size_t i)
{
	return i < l->n && l->items[i].kind ? l->items[i].kind : "";
}

const char *msb_items_image(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].image : "";
}

uint64_t msb_items_bytes(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].bytes : 0;
}

uint64_t msb_items_created_ns(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].created_ns : 0;
}

static void put(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text ? text : "");
}

/* Images. */

struct onlooker {
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	char digest[16][REF_DIGEST_LEN + 1]; /* layers on their way */
	uint64_t here[16];
	uint64_t finished;
	uint64_t total;
};

/* Layers come four at a time; what one has got so far is forgotten when it is whole. */
static uint64_t *slot_of(struct onlooker *o, const char *digest)
{
	size_t free_slot = ARRAY_SIZE(o->here);

	for (size_t i = 0; i < ARRAY_SIZE(o->here); i++) {
		if (streq(o->digest[i], digest))
			return &o->here[i];
		if (!o->digest[i][0])
			free_slot = i;
	}
	if (free_slot == ARRAY_SIZE(o->here))
		return NULL;
	memcpy(o->digest[free_slot], digest, sizeof(o->digest[0]));
	o->here[free_slot] = 0;
	return &o->here[free_slot];
}

static void on_layer(struct onlooker *o, const struct pull_event *e)
{
	uint64_t *here = slot_of(o, e->digest);

	if (!here)
		return;
	*here = e->bytes;
	if (e->state != PULL_LAYER_DONE && e->state != PULL_LAYER_EXISTS)
		return;
	o->finished += e->total ? e->total : e->bytes;
	*here = 0;
	o->digest[here - o->here][0] = '\0';
}

static int on_event(void *arg, const struct pull_event *e, struct msb_err *err)
{
	struct onlooker *o = arg;
	uint64_t done;

	if (e->type == PULL_RESOLVE)
		o->total = e->bytes;
	else if (e->type == PULL_LAYER)
		on_layer(o, e);
	else
		return 0;
	done = o->finished;
	for (size_t i = 0; i < ARRAY_SIZE(o->here); i++)
		done += o->here[i];
	o->progress(o->arg, o->total ? MIN(done, o->total) : done, o->total);
	return 0;
}

static int pull(struct msb *m, const char *reference, enum pull_policy policy,
	const struct pull_watch *watch, struct pull_result *result, struct msb_err *err)
{
	struct config config = {.root = NULL};
	struct image_ref ref;
	const struct pull_opts opts = {
		.home = m->home,
		.lib_dir = api_lib_dir(m, err),
		.config = &config,
		.policy = policy,
		.quiet = !watch->event,
		.watch = watch,
	};
	int r = opts.lib_dir ? image_ref_parse(reference, &ref, err) : -ENOENT;

	if (r == 0)
		r = config_load(m->home, &config, err);
	if (r == 0)
		r = pull_image(&opts, reference, &ref, result, err);
	config_deinit(&config);
	return r;
}

int msb_image_pull(struct msb *m, const char *reference, enum msb_pull policy,
	void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg, char *ret_digest,
	struct msb_error *error)
{
	static const enum pull_policy policies[] = {[MSB_PULL_MISSING] = PULL_IF_MISSING,
		[MSB_PULL_ALWAYS] = PULL_ALWAYS,
		[MSB_PULL_NEVER] = PULL_NEVER};
	struct onlooker o = {.progress = progress, .arg = arg};
	struct pull_result result = {.layers = 0};
	struct msb_err err = {0};
	struct api_cancel c;
	const struct pull_watch watch = {
		.event = progress ? on_event : NULL, .arg = &o, .cancel = api_cancel_begin(&c, m)};
	int r;

	if ((unsigned int)policy >= ARRAY_SIZE(policies))
		return api_fail(error, &err, msb_err_usage(&err, "no such policy"));
	r = pull(m, reference, policies[policy], &watch, &result, &err);
	if (r == 0 && ret_digest)
		memcpy(ret_digest, result.digest, MSB_DIGEST_SIZE);
	return api_cancel_end(&c, error, &err, r);
}

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
		put((*ret)->items[i].name, sizeof((*ret)->items[i].name), list.items[i].text);
		put((*ret)->items[i].digest, MSB_DIGEST_SIZE, list.items[i].digest);
	}
	return api_result(error, &err, r);
}

int msb_image_json(struct msb *m, const char *reference, char **ret, struct msb_error *error)
{
	cleanup_with(image_about_deinit) struct image_about a = {.entry = {.has_ref = false}};
	cleanup_with(store_close_p) struct store *s = NULL;
	struct msb_err err = {0};
	struct buf text;
	int r = store_open(m->home, &s, &err);

	*ret = NULL;
	if (r == 0)
		r = image_about_get(s, reference, &a, &err);
	buf_init(&text, JSON_MAX);
	if (r == 0)
		r = take_json(&text, image_json(&a, &text), ret, &err);
	buf_deinit(&text);
	return api_result(error, &err, r);
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

/* Volumes. */

static int create_volume(
	struct msb *m, struct volume_info *info, const char *kind, struct msb_err *err)
{
	int k = 0;
	int r = 0;

	while (volume_kind_names[k] && !streq(volume_kind_names[k], kind))
		k++;
	if (!volume_kind_names[k])
		return msb_err_usage(err, "a volume is a 'dir' or a 'disk'");
	info->kind = (enum volume_kind)k;
	if (info->kind == VOLUME_DISK && !info->size_bytes)
		return msb_err_hint(err, msb_err_usage(err, "a disk volume needs a size"),
			"give --size, e.g. --size 10G");
	/* Only a directory may be without bound. */
	if (info->size_bytes)
		r = volume_size_check(info->kind, info->size_bytes, err);
	if (r == 0)
		r = volume_create(m->home, info, err);
	if (r == 0)
		volume_reap(m->home);
	return r;
}

int msb_volume_create(
	struct msb *m, const char *name, const char *kind, uint64_t bytes, struct msb_error *error)
{
	struct volume_info info = {.size_bytes = bytes};
	struct msb_err err = {0};
	int r = volume_name_check(name, &err);

	if (r == 0)
		r = str_copy(info.name, sizeof(info.name), name);
	if (r == 0)
		r = create_volume(m, &info, kind, &err);
	return api_result(error, &err, r);
}

int msb_volume_create_any(
	struct msb *m, const char *kind, uint64_t bytes, char *ret_name, struct msb_error *error)
{
	struct volume_info info = {.size_bytes = bytes};
	char name[SANDBOX_NAME_GENERATED];
	struct msb_err err = {0};
	int r = sandbox_name_generate(name);

	if (r == 0) {
		(void)snprintf(info.name, sizeof(info.name), "vol-%s", name + strlen("msb-"));
		r = create_volume(m, &info, kind, &err);
	}
	if (r == 0)
		put(ret_name, MSB_NAME_SIZE, info.name);
	return api_result(error, &err, r);
}

static void put_volume(struct item *to, const struct volume_info *info)
{
	put(to->name, sizeof(to->name), info->name);
	to->kind = volume_kind_names[info->kind];
	to->bytes = info->size_bytes;
	to->created_ns = info->created_ns;
}

int msb_volume_list(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(volume_list_deinit) struct volume_list list = {.n = 0};
	struct msb_err err = {0};
	int r = volume_list_get(m->home, &list, &err);

	*ret = NULL;
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		put_volume(&(*ret)->items[i], &list.items[i]);
	return api_result(error, &err, r);
}

int msb_volume_inspect(
	struct msb *m, const char *name, struct msb_items **ret, struct msb_error *error)
{
	struct volume_info info;
	struct msb_err err = {0};
	int r = volume_get(m->home, name, &info, &err);

	*ret = NULL;
	if (r == 0)
		r = items_new(1, ret);
	if (r == 0)
		put_volume(&(*ret)->items[0], &info);
	return api_result(error, &err, r);
}

int msb_volume_path(struct msb *m, const char *name, char **ret, struct msb_error *error)
{
	struct volume_info info;
	struct msb_err err = {0};
	char path[PATH_MAX];
	int r = volume_get(m->home, name, &info, &err);

	*ret = NULL;
	if (r == 0) {
		volume_path(m->home, &info, path);
		*ret = strdup(path);
		r = *ret ? 0 : -ENOMEM;
	}
	return api_result(error, &err, r);
}

int msb_volume_used(struct msb *m, const char *name, uint64_t *ret, struct msb_error *error)
{
	struct volume_info info;
	struct msb_err err = {0};
	int r = volume_get(m->home, name, &info, &err);

	if (r == 0)
		r = volume_used(m->home, &info, ret, &err);
	return api_result(error, &err, r);
}

int msb_volume_remove(struct msb *m, const char *name, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, volume_remove(m->home, name, &err));
}

int msb_volume_users(
	struct msb *m, const char *name, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(sandbox_list_deinit) struct sandbox_list list = {.n = 0};
	struct volume_info info;
	struct msb_err err = {0};
	size_t n = 0;
	int r = volume_get(m->home, name, &info, &err);

	*ret = NULL;
	/* One whose description is damaged has users, too. */
	if (r != -ENOENT && r != -EINVAL)
		r = sandbox_list_get(m->home, &list, &err);
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct item *to = &(*ret)->items[n];

		if (!volume_used_by(&list.items[i], name))
			continue;
		put(to->name, sizeof(to->name), list.items[i].name);
		to->kind = list.items[i].readable ? NULL : "unknown";
		n++;
	}
	if (r == 0)
		(*ret)->n = n;
	return api_result(error, &err, r);
}

int msb_volume_prune(struct msb *m, void (*removed)(void *arg, const char *name), void *arg,
	struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, volume_prune(m->home, removed, arg, &err));
}

/* Snapshots. */

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

int msb_snapshot_list(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(snapshot_list_deinit) struct snapshot_list list = {.n = 0};
	struct msb_err err = {0};
	int r = snapshot_list_get(m->home, &list, &err);

	*ret = NULL;
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		const struct snapshot *s = &list.items[i];
		struct item *to = &(*ret)->items[i];

		put(to->name, sizeof(to->name), s->name);
		put(to->digest, sizeof(to->digest), s->digest);
		put(to->image, sizeof(to->image), s->m.reference);
		to->bytes = s->m.size_bytes;
		to->created_ns = s->m.created_ns;
	}
	return api_result(error, &err, r);
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

int msb_snapshot_json(struct msb *m, const char *name, char **ret, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	struct buf text;
	int r = snapshot_open(m->home, name, &s, &err);

	*ret = NULL;
	buf_init(&text, JSON_MAX);
	if (r == 0)
		r = take_json(&text, snapshot_json(&s, false, &text), ret, &err);
	buf_deinit(&text);
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

int msb_snapshot_load(struct msb *m, int fd, int replace, char *ret_name, struct msb_error *error)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	const struct snapshot_load l = {.home = m->home,
		.lib_dir = api_lib_dir(m, &err),
		.fd = fd,
		.replace = replace != 0};
	int r = l.lib_dir ? snapshot_load(&l, &s, &err) : -ENOENT;

	if (r == 0 && ret_name)
		put(ret_name, MSB_NAME_SIZE, s.name);
	return api_result(error, &err, r);
}
