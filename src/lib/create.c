/* SPDX-License-Identifier: Apache-2.0 */
/* From options and an image to the description of a new sandbox: see create.h. */
#include "lib/create.h"

#include "base/str.h"

#include "lib/env-file.h"
#include "lib/image-config.h"
#include "lib/labels.h"
#include "lib/life.h"
#include "lib/tenant.h"
#include "lib/where.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

static int check_words(const struct create_args *a, struct msb_err *err)
{
	const struct {
		const char *option;
		const char *value;
	} words[] = {
		{"--name", a->name},
		{"--from-snapshot", a->from_snapshot},
		{"--hostname", a->hostname},
		{"--workdir", a->workdir},
		{"--user", a->user},
		{"--shell", a->shell},
		{"--init", a->init},
		{"--kernel", a->kernel},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].value && !words[i].value[0])
			return msb_err_set(err, -EINVAL, MSB_USAGE, "option %s: the value is empty",
				words[i].option);
	}
	if (a->init && !streq(a->init, "auto") &&
		(a->init[0] != '/' || strlen(a->init) >= LIMIT_PATH))
		return msb_err_usage(err, "option --init: neither auto nor an absolute path");
	if (!a->init && (a->init_args.n || a->init_env.n))
		return msb_err_usage(err, "option --init-%s: it is for --init, which is not given",
			a->init_args.n ? "arg" : "env");
	if (a->init && a->security == SECURITY_RESTRICTED)
		return msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
			"option --init: with --security restricted nothing of the image can have "
			"the rights of an init");
	if (a->workdir && a->workdir[0] != '/') {
		char quoted[120];

		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"option --workdir: %s is not an absolute path",
			str_quote(quoted, sizeof(quoted), a->workdir, strlen(a->workdir)));
	}
	return 0;
}

/* Absolute, because the supervisor has another working directory. */
static int find_kernel(const char *word, char *to, size_t size, struct msb_err *err)
{
	cleanup_free char *real = NULL;
	char quoted[160];
	int r;

	to[0] = '\0';
	if (!word)
		return 0;
	(void)str_quote(quoted, sizeof(quoted), word, strlen(word));
	real = realpath(word, NULL);
	if (!real || access(real, R_OK) < 0)
		return msb_err_errno(err, -errno, "cannot read kernel %s", quoted);
	r = str_copy(to, size, real);
	return r < 0 ? msb_err_errno(err, r, "kernel %s", quoted) : 0;
}

static void fill_spec(struct sandbox_spec *spec, const struct create_args *a)
{
	spec->ephemeral = true;
	spec->engine = (enum engine_kind)a->engine;
	spec->vcpus = a->cpus;
	spec->mem_mib = a->mem_mib;
	spec->max_vcpus = a->max_cpus;
	spec->max_mem_mib = a->max_mem_mib;
	spec->hostname = a->hostname;
	spec->shell = a->shell;
	spec->init = a->init;
	spec->n_tmpfs = a->tmpfs.n;
	memcpy(spec->tmpfs, a->tmpfs.list, sizeof(spec->tmpfs));
	spec->vsocks = a->vsocks;
	spec->n_rlimits = a->rlimits.n;
	memcpy(spec->rlimits, a->rlimits.list, sizeof(spec->rlimits));
	spec->restricted = a->security == SECURITY_RESTRICTED;
	spec->max_duration_ns = a->max_duration_ns;
	spec->idle_timeout_ns = a->idle_timeout_ns;
	spec->log_level = (enum log_level)a->log_level;
}

/* Nobody could use a network without a way in or out: then there is not even a device. */
static int configure_net(struct create *run, struct msb_err *err)
{
	struct sandbox_net *net = &run->spec.net;
	int r = run_net_apply(&run->args->net, &run->policy, &net->dns, err);

	if (r == 0)
		r = tenant_apply(run->home, run->args->tenancy, &run->args->net, &run->args->vsocks,
			&run->policy, err);
	if (r == 0)
		r = run_tls_apply(&run->args->net.tls, &net->tls, err);
	if (r == 0)
		r = run_secrets_apply(&run->args->net.secrets, &net->secrets, err);
	if (r < 0)
		return r;
	net->max_connections = run->args->net.max_connections;
	net->limits = run->args->net.limits;
	net->pools = run->args->net.pools;
	net->proxy = run->args->net.proxy;
	net->policy = policy_is_closed(&run->policy) ? NULL : &run->policy;
	net->tls.on = net->tls.on || net->secrets.n > 0;
	if (net->tls.on && !net->policy)
		return msb_err_usage(err, "there is no network whose TLS could be intercepted");
	net->trust_host_cas = run->args->net.tls.trust_host_cas;
	net->ports = run->args->net.ports;
	if (net->ports.n && !net->policy)
		return msb_err_hint(err,
			msb_err_set(err, -EINVAL, MSB_USAGE,
				"option --port: without a network nobody gets in"),
			"let only what comes in pass: --net-default-egress deny");
	return 0;
}

