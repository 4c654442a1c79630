/* SPDX-License-Identifier: Apache-2.0 */
/* msb ping, msb touch: does the guest answer, and it shall not count as idle. */
#include "cli/cli.h"
#include "cli/names.h"
#include "sandbox/client.h"
#include "sandbox/state.h"

enum { PATIENCE_S = 10 };

struct ping_args {
	struct cli_common common;
	struct opt_list labels;
	bool touch;
	bool quiet;
};

#define AT(field) .offset = offsetof(struct ping_args, field)
#define LABEL_OPT                                                                    \
	{                                                                            \
		.name = "label", .type = OPT_LIST, AT(labels), .arg = "KEY[=VALUE]", \
		.help = "Also those with this label; given twice, with both"         \
	}

static const struct opt ping_opts[] = {
	LABEL_OPT,
	{.name = "touch", .type = OPT_FLAG, AT(touch), .help = "As msb touch"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt touch_opts[] = {
	LABEL_OPT,
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of a sandbox", .repeatable = true},
};

struct ping {
	struct loop loop;
	struct sandbox_stream stream;
	struct loop_timer limit;
	struct msb_err err;
	int result;
};

static void finish(struct ping *p, int result)
{
	p->result = result;
	loop_stop(&p->loop, 0);
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct ping *p = container_of(s, struct ping, stream);

	if (r->type != FRAME_PONG)
		p->err = r->err;
	finish(p, r->type == FRAME_PONG ? 0 : -EIO);
}

static const struct sandbox_stream_ops stream_ops = {.done = on_done};

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct ping *p = arg;

	p->err = *err;
	finish(p, -EIO);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct ping *p = arg;

	finish(p, msb_err_set(&p->err, -ECANCELED, MSB_FAIL, "the sandbox was stopped"));
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

static void too_late(struct loop_timer *t)
{
	struct ping *p = container_of(t, struct ping, limit);

	finish(p, msb_err_set(&p->err, -ETIMEDOUT, MSB_TIMEOUT,
			  "the guest did not answer within %d s", PATIENCE_S));
}

static int ask(struct ping *p, const char *home, const char *name, bool touch, struct msb_err *err)
{
	struct sandbox *sb = NULL;
	int r = sandbox_connect(&p->loop, home, name, &events, p, &sb, err);

	if (r < 0)
		return r;
	p->stream.ops = &stream_ops;
	r = touch ? sandbox_touch(sb) : 0;
	if (r == 0)
		r = sandbox_ping(sb, &p->stream);
	loop_timer_set(&p->loop, &p->limit, clock_mono_ns() + PATIENCE_S * NSEC_PER_SEC, too_late);
	if (r == 0)
		r = loop_run(&p->loop);
	loop_timer_del(&p->limit);
	sandbox_close(sb);
	if (r < 0)
		return msb_err_errno(err, r, "sandbox '%s'", name);
	if (p->result < 0)
		*err = p->err;
	return p->result < 0 ? msb_err_prefix(err, p->result, "sandbox '%s'", name) : 0;
}

static int ping_one(const char *home, const char *name, void *arg, struct msb_err *err)
{
	const struct ping_args *a = arg;
	uint64_t begin = clock_mono_ns();
	struct ping p = {.result = 0};
	int r = loop_init(&p.loop);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = ask(&p, home, name, a->touch, err);
	loop_deinit(&p.loop);
	if (r < 0 || a->quiet)
		return r;
	cli_done(a->touch ? "Touched" : "Reached", "%s (%.1f ms)", name,
		(double)(clock_mono_ns() - begin) / 1e6);
	return 0;
}

static int run_ping(void *args, const struct opt_words *words)
{
	struct ping_args *a = args;
	struct msb_err err = {0};
	char home[PATH_MAX];
	const struct names n = {
		.home = home,
		.words = &words->operands,
		.labels = &a->labels,
		.each = ping_one,
		.arg = a,
	};

	return sandbox_home_default(home, sizeof(home), &err) < 0 ? cli_fail(&err) : names_each(&n);
}

static int run_touch(void *args, const struct opt_words *words)
{
	struct ping_args *a = args;

	a->touch = true;
	return run_ping(args, words);
}

const struct cli_command cmd_ping = {
	.table = {.name = "ping",
		.summary = "See whether sandboxes answer",
		.description = "Asks the agent in each guest and waits for its answer. That is no "
			       "use of the sandbox as far as --idle-timeout goes.",
		.group = "Sandboxes",
		.opts = ping_opts,
		.n_opts = ARRAY_SIZE(ping_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands)},
	.args_size = sizeof(struct ping_args),
	.run = run_ping,
};

const struct cli_command cmd_touch = {
	.table = {.name = "touch",
		.summary = "Let the idle timeout of sandboxes begin anew",
		.group = "Sandboxes",
		.opts = touch_opts,
		.n_opts = ARRAY_SIZE(touch_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands)},
	.args_size = sizeof(struct ping_args),
	.run = run_touch,
};
