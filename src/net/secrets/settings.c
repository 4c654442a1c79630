/* SPDX-License-Identifier: Apache-2.0 */
/* Stored form of secrets: see settings.h. */
#include "net/secrets/settings.h"

#include "base/io.h"

#include "net/policy/pattern.h"

const char *const secret_violation_names[SECRET_VIOLATIONS + 1] = {
	[SECRET_BLOCK_AND_LOG] = "block-and-log",
	[SECRET_BLOCK] = "block",
	[SECRET_PASSTHROUGH] = "passthrough",
	[SECRET_TERMINATE] = "block-and-terminate",
};

const char *const secret_part_names[SECRET_PARTS + 1] = {"headers", "basic", "query", "body"};

static void put_parts(const struct secret_rule *r, struct json_out *o)
{
	if (!r->inject)
		return;
	json_begin_array(o, "inject");
	for (int i = 0; i < SECRET_PARTS; i++) {
		if (r->inject & 1u << i)
			json_put_str(o, NULL, secret_part_names[i]);
	}
	json_end_array(o);
}

void secret_settings_to_json(const struct secret_settings *s, struct json_out *o, const char *key)
{
	json_begin_object(o, key);
	json_put_str(o, "violation", secret_violation_names[s->violation]);
	json_begin_array(o, "secrets");
	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret_rule *r = &s->rules[i];

		json_begin_object(o, NULL);
		json_put_str(o, "name", r->name);
		json_put_bool(o, "inlined", r->inlined);
		json_begin_array(o, "hosts");
		for (uint32_t k = 0; k < r->n_hosts; k++)
			json_put_str(o, NULL, r->hosts[k]);
		json_end_array(o);
		put_parts(r, o);
		json_end_object(o);
	}
	json_end_array(o);
	json_end_object(o);
}

int secret_name_check(const char *name, struct msb_err *err)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
	size_t len = strlen(name);

	if (len == 0 || len > SECRET_NAME_MAX || strspn(name, letters) != len ||
		(name[0] >= '0' && name[0] <= '9'))
		return msb_err_usage(err, "'%.60s' is not the name of a variable", name);
	return 0;
}

static int get_hosts(const struct json *obj, struct secret_rule *ret, struct msb_err *err)
{
	const struct json *list;
	struct name_pattern p;
	int r = json_get_array(obj, "hosts", &list, err);

	if (r < 0)
		return r;
	if (json_len(list) == 0 || json_len(list) > SECRET_HOSTS_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "hosts: none, or more than %d", SECRET_HOSTS_MAX);
	json_foreach (item, list) {
		r = json_to_str(item, "hosts", &ret->hosts[ret->n_hosts], err);
		if (r == 0)
			r = name_pattern_parse(ret->hosts[ret->n_hosts], &p, err);
		if (r < 0)
			return r;
		ret->n_hosts++;
	}
	return 0;
}

static bool is_word(const char *text, size_t n, const char *word)
{
	return strlen(word) == n && strncmp(text, word, n) == 0;
}

int secret_part_parse(const char *word, size_t n, uint32_t *inject, struct msb_err *err)
{
	/* What files of others say. */
	static const char *const aliases[SECRET_PARTS] = {
		"header", "basic_auth", "query_params", "body"};

	for (int i = 0; i < SECRET_PARTS; i++) {
		if (!is_word(word, n, secret_part_names[i]) && !is_word(word, n, aliases[i]))
			continue;
		*inject |= 1u << i;
		return 0;
	}
	return msb_err_usage(err, "'%.*s' is no part of a request: headers, basic, query or body",
		(int)MIN(n, 40u), word);
}

