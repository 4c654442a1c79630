/* SPDX-License-Identifier: Apache-2.0 */
/* Files of --env-file: see env-file.h. */
#include "lib/env-file.h"

#include <fcntl.h>

#include "base/str.h"

#include "lib/run-args.h"

enum { QUOTED = 120 };

static int bad_line(
	struct msb_err *err, const char *name, unsigned int number, const char *what, int error)
{
	char quoted[QUOTED];

	return msb_err_set(err, error, MSB_USAGE, "%s, line %u: %s",
		str_quote(quoted, sizeof(quoted), name, strlen(name)), number, what);
}

static int add_line(const char *line, size_t len, struct opt_list *ret)
{
	cleanup_free char *entry = strndup(line, len);
	const char *value;
	char *whole;
	int r;

	if (!entry)
		return -ENOMEM;
	if (!strchr(entry, '=')) {
		value = getenv(entry);
		if (!value)
			return 0;
		if (asprintf(&whole, "%s=%s", entry, value) < 0)
			return -ENOMEM;
		free(entry);
		entry = whole;
	}
	r = opt_list_add(ret, entry);
	if (r == 0)
		entry = NULL;
	return r;
}

int env_file_parse(const char *text, const char *name, struct opt_list *ret, struct msb_err *err)
{
	unsigned int number = 0;

	while (*text) {
		const char *next = strchrnul(text, '\n');
		const char *line = text + strspn(text, " \t");
		size_t len = next > line ? (size_t)(next - line) : 0;
		const char *eq;
		size_t name_len;
		int r;

		number++;
		text = *next ? next + 1 : next;
		len -= len && line[len - 1] == '\r';
		if (len == 0 || line[0] == '#')
			continue;
		eq = memchr(line, '=', len);
		name_len = eq ? (size_t)(eq - line) : len;
		if (name_len == 0)
			return bad_line(
				err, name, number, "the name of the variable is missing", -EINVAL);
		if (memchr(line, ' ', name_len) || memchr(line, '\t', name_len))
			return bad_line(err, name, number,
				"the name of the variable contains a space", -EINVAL);
		if (str_starts(line, "MSB_"))
			return bad_line(err, name, number,
				"names that start with MSB_ are reserved", -EINVAL);
		r = add_line(line, len, ret);
		if (r == -E2BIG)
			return bad_line(err, name, number, "too many variables", r);
		if (r < 0)
			return msb_err_errno(err, r, "reading %.100s", name);
	}
	return 0;
}

int env_file_read(const char *path, struct opt_list *ret, struct msb_err *err)
{
	/* Non-blocking for the opening alone: a FIFO of that name must not hang us. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *text = malloc(ENV_FILE_MAX + 1);
	char quoted[QUOTED];
	size_t len = 0;
	ssize_t n;

	(void)str_quote(quoted, sizeof(quoted), path, strlen(path));
	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading %s", quoted);
	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot open %s", quoted);
	while ((n = read(fd, text + len, ENV_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return msb_err_errno(err, -errno, "cannot read %s", quoted);
	if (len > ENV_FILE_MAX)
		return msb_err_set(
			err, -EFBIG, MSB_USAGE, "%s is larger than %d bytes", quoted, ENV_FILE_MAX);
	text[len] = '\0';
	if (strlen(text) != len)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "%s is not a text file", quoted);
	return env_file_parse(text, path, ret, err);
}

int env_make(const struct opt_list *files, const struct opt_list *given, struct opt_list *ret,
	struct msb_err *err)
{
	struct opt_list all = {.n = 0};
	struct opt_list read = {.n = 0};
	int r = 0;

	for (size_t i = 0; i < files->n && r == 0; i++)
		r = env_file_read(files->items[i], &read, err);
	for (size_t i = 0; i < read.n + given->n && r == 0; i++) {
		r = opt_list_add(&all, i < read.n ? read.items[i] : given->items[i - read.n]);
		if (r < 0)
			(void)msb_err_errno(err, r, "environment");
	}
	if (r == 0)
		r = run_make_env(&all, ret, err);
	run_env_deinit(&read);
	free(all.items);
	return r;
}
