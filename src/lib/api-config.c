/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what a new sandbox is to be, in words for the table of msb create, and making it. */
#include "base/str.h"

#include "lib/api-pull.h"
#include "lib/api-words.h"
#include "lib/api.h"
#include "lib/config.h"
#include "lib/create.h"
#include "lib/life.h"
#include "msb/sandbox.h"

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
	const struct msb *m;
	struct msb_create_options o;
	struct config config;
	struct create_args args; /* unless they were parsed before */
	struct create create;
	struct api_parsed parsed;
	struct opt_words rest; /* the image and the command */
	struct api_watching watching;
	struct api_cancel cancel;
	const struct cancel *asked; /* of this phase, NULL: none */
	struct life_error err;
};

/* The caller may choose here how the phase can be ended. */
static int enter(struct creation *n, enum msb_phase phase, const char *image, struct msb_err *err)
{
	int r = n->o.phase ? n->o.phase(n->o.arg, (int)phase, image) : 0;
	bool before = n->cancel.asked;

	n->asked = api_cancel_begin(&n->cancel, n->m);
	n->cancel.asked = before;
	return r < 0 ? msb_err_errno(err, r, "making the sandbox") : 0;
}

static int on_begin(void *arg, const char *word, bool quiet, struct msb_err *err)
{
	struct creation *n = container_of((struct api_watching *)arg, struct creation, watching);
	int r = enter(n, MSB_PHASE_DOWNLOAD, word, err);

	n->watching.inner.cancel = n->asked;
	return r;
}

static void on_end(void *arg)
{
	struct creation *n = container_of((struct api_watching *)arg, struct creation, watching);

	/* What went wrong is known already. */
	(void)enter(n, MSB_PHASE_PREPARE, "", NULL);
}

static void tell_pulled(const struct creation *n)
{
	const struct create *cr = &n->create;
	struct msb_pull_result result = MSB_PULL_RESULT_INIT;

	if (!n->o.pulled || !cr->pulled.made)
		return;
	api_pull_result(&cr->pulled, &cr->image.ref, &result);
	n->o.pulled(n->o.arg, cr->spec.image, &result);
}

/* The default is the host itself; more than that should be meant. */
static void tell_open_ports(const struct creation *n)
{
	const struct net_ports *ports = &n->create.spec.net.ports;
	char text[NET_PORT_TEXT];

	for (uint32_t i = 0; n->o.open_port && i < ports->n; i++) {
		if (net_addr_class(&ports->list[i].bind) != NET_CLASS_LOOPBACK)
			n->o.open_port(n->o.arg, net_port_host_text(&ports->list[i], text));
	}
}

static int boot(struct creation *n, struct msb_err *err)
{
	struct create *cr = &n->create;
	int r = enter(n, MSB_PHASE_BOOT, "", err);

	if (r < 0)
		return r;
	return life_create(&cr->spec, cr->image.fd >= 0 ? cr->image.fd : -1,
		cr->spec.prepare ? &cr->preparation : NULL, n->asked, &n->err);
}

/* What the words behind the options are. */
static int set_rest(struct creation *n, const struct msb_config *c)
{
	n->rest.command = c->command;
	while (c->command && c->command[n->rest.n_command])
		n->rest.n_command++;
	return c->image ? opt_list_add(&n->rest.operands, c->image) : 0;
}

static int make(
	struct creation *n, const struct msb_config *c, struct create_args *args, char *ret_name)
{
	struct create *cr = &n->create;
	struct msb_err *err = &n->err.err;
	int r;

	create_init(cr, args);
	api_watching_init(&n->watching, n->o.watch, NULL);
	n->watching.inner.begin = on_begin;
	n->watching.inner.end = on_end;
	cr->watch = &n->watching.inner;
	cr->main_command = c->command != NULL;
	args->quiet = n->o.quiet || !n->o.watch;
	args->log_level = (int)n->m->log_level;
	memcpy(cr->home, n->m->home, sizeof(cr->home));
	memcpy(cr->lib_dir, n->m->lib_dir, sizeof(cr->lib_dir));
	r = api_lib_dir(n->m, err) ? set_rest(n, c) : -ENOENT;
	if (r == 0)
		r = create_describe(cr, &n->rest, err);
	cr->spec.ephemeral = false;
	cr->spec.detached = true;
	cr->spec.orphan = true;
	if (r == 0)
		r = create_refuse_existing(cr, err);
	if (r == 0)
		r = create_prepare(cr, &n->rest, err);
	if (r == 0) {
		tell_pulled(n);
		tell_open_ports(n);
		r = boot(n, err);
	}
	if (r == 0 && ret_name)
		(void)snprintf(ret_name, MSB_NAME_SIZE, "%s", cr->spec.name);
	create_deinit(cr);
	free(n->rest.operands.items);
	return r;
}

static int parse_and_make(struct creation *n, const struct msb_config *c, char *ret_name)
{
	struct opt_program prog = {
		.name = "msb", .configured = configured, .configured_arg = &n->config};
	int r;

	if (c->parsed)
		return make(n, c, c->parsed, ret_name);
	r = config_load(n->m->home, &n->config, &n->err.err);
	if (r == 0) {
		r = api_parse(&n->parsed, &c->words, &table, &prog, &n->args, &n->err.err);
		if (r == 0)
			r = make(n, c, &n->args, ret_name);
		api_parsed_deinit(&n->parsed);
	}
	config_deinit(&n->config);
	return r;
}

int msb_create_watched(struct msb *m, const struct msb_config *c,
	const struct msb_create_options *options, char *ret_name, struct msb_error *error)
{
	struct creation *n = calloc(1, sizeof(*n));
	struct msb_err none = {0};
	int r;

	_Static_assert(MSB_NAME_SIZE == LIMIT_SANDBOX_NAME + 1, "names fit");
	if (!n)
		return api_fail(error, &none, -ENOMEM);
	n->m = m;
	n->o = (struct msb_create_options)MSB_CREATE_OPTIONS_INIT;
	if (options)
		memcpy(&n->o, options, MIN(options->size, sizeof(n->o)));
	n->asked = api_cancel_begin(&n->cancel, m);
	r = parse_and_make(n, c, ret_name);
	r = api_cancel_end(&n->cancel, error, &n->err.err, r);
	if (r < 0)
		api_console(error, n->err.console);
	free(n);
	return r;
}

int msb_create(struct msb *m, const struct msb_config *c, char *ret_name, struct msb_error *error)
{
	return msb_create_watched(m, c, NULL, ret_name, error);
}
