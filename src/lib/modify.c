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
#include "lib/modify.h"

#include <sys/file.h>
#include <sys/mman.h>

#include "base/str.h"

#include "lib/env-file.h"
#include "lib/human.h"
#include "lib/labels.h"
#include "lib/life.h"
#include "lib/run-args.h"
#include "net/policy/rule.h"
#include "sandbox/info.h"

enum { VALUE_MAX = 4096 };

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
	{.name = "secret-rm",
		.type = OPT_LIST,
		AT(secrets_rm),
		.arg = "ENV",
		CHANGE,
		.help = "Forget a secret; with --secret only the hosts that it was for"},
	{.name = NULL},
};

/* The new description, and the owners of what is new in it. */
struct change {
	const struct modify_args *args;
	enum modify_how how;
	struct sandbox_spec *spec;
	const struct sandbox_machine *now; /* of a running one; NULL: it does not run */
	struct life_change live; /* what the guest is asked for */
	struct opt_list given; /* NAME=VALUE of --env */
	struct opt_list env;
	struct sandbox_label *given_labels;
	struct sandbox_label *labels;
	struct policy policy;
	const struct policy *old_policy;
	bool rules; /* the policy is another one */
	struct secret_settings secrets; /* new */
	struct secret_settings old_secrets;
	bool secrets_live; /* they are another ones, and what runs is told */
	struct modify_plan *plan;
	bool waits; /* something that a running sandbox does not take */
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

static bool copy_text(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return !text || *to;
}

/* Failures are told by make_change(). */
static void note(
	struct change *c, const char *field, const char *before, const char *after, bool live)
{
	struct modify_plan *p = c->plan;
	struct modify_item *items = reallocarray(p->items, p->n + 1, sizeof(items[0]));
	struct modify_item *to;

	c->waits |= !live;
	if (!items) {
		p->error = -ENOMEM;
		return;
	}
	p->items = items;
	to = &items[p->n++];
	*to = (struct modify_item){.live = live};
	if (!copy_text(&to->field, field) || !copy_text(&to->before, before) ||
		!copy_text(&to->after, after))
		p->error = -ENOMEM;
}

/* What could not be taken back. */
static void warn(struct modify_plan *p, const char *what, const struct msb_err *err)
{
	size_t len = strlen(p->warning);

	(void)snprintf(p->warning + len, sizeof(p->warning) - len, "%s%s%s", len ? "; " : "", what,
		err->msg);
}

static void note_cpus(
	struct change *c, const char *field, uint32_t before, uint32_t after, bool live)
{
	char from[16];
	char to[16];

	(void)snprintf(from, sizeof(from), "%" PRIu32, before);
	(void)snprintf(to, sizeof(to), "%" PRIu32, after);
	note(c, field, from, to, live);
}

static void note_mib(
	struct change *c, const char *field, uint32_t before, uint32_t after, bool live)
{
	char from[TIME_TEXT];
	char to[TIME_TEXT];

