/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one machine on one engine without agent and supervisor, for work on engines and kernels.
 *
 * The guest's console goes to stdout; what happened when goes to stderr. Bytes that arrive on the
 * agent channel are counted. The exit status is 0 when the guest powered off.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/loop.h"
#include "base/str.h"

#include "engine/engine.h"

struct run {
	struct loop loop;
	struct engine_vm vm;
	struct loop_fd console;
	struct loop_fd channel;
	struct loop_fd control;
	struct loop_fd process;
	struct loop_timer timeout;
	uint64_t console_ns;
	uint64_t channel_ns;
	uint64_t channel_bytes;
	struct engine_extent extents[LIMIT_EXTENTS]; /* of all disks, in their order */
	uint32_t n_extents;
	bool console_bad;
	bool kill_on_channel; /* as an ephemeral sandbox ends: without the guest's help */
};

static ssize_t take(struct loop_fd *src, char *to, size_t n, uint64_t *first_ns)
{
	ssize_t got = read(src->fd, to, n);

	if (got > 0 && *first_ns == 0)
		*first_ns = clock_mono_ns();
	if (got == 0 || (got < 0 && errno != EAGAIN))
		loop_fd_del(src);
	return got;
}

static void on_console(struct loop_fd *src, uint32_t events)
{
	struct run *run = container_of(src, struct run, console);
	char text[4096];
	ssize_t n = take(src, text, sizeof(text), &run->console_ns);

	(void)events;
	if (n > 0)
		run->console_bad |= io_write_full(STDOUT_FILENO, text, (size_t)n) < 0;
}

static void on_channel(struct loop_fd *src, uint32_t events)
{
	struct run *run = container_of(src, struct run, channel);
	char text[4096];
	ssize_t n = take(src, text, sizeof(text), &run->channel_ns);

	(void)events;
	if (n > 0)
		run->channel_bytes += (uint64_t)n;
	if (n > 0 && run->kill_on_channel)
		run->vm.ops->kill(&run->vm);
}

static void on_control(struct loop_fd *src, uint32_t events)
{
	struct run *run = container_of(src, struct run, control);

	(void)events;
	if (run->vm.ops->control(&run->vm) < 0)
		loop_fd_del(src);
}

static void on_process(struct loop_fd *src, uint32_t events)
{
	struct run *run = container_of(src, struct run, process);

	(void)events;
	loop_stop(&run->loop, 0);
}

static void on_timeout(struct loop_timer *t)
{
	struct run *run = container_of(t, struct run, timeout);

	fprintf(stderr, "timeout\n");
	run->vm.ops->kill(&run->vm);
}

static double since(const struct run *run, uint64_t ns)
{
	return ns ? (double)(ns - run->vm.spawned_ns) / 1e6 : -1;
}

static int run_loop(struct run *run, uint32_t timeout_s)
{
	static const char *const names[] = {
		[ENGINE_EXIT_POWEROFF] = "powered off",
		[ENGINE_EXIT_PANIC] = "panicked",
		[ENGINE_EXIT_STOPPED] = "was stopped",
		[ENGINE_EXIT_FAILED] = "failed",
	};
	struct loop *l = &run->loop;
	uint64_t end_ns;
	int status;
	int r;

	r = loop_fd_add(l, &run->console, run->vm.console_fd, EPOLLIN, on_console);
	if (r == 0)
		r = loop_fd_add(l, &run->channel, run->vm.channel_fd, EPOLLIN, on_channel);
	if (r == 0)
		r = loop_fd_add(l, &run->control, run->vm.control_fd, EPOLLIN, on_control);
	if (r == 0)
		r = loop_fd_add(l, &run->process, run->vm.pidfd, EPOLLIN, on_process);
	if (r == 0) {
		loop_timer_set(
			l, &run->timeout, clock_mono_ns() + timeout_s * NSEC_PER_SEC, on_timeout);
		r = loop_run(l);
	}
	if (r < 0)
		run->vm.ops->kill(&run->vm);
	end_ns = clock_mono_ns();
	while (waitpid(run->vm.pid, &status, 0) < 0 && errno == EINTR)
		;
	while (run->console.loop && take(&run->console, (char[256]){0}, 256, &run->console_ns) > 0)
		;
	run->vm.ops->reaped(&run->vm, status);
	fprintf(stderr,
		"engine %s: guest %s%s%s; ms after spawn: first console %.1f, first channel %.1f "
		"(%" PRIu64 " bytes), end %.1f\n",
		run->vm.ops->name, names[run->vm.exit], run->vm.exit_err.msg[0] ? ": " : "",
		run->vm.exit_err.msg, since(run, run->console_ns), since(run, run->channel_ns),
		run->channel_bytes, since(run, end_ns));
	return r < 0 || run->vm.exit == ENGINE_EXIT_FAILED || run->vm.exit == ENGINE_EXIT_PANIC;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return fd;
}

