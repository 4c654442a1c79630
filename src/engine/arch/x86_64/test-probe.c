/* SPDX-License-Identifier: Apache-2.0 */
/* The probe against models of hosts, its cache, and the real KVM of this host when there is one. */
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/io.h"

#include "engine/arch/x86_64/payload.h"
#include "engine/engine-internal.h"
#include "engine/probe.h"

#include "test.h"

/* A host: what its KVM answers and how fast and how well it runs guest code. */
struct model {
	struct probe_kvm kvm;
	int api_version;
	int missing_cap; /* -1: none */
	unsigned long failing_request; /* 0: none */
	int failure; /* negative errno of it */
	uint64_t insn_ns; /* per instruction of the loop */
	uint64_t exit_ns; /* to leave the guest */
	unsigned int slow_runs; /* so many runs are held up by something else, each less long */
	bool stuck; /* KVM_RUN ends by signals only */
	uint32_t exit_reason; /* of the check */
	bool wrong_result;
	uint64_t cpu_ns; /* what the probe gets of the processor */
	/* State. */
	unsigned int runs;
	uint64_t now_ns;
	uint64_t cpu_seen;
	struct kvm_regs regs;
	uint8_t *mem;
	struct kvm_run *run;
};

static uint64_t model_now_ns(const struct probe_kvm *kvm)
{
	return container_of(kvm, struct model, kvm)->now_ns;
}

/* Looked at twice, so a probe had what the model says. */
static uint64_t model_cpu_ns(const struct probe_kvm *kvm)
{
	struct model *m = container_of(kvm, struct model, kvm);

	return m->cpu_seen += m->cpu_ns;
}

/* A virtual processor is a memfd: the probe maps it, and so do we. */
static int model_vcpu(struct model *m)
{
	int fd = memfd_create("vcpu", MFD_CLOEXEC);

	ASSERT_OK(fd);
	ASSERT_OK(ftruncate(fd, sizeof(struct kvm_run)));
	m->run = mmap(NULL, sizeof(struct kvm_run), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->run != MAP_FAILED)
		return fd;
	/* An injected failure may hit us instead of the probe. */
	m->run = NULL;
	fd_close(fd);
	return -ENOMEM;
}

static int model_run(struct model *m)
{
	uint32_t passed = PROBE_PASSED;

	m->runs++;
	if (m->stuck)
		return -EINTR;
	m->now_ns += 2000 + m->exit_ns;
	if (m->regs.rip == PROBE_CODE) {
		m->now_ns += m->regs.rcx * 2 * m->insn_ns;
		if (m->slow_runs)
			m->now_ns += 8 * NSEC_PER_MSEC * m->slow_runs--;
		m->run->exit_reason = KVM_EXIT_HLT;
		return 0;
	}
	m->run->exit_reason = m->exit_reason;
	m->run->internal.suberror = 1;
	if (!m->wrong_result)
		memcpy(m->mem + PROBE_RESULT, &passed, sizeof(passed));
	return 0;
}

static int model_answer(struct model *m, unsigned long request, uintptr_t arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return m->api_version;
	case KVM_CHECK_EXTENSION:
		return (int)arg != m->missing_cap;
	case KVM_CREATE_VM:
		return memfd_create("vm", MFD_CLOEXEC);
	case KVM_CREATE_VCPU:
		return model_vcpu(m);
	case KVM_GET_VCPU_MMAP_SIZE:
		return sizeof(struct kvm_run);
	case KVM_SET_USER_MEMORY_REGION:
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): what the interface carries */
		m->mem = (void *)((struct kvm_userspace_memory_region *)arg)->userspace_addr;
		return 0;
	case KVM_SET_REGS:
		m->regs = *(const struct kvm_regs *)arg;
		return 0;
	case KVM_SET_MSRS:
		return (int)((const struct kvm_msrs *)arg)->nmsrs;
	case KVM_RUN:
		return model_run(m);
	default:
		return 0;
	}
}

static int model_call(const struct probe_kvm *kvm, int fd, unsigned long request, uintptr_t arg)
{
	struct model *m = container_of(kvm, struct model, kvm);

	ASSERT_TRUE(fd >= 0);
	return request == m->failing_request ? m->failure : model_answer(m, request, arg);
}