	note(c, field, size_mib(before, from), size_mib(after, to), live);
}

/*
 * One of the two sizes of a machine: the description says what it starts with, and the machine that
 * runs, if there is one, what it has and could have. True: the guest is to be asked.
 */
static bool resize(struct change *c, uint32_t want, uint32_t *spec, const uint32_t *now,
	uint32_t now_max, const char *field,
	void (*say)(struct change *c, const char *field, uint32_t from, uint32_t to, bool live))
{
	uint32_t before = now ? *now : *spec;
	bool live = now && want <= now_max;

	if (!want || (want == before && want == *spec))
		return false;
	say(c, field, live || !now ? before : *spec, want, live);
	*spec = want;
	return live && want != before;
}

static void change_machine(struct change *c)
{
	const struct modify_args *a = c->args;
	const struct sandbox_machine *now = c->now;
	struct sandbox_spec *spec = c->spec;
	uint32_t old_max_vcpus = sandbox_spec_max_vcpus(spec);
	uint32_t old_max_mem_mib = sandbox_spec_max_mem_mib(spec);

	if (resize(c, a->cpus, &spec->vcpus, now ? &now->vcpus : NULL, now ? now->max_vcpus : 0,
		    "cpus", note_cpus)) {
		c->live.cpus = a->cpus;
		c->live.old_cpus = now->vcpus;
	}
	if (resize(c, a->mem_mib, &spec->mem_mib, now ? &now->mem_mib : NULL,
		    now ? now->max_mem_mib : 0, "memory", note_mib))
		c->live.mem_mib = a->mem_mib;
	c->live.old_mem_mib = now ? now->mem_mib : 0;
	if (a->max_cpus && a->max_cpus != old_max_vcpus)
		note_cpus(c, "max-cpus", old_max_vcpus, a->max_cpus, false);
	if (a->max_mem_mib && a->max_mem_mib != old_max_mem_mib)
		note_mib(c, "max-memory", old_max_mem_mib, a->max_mem_mib, false);
	spec->max_vcpus = a->max_cpus ? a->max_cpus : spec->max_vcpus;
	spec->max_mem_mib = a->max_mem_mib ? a->max_mem_mib : spec->max_mem_mib;
	if (a->workdir && !streq(a->workdir, spec->workdir ? spec->workdir : "")) {
		note(c, "workdir", spec->workdir, a->workdir, c->now);
		spec->workdir = a->workdir;
		c->live.defaults = true;
	}
}

static void note_env(struct change *c, const char *before, const char *after)
{
	note(c, "env", before, after, c->now);
	c->live.defaults = true;
}

static bool is_variable(const char *entry, const char *name, size_t len)
{
	return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool in_list(const struct opt_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++) {
		if (streq(list->items[i], name))
			return true;
	}
	return false;
}

/* The entry of @name in @list, or NULL. */
static const char *find_variable(const struct opt_list *list, const char *entry)
{
	size_t len = strcspn(entry, "=");

	for (size_t i = 0; i < list->n; i++) {
		if (is_variable(list->items[i], entry, len))
			return list->items[i];
	}
	return NULL;
}

static int change_env(struct change *c, struct msb_err *err)
{
	const char *const *old = c->spec->env;
	int r = env_make(&(struct opt_list){.n = 0}, &c->args->env, &c->given, err);
	char name[VALUE_MAX];

	for (size_t i = 0; r == 0 && old && old[i]; i++) {
		const char *now = find_variable(&c->given, old[i]);

		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(old[i], "="), old[i]);
		if (in_list(&c->args->env_rm, name)) {
			note_env(c, old[i], NULL);
			continue;
		}
		if (now && !streq(now, old[i]))
			note_env(c, old[i], now);
		r = opt_list_add(&c->env, now ? now : old[i]);
	}
	for (size_t i = 0; r == 0 && i < c->given.n; i++) {
		if (find_variable(&c->env, c->given.items[i]))
			continue;
		note_env(c, NULL, c->given.items[i]);
		r = opt_list_add(&c->env, c->given.items[i]);
	}
	c->spec->env = c->env.items;
	return r;
}

static const struct sandbox_label *find_label(
	const struct sandbox_label *list, size_t n, const char *name)
{
	const struct sandbox_label *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (streq(list[i].name, name))
			found = &list[i];
	}
	return found;
}

static void note_label(struct change *c, const char *name, const char *before, const char *after)
{
	char field[VALUE_MAX];

	(void)snprintf(field, sizeof(field), "label %s", name);
	note(c, field, before, after, true);
}

