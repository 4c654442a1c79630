/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an inherited description to a running machine.
 *
 * This is the critical path of `msb run`: the directory is locked, the machine started, and only
 * then, while the guest boots, come the things that nobody needs yet: spec.json and the socket for
 * other clients. If this process is killed in between, the directory has no spec.json and the next
 * command removes it. At last the process gives up its rights; the guest has not spoken yet.
 *
 * Other clients:
 * #syscalls(sandbox:loop): accept4 getsockopt geteuid
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"

#include "sandbox/sup-disk.h"
#include "sandbox/sup-internal.h"
#include "sandbox/sup-net.h"
#include "sandbox/sup-tls.h"

enum {
	BOOT_TIMEOUT_COPY_S = 1800,
	BOOT_TIMEOUT_KVM_S = 60,
	BOOT_TIMEOUT_QEMU_S = 180,
	LISTEN_BACKLOG = 64,
	TRUST_MAX = LIMIT_HOST_CAS + (LIMIT_HOST_CAS / LIMIT_FRAME_PAYLOAD + 1) * FRAME_HEADER
};

static bool is_kvm(const struct engine_ops *ops)
{
	return streq(ops->name, "kvm");
}

uint64_t sup_boot_timeout_ns(const struct supervisor *sup)
{
	uint64_t s = is_kvm(sup->vm.ops) ? BOOT_TIMEOUT_KVM_S : BOOT_TIMEOUT_QEMU_S;

	if (sup->spec.boot_timeout_ns)
		return sup->spec.boot_timeout_ns;
	/* The first start copies the image. */
	if (sup->spec.root_disk.kind == UPPER_FLAT)
		s += BOOT_TIMEOUT_COPY_S;
	return s * NSEC_PER_SEC;
}

static int read_spec(struct supervisor *sup, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(SUP_FD_SPEC, &st) < 0)
		return msb_err_errno(err, -errno, "sandbox description");
	if (st.st_size > LIMIT_JSON_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "sandbox description is too large");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return msb_err_errno(err, -ENOMEM, "sandbox description");
	n = pread(SUP_FD_SPEC, text, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return msb_err_errno(err, n < 0 ? -errno : -EIO, "sandbox description");
	close(SUP_FD_SPEC);
	r = sandbox_spec_from_json(text, (size_t)n, &sup->spec, err);
	explicit_bzero(text, (size_t)n);
	return r;
}

/* This process and everything it starts: no new rights, no core files, no signals by surprise. */
static int harden(struct supervisor *sup, struct msb_err *err)
{
	struct rlimit no_core = {0, 0};
	sigset_t mask;

	(void)umask(077);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return msb_err_errno(err, -errno, "hardening of the supervisor");
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGPIPE);
	sigaddset(&mask, SIGXFSZ);
	if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0)
		return msb_err_errno(err, -errno, "signal mask");
	/* These stay blocked and unread: writes report EPIPE, EFBIG. */
	sigdelset(&mask, SIGPIPE);
	sigdelset(&mask, SIGXFSZ);
	sup->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sup->signal_fd < 0)
		return msb_err_errno(err, -errno, "signals");
	return loop_fd_add(&sup->loop, &sup->signal_src, sup->signal_fd, EPOLLIN, sup_signal_event);
}

int sup_open_file(const char *what, const char *path, int flags, int *ret_fd, struct msb_err *err)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return msb_err_errno(err, -errno, "%s '%s'", what, path);
	*ret_fd = fd;
	if (fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "%s '%s'", what, path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"%s '%s' is neither a file nor a block device", what, path);
	return 0;
}

static int lib_path(
	const struct sandbox_spec *spec, const char *name, char to[PATH_MAX], struct msb_err *err)
{
	int r = snprintf(to, PATH_MAX, "%s/%s", spec->lib_dir, name);

	return r >= 0 && r < PATH_MAX ? 0
				      : msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
						"the program directory's path is too long");
}

static int open_lib(const struct supervisor *sup, const char *what, const char *name, int *ret_fd,
	struct msb_err *err)
{
	char path[PATH_MAX];
	int r = lib_path(&sup->spec, name, path, err);

	if (r < 0)
		return r;
	r = sup_open_file(what, path, O_RDONLY, ret_fd, err);
	if (r == -ENOENT)
		(void)msb_err_hint(err, r, "the installation is incomplete, run scripts/setup.sh");
	return r;
}

/* Files of the machine; closed as soon as it runs. */
struct machine_files {
	int kernel;
	int initramfs;
	int disk; /* no image of the store */
};

