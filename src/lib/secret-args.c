/* SPDX-License-Identifier: Apache-2.0 */
/* Options of secrets: see secret-args.h. */
#include "lib/secret-args.h"

#include "net/policy/pattern.h"

/* A text of our own, for as long as the options. */
static const char *keep(struct run_secrets *s, const char *text, size_t n)
{
	char *copy = s->n_texts < ARRAY_SIZE(s->texts) ? strndup(text, n) : NULL;

	if (copy)
		s->texts[s->n_texts++] = copy;
	return copy;
}

static struct secret_rule *rule_of(struct run_secrets *s, const char *name)
{
	struct secret_settings *t = &s->settings;

	for (uint32_t i = 0; i < t->n; i++) {
		if (streq(t->rules[i].name, name))
			return &t->rules[i];
	}
	if (t->n == SECRETS_MAX)
		return NULL;
	t->rules[t->n] = (struct secret_rule){.name = name};
	return &t->rules[t->n++];
}

static int add_hosts(
	struct run_secrets *s, struct secret_rule *rule, const char *hosts, struct msb_err *err)
{
	while (*hosts) {
		size_t n = strcspn(hosts, ",");
		struct name_pattern p;
		const char *host;
		int r;

		if (rule->n_hosts == SECRET_HOSTS_MAX)
			return msb_err_usage(
				err, "more than %d hosts for %s", SECRET_HOSTS_MAX, rule->name);
		host = keep(s, hosts, n);
		if (!host)
			return msb_err_errno(err, -ENOMEM, "secrets");
		r = name_pattern_parse(host, &p, err);
		if (r < 0)
			return r;
		rule->hosts[rule->n_hosts++] = host;
		hosts += n + (hosts[n] == ',');
	}
	return 0;
}

/* People look at the arguments of processes. */
static void erase(const char *value, size_t n)
{
	memset((char *)(uintptr_t)value, 'x', n);
}

int run_parse_secret(void *target, const char *value, struct msb_err *err)
{
	const char *hosts = strrchr(value, '@');
	const char *equals = strchr(value, '=');
	struct run_secrets *s = target;
	struct secret_rule *rule;
	const char *name;
	int r;

	if (!hosts || !hosts[1]) {
		r = msb_err_usage(err, "it does not say which hosts the secret is for");
		return msb_err_hint(err, r, "write API_KEY@api.example.com");
	}
	if (equals && equals > hosts)
		equals = NULL;
	name = keep(s, value, (size_t)((equals ? equals : hosts) - value));
	if (!name)
		return msb_err_errno(err, -ENOMEM, "secrets");
	r = secret_name_check(name, err);
	if (r < 0)
		return r;
	rule = rule_of(s, name);
	if (!rule)
		return msb_err_usage(err, "more than %d secrets", SECRETS_MAX);
	if (equals) {
		size_t n = (size_t)(hosts - equals) - 1;

		rule->value = keep(s, equals + 1, n);
		rule->inlined = true;
		erase(equals + 1, n);
		if (!rule->value)
			return msb_err_errno(err, -ENOMEM, "secrets");
	}
	return add_hosts(s, rule, hosts + 1, err);
}

int run_parse_inject(void *target, const char *value, struct msb_err *err)
{
	const char *at = strchr(value, '=');
	struct run_secrets *s = target;
	uint32_t inject = 0;
	const char *name;
	int r;

	if (!at || !at[1]) {
		r = msb_err_usage(err, "it does not say where");
		return msb_err_hint(err, r, "write API_KEY=headers,basic,query,body");
	}
	name = keep(s, value, (size_t)(at - value));
	if (!name || s->n_inject == SECRETS_MAX)
		return msb_err_errno(err, name ? -E2BIG : -ENOMEM, "secrets");
	r = secret_name_check(name, err);
	for (at++; r == 0 && *at; at += *at == ',') {
		size_t n = strcspn(at, ",");

		r = secret_part_parse(at, n, &inject, err);
		at += n;
	}
	if (r < 0)
		return r;
	s->inject[s->n_inject].name = name;
	s->inject[s->n_inject++].inject = inject;
	return 0;
}

/* Several for one secret add up. */
static int apply_inject(
	const struct run_secrets *s, struct secret_settings *ret, struct msb_err *err)
{
	for (uint32_t i = 0; i < s->n_inject; i++) {
		struct secret_rule *rule = NULL;

		for (uint32_t k = 0; k < ret->n; k++) {
			if (streq(ret->rules[k].name, s->inject[i].name))
				rule = &ret->rules[k];
		}
		if (!rule)
			return msb_err_usage(err, "option --secret-inject: there is no secret %s",
				s->inject[i].name);
		rule->inject |= s->inject[i].inject;
	}
	return 0;
}

int run_secrets_apply(const struct run_secrets *s, struct secret_settings *ret, struct msb_err *err)
{
	*ret = s->settings;
	ret->violation = (uint32_t)s->violation;
	return apply_inject(s, ret, err);
}

void run_secrets_deinit(struct run_secrets *s)
{
	while (s->n_texts > 0) {
		char *text = s->texts[--s->n_texts];

		explicit_bzero(text, strlen(text));
		free(text);
	}
	/* The settings point into the texts. */
	*s = (struct run_secrets){};
}