static struct model good_host(void)
{
	engine_kvm_device = "/dev/zero";
	return (struct model){
		.kvm = {model_call, model_now_ns, model_cpu_ns, 40},
		.api_version = KVM_API_VERSION,
		.missing_cap = -1,
		.exit_reason = KVM_EXIT_HLT,
	};
}

static void probe(struct model *m, struct probe_result *ret)
{
	probe_with(&m->kvm, NULL, ret);
	if (m->run)
		(void)munmap(m->run, sizeof(struct kvm_run));
	m->run = NULL;
}

static void check(struct model m, enum probe_verdict verdict, const char *detail)
{
	struct probe_result res;

	probe(&m, &res);
	if (res.verdict != verdict || !strstr(res.detail, detail))
		test_fail(__FILE__, __LINE__, "verdict %u, '%s', expected %u, '%s'", res.verdict,
			res.detail, verdict, detail);
	/* Whatever is wrong, something can be done about it. */
	ASSERT_EQ(res.hint[0] != '\0', verdict != PROBE_OK);
}

#define CHECK(verdict, detail, ...)                 \
	do {                                        \
		struct model host = good_host();    \
		struct model *h MSB_UNUSED = &host; \
		__VA_ARGS__;                        \
		check(host, verdict, detail);       \
	} while (0)

TEST(hosts_that_run_guests)
{
	CHECK(PROBE_OK, "full speed", );
	CHECK(PROBE_OK, "3.00 ns per instruction", h->insn_ns = 3);
	CHECK(PROBE_OK, "49.00 ns per instruction", h->insn_ns = 49);
	/* Something else had the processor for a while: tried again, however often. */
	CHECK(PROBE_OK, "", h->insn_ns = 1, h->slow_runs = 1);
	CHECK(PROBE_OK, "1.00 ns per instruction", h->insn_ns = 1, h->slow_runs = 4);
	CHECK(PROBE_OK, "1.00 ns per instruction", h->insn_ns = 1, h->slow_runs = 12);
	/* Leaving the guest is dear, instructions are not. */
	CHECK(PROBE_OK, "3.00 ns per instruction", h->insn_ns = 3, h->exit_ns = NSEC_PER_MSEC);
}

TEST(hosts_that_only_emulate)
{
	CHECK(PROBE_EMULATED, "takes 51 ns per instruction (usable: below 50)", h->insn_ns = 51);
	CHECK(PROBE_EMULATED, "takes 860 ns per instruction", h->insn_ns = 860);
	/* A short loop held up is no sign that the long one is fast. */
	CHECK(PROBE_EMULATED, "takes 860 ns per instruction", h->insn_ns = 860, h->slow_runs = 1);
	CHECK(PROBE_EMULATED, "takes 860 ns per instruction", h->insn_ns = 860, h->slow_runs = 5);
}

/* Really waits for the timer. */
TEST(guest_code_that_never_ends_is_interrupted)
{
	uint64_t start = clock_mono_ns();
	sigset_t before = {};
	sigset_t after = {};

	ASSERT_OK(sigprocmask(SIG_SETMASK, NULL, &before));
	CHECK(PROBE_EMULATED, "did not end within 40 ms", h->stuck = true);
	ASSERT_TRUE(clock_mono_ns() - start >= 40 * NSEC_PER_MSEC);
	ASSERT_OK(sigprocmask(SIG_SETMASK, NULL, &after));
	ASSERT_MEMEQ(&before, &after, sizeof(before));
	ASSERT_OK(sigpending(&after));
	ASSERT_TRUE(sigisemptyset(&after));
}