static void machine_files_close(struct machine_files *f)
{
	fd_close(f->kernel);
	fd_close(f->initramfs);
	fd_close(f->disk);
}

/* The unnamed file of an image that was made for this sandbox gets a name in its directory. */
static int keep_image(const struct supervisor *sup, struct msb_err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", SUP_FD_IMAGE);
	if (linkat(AT_FDCWD, path, sup->dir.fd, SANDBOX_IMAGE, AT_SYMLINK_FOLLOW) < 0)
		return msb_err_errno(err, -errno, "image of sandbox '%s'", sup->spec.name);
	return 0;
}

static int open_files(struct supervisor *sup, struct machine_files *f, struct msb_err *err)
{
	const struct sandbox_spec *spec = &sup->spec;
	int flags = spec->root_kind == ROOT_DISK ? O_RDWR : O_RDONLY;
	int r;

	if (spec->kernel_path && spec->kernel_path[0])
		r = sup_open_file("kernel", spec->kernel_path, O_RDONLY, &f->kernel, err);
	else
		r = open_lib(sup, "kernel", "vmlinux", &f->kernel, err);
	if (r == 0)
		r = open_lib(sup, "initramfs", "initramfs.cpio", &f->initramfs, err);
	if (r < 0 || spec->image_kind == IMAGE_OCI)
		return r;
	if (spec->image_path[0])
		return sup_open_file("image", spec->image_path, flags, &f->disk, err);
	if (sup->adopted) {
		f->disk = openat(sup->dir.fd, SANDBOX_IMAGE, flags | O_NOFOLLOW | O_CLOEXEC);
		return f->disk < 0 ? msb_err_errno(err, -errno, "image of sandbox '%s'", spec->name)
				   : 0;
	}
	if (fcntl(SUP_FD_IMAGE, F_SETFD, FD_CLOEXEC) < 0)
		return msb_err_errno(err, -errno, "image");
	f->disk = SUP_FD_IMAGE;
	return spec->ephemeral ? 0 : keep_image(sup, err);
}

static int start_machine(struct supervisor *sup, const struct engine_ops *ops,
	struct sup_disks *disks, struct msb_err *err)
{
	cleanup_with(machine_files_close) struct machine_files f = {
		.kernel = -EBADF, .initramfs = -EBADF, .disk = -EBADF};
	const struct sandbox_spec *spec = &sup->spec;
	char vmm_path[PATH_MAX];
	char vsock_path[PATH_MAX];
	cleanup_with(sup_shares_deinit) struct sup_shares shares;
	cleanup_with(sup_net_deinit) struct sup_net net = {.config_fd = -EBADF,
		.events_fd = -EBADF,
		.tls_config_fd = -EBADF,
		.tls_control_fd = -EBADF,
		.secrets_fd = -EBADF};
	struct engine_spec es = {
		.vcpus = spec->vcpus,
		.mem_mib = spec->mem_mib,
		.max_vcpus = spec->max_vcpus,
		.max_mem_mib = spec->max_mem_mib,
		.cmdline_extra = "",
	};
	int r;

	sup_shares_init(&shares);
	r = open_files(sup, &f, err);

	if (r == 0)
		r = sup_disks_open(disks, spec, sup->dir.fd, f.disk, &es, err);
	if (r == 0)
		r = sup_shares_open(sup, &shares, &es, err);
	if (r == 0)
		r = sup_net_open(sup, &net, &es, err);
	if (r == 0 && spec->vsocks.n > 0) {
		r = lib_path(spec, "msb-vsock", vsock_path, err);
		es.vsock = (struct engine_vsock){.path = vsock_path, .routes = &spec->vsocks};
	}
	if (r < 0)
		return r;
	es.kernel_fd = f.kernel;
	es.initramfs_fd = f.initramfs;
	if (is_kvm(ops)) {
		r = lib_path(spec, "msb-vmm", vmm_path, err);
		if (r < 0)
			return r;
		es.vmm_path = vmm_path;
	} else if (spec->qemu_path && spec->qemu_path[0]) {
		es.vmm_path = spec->qemu_path;
	}
	return ops->start(&es, &sup->vm, err);
}

static enum msg_root_kind root_kind(const struct sandbox_spec *spec)
{
	switch (spec->root_disk.kind) {
	case UPPER_DISK:
	case UPPER_FILE:
		return ROOT_OVERLAY_DISK;
	case UPPER_FLAT:
		return ROOT_FLAT;
	case UPPER_TMPFS:
	default:
		return spec->root_kind;
	}
}

