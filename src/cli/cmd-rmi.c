/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb image rm, msb image prune: out of the store.
 *
 * Removing is forgetting a reference; what nobody refers to any more is then collected, under the
 * store's exclusive lock, where it is looked again which images sandboxes and snapshots need:
 * whoever makes one holds the store open until its description is on disk.
 */
#include "base/json.h"
#include "base/str.h"

#include "cli/cli.h"
#include "lib/human.h"
#include "lib/images.h"
#include "sandbox/state.h"

enum { FORMAT_TEXT, FORMAT_JSON };

struct rmi_args {
	struct cli_common common;
	bool force;
	bool yes;
	bool quiet;
	int format;
};

#define AT(field) .offset = offsetof(struct rmi_args, field)
#define QUIET_OPT                                                            \
	{                                                                    \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), \
		.help = "Say only what went wrong"                           \
	}

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

struct removal {
	const struct rmi_args *args;
	char home[PATH_MAX];
	struct opt_list digests; /* of images without a name now, owned */
};

static int check_use(
	const struct removal *m, const char *word, const char *digest, struct msb_err *err)
{
	cleanup_with(image_users_deinit) struct image_users users;
	const char *what;
	const char *user;
	int r = image_users_get(m->home, &users, err);

	if (r < 0)
		return r;
	user = image_user(&users, digest, &what);
	if (user && !m->args->force) {
		r = msb_err_set(
			err, -EBUSY, MSB_BUSY, "image %.200s is used by %s '%s'", word, what, user);
		r = msb_err_hint(err, r, "remove the %s first, or give --force", what);
	} else if (user && !m->args->quiet) {
		cli_note("%s '%s' keeps %s on disk; 'msb image prune' frees it later", what, user,
			word);
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

static int remove_one(struct removal *m, const char *word, struct msb_err *err)
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

static int collect(struct removal *m)
{
	struct store_gc_report report;
	struct msb_err err = {0};
	int r = m->digests.n ? sweep(m->home, &m->digests, &report, &err) : 0;

	for (size_t i = 0; i < m->digests.n; i++)
		free((char *)(uintptr_t)m->digests.items[i]);
	free(m->digests.items);
	if (r == -EBUSY) {
		if (!m->args->quiet)
			cli_note("the image store is in use; 'msb image prune' frees the space "
				 "later");
		return 0;
	}
	return r < 0 ? cli_fail(&err) : 0;
}

static int run_rm(void *args, const struct opt_words *words)
{
	const struct rmi_args *a = args;
	struct removal m = {.args = a};
	struct msb_err err = {0};
	int status = 0;
	int s;

	if (sandbox_home_default(m.home, sizeof(m.home), &err) < 0)
		return cli_fail(&err);
	for (size_t i = 0; i < words->operands.n; i++) {
		const char *word = words->operands.items[i];

		if (remove_one(&m, word, &err) < 0)
			status = cli_fail(&err);
		else if (!a->quiet)
			cli_done("Removed", "%s", word);
	}
	s = collect(&m);
	return status ? status : s;
}

static const struct opt rm_opts[] = {
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Also if a sandbox or a snapshot uses the image; its files stay until that "
			"is removed"},
	QUIET_OPT,
};

static const struct opt_operand rm_operands[] = {
	{.name = "IMAGE",
		.required = true,
		.repeatable = true,
		.help = "A reference, or the beginning of a digest, which means all references "
			"to it"},
};

const struct cli_command cmd_image_rm = {
	.table = {.name = "image rm",
		.aliases = {"rmi", "image remove"},
		.summary = "Remove images",
		.description =
			"Forgets the references. The files of an image go with its last reference; "
			"layers that other images have, too, stay.",
		.group = "Images",
		.opts = rm_opts,
		.n_opts = ARRAY_SIZE(rm_opts),
		.operands = rm_operands,
		.n_operands = ARRAY_SIZE(rm_operands)},
	.args_size = sizeof(struct rmi_args),
	.run = run_rm,
};

/* Forgets every reference to an image that no sandbox needs. */
static int forget_unused(const char *home, struct msb_err *err)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	cleanup_with(image_list_deinit) struct image_list list = {.n = 0};
	cleanup_with(image_users_deinit) struct image_users users = {.sandboxes = {.n = 0}};
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
	return r;
}

static int prune(const char *home, struct store_gc_report *ret, struct msb_err *err)
{
	struct store_gc_report second = {.images = 0};
	/* First what needs no decision: fails, with everything as it was, when the store is in use.
	 */
	int r = sweep(home, NULL, ret, err);

	if (r == 0)
		r = forget_unused(home, err);
	if (r == 0)
		r = sweep(home, NULL, &second, err);
	if (r < 0)
		return r;
	ret->images += second.images;
	ret->layers += second.layers;
	ret->bytes += second.bytes;
	return 0;
}

static int print_report(const struct rmi_args *a, const struct store_gc_report *report)
{
	char size[HUMAN_SIZE];
	struct json_out o;
	struct buf out;
	int status;

	buf_init(&out, CLI_TEXT_MAX);
	if (a->format == FORMAT_JSON) {
		json_out_init(&o, &out, JSON_PRETTY);
		json_begin_object(&o, NULL);
		json_put_u64(&o, "images", report->images);
		json_put_u64(&o, "layers", report->layers);
		json_put_u64(&o, "reclaimed_bytes", report->bytes);
		json_end_object(&o);
		status = cli_print_json(&o, &out);
	} else if (buf_printf(&out, "Removed %" PRIu64 " image%s and %" PRIu64 " layer%s, %s\n",
			   report->images, report->images == 1 ? "" : "s", report->layers,
			   report->layers == 1 ? "" : "s", human_size(size, report->bytes)) < 0) {
		status = CLI_EXIT_FAILED;
	} else {
		status = a->quiet ? 0 : cli_print(&out);
	}
	buf_deinit(&out);
	return status;
}

static int run_prune(void *args, const struct opt_words *words)
{
	const struct rmi_args *a = args;
	struct store_gc_report report = {.images = 0};
	struct msb_err err = {0};
	char home[PATH_MAX];
	int r = sandbox_home_default(home, sizeof(home), &err);

	(void)words;
	if (r == 0 && !a->yes)
		r = cli_confirm("Remove all images that nothing uses?",
			"give --yes to remove all images that nothing uses", &err);
	if (r > 0)
		return 0;
	if (r == 0)
		r = prune(home, &report, &err);
	return r < 0 ? cli_fail(&err) : print_report(a, &report);
}

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

static const struct opt prune_opts[] = {
	{.name = "yes", .letter = 'y', .type = OPT_FLAG, AT(yes), .help = "Do not ask"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the report"},
	QUIET_OPT,
};

const struct cli_command cmd_image_prune = {
	.table = {.name = "image prune",
		.summary = "Remove all images that nothing uses",
		.description =
			"Also removes layers that no image has and what interrupted pulls left. "
			"Running and stopped sandboxes keep their images, and so do snapshots.",
		.group = "Images",
		.opts = prune_opts,
		.n_opts = ARRAY_SIZE(prune_opts)},
	.args_size = sizeof(struct rmi_args),
	.run = run_prune,
};