TEST(hosts_that_run_guests_wrongly)
{
	CHECK(PROBE_BROKEN, "internal error 1", h->exit_reason = KVM_EXIT_INTERNAL_ERROR);
	CHECK(PROBE_BROKEN, "exit reason 8", h->exit_reason = KVM_EXIT_SHUTDOWN);
	CHECK(PROBE_BROKEN, "wrong results", h->wrong_result = true);
	CHECK(PROBE_BROKEN, "KVM_RUN of", h->failing_request = KVM_RUN, h->failure = -EFAULT);
	CHECK(PROBE_BROKEN, "KVM_CREATE_VM failed: Device or resource busy (another hypervisor",
		h->failing_request = KVM_CREATE_VM, h->failure = -EBUSY);
	CHECK(PROBE_BROKEN, "KVM_SET_MSRS failed", h->failing_request = KVM_SET_MSRS,
		h->failure = 3);
	CHECK(PROBE_BROKEN, "KVM_SET_SREGS failed: Invalid argument",
		h->failing_request = KVM_SET_SREGS, h->failure = -EINVAL);
	CHECK(PROBE_BROKEN, "KVM_CREATE_VCPU failed", h->failing_request = KVM_CREATE_VCPU,
		h->failure = -ENOMEM);
}

TEST(hosts_that_lack_something)
{
	CHECK(PROBE_TOO_OLD, "lacks irqfd", h->missing_cap = KVM_CAP_IRQFD);
	CHECK(PROBE_TOO_OLD, "API version 11 instead of 12", h->api_version = 11);
}

/* Whatever fails, there is a verdict, no descriptor is left, and the signal mask is as it was. */
TEST(every_failing_step_is_a_verdict)
{
	FAULT_LOOP({
		struct model host = good_host();
		struct probe_result res;

		host.insn_ns = 1;
		probe(&host, &res);
		ASSERT_TRUE(res.verdict == PROBE_OK || res.verdict == PROBE_BROKEN);
		ASSERT_TRUE(res.detail[0]);
	});
}

static void check_open(int r, const struct stat *st, enum probe_verdict verdict, const char *hint)
{
	struct probe_result res;

	probe_explain_open(r, st, &res);
	ASSERT_EQ(res.verdict, verdict);
	ASSERT_TRUE(strstr(res.detail, engine_kvm_device));
	if (!strstr(res.hint, hint))
		test_fail(__FILE__, __LINE__, "hint '%s' lacks '%s'", res.hint, hint);
}

TEST(denied_names_the_group_and_the_command)
{
	const struct group *g = getgrgid(1);
	struct stat st = {.st_gid = 1, .st_mode = S_IFCHR | 0660};
	char command[128];

	if (!g)
		SKIP("no group with id 1");
	(void)snprintf(command, sizeof(command), "sudo usermod -aG %s $USER", g->gr_name);
	check_open(-EACCES, &st, PROBE_DENIED, command);
	/* A group that may not either is no help. */
	st.st_mode = S_IFCHR | 0600;
	check_open(-EACCES, &st, PROBE_DENIED, "sudo chgrp kvm");
	st = (struct stat){.st_mode = S_IFCHR | 0660};
	check_open(-EACCES, &st, PROBE_DENIED, "sudo chgrp kvm");
	check_open(-EPERM, &st, PROBE_DENIED, "--device");
}

TEST(absent_names_the_remedy_for_the_processor)
{
	check_open(-ENOENT, NULL, PROBE_ABSENT, "");
	check_open(-ENODEV, NULL, PROBE_ABSENT, "");
	ASSERT_TRUE(strstr(arch_probe_absent_hint("flags\t: fpu vmx\n"), "modprobe kvm_intel"));
	ASSERT_TRUE(strstr(arch_probe_absent_hint("flags\t: fpu svm\n"), "modprobe kvm_amd"));
	ASSERT_TRUE(strstr(arch_probe_absent_hint("flags\t: hypervisor\n"), "nested"));
	ASSERT_TRUE(strstr(arch_probe_absent_hint("flags\t: hypervisor\n flags: svm\n"), "amd"));
	ASSERT_TRUE(strstr(arch_probe_absent_hint("flags\t: fpu\n"), "firmware"));
}

static const char *cache_file(void)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/new/dir/kvm-probe.json", test_tmpdir());
	return path;
}

TEST(cached_verdict_is_not_probed_again)
{
	struct model m = good_host();
	struct probe_result first;
	struct probe_result second;

	m.insn_ns = 860;
	probe_with(&m.kvm, cache_file(), &first);
	ASSERT_TRUE(m.runs > 0);
	(void)munmap(m.run, sizeof(struct kvm_run));
	m = good_host();
	probe_with(&m.kvm, cache_file(), &second);
	ASSERT_EQ(m.runs, 0);
	ASSERT_EQ(second.verdict, PROBE_EMULATED);
	ASSERT_EQ(second.insn_ps, first.insn_ps);
	ASSERT_STREQ(second.detail, first.detail);
	ASSERT_STREQ(second.hint, first.hint);
	/* The device itself is looked at each time. */
	engine_kvm_device = "/nonexistent/kvm";
	probe_with(&m.kvm, cache_file(), &second);
	ASSERT_EQ(second.verdict, PROBE_ABSENT);
}

