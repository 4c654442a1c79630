/* SPDX-License-Identifier: Apache-2.0 */
/* YAML files to one tree: see conf.h. */
#include <fcntl.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/caps.h"
#include "base/io.h"
#include "base/str.h"

#include "lib/conf-internal.h"

enum { VARIABLE_MAX = 128, VALUE_MAX = 256 * 1024 };

const char *const conf_groups[CONF_SCOPES] = {
	[CONF_RESOURCES] = "resources",
	[CONF_RUNTIME] = "runtime",
	[CONF_FS] = "fs",
	[CONF_NET] = "net",
	[CONF_SECRETS] = "secrets",
	[CONF_SCRIPTS] = "scripts",
};

int conf_error(const struct yaml *y, struct msb_err *err, const char *format, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	(void)msb_err_usage(err, "%.300s:%u:%u: %s", y->file, y->line, y->column, text);
	return -EINVAL;
}

static int no_memory(struct msb_err *err)
{
	return msb_err_errno(err, -ENOMEM, "reading the configuration of the sandbox");
}

const char *conf_keep(struct run_conf *c, const char *text, size_t len)
{
	return yaml_keep(c->docs[c->n_docs - 1], text, len);
}

int conf_path(struct run_conf *c, const struct yaml *y, const char *word, const char **ret,
	struct msb_err *err)
{
	const char *slash = strrchr(y->file, '/');
	bool plain = y->file[0] != '/' && y->file[0] != '.' && y->file[0] != '~';
	char path[PATH_MAX];
	int n;

	*ret = word;
	if (!word[0])
		return conf_error(y, err, "the path is empty");
	if (word[0] == '/' || word[0] == '~')
		return 0;
	/* It begins like a path: it is told from a name by that. */
	n = snprintf(path, sizeof(path), "%s%.*s%s%s", plain ? "./" : "",
		slash ? (int)(slash - y->file) : 0, y->file, slash ? "/" : "", word);
	if (n < 0 || (size_t)n >= sizeof(path))
		return conf_error(y, err, "the path is too long");
	*ret = conf_keep(c, path, (size_t)n);
	return *ret ? 0 : no_memory(err);
}

/* At "${": appends what the variable is. Return: bytes read, or a negative errno. */
static int variable(const struct yaml *y, const char *at, struct buf *out, struct msb_err *err)
{
	const char *end = strchr(at, '}');
	size_t len = end ? (size_t)(end - at) - 2 : 0;
	char name[VARIABLE_MAX];
	const char *value;
	char q[160];
	int r;

	if (!end)
		return conf_error(y, err, "a '}' is missing behind '${'; write '$${' for the text");
	for (size_t i = 0; i < len; i++) {
		char c = at[2 + i];

		if (!(c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			    (i && c >= '0' && c <= '9')))
			len = 0;
	}
	if (len == 0 || len >= sizeof(name))
		return conf_error(y, err, "%s is no variable; write '$${' for the text",
			str_quote(q, sizeof(q), at, (size_t)(end - at) + 1));
	memcpy(name, at + 2, len);
	name[len] = '\0';
	value = getenv(name);
	if (!value)
		return conf_error(y, err, "the environment has no variable %s", name);
	r = buf_append(out, value, strlen(value));
	if (r < 0)
		return r == -ENOMEM ? no_memory(err) : conf_error(y, err, "the value is too long");
	return (int)len + 3;
}

static int replace_variables(
	struct run_conf *c, struct yaml *y, struct buf *out, struct msb_err *err)
{
	int r = 0;

	for (const char *at = y->text; *at && r >= 0;) {
		bool escaped = str_starts(at, "$${");

		if (str_starts(at, "${")) {
			r = variable(y, at, out, err);
			at += MAX(r, 0);
			continue;
		}
		r = buf_append(out, escaped ? "${" : at, escaped ? 2 : 1);
		at += escaped ? 3 : 1;
		if (r < 0)
			r = conf_error(y, err, "the value is too long");
	}
	if (r < 0)
		return r;
	y->text = conf_keep(c, (const char *)buf_data(out), buf_len(out));
	return y->text ? 0 : no_memory(err);
}

