/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes on their way: see creating.h. */
#include "cli/creating.h"

static int on_phase(void *arg, int phase, const char *what)
{
	struct creating_show *s = arg;
	struct msb_err err = {0};
	int r = 0;

	switch (phase) {
	case MSB_PHASE_DOWNLOAD:
		r = pull_show_begin(&s->pull, what, s->quiet, &err);
		s->downloading = r == 0;
		if (r == 0)
			msb_set_cancel(s->msb, s->pull.signal_fd, pull_show_asked, &s->pull);
		break;
	case MSB_PHASE_PREPARE:
		if (s->downloading)
			pull_show_end(&s->pull);
		s->downloading = false;
		msb_set_cancel(s->msb, -1, NULL, NULL);
		break;
	case MSB_PHASE_EXISTING:
		if (!s->quiet)
			cli_note("sandbox '%s' exists: options of its creation are ignored", what);
		break;
	case MSB_PHASE_BOOT:
		r = s->boot(s->arg);
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
	const struct creating_show *s = arg;

	if (!s->quiet)
		cli_note("port %s can be reached from other machines", port);
}

void creating_show_init(struct creating_show *s, bool quiet, int (*boot)(void *arg), void *arg)
{
	*s = (struct creating_show){.quiet = quiet, .boot = boot, .arg = arg};
	pull_show_init(&s->pull);
}

void creating_show_options(struct creating_show *s, struct msb_create_options *ret)
{
	*ret = (struct msb_create_options)MSB_CREATE_OPTIONS_INIT;
	ret->quiet = s->quiet;
	ret->watch = &s->pull.watch;
	ret->phase = on_phase;
	ret->pulled = on_pulled;
	ret->open_port = on_open_port;
	ret->arg = s;
}

/* One run of the command. */
struct creating {
	struct cli_api api;
	struct creating_show show;
	bool caught;
	struct msb_error e;
};

/* Signals end the phases in which something must be put in order first. */
static int on_boot(void *arg)
{
	struct creating *c = arg;
	int r = cli_api_catch(&c->api, &c->e);

	c->caught = r == 0;
	return r;
}

static int make(
	struct creating *c, const struct msb_config *config, bool run, char name[MSB_NAME_SIZE])
{
	struct msb_create_options o;
	int r;

	creating_show_options(&c->show, &o);
	o.run = run;
	c->show.msb = c->api.msb;
	r = msb_create_watched(c->api.msb, config, &o, name, &c->e);
	if (c->caught)
		cli_api_release(&c->api, r, &c->e);
	return r;
}

int creating_run(const struct cli_common *common, const struct create_args *args,
	const struct msb_config *config, bool run)
{
	struct creating c = {.e = MSB_ERROR_INIT};
	char name[MSB_NAME_SIZE] = "";
	int r;

	creating_show_init(&c.show, args->quiet, on_boot, &c);
	r = cli_api_open(&c.api, common, &c.e);
	if (r == 0)
		r = make(&c, config, run, name);
	cli_api_close(&c.api);
	if (r == -ECANCELED && c.show.pull.signo)
		return 128 + c.show.pull.signo;
	if (r < 0)
		return cli_api_fail_console(&c.e);
	return !run && args->name ? 0 : cli_print_name(name);
}