static int get_parts(const struct json *obj, struct secret_rule *ret, struct msb_err *err)
{
	const struct json *list = NULL;
	int r = json_opt_array(obj, "inject", &list, err);

	if (r < 0 || !list)
		return r;
	json_foreach (item, list) {
		const char *word;

		r = json_to_str(item, "inject", &word, err);
		if (r == 0)
			r = secret_part_parse(word, strlen(word), &ret->inject, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_rule(const struct json *obj, struct secret_rule *ret, struct msb_err *err)
{
	static const char *const keys[] = {"name", "inlined", "hosts", "inject"};
	int r = json_only(obj, keys, ARRAY_SIZE(keys), err);

	if (r == 0)
		r = json_get_str(obj, "name", &ret->name, err);
	if (r == 0)
		r = secret_name_check(ret->name, err);
	if (r == 0)
		r = json_get_bool(obj, "inlined", &ret->inlined, err);
	if (r == 0)
		r = get_hosts(obj, ret, err);
	return r == 0 ? get_parts(obj, ret, err) : r;
}

static int get_violation(const struct json *obj, uint32_t *ret, struct msb_err *err)
{
	const char *word;
	int r = json_get_str(obj, "violation", &word, err);

	if (r < 0)
		return r;
	for (*ret = 0; *ret < SECRET_VIOLATIONS; (*ret)++) {
		if (streq(word, secret_violation_names[*ret]))
			return 0;
	}
	return msb_err_set(err, -EINVAL, MSB_FAIL, "violation: '%.40s'", word);
}

int secret_settings_from_json(
	const struct json *obj, struct secret_settings *ret, struct msb_err *err)
{
	static const char *const keys[] = {"violation", "secrets"};
	struct secret_settings s = {.n = 0};
	const struct json *list = NULL;
	int r = json_only(obj, keys, ARRAY_SIZE(keys), err);

	if (r == 0)
		r = get_violation(obj, &s.violation, err);
	if (r == 0)
		r = json_get_array(obj, "secrets", &list, err);
	if (r < 0)
		return r;
	if (json_len(list) > SECRETS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d secrets", SECRETS_MAX);
	json_foreach (item, list) {
		r = get_rule(item, &s.rules[s.n], err);
		if (r < 0)
			return r;
		s.n++;
	}
	*ret = s;
	return 0;
}

int secret_value_write(int fd, const char *value, struct msb_err *err)
{
	uint32_t len = (uint32_t)MIN(strlen(value), (size_t)UINT32_MAX);
	int r;

	if (len == 0 || len > SECRET_VALUE_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"the value is empty or longer than %d bytes", SECRET_VALUE_MAX);
	/* It becomes a part of a head: it must not become two fields. */
	for (const char *p = value; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return msb_err_usage(err, "the value has a control character in it");
	}
	r = io_write_full(fd, &len, sizeof(len));
	if (r == 0)
		r = io_write_full(fd, value, len);
	return r < 0 ? msb_err_errno(err, r, "values of secrets") : 0;
}

int secret_value_keep(int fd, struct msb_err *err)
{
	static const uint32_t none = 0;
	int r = io_write_full(fd, &none, sizeof(none));

	return r < 0 ? msb_err_errno(err, r, "values of secrets") : 0;
}

int secret_env_make(const struct secret_settings *s, const char *const *env, struct secret_env *ret)
{
	size_t n = 0;

	while (env && env[n])
		n++;
	ret->items = calloc(n + s->n + 1, sizeof(ret->items[0]));
	ret->texts = calloc((size_t)s->n + 1, sizeof(ret->texts[0]));
	if (!ret->items || !ret->texts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ret->items[i] = env[i];
	/* The last one of a name wins. */
	for (uint32_t i = 0; i < s->n; i++) {
		(void)snprintf(ret->texts[i], sizeof(ret->texts[i]), "%s=" SECRET_PLACEHOLDER "%s",
			s->rules[i].name, s->rules[i].name);
		ret->items[n++] = ret->texts[i];
	}
	return 0;
}

void secret_env_deinit(struct secret_env *e)
{
	free(e->items);
	free(e->texts);
	*e = (struct secret_env){.items = NULL};
}
