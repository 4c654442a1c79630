/* SPDX-License-Identifier: Apache-2.0 */
/* Sandbox description: defaults and checks. The JSON form is in spec-json.c. */
#include "sandbox/spec.h"

#include "base/str.h"

#include "image/ref.h"
#include "sandbox/state.h"
#include "sandbox/volume.h"

void sandbox_spec_init(struct sandbox_spec *spec)
{
	*spec = (struct sandbox_spec){
		.name = "",
		.ephemeral = true,
		.image = "",
		.image_digest = "",
		.image_path = "",
		.root_fstype = "",
		.root_disk = {.path = ""},
		.vcpus = 1,
		.mem_mib = 512,
		.home = "",
		.lib_dir = "",
		.log_level = LOG_WARN,
	};
	dns_settings_init(&spec->net.dns);
}

static bool is_absolute(const char *path)
{
	return path && path[0] == '/' && strlen(path) < LIMIT_PATH;
}

static int check_absolute(const char *what, const char *path, struct msb_err *err)
{
	if (is_absolute(path))
		return 0;
	return msb_err_set(err, -EINVAL, MSB_USAGE,
		"%s must be an absolute path of less than %u bytes", what, LIMIT_PATH);
}

static int check_optional(const char *what, const char *path, struct msb_err *err)
{
	return path && path[0] ? check_absolute(what, path, err) : 0;
}

static int check_machine(const struct sandbox_spec *spec, struct msb_err *err)
{
	if (spec->vcpus < 1 || spec->vcpus > LIMIT_VCPUS)
		return msb_err_set(
			err, -ERANGE, MSB_USAGE, "the number of CPUs must be 1 to %u", LIMIT_VCPUS);
	if (spec->mem_mib < LIMIT_MEM_MIN_MIB || spec->mem_mib > LIMIT_MEM_MAX_MIB)
		return msb_err_set(err, -ERANGE, MSB_USAGE, "memory must be %u MiB to %u GiB",
			LIMIT_MEM_MIN_MIB, LIMIT_MEM_MAX_MIB / 1024);
	if (spec->max_vcpus > LIMIT_VCPUS || spec->max_mem_mib > LIMIT_MEM_MAX_MIB)
		return msb_err_set(err, -ERANGE, MSB_USAGE,
			"more than %u CPUs or %u GiB of memory are not possible", LIMIT_VCPUS,
			LIMIT_MEM_MAX_MIB / 1024);
	if (spec->max_vcpus && spec->vcpus > spec->max_vcpus)
		return msb_err_hint(err,
			msb_err_set(err, -ERANGE, MSB_USAGE,
				"%" PRIu32 " CPUs are more than the maximum of %" PRIu32,
				spec->vcpus, spec->max_vcpus),
			"--max-cpus says how many there may be");
	if (spec->max_mem_mib && spec->mem_mib > spec->max_mem_mib)
		return msb_err_hint(err,
			msb_err_set(err, -ERANGE, MSB_USAGE,
				"%" PRIu32 " MiB of memory are more than the maximum of %" PRIu32,
				spec->mem_mib, spec->max_mem_mib),
			"--max-memory says how much there may be");
	return 0;
}

static int check_hostname(const char *hostname, struct msb_err *err)
{
	size_t len = hostname ? strlen(hostname) : 0;

	if (len > LIMIT_HOSTNAME)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "the host name is longer than %u bytes",
			LIMIT_HOSTNAME);
	for (size_t i = 0; i < len; i++) {
		/* A newline or a space would forge lines of /etc/hosts. */
		if (hostname[i] <= ' ' || hostname[i] > '~' || hostname[i] == '/')
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"the host name contains a character that is not allowed");
	}
	return 0;
}

