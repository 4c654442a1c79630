/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The QEMU engine: QEMU's minimal machine with the TCG emulator, for hosts without usable KVM.
 *
 * QEMU gets everything as inherited descriptors: kernel and initramfs are opened again through
 * /proc/self/fd, disks come from descriptor sets (qemu-disk.c), the agent channel, the guest
 * console and QMP are socket pairs. Its command line holds numbers of ours and the kernel command
 * line, nothing else.
 *
 * Confinement: QEMU's own seccomp filter, no_new_privs, a Landlock ruleset that leaves it the
 * system's libraries and firmware read-only, its own session and, where the host permits it, an
 * empty network namespace and an identity without rights. TCG is no security boundary to QEMU's
 * developers; whoever takes over the emulator is to find nothing around it.
 *
 * Single-threaded, used from the supervisor's loop. The machine ends when the guest resets
 * (-no-reboot), when it is killed, or when the supervisor dies (PR_SET_PDEATHSIG). QMP's SHUTDOWN
 * event tells the first from a failure.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/spawn.h"
#include "base/str.h"

#include "engine/arch.h"
#include "engine/confine.h"
#include "engine/engine-internal.h"
#include "engine/net.h"
#include "engine/qemu-disk.h"
#include "engine/qemu-room.h"
#include "engine/qmp.h"
#include "engine/share.h"
#include "engine/vsock.h"
#include "vmm/config.h"

/* Descriptors of the QEMU process. */
enum {
	QFD_KERNEL = SPAWN_FD_FIRST,
	QFD_INITRAMFS,
	QFD_QMP,
	QFD_CHANNEL,
	QFD_CONSOLE,
	QFD_DISK, /* and following */
};
enum { QEMU_FDS_MAX = LIMIT_EXTENTS + LIMIT_DISKS };
_Static_assert(QFD_DISK + (int)QEMU_FDS_MAX <= SPAWN_FDS_MAX, "disks must fit the spawn table");

/* Two words for each descriptor of the disks. */
enum { QEMU_ARGS_MAX = 128 + 2 * QEMU_FDS_MAX, QEMU_TEXT_MAX = 8192 + 32 * QEMU_FDS_MAX };

/* Translated code, what QEMU notes about it, and QEMU; threads that read and write disks. */
enum { QEMU_CODE_MIB = 256, QEMU_EXTRA_MIB = QEMU_CODE_MIB * 2, QEMU_THREADS = 80 };

/* Argument list under construction; too much of anything is remembered in @error. */
struct qemu_args {
	char *argv[QEMU_ARGS_MAX];
	unsigned int n;
	char text[QEMU_TEXT_MAX];
	size_t used;
	int error;
};

struct qemu_state {
	struct qmp qmp;
	bool killed; /* by us */
	bool guest_ended; /* the guest powered off or reset */
	bool guest_panicked;
	bool bad_peer; /* QMP was violated */
	bool balloon; /* there is one */
};

