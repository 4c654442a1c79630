/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boots a kernel under msb-vmm without a supervisor: a tool for development and tests.
 *
 * Console output goes to stdout, events of the VMM and the channel's byte count to stderr, each
 * with the milliseconds since the VMM was spawned. With --echo, what comes on the channel is sent
 * back; with --slow-after, what comes after so many bytes is taken in sips.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/base.h"
#include "base/io.h"
#include "base/spawn.h"
#include "base/str.h"

#include "vmm/config.h"

enum { FD_KVM = 4, FD_KERNEL, FD_INITRAMFS, FD_CHANNEL, FD_LOG, FD_DISKS };

/* Between two reads of a slow reader. */
#define SIP_NS (20 * NSEC_PER_MSEC)

struct options {
	const char *vmm;
	const char *kernel;
	const char *initramfs;
	const char *disks[LIMIT_DISKS];
	bool read_only[LIMIT_DISKS];
	unsigned int n_disks;
	uint32_t mem_mib;
	uint32_t vcpus;
	uint32_t timeout_s;
	const char *cmdline;
	bool echo;
	uint32_t slow_after;
};

struct session {
	int control;
	int channel;
	int log;
	pid_t pid;
	uint64_t start_ns;
	uint64_t channel_bytes;
	uint64_t slow_after;
	uint64_t next_read_ns;
	bool echo;
	bool ended;
	int status;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "vmm-run: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: vmm-run --vmm MSB-VMM --kernel VMLINUX [--initramfs FILE] [--disk "
			"FILE]...\n"
			"               [--disk-ro FILE]... [--mem MIB] [--cpus N] [--timeout S]\n"
			"               [--cmdline WORDS] [--echo] [--slow-after BYTES]\n");
	_exit(2);
}

static void add_disk(struct options *o, const char *path, bool read_only)
{
	if (o->n_disks == LIMIT_DISKS)
		usage();
	o->disks[o->n_disks] = path;
	o->read_only[o->n_disks++] = read_only;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"vmm", 1, NULL, 'v'}, {"kernel", 1, NULL, 'k'},
		{"initramfs", 1, NULL, 'i'}, {"disk", 1, NULL, 'd'}, {"disk-ro", 1, NULL, 'r'},
		{"mem", 1, NULL, 'm'}, {"cpus", 1, NULL, 'c'}, {"cmdline", 1, NULL, 'a'},
		{"timeout", 1, NULL, 't'}, {"echo", 0, NULL, 'e'}, {"slow-after", 1, NULL, 's'},
		{0}};
	int r = 0;
	int c;

	*o = (struct options){.mem_mib = 256,
		.vcpus = 1,
		.timeout_s = 60,
		.slow_after = UINT32_MAX,
		.cmdline = "console=hvc0 reboot=t panic=-1"};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'v':
			o->vmm = optarg;
			break;
		case 'k':
			o->kernel = optarg;
			break;
		case 'i':
			o->initramfs = optarg;
			break;
		case 'd':
		case 'r':
			add_disk(o, optarg, c == 'r');
			break;
		case 'm':
			r = str_to_u32(optarg, 0, UINT32_MAX, &o->mem_mib);
			break;
		case 'c':
			r = str_to_u32(optarg, 0, UINT32_MAX, &o->vcpus);
			break;
		case 't':
			r = str_to_u32(optarg, 1, 86400, &o->timeout_s);
			break;
		case 'a':
			o->cmdline = optarg;
			break;
		case 'e':
			o->echo = true;
			break;
		case 's':
			r = str_to_u32(optarg, 0, UINT32_MAX, &o->slow_after);
			break;
		default:
			usage();
		}
		if (r < 0)
			usage();
	}
	if (!o->vmm || !o->kernel || optind != argc)
		usage();
}

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

static void give(struct spawn *s, int from, int to)
{
	spawn_add_fd(s, from, to);
}