TEST(cache_that_cannot_be_written_is_done_without)
{
	struct model m = good_host();
	struct probe_result res;

	probe_with(&m.kvm, "/proc/nonexistent/kvm-probe.json", &res);
	ASSERT_EQ(res.verdict, PROBE_OK);
	(void)munmap(m.run, sizeof(struct kvm_run));
}

/* Out of time without having run says that the host is busy, not what it can do. */
TEST(verdict_of_a_starved_probe_is_not_kept)
{
	struct model starved = good_host();
	struct model stuck = good_host();
	struct model good = good_host();
	struct probe_result res;

	starved.stuck = stuck.stuck = true;
	starved.cpu_ns = 19 * NSEC_PER_MSEC;
	stuck.cpu_ns = 20 * NSEC_PER_MSEC;
	probe_with(&starved.kvm, cache_file(), &res);
	ASSERT_EQ(res.verdict, PROBE_EMULATED);
	(void)munmap(starved.run, sizeof(struct kvm_run));
	probe_with(&stuck.kvm, cache_file(), &res);
	ASSERT_TRUE(stuck.runs > 0);
	ASSERT_EQ(res.verdict, PROBE_EMULATED);
	(void)munmap(stuck.run, sizeof(struct kvm_run));
	probe_with(&good.kvm, cache_file(), &res);
	ASSERT_EQ(good.runs, 0);
	ASSERT_EQ(res.verdict, PROBE_EMULATED);
}

TEST(verdict_without_a_machine_is_not_kept)
{
	struct model busy = good_host();
	struct model good = good_host();
	struct probe_result res;

	busy.failing_request = KVM_CREATE_VM;
	busy.failure = -EBUSY;
	probe_with(&busy.kvm, cache_file(), &res);
	ASSERT_EQ(res.verdict, PROBE_BROKEN);
	probe_with(&good.kvm, cache_file(), &res);
	ASSERT_EQ(res.verdict, PROBE_OK);
	(void)munmap(good.run, sizeof(struct kvm_run));
}

static void put_cache(const char *text)
{
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, cache_file(), text, strlen(text), 0600, false));
}