static void MSB_PRINTF(2, 3) arg(struct qemu_args *a, const char *fmt, ...)
{
	size_t space = sizeof(a->text) - a->used;
	va_list ap;
	int n;

	/* The last slot stays NULL. */
	if (a->n + 1 >= QEMU_ARGS_MAX) {
		a->error = -E2BIG;
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(a->text + a->used, space, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= space) {
		a->error = -E2BIG;
		return;
	}
	a->argv[a->n++] = a->text + a->used;
	a->used += (size_t)n + 1;
}

/* msb-fs and msb-vsock work on the guest's memory themselves; otherwise it stays private. */
static bool shares_memory(const struct engine_spec *spec)
{
	return spec->n_shares > 0 || spec->vsock.path;
}

static void args_machine(struct qemu_args *a, const struct engine_spec *spec)
{
	uint32_t mem_mib = engine_max_mem_mib(spec);
	uint32_t vcpus = engine_max_vcpus(spec);

	arg(a, "%s", arch_qemu_binary);
	arg(a, "-M");
	arg(a, "%s%s", arch_qemu_machine, shares_memory(spec) ? ",memory-backend=ram" : "");
	if (shares_memory(spec)) {
		arg(a, "-object");
		arg(a, "memory-backend-memfd,id=ram,share=on,size=%uM", mem_mib);
	}
	arg(a, "-accel");
	/* Translated code may take up a quarter of the default's GiB of the host's memory. */
	arg(a, "tcg,thread=%s,tb-size=%d", vcpus > 1 ? "multi" : "single", QEMU_CODE_MIB);
	arg(a, "-cpu");
	arg(a, "%s", arch_qemu_cpu);
	arg(a, "-smp");
	arg(a, "%u", vcpus);
	arg(a, "-m");
	arg(a, "%uM", mem_mib);
	arg(a, "-nodefaults");
	arg(a, "-no-user-config");
	arg(a, "-display");
	arg(a, "none");
	arg(a, "-no-reboot");
	arg(a, "-sandbox");
	arg(a, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	/* QEMU's virtio-mmio is the legacy layout unless told otherwise. */
	arg(a, "-global");
	arg(a, "virtio-mmio.force-legacy=false");
}

static void args_boot(
	struct qemu_args *a, const struct engine_spec *spec, const struct arch_clock *start)
{
	char base[512];
	char cmdline[LIMIT_CMDLINE]; /* the kernel would cut off more in silence */
	int r = arch_cmdline_qemu(base, sizeof(base), engine_max_vcpus(spec), start);

	if (r == 0)
		r = engine_cmdline(spec, base, cmdline, sizeof(cmdline));
	if (r < 0) {
		a->error = r;
		return;
	}
	arg(a, "-kernel");
	arg(a, "/proc/self/fd/%d", QFD_KERNEL);
	if (spec->initramfs_fd >= 0) {
		arg(a, "-initrd");
		arg(a, "/proc/self/fd/%d", QFD_INITRAMFS);
	}
	arg(a, "-append");
	arg(a, "%s", cmdline);
}

static void add_word(void *p, const char *word)
{
	arg(p, "%s", word);
}

/* The descriptors behind those of the disks. */
static void args_shares(struct qemu_args *a, const struct engine_spec *spec, int first)
{
	for (uint32_t i = 0; i < spec->n_shares; i++) {
		arg(a, "-chardev");
		arg(a, "socket,id=fs%u,fd=%d", i, first + (int)i);
		arg(a, "-device");
		arg(a, "vhost-user-fs-device,chardev=fs%u,tag=%s", i, spec->shares[i].tag);
	}
}

/*
 * No offloads: there is nowhere to say what is left to do. No control queue either, as msb-vmm has
 * none: the wire takes every packet whatever the guest would ask for, and each question costs it a
 * round trip.
 */
static void args_net(struct qemu_args *a, const struct engine_spec *spec, int fd)
{
	const uint8_t *m = spec->net.mac;

	if (!spec->net.path)
		return;
	arg(a, "-netdev");
	arg(a, "dgram,id=net,local.type=fd,local.str=%d", fd);
	arg(a, "-device");
	arg(a,
		"virtio-net-device,netdev=net,ctrl_vq=off,ctrl_rx=off,ctrl_rx_extra=off,"
		"ctrl_vlan=off,ctrl_mac_addr=off,ctrl_guest_offloads=off,guest_announce=off,"
		"mac=%02x:%02x:%02x:%02x:%02x:%02x",
		m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void args_vsock(struct qemu_args *a, const struct engine_spec *spec, int fd)
{
	if (!spec->vsock.path)
		return;
	arg(a, "-chardev");
	arg(a, "socket,id=vsock,fd=%d", fd);
	arg(a, "-device");
	arg(a, "vhost-user-vsock-device,chardev=vsock");
}

static void args_devices(
	struct qemu_args *a, const struct qemu_disks *disks, const struct qemu_room *room)
{
	arg(a, "-chardev");
	arg(a, "socket,id=qmp,fd=%d", QFD_QMP);
	arg(a, "-mon");
	arg(a, "chardev=qmp,mode=control");
	/* Two ports instead of 31 save the guest 58 queues. */
	arg(a, "-device");
	arg(a, "virtio-serial-device,max_ports=2");
	arg(a, "-chardev");
	arg(a, "socket,id=con,fd=%d", QFD_CONSOLE);
	arg(a, "-device");
	arg(a, "virtconsole,chardev=con,nr=0");
	arg(a, "-chardev");
	arg(a, "socket,id=chan,fd=%d", QFD_CHANNEL);
	arg(a, "-device");
	arg(a, "virtserialport,chardev=chan,nr=1,name=msb.channel,id=channel");
	qemu_disks_args(disks, add_word, a);
	if (room->rng) {
		arg(a, "-device");
		arg(a, "virtio-rng-device");
	}
	if (room->balloon) {
		arg(a, "-device");
		arg(a, "virtio-balloon-device,free-page-reporting=on");
	}
}

/* Ends of the socket pairs and pipes that belong to the child; the parent's are in the engine_vm.
 */
struct qemu_fds {
	int qmp;
	int channel;
	int console;
	int err;
	struct qemu_disks disks;
	struct share_fds shares;
	int net;
	int vsock;
};

static void qemu_fds_init(struct qemu_fds *f)
{
	f->qmp = f->channel = f->console = f->err = f->net = f->vsock = -EBADF;
	qemu_disks_init(&f->disks, QFD_DISK);
	share_fds_init(&f->shares);
}

static int shares_first(const struct qemu_disks *d)
{
	return QFD_DISK + (int)d->n_fds;
}

static int net_fd(const struct qemu_disks *d, const struct engine_spec *spec)
{
	return shares_first(d) + (int)spec->n_shares;
}

static int vsock_fd(const struct qemu_disks *d, const struct engine_spec *spec)
{
	return net_fd(d, spec) + 1;
}

static void qemu_fds_deinit(struct qemu_fds *f)
{
	fd_close(f->qmp);
	fd_close(f->channel);
	fd_close(f->console);
	fd_close(f->err);
	share_fds_deinit(&f->shares);
	fd_close(f->net);
	fd_close(f->vsock);
	qemu_disks_deinit(&f->disks);
	qemu_fds_init(f);
}

static int make_pair(int *ret_ours, int *ret_theirs)
{
	int fds[2];
	int r = io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds);

	if (r < 0)
		return r;
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
	return 0;
}

/* QEMU has room for it, or does not work any more: nobody waits. */
static int say(const struct engine_vm *vm, const char *text)
{
	ssize_t n = send(vm->control_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return (size_t)n == strlen(text) ? 0 : -EIO;
}

static int qemu_resize(struct engine_vm *vm, uint32_t mem_mib)
{
	const struct qemu_state *st = vm->priv;
	char text[96];

	if (!st->balloon)
		return -EOPNOTSUPP;
	(void)snprintf(text, sizeof(text),
		"{\"execute\":\"balloon\",\"arguments\":{\"value\":%" PRIu64 "}}\n", mem_mib * MIB);
	return say(vm, text);
}

static int make_streams(struct engine_vm *vm, struct qemu_fds *f, const struct engine_spec *spec)
{
	int fds[2];
	int r;

	r = make_pair(&vm->control_fd, &f->qmp);
	if (r == 0)
		r = make_pair(&vm->channel_fd, &f->channel);
	if (r == 0)
		r = make_pair(&vm->console_fd, &f->console);
	if (r == 0)
		r = io_pipe(O_NONBLOCK, fds);
	if (r < 0)
		return r;
	vm->stderr_fd = fds[0];
	f->err = fds[1];
	/* Events come only after this command; it waits in the socket for QEMU to start. */
	r = say(vm, "{\"execute\":\"qmp_capabilities\"}\n");
	if (r == 0 && spec->mem_mib < vm->max_mem_mib)
		r = qemu_resize(vm, spec->mem_mib);
	return r;
}

int engine_find_qemu(char *ret, size_t size, struct msb_err *err)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : "/usr/local/bin:/usr/bin"; at;) {
		size_t len = strcspn(at, ":");

		/* An empty or relative entry would let the working directory choose. */
		if (*at == '/') {
			int n = snprintf(ret, size, "%.*s/%s", (int)len, at, arch_qemu_binary);

			if (n > 0 && (size_t)n < size && access(ret, X_OK) == 0)
				return 0;
		}
		at = at[len] ? at + len + 1 : NULL;
	}
	msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "QEMU is not installed: no %s in PATH",
		arch_qemu_binary);
	return msb_err_hint(err, -ENOENT, "sudo apt install %s", arch_qemu_package);
}

static int find_binary(const struct engine_spec *spec, char *ret, size_t size, struct msb_err *err)
{
	if (!spec->vmm_path)
		return engine_find_qemu(ret, size, err);
	if (str_copy(ret, size, spec->vmm_path) < 0)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "path of QEMU too long");
	return 0;
}

