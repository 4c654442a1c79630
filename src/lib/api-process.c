/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: how commands begin: the connection, what is sent over it, and the end of the object. */
#include "lib/api-process.h"

#include "base/str.h"

#include "image/config.h"
#include "lib/api-create.h"
#include "lib/image-config.h"
#include "lib/reach.h"
#include "lib/run-config.h"
#include "sandbox/info.h"

int process_reach(struct msb_process *p, bool start, struct msb_err *err)
{
	const struct reach how = {.home = p->m->home,
		.lib_dir = start ? api_lib_dir(p->m, err) : NULL,
		.name = p->name,
		.log_level = p->m->log_level,
		.orphan = !p->m->children,
		.ret_automatic = &p->automatic};
	int r;

	if (start && !how.lib_dir)
		return -ENOENT;
	r = reach_sandbox(&p->loop, &how, &process_events, p, &p->sb, &p->owned, err);
	p->started = p->owned;
	return r;
}

/* TERM belongs to the terminal: it is added where nobody says otherwise. */
static int make_env(
	const struct msb_command *c, bool has_term, struct opt_list *ret, char *term, size_t size)
{
	int r = 0;

	for (size_t i = 0; i < c->env.n && r == 0; i++) {
		has_term |= str_starts(c->env.items[i], "TERM=");
		r = opt_list_add(ret, c->env.items[i]);
	}
	if (r == 0 && c->terminal && c->term && !has_term &&
		(size_t)snprintf(term, size, "TERM=%s", c->term) < size)
		r = opt_list_add(ret, term);
	return r;
}

int process_send(struct msb_process *p, const struct msb_command *c, const char *const *argv,
	bool has_term, struct msb_err *err)
{
	bool input = (c->input || c->fds[0] >= 0) && !c->detach;
	struct opt_list env = {.n = 0};
	struct msg_exec e = {
		.user = c->user ? c->user : "",
		.cwd = c->workdir ? c->workdir : "",
		.rows = c->rows,
		.cols = c->columns,
		.n_rlimits = c->rlimits.n,
		.flags =
			(c->terminal ? (uint32_t)EXEC_PTY : 0) | (input ? (uint32_t)EXEC_STDIN : 0),
	};
	char term[160];
	int r = make_env(c, has_term, &env, term, sizeof(term));

	memcpy(e.rlimits, c->rlimits.list, c->rlimits.n * sizeof(e.rlimits[0]));
	p->stream.ops = &process_stream_ops;
	if (r == 0)
		r = sandbox_exec(p->sb, &p->stream, &e, argv, env.items);
	free(env.items);
	if (r == -ENOBUFS)
		return msb_err_set(err, r, MSB_USAGE,
			"the command line is too long: at most %u words and %u bytes", LIMIT_ARGV,
			LIMIT_EXEC_BYTES);
	if (r < 0)
		return msb_err_errno(err, r, "cannot send the command to the sandbox");
	p->open = true;
	return 0;
}

/* What a command without words runs, and the owners of its strings. */
struct usual {
	struct sandbox_info info;
	struct oci_config image;
	struct run_config config;
};

/* What the image of the sandbox runs by itself, or else the sandbox's shell. */
static int find_usual(const struct msb *m, const char *name, struct usual *u, struct msb_err *err)
{
	struct run_wish wish = {.entrypoint = NULL};
	int r = sandbox_info_get(m->home, name, &u->info, err);
	bool store = r == 0 && u->info.spec.image_kind == IMAGE_OCI;

	if (r < 0)
		return r;
	wish.shell = u->info.spec.shell && u->info.spec.shell[0] ? u->info.spec.shell : "/bin/sh";
	if (store)
		r = image_config_load(m->home, u->info.spec.image_digest, &u->image, err);
	return r < 0 ? r : run_config_merge(store ? &u->image : NULL, &wish, &u->config, err);
}

static int start(struct msb_process *p, const struct msb_command *c, struct msb_err *err)
{
	struct usual u = {.config = {.user = ""}};
	const char *const *argv = (const char *const *)c->argv;
	int r = 0;

	sandbox_spec_init(&u.info.spec);
	if (!argv) {
		r = find_usual(p->m, p->name, &u, err);
		argv = u.config.argv.items;
	}
	/* First: of what comes at once the wish to end counts before the end. */
	if (r == 0)
		r = process_watch_cancel(p, err);
	if (r == 0)
		r = process_reach(p, c->start_sandbox, err);
	if (r == 0)
		r = process_send(p, c, argv, false, err);
	run_config_deinit(&u.config);
	oci_config_deinit(&u.image);
	sandbox_info_deinit(&u.info);
	return r;
}

int process_new(const struct msb *m, const char *name, const struct msb_command *c,
	struct msb_process **ret, struct msb_err *err)
{
	struct msb_process *p = calloc(1, sizeof(*p));
	int r = p ? loop_init(&p->loop) : -ENOMEM;

	*ret = NULL;
	if (r < 0) {
		free(p);
		return msb_err_errno(err, r, "a command");
	}
	p->m = m;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	process_init(p, c);
	*ret = p;
	return 0;
}

int msb_process_start(struct msb *m, const char *name, const struct msb_command *c,
	struct msb_process **ret, struct msb_error *error)
{
	struct api_sigpipe sigpipe;
	struct msb_process *p = NULL;
	struct msb_err err = {0};
	int r = process_new(m, name, c, &p, &err);

	*ret = NULL;
	if (!p)
		return api_fail(error, &err, r);
	api_sigpipe_begin(&sigpipe);
	r = start(p, c, &err);
	api_sigpipe_end(&sigpipe);
	if (r < 0) {
		(void)msb_process_free(p);
		return api_fail(error, &err, r);
	}
	*ret = p;
	return 0;
}

struct msb_process *msb_process_free(struct msb_process *p)
{
	if (!p)
		return NULL;
	p->sb = sandbox_close(p->sb);
	for (int i = 0; i < 2; i++) {
		if (p->c.fds[1 + i] >= 0)
			outlet_deinit(&p->out[i]);
	}
	if (p->c.fds[0] >= 0)
		inlet_deinit(&p->in);
	buf_deinit(&p->chunk);
	loop_fd_del(&p->cancel_src);
	loop_timer_del(&p->limit);
	loop_deinit(&p->loop);
	(void)creation_free(p->creation);
	free(p);
	return NULL;
}

int msb_exec(struct msb *m, const char *name, const struct msb_command *c, int *ret_status,
	struct msb_error *error)
{
	struct msb_process *p = NULL;
	int r = msb_process_start(m, name, c, &p, error);

	if (!p)
		return r;
	r = msb_process_wait(p, ret_status, error);
	(void)msb_process_free(p);
	return r;
}
