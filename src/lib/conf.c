/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of configuration files to options: see conf.h.
 *
 * A table says what becomes of each field. Most are the value of an option of the command line,
 * whose parser checks it; the message then begins with the place in the file.
 */
#include "lib/conf.h"

#include "base/buf.h"
#include "base/str.h"

#include "lib/conf-internal.h"
#include "lib/create.h"

enum { WORD_MAX = 8192, QUOTED = 120 };

struct ctx {
	struct run_conf *conf;
	struct create_args *args;
	struct opt_filler *filler;
	struct msb_err *err;
};

struct field {
	const char *group; /* NULL: at the root */
	const char *key;
	int (*apply)(struct ctx *c, const struct yaml *y, const struct field *f);
	const char *option;
};

static int add_file(void *target, enum conf_scope scope, const char *path, struct msb_err *err)
{
	struct run_conf *c = target;

	if (!path[0])
		return msb_err_usage(err, "the value is empty");
	if (c->n == CONF_FILES_MAX)
		return msb_err_usage(err, "more than %d files", CONF_FILES_MAX);
	c->files[c->n].scope = scope;
	c->files[c->n++].path = path;
	return 0;
}

int conf_parse_root(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_ROOT, value, err);
}

int conf_parse_resources(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_RESOURCES, value, err);
}

int conf_parse_runtime(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_RUNTIME, value, err);
}

int conf_parse_fs(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_FS, value, err);
}

int conf_parse_net(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_NET, value, err);
}

int conf_parse_secrets(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_SECRETS, value, err);
}

int conf_parse_scripts(void *target, const char *value, struct msb_err *err)
{
	return add_file(target, CONF_SCRIPTS, value, err);
}

/* What kinds of values there are. */

static int unsupported(struct ctx *c, const struct yaml *y)
{
	(void)conf_error(y, c->err, "'%.60s' is not supported by this version", y->key);
	c->err->errno_ = EOPNOTSUPP;
	return -EOPNOTSUPP;
}

static int text_of(struct ctx *c, const struct yaml *y, const char **ret)
{
	if (y->kind != YAML_SCALAR)
		return conf_error(y, c->err, "a text or a number is wanted");
	*ret = y->text;
	return 0;
}

static int bool_of(struct ctx *c, const struct yaml *y, bool *ret)
{
	if (y->kind != YAML_SCALAR || y->quoted ||
		!(streq(y->text, "true") || streq(y->text, "false")))
		return conf_error(y, c->err, "true or false is wanted");
	*ret = streq(y->text, "true");
	return 0;
}

static int want(struct ctx *c, const struct yaml *y, enum yaml_kind kind)
{
	if (y->kind == kind)
		return 0;
	return conf_error(
		y, c->err, kind == YAML_MAP ? "keys and values are wanted" : "a list is wanted");
}

/* Like conf_error(), in front of what the parser of an option has said. */
static int place(struct ctx *c, const struct yaml *y, int r)
{
	return msb_err_prefix(c->err, r, "%.300s:%u:%u", y->file, y->line, y->column);
}

static int fill(struct ctx *c, const struct yaml *y, const char *option, const char *value)
{
	int r = opt_fill(c->filler, option, value, c->err);

	if (r == -ENOPROTOOPT)
		return unsupported(c, y);
	return r < 0 ? place(c, y, r) : 0;
}

static int only(struct ctx *c, const struct yaml *map, const char *const *keys, size_t n)
{
	for (const struct yaml *e = map->first; e; e = e->next) {
		const char *near = NULL;
		unsigned int best = 3;
		char q[QUOTED];
		size_t i = 0;
		int r;

		while (i < n && !streq(keys[i], e->key))
			i++;
		if (i < n)
			continue;
		for (i = 0; i < n; i++) {
			unsigned int d = str_distance(e->key, keys[i]);

			if (d < best) {
				best = d;
				near = keys[i];
			}
		}
		r = msb_err_usage(c->err, "%.300s:%u:%u: unknown field %s", e->file, e->key_line,
			e->key_column, str_quote(q, sizeof(q), e->key, strlen(e->key)));
		return near ? msb_err_hint(c->err, r, "did you mean %s?", near) : r;
	}
	return 0;
}

