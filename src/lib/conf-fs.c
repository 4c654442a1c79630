/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts and patches of configuration files. */
#include "base/buf.h"
#include "base/str.h"

#include "lib/conf-fields.h"
#include "lib/conf-internal.h"
#include "lib/create.h"

/* Mounts. */

static int put_option(struct conf_ctx *c, const struct yaml *mount, const char *key,
	const char *option, struct buf *words)
{
	const struct yaml *y = yaml_get(mount, key);
	const char *text = NULL;
	bool on = true;
	int r = 0;

	if (!y)
		return 0;
	if (option[strlen(option) - 1] == '=')
		r = conf_text(c, y, &text);
	else
		r = conf_bool(c, y, &on);
	if (r == 0 && text && strpbrk(text, ",:"))
		return conf_error(y, c->err, "this value cannot have a ',' or ':'");
	if (r == 0 && on)
		r = buf_printf(words, "%c%s%s", buf_len(words) ? ',' : ':', option,
			    text ? text : "") < 0
			    ? conf_error(y, c->err, "this is too long")
			    : 0;
	return r;
}

struct mount_kind {
	const char *key;
	const char *option;
	bool path;
	const char *const *keys; /* of its own */
	const char *const *options;
	size_t n;
};

static const char *const flag_keys[] = {"readonly", "noexec", "nosuid", "nodev"};
static const char *const flag_options[] = {"ro", "noexec", "nosuid", "nodev"};
static const char *const share_keys[] = {"stat_virtualization", "host_permissions"};
static const char *const share_options[] = {"stat-virt=", "host-perms="};
static const char *const disk_keys[] = {"fstype"};
static const char *const disk_options[] = {"fstype="};

static const struct mount_kind mount_kinds[] = {
	{"bind", "volume", true, share_keys, share_options, ARRAY_SIZE(share_keys)},
	{"named", "mount-named", false, share_keys, share_options, ARRAY_SIZE(share_keys)},
	{"disk", "mount-disk", true, disk_keys, disk_options, ARRAY_SIZE(disk_keys)},
	{"tmpfs", "tmpfs", false, NULL, NULL, 0},
};

/* Of what only some kinds have. */
static int check_mount(struct conf_ctx *c, const struct yaml *y, const struct mount_kind *k)
{
	static const char *const all[] = {"bind", "named", "disk", "tmpfs", "target", "create",
		"format", "fstype", "readonly", "noexec", "nosuid", "nodev", "stat_virtualization",
		"host_permissions"};
	static const char *const own[][2] = {{"create", "named"}, {"format", "disk"},
		{"fstype", "disk"}, {"stat_virtualization", ""}, {"host_permissions", ""}};
	const struct yaml *e;
	int r = conf_only(c, y, all, ARRAY_SIZE(all));

	for (size_t i = 0; i < ARRAY_SIZE(own) && r == 0; i++) {
		e = yaml_get(y, own[i][0]);
		if (e && (own[i][1][0] ? !streq(k->key, own[i][1]) : k->keys != share_keys))
			r = conf_error(
				e, c->err, "a mount of kind %s has no %s", k->key, own[i][0]);
	}
	e = yaml_get(y, "create");
	if (r == 0 && e && (e->kind != YAML_SCALAR || !streq(e->text, "ensure-exists")))
		r = conf_error(e, c->err, "ensure-exists is all that create can be");
	e = yaml_get(y, "format");
	if (r == 0 && e && (e->kind != YAML_SCALAR || !streq(e->text, "raw")))
		r = conf_error(e, c->err, "only disks of format raw can be mounted");
	return r;
}

static int tmpfs_size(struct conf_ctx *c, const struct yaml *y, const char **ret)
{
	static const char *const keys[] = {"size"};
	int r = 0;

	*ret = "";
	if (y->kind == YAML_NULL)
		return 0;
	r = conf_want(c, y, YAML_MAP);
	if (r == 0)
		r = conf_only(c, y, keys, ARRAY_SIZE(keys));
	if (r == 0 && yaml_get(y, "size"))
		r = conf_text(c, yaml_get(y, "size"), ret);
	if (r == 0 && (*ret)[0])
		r = conf_make(c, y, ret, ":%s", *ret);
	return r;
}

static int mount_word(struct conf_ctx *c, const struct yaml *y, const struct mount_kind *k,
	const char *options, const char **ret)
{
	const struct yaml *target = yaml_get(y, "target");
	const char *source = "";
	const char *to = "";
	int r;

	if (!target)
		return conf_error(y, c->err, "target is missing");
	r = conf_text(c, target, &to);
	if (r == 0 && strchr(to, ':'))
		return conf_error(target, c->err, "the path cannot have a ':'");
	if (r < 0)
		return r;
	if (streq(k->key, "tmpfs")) {
		r = tmpfs_size(c, yaml_get(y, k->key), &source);
		return r < 0 ? r : conf_make(c, y, ret, "%s%s%s", to, source, options);
	}
	r = conf_text(c, yaml_get(y, k->key), &source);
	if (r == 0 && k->path)
		r = conf_path(c->conf, yaml_get(y, k->key), source, &source, c->err);
	return r < 0 ? r : conf_make(c, y, ret, "%s:%s%s", source, to, options);
}

