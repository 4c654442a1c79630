/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandbox description from JSON, see spec-json.c. Reading is strict: what this version does not
 * know is an error, not a default.
 */
#include "base/str.h"

#include "net/policy/rule.h"
#include "sandbox/spec-internal.h"

/* All strings are @doc's. */
struct spec_storage {
	struct json *doc;
	const char **env; /* NULL-terminated */
	const char **init_args; /* the same */
	const char **init_env; /* the same */
	const char **command; /* NULL-terminated */
	struct sandbox_label *labels;
	struct sandbox_script *scripts;
	struct policy policy;
};

void sandbox_spec_deinit(struct sandbox_spec *spec)
{
	struct spec_storage *st = spec->storage;

	if (st) {
		json_free(st->doc);
		free(st->env);
		free(st->init_args);
		free(st->init_env);
		free(st->command);
		free(st->labels);
		free(st->scripts);
		policy_deinit(&st->policy);
		free(st);
	}
	sandbox_spec_init(spec);
}

static int get_choice(const struct json *obj, const char *key, const char *const *names, size_t n,
	unsigned int *ret, struct msb_err *err)
{
	const char *s;
	int r = json_get_str(obj, key, &s, err);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < n; i++) {
		if (streq(names[i], s)) {
			*ret = i;
			return 0;
		}
	}
	return msb_err_set(err, -EINVAL, MSB_FAIL, "%s: unknown value", key);
}

static int get_image(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"kind", "name", "digest", "path", "root", "fstype"};
	const struct json *obj;
	unsigned int kind = 0;
	unsigned int root_kind = 0;
	int r = json_get_object(root, "image", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = get_choice(
			obj, "kind", spec_image_names, ARRAY_SIZE(spec_image_names), &kind, err);
	if (r == 0)
		r = json_opt_str(obj, "name", &spec->image, err);
	if (r == 0)
		r = json_opt_str(obj, "digest", &spec->image_digest, err);
	if (r == 0)
		r = json_opt_str(obj, "path", &spec->image_path, err);
	if (r == 0)
		r = get_choice(
			obj, "root", spec_root_names, ARRAY_SIZE(spec_root_names), &root_kind, err);
	if (r == 0)
		r = json_opt_str(obj, "fstype", &spec->root_fstype, err);
	spec->image_kind = (enum sandbox_image_kind)kind;
	spec->root_kind = (enum msg_root_kind)root_kind;
	return r;
}

static int get_root_disk(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"kind", "size", "path"};
	const struct json *obj;
	unsigned int kind = 0;
	int r = json_get_object(root, "root_disk", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = get_choice(
			obj, "kind", spec_upper_names, ARRAY_SIZE(spec_upper_names), &kind, err);
	if (r == 0)
		r = json_get_u64(obj, "size", &spec->root_disk.size_bytes, err);
	if (r == 0)
		r = json_opt_str(obj, "path", &spec->root_disk.path, err);
	spec->root_disk.kind = (enum sandbox_upper_kind)kind;
	return r;
}

static int get_snapshot(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"path", "digest"};
	const struct json *obj = NULL;
	int r = json_opt_object(root, "snapshot", &obj, err);

	if (r < 0 || !obj)
		return r;
	r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_str(obj, "path", &spec->snapshot, err);
	if (r == 0)
		r = json_get_str(obj, "digest", &spec->snapshot_digest, err);
	return r;
}

