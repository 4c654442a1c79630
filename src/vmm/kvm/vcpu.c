/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual processors: see vcpu.h.
 *
 * System calls of a vCPU thread after confine(), for the filter:
 * KVM_RUN; a device register may take a contended lock or signal an eventfd; the rest is the end of
 * the thread, by request or by a guest that ended.
 *
 * #syscalls(vmm:vcpu): ioctl(1=KVM_RUN) futex write rt_sigreturn rt_sigprocmask exit
 */
#include "vmm/kvm/vcpu.h"

#include <linux/futex.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "vmm/arch/arch.h"

enum {
	SIG_KICK = SIGUSR1,
	/* Exit handling is shallow; what is not touched costs nothing. */
	VCPU_STACK = 64 * 1024,
	/* Far more than a processor that is being started ever sees in a row. */
	TRIES_AGAIN_MAX = 1000,
};

/* The kvm_run that the signal handler of this thread may touch. */
static __thread struct kvm_run *my_run;

static void on_kick(int sig)
{
	struct kvm_run *run = my_run;

	(void)sig;
	if (run)
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_RELAXED);
}

static void futex_wait(uint32_t *at, uint32_t seen)
{
	(void)syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(uint32_t *at)
{
	(void)syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

enum vcpu_verdict vcpu_fail(struct vcpu *v, enum vcpu_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	return verdict;
}

static enum vcpu_verdict serve_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint32_t len = run->mmio.len;
	bool claimed;

	vcpu_count(&v->stats.mmio);
	if (len == 0 || len > sizeof(run->mmio.data))
		return vcpu_fail(v, VCPU_HOST_FAULT, "KVM reports an access of %u bytes", len);
	if (run->mmio.is_write)
		claimed = bus_write(v->group->mmio, run->mmio.phys_addr, run->mmio.data, len);
	else
		claimed = bus_read(v->group->mmio, run->mmio.phys_addr, run->mmio.data, len);
	if (!claimed)
		vcpu_count(&v->stats.unclaimed);
	return VCPU_CONTINUE;
}

static enum vcpu_verdict serve_internal_error(struct vcpu *v)
{
	const struct kvm_run *run = v->run;

	/* An instruction on device memory that KVM cannot emulate: only a broken or hostile guest
	 * gets here. */
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		return vcpu_fail(v, VCPU_GUEST_FAULT,
			"the guest used an instruction that KVM cannot emulate");
	return vcpu_fail(
		v, VCPU_HOST_FAULT, "KVM internal error, suberror %u", run->internal.suberror);
}

static enum vcpu_verdict serve_exit(struct vcpu *v)
{
	const struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return serve_mmio(v);
	case KVM_EXIT_INTR:
		vcpu_count(&v->stats.other);
		return VCPU_CONTINUE;
	case KVM_EXIT_SHUTDOWN:
		return vcpu_fail(v, VCPU_SHUTDOWN, "triple fault on vCPU %u", v->index);
	case KVM_EXIT_SYSTEM_EVENT:
		return vcpu_fail(v, VCPU_POWEROFF, "system event %u", run->system_event.type);
	case KVM_EXIT_FAIL_ENTRY:
		return vcpu_fail(v, VCPU_HOST_FAULT,
			"the processor refuses to enter the guest (reason %#llx)",
			run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return serve_internal_error(v);
	default:
		return arch_vcpu_exit(v);
	}
}

static enum vcpu_verdict serve_run_error(struct vcpu *v, int error)
{
	switch (error) {
	case EINTR:
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_RELAXED);
		return VCPU_CONTINUE;
	case EAGAIN:
		/* A processor that waits to be started was woken. Or the kernel may not make the
		 * thread that serves this machine, and says so every time. */
		if (++v->tries_again < TRIES_AGAIN_MAX)
			return VCPU_CONTINUE;
		return vcpu_fail(
			v, VCPU_HOST_FAULT, "KVM cannot run: the limit on processes is reached");
	case EFAULT:
		return vcpu_fail(v, VCPU_HOST_FAULT, "the host cannot provide guest memory");
	default:
		return vcpu_fail(v, VCPU_HOST_FAULT, "KVM_RUN failed: errno %d", error);
	}
}