/* Nothing but what a VMM built with sanitizers is told. */
static void make_env(char *envp[2])
{
	for (char **e = environ; *e; e++) {
		if (str_starts(*e, "ASAN_OPTIONS="))
			envp[0] = *e;
	}
}

static void start(const struct options *o, struct session *ss)
{
	struct vmm_config config = {.magic = VMM_CONFIG_MAGIC,
		.size = (uint32_t)vmm_config_size(o->n_disks),
		.vcpus = o->vcpus,
		.mem_mib = o->mem_mib,
		.kvm_fd = FD_KVM,
		.kernel_fd = FD_KERNEL,
		.initramfs_fd = o->initramfs ? FD_INITRAMFS : -1,
		.channel_fd = FD_CHANNEL,
		.log_fd = FD_LOG,
		.cgroup_fd = -1,
		.net = {.fd = -1},
		.vsock_fd = -1,
		.n_disks = o->n_disks,
		.n_extents = o->n_disks};
	char *const argv[] = {(char *)(uintptr_t) "msb-vmm", NULL};
	char *envp[] = {NULL, NULL};
	struct spawn s = {.path = o->vmm, .argv = argv, .envp = envp, .cgroup_fd = -1};
	int control[2];
	int channel[2];
	int log[2];
	int r;

	if (io_socketpair(SOCK_SEQPACKET, control) < 0 || io_socketpair(SOCK_STREAM, channel) < 0 ||
		io_pipe(0, log) < 0)
		die("sockets");
	if (str_copy(config.cmdline, sizeof(config.cmdline), o->cmdline) < 0)
		usage();
	make_env(envp);
	give(&s, 2, 2);
	give(&s, control[1], VMM_FD_CONTROL);
	give(&s, must_open("/dev/kvm", O_RDWR), FD_KVM);
	give(&s, must_open(o->kernel, O_RDONLY), FD_KERNEL);
	if (o->initramfs)
		give(&s, must_open(o->initramfs, O_RDONLY), FD_INITRAMFS);
	give(&s, channel[1], FD_CHANNEL);
	give(&s, log[1], FD_LOG);
	for (unsigned int i = 0; i < o->n_disks; i++) {
		int fd = must_open(o->disks[i], o->read_only[i] ? O_RDONLY : O_RDWR);

		config.disks[i] = (struct vmm_disk){.read_only = o->read_only[i], .n_extents = 1};
		config.extents[i] = (struct vmm_extent){.fd = FD_DISKS + (int)i};
		give(&s, fd, FD_DISKS + (int)i);
	}
	if (send(control[0], &config, config.size, 0) != (ssize_t)config.size)
		die("send");
	ss->start_ns = clock_mono_ns();
	r = spawn_run(&s, &ss->pid, NULL);
	if (r < 0) {
		errno = -r;
		die(o->vmm);
	}
	for (unsigned int i = 1; i < s.n_fds; i++)
		close(s.fds[i].from);
	ss->control = control[0];
	ss->channel = channel[0];
	ss->log = log[0];
}

static double ms_since(const struct session *ss, uint64_t ns)
{
	return (double)(int64_t)(ns - ss->start_ns) / 1e6;
}

static void on_event(struct session *ss)
{
	static const char *const names[] = {"?", "created", "running", "exit", "failed"};
	static const char *const reasons[] = {
		"?", "poweroff", "shutdown", "stopped", "guest fault", "host fault"};
	struct vmm_event ev;
	ssize_t n = recv(ss->control, &ev, sizeof(ev), 0);

	if (n != (ssize_t)sizeof(ev)) {
		ss->ended = true;
		return;
	}
	fprintf(stderr, "vmm-run: %8.3f ms %s", ms_since(ss, ev.mono_ns),
		names[ev.type < ARRAY_SIZE(names) ? ev.type : 0]);
	if (ev.type == VMM_EV_RUNNING)
		fprintf(stderr, " jail=%#x", ev.jail_level);
	if (ev.type == VMM_EV_EXIT)
		fprintf(stderr, ": %s: %s",
			reasons[ev.reason < ARRAY_SIZE(reasons) ? ev.reason : 0], ev.text);
	if (ev.type == VMM_EV_FAILED)
		fprintf(stderr, ": %s", ev.text);
	fprintf(stderr, "\n");
	if (ev.type == VMM_EV_EXIT)
		ss->status = ev.reason == VMM_EXIT_POWEROFF || ev.reason == VMM_EXIT_SHUTDOWN
				     ? 0
				     : 10 + (int)ev.reason;
	if (ev.type == VMM_EV_FAILED)
		ss->status = 9;
}

