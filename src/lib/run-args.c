/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options that describe a sandbox: see run-args.h. */
#include "lib/run-args.h"

#include <strings.h>
#include <sys/resource.h>

#include "base/caps.h"
#include "base/str.h"

enum { QUOTED = 120 };

static const char *quote(char to[QUOTED], const char *s)
{
	return str_quote(to, QUOTED, s, strlen(s));
}

/* Mount options that mean something to a tmpfs; those with '=' take a value. */
static int check_tmpfs_option(const char *option, struct msb_err *err)
{
	static const char *const known[] = {"ro", "rw", "exec", "noexec", "suid", "nosuid", "dev",
		"nodev", "mode=", "uid=", "gid=", "nr_inodes=", "size="};
	char quoted[QUOTED];

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i]);
		bool valued = known[i][n - 1] == '=';

		if (valued ? str_starts(option, known[i]) && option[n] : streq(option, known[i]))
			return 0;
	}
	return msb_err_usage(err, "%s is no option of a tmpfs", quote(quoted, option));
}

static int check_tmpfs_options(const char *options, struct msb_err *err)
{
	cleanup_free char *copy = strdup(options);
	char *save = NULL;

	if (!copy)
		return msb_err_errno(err, -ENOMEM, "reading the options");
	for (char *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		int r = check_tmpfs_option(o, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_tmpfs(char *text, struct msg_tmpfs *ret, struct msb_err *err)
{
	char *rest = strchr(text, ':');
	char *options;
	char quoted[QUOTED];
	uint64_t mib = 0;
	int r;

	*ret = (struct msg_tmpfs){.path = text, .options = ""};
	if (rest)
		*rest++ = '\0';
	if (text[0] != '/' || text[1] == '\0')
		return msb_err_usage(
			err, "%s is not an absolute path below /", quote(quoted, text));
	if (strlen(text) >= LIMIT_PATH)
		return msb_err_usage(err, "the path is too long");
	if (!rest)
		return 0;
	options = strchr(rest, ':');
	if (options)
		*options++ = '\0';
	r = str_to_mib(rest, &mib);
	/* What the guest cannot have it refuses; here only the arithmetic must hold. */
	if (r == -ERANGE || (r == 0 && (mib == 0 || mib > INT64_MAX / MIB)))
		return msb_err_usage(err, "size %s is out of range", quote(quoted, rest));
	if (r == 0) {
		ret->size_bytes = mib * MIB;
	} else if (options || (rest[0] >= '0' && rest[0] <= '9')) {
		r = msb_err_usage(err, "%s is not a size", quote(quoted, rest));
		return msb_err_hint(err, r, "write PATH[:SIZE][:OPTION,...], e.g. /scratch:100M");
	} else {
		options = rest;
	}
	if (!options)
		return 0;
	ret->options = options;
	return check_tmpfs_options(options, err);
}

int run_parse_tmpfs(void *target, const char *value, struct msb_err *err)
{
	struct run_tmpfs *t = target;
	cleanup_free char *text = strdup(value);
	struct msg_tmpfs one;
	int r;

	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	if (t->n == LIMIT_MOUNTS)
		return msb_err_usage(err, "given more than %u times", LIMIT_MOUNTS);
	r = parse_tmpfs(text, &one, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < t->n; i++) {
		if (streq(t->list[i].path, one.path))
			return msb_err_usage(err, "%.100s is given twice", one.path);
	}
	t->list[t->n] = one;
	t->storage[t->n++] = TAKE_PTR(text);
	return 0;
}

void run_tmpfs_deinit(struct run_tmpfs *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		free(t->storage[i]);
	t->n = 0;
}

static const struct {
	const char *name;
	uint32_t resource;
} rlimits[] = {
	{"as", RLIMIT_AS},
	{"core", RLIMIT_CORE},
	{"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},
	{"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE},
	{"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},
	{"rttime", RLIMIT_RTTIME},
	{"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

static int parse_rlimit_value(const char *s, uint64_t *ret, struct msb_err *err)
{
	char quoted[QUOTED];

	if (streq(s, "unlimited") || streq(s, "-1")) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (str_to_u64(s, ret) < 0 || *ret > INT64_MAX)
		return msb_err_usage(err, "%s is neither a number nor unlimited", quote(quoted, s));
	return 0;
}

static int rlimit_by_name(const char *name, uint32_t *ret, struct msb_err *err)
{
	unsigned int best = UINT_MAX;
	const char *near = NULL;
	char quoted[QUOTED];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rlimits); i++) {
		unsigned int d = str_distance(name, rlimits[i].name);

		if (strcasecmp(rlimits[i].name, name) == 0) {
			*ret = rlimits[i].resource;
			return 0;
		}
		if (d < best) {
			best = d;
			near = rlimits[i].name;
		}
	}
	r = msb_err_usage(err, "unknown resource %s", quote(quoted, name));
	if (near && best <= 2)
		return msb_err_hint(err, r, "did you mean %s?", near);
	return msb_err_hint(err, r, "for example nofile, nproc, as, core, stack");
}

int run_parse_rlimit(void *target, const char *value, struct msb_err *err)
{
	struct run_rlimits *t = target;
	struct msg_rlimit one;
	cleanup_free char *text = strdup(value);
	char *soft;
	char *hard;
	uint32_t i;
	int r;

	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	soft = strchr(text, '=');
	if (!soft) {
		r = msb_err_usage(err, "'=' is missing");
		return msb_err_hint(err, r, "write NAME=SOFT[:HARD], e.g. nofile=1024:2048");
	}
	*soft++ = '\0';
	hard = strchr(soft, ':');
	if (hard)
		*hard++ = '\0';
	r = rlimit_by_name(text, &one.resource, err);
	if (r == 0)
		r = parse_rlimit_value(soft, &one.soft, err);
	if (r == 0)
		r = parse_rlimit_value(hard ? hard : soft, &one.hard, err);
	if (r < 0)
		return r;
	if (one.soft > one.hard)
		return msb_err_usage(err, "the soft limit is above the hard limit");
	for (i = 0; i < t->n && t->list[i].resource != one.resource; i++)
		;
	if (i == LIMIT_RLIMITS)
		return msb_err_usage(err, "given more than %u times", LIMIT_RLIMITS);
	t->list[i] = one;
	t->n = MAX(t->n, i + 1);
	return 0;
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && memcmp(a, b, n) == 0;
}

/* NAME=VALUE of one word, malloc'ed. */
static int make_entry(const char *word, char **ret, struct msb_err *err)
{
	const char *value;
	char quoted[QUOTED];

	if (word[0] == '=' || word[0] == '\0')
		return msb_err_usage(err, "option --env: the name of the variable is missing");
	if (str_starts(word, "MSB_"))
		return msb_err_usage(err, "option --env: names that start with MSB_ are reserved");
	if (strchr(word, '=')) {
		*ret = strdup(word);
	} else {
		value = getenv(word);
		if (!value) {
			int r = msb_err_usage(
				err, "option --env: %s is not set here", quote(quoted, word));

			return msb_err_hint(err, r, "write -e %.60s=VALUE or export it", word);
		}
		if (asprintf(ret, "%s=%s", word, value) < 0)
			*ret = NULL;
	}
	return *ret ? 0 : msb_err_errno(err, -ENOMEM, "reading the command line");
}

int run_make_env(const struct opt_list *given, struct opt_list *ret, struct msb_err *err)
{
	struct opt_list env = {.n = 0};
	int r = 0;

	for (size_t i = 0; i < given->n && r == 0; i++) {
		bool later = false;
		cleanup_free char *entry = NULL;

		for (size_t j = i + 1; j < given->n && !later; j++)
			later = same_name(given->items[i], given->items[j]);
		if (later)
			continue;
		r = make_entry(given->items[i], &entry, err);
		if (r < 0)
			break;
		r = opt_list_add(&env, entry);
		if (r < 0)
			(void)msb_err_errno(err, r, "reading the command line");
		else
			entry = NULL;
	}
	if (r < 0) {
		run_env_deinit(&env);
		return r;
	}
	*ret = env;
	return 0;
}

void run_env_deinit(struct opt_list *env)
{
	for (size_t i = 0; i < env->n; i++)
		free((char *)(uintptr_t)env->items[i]);
	free(env->items);
	*env = (struct opt_list){.n = 0};
}