/* What QEMU reads: itself, libraries, firmware. Its prefix counts when it is not the system's. */
static int confine_qemu(
	struct confine *c, const struct engine_spec *spec, const char *binary, struct msb_err *err)
{
	static const char *const exec[] = {
		"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store"};
	static const char *const read[] = {"/usr/share", "/usr/local/share", "/etc/ld.so.cache",
		"/etc/localtime", "/sys/devices/system", "/proc/filesystems"};
	cleanup_free char *real = realpath(binary, NULL);
	int r = 0;

	if (!real)
		return msb_err_errno(err, -errno, "cannot use %s as QEMU", binary);
	for (unsigned int i = 0; r == 0 && i < ARRAY_SIZE(exec); i++)
		r = confine_allow(c, exec[i], true, err);
	for (unsigned int i = 0; r == 0 && i < ARRAY_SIZE(read); i++)
		r = confine_allow(c, read[i], false, err);
	if (r == 0)
		r = confine_allow(c, real, true, err);
	for (unsigned int i = 0; r == 0 && i < 2; i++) {
		static const char *const beside[] = {"../share/qemu", "../lib"};
		char path[PATH_MAX];
		const char *slash = strrchr(real, '/');
		int n = snprintf(
			path, sizeof(path), "%.*s/%s", (int)(slash - real), real, beside[i]);

		if (n > 0 && (size_t)n < sizeof(path))
			r = confine_allow(c, path, i == 1, err);
	}
	if (r == 0)
		r = confine_allow_fd(c, spec->kernel_fd, err);
	if (r == 0 && spec->initramfs_fd >= 0)
		r = confine_allow_fd(c, spec->initramfs_fd, err);
	return r;
}