static bool add_extent(struct run *run, struct engine_disk *d, const char *path)
{
	struct engine_extent *e = &run->extents[run->n_extents];
	struct stat st;

	if (run->n_extents == LIMIT_EXTENTS)
		return false;
	e->fd = open_file(path, d->read_only ? O_RDONLY : O_RDWR);
	if (e->fd < 0 || fstat(e->fd, &st) < 0)
		return false;
	e->len = (uint64_t)st.st_size;
	run->n_extents++;
	d->n_extents++;
	return true;
}

/* FILE, or FILE,FILE... for a disk that is put together. */
static bool add_disk(struct run *run, struct engine_spec *spec, char *paths, bool read_only)
{
	struct engine_disk *d = &spec->disks[spec->n_disks];
	bool ok = spec->n_disks < LIMIT_DISKS;
	char *save = NULL;

	if (!ok)
		return false;
	*d = (struct engine_disk){.read_only = read_only, .extents = &run->extents[run->n_extents]};
	for (char *p = strtok_r(paths, ",", &save); p && ok; p = strtok_r(NULL, ",", &save))
		ok = add_extent(run, d, p);
	if (d->n_extents == 1)
		run->extents[run->n_extents - 1].len = 0;
	spec->n_disks++;
	return ok;
}

static bool parse(int argc, char **argv, struct engine_spec *spec, struct run *run,
	enum engine_kind *kind, uint32_t *timeout_s)
{
	bool ok = true;
	int c;

	while (ok && (c = getopt(argc, argv, "e:k:i:d:D:c:m:a:p:t:x")) != -1) {
		if (c == 'e')
			ok = engine_kind_parse(optarg, kind) == 0;
		else if (c == 'k')
			ok = (spec->kernel_fd = open_file(optarg, O_RDONLY)) >= 0;
		else if (c == 'i')
			ok = (spec->initramfs_fd = open_file(optarg, O_RDONLY)) >= 0;
		else if (c == 'd' || c == 'D')
			ok = add_disk(run, spec, optarg, c == 'd');
		else if (c == 'c')
			ok = str_to_u32(optarg, 1, LIMIT_VCPUS, &spec->vcpus) == 0;
		else if (c == 'm')
			ok = str_to_u32(optarg, 1, LIMIT_MEM_MAX_MIB, &spec->mem_mib) == 0;
		else if (c == 't')
			ok = str_to_u32(optarg, 1, 3600, timeout_s) == 0;
		else if (c == 'a')
			spec->cmdline_extra = optarg;
		else if (c == 'p')
			spec->vmm_path = optarg;
		else if (c == 'x')
			run->kill_on_channel = true;
		else
			ok = false;
	}
	return ok && spec->kernel_fd >= 0 && optind == argc;
}

int main(int argc, char **argv)
{
	struct engine_spec spec = {.vcpus = 1,
		.mem_mib = 256,
		.kernel_fd = -1,
		.initramfs_fd = -1,
		.cmdline_extra = ""};
	enum engine_kind kind = ENGINE_AUTO;
	const struct engine_ops *ops;
	uint32_t timeout_s = 60;
	struct run run = {};
	struct msb_err err;
	int r;

	if (!parse(argc, argv, &spec, &run, &kind, &timeout_s)) {
		fprintf(stderr,
			"usage: engine-run [-e auto|kvm|qemu] -k KERNEL [-i INITRAMFS] "
			"[-d DISK[,DISK...]]... [-D WRITABLE]... [-c CPUS] [-m MIB] [-a CMDLINE] "
			"[-p VMM] [-t SECONDS] [-x]\n");
		return 2;
	}
	if (loop_init(&run.loop) < 0)
		return 1;
	r = engine_choose(kind, NULL, &ops, NULL, &err);
	if (r == 0)
		r = ops->start(&spec, &run.vm, &err);
	if (r < 0) {
		fprintf(stderr, "engine-run: %s%s%s\n", err.msg, err.hint[0] ? "; " : "", err.hint);
		return 1;
	}
	r = run_loop(&run, timeout_s);
	engine_vm_deinit(&run.vm);
	loop_deinit(&run.loop);
	return r;
}
