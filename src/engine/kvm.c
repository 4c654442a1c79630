/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM engine: msb-vmm, our own VMM.
 *
 * The process gets descriptors and one message that names them (vmm/config.h); it opens nothing by
 * itself. It tells on its control socket when the machine is built, when the guest first runs, and
 * why it ended. What it says is taken as a report, not as truth to rely on: behind msb-vmm is the
 * guest.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/spawn.h"
#include "base/str.h"

#include "engine/arch.h"
#include "engine/engine-internal.h"
#include "engine/net.h"
#include "engine/probe.h"
#include "engine/share.h"
#include "engine/vsock.h"
#include "vmm/config.h"

/* Descriptors of the VMM process behind VMM_FD_CONTROL. */
enum { KFD_KVM = VMM_FD_CONTROL + 1, KFD_KERNEL, KFD_INITRAMFS, KFD_CHANNEL, KFD_LOG, KFD_DISK };
_Static_assert(KFD_DISK + LIMIT_EXTENTS + LIMIT_SHARES + 2 <= SPAWN_FDS_MAX,
	"disks must fit the spawn table");

/* Private memory of the VMM is 2 MiB; the rest is for KVM's own and the page cache in passing. */
enum { VMM_EXTRA_MIB = 64, VMM_THREADS = 8 };

struct kvm_state {
	bool killed; /* by us */
	bool ended; /* the VMM said why, below */
	uint32_t reason;
	char text[sizeof(((struct vmm_event *)0)->text)];
};

/* Ends of sockets and pipes that belong to the child. */
struct kvm_fds {
	int kvm;
	int control;
	int channel;
	int log;
	int err;
	struct share_fds shares;
	int net;
	int vsock;
};

static void kvm_fds_deinit(struct kvm_fds *f)
{
	fd_close(f->kvm);
	fd_close(f->control);
	fd_close(f->channel);
	fd_close(f->log);
	fd_close(f->err);
	share_fds_deinit(&f->shares);
	fd_close(f->net);
	fd_close(f->vsock);
}

static int make_pair(int type, int *ret_ours, int *ret_theirs)
{
	int fds[2];
	int r = io_socketpair(type, fds);

	if (r < 0)
		return r;
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
	return 0;
}

static int make_pipe(int *ret_ours, int *ret_theirs)
{
	int fds[2];
	int r = io_pipe(O_NONBLOCK, fds);

	if (r < 0)
		return r;
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
	return 0;
}

static int make_streams(struct engine_vm *vm, struct kvm_fds *f)
{
	int r = make_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, &vm->control_fd, &f->control);

	if (r == 0)
		r = make_pair(SOCK_STREAM | SOCK_NONBLOCK, &vm->channel_fd, &f->channel);
	if (r == 0)
		r = make_pipe(&vm->console_fd, &f->log);
	if (r == 0)
		r = make_pipe(&vm->stderr_fd, &f->err);
	return r;
}

static int open_kvm(struct kvm_fds *f, struct msb_err *err)
{
	struct probe_result why;
	struct stat st;
	int r;

	f->kvm = open(engine_kvm_device, O_RDWR | O_CLOEXEC);
	if (f->kvm >= 0)
		return 0;
	r = -errno;
	probe_explain_open(r, stat(engine_kvm_device, &st) < 0 ? NULL : &st, &why);
	(void)msb_err_set(err, r, why.verdict == PROBE_DENIED ? MSB_PERMISSION : MSB_UNSUPPORTED,
		"engine kvm: %s", why.detail);
	return msb_err_hint(err, r, "%s", why.hint);
}

static void fill_disks(const struct engine_spec *spec, struct vmm_config *c)
{
	struct vmm_extent *to = c->extents;

	for (uint32_t i = 0; i < spec->n_disks; i++) {
		const struct engine_disk *d = &spec->disks[i];

		c->disks[i] = (struct vmm_disk){
			.read_only = d->read_only, .unsafe = d->unsafe, .n_extents = d->n_extents};
		/* Each extent has a descriptor of its own, also where they share a file. */
		for (uint32_t k = 0; k < d->n_extents; k++, to++)
			*to = (struct vmm_extent){.fd = KFD_DISK + (int)(to - c->extents),
				.offset = d->extents[k].offset,
				.len = d->extents[k].len};
	}
	c->n_extents = (uint32_t)(to - c->extents);
}

static int shares_first(const struct engine_spec *spec)
{
	return KFD_DISK + (int)engine_extents(spec);
}

static void fill_shares(const struct engine_spec *spec, struct vmm_config *c)
{
	c->n_shares = spec->n_shares;
	for (uint32_t i = 0; i < spec->n_shares; i++) {
		c->shares[i].fd = shares_first(spec) + (int)i;
		(void)snprintf(
			c->shares[i].tag, sizeof(c->shares[i].tag), "%s", spec->shares[i].tag);
	}
}

static int net_fd(const struct engine_spec *spec)
{
	return shares_first(spec) + (int)spec->n_shares;
}

static int vsock_fd(const struct engine_spec *spec)
{
	return net_fd(spec) + 1;
}