/* printf() into what lives as long as the configuration. */
static int make(struct ctx *c, const struct yaml *y, const char **ret, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int make(struct ctx *c, const struct yaml *y, const char **ret, const char *format, ...)
{
	char word[WORD_MAX];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(word, sizeof(word), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(word))
		return conf_error(y, c->err, "this is too long");
	*ret = conf_keep(c->conf, word, (size_t)n);
	return *ret ? 0 : msb_err_errno(c->err, -ENOMEM, "reading the configuration");
}

/* Fields. */

static int apply_option(struct ctx *c, const struct yaml *y, const struct field *f)
{
	const char *value = "";
	int r = text_of(c, y, &value);

	return r < 0 ? r : fill(c, y, f->option, value);
}

static int apply_options(struct ctx *c, const struct yaml *y, const struct field *f)
{
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next)
		r = apply_option(c, e, f);
	return r;
}

static int apply_unsupported(struct ctx *c, const struct yaml *y, const struct field *f)
{
	return unsupported(c, y);
}

static int apply_image_map(struct ctx *c, const struct yaml *y)
{
	static const char *const keys[] = {
		"oci", "upper_size", "snapshot", "disk", "fstype", "bind"};
	bool given = opt_operands_given(c->filler) > 0;
	const struct yaml *e;
	const char *text = "";
	int r = only(c, y, keys, ARRAY_SIZE(keys));

	if (r < 0)
		return r;
	if ((yaml_get(y, "oci") != NULL) + (yaml_get(y, "snapshot") != NULL) +
			(yaml_get(y, "disk") != NULL) + (yaml_get(y, "bind") != NULL) !=
		1)
		return conf_error(y, c->err, "one of oci, snapshot, disk and bind is wanted");
	e = yaml_get(y, "bind");
	if (!e)
		e = yaml_get(y, "fstype");
	if (e)
		return unsupported(c, e);
	e = yaml_get(y, "upper_size");
	if (e && !yaml_get(y, "oci"))
		return conf_error(e, c->err, "upper_size is a field of oci only");
	if (e) {
		r = text_of(c, e, &text);
		if (r == 0)
			r = fill(c, e, "root-disk", text);
	}
	e = y->first;
	for (; r == 0 && e; e = e->next) {
		if (streq(e->key, "upper_size"))
			continue;
		r = text_of(c, e, &text);
		if (r == 0 && streq(e->key, "disk"))
			r = conf_path(c->conf, e, text, &text, c->err);
		if (r == 0 && !given && streq(e->key, "snapshot"))
			r = fill(c, e, "from-snapshot", text);
		else if (r == 0 && !opt_is_given(c->filler, "from-snapshot"))
			c->conf->image = text;
	}
	return r;
}

static int apply_image(struct ctx *c, const struct yaml *y, const struct field *f)
{
	const char *text = "";
	int r;

	if (y->kind == YAML_MAP)
		return apply_image_map(c, y);
	r = text_of(c, y, &text);
	if (r == 0 && text[0] == '.')
		r = conf_path(c->conf, y, text, &text, c->err);
	if (r == 0 && !opt_is_given(c->filler, "from-snapshot"))
		c->conf->image = text;
	return r;
}

/* One as behind --rlimit. */
static int rlimit_word(struct ctx *c, const struct yaml *y, const char **ret)
{
	static const char *const keys[] = {"resource", "soft", "hard"};
	const char *text[ARRAY_SIZE(keys)] = {NULL};
	int r = want(c, y, YAML_MAP);

	if (r == 0)
		r = only(c, y, keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
		if (yaml_get(y, keys[i]))
			r = text_of(c, yaml_get(y, keys[i]), &text[i]);
	}
	if (r < 0)
		return r;
	if (!text[0] || !text[1])
		return conf_error(y, c->err, "resource and soft are wanted");
	return make(c, y, ret, "%s=%s%s%s", text[0], text[1], text[2] ? ":" : "",
		text[2] ? text[2] : "");
}

static int apply_rlimits(struct ctx *c, const struct yaml *y, const struct field *f)
{
	uint32_t own = c->args->rlimits.n;
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		struct run_rlimits one = {.n = 0};
		const char *word = "";
		bool given = false;

		r = rlimit_word(c, e, &word);
		if (r < 0)
			return r;
		r = run_parse_rlimit(&one, word, c->err);
		if (r < 0)
			return place(c, e, r);
		/* The command line has the last word. */
		for (uint32_t i = 0; i < own; i++)
			given |= c->args->rlimits.list[i].resource == one.list[0].resource;
		if (!given)
			r = fill(c, e, f->option, word);
	}
	return r;
}

