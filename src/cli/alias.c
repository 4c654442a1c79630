/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of msb install: see alias.h. */
#include "cli/alias.h"

#include "base/str.h"

#include "sandbox/spec.h"

#define HEAD "#!/bin/sh\n# msb-command "

int alias_name_check(const char *name, struct msb_err *err)
{
	char quoted[120];

	/* What is on PATH before the real one must not be taken for it. */
	if (sandbox_script_name_check(name) == 0 && !streq(name, "msb") &&
		!str_starts(name, "msb-") && !streq(name, "microsandbox"))
		return 0;
	return msb_err_set(err, -EINVAL, MSB_USAGE, "%s cannot be the name of a command",
		str_quote(quoted, sizeof(quoted), name, strlen(name)));
}

/* 'word', with every ' inside as '\''. */
static int put_quoted(struct buf *out, const char *word)
{
	int r = buf_append(out, "'", 1);

	while (r == 0 && *word) {
		size_t n = strcspn(word, "'");

		r = buf_append(out, word, n);
		word += n;
		if (r == 0 && *word) {
			r = buf_append(out, "'\\''", 4);
			word++;
		}
	}
	return r < 0 ? r : buf_append(out, "'", 1);
}

static int put_word(struct buf *out, const char *word)
{
	int r = buf_append(out, " ", 1);

	return r < 0 ? r : put_quoted(out, word);
}

static int put_words(struct buf *out, const struct opt_list *words)
{
	int r = 0;

	for (size_t i = 0; i < words->n && r == 0; i++)
		r = put_word(out, words->items[i]);
	return r;
}

static int put_variable(struct buf *out, const char *name, const char *value)
{
	int r = buf_printf(out, "export %s=", name);

	if (r == 0)
		r = put_quoted(out, value);
	return r < 0 ? r : buf_append(out, "\n", 1);
}

static int put_mark(const struct alias *a, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_str(&o, "image", a->image);
	json_put_str(&o, "mode", a->sandbox ? "persisted" : "tmp");
	json_begin_array(&o, "command");
	for (size_t i = 0; i < a->command.n; i++)
		json_put_str(&o, NULL, a->command.items[i]);
	json_end_array(&o);
	json_end_object(&o);
	return json_out_end(&o);
}

int alias_print(const struct alias *a, struct buf *out)
{
	int r = buf_append(out, HEAD, strlen(HEAD));

	if (r == 0)
		r = put_mark(a, out);
	if (r == 0)
		r = buf_append(out, "\n", 1);
	if (r == 0)
		r = put_variable(out, "MSB_HOME", a->home);
	if (r == 0 && a->lib)
		r = put_variable(out, "MSB_LIB", a->lib);
	if (r == 0)
		r = buf_append(out, "msb=", 4);
	if (r == 0)
		r = put_quoted(out, a->msb);
	if (r < 0)
		return r;
	r = buf_printf(out, "\n[ -x \"$msb\" ] || msb=msb\nexec \"$msb\" run%s",
		a->sandbox ? " -q --name" : "");
	if (r == 0 && a->sandbox)
		r = put_word(out, a->sandbox);
	if (r == 0)
		r = put_words(out, &a->options);
	if (r == 0)
		r = put_word(out, a->image);
	if (r == 0)
		r = buf_append(out, " --", 3);
	if (r == 0)
		r = put_words(out, &a->command);
	return r < 0 ? r : buf_printf(out, " \"$@\"\n");
}

int alias_parse(const char *text, size_t len, struct json **ret)
{
	const char *end;
	size_t skip = strlen(HEAD);

	if (len < skip || memcmp(text, HEAD, skip) != 0)
		return -ENOMSG;
	end = memchr(text + skip, '\n', len - skip);
	if (!end || json_parse(text + skip, (size_t)(end - text) - skip, ret, NULL) < 0)
		return -ENOMSG;
	if (json_type(*ret) == JSON_OBJECT)
		return 0;
	*ret = json_free(*ret);
	return -ENOMSG;
}
