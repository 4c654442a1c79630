/* SPDX-License-Identifier: Apache-2.0 */
/* What changes in the description of a sandbox: machine, environment, labels, rules. */
#include "base/str.h"

#include "lib/env-file.h"
#include "lib/human.h"
#include "lib/labels.h"
#include "lib/modify-internal.h"
#include "net/policy/rule.h"

static bool copy_text(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return !text || *to;
}

void change_note(
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

static void note_cpus(
	struct change *c, const char *field, uint32_t before, uint32_t after, bool live)
{
	char from[16];
	char to[16];

	(void)snprintf(from, sizeof(from), "%" PRIu32, before);
	(void)snprintf(to, sizeof(to), "%" PRIu32, after);
	change_note(c, field, from, to, live);
}

static void note_mib(
	struct change *c, const char *field, uint32_t before, uint32_t after, bool live)
{
	char from[TIME_TEXT];
	char to[TIME_TEXT];

	change_note(c, field, size_mib(before, from), size_mib(after, to), live);
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
		change_note(c, "workdir", spec->workdir, a->workdir, c->now);
		spec->workdir = a->workdir;
		c->live.defaults = true;
	}
}

static void note_env(struct change *c, const char *before, const char *after)
{
	change_note(c, "env", before, after, c->now);
	c->live.defaults = true;
}

static bool is_variable(const char *entry, const char *name, size_t len)
{
	return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

bool change_in_list(const struct opt_list *list, const char *name)
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
		if (change_in_list(&c->args->env_rm, name)) {
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
	change_note(c, field, before, after, true);
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

		if (change_in_list(&a->labels_rm, old->name)) {
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
	change_note(c, "net rule", added ? NULL : text, added ? text : NULL,
		c->spec->net.policy != NULL);
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

int change_make(struct change *c, struct msb_err *err)
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