static int apply_words(struct ctx *c, const struct yaml *y, struct opt_list *to)
{
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *word = "";

		r = text_of(c, e, &word);
		if (r == 0 && opt_list_add(to, word) < 0)
			r = conf_error(e, c->err, "too many words");
	}
	return r;
}

static int apply_entrypoint(struct ctx *c, const struct yaml *y, const struct field *f)
{
	return opt_is_given(c->filler, "entrypoint") ? 0 : apply_words(c, y, &c->conf->entrypoint);
}

static int apply_cmd(struct ctx *c, const struct yaml *y, const struct field *f)
{
	return apply_words(c, y, &c->conf->cmd);
}

/* NAME=VALUE words in front of those of the command line: the last one counts. */
static int put_in_front(struct ctx *c, const struct yaml *y, struct opt_list *list)
{
	struct opt_list given = *list;
	int r = want(c, y, YAML_MAP);

	*list = (struct opt_list){.n = 0};
	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *value = "";
		const char *word = "";

		if (e->kind != YAML_NULL)
			r = text_of(c, e, &value);
		else
			r = conf_error(e, c->err, "a value is missing; write '' for none");
		if (r == 0 && strchr(e->key, '='))
			r = conf_error(e, c->err, "a name has no '='");
		if (r == 0)
			r = make(c, e, &word, "%s=%s", e->key, value);
		if (r == 0 && opt_list_add(list, word) < 0)
			r = conf_error(e, c->err, "too many entries");
	}
	for (size_t i = 0; i < given.n && r == 0; i++) {
		if (opt_list_add(list, given.items[i]) < 0)
			r = conf_error(y, c->err, "too many entries");
	}
	free(given.items);
	return r;
}

static int apply_init(struct ctx *c, const struct yaml *y, const struct field *f)
{
	static const char *const keys[] = {"cmd", "args", "env"};
	int r = want(c, y, YAML_MAP);

	if (r == 0)
		r = only(c, y, keys, ARRAY_SIZE(keys));
	if (r < 0)
		return r;
	if (yaml_get(y, "args") || yaml_get(y, "env"))
		return unsupported(c, yaml_get(y, yaml_get(y, "args") ? "args" : "env"));
	if (!yaml_get(y, "cmd"))
		return conf_error(y, c->err, "cmd is missing");
	return apply_option(c, yaml_get(y, "cmd"), f);
}

static int apply_env(struct ctx *c, const struct yaml *y, const struct field *f)
{
	return put_in_front(c, y, &c->args->env);
}

static int apply_labels(struct ctx *c, const struct yaml *y, const struct field *f)
{
	return put_in_front(c, y, &c->args->labels);
}

/* Mounts. */

static int put_option(struct ctx *c, const struct yaml *mount, const char *key, const char *option,
	struct buf *words)
{
	const struct yaml *y = yaml_get(mount, key);
	const char *text = NULL;
	bool on = true;
	int r = 0;

