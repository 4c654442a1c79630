/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandbox description to and from JSON.
 *
 * The text goes from the CLI to the supervisor and stays on disk as spec.json, possibly read by a
 * newer version. Reading is strict: what this version does not know is an error, not a default.
 */
#include "base/json.h"
#include "base/str.h"

#include "net/policy/rule.h"
#include "sandbox/spec.h"

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

#define SECURITY_RESTRICTED "restricted"

static const char *const engine_names[] = {
	[ENGINE_AUTO] = "auto",
	[ENGINE_KVM] = "kvm",
	[ENGINE_QEMU] = "qemu",
};
static const char *const image_names[] = {
	[IMAGE_BASE] = "base",
	[IMAGE_EROFS] = "erofs",
	[IMAGE_DISK] = "disk",
	[IMAGE_DIRECTORY] = "directory",
	[IMAGE_OCI] = "oci",
};
static const char *const upper_names[] = {
	[UPPER_TMPFS] = "tmpfs",
	[UPPER_DISK] = "disk",
	[UPPER_FILE] = "file",
	[UPPER_FLAT] = "flat",
};
static const char *const root_names[] = {
	[ROOT_OVERLAY] = "overlay",
	[ROOT_DISK] = "disk",
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

/* The writer takes NULL for null; an absent string is written as nothing at all. */
static void put_text(struct json_out *o, const char *key, const char *s)
{
	if (s && s[0])
		json_put_str(o, key, s);
}

static void put_limit(struct json_out *o, const char *key, uint64_t v)
{
	if (v == UINT64_MAX)
		json_put_null(o, key);
	else
		json_put_u64(o, key, v);
}

static void put_image(struct json_out *o, const struct sandbox_spec *spec)
{
	json_begin_object(o, "image");
	json_put_str(o, "kind", image_names[spec->image_kind]);
	put_text(o, "name", spec->image);
	put_text(o, "digest", spec->image_digest);
	put_text(o, "path", spec->image_path);
	json_put_str(o, "root", root_names[spec->root_kind]);
	put_text(o, "fstype", spec->root_fstype);
	json_end_object(o);
}

static void put_root_disk(struct json_out *o, const struct sandbox_root_disk *d)
{
	json_begin_object(o, "root_disk");
	json_put_str(o, "kind", upper_names[d->kind]);
	json_put_u64(o, "size", d->size_bytes);
	put_text(o, "path", d->path);
	json_end_object(o);
}

static void put_snapshot(struct json_out *o, const struct sandbox_spec *spec)
{
	if (!spec->snapshot || !spec->snapshot[0])
		return;
	json_begin_object(o, "snapshot");
	json_put_str(o, "path", spec->snapshot);
	put_text(o, "digest", spec->snapshot_digest);
	json_end_object(o);
}

static void put_strings(struct json_out *o, const char *key, const char *const *list)
{
	if (!list || !list[0])
		return;
	json_begin_array(o, key);
	for (size_t i = 0; list[i]; i++)
		json_put_str(o, NULL, list[i]);
	json_end_array(o);
}

static void put_guest(struct json_out *o, const struct sandbox_spec *spec)
{
	json_begin_object(o, "guest");
	put_text(o, "hostname", spec->hostname);
	put_text(o, "user", spec->user);
	put_text(o, "workdir", spec->workdir);
	put_text(o, "shell", spec->shell);
	put_text(o, "init", spec->init);
	put_strings(o, "init_args", spec->init_args);
	put_strings(o, "init_env", spec->init_env);
	json_begin_array(o, "env");
	for (size_t i = 0; spec->env && spec->env[i]; i++)
		json_put_str(o, NULL, spec->env[i]);
	json_end_array(o);
	if (spec->restricted)
		json_put_str(o, "security", SECURITY_RESTRICTED);
	if (spec->stop_signal)
		json_put_u64(o, "stop_signal", spec->stop_signal);
	json_begin_array(o, "tmpfs");
	for (uint32_t i = 0; i < spec->n_tmpfs; i++) {
		json_begin_object(o, NULL);
		json_put_str(o, "path", spec->tmpfs[i].path);
		json_put_u64(o, "size", spec->tmpfs[i].size_bytes);
		put_text(o, "options", spec->tmpfs[i].options);
		json_end_object(o);
	}
	json_end_array(o);
	json_begin_array(o, "rlimits");
	for (uint32_t i = 0; i < spec->n_rlimits; i++) {
		json_begin_object(o, NULL);
		json_put_u64(o, "resource", spec->rlimits[i].resource);
		put_limit(o, "soft", spec->rlimits[i].soft);
		put_limit(o, "hard", spec->rlimits[i].hard);
		json_end_object(o);
	}
	json_end_array(o);
	json_end_object(o);
}

static void put_mount(struct json_out *o, const char *source, const char *volume, const char *path,
	const char *options)
{
	json_begin_object(o, NULL);
	put_text(o, "source", source);
	put_text(o, "volume", volume);
	json_put_str(o, "path", path);
	put_text(o, "options", options);
	json_end_object(o);
}

static void put_mounts(struct json_out *o, const struct sandbox_spec *spec)
{
	if (spec->n_shares) {
		json_begin_array(o, "shares");
		for (uint32_t i = 0; i < spec->n_shares; i++) {
			const struct sandbox_share *s = &spec->shares[i];

			put_mount(o, s->source, s->volume, s->path, s->options);
		}
		json_end_array(o);
	}
	if (spec->n_disks) {
		json_begin_array(o, "disks");
		for (uint32_t i = 0; i < spec->n_disks; i++) {
			const struct sandbox_disk *d = &spec->disks[i];

			put_mount(o, d->source, d->volume, d->path, d->options);
		}
		json_end_array(o);
	}
}

static void put_network(struct json_out *o, const struct sandbox_net *n, bool secret)
{
	if (!n->policy)
		return;
	json_begin_object(o, "network");
	json_put_u64(o, "max_connections", n->max_connections);
	net_limits_to_json(&n->limits, o, "limits");
	net_pools_to_json(&n->pools, o, "pools");
	net_proxy_to_json(&n->proxy, o, "proxy", secret);
	dns_settings_to_json(&n->dns, o, "dns");
	policy_to_json(n->policy, o, "policy");
	if (n->tls.on)
		tls_settings_to_json(&n->tls, o, "tls");
	if (n->trust_host_cas)
		json_put_bool(o, "trust_host_cas", true);
	if (n->ports.n)
		net_ports_to_json(&n->ports, o, "ports");
	if (n->secrets.n)
		secret_settings_to_json(&n->secrets, o, "secrets");
	json_end_object(o);
}

static void put_vsocks(struct json_out *o, const struct vsock_routes *v)
{
	if (v->n == 0)
		return;
	json_begin_array(o, "vsock");
	for (uint32_t i = 0; i < v->n; i++) {
		json_begin_object(o, NULL);
		json_put_str(o, "path", v->list[i].path);
		json_put_u64(o, "port", v->list[i].port);
		json_put_str(o, "kind", "stream");
		json_end_object(o);
	}
	json_end_array(o);
}

static void put_labels(struct json_out *o, const struct sandbox_spec *spec)
{
	json_begin_object(o, "labels");
	for (uint32_t i = 0; i < spec->n_labels; i++)
		json_put_str(o, spec->labels[i].name, spec->labels[i].value);
	json_end_object(o);
}

static void put_scripts(struct json_out *o, const struct sandbox_spec *spec)
{
	if (spec->n_scripts == 0)
		return;
	json_begin_object(o, "scripts");
	for (uint32_t i = 0; i < spec->n_scripts; i++)
		json_put_str(o, spec->scripts[i].name, spec->scripts[i].body);
	json_end_object(o);
}

static void put_host(struct json_out *o, const struct sandbox_spec *spec)
{
	json_begin_object(o, "host");
	json_put_str(o, "home", spec->home);
	json_put_str(o, "lib", spec->lib_dir);
	put_text(o, "kernel", spec->kernel_path);
	put_text(o, "qemu", spec->qemu_path);
	json_put_int(o, "log_level", spec->log_level);
	json_end_object(o);
}

static int to_json(const struct sandbox_spec *spec, bool secret, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_int(&o, "version", SANDBOX_SPEC_VERSION);
	json_put_str(&o, "name", spec->name);
	json_put_bool(&o, "ephemeral", spec->ephemeral);
	json_put_bool(&o, "detached", spec->detached);
	if (spec->prepare)
		json_put_bool(&o, "prepare", true);
	json_put_u64(&o, "created_ns", spec->created_ns);
	json_put_str(&o, "engine", engine_names[spec->engine]);
	put_image(&o, spec);
	put_root_disk(&o, &spec->root_disk);
	put_snapshot(&o, spec);
	json_put_u64(&o, "vcpus", spec->vcpus);
	json_put_u64(&o, "mem_mib", spec->mem_mib);
	if (spec->max_vcpus)
		json_put_u64(&o, "max_vcpus", spec->max_vcpus);
	if (spec->max_mem_mib)
		json_put_u64(&o, "max_mem_mib", spec->max_mem_mib);
	json_put_u64(&o, "max_duration_ns", spec->max_duration_ns);
	json_put_u64(&o, "idle_timeout_ns", spec->idle_timeout_ns);
	if (spec->command) {
		json_begin_array(&o, "command");
		for (size_t i = 0; spec->command[i]; i++)
			json_put_str(&o, NULL, spec->command[i]);
		json_end_array(&o);
	}
	json_put_u64(&o, "boot_timeout_ns", spec->boot_timeout_ns);
	put_labels(&o, spec);
	put_scripts(&o, spec);
	put_mounts(&o, spec);
	put_network(&o, &spec->net, secret);
	put_vsocks(&o, &spec->vsocks);
	put_guest(&o, spec);
	put_host(&o, spec);
	json_end_object(&o);
	return json_out_end(&o);
}

int sandbox_spec_to_json(const struct sandbox_spec *spec, struct buf *out)
{
	return to_json(spec, false, out);
}

int sandbox_spec_to_json_secret(const struct sandbox_spec *spec, struct buf *out)
{
	return to_json(spec, true, out);
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
		r = get_choice(obj, "kind", image_names, ARRAY_SIZE(image_names), &kind, err);
	if (r == 0)
		r = json_opt_str(obj, "name", &spec->image, err);
	if (r == 0)
		r = json_opt_str(obj, "digest", &spec->image_digest, err);
	if (r == 0)
		r = json_opt_str(obj, "path", &spec->image_path, err);
	if (r == 0)
		r = get_choice(obj, "root", root_names, ARRAY_SIZE(root_names), &root_kind, err);
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
		r = get_choice(obj, "kind", upper_names, ARRAY_SIZE(upper_names), &kind, err);
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
		r = get_choice(
			root, "engine", engine_names, ARRAY_SIZE(engine_names), &engine, err);
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