/* Its kernel takes half of what it sees when it mounts, which is not yet what it is to have. */
static uint64_t upper_bytes(const struct sandbox_spec *spec)
{
	if (spec->root_disk.kind == UPPER_TMPFS && !spec->root_disk.size_bytes &&
		sandbox_spec_max_mem_mib(spec) > spec->mem_mib)
		return spec->mem_mib * MIB / 2;
	return spec->root_disk.size_bytes;
}

static int put_config(const struct supervisor *sup, struct buf *out)
{
	const struct sandbox_spec *spec = &sup->spec;
	struct secret_env env;
	int r;
	char hostname[LIMIT_HOSTNAME + 1];
	struct msg_config m = {
		.version = PROTO_VERSION,
		.real_ns = clock_real_ns(),
		.root_kind = root_kind(spec),
		.root_fstype = spec->root_fstype,
		.upper_bytes = upper_bytes(spec),
		.hostname = spec->hostname,
		.user = spec->user,
		.cwd = spec->workdir,
		.n_tmpfs = spec->n_tmpfs,
		.n_rlimits = spec->n_rlimits,
		.restricted = spec->restricted,
		.init = spec->init,
		.ca = sup->ca,
	};

	if (!spec->hostname || !spec->hostname[0]) {
		sandbox_hostname(spec->name, hostname);
		m.hostname = hostname;
	}
	sup_shares_config(sup, &m);
	m.net = sup->net;
	if (m.net.mtu)
		m.net.mtu = is_kvm(sup->vm.ops) ? NET_MTU_HEADERS : NET_MTU_BARE;
	memcpy(m.tmpfs, spec->tmpfs, sizeof(m.tmpfs));
	memcpy(m.rlimits, spec->rlimits, sizeof(m.rlimits));
	r = secret_env_make(&spec->net.secrets, spec->env, &env);
	if (r == 0)
		r = msg_put_config(out, &m,
			&(struct msg_config_lists){env.items, spec->init_args, spec->init_env});
	secret_env_deinit(&env);
	return r;
}

/* Every time: a root in memory has forgotten them. */
static int give_scripts(struct supervisor *sup)
{
	char path[sizeof("/.msb/scripts/") + NAME_MAX];
	int r = sup->spec.n_scripts ? relay_give_directory(&sup->relay, "/.msb/scripts", 0755) : 0;

	for (uint32_t i = 0; i < sup->spec.n_scripts && r == 0; i++) {
		const struct sandbox_script *s = &sup->spec.scripts[i];

		(void)snprintf(path, sizeof(path), "/.msb/scripts/%s", s->name);
		r = relay_give_file(&sup->relay, path, 0755, s->body, strlen(s->body));
	}
	return r;
}

/* The machine runs: hear it. */
static int watch_machine(struct supervisor *sup, struct msb_err *err)
{
	struct engine_vm *vm = &sup->vm;
	struct buf config;
	int r;

	sup->config_ns = clock_mono_ns();
	buf_init(&config, TRUST_MAX + FRAME_HEADER + LIMIT_FRAME_PAYLOAD);
	r = sup_trust_put(sup, &config);
	if (r == 0)
		r = put_config(sup, &config);
	if (r == 0)
		r = relay_attach(&sup->relay, vm->channel_fd, &config);
	buf_deinit(&config);
	if (r == 0)
		r = give_scripts(sup);
	if (r == 0)
		r = loop_fd_add(&sup->loop, &sup->vm_src, vm->pidfd, EPOLLIN, sup_vm_event);
	if (r == 0)
		r = loop_fd_add(
			&sup->loop, &sup->control_src, vm->control_fd, EPOLLIN, sup_control_event);
	if (r == 0)
		r = loop_fd_add(
			&sup->loop, &sup->console_src, vm->console_fd, EPOLLIN, sup_console_event);
	if (r == 0)
		r = sup_shares_watch(sup);
	if (r == 0)
		r = sup_net_watch(sup);
	return r < 0 ? msb_err_errno(err, r, "start of the machine") : 0;
}

static void refuse_client(int fd)
{
	struct msg_sb_failed m = {
		.kind = MSB_LIMIT,
		.errno_ = EMFILE,
		.msg = "the sandbox has too many clients",
	};
	struct buf frame;

	buf_init(&frame, FRAME_HEADER + LIMIT_FRAME_PAYLOAD);
	/* A courtesy: whoever cannot take it sees the connection end. */
	if (msg_put_sb_failed(&frame, &m) == 0 && buf_send_fd(&frame, fd) < 0)
		log_debug("a client was turned away without a word");
	buf_deinit(&frame);
}