static void copy_log(struct session *ss)
{
	char text[4096];
	ssize_t n = read(ss->log, text, sizeof(text));

	if (n <= 0) {
		close(ss->log);
		ss->log = -1;
		return;
	}
	if (io_write_full(1, text, (size_t)n) < 0)
		die("stdout");
}

static void read_channel(struct session *ss)
{
	char bytes[4096];
	ssize_t n = read(ss->channel, bytes, sizeof(bytes));

	if (n <= 0 || (ss->echo && io_write_full(ss->channel, bytes, (size_t)n) < 0)) {
		close(ss->channel);
		ss->channel = -1;
		return;
	}
	if (ss->channel_bytes == 0)
		fprintf(stderr, "vmm-run: %8.3f ms first byte on the channel\n",
			ms_since(ss, clock_mono_ns()));
	ss->channel_bytes += (uint64_t)n;
	if (ss->channel_bytes >= ss->slow_after)
		ss->next_read_ns = clock_mono_ns() + SIP_NS;
}

static int ms_until(uint64_t deadline_ns, uint64_t now)
{
	if (deadline_ns == UINT64_MAX)
		return -1;
	return deadline_ns <= now ? 0 : (int)((deadline_ns - now) / NSEC_PER_MSEC) + 1;
}

static void serve(struct session *ss, uint64_t deadline_ns)
{
	while (!ss->ended || ss->log >= 0 || ss->channel >= 0) {
		uint64_t now = clock_mono_ns();
		bool resting = ss->channel >= 0 && now < ss->next_read_ns;
		struct pollfd p[] = {{.fd = ss->ended ? -1 : ss->control, .events = POLLIN},
			{.fd = ss->log, .events = POLLIN},
			{.fd = resting ? -1 : ss->channel, .events = POLLIN}};
		uint64_t wake_ns = resting ? MIN(deadline_ns, ss->next_read_ns) : deadline_ns;

		if (now >= deadline_ns) {
			fprintf(stderr, "vmm-run: timeout, stopping\n");
			ss->status = 124;
			deadline_ns = UINT64_MAX;
			(void)shutdown(ss->control, SHUT_WR);
			continue;
		}
		if (poll(p, 3, ms_until(wake_ns, now)) < 0)
			die("poll");
		if (p[1].revents)
			copy_log(ss);
		if (p[2].revents)
			read_channel(ss);
		if (p[0].revents)
			on_event(ss);
	}
}

int main(int argc, char **argv)
{
	struct session ss = {.status = 126};
	struct options o;
	struct rusage ru;
	int status;

	parse(argc, argv, &o);
	ss.echo = o.echo;
	ss.slow_after = o.slow_after;
	start(&o, &ss);
	serve(&ss, ss.start_ns + o.timeout_s * NSEC_PER_SEC);
	if (wait4(ss.pid, &status, 0, &ru) != ss.pid)
		die("wait");
	fprintf(stderr, "vmm-run: %8.3f ms gone; channel %" PRIu64 " bytes, %ld faults\n",
		ms_since(&ss, clock_mono_ns()), ss.channel_bytes, ru.ru_minflt);
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "vmm-run: VMM killed by signal %d\n", WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return ss.status;
}