	if (!y)
		return 0;
	if (option[strlen(option) - 1] == '=')
		r = text_of(c, y, &text);
	else
		r = bool_of(c, y, &on);
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
static int check_mount(struct ctx *c, const struct yaml *y, const struct mount_kind *k)
{
	static const char *const all[] = {"bind", "named", "disk", "tmpfs", "target", "create",
		"format", "fstype", "readonly", "noexec", "nosuid", "nodev", "stat_virtualization",
		"host_permissions"};
	static const char *const own[][2] = {{"create", "named"}, {"format", "disk"},
		{"fstype", "disk"}, {"stat_virtualization", ""}, {"host_permissions", ""}};
	const struct yaml *e;
	int r = only(c, y, all, ARRAY_SIZE(all));

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

static int tmpfs_size(struct ctx *c, const struct yaml *y, const char **ret)
{
	static const char *const keys[] = {"size"};
	int r = 0;

	*ret = "";
	if (y->kind == YAML_NULL)
		return 0;
	r = want(c, y, YAML_MAP);
	if (r == 0)
		r = only(c, y, keys, ARRAY_SIZE(keys));
	if (r == 0 && yaml_get(y, "size"))
		r = text_of(c, yaml_get(y, "size"), ret);
	if (r == 0 && (*ret)[0])
		r = make(c, y, ret, ":%s", *ret);
	return r;
}

static int mount_word(struct ctx *c, const struct yaml *y, const struct mount_kind *k,
	const char *options, const char **ret)
{
	const struct yaml *target = yaml_get(y, "target");
	const char *source = "";
	const char *to = "";
	int r;

	if (!target)
		return conf_error(y, c->err, "target is missing");
	r = text_of(c, target, &to);
	if (r == 0 && strchr(to, ':'))
		return conf_error(target, c->err, "the path cannot have a ':'");
	if (r < 0)
		return r;
	if (streq(k->key, "tmpfs")) {
		r = tmpfs_size(c, yaml_get(y, k->key), &source);
		return r < 0 ? r : make(c, y, ret, "%s%s%s", to, source, options);
	}
	r = text_of(c, yaml_get(y, k->key), &source);
	if (r == 0 && k->path)
		r = conf_path(c->conf, yaml_get(y, k->key), source, &source, c->err);
	return r < 0 ? r : make(c, y, ret, "%s:%s%s", source, to, options);
}

static int apply_mount(struct ctx *c, const struct yaml *y)
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
		r = fill(c, y, k->option, word);
	buf_deinit(&options);
	return r;
}

/* src:dst[:ro], as behind -v. */
static int apply_mount_text(struct ctx *c, const struct yaml *y)
{
	const char *word = y->text;
	int r = 0;

	if (word[0] == '.')
		r = conf_path(c->conf, y, word, &word, c->err);
	return r < 0 ? r : fill(c, y, "volume", word);
}

static int apply_mounts(struct ctx *c, const struct yaml *y, const struct field *f)
{
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		if (e->kind == YAML_SCALAR) {
			r = apply_mount_text(c, e);
			continue;
		}
		r = want(c, e, YAML_MAP);
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

static int patch_text(struct ctx *c, const struct yaml *op, const char *key, const char **ret)
{
	const struct yaml *y = key ? yaml_get(op, key) : NULL;

	*ret = NULL;
	if (!key)
		return 0;
	return y ? text_of(c, y, ret) : conf_error(op, c->err, "%s is missing", key);
}

static int patch_options(
	struct ctx *c, const struct yaml *y, const struct patch_op *op, struct run_patch *one)
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
		return place(c, mode, r);
	return replace ? bool_of(c, replace, &one->replace) : 0;
}

static int apply_patch_op(struct ctx *c, const struct yaml *y, const struct patch_op *op)
{
	const char *keys[5];
	struct run_patch *one = NULL;
	const char *path = "";
	const char *source = "";
	const char *text = "";
	size_t n = 0;
	int r = want(c, y, YAML_MAP);

	keys[n++] = op->path;
	if (op->source || op->text)
		keys[n++] = op->source ? op->source : op->text;
	if (op->mode)
		keys[n++] = "mode";
	if (op->replace)
		keys[n++] = "replace";
	if (r == 0)
		r = only(c, y, keys, n);
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
		return place(c, y, r);
	return patch_options(c, y, op, one);
}

static int apply_patch(struct ctx *c, const struct yaml *y)
{
	const char *names[ARRAY_SIZE(patch_ops)];
	int r = want(c, y, YAML_MAP);

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
		return unsupported(c, y->first);
	return only(c, y, names, ARRAY_SIZE(names));
}

static int apply_patches(struct ctx *c, const struct yaml *y, const struct field *f)
{
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next)
		r = apply_patch(c, e);
	return r;
}

static int apply_patch_files(struct ctx *c, const struct yaml *y, const struct field *f)
{
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		struct yaml *list = NULL;
		const char *path = "";

		r = text_of(c, e, &path);
		if (r == 0)
			r = conf_path(c->conf, e, path, &path, c->err);
		if (r == 0)
			r = conf_read(c->conf, path, &list, c->err);
		if (r == 0 && list)
			r = apply_patches(c, list, f);
	}
	return r;
}

/* Network. */

static bool net_is_given(const struct ctx *c)
{
	static const char *const options[] = {
		"net", "no-net", "net-default", "net-default-egress", "net-default-ingress"};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (opt_is_given(c->filler, options[i]))
			return true;
	}
	return false;
}

static int apply_policy(struct ctx *c, const struct yaml *y, const struct field *f)
{
	static const char *const names[] = {"none", "public", "open"};
	const char *text = "";
	size_t i = 0;
	int r = text_of(c, y, &text);

	if (r < 0)
		return r;
	while (i < ARRAY_SIZE(names) && !streq(names[i], text))
		i++;
	if (i == ARRAY_SIZE(names))
		return conf_error(y, c->err, "the policy is none, public or open");
	if (net_is_given(c))
		return 0;
	if (i == 0)
		return fill(c, y, "no-net", NULL);
	return fill(c, y, "net", i == 1 ? "public" : "all");
}

