/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of configuration files to options: see conf.h.
 *
 * A table says what becomes of each field. Most are the value of an option of the command line,
 * whose parser checks it; the message then begins with the place in the file.
 */
#include "lib/conf.h"

#include "base/str.h"

#include "lib/conf-fields.h"
#include "lib/conf-internal.h"
#include "lib/create.h"

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

/* Fields. */

static int apply_unsupported(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	return conf_unsupported(c, y);
}

static int apply_image_map(struct conf_ctx *c, const struct yaml *y)
{
	static const char *const keys[] = {
		"oci", "upper_size", "snapshot", "disk", "fstype", "bind"};
	bool given = opt_operands_given(c->filler) > 0;
	const struct yaml *e;
	const char *text = "";
	int r = conf_only(c, y, keys, ARRAY_SIZE(keys));

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
		return conf_unsupported(c, e);
	e = yaml_get(y, "upper_size");
	if (e && !yaml_get(y, "oci"))
		return conf_error(e, c->err, "upper_size is a field of oci only");
	if (e) {
		r = conf_text(c, e, &text);
		if (r == 0)
			r = conf_option(c, e, "root-disk", text);
	}
	e = y->first;
	for (; r == 0 && e; e = e->next) {
		if (streq(e->key, "upper_size"))
			continue;
		r = conf_text(c, e, &text);
		if (r == 0 && streq(e->key, "disk"))
			r = conf_path(c->conf, e, text, &text, c->err);
		if (r == 0 && !given && streq(e->key, "snapshot"))
			r = conf_option(c, e, "from-snapshot", text);
		else if (r == 0 && !opt_is_given(c->filler, "from-snapshot"))
			c->conf->image = text;
	}
	return r;
}

static int apply_image(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	const char *text = "";
	int r;

	if (y->kind == YAML_MAP)
		return apply_image_map(c, y);
	r = conf_text(c, y, &text);
	if (r == 0 && text[0] == '.')
		r = conf_path(c->conf, y, text, &text, c->err);
	if (r == 0 && !opt_is_given(c->filler, "from-snapshot"))
		c->conf->image = text;
	return r;
}

/* A list of options that begin with a path. */
static int apply_paths(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *text = "";

		r = conf_text(c, e, &text);
		if (r == 0)
			r = conf_path(c->conf, e, text, &text, c->err);
		if (r == 0)
			r = conf_option(c, e, f->option, text);
	}
	return r;
}

/* One as behind --rlimit. */
static int rlimit_word(struct conf_ctx *c, const struct yaml *y, const char **ret)
{
	static const char *const keys[] = {"resource", "soft", "hard"};
	const char *text[ARRAY_SIZE(keys)] = {NULL};
	int r = conf_want(c, y, YAML_MAP);

	if (r == 0)
		r = conf_only(c, y, keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
		if (yaml_get(y, keys[i]))
			r = conf_text(c, yaml_get(y, keys[i]), &text[i]);
	}
	if (r < 0)
		return r;
	if (!text[0] || !text[1])
		return conf_error(y, c->err, "resource and soft are wanted");
	return conf_make(c, y, ret, "%s=%s%s%s", text[0], text[1], text[2] ? ":" : "",
		text[2] ? text[2] : "");
}

static int apply_rlimits(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	uint32_t own = c->args->rlimits.n;
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		struct run_rlimits one = {.n = 0};
		const char *word = "";
		bool given = false;

		r = rlimit_word(c, e, &word);
		if (r < 0)
			return r;
		r = run_parse_rlimit(&one, word, c->err);
		if (r < 0)
			return conf_place(c, e, r);
		/* The command line has the last word. */
		for (uint32_t i = 0; i < own; i++)
			given |= c->args->rlimits.list[i].resource == one.list[0].resource;
		if (!given)
			r = conf_option(c, e, f->option, word);
	}
	return r;
}

static int apply_words(struct conf_ctx *c, const struct yaml *y, struct opt_list *to)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *word = "";

		r = conf_text(c, e, &word);
		if (r == 0 && opt_list_add(to, word) < 0)
			r = conf_error(e, c->err, "too many words");
	}
	return r;
}

static int apply_entrypoint(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	return opt_is_given(c->filler, "entrypoint") ? 0 : apply_words(c, y, &c->conf->entrypoint);
}

static int apply_cmd(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	return apply_words(c, y, &c->conf->cmd);
}

