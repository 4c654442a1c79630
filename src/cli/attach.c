/* SPDX-License-Identifier: Apache-2.0 */
/* Commands with our terminal: see attach.h. */
#include "cli/attach.h"

#include "base/str.h"

#include "cli/cli.h"
#include "cli/term.h"
#include "lib/life.h"

enum { ATTEMPTS = 16 };

static bool names_term(const struct opt_list *words)
{
	for (size_t i = 0; words && i < words->n; i++) {
		if (streq(words->items[i], "TERM") || str_starts(words->items[i], "TERM="))
			return true;
	}
	return false;
}

int attach_run(
	struct session_opts *so, int tty, const struct opt_list *words, const struct opt_list *env)
{
	bool in_tty = isatty(STDIN_FILENO);
	/* In the background reading the terminal would only stop us. */
	bool background = in_tty && !term_foreground(STDIN_FILENO);
	const char *type = getenv("TERM");
	struct opt_list all = {.n = 0};
	char term[160];
	int status;
	int r = 0;

	so->pty = tty > 0 || (tty == 0 && in_tty && isatty(STDOUT_FILENO) && !background);
	if (so->detach)
		so->pty = tty > 0;
	so->raw = so->pty && in_tty && !so->detach;
	so->use_stdin = !background && !so->detach;
	for (size_t i = 0; env && i < env->n && r == 0; i++)
		r = opt_list_add(&all, env->items[i]);
	if (r == 0 && so->pty && type && *type && !names_term(words) &&
		(size_t)snprintf(term, sizeof(term), "TERM=%s", type) < sizeof(term))
		r = opt_list_add(&all, term);
	so->env = all.items;
	if (r < 0) {
		struct msb_err err;

		(void)msb_err_errno(&err, r, "environment of the command");
		status = cli_fail(&err);
	} else {
		status = session_run(so);
	}
	free(all.items);
	return status;
}

static void fill(const struct enter_opts *o, struct session_opts *so)
{
	*so = (struct session_opts){
		.home = o->home,
		.name = o->name,
		.image_fd = -1,
		.argv = o->argv,
		.user = o->user,
		.cwd = o->cwd,
		.rlimits = o->rlimits,
		.n_rlimits = o->n_rlimits,
		.quiet = o->quiet,
		.timing = o->timing,
		.timeout_ns = o->timeout_ns,
		.detach = o->detach,
		.detach_keys = o->detach_keys,
	};
}

/* It does not run: for this command only. */
static int enter_stopped(const struct enter_opts *o, struct life_lock *l)
{
	struct session_opts so;
	int status;

	fill(o, &so);
	l->spec.detached = false;
	l->spec.log_level = o->log_level;
	so.spec = &l->spec;
	so.dir = &l->dir;
	status = attach_run(&so, o->tty, o->env, o->env);
	life_unlock(l);
	return status;
}

int enter(const struct enter_opts *o)
{
	struct msb_err err = {0};

	for (int i = 0; i < ATTEMPTS; i++) {
		bool not_running = false;
		struct session_opts so;
		struct life_lock l;
		int status;
		int r;

		fill(o, &so);
		so.not_running = &not_running;
		status = attach_run(&so, o->tty, o->env, o->env);
		if (!not_running)
			return status;
		r = life_lock(o->home, o->lib_dir, o->name, &l, &err);
		if (r == 0)
			return enter_stopped(o, &l);
		if (r == -EWOULDBLOCK)
			r = life_await_listening(o->home, o->name, &err);
		if (r < 0)
			return cli_fail(&err);
	}
	return cli_fail(&err);
}