static int fill_config(const struct engine_spec *spec, struct vmm_config *c, struct msb_err *err)
{
	int r;

	*c = (struct vmm_config){
		.magic = VMM_CONFIG_MAGIC,
		.size = (uint32_t)vmm_config_size(engine_extents(spec)),
		.vcpus = engine_max_vcpus(spec),
		.mem_mib = engine_max_mem_mib(spec),
		.balloon_mib = engine_max_mem_mib(spec) - spec->mem_mib,
		.kvm_fd = KFD_KVM,
		.kernel_fd = KFD_KERNEL,
		.initramfs_fd = spec->initramfs_fd >= 0 ? KFD_INITRAMFS : -1,
		.channel_fd = KFD_CHANNEL,
		.log_fd = KFD_LOG,
		.cgroup_fd = -1,
		.net = {.fd = -1},
		.vsock_fd = spec->vsock.path ? vsock_fd(spec) : -1,
		.n_disks = spec->n_disks,
	};
	fill_disks(spec, c);
	fill_shares(spec, c);
	if (spec->net.path) {
		c->net.fd = net_fd(spec);
		memcpy(c->net.mac, spec->net.mac, sizeof(c->net.mac));
	}
	r = engine_cmdline(spec, arch_cmdline_kvm(c->vcpus), c->cmdline, sizeof(c->cmdline));
	return r < 0 ? msb_err_set(err, r, MSB_LIMIT, "kernel command line too long") : 0;
}

static int run(const struct engine_spec *spec, const struct kvm_fds *f, struct engine_vm *vm)
{
	char name[] = "msb-vmm";
	char *argv[] = {name, NULL};
	char *envp[] = {NULL};
	struct spawn s = {
		.path = spec->vmm_path,
		.argv = argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
	};

	engine_vm_limit(vm, spec, VMM_EXTRA_MIB, VMM_THREADS);
	s.cgroup_fd = vm->cgroup.dir_fd;

	spawn_add_fd(&s, f->err, STDERR_FILENO);
	spawn_add_fd(&s, f->control, VMM_FD_CONTROL);
	spawn_add_fd(&s, f->kvm, KFD_KVM);
	spawn_add_fd(&s, spec->kernel_fd, KFD_KERNEL);
	if (spec->initramfs_fd >= 0)
		spawn_add_fd(&s, spec->initramfs_fd, KFD_INITRAMFS);
	spawn_add_fd(&s, f->channel, KFD_CHANNEL);
	spawn_add_fd(&s, f->log, KFD_LOG);
	for (uint32_t i = 0, fd = KFD_DISK; i < spec->n_disks; i++) {
		for (uint32_t k = 0; k < spec->disks[i].n_extents; k++)
			spawn_add_fd(&s, spec->disks[i].extents[k].fd, (int)fd++);
	}
	for (uint32_t i = 0; i < spec->n_shares; i++)
		spawn_add_fd(&s, f->shares.fds[i], shares_first(spec) + (int)i);
	if (f->net >= 0)
		spawn_add_fd(&s, f->net, net_fd(spec));
	if (f->vsock >= 0)
		spawn_add_fd(&s, f->vsock, vsock_fd(spec));
	vm->spawned_ns = clock_mono_ns();
	return spawn_run(&s, &vm->pid, &vm->pidfd);
}

static int prepare(const struct engine_spec *spec, struct kvm_fds *f, struct engine_vm *vm,
	struct msb_err *err)
{
	struct vmm_config config;
	int r;

