/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another description for a sandbox that is there.
 *
 * The description is replaced as a whole by one rename. Of a stopped sandbox the lock is held
 * meanwhile, so nobody starts or removes it; of a running one the supervisor has read it long ago
 * and never writes it again. What a running one can take is changed in the guest first: if the
 * guest refuses, nothing is changed. The rest stays as it is until the next start. It may be
 * stopped and removed at any moment: sandbox_spec_replace() then writes nothing. Of several who
 * modify one sandbox, each waits until the one before has read and written, by flock() on the
 * directory, so no change is lost; nobody else takes that lock.
 */
#include "base/str.h"

#include "lib/labels.h"
#include "lib/modify-internal.h"
#include "lib/run-args.h"

#define AT(field) .offset = offsetof(struct modify_args, field)
#define CHANGE	  .group = "Changes"

const struct opt modify_opts[] = {
	{.name = "cpus",
		.letter = 'c',
		.type = OPT_U32,
		AT(cpus),
		.arg = "N",
		CHANGE,
		.min = 1,
		.max = LIMIT_VCPUS,
		.help = "Number of virtual CPUs"},
	{.name = "memory",
		.letter = 'm',
		.type = OPT_MIB,
		AT(mem_mib),
		.arg = "SIZE",
		CHANGE,
		.min = LIMIT_MEM_MIN_MIB,
		.max = LIMIT_MEM_MAX_MIB,
		.help = "Memory of the guest"},
	{.name = "max-cpus",
		.type = OPT_U32,
		AT(max_cpus),
		.arg = "N",
		CHANGE,
		.min = 1,
		.max = LIMIT_VCPUS,
		.help = "How many CPUs it may be given while it runs"},
	{.name = "max-memory",
		.type = OPT_MIB,
		AT(max_mem_mib),
		.arg = "SIZE",
		CHANGE,
		.min = LIMIT_MEM_MIN_MIB,
		.max = LIMIT_MEM_MAX_MIB,
		.help = "How much memory it may be given while it runs"},
	{.name = "env",
		.letter = 'e',
		.type = OPT_LIST,
		AT(env),
		.arg = "NAME[=VALUE]",
		CHANGE,
		.help = "Set an environment variable; NAME alone takes the value from here"},
	{.name = "env-rm",
		.type = OPT_LIST,
		AT(env_rm),
		.arg = "NAME",
		CHANGE,
		.help = "Forget an environment variable"},
	{.name = "label",
		.type = OPT_LIST,
		AT(labels),
		.arg = "KEY[=VALUE]",
		CHANGE,
		.help = "Set a label"},
	{.name = "label-rm",
		.type = OPT_LIST,
		AT(labels_rm),
		.arg = "KEY",
		CHANGE,
		.help = "Remove a label"},
	{.name = "workdir",
		.letter = 'w',
		.type = OPT_STRING,
		AT(workdir),
		.arg = "DIR",
		CHANGE,
		.help = "Working directory of its commands"},
	{.name = "net-rule",
		.type = OPT_PARSE,
		AT(rules),
		.parse = policy_choice_rules,
		.arg = "RULE,...",
		CHANGE,
		.repeatable = true,
		.help = "Rules for the network, in front of those that there are"},
	{.name = "net-rule-rm",
		.type = OPT_PARSE,
		AT(rules_rm),
		.parse = policy_choice_rules,
		.arg = "RULE,...",
		CHANGE,
		.repeatable = true,
		.help = "Remove rules, written as msb inspect shows them"},
	{.name = "secret",
		.type = OPT_PARSE,
		AT(secrets),
		.parse = run_parse_secret,
		.arg = "ENV[=VALUE]@HOST,...",
		CHANGE,
		.repeatable = true,
		.help = "Another value for a secret, the one of ENV here, and more hosts; or a new "
			"secret"},
	{.name = "secret-inject",
		.type = OPT_PARSE,
		AT(secrets),
		.parse = run_parse_inject,
		.arg = "ENV=PART,...",
		CHANGE,
		.repeatable = true,
		.help = "In which parts of requests a secret becomes its value from now on: "
			"headers, basic, query, body"},
	{.name = "secret-rm",
		.type = OPT_LIST,
		AT(secrets_rm),
		.arg = "ENV",
		CHANGE,
		.help = "Forget a secret; with --secret only the hosts that it was for"},
	{.name = NULL},
};

void modify_args_deinit(struct modify_args *a)
{
	run_secrets_deinit(&a->secrets);
	policy_choice_deinit(&a->rules);
	policy_choice_deinit(&a->rules_rm);
}

void modify_plan_deinit(struct modify_plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].field);
		free(p->items[i].before);
		free(p->items[i].after);
	}
	free(p->items);
	*p = (struct modify_plan){.n = 0};
}

/* What could not be taken back. */
static void warn(struct modify_plan *p, const char *what, const struct msb_err *err)
{
	size_t len = strlen(p->warning);

	(void)snprintf(p->warning + len, sizeof(p->warning) - len, "%s%s%s", len ? "; " : "", what,
		err->msg);
}

