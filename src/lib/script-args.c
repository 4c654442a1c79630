/* SPDX-License-Identifier: Apache-2.0 */
/* --script and its forms: see script-args.h. */
#include "lib/script-args.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/str.h"

enum { QUOTED = 120 };

/* Takes over @body, whatever comes of it. */
static int add(struct run_scripts *s, const char *value, size_t name_len, char *body, bool line,
	struct msb_err *err)
{
	cleanup_free char *own = body;
	cleanup_free char *name = strndup(value, name_len);
	char quoted[QUOTED];

	if (!own || !name)
		return msb_err_errno(err, -ENOMEM, "reading a script");
	if (sandbox_script_name_check(name) < 0)
		return msb_err_usage(err, "%s is no name for a script",
			str_quote(quoted, QUOTED, name, name_len));
	if (s->n == LIMIT_SCRIPTS)
		return msb_err_usage(err, "given more than %u times", LIMIT_SCRIPTS);
	for (uint32_t i = 0; i < s->n; i++) {
		if (streq(s->list[i].name, name))
			return msb_err_usage(err, "script %.64s is given twice", name);
	}
	s->list[s->n++] =
		(struct run_script){.name = TAKE_PTR(name), .body = TAKE_PTR(own), .line = line};
	return 0;
}

static int form(struct msb_err *err, char separator)
{
	int r = msb_err_usage(err, "'%c' is missing", separator);

	return msb_err_hint(err, r,
		separator == ':' ? "write NAME:FILE, e.g. setup:./setup.sh"
				 : "write NAME=TEXT, e.g. hello='echo hello'");
}

static int add_inline(struct run_scripts *s, const char *value, bool line, struct msb_err *err)
{
	const char *eq = strchr(value, '=');

	return eq ? add(s, value, (size_t)(eq - value), strdup(eq + 1), line, err) : form(err, '=');
}

int run_parse_script_raw(void *target, const char *value, struct msb_err *err)
{
	return add_inline(target, value, false, err);
}

int run_parse_script_path(void *target, const char *value, struct msb_err *err)
{
	const char *colon = strchr(value, ':');
	char quoted[QUOTED];
	char *body = NULL;
	size_t len = 0;
	int r;

	if (!colon)
		return form(err, ':');
	(void)str_quote(quoted, sizeof(quoted), colon + 1, strlen(colon + 1));
	r = io_read_file(AT_FDCWD, colon + 1, LIMIT_SCRIPT_BYTES, &body, &len);
	if (r < 0)
		return msb_err_errno(err, r, "script %s", quoted);
	if (memchr(body, '\0', len)) {
		free(body);
		return msb_err_usage(err, "%s is no text", quoted);
	}
	return add(target, value, (size_t)(colon - value), body, false, err);
}

int run_parse_script(void *target, const char *value, struct msb_err *err)
{
	return value[strcspn(value, "=:")] == ':' ? run_parse_script_path(target, value, err)
						  : add_inline(target, value, true, err);
}

static int put_decoded(struct buf *out, const char *text)
{
	int r = 0;

	for (const char *p = text; *p && r == 0; p++) {
		static const char from[] = "ntr\\\"'";
		static const char to[] = "\n\t\r\\\"'";
		const char *known = p[0] == '\\' && p[1] ? strchr(from, p[1]) : NULL;

		r = buf_append(out, known ? &to[known - from] : p, 1);
		p += known != NULL;
	}
	return r;
}

/* @script->body becomes a whole file. */
static int make_file(struct run_script *script, const char *shell)
{
	struct buf out;
	int r;

	buf_init(&out, LIMIT_SCRIPT_BYTES + 1);
	r = buf_printf(&out, "#!%s%s\n", strchr(shell, '/') ? "" : "/usr/bin/env ", shell);
	if (r == 0)
		r = put_decoded(&out, script->body);
	if (r == 0 && buf_data(&out)[buf_len(&out) - 1] != '\n')
		r = buf_append(&out, "\n", 1);
	if (r == 0) {
		char *whole = strndup((const char *)buf_data(&out), buf_len(&out));

		r = whole ? 0 : -ENOMEM;
		if (whole) {
			free(script->body);
			script->body = whole;
			script->line = false;
		}
	}
	buf_deinit(&out);
	return r;
}

int run_scripts_make(struct run_scripts *s, const char *shell, struct msb_err *err)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct run_script *one = &s->list[i];
		int r = one->line ? make_file(one, shell ? shell : "/bin/sh") : 0;

		if (r < 0)
			return msb_err_errno(err, r, "script %s", one->name);
		s->made[i] = (struct sandbox_script){.name = one->name, .body = one->body};
	}
	return 0;
}

void run_scripts_deinit(struct run_scripts *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		free(s->list[i].name);
		free(s->list[i].body);
	}
	s->n = 0;
}
