/* SPDX-License-Identifier: Apache-2.0 */
/* The user's configuration: see config.h. */
#include "lib/config.h"

#include <fcntl.h>

#include "image/ref.h"

/* Host of references behind a key: index.docker.io is docker.io. */
static int host_of_key(const char *key, char ret[REF_HOST_MAX + 1], struct msb_err *err)
{
	char text[REF_HOST_MAX + 8];
	struct image_ref ref;
	int n = snprintf(text, sizeof(text), "%s/x", key);

	if (n < 0 || (size_t)n >= sizeof(text) || image_ref_parse(text, &ref, NULL) < 0 ||
		!strchr(text, '/') || !(streq(ref.path, "x") || streq(ref.path, "library/x")))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"'%.100s' is no registry: write HOST[:PORT] as in image names", key);
	memcpy(ret, ref.host, sizeof(ref.host));
	return 0;
}

static int check_host(const struct json *host, struct msb_err *err)
{
	static const char *const keys[] = {"insecure", "mirrors", "ca_certs"};
	const struct json *mirrors = NULL;
	char name[REF_HOST_MAX + 1];
	const char *text = NULL;
	bool insecure;
	int r = host_of_key(json_key(host), name, err);

	if (r == 0)
		r = json_only(host, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_opt_bool(host, "insecure", &insecure, err);
	if (r == 0)
		r = json_opt_str(host, "ca_certs", &text, err);
	if (r == 0)
		r = json_opt_array(host, "mirrors", &mirrors, err);
	for (const struct json *m = mirrors ? json_first(mirrors) : NULL; m && r == 0;
		m = json_next(m))
		r = json_to_str(m, "mirrors", &text, err);
	return r;
}

static const struct json *find_registries(const struct config *c)
{
	return c->root ? json_find(c->root, "registries") : NULL;
}

static const struct json *find_hosts(const struct config *c)
{
	const struct json *registries = find_registries(c);

	return registries ? json_find(registries, "hosts") : NULL;
}

static int check_registries(const struct config *c, struct msb_err *err)
{
	static const char *const keys[] = {"ca_certs", "hosts"};
	const struct json *registries = NULL;
	const struct json *hosts = NULL;
	const char *text = NULL;
	int r = json_opt_object(c->root, "registries", &registries, err);

	if (r < 0 || !registries)
		return r;
	r = json_only(registries, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_opt_str(registries, "ca_certs", &text, err);
	if (r == 0)
		r = json_opt_object(registries, "hosts", &hosts, err);
	for (const struct json *h = hosts ? json_first(hosts) : NULL; h && r == 0;
		h = json_next(h)) {
		r = check_host(h, err);
		if (r < 0)
			r = msb_err_prefix(err, r, "hosts.%.100s", json_key(h));
	}
	return r < 0 ? msb_err_prefix(err, r, "registries") : 0;
}

/* Known from other programs with such a file, and what does it here. */
static const struct {
	const char *key;
	const char *instead;
} unsupported[] = {
	{"home", "set MSB_HOME"},
	{"paths", "set MSB_HOME, and MSB_LIB for the installation"},
	{"log_level", "give --debug to a command, and see 'msb logs --source system'"},
	{"database", "there is none: the directories of sandboxes say what there is"},
	{"runtime", NULL},
	{"ssh", NULL},
	{"metrics", NULL},
	{"active_profile", NULL},
	{"profiles", NULL},
};

/* null and {} are how such files say that nothing is set. */
static bool says_nothing(const struct json *v)
{
	return json_type(v) == JSON_NULL || (json_type(v) == JSON_OBJECT && !json_first(v));
}

/* What has no effect is refused: it would be believed to have one. */
static int check_sections(const struct config *c, struct msb_err *err)
{
	static const char *const keys[] = {"sandbox_defaults", "registries", "deployment_profile"};
	const char *all[ARRAY_SIZE(keys) + ARRAY_SIZE(unsupported)];
	size_t n = ARRAY_SIZE(keys);
	int r;

	memcpy(all, keys, sizeof(keys));
	for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++)
		all[n++] = unsupported[i].key;
	r = json_only(c->root, all, n, err);
	for (size_t i = 0; i < ARRAY_SIZE(unsupported) && r == 0; i++) {
		const struct json *v = json_find(c->root, unsupported[i].key);

		if (!v || says_nothing(v))
			continue;
		r = msb_err_set(
			err, -EINVAL, MSB_USAGE, "'%s' is not supported", unsupported[i].key);
		if (unsupported[i].instead)
			r = msb_err_hint(err, r, "%s", unsupported[i].instead);
	}
	return r;
}

/* A fence that is misspelt must not be an open field. */
static int check_profile(const struct config *c, struct msb_err *err)
{
	const struct json *v = json_find(c->root, "deployment_profile");
	const char *text = NULL;
	int r;

	if (!v || json_type(v) == JSON_NULL)
		return 0;
	r = json_to_str(v, "deployment_profile", &text, err);
	if (r < 0 || streq(text, "single-tenant") || streq(text, "multi-tenant"))
		return r;
	return msb_err_usage(err, "deployment_profile: neither single-tenant nor multi-tenant");
}

static int check(const struct config *c, struct msb_err *err)
{
	static const char *const defaults[] = {"cpus", "memory_mib", "engine", "shell", "workdir",
		"root_disk", "max_duration", "idle_timeout"};
	const struct json *section = NULL;
	int r = check_sections(c, err);

	if (r == 0)
		r = json_opt_object(c->root, "sandbox_defaults", &section, err);
	if (r == 0 && section) {
		r = json_only(section, defaults, ARRAY_SIZE(defaults), err);
		if (r < 0)
			(void)msb_err_prefix(err, r, "sandbox_defaults");
	}
	if (r == 0)
		r = check_profile(c, err);
	return r < 0 ? r : check_registries(c, err);
}

int config_load(const char *home, struct config *ret, struct msb_err *err)
{
	const char *given = getenv("MSB_CONFIG_PATH");
	struct config c = {.root = NULL};
	int r;

	*ret = c;
	if (given && given[0])
		r = snprintf(c.path, sizeof(c.path), "%s", given);
	else
		r = snprintf(c.path, sizeof(c.path), "%s/config.json", home);
	if (r < 0 || (size_t)r >= sizeof(c.path))
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_USAGE, "the path of the configuration is too long");
	r = json_read_file(AT_FDCWD, c.path, &c.root, err);
	/* A file that the user named has to be there. */
	if (r == -ENOENT && !(given && given[0]))
		return 0;
	if (r == 0) {
		r = check(&c, err);
		if (r < 0)
			(void)msb_err_prefix(err, r, "%.200s", c.path);
	}
	/* What the user wrote is off; anything else is a file that cannot be read. */
	if ((r == -EINVAL || r == -ERANGE || r == -EBADMSG || r == -E2BIG) && err)
		err->kind = MSB_USAGE;
	if (r < 0) {
		config_deinit(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void config_deinit(struct config *c)
{
	c->root = json_free(c->root);
}

/* Absolute: msb-pull reads it. */
static int find_file(
	const struct config *c, const char *file, char ret[PATH_MAX], struct msb_err *err)
{
	const char *slash = strrchr(c->path, '/');
	cleanup_free char *real = NULL;
	char path[PATH_MAX];
	int n;

	if (file[0] == '/' || !slash)
		n = snprintf(path, sizeof(path), "%s", file);
	else
		n = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - c->path), c->path, file);
	if (n >= 0 && (size_t)n < sizeof(path))
		real = realpath(path, NULL);
	else
		errno = ENAMETOOLONG;
	if (!real || strlen(real) >= PATH_MAX)
		return msb_err_errno(err, -errno, "%.150s: certificates in %.150s", c->path, file);
	memcpy(ret, real, strlen(real) + 1);
	return 0;
}

int config_ca_certs(const struct config *c, char ret[PATH_MAX], struct msb_err *err)
{
	const struct json *registries = find_registries(c);
	const char *file = "";
	int r = registries ? json_opt_str(registries, "ca_certs", &file, err) : 0;

	ret[0] = '\0';
	return r < 0 || !file[0] ? r : find_file(c, file, ret, err);
}

static int put_host(
	const struct config *c, const struct json *host, struct json_out *out, struct msb_err *err)
{
	const struct json *insecure = json_find(host, "insecure");
	const struct json *mirrors = json_find(host, "mirrors");
	char name[REF_HOST_MAX + 1];
	char path[PATH_MAX];
	const char *file = "";
	int r = host_of_key(json_key(host), name, err);

	if (r == 0)
		r = json_opt_str(host, "ca_certs", &file, err);
	if (r == 0 && file[0])
		r = find_file(c, file, path, err);
	if (r < 0)
		return r;
	json_begin_object(out, name);
	if (insecure)
		json_put_value(out, "insecure", insecure);
	if (mirrors)
		json_put_value(out, "mirrors", mirrors);
	if (file[0])
		json_put_str(out, "ca_file", path);
	json_end_object(out);
	return 0;
}

int config_put_hosts(const struct config *c, struct json_out *out, struct msb_err *err)
{
	const struct json *hosts = find_hosts(c);
	int r = 0;

	if (!hosts || json_type(hosts) != JSON_OBJECT)
		return 0;
	json_begin_object(out, "hosts");
	for (const struct json *h = json_first(hosts); h && r == 0; h = json_next(h))
		r = put_host(c, h, out, err);
	json_end_object(out);
	return r;
}

int config_text(const struct config *c, const char *key, char number[OPT_NUMBER], const char **ret,
	struct msb_err *err)
{
	const char *dot = strchr(key, '.');
	char section[64] = "";
	const struct json *v;

	*ret = NULL;
	if (!c->root || (dot && (size_t)(dot - key) >= sizeof(section)))
		return 0;
	if (dot)
		memcpy(section, key, (size_t)(dot - key));
	v = json_find(c->root, dot ? section : key);
	if (v && dot)
		v = json_find(v, dot + 1);
	if (!v || json_type(v) == JSON_NULL)
		return 0;
	if (json_type(v) == JSON_INT) {
		int64_t n = 0;
		int r = json_to_int(v, key, 0, INT64_MAX, &n, err);

		(void)snprintf(number, OPT_NUMBER, "%" PRId64, n);
		*ret = number;
		if (r < 0 && err)
			err->kind = MSB_USAGE;
		return r < 0 ? msb_err_prefix(err, r, "%.200s", c->path) : 0;
	}
	if (json_to_str(v, key, ret, err) == 0)
		return 0;
	if (err)
		err->kind = MSB_USAGE;
	return msb_err_prefix(err, -EINVAL, "%.200s", c->path);
}