/* What the guest can take it takes now, unless it is started anew anyway. */
static int apply_live(struct change *c, const struct place *p, struct msb_err *err)
{
	struct life_change *l = &c->live;
	struct secret_env env;
	int r;

	if (!p->running || (c->waits && c->how == MODIFY_RESTART))
		return 0;
	if (!l->cpus && !l->mem_mib && !l->defaults)
		return 0;
	l->cwd = c->spec->workdir;
	/* Secrets that wait for the next start have no placeholder yet. */
	r = secret_env_make(
		c->secrets.n && !c->secrets_live ? &c->old_secrets : &c->spec->net.secrets,
		c->spec->env, &env);
	l->env = env.items;
	r = r < 0 ? msb_err_errno(err, r, "environment") : life_change(p->home, p->name, l, err);
	secret_env_deinit(&env);
	l->env = NULL;
	return r;
}

/* The guest has changed, the description could not be: back to what it says. */
static void undo_live(const struct change *c, const struct place *p)
{
	const struct life_change back = {
		.cpus = c->live.cpus ? c->now->vcpus : 0,
		.mem_mib = c->live.mem_mib ? c->now->mem_mib : 0,
	};
	struct msb_err err;

	if ((back.cpus || back.mem_mib) && life_change(p->home, p->name, &back, &err) < 0)
		warn(c->plan, "", &err);
}

/* What runs gets the rules before they are written down, unless it is started anew anyway. */
static int apply_rules(
	const struct change *c, const struct place *p, const struct policy *to, struct msb_err *err)
{
	int r;

	if (!c->rules || !c->old_policy || !p->running || (c->waits && c->how == MODIFY_RESTART))
		return 0;
	r = life_policy(p->home, p->name, to, err);
	return r < 0 && err->errno_ == ENETDOWN
		       ? msb_err_hint(err, r, "it was started without a network: give --restart")
		       : r;
}

static void undo_rules(const struct change *c, const struct place *p)
{
	struct msb_err err;

	if (apply_rules(c, p, c->old_policy, &err) < 0)
		warn(c->plan, "the new rules count until the next start: ", &err);
}

/* All of them or none. */
static int apply_now(struct change *c, const struct place *p, struct msb_err *err)
{
	int r = apply_rules(c, p, &c->policy, err);

	if (r < 0)
		return r;
	r = apply_live(c, p, err);
	if (r == 0) {
		r = change_apply_secrets(c, p, err);
		if (r < 0)
			undo_live(c, p);
	}
	if (r < 0)
		undo_rules(c, p);
	return r;
}

/* 0, or 1 when a restart is to follow. */
static int apply(struct change *c, const struct place *p, struct msb_err *err)
{
	bool running = p->running;
	int r;

	if (running && c->spec->ephemeral)
		return msb_err_set(err, -EBUSY, MSB_BUSY,
			"it ends with its command: nothing is left to be modified");
	if (running && c->waits && c->how == MODIFY_NOW)
		return msb_err_hint(err,
			msb_err_set(err, -EBUSY, MSB_BUSY, "a change needs a restart"),
			"give --restart, or --next-start to let it wait; --dry-run shows the "
			"changes");
	r = change_check_values(c, p, err);
	if (r == 0)
		r = apply_now(c, p, err);
	if (r < 0)
		return r;
	r = sandbox_spec_replace(p->dir_fd, c->spec, !running, err);
	if (r < 0) {
		undo_live(c, p);
		undo_rules(c, p);
		if (c->secrets_live && running && !(c->waits && c->how == MODIFY_RESTART))
			warn(c->plan, "the new secrets count until the next start",
				&(struct msb_err){.msg = ""});
	}
	return r < 0 ? r : running && c->waits && c->how == MODIFY_RESTART;
}

static int open_place(struct place *p, struct msb_err *err)
{
	int r = sandbox_dir_find(p->home, p->name, &p->dir_fd, err);

	if (r < 0)
		return r;
	life_await_turn(p->dir_fd);
	r = sandbox_dir_lock(p->home, p->name, &p->dir, err);
	p->running = r == -EWOULDBLOCK;
	return p->running ? 0 : r;
}

static void close_place(struct place *p)
{
	sandbox_dir_close(&p->dir);
	p->dir_fd = fd_close(p->dir_fd);
}

static int modify(struct change *c, struct place *p, struct msb_err *err)
{
	struct sandbox_machine now;
	struct sandbox_record rec;
	struct sandbox_spec spec;
	int r;

	sandbox_spec_init(&spec);
	r = open_place(p, err);
	if (r == 0)
		r = sandbox_spec_load(p->dir_fd, &spec, err);
	if (r == 0) {
		c->spec = &spec;
		sandbox_record_read(p->dir_fd, &rec);
		now = rec.machine;
		c->now = p->running && now.vcpus ? &now : NULL;
		r = change_make(c, err);
	}
	if (r == 0 && c->plan->n && c->how != MODIFY_DRY_RUN)
		r = apply(c, p, err);
	close_place(p);
	/* Its storage stays with it, whatever the fields say now. */
	sandbox_spec_deinit(&spec);
	return r < 0 ? msb_err_prefix(err, r, "sandbox '%s'", p->name) : r;
}

int modify_sandbox(const char *home, const char *name, const struct modify_args *args,
	enum modify_how how, struct modify_plan *plan, struct msb_err *err)
{
	struct change c = {.args = args, .how = how, .plan = plan};
	struct place p = {
		.home = home,
		.name = name,
		.dir = {.parent_fd = -EBADF, .fd = -EBADF, .lock_fd = -EBADF},
		.dir_fd = -EBADF,
	};
	int r = modify(&c, &p, err);

	policy_deinit(&c.policy);
	run_env_deinit(&c.given);
	free(c.env.items);
	free(c.labels);
	labels_free(c.given_labels);
	return r;
}
