/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this host run our guests on KVM?
 *
 * That /dev/kvm opens and lists every capability says little: some hosts offer a KVM that emulates
 * kernel mode instruction by instruction, a thousand times too slow, or not correctly. So the probe
 * runs guest code (arch/<cpu>/): first a counting loop in kernel mode of two lengths, whose
 * difference is the price of an instruction without the price of entering and leaving the guest;
 * then one pass through what every booting kernel does. Both take microseconds on real hardware.
 *
 * Somebody else may have the processor for most of the time. An interruption only lengthens a run,
 * so the least of several counts, and a long one is believed when two agree.
 *
 * A bad host must not hold us up for ever: one timer bounds all runs together. Its signal is
 * blocked in the thread and let through by KVM while the guest runs, so no handler is installed and
 * nothing of the process changes; KVM_RUN just returns.
 *
 * The verdict on guest code holds for one boot and is cached, unless there was no machine to run
 * it, or time ran out while we had little of the processor: that says nothing of the host. Whether
 * the device is there and may be opened is looked at every time: it changes when a user joins a
 * group or a driver is loaded.
 */
#include "engine/probe.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "base/io.h"
#include "base/json.h"

#ifndef sigev_notify_thread_id /* this version of glibc has no name for the field */
#define sigev_notify_thread_id _sigev_un._tid
#endif

const char *engine_kvm_device = "/dev/kvm";

enum {
	PROBE_REVISION = 2, /* of the checks below; part of the cache key */
	INSN_PS_MAX = 50000, /* real hardware is below 1,000, nested emulation of it below 20,000 */
	LOOP_SHORT = 256,
	LOOP_LONG = LOOP_SHORT + 2048,
	LOOP_NS_MAX = 2 * LOOP_LONG * (INSN_PS_MAX / 1000), /* faster as a whole: surely good */
	LOOP_TRIES = 3,
	BUDGET_MS = 2000, /* spent only where guest code hangs, or nobody lets us run */
	CACHE_BYTES_MAX = 4096,
	CPUINFO_MAX = 1 << 20,
};

static const char *const verdict_names[] = {
	[PROBE_OK] = "ok",
	[PROBE_ABSENT] = "absent",
	[PROBE_DENIED] = "denied",
	[PROBE_TOO_OLD] = "too-old",
	[PROBE_EMULATED] = "emulated",
	[PROBE_BROKEN] = "broken",
};

static void MSB_PRINTF(3, 4)
	verdict(struct probe_result *ret, enum probe_verdict v, const char *fmt, ...)
{
	va_list ap;

	ret->verdict = v;
	va_start(ap, fmt);
	(void)vsnprintf(ret->detail, sizeof(ret->detail), fmt, ap);
	va_end(ap);
}

static void MSB_PRINTF(2, 3) hint(struct probe_result *ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret->hint, sizeof(ret->hint), fmt, ap);
	va_end(ap);
}

static int real_call(const struct probe_kvm *kvm, int fd, unsigned long request, uintptr_t value)
{
	int r = ioctl(fd, request, value);

	(void)kvm;
	return r < 0 ? -errno : r;
}

static uint64_t real_now_ns(const struct probe_kvm *kvm)
{
	(void)kvm;
	return clock_mono_ns();
}

static uint64_t real_cpu_ns(const struct probe_kvm *kvm)
{
	struct timespec ts = {};

	(void)kvm;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* A blocked signal that fires once when the budget is spent. */
struct probe_timer {
	bool armed;
	timer_t timer;
	sigset_t before;
	sigset_t only;
};

static int timer_start(struct probe_timer *t, unsigned int ms)
{
	struct itimerspec budget = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};
	int r;

	*t = (struct probe_timer){};
	ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	sigemptyset(&t->only);
	sigaddset(&t->only, ev.sigev_signo);
	r = pthread_sigmask(SIG_BLOCK, &t->only, &t->before);
	if (r != 0)
		return -r;
	if (timer_create(CLOCK_MONOTONIC, &ev, &t->timer) < 0) {
		r = -errno;
		(void)pthread_sigmask(SIG_SETMASK, &t->before, NULL);
		return r;
	}
	t->armed = true;
	return timer_settime(t->timer, 0, &budget, NULL) < 0 ? -errno : 0;
}

