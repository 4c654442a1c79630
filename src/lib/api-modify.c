/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: other settings for sandboxes that are there. */
#include "lib/api-words.h"
#include "lib/api.h"
#include "lib/life.h"
#include "lib/modify.h"
#include "msb/modify.h"

struct msb_plan {
	struct modify_plan plan;
};

_Static_assert((int)MSB_MODIFY_NOW == (int)MODIFY_NOW &&
		       (int)MSB_MODIFY_NEXT_START == (int)MODIFY_NEXT_START &&
		       (int)MSB_MODIFY_RESTART == (int)MODIFY_RESTART &&
		       (int)MSB_MODIFY_DRY_RUN == (int)MODIFY_DRY_RUN,
	"the same numbers");

static void release_args(void *args)
{
	modify_args_deinit(args);
}

static const struct opt_command command = {
	.name = "modify", .opts = modify_opts, .n_opts = OPT_ENDED};
static const struct api_table table = {.command = &command,
	.args_size = sizeof(struct modify_args),
	.release = release_args,
	.noun = "a change",
	.page = "msb-modify(1)"};

struct msb_change *msb_change_new(void)
{
	return calloc(1, sizeof(struct msb_change));
}

struct msb_change *msb_change_free(struct msb_change *c)
{
	if (c)
		api_words_deinit(&c->words);
	free(c);
	return NULL;
}

int msb_change_set(
	struct msb_change *c, const char *option, const char *value, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, api_words_set(&c->words, &table, option, value, &err));
}

static int change(const struct msb *m, const char *name, const struct msb_change *c,
	enum modify_how how, struct modify_plan *plan, struct msb_err *err)
{
	static const struct opt_program prog = {.name = "msb"};
	struct modify_args args = {.cpus = 0};
	struct api_parsed parsed;
	int r;

	if (c->parsed)
		return modify_sandbox(m->home, name, c->parsed, how, plan, err);
	r = api_parse(&parsed, &c->words, &table, &prog, &args, err);
	if (r == 0)
		r = modify_sandbox(m->home, name, &args, how, plan, err);
	api_parsed_deinit(&parsed);
	return r;
}

static int restart(
	const struct msb *m, const char *name, const struct cancel *cancel, struct life_error *err)
{
	const char *lib_dir = api_lib_dir(m, &err->err);
	int r = lib_dir ? life_stop(m->home, name, LIFE_STOP_GRACE_MS, false, &err->err) : -ENOENT;

	return r < 0 ? r : life_start(m->home, lib_dir, name, m->log_level, true, cancel, err);
}

int msb_modify(struct msb *m, const char *name, const struct msb_change *c, enum msb_modify_how how,
	struct msb_plan **ret, struct msb_error *error)
{
	struct life_error *err = calloc(1, sizeof(*err));
	struct msb_plan *plan = calloc(1, sizeof(*plan));
	struct api_cancel cancel;
	const struct cancel *asked = api_cancel_begin(&cancel, m);
	int r = -ENOMEM;

	if (ret)
		*ret = NULL;
	if (!err || !plan) {
		const struct msb_err none = {0};

		free(err);
		free(plan);
		return api_fail(error, &none, r);
	}
	if ((unsigned int)how > MSB_MODIFY_DRY_RUN)
		r = msb_err_usage(&err->err, "no such way to modify");
	else
		r = change(m, name, c, (enum modify_how)how, &plan->plan, &err->err);
	if (r == 1)
		r = restart(m, name, asked, err);
	r = api_cancel_end(&cancel, error, &err->err, r);
	if (r < 0)
		api_console(error, err->console);
	if (ret)
		*ret = plan;
	else
		(void)msb_plan_free(plan);
	free(err);
	return r;
}

struct msb_plan *msb_plan_free(struct msb_plan *p)
{
	if (p)
		modify_plan_deinit(&p->plan);
	free(p);
	return NULL;
}

size_t msb_plan_size(const struct msb_plan *p)
{
	return p->plan.n;
}

const char *msb_plan_field(const struct msb_plan *p, size_t i)
{
	return i < p->plan.n ? p->plan.items[i].field : NULL;
}

const char *msb_plan_before(const struct msb_plan *p, size_t i)
{
	return i < p->plan.n ? p->plan.items[i].before : NULL;
}

const char *msb_plan_after(const struct msb_plan *p, size_t i)
{
	return i < p->plan.n ? p->plan.items[i].after : NULL;
}

int msb_plan_at_once(const struct msb_plan *p, size_t i)
{
	return i < p->plan.n && p->plan.items[i].live;
}

const char *msb_plan_warning(const struct msb_plan *p)
{
	return p->plan.warning;
}