TEST(foreign_and_corrupt_caches_are_ignored)
{
	static const char *const corrupt[] = {"", "{}", "nonsense", "{\"key\": \"k\"}",
		"{\"key\": \"k\", \"verdict\": \"great\", \"insn_ps\": 1, \"detail\": \"\", "
		"\"hint\": \"\"}",
		"{\"key\": \"k\", \"verdict\": \"ok\", \"insn_ps\": -1, \"detail\": \"\", "
		"\"hint\": \"\"}",
		"{\"key\": 1, \"verdict\": \"ok\", \"insn_ps\": 1, \"detail\": \"\", "
		"\"hint\": \"\"}"};
	struct probe_result res = {.verdict = PROBE_OK, .insn_ps = 7, .detail = "fine"};
	struct probe_result got = {};
	char big[8192];
	char other[160];

	ASSERT_OK(probe_cache_write(cache_file(), "k", &res));
	ASSERT_OK(probe_cache_read(cache_file(), "k", &got));
	ASSERT_EQ(got.insn_ps, 7);
	ASSERT_ERR(probe_cache_read(cache_file(), "other boot", &got), ESTALE);
	for (unsigned int i = 0; i < ARRAY_SIZE(corrupt); i++) {
		put_cache(corrupt[i]);
		ASSERT_TRUE(probe_cache_read(cache_file(), "k", &got) < 0);
	}
	memset(big, ' ', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put_cache(big);
	ASSERT_ERR(probe_cache_read(cache_file(), "k", &got), EPERM);
	/* Links lead to files of others. */
	ASSERT_OK(probe_cache_write(cache_file(), "k", &res));
	(void)snprintf(other, sizeof(other), "%s/link", test_tmpdir());
	ASSERT_OK(symlink(cache_file(), other));
	ASSERT_ERR(probe_cache_read(other, "k", &got), ELOOP);
	ASSERT_ERR(probe_cache_read(test_tmpdir(), "k", &got), EPERM);
	if (geteuid() == 0) {
		ASSERT_OK(chown(cache_file(), 1, 1));
		ASSERT_ERR(probe_cache_read(cache_file(), "k", &got), EPERM);
	}
}

TEST(cache_key_changes_with_the_device)
{
	cleanup_fd int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char a[512];
	char b[512];
	char device[32];
	struct stat st;

	ASSERT_OK(probe_key(zero, a, sizeof(a)));
	ASSERT_OK(probe_key(null, b, sizeof(b)));
	ASSERT_TRUE(!streq(a, b));
	ASSERT_OK(fstat(zero, &st));
	(void)snprintf(device, sizeof(device), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	ASSERT_TRUE(strstr(a, device));
	ASSERT_ERR(probe_key(zero, a, 10), ENAMETOOLONG);
}

TEST(choice_of_the_engine)
{
	struct probe_result probe;
	const struct engine_ops *ops = NULL;
	struct msb_err err = {};

	/* A device that is no KVM. */
	engine_kvm_device = "/dev/zero";
	ASSERT_OK(engine_choose(ENGINE_AUTO, NULL, &ops, &probe, &err));
	ASSERT_TRUE(ops == &engine_qemu);
	ASSERT_EQ(probe.verdict, PROBE_BROKEN);
	ASSERT_OK(engine_choose(ENGINE_QEMU, NULL, &ops, NULL, &err));
	ASSERT_TRUE(ops == &engine_qemu);
	ops = NULL;
	ASSERT_ERR(engine_choose(ENGINE_KVM, NULL, &ops, NULL, &err), EOPNOTSUPP);
	ASSERT_TRUE(!ops);
	ASSERT_EQ(err.kind, MSB_UNSUPPORTED);
	ASSERT_TRUE(strstr(err.msg, "engine kvm: KVM_GET_API_VERSION failed"));
	engine_kvm_device = "/nonexistent/kvm";
	ASSERT_ERR(engine_choose(ENGINE_KVM, NULL, &ops, NULL, &err), EOPNOTSUPP);
	ASSERT_TRUE(strstr(err.msg, "/nonexistent/kvm") && err.hint[0]);
}

/* A verdict of an earlier start decides without a look at the guest code. */
TEST(choice_by_a_cached_verdict)
{
	struct probe_result good = {.verdict = PROBE_OK};
	const struct engine_ops *ops = NULL;
	char key[512];
	int fd;

	engine_kvm_device = "/dev/zero";
	fd = open(engine_kvm_device, O_RDWR | O_CLOEXEC);
	ASSERT_OK(fd);
	ASSERT_OK(probe_key(fd, key, sizeof(key)));
	fd_close(fd);
	ASSERT_OK(probe_cache_write(cache_file(), key, &good));
	ASSERT_OK(engine_choose(ENGINE_AUTO, cache_file(), &ops, NULL, NULL));
	ASSERT_TRUE(ops == &engine_kvm);
	ASSERT_OK(engine_choose(ENGINE_KVM, cache_file(), &ops, NULL, NULL));
	ASSERT_TRUE(ops == &engine_kvm);
}

/* In the lab, and on every host whose KVM is real, the code of the probe must pass. */
TEST(real_kvm_of_this_host)
{
	const char *must = getenv("MSB_MUST_WORK");
	uint64_t start = clock_mono_ns();
	struct probe_result res;

	engine_probe_kvm(NULL, &res);
	printf("# verdict %u, %.1f ms: %s\n", res.verdict,
		(double)(clock_mono_ns() - start) / NSEC_PER_MSEC, res.detail);
	if (must && strstr(must, "kvm"))
		ASSERT_EQ(res.verdict, PROBE_OK);
	if (res.verdict == PROBE_ABSENT || res.verdict == PROBE_DENIED)
		SKIP("no KVM on this host");
	ASSERT_TRUE(res.verdict != PROBE_TOO_OLD);
	ASSERT_TRUE(res.detail[0]);
}
