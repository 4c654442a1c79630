/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: making sandboxes. */
#include "lib/api-create.h"

#include "base/str.h"

static int configured(
	void *arg, const char *key, char number[OPT_NUMBER], const char **ret, struct msb_err *err)
{
	return config_text(arg, key, number, ret, err);
}

int creation_enter(struct creation *n, enum msb_phase phase, const char *what, struct msb_err *err)
{
	int r = n->o.phase ? n->o.phase(n->o.arg, (int)phase, what) : 0;
	bool before = n->cancel.asked;

	n->asked = api_cancel_begin(&n->cancel, n->m);
	n->cancel.asked = before;
	return r < 0 ? msb_err_errno(err, r, "making the sandbox") : 0;
}

static int on_begin(void *arg, const char *word, bool quiet, struct msb_err *err)
{
	struct creation *n = container_of((struct api_watching *)arg, struct creation, watching);
	int r = creation_enter(n, MSB_PHASE_DOWNLOAD, word, err);

	n->watching.inner.cancel = n->asked;
	return r;
}

static void on_end(void *arg)
{
	struct creation *n = container_of((struct api_watching *)arg, struct creation, watching);

	/* What went wrong is known already. */
	if (creation_enter(n, MSB_PHASE_PREPARE, "", NULL) < 0)
		return;
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

/* What the words behind the options are. */
static int set_rest(struct creation *n, const struct msb_config *c)
{
	n->rest.command = c->command;
	while (c->command && c->command[n->rest.n_command])
		n->rest.n_command++;
	return c->image ? opt_list_add(&n->rest.operands, c->image) : 0;
}

static int describe(
	struct creation *n, const struct msb_config *c, struct create_args *args, bool background)
{
	struct create *cr = &n->create;
	struct msb_err *err = &n->err.err;
	int r;

	create_init(cr, args);
	n->begun = true;
	api_watching_init(&n->watching, n->o.watch, NULL);
	n->watching.inner.begin = on_begin;
	n->watching.inner.end = on_end;
	cr->watch = &n->watching.inner;
	cr->main_command = background && (n->o.run || c->command);
	args->quiet = n->o.quiet || !n->o.watch;
	args->log_level = (int)n->m->log_level;
	memcpy(cr->home, n->m->home, sizeof(cr->home));
	memcpy(cr->lib_dir, n->m->lib_dir, sizeof(cr->lib_dir));
	r = api_lib_dir(n->m, err) ? set_rest(n, c) : -ENOENT;
	if (r == 0)
		r = create_describe(cr, &n->rest, err);
	cr->spec.ephemeral = n->o.run && !args->name;
	cr->spec.detached = background;
	cr->spec.orphan = background || !n->m->children;
	return r;
}

static int prepare(struct creation *n)
{
	struct create *cr = &n->create;
	int r = 0;

	if (n->o.run && create_exists(cr)) {
		n->existing = true;
		return creation_enter(n, MSB_PHASE_EXISTING, cr->spec.name, &n->err.err);
	}
	if (!n->o.run)
		r = create_refuse_existing(cr, &n->err.err);
	if (r == 0)
		r = create_prepare(cr, &n->rest, &n->err.err);
	if (r < 0)
		return r;
	tell_pulled(n);
	tell_open_ports(n);
	return 0;
}

int creation_prepare(struct creation *n, const struct msb_config *c, bool background)
{
	int r = 0;

	n->prog = (struct opt_program){
		.name = "msb", .configured = configured, .configured_arg = &n->config};
	n->asked = api_cancel_begin(&n->cancel, n->m);
	if (!c->parsed) {
		r = config_load(n->m->home, &n->config, &n->err.err);
		if (r == 0)
			r = api_parse(&n->parsed, &c->words, &api_config_table, &n->prog, &n->args,
				&n->err.err);
	}
	if (r == 0)
		r = describe(n, c, c->parsed ? c->parsed : &n->args, background);
	return r < 0 ? r : prepare(n);
}

struct creation *creation_new(const struct msb *m, const struct msb_create_options *options)
{
	struct creation *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->m = m;
	n->o = (struct msb_create_options)MSB_CREATE_OPTIONS_INIT;
	if (options)
		memcpy(&n->o, options, MIN(options->size, sizeof(n->o)));
	return n;
}

struct creation *creation_free(struct creation *n)
{
	if (!n)
		return NULL;
	if (n->begun)
		create_deinit(&n->create);
	if (n->parsed.table)
		api_parsed_deinit(&n->parsed);
	free(n->rest.operands.items);
	config_deinit(&n->config);
	free(n);
	return NULL;
}

/* One that is there already: it runs afterwards. */
static int start_existing(struct creation *n)
{
	const struct create *cr = &n->create;
	int r = life_start(
		cr->home, cr->lib_dir, cr->spec.name, n->m->log_level, true, n->asked, &n->err);

	return r == -EWOULDBLOCK ? 0 : r;
}

static int boot(struct creation *n)
{
	struct create *cr = &n->create;
	int r = creation_enter(n, MSB_PHASE_BOOT, "", &n->err.err);

	if (r < 0)
		return r;
	if (n->existing)
		return start_existing(n);
	return life_create(&cr->spec, creation_image_fd(n),
		cr->spec.prepare ? &cr->preparation : NULL, n->asked, &n->err);
}

int msb_create_watched(struct msb *m, const struct msb_config *c,
	const struct msb_create_options *options, char *ret_name, struct msb_error *error)
{
	struct creation *n = creation_new(m, options);
	struct msb_err none = {0};
	int r;

	_Static_assert(MSB_NAME_SIZE == LIMIT_SANDBOX_NAME + 1, "names fit");
	if (!n)
		return api_fail(error, &none, -ENOMEM);
	r = creation_prepare(n, c, true);
	if (r == 0)
		r = boot(n);
	if (r == 0 && ret_name)
		(void)snprintf(ret_name, MSB_NAME_SIZE, "%s", n->create.spec.name);
	r = api_cancel_end(&n->cancel, error, &n->err.err, r);
	if (r < 0)
		api_console(error, n->err.console);
	(void)creation_free(n);
	return r;
}

int msb_create(struct msb *m, const struct msb_config *c, char *ret_name, struct msb_error *error)
{
	return msb_create_watched(m, c, NULL, ret_name, error);
}