static int apply_rules(struct ctx *c, const struct yaml *y, const struct field *f)
{
	int r = want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *text = "";
		const char *word = "";

		r = text_of(c, e, &text);
		if (r == 0)
			r = make(c, e, &word, "%s@%s", f->option, text);
		if (r == 0)
			r = fill(c, e, "net-rule", word);
	}
	return r;
}

/* What is listed is all that is allowed. */
static int apply_allow(struct ctx *c, const struct yaml *y, const struct field *f)
{
	int r = apply_rules(c, y, f);

	return r < 0 || !y->first || net_is_given(c) ? r : fill(c, y, "net-default-egress", "deny");
}

static int apply_dns(struct ctx *c, const struct yaml *y, const struct field *f)
{
	static const char *const keys[] = {"rebind_protection", "nameservers", "query_timeout"};
	static const struct field servers = {.option = "dns-nameserver"};
	const struct yaml *e;
	const char *text = "";
	uint64_t ns = 0;
	bool on = true;
	int r = want(c, y, YAML_MAP);

	if (r == 0)
		r = only(c, y, keys, ARRAY_SIZE(keys));
	e = r == 0 ? yaml_get(y, keys[0]) : NULL;
	if (e) {
		r = bool_of(c, e, &on);
		if (r == 0 && !on)
			r = fill(c, e, "no-dns-rebind-protection", NULL);
	}
	e = r == 0 ? yaml_get(y, keys[1]) : NULL;
	if (e && !opt_is_given(c->filler, servers.option))
		r = apply_options(c, e, &servers);
	e = r == 0 ? yaml_get(y, keys[2]) : NULL;
	if (!e)
		return r;
	r = text_of(c, e, &text);
	if (r == 0 && str_to_duration_ns(text, &ns) < 0)
		r = conf_error(e, c->err, "a duration is wanted, such as 500ms or 3s");
	if (r == 0)
		r = make(c, e, &text, "%" PRIu64, ns / NSEC_PER_MSEC);
	return r < 0 ? r : fill(c, e, "dns-query-timeout-ms", text);
}

static int apply_tls(struct ctx *c, const struct yaml *y, const struct field *f)
{
	static const char *const keys[] = {"enabled", "block_quic", "verify_upstream", "bypass"};
	static const struct field bypass = {.option = "tls-bypass"};
	int r = want(c, y, YAML_MAP);

	if (r == 0)
		r = only(c, y, keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < 3 && r == 0; i++) {
		const struct yaml *e = yaml_get(y, keys[i]);
		bool on = true;

		if (!e)
			continue;
		r = bool_of(c, e, &on);
		if (r == 0 && i == 0 && on)
			r = fill(c, e, "tls-intercept", NULL);
		else if (r == 0 && i == 1 && !on)
			r = fill(c, e, "no-block-quic", NULL);
		/* It can only be left out for named hosts. */
		else if (r == 0 && i == 2 && !on)
			r = unsupported(c, e);
	}
	if (r == 0 && yaml_get(y, "bypass"))
		r = apply_options(c, yaml_get(y, "bypass"), &bypass);
	return r;
}

static int apply_scripts(struct ctx *c, const struct yaml *y)
{
	const char *shell = c->args->shell ? c->args->shell : "/bin/sh";
	uint32_t own = c->args->scripts.n;
	int r = want(c, y, YAML_MAP);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		cleanup_free char *word = NULL;
		const char *body = "";
		bool given = false;

		r = text_of(c, e, &body);
		for (uint32_t i = 0; i < own; i++)
			given |= streq(c->args->scripts.list[i].name, e->key);
		if (r < 0 || given)
			continue;
		if (strchr(e->key, '='))
			return conf_error(e, c->err, "a name has no '='");
		/* As it is if it says itself what runs it. */
		if (str_starts(body, "#!") ? asprintf(&word, "%s=%s", e->key, body) < 0
					   : asprintf(&word, "%s=#!%s%s\n%s\n", e->key,
						     strchr(shell, '/') ? "" : "/usr/bin/env ",
						     shell, body) < 0) {
			word = NULL;
			return msb_err_errno(c->err, -ENOMEM, "reading a script");
		}
		r = fill(c, e, "script-raw", word);
	}
	return r;
}