static int change_labels(struct change *c, struct msb_err *err)
{
	const struct modify_args *a = c->args;
	struct sandbox_spec *spec = c->spec;
	uint32_t n = 0;
	int r = labels_make(&a->labels, &c->given_labels, err);

	if (r < 0)
		return r;
	c->labels = calloc(spec->n_labels + a->labels.n + 1, sizeof(c->labels[0]));
	if (!c->labels)
		return -ENOMEM;
	for (uint32_t i = 0; i < spec->n_labels; i++) {
		const struct sandbox_label *old = &spec->labels[i];
		const struct sandbox_label *now =
			find_label(c->given_labels, a->labels.n, old->name);

		if (in_list(&a->labels_rm, old->name)) {
			note_label(c, old->name, old->value, NULL);
			continue;
		}
		if (now && !streq(now->value, old->value))
			note_label(c, old->name, old->value, now->value);
		c->labels[n++] = now ? *now : *old;
	}
	for (size_t i = 0; i < a->labels.n; i++) {
		const struct sandbox_label *l = &c->given_labels[i];

		/* The last one of a name counts. */
		if (find_label(c->labels, n, l->name) ||
			find_label(c->given_labels, a->labels.n, l->name) != l)
			continue;
		note_label(c, l->name, NULL, l->value);
		c->labels[n++] = *l;
	}
	spec->labels = c->labels;
	spec->n_labels = n;
	return 0;
}

static void note_rule(struct change *c, const struct policy_rule *r, bool added)
{
	char text[POLICY_RULE_TEXT];

	(void)policy_rule_text(r, text, sizeof(text));
	note(c, "net rule", added ? NULL : text, added ? text : NULL, c->spec->net.policy != NULL);
	c->rules = true;
}

static bool same_rule(const struct policy_rule *a, const struct policy_rule *b)
{
	char text[2][POLICY_RULE_TEXT];

	return streq(policy_rule_text(a, text[0], sizeof(text[0])),
		policy_rule_text(b, text[1], sizeof(text[1])));
}

static bool in_rules(const struct policy *list, const struct policy_rule *r)
{
	for (uint32_t i = 0; i < list->n_rules; i++) {
		if (same_rule(&list->rules[i], r))
			return true;
	}
	return false;
}

/* The new rules, then the old ones without those that go and those that are among the new. */
static int put_rules(struct change *c)
{
	const struct policy *old = c->spec->net.policy;
	const struct policy *add = &c->args->rules.rules;
	int r = 0;

	for (uint32_t i = 0; i < add->n_rules && r == 0; i++) {
		if (i >= (old ? old->n_rules : 0) || !same_rule(&old->rules[i], &add->rules[i]))
			note_rule(c, &add->rules[i], true);
		r = policy_add(&c->policy, &add->rules[i]);
	}
	for (uint32_t i = 0; old && i < old->n_rules && r == 0; i++) {
		if (in_rules(add, &old->rules[i]))
			continue;
		if (in_rules(&c->args->rules_rm.rules, &old->rules[i]))
			note_rule(c, &old->rules[i], false);
		else
			r = policy_add(&c->policy, &old->rules[i]);
	}
	return r;
}

static int change_rules(struct change *c, struct msb_err *err)
{
	const struct policy *old = c->spec->net.policy;
	const struct policy *gone = &c->args->rules_rm.rules;
	char text[POLICY_RULE_TEXT];
	int r;

	c->old_policy = old;
	if (!c->args->rules.rules.n_rules && !gone->n_rules)
		return 0;
	for (uint32_t i = 0; i < gone->n_rules; i++) {
		if (!old || !in_rules(old, &gone->rules[i]))
			return msb_err_hint(err,
				msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "there is no rule '%s'",
					policy_rule_text(&gone->rules[i], text, sizeof(text))),
				"'msb inspect --format json' shows all");
	}
	if (old) {
		memcpy(c->policy.defaults, old->defaults, sizeof(c->policy.defaults));
		c->policy.strict = old->strict;
	}
	r = put_rules(c);
	if (r < 0)
		return msb_err_errno(err, r, "the rules");
	c->spec->net.policy = &c->policy;
	return 0;
}