static int get_strings(
	const struct json *list, const char *what, const char ***ret, struct msb_err *err)
{
	size_t n = 0;
	int r;

	if (json_len(list) > LIMIT_ARGV)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "%s: more than %u entries", what, LIMIT_ARGV);
	*ret = calloc(json_len(list) + 1, sizeof(**ret));
	if (!*ret)
		return msb_err_errno(err, -ENOMEM, "%s", what);
	json_foreach (item, list) {
		r = json_to_str(item, what, &(*ret)[n++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_env(const struct json *obj, struct sandbox_spec *spec, struct msb_err *err)
{
	struct spec_storage *st = spec->storage;
	const struct json *list = NULL;
	int r = json_get_array(obj, "env", &list, err);

	if (r == 0)
		r = get_strings(list, "env", &st->env, err);
	spec->env = st->env;
	return r;
}

static int get_init_lists(const struct json *obj, struct sandbox_spec *spec, struct msb_err *err)
{
	struct spec_storage *st = spec->storage;
	const struct json *args = NULL;
	const struct json *env = NULL;
	int r = json_opt_array(obj, "init_args", &args, err);

	if (r == 0 && args)
		r = get_strings(args, "init_args", &st->init_args, err);
	if (r == 0)
		r = json_opt_array(obj, "init_env", &env, err);
	if (r == 0 && env)
		r = get_strings(env, "init_env", &st->init_env, err);
	spec->init_args = st->init_args;
	spec->init_env = st->init_env;
	return r;
}

static int get_command(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	struct spec_storage *st = spec->storage;
	const struct json *list = NULL;
	int r = json_opt_array(root, "command", &list, err);

	if (r == 0 && list)
		r = get_strings(list, "command", &st->command, err);
	spec->command = st->command;
	return r;
}

static int get_labels(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	struct spec_storage *st = spec->storage;
	const struct json *obj = NULL;
	int r = json_opt_object(root, "labels", &obj, err);

	if (r < 0 || !obj || json_len(obj) == 0)
		return r;
	if (json_len(obj) > LIMIT_LABELS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "labels: more than %u entries", LIMIT_LABELS);
	st->labels = calloc(json_len(obj), sizeof(st->labels[0]));
	if (!st->labels)
		return msb_err_errno(err, -ENOMEM, "labels");
	spec->labels = st->labels;
	json_foreach (item, obj) {
		struct sandbox_label *l = &st->labels[spec->n_labels++];

		*l = (struct sandbox_label){.name = json_key(item), .value = ""};
		r = json_to_str(item, "labels", &l->value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_scripts(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	struct spec_storage *st = spec->storage;
	const struct json *obj = NULL;
	int r = json_opt_object(root, "scripts", &obj, err);

	if (r < 0 || !obj || json_len(obj) == 0)
		return r;
	if (json_len(obj) > LIMIT_SCRIPTS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "scripts: more than %u entries", LIMIT_SCRIPTS);
	st->scripts = calloc(json_len(obj), sizeof(st->scripts[0]));
	if (!st->scripts)
		return msb_err_errno(err, -ENOMEM, "scripts");
	spec->scripts = st->scripts;
	json_foreach (item, obj) {
		struct sandbox_script *s = &st->scripts[spec->n_scripts++];

		*s = (struct sandbox_script){.name = json_key(item), .body = ""};
		r = json_to_str(item, "scripts", &s->body, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_tmpfs(const struct json *obj, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"path", "size", "options"};
	const struct json *list = NULL;
	int r = json_get_array(obj, "tmpfs", &list, err);

	if (r < 0)
		return r;
	if (json_len(list) > LIMIT_MOUNTS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "tmpfs: more than %u entries", LIMIT_MOUNTS);
	json_foreach (item, list) {
		struct msg_tmpfs *t = &spec->tmpfs[spec->n_tmpfs++];

		*t = (struct msg_tmpfs){.path = "", .options = ""};
		r = json_only(item, keys, ARRAY_SIZE(keys), err);
		if (r == 0)
			r = json_get_str(item, "path", &t->path, err);
		if (r == 0)
			r = json_get_u64(item, "size", &t->size_bytes, err);
		if (r == 0)
			r = json_opt_str(item, "options", &t->options, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_mount(const struct json *item, const char **source, const char **volume,
	const char **path, const char **options, struct msb_err *err)
{
	static const char *const keys[] = {"source", "volume", "path", "options"};
	int r = json_only(item, keys, ARRAY_SIZE(keys), err);

	*source = *volume = *path = *options = "";
	if (r == 0)
		r = json_opt_str(item, "source", source, err);
	if (r == 0)
		r = json_opt_str(item, "volume", volume, err);
	if (r == 0)
		r = json_get_str(item, "path", path, err);
	if (r == 0)
		r = json_opt_str(item, "options", options, err);
	return r;
}

static int get_list(
	const struct json *root, const char *key, const struct json **ret, struct msb_err *err)
{
	int r = json_opt_array(root, key, ret, err);

	if (r == 0 && *ret && json_len(*ret) > LIMIT_SHARES)
		r = msb_err_set(
			err, -E2BIG, MSB_LIMIT, "%s: more than %u entries", key, LIMIT_SHARES);
	return r;
}

static int get_shares(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	const struct json *list = NULL;
	int r = get_list(root, "shares", &list, err);

	if (r < 0 || !list)
		return r;
	json_foreach (item, list) {
		struct sandbox_share *s = &spec->shares[spec->n_shares++];

		r = get_mount(item, &s->source, &s->volume, &s->path, &s->options, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_disks(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	const struct json *list = NULL;
	int r = get_list(root, "disks", &list, err);

	if (r < 0 || !list)
		return r;
	json_foreach (item, list) {
		struct sandbox_disk *d = &spec->disks[spec->n_disks++];

		r = get_mount(item, &d->source, &d->volume, &d->path, &d->options, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_network(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"max_connections", "limits", "pools", "proxy", "dns",
		"policy", "tls", "ports", "secrets", "trust_host_cas"};
	struct spec_storage *st = spec->storage;
	const struct json *policy = NULL;
	const struct json *dns = NULL;
	const struct json *tls = NULL;
	const struct json *secrets = NULL;
	const struct json *obj = NULL;
	int r = json_opt_object(root, "network", &obj, err);

	if (r < 0 || !obj)
		return r;
	r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_u32(
			obj, "max_connections", 0, UINT32_MAX, &spec->net.max_connections, err);
	if (r == 0)
		r = net_limits_from_json(obj, "limits", &spec->net.limits, err);
	if (r == 0)
		r = net_pools_from_json(obj, "pools", &spec->net.pools, err);
	if (r == 0)
		r = net_proxy_from_json(obj, "proxy", &spec->net.proxy, err);
	if (r == 0)
		r = json_get_object(obj, "dns", &dns, err);
	if (r == 0)
		r = dns_settings_from_json(dns, &spec->net.dns, err);
	if (r == 0)
		r = json_get_object(obj, "policy", &policy, err);
	if (r == 0)
		r = net_ports_from_json(obj, "ports", &spec->net.ports, err);
	if (r == 0)
		r = policy_from_json(policy, &st->policy, err);
	if (r == 0)
		spec->net.policy = &st->policy;
	if (r == 0)
		r = json_opt_object(obj, "tls", &tls, err);
	if (r == 0 && tls)
		r = tls_settings_from_json(tls, &spec->net.tls, err);
	if (r == 0)
		r = json_opt_bool(obj, "trust_host_cas", &spec->net.trust_host_cas, err);
	if (r == 0)
		r = json_opt_object(obj, "secrets", &secrets, err);
	return r == 0 && secrets ? secret_settings_from_json(secrets, &spec->net.secrets, err) : r;
}

static int get_vsock(const struct json *obj, struct vsock_routes *to, struct msb_err *err)
{
	static const char *const keys[] = {"path", "port", "kind"};
	static const char *const kinds[] = {"stream"};
	struct vsock_route route = {.port = 0};
	const char *path = NULL;
	unsigned int kind;
	int r = json_only(obj, keys, ARRAY_SIZE(keys), err);

	if (r == 0)
		r = json_get_str(obj, "path", &path, err);
	if (r == 0)
		r = json_get_u32(obj, "port", 0, UINT32_MAX, &route.port, err);
	if (r == 0)
		r = get_choice(obj, "kind", kinds, ARRAY_SIZE(kinds), &kind, err);
	if (r < 0)
		return r;
	if (str_copy(route.path, sizeof(route.path), path) < 0)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
			"the path of a host socket has %d bytes or more", VSOCK_PATH_SIZE);
	return vsock_routes_add(to, &route, err);
}

static int get_vsocks(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	const struct json *list = NULL;
	int r = json_opt_array(root, "vsock", &list, err);

	if (r < 0 || !list)
		return r;
	json_foreach (item, list) {
		r = json_type(item) == JSON_OBJECT
			    ? get_vsock(item, &spec->vsocks, err)
			    : msb_err_set(err, -EINVAL, MSB_USAGE, "vsock: not an object");
		if (r < 0)
			return r;
	}
	return 0;
}

/* What can be reached from inside. */
static int get_outside(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	int r = get_network(root, spec, err);

	return r < 0 ? r : get_vsocks(root, spec, err);
}

/* null stands for unlimited: the value does not fit an integer of JSON. */
static int get_limit(const struct json *obj, const char *key, uint64_t *ret, struct msb_err *err)
{
	const struct json *v = json_find(obj, key);

	if (v && json_type(v) == JSON_NULL) {
		*ret = UINT64_MAX;
		return 0;
	}
	return json_get_u64(obj, key, ret, err);
}

static int get_rlimits(const struct json *obj, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"resource", "soft", "hard"};
	const struct json *list = NULL;
	int r = json_get_array(obj, "rlimits", &list, err);

	if (r < 0)
		return r;
	if (json_len(list) > LIMIT_RLIMITS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "rlimits: more than %u entries", LIMIT_RLIMITS);
	json_foreach (item, list) {
		struct msg_rlimit *l = &spec->rlimits[spec->n_rlimits++];

		r = json_only(item, keys, ARRAY_SIZE(keys), err);
		if (r == 0)
			r = json_get_u32(item, "resource", 0, UINT8_MAX, &l->resource, err);
		if (r == 0)
			r = get_limit(item, "soft", &l->soft, err);
		if (r == 0)
			r = get_limit(item, "hard", &l->hard, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_security(const struct json *guest, struct sandbox_spec *spec, struct msb_err *err)
{
	const char *text = NULL;
	int r = json_opt_str(guest, "security", &text, err);

	if (r < 0 || !text)
		return r;
	spec->restricted = streq(text, SECURITY_RESTRICTED);
	return spec->restricted ? 0
				: msb_err_set(err, -EINVAL, MSB_FAIL, "security: unknown profile");
}

static int get_guest(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"hostname", "user", "workdir", "shell", "env",
		"security", "stop_signal", "tmpfs", "rlimits", "init", "init_args", "init_env"};
	const struct json *obj;
	int r = json_get_object(root, "guest", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_opt_str(obj, "hostname", &spec->hostname, err);
	if (r == 0)
		r = json_opt_str(obj, "user", &spec->user, err);
	if (r == 0)
		r = json_opt_str(obj, "workdir", &spec->workdir, err);
	if (r == 0)
		r = json_opt_str(obj, "shell", &spec->shell, err);
	if (r == 0)
		r = json_opt_str(obj, "init", &spec->init, err);
	if (r == 0)
		r = get_init_lists(obj, spec, err);
	if (r == 0)
		r = get_env(obj, spec, err);
	if (r == 0)
		r = get_security(obj, spec, err);
	if (r == 0)
		r = json_opt_u32(obj, "stop_signal", 0, UINT32_MAX, &spec->stop_signal, err);
	if (r == 0)
		r = get_tmpfs(obj, spec, err);
	if (r == 0)
		r = get_rlimits(obj, spec, err);
	return r;
}

static int get_host(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"home", "lib", "kernel", "qemu", "log_level"};
	const struct json *obj;
	uint32_t level = LOG_WARN;
	int r = json_get_object(root, "host", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_str(obj, "home", &spec->home, err);
	if (r == 0)
		r = json_get_str(obj, "lib", &spec->lib_dir, err);
	if (r == 0)
		r = json_opt_str(obj, "kernel", &spec->kernel_path, err);
	if (r == 0)
		r = json_opt_str(obj, "qemu", &spec->qemu_path, err);
	if (r == 0)
		r = json_get_u32(obj, "log_level", LOG_ERR, LOG_TRACE, &level, err);
	spec->log_level = (enum log_level)level;
	return r;
}

static int get_top(const struct json *root, struct sandbox_spec *spec, struct msb_err *err)
{
	static const char *const keys[] = {"version", "name", "ephemeral", "detached", "created_ns",
		"engine", "image", "root_disk", "snapshot", "vcpus", "mem_mib", "max_vcpus",
		"max_mem_mib", "max_duration_ns", "idle_timeout_ns", "boot_timeout_ns", "command",
		"labels", "scripts", "shares", "disks", "network", "vsock", "guest", "host",
		"prepare"};
	uint32_t version;
	unsigned int engine = 0;
	int r = json_get_u32(root, "version", 1, UINT32_MAX, &version, err);

	if (r < 0)
		return r;
	if (version != SANDBOX_SPEC_VERSION)
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"version %u is not known, only %d", version, SANDBOX_SPEC_VERSION);
	r = json_only(root, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_str(root, "name", &spec->name, err);
	if (r == 0)
		r = json_get_bool(root, "ephemeral", &spec->ephemeral, err);
	if (r == 0)
		r = json_opt_bool(root, "detached", &spec->detached, err);
	if (r == 0)
		r = json_opt_bool(root, "prepare", &spec->prepare, err);
	if (r == 0)
		r = json_opt_u64(root, "created_ns", &spec->created_ns, err);
	if (r == 0)
		r = get_choice(root, "engine", spec_engine_names, ARRAY_SIZE(spec_engine_names),
			&engine, err);
	spec->engine = (enum engine_kind)engine;
	if (r == 0)
		r = json_get_u32(root, "vcpus", 0, UINT32_MAX, &spec->vcpus, err);
	if (r == 0)
		r = json_get_u32(root, "mem_mib", 0, UINT32_MAX, &spec->mem_mib, err);
	if (r == 0)
		r = json_opt_u32(root, "max_vcpus", 1, UINT32_MAX, &spec->max_vcpus, err);
	if (r == 0)
		r = json_opt_u32(root, "max_mem_mib", 1, UINT32_MAX, &spec->max_mem_mib, err);
	if (r == 0)
		r = json_get_u64(root, "max_duration_ns", &spec->max_duration_ns, err);
	if (r == 0)
		r = json_get_u64(root, "boot_timeout_ns", &spec->boot_timeout_ns, err);
	if (r == 0)
		r = json_opt_u64(root, "idle_timeout_ns", &spec->idle_timeout_ns, err);
	if (r == 0)
		r = get_command(root, spec, err);
	return r;
}

int sandbox_spec_from_json(
	const char *text, size_t len, struct sandbox_spec *ret, struct msb_err *err)
{
	struct sandbox_spec spec;
	struct spec_storage *st = calloc(1, sizeof(*st));
	int r;

	sandbox_spec_init(&spec);
	if (!st)
		return msb_err_errno(err, -ENOMEM, "sandbox description");
	spec.storage = st;
	r = json_parse(text, len, &st->doc, err);
	if (r == 0) {
		const struct json *root = st->doc;

		r = get_top(root, &spec, err);
		if (r == 0)
			r = get_image(root, &spec, err);
		if (r == 0)
			r = get_root_disk(root, &spec, err);
		if (r == 0)
			r = get_snapshot(root, &spec, err);
		if (r == 0)
			r = get_labels(root, &spec, err);
		if (r == 0)
			r = get_scripts(root, &spec, err);
		if (r == 0)
			r = get_shares(root, &spec, err);
		if (r == 0)
			r = get_disks(root, &spec, err);
		if (r == 0)
			r = get_outside(root, &spec, err);
		if (r == 0)
			r = get_guest(root, &spec, err);
		if (r == 0)
			r = get_host(root, &spec, err);
		if (r == 0)
			r = sandbox_spec_check(&spec, err);
	}
	if (r < 0) {
		sandbox_spec_deinit(&spec);
		return msb_err_prefix(err, r, "sandbox description");
	}
	*ret = spec;
	return 0;
}
