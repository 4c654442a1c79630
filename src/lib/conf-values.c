/* SPDX-License-Identifier: Apache-2.0 */
/* What values of configuration files can be, and options made of them: see conf-fields.h. */
#include "base/str.h"

#include "lib/conf-fields.h"
#include "lib/conf-internal.h"

enum { WORD_MAX = 8192, QUOTED = 120 };

int conf_unsupported(struct conf_ctx *c, const struct yaml *y)
{
	(void)conf_error(y, c->err, "'%.60s' is not supported by this version", y->key);
	c->err->errno_ = EOPNOTSUPP;
	return -EOPNOTSUPP;
}

int conf_text(struct conf_ctx *c, const struct yaml *y, const char **ret)
{
	if (y->kind != YAML_SCALAR)
		return conf_error(y, c->err, "a text or a number is wanted");
	*ret = y->text;
	return 0;
}

int conf_bool(struct conf_ctx *c, const struct yaml *y, bool *ret)
{
	if (y->kind != YAML_SCALAR || y->quoted ||
		!(streq(y->text, "true") || streq(y->text, "false")))
		return conf_error(y, c->err, "true or false is wanted");
	*ret = streq(y->text, "true");
	return 0;
}

int conf_want(struct conf_ctx *c, const struct yaml *y, enum yaml_kind kind)
{
	if (y->kind == kind)
		return 0;
	return conf_error(
		y, c->err, kind == YAML_MAP ? "keys and values are wanted" : "a list is wanted");
}

int conf_place(struct conf_ctx *c, const struct yaml *y, int r)
{
	return msb_err_prefix(c->err, r, "%.300s:%u:%u", y->file, y->line, y->column);
}

int conf_option(struct conf_ctx *c, const struct yaml *y, const char *option, const char *value)
{
	int r = opt_fill(c->filler, option, value, c->err);

	if (r == -ENOPROTOOPT)
		return conf_unsupported(c, y);
	return r < 0 ? conf_place(c, y, r) : 0;
}

int conf_only(struct conf_ctx *c, const struct yaml *map, const char *const *keys, size_t n)
{
	for (const struct yaml *e = map->first; e; e = e->next) {
		const char *near = NULL;
		unsigned int best = 3;
		char q[QUOTED];
		size_t i = 0;
		int r;

		while (i < n && !streq(keys[i], e->key))
			i++;
		if (i < n)
			continue;
		for (i = 0; i < n; i++) {
			unsigned int d = str_distance(e->key, keys[i]);

			if (d < best) {
				best = d;
				near = keys[i];
			}
		}
		r = msb_err_usage(c->err, "%.300s:%u:%u: unknown field %s", e->file, e->key_line,
			e->key_column, str_quote(q, sizeof(q), e->key, strlen(e->key)));
		return near ? msb_err_hint(c->err, r, "did you mean %s?", near) : r;
	}
	return 0;
}

int conf_make(struct conf_ctx *c, const struct yaml *y, const char **ret, const char *format, ...)
{
	char word[WORD_MAX];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(word, sizeof(word), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(word))
		return conf_error(y, c->err, "this is too long");
	*ret = conf_keep(c->conf, word, (size_t)n);
	return *ret ? 0 : msb_err_errno(c->err, -ENOMEM, "reading the configuration");
}

int conf_apply_option(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	const char *value = "";
	int r = conf_text(c, y, &value);

	return r < 0 ? r : conf_option(c, y, f->option, value);
}

int conf_apply_flag(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	bool on = false;
	int r = conf_bool(c, y, &on);

	return r < 0 || !on ? r : conf_option(c, y, f->option, NULL);
}

int conf_apply_options(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f)
{
	int r = conf_want(c, y, YAML_LIST);

	for (const struct yaml *e = y->first; e && r == 0; e = e->next)
		r = conf_apply_option(c, e, f);
	return r;
}