static bool timer_fired(const struct probe_timer *t)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN + 1) && t->armed;
}

static void timer_stop(struct probe_timer *t)
{
	static const struct timespec at_once = {0, 0};

	if (!t->armed)
		return;
	(void)timer_delete(t->timer);
	(void)sigtimedwait(&t->only, NULL, &at_once);
	(void)pthread_sigmask(SIG_SETMASK, &t->before, NULL);
	t->armed = false;
}

struct probe {
	const struct probe_kvm *kvm;
	struct probe_timer timer;
	int kvm_fd; /* borrowed */
	int vm_fd;
	int vcpu_fd;
	uint8_t *mem;
	struct kvm_run *run;
	size_t run_size;
};

static void probe_init(struct probe *p, const struct probe_kvm *kvm, int kvm_fd)
{
	*p = (struct probe){
		.kvm = kvm,
		.kvm_fd = kvm_fd,
		.vm_fd = -EBADF,
		.vcpu_fd = -EBADF,
		.mem = MAP_FAILED,
		.run = MAP_FAILED,
	};
}

static void probe_deinit(struct probe *p)
{
	timer_stop(&p->timer);
	if (p->run != MAP_FAILED)
		(void)munmap(p->run, p->run_size);
	fd_close(p->vcpu_fd);
	fd_close(p->vm_fd);
	if (p->mem != MAP_FAILED)
		(void)munmap(p->mem, arch_probe_mem_size());
	probe_init(p, p->kvm, -EBADF);
}

static int call(const struct probe *p, int fd, unsigned long request, uintptr_t value)
{
	return p->kvm->call(p->kvm, fd, request, value);
}