/* Only the first vCPU that ends is heard. */
static void publish_end(struct vcpu *v, enum vcpu_verdict verdict)
{
	struct vcpu_group *g = v->group;
	uint64_t one = 1;
	uint32_t nobody = 0;

	v->verdict = verdict;
	if (!__atomic_compare_exchange_n(
		    &g->ended, &nobody, v->index + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	/* An eventfd takes the first write always. */
	(void)!write(g->end_fd, &one, sizeof(one));
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	struct vcpu_group *g = v->group;
	enum vcpu_verdict verdict = VCPU_CONTINUE;
	char name[16];
	int r;

	my_run = v->run;
	(void)snprintf(name, sizeof(name), "vcpu%u", v->index);
	(void)prctl(PR_SET_NAME, name);
	v->tid = (pid_t)syscall(SYS_gettid);

	r = g->confine();
	if (r < 0)
		__atomic_store_n(&g->confine_error, r, __ATOMIC_RELAXED);
	/* Pairs with the acquire load in vcpus_start(). */
	(void)__atomic_add_fetch(&g->confined, 1, __ATOMIC_RELEASE);
	futex_wake_all(&g->confined);
	while (!__atomic_load_n(&g->gate, __ATOMIC_ACQUIRE))
		futex_wait(&g->gate, 0);

	while (verdict == VCPU_CONTINUE && !__atomic_load_n(&g->stop, __ATOMIC_RELAXED)) {
		if (kvm_ioctl_n(v->fd, KVM_RUN, 0) < 0) {
			verdict = serve_run_error(v, errno);
		} else {
			v->tries_again = 0;
			verdict = serve_exit(v);
		}
	}
	if (verdict != VCPU_CONTINUE)
		publish_end(v, verdict);
	(void)__atomic_add_fetch(&g->left, 1, __ATOMIC_RELEASE);
	futex_wake_all(&g->left);
	return NULL;
}

int vcpu_init(struct vcpu *v, struct vcpu_group *group, unsigned int index, struct msb_err *err)
{
	void *run;
	int fd;

	fd = kvm_ioctl_n(group->vm->fd, KVM_CREATE_VCPU, index);
	if (fd < 0)
		return msb_err_errno(err, -errno, "KVM cannot create vCPU %u", index);
	run = mmap(NULL, group->vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED) {
		int r = -errno;

		close(fd);
		return msb_err_errno(err, r, "cannot map the state of vCPU %u", index);
	}
	*v = (struct vcpu){.group = group, .index = index, .fd = fd, .run = run};
	return 0;
}

void vcpu_deinit(struct vcpu *v)
{
	if (v->started)
		(void)pthread_join(v->thread, NULL);
	v->started = false;
	if (v->run)
		(void)munmap(v->run, v->group->vm->run_size);
	v->run = NULL;
	v->fd = fd_close(v->fd);
}

static int vcpu_spawn(struct vcpu *v)
{
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attr, VCPU_STACK);
	if (r == 0)
		r = pthread_create(&v->thread, &attr, vcpu_thread, v);
	v->started = r == 0;
	(void)pthread_attr_destroy(&attr);
	return -r;
}

static int vcpus_spawn(struct vcpu *vcpus, unsigned int n)
{
	struct sigaction kick = {.sa_handler = on_kick};
	int r = 0;

	if (sigaction(SIG_KICK, &kick, NULL) < 0)
		return -errno;
	for (unsigned int i = 0; i < n && r == 0; i++)
		r = vcpu_spawn(&vcpus[i]);
	return r;
}

int vcpus_start(struct vcpu_group *g, struct vcpu *vcpus, unsigned int n, struct msb_err *err)
{
	uint32_t confined;
	int r;

	g->pid = getpid();
	r = vcpus_spawn(vcpus, n);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start the vCPU threads");
	while ((confined = __atomic_load_n(&g->confined, __ATOMIC_ACQUIRE)) < n)
		futex_wait(&g->confined, confined);
	r = __atomic_load_n(&g->confine_error, __ATOMIC_RELAXED);
	if (r < 0)
		return msb_err_errno(err, r, "cannot confine a vCPU thread");
	return 0;
}

void vcpus_go(struct vcpu_group *g)
{
	__atomic_store_n(&g->gate, 1, __ATOMIC_RELEASE);
	futex_wake_all(&g->gate);
}

void vcpus_stop(struct vcpu_group *g, struct vcpu *vcpus, unsigned int n)
{
	unsigned int started = 0;
	uint32_t left;

	__atomic_store_n(&g->stop, 1, __ATOMIC_RELAXED);
	vcpus_go(g);
	for (unsigned int i = 0; i < n; i++) {
		if (!vcpus[i].started)
			continue;
		started++;
		(void)syscall(SYS_tgkill, g->pid, vcpus[i].tid, SIG_KICK);
	}
	/* Not pthread_join(): it unmaps, which the filter has no reason to allow. */
	while ((left = __atomic_load_n(&g->left, __ATOMIC_ACQUIRE)) < started)
		futex_wait(&g->left, left);
}
