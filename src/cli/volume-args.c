/* SPDX-License-Identifier: Apache-2.0 */
/* --volume: see volume-args.h. */
#include "cli/volume-args.h"

#include <sys/stat.h>

#include "base/str.h"

enum { QUOTED = 120 };

static int form(struct msb_err *err, const char *what)
{
	int r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s", what);

	return msb_err_hint(err, r, "write HOST:GUEST[:OPTION,...], e.g. ./src:/app:ro");
}

/* The first ':' before a '/' ends the host's path: it may hold others. */
static int split(char *text, char **ret_guest, char **ret_options, struct msb_err *err)
{
	char *colon = strstr(text, ":/");
	char *options;

	if (!colon || colon == text)
		return form(err, strchr(text, ':') ? "the path in the sandbox is not absolute"
						   : "the path in the sandbox is missing");
	*colon = '\0';
	*ret_guest = colon + 1;
	options = strchr(*ret_guest, ':');
	if (options)
		*options++ = '\0';
	*ret_options = options ? options : (char *)(uintptr_t) "";
	if (strchr(*ret_guest, ','))
		return form(err, "options come behind a ':', not a ','");
	return 0;
}

static bool is_path(const char *s)
{
	return s[0] == '/' || s[0] == '.' || s[0] == '~';
}

/* Absolute, because the supervisor has another working directory. */
static int find_source(const char *word, char **ret, struct msb_err *err)
{
	char quoted[QUOTED];
	struct stat st;
	int r;

	(void)str_quote(quoted, sizeof(quoted), word, strlen(word));
	if (!is_path(word)) {
		r = msb_err_set(err, -EOPNOTSUPP, MSB_USAGE, "named volumes are not supported yet");
		return msb_err_hint(err, r, "to share a directory write ./%.100s", word);
	}
	if (lstat(word, &st) < 0)
		return msb_err_errno(err, -errno, "%s", quoted);
	if (S_ISLNK(st.st_mode)) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s is a symbolic link", quoted);
		return msb_err_hint(err, r, "name what it points to");
	}
	*ret = realpath(word, NULL);
	return *ret ? 0 : msb_err_errno(err, -errno, "%s", quoted);
}

static bool same_place(const char *a, const char *b)
{
	size_t n = strlen(a);
	size_t m = strlen(b);

	while (n > 1 && a[n - 1] == '/')
		n--;
	while (m > 1 && b[m - 1] == '/')
		m--;
	return n == m && memcmp(a, b, n) == 0;
}

int run_parse_volume(void *target, const char *value, struct msb_err *err)
{
	struct run_volumes *v = target;
	cleanup_free char *text = strdup(value);
	cleanup_free char *source = NULL;
	struct share_options parsed;
	char *options = NULL;
	char *guest = NULL;
	int r;

	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	if (v->n == LIMIT_SHARES)
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "given more than %u times", LIMIT_SHARES);
	r = split(text, &guest, &options, err);
	if (r == 0)
		r = share_path_check(guest, err);
	if (r == 0)
		r = share_options_parse(options, &parsed, err);
	if (r == 0)
		r = find_source(text, &source, err);
	if (r != 0)
		return r;
	for (uint32_t i = 0; i < v->n; i++) {
		if (same_place(v->list[i].path, guest))
			return msb_err_set(err, -EINVAL, MSB_USAGE, "%.100s is given twice", guest);
	}
	v->list[v->n] = (struct sandbox_share){source, guest, options};
	v->storage[v->n][0] = TAKE_PTR(source);
	v->storage[v->n++][1] = TAKE_PTR(text);
	return 0;
}

void run_volumes_deinit(struct run_volumes *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		free(v->storage[i][0]);
		free(v->storage[i][1]);
	}
	v->n = 0;
}