/* Return: name of the step that failed, NULL when all is well; *ret_r gets the errno. */
static const char *build_machine(struct probe *p, int *ret_r)
{
	struct kvm_userspace_memory_region slot = {.memory_size = arch_probe_mem_size()};
	const char *what;
	int r;

	p->vm_fd = *ret_r = call(p, p->kvm_fd, KVM_CREATE_VM, 0);
	if (*ret_r < 0)
		return "KVM_CREATE_VM";
	p->mem = mmap(NULL, arch_probe_mem_size(), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*ret_r = -ENOMEM;
	if (p->mem == MAP_FAILED)
		return "guest memory";
	arch_probe_load(p->mem);
	slot.userspace_addr = (uintptr_t)p->mem;
	*ret_r = call(p, p->vm_fd, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&slot);
	if (*ret_r < 0)
		return "KVM_SET_USER_MEMORY_REGION";
	p->vcpu_fd = *ret_r = call(p, p->vm_fd, KVM_CREATE_VCPU, 0);
	if (*ret_r < 0)
		return "KVM_CREATE_VCPU";
	r = *ret_r = call(p, p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (r < (int)sizeof(*p->run))
		return "KVM_GET_VCPU_MMAP_SIZE";
	p->run_size = (size_t)r;
	p->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu_fd, 0);
	*ret_r = -ENOMEM;
	if (p->run == MAP_FAILED)
		return "mapping the virtual processor";
	*ret_r = arch_probe_setup(p->kvm, p->kvm_fd, p->vcpu_fd, &what);
	return *ret_r < 0 ? what : NULL;
}

/* While the guest runs the timer's signal, and no other, ends KVM_RUN. */
static int let_timer_through(const struct probe *p)
{
	struct {
		uint32_t len;
		uint64_t blocked;
	} __attribute__((packed)) mask = {.len = 8, .blocked = ~UINT64_C(0)};

	mask.blocked &= ~(UINT64_C(1) << SIGRTMIN);
	return call(p, p->vcpu_fd, KVM_SET_SIGNAL_MASK, (uintptr_t)&mask);
}

/*
 * One run of the guest up to its HLT. Return: 0; -ETIMEDOUT when the budget is spent; -EIO when the
 * guest left in another way (run->exit_reason); other negative errno of KVM_RUN.
 */
static int run_guest(struct probe *p, uint64_t *ret_ns)
{
	uint64_t start = p->kvm->now_ns(p->kvm);
	int r;

	do {
		if (timer_fired(&p->timer))
			return -ETIMEDOUT;
		r = call(p, p->vcpu_fd, KVM_RUN, 0);
	} while (r == -EINTR);
	*ret_ns = p->kvm->now_ns(p->kvm) - start;
	if (r < 0)
		return r;
	return p->run->exit_reason == KVM_EXIT_HLT ? 0 : -EIO;
}

static int run_loop(struct probe *p, uint32_t n, uint64_t *ret_ns)
{
	int r = arch_probe_set_loop(p->kvm, p->vcpu_fd, n);

	return r < 0 ? r : run_guest(p, ret_ns);
}

/*
 * Picoseconds per instruction. Each of the two lengths counts with its least run of all tries, so
 * an interruption of either neither condemns a good host nor acquits a bad one.
 */
static int measure(struct probe *p, uint64_t *ret_ps)
{
	uint64_t least_short = UINT64_MAX;
	uint64_t least_long = UINT64_MAX;
	uint64_t next_long = UINT64_MAX;

	for (int i = 0; i < LOOP_TRIES || next_long - least_long > least_long / 4; i++) {
		uint64_t short_ns = 0;
		uint64_t long_ns = 0;
		int r = run_loop(p, LOOP_SHORT, &short_ns);

		if (r == 0)
			r = run_loop(p, LOOP_LONG, &long_ns);
		/* Out of time in a later try: the earlier ones have said it. */
		if (r == -ETIMEDOUT && i > 0)
			break;
		if (r < 0)
			return r;
		least_short = MIN(least_short, short_ns);
		next_long = MIN(next_long, MAX(least_long, long_ns));
		least_long = MIN(least_long, long_ns);
		if (least_long <= LOOP_NS_MAX)
			break;
	}
	*ret_ps = least_long > least_short
			  ? (least_long - least_short) * 1000 / (2 * (LOOP_LONG - LOOP_SHORT))
			  : 0;
	*ret_ps = MAX(*ret_ps, (uint64_t)1);
	return 0;
}

static void guest_failed(const struct probe *p, int r, const char *what, struct probe_result *ret)
{
	if (r == -ETIMEDOUT)
		verdict(ret, PROBE_EMULATED, "%s opens, but %s did not end within %u ms",
			engine_kvm_device, what, p->kvm->budget_ms);
	else if (r == -EIO && p->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		verdict(ret, PROBE_BROKEN, "KVM could not execute %s: internal error %u", what,
			p->run->internal.suberror);
	else if (r == -EIO)
		verdict(ret, PROBE_BROKEN, "KVM did not execute %s: exit reason %u", what,
			p->run->exit_reason);
	else
		verdict(ret, PROBE_BROKEN, "KVM_RUN of %s failed: %s", what, strerror(-r));
}

static void run_checks(struct probe *p, struct probe_result *ret)
{
	uint64_t ns;
	int r = measure(p, &ret->insn_ps);

	if (r < 0) {
		guest_failed(p, r, "a counting loop in kernel mode", ret);
		return;
	}
	if (ret->insn_ps > INSN_PS_MAX) {
		verdict(ret, PROBE_EMULATED,
			"%s opens, but guest kernel code takes %" PRIu64 " ns per instruction "
			"(usable: below %d)",
			engine_kvm_device, ret->insn_ps / 1000, INSN_PS_MAX / 1000);
		return;
	}
	r = arch_probe_set_check(p->kvm, p->vcpu_fd);
	if (r == 0)
		r = run_guest(p, &ns);
	if (r < 0)
		guest_failed(p, r, "what a booting kernel does", ret);
	else if (!arch_probe_passed(p->mem))
		verdict(ret, PROBE_BROKEN, "guest code computes wrong results");
	else if (ret->insn_ps < 10)
		verdict(ret, PROBE_OK, "guest code runs at full speed");
	else
		verdict(ret, PROBE_OK,
			"guest code runs at %" PRIu64 ".%02" PRIu64 " ns per instruction",
			ret->insn_ps / 1000, ret->insn_ps % 1000 / 10);
}

static bool check_interface(const struct probe_kvm *kvm, int kvm_fd, struct probe_result *ret)
{
	int r = kvm->call(kvm, kvm_fd, KVM_GET_API_VERSION, 0);

	if (r < 0) {
		verdict(ret, PROBE_BROKEN, "KVM_GET_API_VERSION failed: %s", strerror(-r));
		return false;
	}
	hint(ret, "use a newer host kernel");
	if (r != KVM_API_VERSION) {
		verdict(ret, PROBE_TOO_OLD, "KVM speaks API version %d instead of %d", r,
			KVM_API_VERSION);
		return false;
	}
	for (const struct probe_cap *cap = arch_probe_caps; cap->name; cap++) {
		if (kvm->call(kvm, kvm_fd, KVM_CHECK_EXTENSION, (uintptr_t)cap->cap) > 0)
			continue;
		verdict(ret, PROBE_TOO_OLD, "KVM of this kernel lacks %s", cap->name);
		return false;
	}
	ret->hint[0] = '\0';
	return true;
}

/* Return: does the verdict hold for the next start too? */
static bool probe_guest_code(const struct probe_kvm *kvm, int kvm_fd, struct probe_result *ret)
{
	cleanup_with(probe_deinit) struct probe p;
	uint64_t cpu_start = kvm->cpu_ns(kvm);
	const char *what;
	int r;

	probe_init(&p, kvm, kvm_fd);
	if (!check_interface(kvm, kvm_fd, ret))
		return true;
	what = build_machine(&p, &r);
	if (!what) {
		what = "the probe's timer";
		r = let_timer_through(&p);
		if (r == 0)
			r = timer_start(&p.timer, kvm->budget_ms);
		if (r == 0)
			what = NULL;
	}
	if (what)
		verdict(ret, PROBE_BROKEN, "%s failed: %s%s", what, strerror(-r),
			r == -EBUSY ? " (another hypervisor holds the processor)" : "");
	else
		run_checks(&p, ret);
	if (ret->verdict == PROBE_EMULATED || ret->verdict == PROBE_BROKEN)
		hint(ret, "virtual machines run under QEMU's emulation here; for full speed use a "
			  "host "
			  "with hardware virtualization");
	/* Without memory, or while another hypervisor is active, no machine can be built. */
	if (what)
		return false;
	return ret->verdict == PROBE_OK || !timer_fired(&p.timer) ||
	       kvm->cpu_ns(kvm) - cpu_start >= kvm->budget_ms * NSEC_PER_MSEC / 2;
}

/* What the file system says decides between the group, the container and the file's mode. */
static void explain_denied(int r, const struct stat *st, struct probe_result *ret)
{
	const struct group *g = st ? getgrgid(st->st_gid) : NULL;

	verdict(ret, PROBE_DENIED, "no permission to open %s: %s", engine_kvm_device, strerror(-r));
	if (!st || r == -EPERM) {
		hint(ret,
			"the container or sandbox around forbids the device: start it with "
			"--device %s",
			engine_kvm_device);
		return;
	}
	if (g && st->st_gid != 0 && (st->st_mode & 0060) == 0060)
		hint(ret, "it belongs to group %s: sudo usermod -aG %s $USER, then log in again",
			g->gr_name, g->gr_name);
	else
		hint(ret,
			"give it to a group: sudo chgrp kvm %s && sudo chmod 660 %s && "
			"sudo usermod -aG kvm $USER, then log in again",
			engine_kvm_device, engine_kvm_device);
}

static void explain_absent(int r, struct probe_result *ret)
{
	cleanup_free char *cpuinfo = NULL;

	verdict(ret, PROBE_ABSENT, "cannot open %s: %s", engine_kvm_device, strerror(-r));
	if (io_read_file(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &cpuinfo, NULL) == 0)
		hint(ret, "%s", arch_probe_absent_hint(cpuinfo));
}

void probe_explain_open(int r, const struct stat *st, struct probe_result *ret)
{
	*ret = (struct probe_result){};
	if (r == -EACCES || r == -EPERM)
		explain_denied(r, st, ret);
	else
		explain_absent(r, ret);
}

int probe_key(int kvm_fd, char *ret, size_t size)
{
	cleanup_free char *boot = NULL;
	struct utsname uts;
	struct stat st;
	int r;

	r = io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, NULL);
	if (r < 0)
		return r;
	boot[strcspn(boot, "\n")] = '\0';
	if (uname(&uts) < 0 || fstat(kvm_fd, &st) < 0)
		return -errno;
	r = snprintf(ret, size, "%s.%d %s %s %u:%u", MSB_VERSION, PROBE_REVISION, boot, uts.release,
		major(st.st_rdev), minor(st.st_rdev));
	return r < 0 || (size_t)r >= size ? -ENAMETOOLONG : 0;
}

/* A file of somebody else, a link or a device is nothing we wrote. */
static int read_own_file(const char *path, char *to, size_t size, size_t *ret_len)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_size > (off_t)size)
		return -EPERM;
	n = read(fd, to, size);
	if (n < 0)
		return -errno;
	*ret_len = (size_t)n;
	return 0;
}

