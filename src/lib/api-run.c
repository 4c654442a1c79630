/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: sandboxes that exist for one command. */
#include "base/str.h"

#include "lib/api-create.h"
#include "lib/api-process.h"
#include "msb/exec.h"

enum { DISK_GRACE_MS = 2000 };

static bool names_term(const struct opt_list *env)
{
	for (size_t i = 0; i < env->n; i++) {
		if (str_starts(env->items[i], "TERM="))
			return true;
	}
	return false;
}

/* The machine boots when this returns; what is to be done to its files first is done. */
static int spawn(struct msb_process *p, struct creation *n, struct msb_err *err)
{
	struct create *cr = &n->create;
	int r = sandbox_spawn(
		&p->loop, &cr->spec, creation_image_fd(n), &process_events, p, &p->sb, err);

	if (r < 0)
		return r;
	p->owned = true;
	p->started = true;
	p->automatic = cr->spec.engine == ENGINE_AUTO;
	/* A disk has to be unmounted; a scratch layer is thrown away. */
	p->grace_ms = cr->spec.root_kind == ROOT_DISK || !cr->spec.ephemeral ? DISK_GRACE_MS : 0;
	return cr->spec.prepare ? cr->preparation.fn(cr->preparation.arg, &p->loop, p->sb, err) : 0;
}

static int run_new(
	struct msb_process *p, struct creation *n, const struct msb_command *c, struct msb_err *err)
{
	const struct create *cr = &n->create;
	int r = spawn(p, n, err);

	if (r == 0)
		r = process_send(p, c, cr->config.argv.items, names_term(&cr->config.env), err);
	/* The guest boots meanwhile: time to remove what killed sandboxes left. */
	if (r == 0)
		(void)sandbox_reap_stale(cr->home);
	return r;
}

/* What it has was decided when it was made; the user's own variables are the command's. */
static int run_existing(
	struct msb_process *p, struct creation *n, const struct msb_command *c, struct msb_err *err)
{
	const struct create *cr = &n->create;
	struct msb_command with = *c;
	int r = process_reach(p, true, err);

	with.env = cr->env;
	if (r == 0)
		r = process_send(p, &with, cr->config.argv.items, names_term(&cr->env), err);
	return r;
}

static int run(
	struct msb_process *p, struct creation *n, const struct msb_command *c, struct msb_err *err)
{
	struct api_sigpipe sigpipe;
	/* The caller may change the signal mask here. */
	int r = creation_enter(n, MSB_PHASE_BOOT, "", err);

	if (r < 0)
		return r;
	api_sigpipe_begin(&sigpipe);
	/* First: of what comes at once the wish to end counts before the end. */
	r = process_watch_cancel(p, err);
	if (r == 0)
		r = n->existing ? run_existing(p, n, c, err) : run_new(p, n, c, err);
	api_sigpipe_end(&sigpipe);
	return r;
}

int msb_process_run(struct msb *m, const struct msb_config *config,
	const struct msb_create_options *options, const struct msb_command *c,
	struct msb_process **ret, struct msb_error *error)
{
	struct creation *n = creation_new(m, options);
	struct msb_process *p = NULL;
	struct msb_err err = {0};
	int r;

	*ret = NULL;
	if (!n)
		return api_fail(error, &err, -ENOMEM);
	n->o.run = 1;
	r = creation_prepare(n, config, false);
	if (r == 0)
		r = process_new(m, n->create.spec.name, c, &p, &n->err.err);
	if (r == 0) {
		p->creation = n;
		r = run(p, n, c, &n->err.err);
	}
	if (r == 0) {
		*ret = p;
		return 0;
	}
	/* The sandbox has given a better reason, or somebody has ended it. */
	if (p && p->given_up && p->result < 0) {
		r = p->result;
		n->err.err = p->err;
		(void)snprintf(n->err.console, sizeof(n->err.console), "%s", p->console);
	}
	r = api_cancel_end(p && p->cancel ? &p->asking : &n->cancel, error, &n->err.err, r);
	api_console(error, n->err.console);
	if (p)
		(void)msb_process_free(p);
	else
		(void)creation_free(n);
	return r;
}