static int check_env(const char *const *env, struct msb_err *err)
{
	size_t bytes = 0;
	size_t n = 0;

	for (; env && env[n]; n++) {
		const char *eq = strchr(env[n], '=');
		char quoted[80];

		if (!eq || eq == env[n])
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"environment entry %s is not NAME=VALUE",
				str_quote(quoted, sizeof(quoted), env[n], strlen(env[n])));
		bytes += strlen(env[n]) + 1;
	}
	if (n > LIMIT_ARGV || bytes > LIMIT_EXEC_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"the environment is larger than %u entries or %u bytes", LIMIT_ARGV,
			LIMIT_EXEC_BYTES);
	return 0;
}

static int check_words(const char *const *words, const char *what, struct msb_err *err)
{
	size_t bytes = 0;
	size_t n = 0;

	for (; words && words[n]; n++)
		bytes += strlen(words[n]) + 1;
	if (n > LIMIT_ARGV || bytes > LIMIT_EXEC_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "%s larger than %u words or %u bytes",
			what, LIMIT_ARGV, LIMIT_EXEC_BYTES);
	return 0;
}

static int check_command(const char *const *command, struct msb_err *err)
{
	if (command && !command[0])
		return msb_err_set(err, -EINVAL, MSB_USAGE, "the command is empty");
	return check_words(command, "the command is", err);
}

int sandbox_script_name_check(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789._-");

	return n == 0 || n > NAME_MAX || name[n] || name[0] == '.' || name[0] == '-' ? -EINVAL : 0;
}