/* Puts together what the user and the image say. @image: NULL if it says nothing. */
static int configure(struct create *run, const struct opt_words *words,
	const struct oci_config *image, struct msb_err *err)
{
	const struct create_args *a = run->args;
	const struct run_wish wish = {
		.entrypoint = a->entrypoint,
		.entry_words = a->conf.entrypoint,
		.command =
			words->n_command ? (const char *const *)words->command : a->conf.cmd.items,
		.n_command = words->n_command ? words->n_command : a->conf.cmd.n,
		.shell = a->shell,
		.user = a->user,
		.workdir = a->workdir,
		.env = run->env,
		.labels = run->labels,
		.n_labels = a->labels.n,
		.scripts = a->scripts.n > 0,
	};
	struct run_config *c = &run->config;
	int r;

	run_config_deinit(c);
	r = run_config_merge(image, &wish, c, err);
	if (r < 0)
		return r;
	run->spec.env = c->env.n ? c->env.items : NULL;
	run->spec.user = c->user;
	run->spec.workdir = c->workdir;
	run->spec.stop_signal = c->stop_signal;
	run->spec.labels = c->labels;
	run->spec.n_labels = (uint32_t)c->n_labels;
	/* Without any, the sandbox just stays: a shell has nobody to talk to. */
	run->spec.command = run->main_command && !c->is_shell ? c->argv.items : NULL;
	return sandbox_spec_check(&run->spec, err);
}

static int patch(void *arg, struct loop *loop, struct sandbox *sb, struct msb_err *err)
{
	struct create *run = arg;

	return run_patches_apply(&run->args->patches, &run->patching, loop, sb, err);
}

void create_init(struct create *run, struct create_args *args)
{
	memset(run, 0, sizeof(*run));
	run->args = args;
	run->image.fd = -EBADF;
	run->snapshot.fd = -EBADF;
	run->preparation = (struct preparation){.fn = patch, .arg = run};
	sandbox_spec_init(&run->spec);
}

int create_describe(struct create *run, const struct opt_words *words, struct msb_err *err)
{
	const struct create_args *a = run->args;
	int r = check_words(a, err);

	if (r == 0 && a->from_snapshot && words->operands.n)
		r = msb_err_set(err, -EINVAL, MSB_USAGE,
			"option --from-snapshot: the snapshot has its image, no other can be "
			"given");
	if (r == 0)
		r = env_make(&a->env_files, &a->env, &run->env, err);
	if (r == 0 && !run->lib_dir[0])
		r = where_lib_dir(run->lib_dir, sizeof(run->lib_dir), err);
	if (r == 0 && !run->home[0])
		r = sandbox_home_default(run->home, sizeof(run->home), err);
	if (r == 0)
		r = find_kernel(a->kernel, run->kernel, sizeof(run->kernel), err);
	if (r < 0)
		return r;
	r = sandbox_name_generate(run->name);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make a name for the sandbox");

	fill_spec(&run->spec, a);
	r = run_scripts_make(&run->args->scripts, a->shell, err);
	if (r < 0)
		return r;
	run->spec.n_scripts = a->scripts.n;
	run->spec.scripts = a->scripts.made;
	r = labels_make(&a->labels, &run->labels, err);
	if (r < 0)
		return r;
	run->spec.created_ns = clock_real_ns();
	run->spec.name = a->name ? a->name : run->name;
	run->spec.home = run->home;
	run->spec.lib_dir = run->lib_dir;
	run->spec.kernel_path = run->kernel;
	r = configure_net(run, err);
	if (r == 0)
		r = run_patches_check(&a->patches, &a->tmpfs, &a->volumes, err);
	if (r < 0)
		return r;
	run->spec.prepare = a->patches.n > 0;
	run->spec.init_args = a->init_args.items;
	run->spec.init_env = a->init_env.items;
	return configure(run, words, NULL, err);
}