static int in_child(void *p)
{
	return confine_enter(p);
}

/* May everybody read what QEMU opens again by name? */
static bool world_readable(int fd)
{
	struct stat st;

	return fd < 0 || (fstat(fd, &st) == 0 && (st.st_mode & 0004));
}

/*
 * Takes identity and namespaces away as far as this host lets us: root becomes nobody, unless it
 * needs its name to read the kernel; everybody else, and root of a container, enters a user
 * namespace in which no id means anything.
 */
static int run_apart(struct spawn *s, bool may_be_nobody, struct engine_vm *vm)
{
	enum { APART = CLONE_NEWNET | CLONE_NEWIPC };
	const struct {
		int namespaces;
		bool drop_root;
		bool usable;
		uint32_t level;
	} ways[] = {
		{APART, true, geteuid() == 0 && may_be_nobody,
			VMM_JAIL_NETNS | VMM_JAIL_USERNS | VMM_JAIL_NOCAPS},
		{APART | CLONE_NEWUSER, false, true,
			VMM_JAIL_NETNS | VMM_JAIL_USERNS | VMM_JAIL_NOCAPS},
		{0, true, geteuid() == 0 && may_be_nobody, VMM_JAIL_USERNS | VMM_JAIL_NOCAPS},
		{0, false, true, geteuid() == 0 ? 0 : VMM_JAIL_NOCAPS},
	};
	uint32_t level = 0;
	int r = -EPERM;

	for (unsigned int i = 0; r < 0 && i < ARRAY_SIZE(ways); i++) {
		if (!ways[i].usable)
			continue;
		s->namespaces = ways[i].namespaces;
		s->drop_root = ways[i].drop_root;
		level = ways[i].level;
		r = spawn_run(s, &vm->pid, &vm->pidfd);
		/* What no other way will change. */
		if (r == -ENOENT || r == -ENOEXEC || r == -EMFILE)
			break;
	}
	vm->jail_level |= level;
	return r;
}

