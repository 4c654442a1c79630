/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in a sandbox: see run-config.h. */
#include "lib/run-config.h"

#include "base/signame.h"
#include "base/str.h"

#define DEFAULT_SHELL "/bin/sh"
#define SCRIPTS	      "/.msb/scripts"
/* As the agent has it. */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const struct oci_config no_image = {
	.os = "", .architecture = "", .variant = "", .user = "", .workdir = "", .stop_signal = ""};

/* Labels that mean something to us; an image may not set them. */
static const char *const reserved_labels[] = {"sandbox.", "microsandbox.", "service."};

static int add_all(struct opt_list *list, const char *const *items, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = opt_list_add(list, items[i]);
	return r;
}

static int merge_argv(
	const struct oci_config *image, const struct run_wish *wish, struct run_config *c)
{
	struct opt_list *argv = &c->argv;
	int r = 0;

	bool own = wish->entrypoint || wish->entry_words.n;

	if (!wish->entrypoint && own)
		r = add_all(argv, wish->entry_words.items, wish->entry_words.n);
	else if (!own)
		r = add_all(argv, image->entrypoint.items, image->entrypoint.n);
	else if (wish->entrypoint[0])
		r = opt_list_add(argv, wish->entrypoint);
	if (r == 0 && wish->n_command)
		r = add_all(argv, wish->command, wish->n_command);
	else if (r == 0 && !own)
		r = add_all(argv, image->cmd.items, image->cmd.n);
	c->is_shell = argv->n == 0;
	if (r == 0 && c->is_shell)
		r = opt_list_add(argv, wish->shell ? wish->shell : DEFAULT_SHELL);
	return r;
}

/* A later entry of the same name takes the place of the earlier one. */
static int put_variable(struct opt_list *env, const char *entry)
{
	size_t name = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->items[i], entry, name) == 0) {
			env->items[i] = entry;
			return 0;
		}
	}
	return opt_list_add(env, entry);
}

static int merge_env(
	const struct oci_config *image, const struct run_wish *wish, struct opt_list *env)
{
	int r = 0;

	/* An entry of an image that is no NAME=VALUE has no meaning to any program. */
	for (size_t i = 0; i < image->env.n && r == 0; i++) {
		const char *entry = image->env.items[i];

		if (entry[0] != '=' && strchr(entry, '='))
			r = put_variable(env, entry);
	}
	for (size_t i = 0; i < wish->env.n && r == 0; i++)
		r = put_variable(env, wish->env.items[i]);
	return r;
}

/* Scripts come first: they are the user's. */
static int add_scripts(struct run_config *c)
{
	const char *old = DEFAULT_PATH;

	for (size_t i = 0; i < c->env.n; i++) {
		if (str_starts(c->env.items[i], "PATH="))
			old = c->env.items[i] + strlen("PATH=");
	}
	if (asprintf(&c->path, "PATH=" SCRIPTS "%s%s", old[0] ? ":" : "", old) < 0) {
		c->path = NULL;
		return -ENOMEM;
	}
	return put_variable(&c->env, c->path);
}

static bool label_is_reserved(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved_labels); i++) {
		if (str_starts(name, reserved_labels[i]))
			return true;
	}
	return false;
}

/* As for variables; there is room. */
static void put_label(struct run_config *c, const char *name, const char *value)
{
	size_t i = 0;

	while (i < c->n_labels && !streq(c->labels[i].name, name))
		i++;
	c->labels[i] = (struct sandbox_label){.name = name, .value = value};
	c->n_labels = MAX(c->n_labels, i + 1);
}

static int merge_labels(
	const struct oci_config *image, const struct run_wish *wish, struct run_config *ret)
{
	if (image->n_labels + wish->n_labels == 0)
		return 0;
	ret->labels = calloc(image->n_labels + wish->n_labels, sizeof(ret->labels[0]));
	if (!ret->labels)
		return -ENOMEM;
	ret->n_labels = 0;
	for (size_t i = 0; i < image->n_labels; i++) {
		const struct oci_label *l = &image->labels[i];

		if (l->name[0] && !label_is_reserved(l->name))
			put_label(ret, l->name, l->value);
	}
	for (size_t i = 0; i < wish->n_labels; i++)
		put_label(ret, wish->labels[i].name, wish->labels[i].value);
	return 0;
}

/* A relative one of an image counts from the root. */
static int merge_workdir(const struct oci_config *image, const struct run_wish *wish,
	struct run_config *ret, struct msb_err *err)
{
	const char *dir = wish->workdir ? wish->workdir : image->workdir;
	int n = snprintf(ret->workdir, sizeof(ret->workdir), "%s%s",
		dir[0] && dir[0] != '/' ? "/" : "", dir);

	if (n >= 0 && (size_t)n < sizeof(ret->workdir))
		return 0;
	return msb_err_set(
		err, -ENAMETOOLONG, MSB_USAGE, "the path of the working directory is too long");
}

int run_config_merge(const struct oci_config *image, const struct run_wish *wish,
	struct run_config *ret, struct msb_err *err)
{
	char quoted[120];
	int r;

	*ret = (struct run_config){.user = ""};
	if (!image)
		image = &no_image;
	if (image->os[0] && !streq(image->os, "linux"))
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"the image is made for %s, not for Linux",
			str_quote(quoted, sizeof(quoted), image->os, strlen(image->os)));
	r = merge_argv(image, wish, ret);
	if (r == -E2BIG)
		return msb_err_set(
			err, r, MSB_USAGE, "the command has more than %u words", LIMIT_ARGV);
	if (r == 0)
		r = merge_env(image, wish, &ret->env);
	if (r == 0 && wish->scripts)
		r = add_scripts(ret);
	if (r == -E2BIG)
		return msb_err_set(err, r, MSB_LIMIT, "the environment has more than %u variables",
			LIMIT_ARGV);
	if (r == 0)
		r = merge_labels(image, wish, ret);
	if (r < 0)
		return msb_err_errno(err, r, "merging the image's configuration");
	ret->user = wish->user ? wish->user : image->user;
	/* As elsewhere, what is no signal is the usual one. */
	if (signame_parse(image->stop_signal, &ret->stop_signal) < 0)
		ret->stop_signal = 0;
	return merge_workdir(image, wish, ret, err);
}

void run_config_deinit(struct run_config *c)
{
	free(c->argv.items);
	free(c->env.items);
	free(c->path);
	free(c->labels);
	*c = (struct run_config){.user = ""};
}