static int find_image(struct create *run, const struct opt_words *words, struct msb_err *err)
{
	const char *conf = run->args->conf.image;
	const char *word = words->operands.n ? words->operands.items[0] : conf ? conf : "base";
	const char *from = run->args->from_snapshot;
	struct image *im = &run->image;
	const struct image_fetch_opts fo = {
		.home = run->home,
		.lib_dir = run->lib_dir,
		.policy = run->args->pull == PULL_MISSING ? PULL_IF_MISSING
							  : (enum pull_policy)run->args->pull,
		.insecure = run->args->insecure,
		.ca_file = run->args->ca_certs,
		.quiet = run->args->quiet,
		.watch = run->watch,
		.pulled = &run->pulled,
	};
	int r;

	if (from) {
		r = from_snapshot_image(from, &fo, &run->snapshot, im, err);
		if (r == 0)
			word = run->snapshot.m.reference;
	} else {
		r = image_resolve(word, run->lib_dir, im, err);
		if (r == 0)
			r = image_fetch(im, word, &fo, err);
		if (r == 0)
			r = image_pack(im, run->home, err);
	}
	if (r < 0)
		return r;
	run->spec.image = word;
	run->spec.image_kind = im->kind;
	run->spec.image_digest = im->digest;
	run->spec.image_path = im->path;
	run->spec.root_kind = im->root_kind;
	run->spec.root_fstype = im->fstype;
	r = from ? from_snapshot_disk(&run->snapshot, &run->args->root_disk, &run->spec, err)
		 : run_root_disk_apply(&run->args->root_disk, &run->spec, err);
	if (r == 0)
		r = sandbox_spec_check(&run->spec, err);
	if (r < 0 || im->kind != IMAGE_OCI)
		return r;
	r = image_config_load(run->home, run->spec.image_digest, &run->image_config, err);
	if (r == 0)
		r = configure(run, words, &run->image_config, err);
	return r < 0 ? msb_err_prefix(err, r, "image %.100s", word) : 0;
}

/* What is done to a root in memory lasts until the first stop. */
static int check_patches(const struct create *run, struct msb_err *err)
{
	const struct sandbox_spec *spec = &run->spec;

	if (!spec->prepare || spec->ephemeral || spec->root_kind != ROOT_OVERLAY ||
		spec->root_disk.kind != UPPER_TMPFS)
		return 0;
	return msb_err_hint(err,
		msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
			"what is copied or made in a root file system in memory would be gone "
			"after the first stop of sandbox '%s'",
			spec->name),
		"take another --root-disk");
}

/* Only when everything for the new one is here. */
static int replace_existing(const struct create *run, struct msb_err *err)
{
	const struct create_args *a = run->args;
	int r;

	if (!a->name || !a->replace)
		return 0;
	r = life_stop(
		run->home, a->name, life_grace_ms(a->replace_grace_ns), !a->replace_grace_ns, err);
	if (r == 0)
		r = life_remove(run->home, a->name, true, err);
	return r == -ENOENT ? 0 : r;
}

bool create_exists(const struct create *run)
{
	struct sandbox_info info;

	if (!run->args->name || run->args->replace ||
		sandbox_info_get(run->home, run->args->name, &info, NULL) < 0)
		return false;
	sandbox_info_deinit(&info);
	return true;
}

int create_refuse_existing(const struct create *run, struct msb_err *err)
{
	if (!create_exists(run))
		return 0;
	return msb_err_hint(err,
		msb_err_set(
			err, -EEXIST, MSB_EXISTS, "sandbox '%s' exists already", run->args->name),
		"remove it with 'msb rm', or give --replace");
}

int create_prepare(struct create *run, const struct opt_words *words, struct msb_err *err)
{
	int r = find_image(run, words, err);

	if (r == 0)
		r = check_patches(run, err);
	if (r == 0)
		r = run_volumes_apply(&run->args->volumes, &run->spec, err);
	if (r == 0)
		r = sandbox_spec_check(&run->spec, err);
	return r < 0 ? r : replace_existing(run, err);
}

void create_deinit(struct create *run)
{
	struct create_args *a = run->args;

	image_deinit(&run->image);
	snapshot_close(&run->snapshot);
	run_env_deinit(&run->env);
	labels_free(run->labels);
	run_config_deinit(&run->config);
	oci_config_deinit(&run->image_config);
	run_volumes_deinit(&a->volumes);
	policy_deinit(&run->policy);
	run_net_deinit(&a->net);
	run_tmpfs_deinit(&a->tmpfs);
	run_scripts_deinit(&a->scripts);
	run_patches_deinit(&a->patches);
	run_conf_deinit(&a->conf);
	guest_fs_return(&run->patching);
	run_root_disk_deinit(&a->root_disk);
}
