/* SPDX-License-Identifier: Apache-2.0 */
/* The group net of configuration files. */
#include "base/str.h"

#include "lib/conf-fields.h"
#include "lib/conf-internal.h"

static bool net_is_given(const struct conf_ctx *c)
{
	static const char *const options[] = {
		"net", "no-net", "net-default", "net-default-egress", "net-default-ingress"};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (opt_is_given(c->filler, options[i]))
			return true;
	}
	return false;
}

int conf_apply_policy(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	static const char *const names[] = {"none", "public", "open"};
	const char *text = "";
	size_t i = 0;
	int r = conf_text(c, y, &text);

	if (r < 0)
		return r;
	while (i < ARRAY_SIZE(names) && !streq(names[i], text))
		i++;
	if (i == ARRAY_SIZE(names))
		return conf_error(y, c->err, "the policy is none, public or open");
	if (net_is_given(c))
		return 0;
	if (i == 0)
		return conf_option(c, y, "no-net", NULL);
	return conf_option(c, y, "net", i == 1 ? "public" : "all");
}

int conf_apply_rules(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next) {
		const char *text = "";
		const char *word = "";

		r = conf_text(c, e, &text);
		if (r == 0)
			r = conf_make(c, e, &word, "%s@%s", f->option, text);
		if (r == 0)
			r = conf_option(c, e, "net-rule", word);
	}
	return r;
}

/* What is listed is all that is allowed. */
int conf_apply_allow(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_apply_rules(c, y, f);

	return r < 0 || !y->first || net_is_given(c)
		       ? r
		       : conf_option(c, y, "net-default-egress", "deny");
}

int conf_apply_dns(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	static const char *const keys[] = {"rebind_protection", "nameservers", "query_timeout"};
	static const struct conf_field servers = {.option = "dns-nameserver"};
	const struct yaml *e;
	const char *text = "";
	uint64_t ns = 0;
	bool on = true;
	int r = conf_want(c, y, YAML_MAP);

	if (r == 0)
		r = conf_only(c, y, keys, ARRAY_SIZE(keys));
	e = r == 0 ? yaml_get(y, keys[0]) : NULL;
	if (e) {
		r = conf_bool(c, e, &on);
		if (r == 0 && !on)
			r = conf_option(c, e, "no-dns-rebind-protection", NULL);
	}
	e = r == 0 ? yaml_get(y, keys[1]) : NULL;
	if (e && !opt_is_given(c->filler, servers.option))
		r = conf_apply_options(c, e, &servers);
	e = r == 0 ? yaml_get(y, keys[2]) : NULL;
	if (!e)
		return r;
	r = conf_text(c, e, &text);
	if (r == 0 && str_to_duration_ns(text, &ns) < 0)
		r = conf_error(e, c->err, "a duration is wanted, such as 500ms or 3s");
	if (r == 0)
		r = conf_make(c, e, &text, "%" PRIu64, ns / NSEC_PER_MSEC);
	return r < 0 ? r : conf_option(c, e, "dns-query-timeout-ms", text);
}

int conf_apply_tls(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	static const char *const keys[] = {"enabled", "block_quic", "verify_upstream", "bypass"};
	static const struct conf_field bypass = {.option = "tls-bypass"};
	int r = conf_want(c, y, YAML_MAP);

	if (r == 0)
		r = conf_only(c, y, keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < 3 && r == 0; i++) {
		const struct yaml *e = yaml_get(y, keys[i]);
		bool on = true;

		if (!e)
			continue;
		r = conf_bool(c, e, &on);
		if (r == 0 && i == 0 && on)
			r = conf_option(c, e, "tls-intercept", NULL);
		else if (r == 0 && i == 1 && !on)
			r = conf_option(c, e, "no-block-quic", NULL);
		/* It can only be left out for named hosts. */
		else if (r == 0 && i == 2 && !on)
			r = conf_unsupported(c, e);
	}
	if (r == 0 && yaml_get(y, "bypass"))
		r = conf_apply_options(c, yaml_get(y, "bypass"), &bypass);
	return r;
}

/* The items of a list with commas between them. */
static int join(struct conf_ctx *c, const struct yaml *list, const char **ret)
{
	int r = conf_want(c, list, YAML_LIST);

	*ret = "";
	for (const struct yaml *e = list->first; e && r == 0; e = e->next) {
		const char *text = "";

		r = conf_text(c, e, &text);
		if (r == 0)
			r = conf_make(c, e, ret, "%s%s%s", *ret, **ret ? "," : "", text);
	}
	return r;
}

/* The value of a secret; NULL: the variable of its name has it, at every start. */
static int secret_value(
	struct conf_ctx *c, const char *name, const struct yaml *y, const char **ret)
{
	const char *text = "";
	const char *from = "";
	size_t len;
	int r = conf_text(c, y, &text);

	*ret = NULL;
	if (r < 0 || !str_starts(text, "${")) {
		*ret = text;
		return r;
	}
	len = strlen(text);
	if (text[len - 1] != '}')
		return conf_error(y, c->err, "a value is a text or one variable");
	r = conf_make(c, y, &from, "%.*s", (int)len - 3, text + 2);
	if (r < 0 || streq(from, name))
		return r;
	*ret = getenv(from);
	return *ret ? 0 : conf_error(y, c->err, "the environment has no variable %s", from);
}

static int apply_secret(struct conf_ctx *c, const struct yaml *y)
{
	static const char *const keys[] = {"value", "allow", "inject", "require_tls_identity"};
	const struct yaml *fields[ARRAY_SIZE(keys)] = {NULL};
	const char *hosts = "";
	const char *value = NULL;
	const char *word = "";
	bool on = true;
	int r = conf_want(c, y, YAML_MAP);

	if (r == 0)
		r = conf_only(c, y, keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++)
		fields[i] = yaml_get(y, keys[i]);
	if (r == 0 && !fields[1])
		r = conf_error(y, c->err, "allow is missing: the hosts that %s is for", y->key);
	if (r == 0 && fields[0])
		r = secret_value(c, y->key, fields[0], &value);
	if (r == 0 && fields[3])
		r = conf_bool(c, fields[3], &on);
	if (r == 0 && !on)
		r = conf_unsupported(c, fields[3]);
	if (r == 0)
		r = join(c, fields[1], &hosts);
	if (r == 0)
		r = conf_make(c, y, &word, "%s%s%s@%s", y->key, value ? "=" : "",
			value ? value : "", hosts);
	if (r == 0)
		r = conf_option(c, y, "secret", word);
	if (r < 0 || !fields[2])
		return r;
	r = join(c, fields[2], &hosts);
	if (r == 0)
		r = conf_make(c, y, &word, "%s=%s", y->key, hosts);
	return r < 0 ? r : conf_option(c, fields[2], "secret-inject", word);
}

int conf_apply_secrets(struct conf_ctx *c, const struct yaml *map)
{
	int r = 0;

	for (const struct yaml *e = map->first; e && r == 0; e = e->next)
		r = apply_secret(c, e);
	return r;
}