static int run(const struct engine_spec *spec, const char *binary, struct qemu_args *args,
	const struct qemu_fds *f, struct confine *c, struct engine_vm *vm)
{
	char *envp[] = {NULL};
	struct spawn s = {
		.path = binary,
		.argv = args->argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
		.in_child = in_child,
		.in_child_arg = c,
	};

	engine_vm_limit(vm, spec, QEMU_EXTRA_MIB, QEMU_THREADS);
	s.cgroup_fd = vm->cgroup.dir_fd;
	spawn_add_fd(&s, f->err, STDERR_FILENO);
	spawn_add_fd(&s, spec->kernel_fd, QFD_KERNEL);
	if (spec->initramfs_fd >= 0)
		spawn_add_fd(&s, spec->initramfs_fd, QFD_INITRAMFS);
	spawn_add_fd(&s, f->qmp, QFD_QMP);
	spawn_add_fd(&s, f->channel, QFD_CHANNEL);
	spawn_add_fd(&s, f->console, QFD_CONSOLE);
	qemu_disks_spawn(&f->disks, &s);
	for (uint32_t i = 0; i < spec->n_shares; i++)
		spawn_add_fd(&s, f->shares.fds[i], shares_first(&f->disks) + (int)i);
	if (f->net >= 0)
		spawn_add_fd(&s, f->net, net_fd(&f->disks, spec));
	if (f->vsock >= 0)
		spawn_add_fd(&s, f->vsock, vsock_fd(&f->disks, spec));
	vm->spawned_ns = clock_mono_ns();
	return run_apart(
		&s, world_readable(spec->kernel_fd) && world_readable(spec->initramfs_fd), vm);
}

static int prepare(const struct engine_spec *spec, const struct arch_clock *start,
	struct qemu_args *args, struct qemu_fds *f, struct engine_vm *vm, struct msb_err *err)
{
	struct qemu_state *st;
	struct qemu_room room;
	int r = qemu_room_make(spec, &room, err);

	if (r < 0)
		return r;
	st = calloc(1, sizeof(*st));
	if (!st)
		return msb_err_errno(err, -ENOMEM, "cannot start QEMU");
	st->balloon = room.balloon;
	qmp_init(&st->qmp);
	vm->priv = st;

	args_machine(args, spec);
	args_boot(args, spec, start);
	r = qemu_disks_open(&f->disks, spec, err);
	if (r < 0)
		return r;
	args_devices(args, &f->disks, &room);
	args_shares(args, spec, shares_first(&f->disks));
	args_net(args, spec, net_fd(&f->disks, spec));
	args_vsock(args, spec, vsock_fd(&f->disks, spec));
	if (args->error < 0)
		return msb_err_set(err, args->error, MSB_LIMIT, "kernel command line too long");

	r = make_streams(vm, f, spec);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make the sockets of QEMU");
	r = shares_start(spec, FS_VHOST, f->err, vm, &f->shares, err);
	if (r == 0)
		r = net_start(spec, NET_BARE, f->err, vm, &f->net, err);
	return r < 0 ? r : vsock_start(spec, VSOCK_VHOST, f->err, vm, &f->vsock, err);
}

static int qemu_start(const struct engine_spec *spec, struct engine_vm *ret, struct msb_err *err)
{
	cleanup_with(confine_deinit) struct confine confine = {.ruleset_fd = -EBADF};
	cleanup_with(qemu_fds_deinit) struct qemu_fds fds;
	cleanup_free struct qemu_args *args = calloc(1, sizeof(*args));
	struct arch_clock start = arch_clock_now();
	struct engine_vm vm;
	char binary[PATH_MAX];
	int r;

	qemu_fds_init(&fds);
	engine_vm_reset(&vm, &engine_qemu);
	vm.max_mem_mib = vm.mem_mib = engine_max_mem_mib(spec);
	if (!args)
		return msb_err_errno(err, -ENOMEM, "cannot start QEMU");
	r = engine_check_spec(spec, err);
	if (r == 0)
		r = find_binary(spec, binary, sizeof(binary), err);
	if (r == 0)
		r = confine_init(&confine,
			QFD_DISK + (int)(engine_extents(spec) + spec->n_disks + spec->n_shares + 2),
			err);
	if (r == 0)
		r = confine_qemu(&confine, spec, binary, err);
	if (r == 0)
		r = prepare(spec, &start, args, &fds, &vm, err);
	if (r == 0) {
		r = run(spec, binary, args, &fds, &confine, &vm);
		if (r < 0)
			(void)msb_err_errno(err, r, "cannot start %s", binary);
	}
	if (r < 0) {
		engine_vm_deinit(&vm);
		return r;
	}
	vm.jail_level |= VMM_JAIL_SECCOMP | (confine.ruleset_fd >= 0 ? VMM_JAIL_LANDLOCK : 0);
	*ret = vm;
	return 0;
}