int probe_cache_read(const char *path, const char *key, struct probe_result *ret)
{
	cleanup_json struct json *root = NULL;
	struct probe_result res = {};
	const char *text[4] = {"", "", "", ""};
	char buf[CACHE_BYTES_MAX];
	size_t len = 0;
	int r;

	r = read_own_file(path, buf, sizeof(buf), &len);
	if (r == 0)
		r = json_parse(buf, len, &root, NULL);
	if (r == 0)
		r = json_get_str(root, "key", &text[0], NULL);
	if (r == 0)
		r = json_get_str(root, "verdict", &text[1], NULL);
	if (r == 0)
		r = json_get_str(root, "detail", &text[2], NULL);
	if (r == 0)
		r = json_get_str(root, "hint", &text[3], NULL);
	if (r == 0)
		r = json_get_u64(root, "insn_ps", &res.insn_ps, NULL);
	if (r < 0)
		return r;
	if (!streq(text[0], key))
		return -ESTALE;
	for (unsigned int v = 0; v < ARRAY_SIZE(verdict_names); v++) {
		if (!streq(text[1], verdict_names[v]))
			continue;
		verdict(&res, (enum probe_verdict)v, "%s", text[2]);
		hint(&res, "%s", text[3]);
		*ret = res;
		return 0;
	}
	return -EBADMSG;
}