static bool is_utf8(const char *s, size_t len)
{
	while (len) {
		size_t n = str_utf8_char(s, len);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

static int check_scripts(const struct sandbox_spec *spec, struct msb_err *err)
{
	size_t bytes = 0;

	if (spec->n_scripts > LIMIT_SCRIPTS)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %u scripts", LIMIT_SCRIPTS);
	for (uint32_t i = 0; i < spec->n_scripts; i++) {
		const struct sandbox_script *s = &spec->scripts[i];
		size_t len = strlen(s->body);

		bytes += len;
		if (sandbox_script_name_check(s->name) < 0)
			return msb_err_set(
				err, -EINVAL, MSB_USAGE, "the name of a script is wrong");
		if (len > LIMIT_SCRIPT_BYTES || bytes > LIMIT_SCRIPTS_BYTES)
			return msb_err_set(err, -E2BIG, MSB_LIMIT,
				"scripts may have %u KiB each and %u KiB together",
				LIMIT_SCRIPT_BYTES / 1024, LIMIT_SCRIPTS_BYTES / 1024);
		if (!is_utf8(s->body, len))
			return msb_err_set(
				err, -EILSEQ, MSB_USAGE, "script %s is no UTF-8 text", s->name);
	}
	return 0;
}

static int check_tmpfs(const struct sandbox_spec *spec, struct msb_err *err)
{
	if (spec->n_tmpfs > LIMIT_MOUNTS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %u tmpfs mounts", LIMIT_MOUNTS);
	for (uint32_t i = 0; i < spec->n_tmpfs; i++) {
		const struct msg_tmpfs *t = &spec->tmpfs[i];
		int r = check_absolute("the place of a tmpfs", t->path, err);

		if (r < 0)
			return r;
		if (t->size_bytes > INT64_MAX)
			return msb_err_set(err, -ERANGE, MSB_USAGE, "a tmpfs is too large");
	}
	return 0;
}

/* Either a path of the host or a volume. */
static int check_source(const char *source, const char *volume, struct msb_err *err)
{
	if (volume[0])
		return source[0] ? msb_err_set(err, -EINVAL, MSB_USAGE,
					   "a volume has no path of its own")
				 : volume_name_check(volume, err);
	return check_absolute("what is mounted from the host", source, err);
}

static int check_shares(const struct sandbox_spec *spec, struct msb_err *err)
{
	if (spec->n_shares > LIMIT_SHARES || spec->n_disks > LIMIT_SHARES ||
		spec->n_shares + spec->n_disks > LIMIT_SHARES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %u volumes", LIMIT_SHARES);
	if (spec->n_disks > LIMIT_DISK_MOUNTS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %u disks to mount", LIMIT_DISK_MOUNTS);
	for (uint32_t i = 0; i < spec->n_shares; i++) {
		const struct sandbox_share *s = &spec->shares[i];
		struct share_options o;
		int r = check_source(s->source, s->volume, err);

		if (r == 0)
			r = share_path_check(s->path, err);
		if (r == 0)
			r = share_options_parse(s->options, &o, err);
		if (r < 0)
			return r;
	}
	for (uint32_t i = 0; i < spec->n_disks; i++) {
		const struct sandbox_disk *d = &spec->disks[i];
		struct disk_options o;
		int r = check_source(d->source, d->volume, err);

		if (r == 0)
			r = share_path_check(d->path, err);
		if (r == 0)
			r = disk_options_parse(d->options, &o, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_vsocks(const struct sandbox_spec *spec, struct msb_err *err)
{
	struct vsock_routes seen = {.n = 0};

	if (spec->vsocks.n > LIMIT_VSOCKS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %u host sockets", LIMIT_VSOCKS);
	for (uint32_t i = 0; i < spec->vsocks.n; i++) {
		int r = vsock_route_check(&spec->vsocks.list[i], err);

		if (r == 0)
			r = vsock_routes_add(&seen, &spec->vsocks.list[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_rlimits(const struct sandbox_spec *spec, struct msb_err *err)
{
	if (spec->n_rlimits > LIMIT_RLIMITS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %u resource limits", LIMIT_RLIMITS);
	for (uint32_t i = 0; i < spec->n_rlimits; i++) {
		const struct msg_rlimit *l = &spec->rlimits[i];

		if (l->soft > l->hard)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"a soft resource limit is above its hard limit");
		if ((l->soft > INT64_MAX && l->soft != UINT64_MAX) ||
			(l->hard > INT64_MAX && l->hard != UINT64_MAX))
			return msb_err_set(
				err, -ERANGE, MSB_USAGE, "a resource limit is too large");
	}
	return 0;
}

static int check_labels(const struct sandbox_spec *spec, struct msb_err *err)
{
	size_t bytes = 0;

	if (spec->n_labels > LIMIT_LABELS)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %u labels", LIMIT_LABELS);
	for (uint32_t i = 0; i < spec->n_labels; i++) {
		const struct sandbox_label *l = &spec->labels[i];

		if (!l->name[0])
			return msb_err_set(err, -EINVAL, MSB_USAGE, "a label without a name");
		bytes += strlen(l->name) + strlen(l->value) + 2;
	}
	if (bytes > LIMIT_LABEL_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "the labels are larger than %u bytes",
			LIMIT_LABEL_BYTES);
	return 0;
}

static int check_paths(const struct sandbox_spec *spec, struct msb_err *err)
{
	int r = check_absolute("the state directory", spec->home, err);

	if (r == 0)
		r = check_absolute("the program directory", spec->lib_dir, err);
	if (r == 0)
		r = check_optional("the image file", spec->image_path, err);
	if (r == 0)
		r = check_optional("the kernel", spec->kernel_path, err);
	if (r == 0)
		r = check_optional("the path of QEMU", spec->qemu_path, err);
	if (r == 0)
		r = check_optional("the working directory", spec->workdir, err);
	return r;
}

static int check_image(const struct sandbox_spec *spec, struct msb_err *err)
{
	bool oci = spec->image_kind == IMAGE_OCI;

	if (oci != (spec->image_digest[0] != '\0'))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a digest belongs to an image of the store and to no other");
	if (oci && !image_digest_check(spec->image_digest))
		return msb_err_set(err, -EINVAL, MSB_USAGE, "the image's digest is malformed");
	if (oci && (spec->image_path[0] || spec->root_kind != ROOT_OVERLAY))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"an image of the store is neither a file nor written to");
	return 0;
}

static int check_snapshot(const struct sandbox_spec *spec, struct msb_err *err)
{
	bool given = spec->snapshot && spec->snapshot[0];
	bool digest = spec->snapshot_digest && spec->snapshot_digest[0];

	if (given != digest || (digest && !image_digest_check(spec->snapshot_digest)))
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "a snapshot has a directory and a digest");
	if (!given)
		return 0;
	if (spec->root_disk.kind != UPPER_DISK && spec->root_disk.kind != UPPER_FLAT)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a snapshot needs a root disk of msb's to be copied to");
	return check_absolute("the snapshot", spec->snapshot, err);
}

static int check_root_disk(const struct sandbox_spec *spec, struct msb_err *err)
{
	const struct sandbox_root_disk *d = &spec->root_disk;
	uint64_t mib = d->size_bytes / MIB;

	if (spec->root_kind == ROOT_DISK && (d->kind != UPPER_TMPFS || d->size_bytes))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a disk image is written to itself and has no other root disk");
	if ((d->kind == UPPER_FILE) != (d->path[0] != '\0'))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a path belongs to a root disk of the user's and to no other");
	switch (d->kind) {
	case UPPER_TMPFS:
		if (d->size_bytes > spec->mem_mib * MIB)
			return msb_err_set(err, -ERANGE, MSB_USAGE,
				"a root disk in memory cannot be larger than the memory");
		return 0;
	case UPPER_FILE:
		if (d->size_bytes)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"the size of a root disk of the user's is that of its file");
		return check_absolute("the root disk", d->path, err);
	case UPPER_DISK:
	case UPPER_FLAT:
		if (mib >= LIMIT_ROOT_DISK_MIN_MIB && mib <= LIMIT_ROOT_DISK_MAX_MIB &&
			d->size_bytes % MIB == 0)
			return 0;
		return msb_err_set(err, -ERANGE, MSB_USAGE,
			"the root disk must have %u MiB to %u GiB", LIMIT_ROOT_DISK_MIN_MIB,
			LIMIT_ROOT_DISK_MAX_MIB / 1024);
	default:
		return msb_err_set(err, -EINVAL, MSB_USAGE, "unknown kind of root disk");
	}
}

int sandbox_spec_check(const struct sandbox_spec *spec, struct msb_err *err)
{
	int r = sandbox_name_check(spec->name, err);

	if (r == 0)
		r = check_machine(spec, err);
	if (r == 0)
		r = check_image(spec, err);
	if (r == 0)
		r = check_root_disk(spec, err);
	if (r == 0)
		r = check_snapshot(spec, err);
	if (r == 0)
		r = check_hostname(spec->hostname, err);
	if (r == 0 && spec->user && strlen(spec->user) > LIMIT_USER)
		r = msb_err_set(
			err, -EINVAL, MSB_USAGE, "the user is longer than %u bytes", LIMIT_USER);
	if (r == 0)
		r = check_env(spec->env, err);
	if (r == 0)
		r = check_env(spec->init_env, err);
	if (r == 0)
		r = check_words(spec->init_args, "the arguments of the init are", err);
	if (r == 0)
		r = check_command(spec->command, err);
	if (r == 0)
		r = check_scripts(spec, err);
	if (r == 0)
		r = check_tmpfs(spec, err);
	if (r == 0)
		r = check_shares(spec, err);
	if (r == 0)
		r = check_vsocks(spec, err);
	if (r == 0)
		r = check_rlimits(spec, err);
	if (r == 0 && spec->stop_signal > LIMIT_SIGNAL)
		r = msb_err_set(err, -ERANGE, MSB_USAGE, "there is no signal %u to stop with",
			spec->stop_signal);
	if (r == 0)
		r = check_labels(spec, err);
	if (r == 0)
		r = check_paths(spec, err);
	return r;
}
