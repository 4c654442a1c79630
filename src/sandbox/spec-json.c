/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandbox description to JSON. The text goes from the CLI to the supervisor and stays on disk as
 * spec.json, possibly read by a newer version: see spec-read.c.
 */
#include "net/policy/rule.h"
#include "sandbox/spec-internal.h"

const char *const spec_engine_names[ENGINE_QEMU + 1] = {
	[ENGINE_AUTO] = "auto",
	[ENGINE_KVM] = "kvm",
	[ENGINE_QEMU] = "qemu",
};
const char *const spec_image_names[IMAGE_OCI + 1] = {
	[IMAGE_BASE] = "base",
	[IMAGE_EROFS] = "erofs",
	[IMAGE_DISK] = "disk",
	[IMAGE_DIRECTORY] = "directory",
	[IMAGE_OCI] = "oci",
};
const char *const spec_upper_names[UPPER_FLAT + 1] = {
	[UPPER_TMPFS] = "tmpfs",
	[UPPER_DISK] = "disk",
	[UPPER_FILE] = "file",
	[UPPER_FLAT] = "flat",
};
const char *const spec_root_names[ROOT_DISK + 1] = {
	[ROOT_OVERLAY] = "overlay",
	[ROOT_DISK] = "disk",
};

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
	json_put_str(o, "kind", spec_image_names[spec->image_kind]);
	put_text(o, "name", spec->image);
	put_text(o, "digest", spec->image_digest);
	put_text(o, "path", spec->image_path);
	json_put_str(o, "root", spec_root_names[spec->root_kind]);
	put_text(o, "fstype", spec->root_fstype);
	json_end_object(o);
}

static void put_root_disk(struct json_out *o, const struct sandbox_root_disk *d)
{
	json_begin_object(o, "root_disk");
	json_put_str(o, "kind", spec_upper_names[d->kind]);
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
	json_put_str(&o, "engine", spec_engine_names[spec->engine]);
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
