/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes made in the background: see creating.h. */
#include "cli/creating.h"

#include "cli/pull-show.h"

/* One run of the command: signals end the phases in which something must be put in order first. */
struct creating {
	const struct create_args *args;
	struct cli_api api;
	struct pull_show show;
	bool caught;
	struct msb_error e;
};

static int on_phase(void *arg, int phase, const char *what)
{
	struct creating *c = arg;
	struct msb_err err = {0};
	int r = 0;

	switch (phase) {
	case MSB_PHASE_DOWNLOAD:
		r = pull_show_begin(&c->show, what, c->args->quiet, &err);
		if (r == 0)
			msb_set_cancel(c->api.msb, c->show.signal_fd, pull_show_asked, &c->show);
		break;
	case MSB_PHASE_PREPARE:
		pull_show_end(&c->show);
		msb_set_cancel(c->api.msb, -1, NULL, NULL);
		break;
	case MSB_PHASE_EXISTING:
		if (!c->args->quiet)
			cli_note("sandbox '%s' exists: options of its creation are ignored", what);
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

	if (!c->args->quiet)
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

static int make(
	struct creating *c, const struct msb_config *config, bool run, char name[MSB_NAME_SIZE])
{
	struct msb_create_options o = MSB_CREATE_OPTIONS_INIT;
	int r;

	o.quiet = c->args->quiet;
	o.watch = &c->show.watch;
	o.phase = on_phase;
	o.pulled = on_pulled;
	o.open_port = on_open_port;
	o.arg = c;
	o.run = run;
	r = msb_create_watched(c->api.msb, config, &o, name, &c->e);
	if (c->caught)
		cli_api_release(&c->api, r, &c->e);
	return r;
}

int creating_run(const struct cli_common *common, const struct create_args *args,
	const struct msb_config *config, bool run)
{
	struct creating c = {.args = args, .e = MSB_ERROR_INIT};
	char name[MSB_NAME_SIZE] = "";
	int r;

	pull_show_init(&c.show);
	r = cli_api_open(&c.api, common, &c.e);
	if (r == 0)
		r = make(&c, config, run, name);
	cli_api_close(&c.api);
	if (r == -ECANCELED && c.show.signo)
		return 128 + c.show.signo;
	if (r < 0)
		return cli_api_fail_console(&c.e);
	return !run && args->name ? 0 : print_name(name);
}
