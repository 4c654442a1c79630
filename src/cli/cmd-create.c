/* SPDX-License-Identifier: Apache-2.0 */
/* msb create: a sandbox. */
#include "cli/api.h"
#include "cli/pull-show.h"
#include "lib/create-args.h"

struct create_cmd_args {
	struct cli_common common;
	struct create_args create;
};

/* One run of the command: signals end the phases in which something must be put in order first. */
struct creating {
	const struct create_cmd_args *args;
	struct cli_api api;
	struct pull_show show;
	bool caught;
	struct msb_error e;
};

static int on_phase(void *arg, int phase, const char *image)
{
	struct creating *c = arg;
	struct msb_err err = {0};
	int r = 0;

	switch (phase) {
	case MSB_PHASE_DOWNLOAD:
		r = pull_show_begin(&c->show, image, c->args->create.quiet, &err);
		if (r == 0)
			msb_set_cancel(c->api.msb, c->show.signal_fd, pull_show_asked, &c->show);
		break;
	case MSB_PHASE_PREPARE:
		pull_show_end(&c->show);
		msb_set_cancel(c->api.msb, -1, NULL, NULL);
		break;
	case MSB_PHASE_BOOT:
		r = cli_api_catch(&c->api, &c->e);
		c->caught = r == 0;
		break;
	default:
		break;
	}
	return r;
}

static void on_pulled(void *arg, const char *image, const struct msb_pull_result *r)
{
	pull_show_done(image, r->downloaded_bytes, r->took_ns);
}

static void on_open_port(void *arg, const char *port)
{
	const struct creating *c = arg;

	if (!c->args->create.quiet)
		cli_note("port %s can be reached from other machines", port);
}

static int print_name(const char *name)
{
	struct buf text;
	int status = CLI_EXIT_FAILED;

	buf_init(&text, MSB_NAME_SIZE + 1);
	if (buf_printf(&text, "%s\n", name) == 0)
		status = cli_print(&text);
	buf_deinit(&text);
	return status;
}

static int make(struct creating *c, struct create_cmd_args *a, const struct opt_words *words,
	char name[MSB_NAME_SIZE])
{
	struct msb_create_options o = MSB_CREATE_OPTIONS_INIT;
	/* The table of the command is that of the library: read once is enough. */
	const struct msb_config config = {.parsed = &a->create,
		.image = words->operands.n ? (char *)(uintptr_t)words->operands.items[0] : NULL};
	int r;

	o.quiet = a->create.quiet;
	o.watch = &c->show.watch;
	o.phase = on_phase;
	o.pulled = on_pulled;
	o.open_port = on_open_port;
	o.arg = c;
	r = msb_create_watched(c->api.msb, &config, &o, name, &c->e);
	if (c->caught)
		cli_api_release(&c->api, r, &c->e);
	return r;
}

static int run_create(void *args, const struct opt_words *words)
{
	struct create_cmd_args *a = args;
	struct creating c = {.args = a, .e = MSB_ERROR_INIT};
	char name[MSB_NAME_SIZE] = "";
	int r;

	pull_show_init(&c.show);
	r = cli_api_open(&c.api, &a->common, &c.e);
	if (r == 0)
		r = make(&c, a, words, name);
	cli_api_close(&c.api);
	if (r == -ECANCELED && c.show.signo)
		return 128 + c.show.signo;
	if (r < 0)
		return cli_api_fail_console(&c.e);
	return a->create.name ? 0 : print_name(name);
}

static const struct opt_example create_examples[] = {
	{"A sandbox to work in", "msb create --name dev -m 1G -c 2 && msb exec dev -- nproc"},
	{"One that ends by itself", "msb create --max-duration 1h --label job=42"},
};

const struct cli_command cmd_create = {
	.table = {.name = "create",
		.summary = "Create a sandbox and start it",
		.description =
			"Starts a sandbox in the background and returns when its guest is ready. "
			"It has a name and stays, with its files, until msb rm; msb exec and msb "
			"shell run commands in it. Without --name the generated one is printed.",
		.group = "Sandboxes",
		.opts = create_opts,
		.n_opts = OPT_ENDED,
		.opts_at = offsetof(struct create_cmd_args, create),
		.fill = conf_fill,
		.operands = create_operands,
		.n_operands = ARRAY_SIZE(create_operands),
		.examples = create_examples,
		.n_examples = ARRAY_SIZE(create_examples)},
	.args_size = sizeof(struct create_cmd_args),
	.run = run_create,
};