static const struct field fields[] = {
	{NULL, "image", apply_image, NULL},
	{NULL, "pull_policy", apply_option, "pull"},
	{NULL, "registry", apply_unsupported, NULL},
	{NULL, "ports", apply_options, "port"},
	{"resources", "cpus", apply_option, "cpus"},
	{"resources", "memory", apply_option, "memory"},
	{"resources", "max_cpus", apply_option, "max-cpus"},
	{"resources", "max_memory", apply_option, "max-memory"},
	{"resources", "max_duration", apply_option, "max-duration"},
	{"resources", "idle_timeout", apply_option, "idle-timeout"},
	{"resources", "rlimits", apply_rlimits, "rlimit"},
	{"runtime", "workdir", apply_option, "workdir"},
	{"runtime", "shell", apply_option, "shell"},
	{"runtime", "user", apply_option, "user"},
	{"runtime", "hostname", apply_option, "hostname"},
	{"runtime", "security", apply_option, "security"},
	{"runtime", "entrypoint", apply_entrypoint, NULL},
	{"runtime", "cmd", apply_cmd, NULL},
	{"runtime", "env", apply_env, NULL},
	{"runtime", "labels", apply_labels, NULL},
	{"runtime", "init", apply_init, "init"},
	{"fs", "mounts", apply_mounts, NULL},
	{"fs", "patch_files", apply_patch_files, NULL},
	{"fs", "patches", apply_patches, NULL},
	{"net", "policy", apply_policy, NULL},
	{"net", "deny", apply_rules, "deny"},
	{"net", "allow", apply_allow, "allow"},
	{"net", "ports", apply_options, "port"},
	{"net", "dns", apply_dns, NULL},
	{"net", "tls", apply_tls, NULL},
	{"net", "trust_host_cas", apply_unsupported, NULL},
	{"net", "max_connections", apply_option, "max-connections"},
};

/* Every entry of @map is one of @group's; then what each of them says. */
static int apply_group(struct ctx *c, const struct yaml *map, const char *group)
{
	const char *keys[ARRAY_SIZE(fields) + CONF_SCOPES];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (group ? fields[i].group && streq(fields[i].group, group) : !fields[i].group)
			keys[n++] = fields[i].key;
	}
	for (size_t i = 1; i < CONF_SCOPES && !group; i++)
		keys[n++] = conf_groups[i];
	r = only(c, map, keys, n);
	for (size_t i = 0; i < ARRAY_SIZE(fields) && r == 0; i++) {
		const struct field *f = &fields[i];
		bool here = group ? f->group && streq(f->group, group) : !f->group;
		const struct yaml *y = here ? yaml_get(map, f->key) : NULL;

		if (y && y->kind == YAML_NULL)
			r = conf_error(y, c->err, "the value of %s is missing", f->key);
		else if (y)
			r = f->apply(c, y, f);
	}
	return r;
}

static int apply_all(struct ctx *c, const struct yaml *root)
{
	int r = apply_group(c, root, NULL);

	for (size_t i = 1; i < CONF_SCOPES && r == 0; i++) {
		const struct yaml *y = yaml_get(root, conf_groups[i]);

		if (!y || y->kind == YAML_NULL)
			continue;
		if (i == CONF_SECRETS)
			return unsupported(c, y);
		if (i == CONF_SCRIPTS)
			r = apply_scripts(c, y);
		else
			r = want(c, y, YAML_MAP);
		if (r == 0 && i != CONF_SCRIPTS)
			r = apply_group(c, y, conf_groups[i]);
	}
	return r;
}

/* Those of the command line come last: they see what the files made. */
static int append_patches(struct run_patches *to, struct run_patches *given, struct msb_err *err)
{
	struct run_patch *more;

	if (given->n == 0)
		return 0;
	more = realloc(to->list, (to->n + given->n) * sizeof(*more));
	if (!more) {
		run_patches_deinit(given);
		return msb_err_errno(err, -ENOMEM, "reading the configuration");
	}
	memcpy(more + to->n, given->list, given->n * sizeof(*more));
	to->list = more;
	to->n += given->n;
	free(given->list);
	return 0;
}

int conf_fill(void *args, struct opt_filler *f, struct msb_err *err)
{
	struct create_args *a = args;
	struct ctx c = {.conf = &a->conf, .args = a, .filler = f, .err = err};
	struct run_patches given;
	struct yaml *root = NULL;
	int r;
	int e;

	if (a->conf.n == 0)
		return 0;
	r = conf_load(&a->conf, &root, err);
	if (r < 0 || !root)
		return r;
	given = a->patches;
	a->patches = (struct run_patches){.n = 0};
	r = apply_all(&c, root);
	e = append_patches(&a->patches, &given, err);
	return r < 0 ? r : e;
}
