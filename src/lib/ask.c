/* SPDX-License-Identifier: Apache-2.0 */
/* One short question to the guest of a running sandbox: see ask.h. */
#include "lib/ask.h"

#include "sandbox/client.h"

enum { PATIENCE_S = 10 };

struct question {
	struct loop loop;
	struct sandbox_stream stream;
	struct loop_timer limit;
	struct msb_err err;
	struct msg_metrics metrics;
	int result;
};

static void finish(struct question *p, int result)
{
	p->result = result;
	loop_stop(&p->loop, 0);
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct question *p = container_of(s, struct question, stream);

	bool answered = r->type == FRAME_PONG || r->type == FRAME_METRICS_DONE;

	if (r->type == FRAME_METRICS_DONE)
		p->metrics = r->metrics;
	if (!answered)
		p->err = r->err;
	finish(p, answered ? 0 : -EIO);
}

static const struct sandbox_stream_ops stream_ops = {.done = on_done};

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct question *p = arg;

	p->err = *err;
	finish(p, -EIO);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct question *p = arg;

	finish(p, msb_err_set(&p->err, -ECANCELED, MSB_FAIL, "the sandbox was stopped"));
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

static void too_late(struct loop_timer *t)
{
	struct question *p = container_of(t, struct question, limit);

	finish(p, msb_err_set(&p->err, -ETIMEDOUT, MSB_TIMEOUT,
			  "the guest did not answer within %d s", PATIENCE_S));
}

static int ask(struct question *p, const char *home, const char *name, bool touch, bool metrics,
	struct msb_err *err)
{
	struct sandbox *sb = NULL;
	int r = sandbox_connect(&p->loop, home, name, &events, p, &sb, err);

	if (r < 0)
		return r;
	p->stream.ops = &stream_ops;
	r = touch ? sandbox_touch(sb) : 0;
	if (r == 0)
		r = metrics ? sandbox_metrics(sb, &p->stream) : sandbox_ping(sb, &p->stream);
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

int ask_ping(const char *home, const char *name, bool touch, struct msb_err *err)
{
	struct question p = {.result = 0};
	int r = loop_init(&p.loop);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = ask(&p, home, name, touch, false, err);
	loop_deinit(&p.loop);
	return r;
}

int ask_metrics(const char *home, const char *name, struct msg_metrics *ret, struct msb_err *err)
{
	struct question p = {.result = 0};
	int r = loop_init(&p.loop);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = ask(&p, home, name, false, true, err);
	loop_deinit(&p.loop);
	if (r == 0)
		*ret = p.metrics;
	return r;
}