static const struct secret_rule *find_secret(const struct secret_settings *s, const char *name)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (streq(s->rules[i].name, name))
			return &s->rules[i];
	}
	return NULL;
}

/* A secret as people see it: whom it is for. */
static const char *secret_text(const struct secret_rule *r, char text[VALUE_MAX])
{
	size_t n = 0;

	if (!r)
		return NULL;
	for (uint32_t i = 0; i < r->n_hosts && n < VALUE_MAX; i++)
		n += (size_t)snprintf(text + n, VALUE_MAX - n, "%s%s", i ? "," : "@", r->hosts[i]);
	return text;
}

static void note_secret(struct change *c, const char *name, const struct secret_rule *old,
	const struct secret_rule *new)
{
	/* What reads no TLS puts nothing in. */
	bool live = c->spec->net.tls.on;
	char field[SECRET_NAME_MAX + 16];
	char text[2][VALUE_MAX];

	(void)snprintf(field, sizeof(field), "secret %s", name);
	note(c, field, secret_text(old, text[0]), secret_text(new, text[1]), live);
	c->secrets_live |= live;
	/* Commands have a placeholder of it, or none. */
	c->live.defaults |= !old != !new;
}

static bool has_host(const struct secret_rule *r, const char *host)
{
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		if (streq(r->hosts[i], host))
			return true;
	}
	return false;
}

/* @given on top of what there is; NULL: what there is stays. */
static int put_secret(struct change *c, const struct secret_rule *old,
	const struct secret_rule *given, struct msb_err *err)
{
	bool gone = old && in_list(&c->args->secrets_rm, old->name);
	struct secret_rule *to = &c->secrets.rules[c->secrets.n];

	if (gone && !given) {
		note_secret(c, old->name, old, NULL);
		return 0;
	}
	if (c->secrets.n == SECRETS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d secrets", SECRETS_MAX);
	c->secrets.n++;
	*to = old ? *old : *given;
	if (!given)
		return 0;
	to->value = given->value;
	to->inlined = given->inlined;
	if (gone)
		to->n_hosts = 0;
	for (uint32_t i = 0; i < given->n_hosts; i++) {
		if (has_host(to, given->hosts[i]))
			continue;
		if (to->n_hosts == SECRET_HOSTS_MAX)
			return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d hosts for %s",
				SECRET_HOSTS_MAX, to->name);
		to->hosts[to->n_hosts++] = given->hosts[i];
	}
	note_secret(c, to->name, old, to);
	return 0;
}

static int change_secrets(struct change *c, struct msb_err *err)
{
	const struct secret_settings *old = &c->spec->net.secrets;
	const struct secret_settings *given = &c->args->secrets.settings;
	const struct opt_list *gone = &c->args->secrets_rm;
	int r = 0;

	if (!given->n && !gone->n)
		return 0;
	for (size_t i = 0; i < gone->n; i++) {
		if (!find_secret(old, gone->items[i]))
			return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "there is no secret '%s'",
				gone->items[i]);
	}
	if (given->n && !c->spec->net.policy)
		return msb_err_usage(err, "there is no network that a secret could be used in");
	c->secrets.violation = old->violation;
	for (uint32_t i = 0; i < old->n && r == 0; i++)
		r = put_secret(c, &old->rules[i], find_secret(given, old->rules[i].name), err);
	for (uint32_t i = 0; i < given->n && r == 0; i++) {
		if (!find_secret(old, given->rules[i].name))
			r = put_secret(c, NULL, &given->rules[i], err);
	}
	if (r < 0)
		return r;
	c->old_secrets = *old;
	c->spec->net.secrets = c->secrets;
	c->spec->net.tls.on |= c->secrets.n > 0;
	return 0;
}

