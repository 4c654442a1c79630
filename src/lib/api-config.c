/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what a new sandbox is to be, in words for the table of msb create, and making it. */
#include "base/str.h"

#include "lib/api-words.h"
#include "lib/api.h"
#include "lib/config.h"
#include "lib/create.h"
#include "lib/life.h"
#include "msb/sandbox.h"

struct msb_config {
	struct opt_list words;
	char *image; /* NULL: the default */
	char **command; /* NULL: none */
};

static void release_args(void *args)
{
	struct create_args *a = args;

	run_volumes_deinit(&a->volumes);
	run_net_deinit(&a->net);
	run_tmpfs_deinit(&a->tmpfs);
	run_scripts_deinit(&a->scripts);
	run_patches_deinit(&a->patches);
	run_conf_deinit(&a->conf);
	run_root_disk_deinit(&a->root_disk);
}

static const struct opt_command command = {
	.name = "create", .opts = create_opts, .n_opts = OPT_ENDED, .takes_command = true};
static const struct api_table table = {.command = &command,
	.args_size = sizeof(struct create_args),
	.release = release_args,
	.noun = "a sandbox",
	.page = "msb-create(1)"};

struct msb_config *msb_config_new(void)
{
	return calloc(1, sizeof(struct msb_config));
}

struct msb_config *msb_config_free(struct msb_config *c)
{
	if (!c)
		return NULL;
	api_words_deinit(&c->words);
	free(c->image);
	free(c->command);
	free(c);
	return NULL;
}

int msb_config_set(
	struct msb_config *c, const char *option, const char *value, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, api_words_set(&c->words, &table, option, value, &err));
}

int msb_config_set_image(struct msb_config *c, const char *image, struct msb_error *error)
{
	struct msb_err err = {0};
	char *copy;

	if (!image[0])
		return api_fail(error, &err, msb_err_usage(&err, "the image is empty"));
	copy = strdup(image);
	if (!copy)
		return api_fail(error, &err, -ENOMEM);
	free(c->image);
	c->image = copy;
	return 0;
}

int msb_config_set_command(struct msb_config *c, const char *const *argv, struct msb_error *error)
{
	struct msb_err err = {0};
	char **copy;

	if (!argv[0])
		return api_fail(error, &err, msb_err_usage(&err, "the command has no words"));
	copy = api_list_dup(argv);
	if (!copy)
		return api_fail(error, &err, -ENOMEM);
	free(c->command);
	c->command = copy;
	return 0;
}

static int configured(
	void *arg, const char *key, char number[OPT_NUMBER], const char **ret, struct msb_err *err)
{
	return config_text(arg, key, number, ret, err);
}

/* One call of msb_create(). */
struct creation {
	struct config config;
	struct create_args args;
	struct create create;
	struct api_parsed parsed;
	struct opt_words rest; /* the image and the command */
	struct pull_watch watch;
	struct life_error err;
};

static int make(const struct msb *m, const struct msb_config *c, struct creation *n,
	const struct cancel *cancel, char *ret_name)
{
	struct create *cr = &n->create;
	struct msb_err *err = &n->err.err;
	int r;

	create_init(cr, &n->args);
	n->watch.cancel = cancel;
	cr->watch = &n->watch;
	cr->main_command = c->command != NULL;
	n->args.quiet = true;
	n->args.log_level = (int)m->log_level;
	memcpy(cr->home, m->home, sizeof(cr->home));
	memcpy(cr->lib_dir, m->lib_dir, sizeof(cr->lib_dir));
	n->rest.command = c->command;
	while (c->command && c->command[n->rest.n_command])
		n->rest.n_command++;
	r = c->image ? opt_list_add(&n->rest.operands, c->image) : 0;
	if (r == 0)
		r = create_describe(cr, &n->rest, err);
	cr->spec.ephemeral = false;
	cr->spec.detached = true;
	cr->spec.orphan = true;
	if (r == 0)
		r = create_refuse_existing(cr, err);
	if (r == 0)
		r = create_prepare(cr, &n->rest, err);
	if (r == 0)
		r = life_create(&cr->spec, cr->image.fd >= 0 ? cr->image.fd : -1,
			cr->spec.prepare ? &cr->preparation : NULL, cancel, &n->err);
	if (r == 0 && ret_name)
		(void)snprintf(ret_name, MSB_NAME_SIZE, "%s", cr->spec.name);
	create_deinit(cr);
	free(n->rest.operands.items);
	return r;
}

int msb_create(struct msb *m, const struct msb_config *c, char *ret_name, struct msb_error *error)
{
	struct creation *n = calloc(1, sizeof(*n));
	struct msb_err none = {0};
	struct opt_program prog = {
		.name = "msb", .configured = configured, .configured_arg = n ? &n->config : NULL};
	struct api_cancel cancel;
	const struct cancel *asked = api_cancel_begin(&cancel, m);
	int r;

	_Static_assert(MSB_NAME_SIZE == LIMIT_SANDBOX_NAME + 1, "names fit");
	if (!n)
		return api_fail(error, &none, -ENOMEM);
	r = api_lib_dir(m, &n->err.err) ? config_load(m->home, &n->config, &n->err.err) : -ENOENT;
	if (r == 0) {
		r = api_parse(&n->parsed, &c->words, &table, &prog, &n->args, &n->err.err);
		if (r == 0)
			r = make(m, c, n, asked, ret_name);
		api_parsed_deinit(&n->parsed);
	}
	r = api_cancel_end(&cancel, error, &n->err.err, r);
	if (r < 0)
		api_console(error, n->err.console);
	config_deinit(&n->config);
	free(n);
	return r;
}