	vm->priv = calloc(1, sizeof(struct kvm_state));
	if (!vm->priv)
		return msb_err_errno(err, -ENOMEM, "cannot start msb-vmm");
	r = fill_config(spec, &config, err);
	if (r == 0)
		r = open_kvm(f, err);
	if (r < 0)
		return r;
	r = make_streams(vm, f);
	/* The message waits in the socket for the process to start. */
	if (r == 0 && send(vm->control_fd, &config, config.size, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r < 0)
		return msb_err_errno(err, r, "cannot make the sockets of msb-vmm");
	r = shares_start(spec, FS_LINK, f->err, vm, &f->shares, err);
	if (r == 0)
		r = net_start(spec, NET_HEADERS, f->err, vm, &f->net, err);
	return r < 0 ? r : vsock_start(spec, VSOCK_LINK, f->err, vm, &f->vsock, err);
}

static int kvm_start(const struct engine_spec *spec, struct engine_vm *ret, struct msb_err *err)
{
	cleanup_with(kvm_fds_deinit) struct kvm_fds fds = {.kvm = -EBADF,
		.control = -EBADF,
		.channel = -EBADF,
		.log = -EBADF,
		.err = -EBADF,
		.net = -EBADF,
		.vsock = -EBADF};
	struct engine_vm vm;
	int r;

	share_fds_init(&fds.shares);
	engine_vm_reset(&vm, &engine_kvm);
	vm.max_mem_mib = vm.mem_mib = engine_max_mem_mib(spec);
	r = engine_check_spec(spec, err);
	if (r == 0 && !spec->vmm_path)
		r = msb_err_set(err, -EINVAL, MSB_FAIL, "engine kvm: no path of msb-vmm");
	if (r == 0)
		r = prepare(spec, &fds, &vm, err);
	if (r == 0) {
		r = run(spec, &fds, &vm);
		if (r < 0)
			(void)msb_err_errno(err, r, "cannot start %s", spec->vmm_path);
	}
	if (r < 0) {
		engine_vm_deinit(&vm);
		return r;
	}
	*ret = vm;
	return 0;
}

static void on_event(struct engine_vm *vm, const struct vmm_event *ev)
{
	struct kvm_state *st = vm->priv;

	switch (ev->type) {
	case VMM_EV_CREATED:
		vm->created_ns = ev->mono_ns;
		break;
	case VMM_EV_RUNNING:
		vm->first_run_ns = ev->mono_ns;
		vm->jail_level |= ev->jail_level;
		break;
	case VMM_EV_BALLOON:
		vm->mem_mib = vm->max_mem_mib - MIN(ev->value, vm->max_mem_mib);
		break;
	case VMM_EV_FAILED:
	case VMM_EV_EXIT:
		st->ended = true;
		st->reason = ev->type == VMM_EV_FAILED ? VMM_EXIT_HOST_FAULT : ev->reason;
		memcpy(st->text, ev->text, sizeof(st->text));
		st->text[sizeof(st->text) - 1] = '\0';
		break;
	default:
		break;
	}
}

/* One message. Return: 0 when one was taken in; -EAGAIN, -ENODATA at the end, -EBADMSG. */
static int take_in(struct engine_vm *vm)
{
	struct vmm_event ev;
	ssize_t n;

	do {
		n = recv(vm->control_fd, &ev, sizeof(ev), MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -ENODATA : -errno;
	if (n == 0)
		return -ENODATA;
	if ((size_t)n != sizeof(ev))
		return -EBADMSG;
	on_event(vm, &ev);
	return 0;
}

static int kvm_control(struct engine_vm *vm)
{
	int r = take_in(vm);

	if (r == -EBADMSG) {
		(void)msb_err_set(
			&vm->exit_err, r, MSB_PROTOCOL, "msb-vmm sent a malformed message");
		(void)io_pidfd_kill(vm->pidfd, SIGKILL);
	}
	return r == -EAGAIN ? 0 : r;
}

static int kvm_resize(struct engine_vm *vm, uint32_t mem_mib)
{
	const struct vmm_command c = {.type = VMM_CMD_BALLOON, .value = vm->max_mem_mib - mem_mib};

	return send(vm->control_fd, &c, sizeof(c), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void kvm_kill(struct engine_vm *vm)
{
	struct kvm_state *st = vm->priv;

	st->killed = true;
	(void)io_pidfd_kill(vm->pidfd, SIGKILL);
}

/* The process ended without a word of its own. */
static void silent_end(struct engine_vm *vm, int status)
{
	char words[200];

	vm->exit = ENGINE_EXIT_FAILED;
	if (vm->exit_err.msg[0])
		return;
	engine_last_words(vm->stderr_fd, words, sizeof(words));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		(void)msb_err_set(&vm->exit_err, -EPERM, MSB_GUEST,
			"msb-vmm was killed by its jail: it made a system call it never makes");
	else if (WIFSIGNALED(status))
		(void)msb_err_set(&vm->exit_err, -EIO, MSB_FAIL,
			"msb-vmm was killed by signal %d (%s)%s%s", WTERMSIG(status),
			strsignal(WTERMSIG(status)), words[0] ? ": " : "", words);
	else
		(void)msb_err_set(&vm->exit_err, -EIO, MSB_FAIL, "msb-vmm ended with status %d%s%s",
			WEXITSTATUS(status), words[0] ? ": " : "", words);
}

static void kvm_reaped(struct engine_vm *vm, int status)
{
	struct kvm_state *st = vm->priv;

	/* The last events may still wait in the socket. */
	while (take_in(vm) == 0)
		;
	if (st->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		vm->exit = ENGINE_EXIT_STOPPED;
		return;
	}
	if (!st->ended) {
		silent_end(vm, status);
		return;
	}
	switch (st->reason) {
	case VMM_EXIT_POWEROFF:
	case VMM_EXIT_SHUTDOWN:
		vm->exit = ENGINE_EXIT_POWEROFF;
		break;
	case VMM_EXIT_STOPPED:
		vm->exit = ENGINE_EXIT_STOPPED;
		break;
	case VMM_EXIT_GUEST_FAULT:
		vm->exit = ENGINE_EXIT_FAILED;
		(void)msb_err_set(&vm->exit_err, -EIO, MSB_GUEST, "%s", st->text);
		break;
	default:
		vm->exit = ENGINE_EXIT_FAILED;
		(void)msb_err_set(&vm->exit_err, -EIO, MSB_FAIL, "msb-vmm: %s", st->text);
		break;
	}
}

const struct engine_ops engine_kvm = {
	.name = "kvm",
	.start = kvm_start,
	.control = kvm_control,
	.resize = kvm_resize,
	.kill = kvm_kill,
	.reaped = kvm_reaped,
};