static int make_change(struct change *c, struct msb_err *err)
{
	int r;

	change_machine(c);
	r = change_env(c, err);
	if (r == 0)
		r = change_labels(c, err);
	if (r == 0)
		r = change_rules(c, err);
	if (r == 0)
		r = change_secrets(c, err);
	if (r == 0)
		r = c->plan->error;
	if (r == -ENOMEM || r == -E2BIG)
		return msb_err_errno(err, r, "the new description");
	return r < 0 ? r : sandbox_spec_check(c->spec, err);
}

struct place {
	const char *home;
	const char *name;
	struct sandbox_dir dir; /* locked, unless it runs */
	int dir_fd; /* has the flock() */
	bool running;
};

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

/* The values of @s in a file in memory; those that stay are not known here. */
static int gather(
	const struct change *c, const struct secret_settings *s, int *ret_fd, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-secrets", MFD_CLOEXEC);
	int r = fd < 0 ? msb_err_errno(err, -errno, "secrets") : 0;

	for (uint32_t i = 0; i < s->n && r == 0; i++) {
		if (find_secret(&c->args->secrets.settings, s->rules[i].name))
			r = sandbox_secret_write(fd, &s->rules[i], err);
		else
			r = secret_value_keep(fd, err);
	}
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/*
 * The last of what is done at once: a value that is gone cannot be brought back. If the description
 * cannot be written then, the new ones count until the next start.
 */
static int apply_secrets(const struct change *c, const struct place *p, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	int r;

	if (!c->secrets_live || !p->running || (c->waits && c->how == MODIFY_RESTART))
		return 0;
	r = gather(c, &c->secrets, &fd, err);
	if (r == 0)
		r = life_secrets(p->home, p->name, &c->secrets, TAKE_FD(fd), err);
	return r < 0 && err->errno_ == ENETDOWN
		       ? msb_err_hint(err, r,
				 "it was started without interception of TLS: give "
				 "--restart")
		       : r;
}

/* All of them or none. */
static int apply_now(struct change *c, const struct place *p, struct msb_err *err)
{
	int r = apply_rules(c, p, &c->policy, err);

	if (r < 0)
		return r;
	r = apply_live(c, p, err);
	if (r == 0) {
		r = apply_secrets(c, p, err);
		if (r < 0)
			undo_live(c, p);
	}
	if (r < 0)
		undo_rules(c, p);
	return r;
}

/*
 * A start takes the values of secrets from the environment: what is missing there is found out
 * before anything is stopped, and a value that was given here would be lost.
 */
static int check_values(const struct change *c, const struct place *p, struct msb_err *err)
{
	const struct secret_settings *given = &c->args->secrets.settings;
	bool restarts = p->running && c->waits && c->how == MODIFY_RESTART;
	bool now = p->running && c->secrets_live && !restarts;
	int r = 0;

	for (uint32_t i = 0; i < given->n && !now && r == 0; i++) {
		if (given->rules[i].value)
			r = msb_err_hint(err,
				msb_err_usage(err, "secret %s: its value is not stored",
					given->rules[i].name),
				"write %s@HOST, and set the variable when it is started",
				given->rules[i].name);
	}
	for (uint32_t i = 0; i < c->spec->net.secrets.n && restarts && r == 0; i++) {
		const char *name = c->spec->net.secrets.rules[i].name;
		const char *value = getenv(name);

		if (!value || !value[0])
			r = msb_err_hint(err,
				msb_err_usage(err, "secret %s: the environment has no value for it",
					name),
				"set the variable %s, and export it", name);
	}
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
	r = check_values(c, p, err);
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

/* Where a file system knows no such lock, the last of two changes at once wins. */
static void await_turn(int dir_fd)
{
	while (flock(dir_fd, LOCK_EX) < 0 && errno == EINTR)
		;
}

static int open_place(struct place *p, struct msb_err *err)
{
	int r = sandbox_dir_find(p->home, p->name, &p->dir_fd, err);

	if (r < 0)
		return r;
	await_turn(p->dir_fd);
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
		r = make_change(c, err);
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
