/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: the life of sandboxes that exist. */
#include <signal.h>

#include "lib/api.h"
#include "lib/ask.h"
#include "lib/life.h"
#include "msb/sandbox.h"

int msb_start(struct msb *m, const char *name, struct msb_error *error)
{
	struct life_error *err = calloc(1, sizeof(*err));
	struct msb_err none = {0};
	struct api_cancel c;
	const struct cancel *cancel = api_cancel_begin(&c, m);
	const char *lib_dir;
	int r = -ENOENT;

	if (!err)
		return api_fail(error, &none, -ENOMEM);
	lib_dir = api_lib_dir(m, &err->err);
	if (lib_dir)
		r = life_start(m->home, lib_dir, name, m->log_level, true, cancel, err);
	r = api_cancel_end(&c, error, &err->err, r);
	if (r < 0)
		api_console(error, err->console);
	free(err);
	return r;
}

int msb_stop(struct msb *m, const char *name, unsigned int grace_ms, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err,
		life_stop(m->home, name, MIN(grace_ms, (unsigned int)LIFE_GRACE_MAX_MS), false,
			&err));
}

int msb_kill(struct msb *m, const char *name, int signo, struct msb_error *error)
{
	struct msb_err err = {0};
	int r;

	if (signo == SIGKILL)
		r = life_stop(m->home, name, 0, true, &err);
	else if (signo <= 0 || signo > 64)
		r = msb_err_usage(&err, "%d is no signal", signo);
	else
		r = life_signal(m->home, name, signo, &err);
	return api_result(error, &err, r);
}

int msb_remove(struct msb *m, const char *name, int force, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, life_remove(m->home, name, force != 0, &err));
}

int msb_wait(struct msb *m, const char *name, uint64_t timeout_ms, struct msb_error *error)
{
	struct msb_err err = {0};
	struct api_cancel c;
	const struct cancel *cancel = api_cancel_begin(&c, m);
	uint64_t ns = MIN(timeout_ms, UINT64_MAX / 2 / NSEC_PER_MSEC) * NSEC_PER_MSEC;
	int r = life_wait(m->home, name, ns, cancel, &err);

	return api_cancel_end(&c, error, &err, r);
}

int msb_rename(struct msb *m, const char *name, const char *new_name, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, life_rename(m->home, name, new_name, &err));
}

int msb_ping(struct msb *m, const char *name, int touch, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, ask_ping(m->home, name, touch != 0, &err));
}