static void listen_event(struct loop_fd *src, uint32_t events);

static void listen_again(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, listen_timer);

	if (loop_fd_add(&sup->loop, &sup->listen_src, sup->listen_fd, EPOLLIN, listen_event) < 0)
		loop_timer_set(&sup->loop, t, clock_mono_ns() + NSEC_PER_SEC, listen_again);
}

static void listen_event(struct loop_fd *src, uint32_t events)
{
	struct supervisor *sup = container_of(src, struct supervisor, listen_src);
	cleanup_fd int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int r;

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* The connection stays readable; watching it now would only spin. */
			loop_fd_del(src);
			loop_timer_set(&sup->loop, &sup->listen_timer,
				clock_mono_ns() + NSEC_PER_SEC, listen_again);
		}
		return;
	}
	/* The directory keeps others out already. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
		(cred.uid != geteuid() && cred.uid != 0))
		return;
	r = relay_add_client(&sup->relay, fd, false);
	if (r == 0)
		(void)TAKE_FD(fd);
	else
		refuse_client(fd);
}

/* Other clients connect here. A path of sun_path's 108 bytes may be too short for ours: go there.
 */
static int listen_for_clients(struct supervisor *sup)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = SANDBOX_SOCKET};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0 || fchdir(sup->dir.fd) < 0)
		return -errno;
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0)
		return r;
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	r = loop_fd_add(&sup->loop, &sup->listen_src, fd, EPOLLIN, listen_event);
	if (r == 0)
		sup->listen_fd = TAKE_FD(fd);
	return r;
}

static int keep_log(struct supervisor *sup)
{
	/* Nobody can ask for what an attached, ephemeral one has printed. */
	if (sup->spec.ephemeral && !sup->spec.detached)
		return 0;
	if (sup->spec.net.policy) {
		int r = ledger_open(&sup->ledger, sup->dir.fd);

		if (r < 0)
			return r;
		sup_net_lost(sup, ledger_say(&sup->ledger, "start", NULL));
	}
	return exec_log_open(&sup->log, sup->dir.fd);
}

static int write_spec(struct supervisor *sup)
{
	bool prepare = sup->spec.prepare;
	struct buf json;
	int r = 0;

	buf_init(&json, LIMIT_JSON_BYTES);
	if (prepare && !sup->spec.ephemeral)
		r = io_write_file_alone(sup->dir.fd, SANDBOX_UNMADE, "", 0, 0600, false);
	/* The next start has nothing to prepare. */
	sup->spec.prepare = false;
	if (r == 0)
		r = sandbox_spec_to_json(&sup->spec, &json);
	sup->spec.prepare = prepare;
	if (r == 0)
		r = io_write_file_alone(sup->dir.fd, SANDBOX_SPEC, buf_data(&json), buf_len(&json),
			0600, !sup->spec.ephemeral);
	buf_deinit(&json);
	return r;
}

/* What the world may see of the sandbox. */
static int publish(struct supervisor *sup, struct msb_err *err)
{
	/* state.json first: with spec.json the directory outlives us. */
	int r = sup->adopted ? 0 : sup_record_open(sup);

	if (r == 0 && !sup->adopted)
		r = write_spec(sup);
	if (r == 0) {
		sup->persisted = !sup->spec.ephemeral;
		r = listen_for_clients(sup);
	}
	if (r == 0)
		r = keep_log(sup);
	if (r == 0)
		exec_log_say(&sup->log, "sandbox started");
	if (r == 0)
		console_log_to(&sup->console, sup->dir.fd);
	return r < 0 ? msb_err_errno(err, r, "directory of sandbox '%s'", sup->spec.name) : 0;
}

static int choose_engine(
	struct supervisor *sup, const struct engine_ops **ret_ops, struct msb_err *err)
{
	char cache[PATH_MAX];
	int n = snprintf(cache, sizeof(cache), "%s/cache/kvm-probe.json", sup->spec.home);

	return engine_choose(sup->spec.engine, n > 0 && (size_t)n < sizeof(cache) ? cache : NULL,
		ret_ops, NULL, err);
}