static int apply_mount(struct conf_ctx *c, const struct yaml *y)
{
	const struct mount_kind *k = NULL;
	unsigned int kinds = 0;
	struct buf options;
	const char *word = "";
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(mount_kinds); i++) {
		if (yaml_get(y, mount_kinds[i].key)) {
			k = &mount_kinds[i];
			kinds++;
		}
	}
	if (kinds != 1)
		return conf_error(y, c->err, "one of bind, named, disk and tmpfs is wanted");
	r = check_mount(c, y, k);
	buf_init(&options, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(flag_keys) && r == 0; i++)
		r = put_option(c, y, flag_keys[i], flag_options[i], &options);
	for (size_t i = 0; i < k->n && r == 0; i++)
		r = put_option(c, y, k->keys[i], k->options[i], &options);
	if (r == 0 && buf_append(&options, "", 1) < 0)
		r = msb_err_errno(c->err, -ENOMEM, "reading the configuration");
	if (r == 0)
		r = mount_word(c, y, k, (const char *)buf_data(&options), &word);
	if (r == 0)
		r = conf_option(c, y, k->option, word);
	buf_deinit(&options);
	return r;
}

/* src:dst[:ro], as behind -v. */
static int apply_mount_text(struct conf_ctx *c, const struct yaml *y)
{
	const char *word = y->text;
	int r = 0;

	if (word[0] == '.')
		r = conf_path(c->conf, y, word, &word, c->err);
	return r < 0 ? r : conf_option(c, y, "volume", word);
}

int conf_apply_mounts(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		if (e->kind == YAML_SCALAR) {
			r = apply_mount_text(c, e);
			continue;
		}
		r = conf_want(c, e, YAML_MAP);
		if (r == 0)
			r = apply_mount(c, e);
	}
	return r;
}

/* Patches. */

struct patch_op {
	const char *name;
	enum patch_kind kind;
	const char *path; /* fields of it: the guest's path ... */
	const char *source; /* ... and one of these two, or neither */
	const char *text;
	bool mode;
	bool replace;
};

static const struct patch_op patch_ops[] = {
	{"copy_file", PATCH_COPY_FILE, "dst", "src", NULL, true, true},
	{"copy_dir", PATCH_COPY_DIR, "dst", "src", NULL, false, true},
	{"text", PATCH_TEXT, "path", NULL, "content", true, true},
	{"append", PATCH_APPEND, "path", NULL, "content", false, false},
	{"mkdir", PATCH_MKDIR, "path", NULL, NULL, true, false},
	{"symlink", PATCH_SYMLINK, "link", NULL, "target", false, true},
	{"remove", PATCH_REMOVE, "path", NULL, NULL, false, false},
};

static int patch_text(struct conf_ctx *c, const struct yaml *op, const char *key, const char **ret)
{
	const struct yaml *y = key ? yaml_get(op, key) : NULL;

	*ret = NULL;
	if (!key)
		return 0;
	return y ? conf_text(c, y, ret) : conf_error(op, c->err, "%s is missing", key);
}

static int patch_options(
	struct conf_ctx *c, const struct yaml *y, const struct patch_op *op, struct run_patch *one)
{
	const struct yaml *mode = yaml_get(y, "mode");
	const struct yaml *replace = yaml_get(y, "replace");
	int r = 0;

	/* Without quotes it might be read as another number by the next program. */
	if (mode && (mode->kind != YAML_SCALAR || !mode->quoted || strlen(mode->text) != 4))
		return conf_error(mode, c->err, "a mode is four octal digits in quotes: \"0644\"");
	if (mode)
		r = patch_mode(mode->text, &one->mode, c->err);
	if (r < 0)
		return conf_place(c, mode, r);
	return replace ? conf_bool(c, replace, &one->replace) : 0;
}

static int apply_patch_op(struct conf_ctx *c, const struct yaml *y, const struct patch_op *op)
{
	const char *keys[5];
	struct run_patch *one = NULL;
	const char *path = "";
	const char *source = "";
	const char *text = "";
	size_t n = 0;
	int r = conf_want(c, y, YAML_MAP);

	keys[n++] = op->path;
	if (op->source || op->text)
		keys[n++] = op->source ? op->source : op->text;
	if (op->mode)
		keys[n++] = "mode";
	if (op->replace)
		keys[n++] = "replace";
	if (r == 0)
		r = conf_only(c, y, keys, n);
	if (r == 0)
		r = patch_text(c, y, op->path, &path);
	if (r == 0)
		r = patch_text(c, y, op->source, &source);
	if (r == 0)
		r = patch_text(c, y, op->text, &text);
	if (r == 0 && source)
		r = conf_path(c->conf, y, source, &source, c->err);
	if (r < 0)
		return r;
	r = patch_add(&c->args->patches, op->kind, path, source, text, &one, c->err);
	if (r < 0 || !one)
		return conf_place(c, y, r);
	return patch_options(c, y, op, one);
}

static int apply_patch(struct conf_ctx *c, const struct yaml *y)
{
	const char *names[ARRAY_SIZE(patch_ops)];
	int r = conf_want(c, y, YAML_MAP);

	if (r < 0)
		return r;
	if (y->n != 1)
		return conf_error(y, c->err, "one operation is wanted, such as mkdir: {path: /x}");
	for (size_t i = 0; i < ARRAY_SIZE(patch_ops); i++) {
		names[i] = patch_ops[i].name;
		if (streq(y->first->key, names[i]))
			return apply_patch_op(c, y->first, &patch_ops[i]);
	}
	if (streq(y->first->key, "file"))
		return conf_unsupported(c, y->first);
	return conf_only(c, y, names, ARRAY_SIZE(names));
}

int conf_apply_patches(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next)
		r = apply_patch(c, e);
	return r;
}

int conf_apply_patch_files(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		struct yaml *list = NULL;
		const char *path = "";

		r = conf_text(c, e, &path);
		if (r == 0)
			r = conf_path(c->conf, e, path, &path, c->err);
		if (r == 0)
			r = conf_read(c->conf, path, &list, c->err);
		if (r == 0 && list)
			r = conf_apply_patches(c, list, f);
	}
	return r;
}
