/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a sandbox, whether it runs or not: see reach.h. */
#include "lib/reach.h"

#include "lib/life.h"

enum { ATTEMPTS = 16 };

static int start_stopped(struct loop *loop, const struct reach *how,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
{
	struct life_lock l;
	int r = life_lock(how->home, how->lib_dir, how->name, &l, err);

	if (r < 0)
		return r;
	l.spec.detached = false;
	l.spec.orphan = how->orphan;
	l.spec.log_level = how->log_level;
	if (how->files_only)
		l.spec.net.secrets.n = 0;
	if (how->ret_automatic)
		*how->ret_automatic = l.spec.engine == ENGINE_AUTO;
	r = sandbox_start(loop, &l.spec, &l.dir, events, arg, ret, err);
	life_unlock(&l);
	return r;
}

int reach_sandbox(struct loop *loop, const struct reach *how, const struct sandbox_events *events,
	void *arg, struct sandbox **ret, bool *ret_started, struct msb_err *err)
{
	int r = -EWOULDBLOCK;

	*ret_started = false;
	for (int i = 0; i < ATTEMPTS && r == -EWOULDBLOCK; i++) {
		int e;

		r = sandbox_connect(loop, how->home, how->name, events, arg, ret, err);
		if (r == -ENOTCONN && how->lib_dir) {
			r = start_stopped(loop, how, events, arg, ret, err);
			*ret_started = r == 0;
		}
		if (r != -EWOULDBLOCK)
			break;
		/* Somebody else starts it at this moment. */
		e = life_await_listening(how->home, how->name, err);
		if (e < 0)
			return e;
	}
	return r;
}