static int substitute(struct run_conf *c, struct yaml *y, struct msb_err *err)
{
	struct buf out;
	int r = 0;

	if (y->kind == YAML_SCALAR && strstr(y->text, "${")) {
		buf_init(&out, VALUE_MAX);
		r = replace_variables(c, y, &out, err);
		buf_deinit(&out);
	}
	for (struct yaml *e = y->first; e && r == 0; e = e->next)
		r = substitute(c, e, err);
	return r;
}

/* A value that is one variable is a name for it, which is what is stored. */
static int substitute_secret(struct run_conf *c, struct yaml *secret, struct msb_err *err)
{
	int r = 0;

	for (struct yaml *e = secret->first; e && r == 0; e = e->next) {
		if (!e->key || !streq(e->key, "value"))
			r = substitute(c, e, err);
	}
	return r;
}

/* The shell has variables of its own. */
static int substitute_root(struct run_conf *c, struct yaml *root, struct msb_err *err)
{
	int r = 0;

	for (struct yaml *e = root->first; e && r == 0; e = e->next) {
		if (e->key && streq(e->key, conf_groups[CONF_SECRETS])) {
			for (struct yaml *s = e->first; s && r == 0; s = s->next)
				r = substitute_secret(c, s, err);
		} else if (!e->key || !streq(e->key, conf_groups[CONF_SCRIPTS])) {
			r = substitute(c, e, err);
		}
	}
	return r;
}

static int parse_file(
	struct run_conf *c, const char *path, struct yaml_doc **ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	struct yaml_doc **more = realloc(c->docs, (c->n_docs + 1) * sizeof(*more));
	size_t len = 0;
	char q[200];
	int r;

	if (!more)
		return no_memory(err);
	c->docs = more;
	r = io_read_file(AT_FDCWD, path, LIMIT_YAML_BYTES, &text, &len);
	if (r < 0)
		return msb_err_errno(err, r, "%s", str_quote(q, sizeof(q), path, strlen(path)));
	r = yaml_parse(path, text, len, ret, err);
	if (r == 0)
		c->docs[c->n_docs++] = *ret;
	return r;
}

int conf_read(struct run_conf *c, const char *path, struct yaml **ret, struct msb_err *err)
{
	struct yaml_doc *doc = NULL;
	int r = parse_file(c, path, &doc, err);

	if (r < 0)
		return r;
	*ret = yaml_root(doc);
	return substitute(c, *ret, err);
}

/* A file of one group, as the root file that it stands for. */
static int wrap(struct run_conf *c, enum conf_scope scope, struct yaml **y, struct msb_err *err)
{
	struct yaml *root;

	if (scope == CONF_ROOT)
		return 0;
	root = yaml_wrap(c->docs[c->n_docs - 1], *y, conf_groups[scope]);
	if (!root)
		return no_memory(err);
	*y = root;
	return 0;
}

/* @over is taken apart. */
static void lay_over(struct yaml *map, struct yaml *over)
{
	struct yaml *next;

	for (struct yaml *e = over->first; e; e = next) {
		struct yaml **at = &map->first;

		next = e->next;
		while (*at && !streq((*at)->key, e->key))
			at = &(*at)->next;
		if (*at && (*at)->kind == YAML_MAP && e->kind == YAML_MAP) {
			lay_over(*at, e);
			continue;
		}
		e->next = *at ? (*at)->next : NULL;
		map->n += *at == NULL;
		*at = e;
	}
}

int conf_load(struct run_conf *c, struct yaml **ret, struct msb_err *err)
{
	struct yaml *whole = NULL;

	for (uint32_t i = 0; i < c->n; i++) {
		struct yaml_doc *doc = NULL;
		struct yaml *y;
		int r = parse_file(c, c->files[i].path, &doc, err);

		if (r < 0)
			return r;
		y = yaml_root(doc);
		/* An empty one says nothing. */
		if (y->kind == YAML_NULL)
			continue;
		if (y->kind != YAML_MAP)
			return conf_error(y, err, "a file has keys and values");
		r = wrap(c, c->files[i].scope, &y, err);
		if (r == 0)
			r = substitute_root(c, y, err);
		if (r < 0)
			return r;
		if (whole)
			lay_over(whole, y);
		else
			whole = y;
	}
	*ret = whole;
	return 0;
}

void run_conf_deinit(struct run_conf *c)
{
	for (size_t i = 0; i < c->n_docs; i++)
		yaml_free(c->docs[i]);
	free(c->docs);
	free(c->entrypoint.items);
	free(c->cmd.items);
	*c = (struct run_conf){.n = 0};
}