int probe_cache_write(const char *path, const char *key, const struct probe_result *res)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, CACHE_BYTES_MAX);
	json_out_init(&o, &text, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "key", key);
	json_put_str(&o, "verdict", verdict_names[res->verdict]);
	json_put_u64(&o, "insn_ps", res->insn_ps);
	json_put_str(&o, "detail", res->detail);
	json_put_str(&o, "hint", res->hint);
	json_end_object(&o);
	r = json_out_end(&o);
	if (r == 0 && slash && slash != path && (size_t)(slash - path) < sizeof(dir)) {
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		r = io_mkdir_p(dir, 0700);
	}
	if (r == 0)
		r = io_write_file_atomic(
			AT_FDCWD, path, buf_data(&text), buf_len(&text), 0600, false);
	buf_deinit(&text);
	return r;
}

void probe_with(const struct probe_kvm *kvm, const char *cache_path, struct probe_result *ret)
{
	cleanup_fd int fd = open(engine_kvm_device, O_RDWR | O_CLOEXEC);
	bool have_key;
	bool lasting;
	char key[512];

	if (fd < 0) {
		int r = -errno;
		struct stat st;

		probe_explain_open(r, stat(engine_kvm_device, &st) < 0 ? NULL : &st, ret);
		return;
	}
	have_key = cache_path && probe_key(fd, key, sizeof(key)) == 0;
	if (have_key && probe_cache_read(cache_path, key, ret) == 0)
		return;
	*ret = (struct probe_result){.verdict = PROBE_BROKEN};
	lasting = probe_guest_code(kvm, fd, ret);
	/* The cache saves time; without it the next start probes again. */
	if (have_key && lasting && probe_cache_write(cache_path, key, ret) < 0)
		return;
}

void engine_probe_kvm(const char *cache_path, struct probe_result *ret)
{
	static const struct probe_kvm real_kvm = {real_call, real_now_ns, real_cpu_ns, BUDGET_MS};

	probe_with(&real_kvm, cache_path, ret);
}