/* NAME=VALUE words in front of those of the command line: the last one counts. */
static int put_in_front(struct conf_ctx *c, const struct yaml *y, struct opt_list *list)
{
	struct opt_list given = *list;
	int r = conf_want(c, y, YAML_MAP);

	*list = (struct opt_list){.n = 0};
	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *value = "";
		const char *word = "";

		if (e->kind != YAML_NULL)
			r = conf_text(c, e, &value);
		else
			r = conf_error(e, c->err, "a value is missing; write '' for none");
		if (r == 0 && strchr(e->key, '='))
			r = conf_error(e, c->err, "a name has no '='");
		if (r == 0)
			r = conf_make(c, e, &word, "%s=%s", e->key, value);
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

static int apply_init(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	static const char *const keys[] = {"cmd", "args", "env"};
	static const struct conf_field args = {.option = "init-arg"};
	int r = conf_want(c, y, YAML_MAP);

	if (r == 0)
		r = conf_only(c, y, keys, ARRAY_SIZE(keys));
	if (r == 0 && !yaml_get(y, "cmd"))
		r = conf_error(y, c->err, "cmd is missing");
	if (r == 0)
		r = conf_apply_option(c, yaml_get(y, "cmd"), f);
	if (r == 0 && yaml_get(y, "args") && !opt_is_given(c->filler, args.option))
		r = conf_apply_options(c, yaml_get(y, "args"), &args);
	if (r == 0 && yaml_get(y, "env"))
		r = put_in_front(c, yaml_get(y, "env"), &c->args->init_env);
	return r;
}

static int apply_env(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	return put_in_front(c, y, &c->args->env);
}

static int apply_labels(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	return put_in_front(c, y, &c->args->labels);
}

static int apply_scripts(struct conf_ctx *c, const struct yaml *y)
{
	const char *shell = c->args->shell ? c->args->shell : "/bin/sh";
	uint32_t own = c->args->scripts.n;
	int r = conf_want(c, y, YAML_MAP);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		cleanup_free char *word = NULL;
		const char *body = "";
		bool given = false;

		r = conf_text(c, e, &body);
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
		r = conf_option(c, e, "script-raw", word);
	}
	return r;
}

static const struct conf_field fields[] = {
	{NULL, "image", apply_image, NULL},
	{NULL, "pull_policy", conf_apply_option, "pull"},
	{NULL, "registry", apply_unsupported, NULL},
	{NULL, "ports", conf_apply_options, "port"},
	{NULL, "vsock", apply_paths, "vsock"},
	{"resources", "cpus", conf_apply_option, "cpus"},
	{"resources", "memory", conf_apply_option, "memory"},
	{"resources", "max_cpus", conf_apply_option, "max-cpus"},
	{"resources", "max_memory", conf_apply_option, "max-memory"},
	{"resources", "max_duration", conf_apply_option, "max-duration"},
	{"resources", "idle_timeout", conf_apply_option, "idle-timeout"},
	{"resources", "rlimits", apply_rlimits, "rlimit"},
	{"runtime", "workdir", conf_apply_option, "workdir"},
	{"runtime", "shell", conf_apply_option, "shell"},
	{"runtime", "user", conf_apply_option, "user"},
	{"runtime", "hostname", conf_apply_option, "hostname"},
	{"runtime", "security", conf_apply_option, "security"},
	{"runtime", "entrypoint", apply_entrypoint, NULL},
	{"runtime", "cmd", apply_cmd, NULL},
	{"runtime", "env", apply_env, NULL},
	{"runtime", "labels", apply_labels, NULL},
	{"runtime", "init", apply_init, "init"},
	{"fs", "mounts", conf_apply_mounts, NULL},
	{"fs", "patch_files", conf_apply_patch_files, NULL},
	{"fs", "patches", conf_apply_patches, NULL},
	{"net", "policy", conf_apply_policy, NULL},
	{"net", "deny", conf_apply_rules, "deny"},
	{"net", "allow", conf_apply_allow, "allow"},
	{"net", "ports", conf_apply_options, "port"},
	{"net", "dns", conf_apply_dns, NULL},
	{"net", "tls", conf_apply_tls, NULL},
	{"net", "trust_host_cas", conf_apply_flag, "trust-host-cas"},
	{"net", "max_connections", conf_apply_option, "max-connections"},
};

/* Every entry of @map is one of @group's; then what each of them says. */
static int apply_group(struct conf_ctx *c, const struct yaml *map, const char *group)
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
	r = conf_only(c, map, keys, n);
	for (size_t i = 0; i < ARRAY_SIZE(fields) && r == 0; i++) {
		const struct conf_field *f = &fields[i];
		bool here = group ? f->group && streq(f->group, group) : !f->group;
		const struct yaml *y = here ? yaml_get(map, f->key) : NULL;

		if (y && y->kind == YAML_NULL)
			r = conf_error(y, c->err, "the value of %s is missing", f->key);
		else if (y)
			r = f->apply(c, y, f);
	}
	return r;
}

static int apply_all(struct conf_ctx *c, const struct yaml *root)
{
	int r = apply_group(c, root, NULL);

	for (size_t i = 1; i < CONF_SCOPES && r == 0; i++) {
		const struct yaml *y = yaml_get(root, conf_groups[i]);

		if (!y || y->kind == YAML_NULL)
			continue;
		if (i == CONF_SCRIPTS)
			r = apply_scripts(c, y);
		else
			r = conf_want(c, y, YAML_MAP);
		if (r == 0 && i == CONF_SECRETS)
			r = conf_apply_secrets(c, y);
		else if (r == 0 && i != CONF_SCRIPTS)
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
	struct conf_ctx c = {.conf = &a->conf, .args = a, .filler = f, .err = err};
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