static void qemu_kill(struct engine_vm *vm)
{
	struct qemu_state *st = vm->priv;

	st->killed = true;
	(void)io_pidfd_kill(vm->pidfd, SIGKILL);
}

static void on_message(struct engine_vm *vm, const struct qmp_msg *m)
{
	struct qemu_state *st = vm->priv;

	if (m->type == QMP_ERROR) {
		(void)msb_err_set(
			&vm->exit_err, -EIO, MSB_FAIL, "QEMU refused a command: %s", m->desc);
		return;
	}
	if (m->type != QMP_EVENT)
		return;
	if (streq(m->event, "BALLOON_CHANGE"))
		vm->mem_mib = (uint32_t)MIN(m->actual / MIB, (uint64_t)vm->max_mem_mib);
	if (streq(m->event, "GUEST_PANICKED"))
		st->guest_panicked = true;
	/* With -no-reboot a reset is a shutdown too. */
	if (streq(m->event, "SHUTDOWN") &&
		(streq(m->reason, "guest-reset") || streq(m->reason, "guest-shutdown")))
		st->guest_ended = true;
	/*
	 * The kernel has reset its devices for a halt or a power-off that this machine has no
	 * button for, or the agent is gone: nothing will happen any more. SIGTERM lets QEMU flush.
	 */
	if (streq(m->event, "VSERPORT_CHANGE") && m->closed && !st->killed) {
		st->guest_ended = true;
		(void)io_pidfd_kill(vm->pidfd, SIGTERM);
	}
}

/* One read and the messages in it. Return: 0 when there may be more to read. */
static int take_in(struct engine_vm *vm)
{
	struct qemu_state *st = vm->priv;
	struct qmp_msg m;
	int r;

	r = qmp_fill(&st->qmp, vm->control_fd);
	if (r < 0)
		return r;
	while ((r = qmp_next(&st->qmp, &m)) == 0)
		on_message(vm, &m);
	return r == -EAGAIN ? 0 : r;
}

static int qemu_control(struct engine_vm *vm)
{
	struct qemu_state *st = vm->priv;
	int r = take_in(vm);

	if (r == 0 || r == -EAGAIN)
		return 0;
	/* A process that dies with unread data in its socket resets the connection. */
	if (r == -ENODATA || r == -ECONNRESET)
		return -ENODATA;
	st->bad_peer = true;
	(void)msb_err_set(&vm->exit_err, r, MSB_PROTOCOL, "QEMU sent something that is not QMP");
	(void)io_pidfd_kill(vm->pidfd, SIGKILL);
	return r;
}

static void failed(struct engine_vm *vm, int status)
{
	char words[200];
	int r = -EIO;

	vm->exit = ENGINE_EXIT_FAILED;
	if (vm->exit_err.msg[0])
		return;
	engine_last_words(vm->stderr_fd, words, sizeof(words));
	if (WIFSIGNALED(status))
		(void)msb_err_set(&vm->exit_err, r, MSB_FAIL,
			"QEMU was killed by signal %d (%s)%s%s", WTERMSIG(status),
			strsignal(WTERMSIG(status)), words[0] ? ": " : "", words);
	else
		(void)msb_err_set(&vm->exit_err, r, MSB_FAIL, "QEMU ended with status %d%s%s",
			WEXITSTATUS(status), words[0] ? ": " : "", words);
}

/* Did the machine end in a way that has a name? */
static bool orderly_end(const struct qemu_state *st, int status, enum engine_exit *ret)
{
	if (st->bad_peer)
		return false;
	if (st->guest_panicked) {
		*ret = ENGINE_EXIT_PANIC;
		return true;
	}
	if (st->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		*ret = ENGINE_EXIT_STOPPED;
		return true;
	}
	*ret = ENGINE_EXIT_POWEROFF;
	return st->guest_ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void qemu_reaped(struct engine_vm *vm, int status)
{
	struct qemu_state *st = vm->priv;

	/* The last events may still wait in the socket. */
	while (!st->bad_peer && take_in(vm) == 0)
		;
	if (!orderly_end(st, status, &vm->exit))
		failed(vm, status);
	qmp_deinit(&st->qmp);
}

const struct engine_ops engine_qemu = {
	.name = "qemu",
	.start = qemu_start,
	.control = qemu_control,
	.resize = qemu_resize,
	.kill = qemu_kill,
	.reaped = qemu_reaped,
};
