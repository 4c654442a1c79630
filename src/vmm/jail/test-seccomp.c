/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the filters about every system call, each in a child of its own. */
#include <linux/kvm.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "vmm/jail/seccomp.h"

#include "test.h"

enum { NR_END = 512, X32_BIT = 0x40000000 };

/* Newer kernels ask no filter about uretprobe() and uprobe(); both are of no use to a caller that
 * is not a probe set by the kernel. */
enum { NR_URETPROBE = 335, NR_UPROBE = 336 };

/* The lists of a build with sanitizers hold what their runtime needs, too. */
static bool lists_are_wider(void)
{
#ifdef MSB_SANITIZED
	return true;
#else
	return false;
#endif
}

static const enum jail_thread threads[] = {JAIL_LOOP, JAIL_VCPU};

/* Is the process still alive after this call? The arguments are useless, so that what is allowed
 * fails without effect. */
static bool survives(
	enum jail_thread thread, long nr, unsigned long a, unsigned long b, unsigned long c)
{
	int status;
	pid_t pid = fork();

	ASSERT_OK(pid);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_install(thread) < 0)
			_exit(99);
		(void)syscall(nr, a, b, c, -1L, -1L, -1L);
		(void)syscall(thread == JAIL_VCPU ? SYS_exit : SYS_exit_group, 0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) != 99);
	return !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS;
}

static bool allowed(enum jail_thread thread, long nr)
{
	return survives(thread, nr, -1UL, -1UL, -1UL);
}

static const struct seccomp_call *listed(enum jail_thread thread, int nr)
{
	size_t n;
	const struct seccomp_call *calls = seccomp_calls(thread, &n);

	for (size_t i = 0; i < n; i++) {
		if (calls[i].nr == nr)
			return &calls[i];
	}
	return NULL;
}

TEST(every_system_call_has_its_verdict)
{
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		for (int nr = 0; nr < NR_END; nr++) {
			const struct seccomp_call *call = listed(threads[i], nr);
			bool want = call && !call->restricted;

			if (nr == NR_URETPROBE || nr == NR_UPROBE)
				continue;
			if (allowed(threads[i], nr) != want)
				test_fail(__FILE__, __LINE__, "call %d of thread %zu is %s", nr, i,
					want ? "killed" : "allowed");
		}
	}
}

TEST(numbers_of_another_table_are_killed)
{
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_TRUE(!allowed(threads[i], X32_BIT | SYS_write));
		ASSERT_TRUE(!allowed(threads[i], X32_BIT));
		ASSERT_TRUE(!allowed(threads[i], -1));
	}
}

TEST(ioctl_means_kvm_run_on_vcpus_only)
{
	if (lists_are_wider())
		SKIP("the filters of a build with sanitizers are wider");
	ASSERT_TRUE(survives(JAIL_VCPU, SYS_ioctl, -1UL, KVM_RUN, 0));
	ASSERT_TRUE(!survives(JAIL_VCPU, SYS_ioctl, -1UL, KVM_CREATE_VCPU, 0));
	ASSERT_TRUE(!survives(JAIL_VCPU, SYS_ioctl, -1UL, KVM_SET_USER_MEMORY_REGION, 0));
	ASSERT_TRUE(!survives(JAIL_LOOP, SYS_ioctl, -1UL, KVM_RUN, 0));
}

/* A child cannot know its own process id here, but its parent's is certainly another one. */
TEST(signals_go_to_no_other_process)
{
	ASSERT_TRUE(!survives(JAIL_LOOP, SYS_tgkill, (unsigned long)getpid(), -1UL, 0));
	ASSERT_TRUE(!survives(JAIL_LOOP, SYS_tgkill, (unsigned long)getppid(), -1UL, 0));
	ASSERT_TRUE(!allowed(JAIL_VCPU, SYS_tgkill));
}

TEST(signals_reach_the_own_process)
{
	int status;
	pid_t pid = fork();

	ASSERT_OK(pid);
	if (pid == 0) {
		unsigned long own = (unsigned long)getpid();

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_install(JAIL_LOOP) < 0)
			_exit(99);
		_exit(syscall(SYS_tgkill, own, own, 0) == 0 ? 7 : 8);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

TEST(memory_can_be_given_back_but_not_changed)
{
	if (lists_are_wider())
		SKIP("the filters of a build with sanitizers are wider");
	ASSERT_TRUE(survives(JAIL_LOOP, SYS_madvise, 0, 0, MADV_DONTNEED));
	ASSERT_TRUE(!survives(JAIL_LOOP, SYS_madvise, 0, 0, MADV_DOFORK));
	ASSERT_TRUE(!allowed(JAIL_LOOP, SYS_mmap));
	ASSERT_TRUE(!allowed(JAIL_LOOP, SYS_mprotect));
	ASSERT_TRUE(!allowed(JAIL_VCPU, SYS_mmap));
}

TEST(the_lists_are_short)
{
	size_t loop;
	size_t vcpu;
	size_t both = 0;

	if (lists_are_wider())
		SKIP("the filters of a build with sanitizers are wider");
	(void)seccomp_calls(JAIL_LOOP, &loop);
	(void)seccomp_calls(JAIL_VCPU, &vcpu);
	for (int nr = 0; nr < NR_END; nr++)
		both += listed(JAIL_LOOP, nr) || listed(JAIL_VCPU, nr);
	printf("# %zu calls for the loop, %zu for a vCPU, %zu in all\n", loop, vcpu, both);
	ASSERT_TRUE(both <= 30);
}