/* The machine runs but cannot be used. */
static void abort_machine(struct supervisor *sup)
{
	int status = 0;

	sup->state = SUP_KILLING;
	sup->vm.ops->kill(&sup->vm);
	while (waitpid(sup->vm.pid, &status, 0) < 0 && errno == EINTR)
		;
	sup->vm_alive = false;
	sup_unwatch(sup);
	relay_detach(&sup->relay);
	sup->vm.ops->reaped(&sup->vm, status);
	engine_vm_deinit(&sup->vm);
}

/* A new one, or one that the client has found and locked. */
static int take_directory(struct supervisor *sup, struct msb_err *err)
{
	const struct sandbox_spec *spec = &sup->spec;
	int r;

	if (!sup->adopted)
		return sandbox_dir_create(spec->home, spec->name, &sup->dir, err);
	r = sandbox_dir_adopt(spec->home, spec->name, SUP_FD_DIR, SUP_FD_LOCK, &sup->dir, err);
	if (r < 0)
		return r;
	sup->persisted = true;
	(void)unlinkat(sup->dir.fd, SANDBOX_SOCKET, 0); /* of a supervisor that was killed */
	r = sup_record_open(sup);
	return r < 0 ? msb_err_errno(err, r, "%s of sandbox '%s'", SANDBOX_STATE, spec->name) : 0;
}

static int start_steps(struct supervisor *sup, struct msb_err *err)
{
	const struct engine_ops *ops = NULL;
	/* Open, so that the image stays, until the sandbox can be seen to use it. */
	cleanup_with(sup_disks_close) struct sup_disks disks;
	int r;

	sup_disks_init(&disks);
	r = read_spec(sup, err);
	if (r < 0)
		return r;
	log_init("msb-sandbox", sup->spec.log_level);
	r = harden(sup, err);
	if (r == 0)
		r = take_directory(sup, err);
	if (r == 0)
		r = choose_engine(sup, &ops, err);
	if (r == 0)
		r = start_machine(sup, ops, &disks, err);
	if (r < 0)
		return r;

	sup->vm_alive = true;
	sup->spec.prepare &= !sup->adopted;
	if (sup->spec.prepare)
		relay_hold(&sup->relay);
	r = watch_machine(sup, err);
	if (r == 0)
		r = publish(sup, err);
	if (r == 0 && sup->spec.command) {
		sup->workload.ended = sup_main_ended;
		r = workload_start(&sup->workload, &sup->loop, &sup->relay, sup->spec.command, err);
	}
	if (r == 0)
		r = sup_jail(sup, err);
	if (r < 0) {
		abort_machine(sup);
		return r;
	}
	loop_timer_set(&sup->loop, &sup->boot_timer,
		sup->timing.spawn_ns + sup_boot_timeout_ns(sup), sup_boot_timeout);
	if (sup->spec.max_duration_ns)
		loop_timer_set(&sup->loop, &sup->duration_timer,
			clock_mono_ns() + sup->spec.max_duration_ns, sup_max_duration);
	return 0;
}

int sup_start(struct supervisor *sup, struct msb_err *err)
{
	int r;

	sup->timing.spawn_ns = clock_mono_ns();
	sup->state = SUP_STARTING;
	sup->detail = "";
	sup->signal_fd = -EBADF;
	sup->listen_fd = -EBADF;
	sup->record_fd = -EBADF;
	sup->net_events_fd = -EBADF;
	sup->tls_control_fd = -EBADF;
	sup->record.exit_status = -1;
	/* Before anything else can have these numbers. */
	sup->has_secrets = fcntl(SUP_FD_SECRETS, F_SETFD, FD_CLOEXEC) == 0;
	sup->adopted = fcntl(SUP_FD_DIR, F_SETFD, FD_CLOEXEC) == 0 &&
		       fcntl(SUP_FD_LOCK, F_SETFD, FD_CLOEXEC) == 0;
	sup->dir = (struct sandbox_dir){.parent_fd = -EBADF, .fd = -EBADF, .lock_fd = -EBADF};
	sandbox_spec_init(&sup->spec);
	console_init(&sup->console);
	exec_log_init(&sup->log);
	ledger_init(&sup->ledger);
	r = loop_init(&sup->loop);
	if (r < 0) {
		log_err("event loop: %s", strerror(-r));
		return -ECONNABORTED;
	}
	relay_init(&sup->relay, &sup->loop, &sup_relay_events);
	r = relay_add_client(&sup->relay, SUP_FD_OWNER, true);
	if (r < 0) {
		log_err("no owner on descriptor %d: %s", SUP_FD_OWNER, strerror(-r));
		return -ECONNABORTED;
	}
	return start_steps(sup, err);
}
