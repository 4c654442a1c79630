/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual processors: one thread each, which runs the guest and serves its exits.
 *
 * A thread is created early, locks itself in (seccomp) and then waits at the gate: no guest
 * instruction runs before every thread of the process is confined. After that it lives in KVM_RUN.
 * It ends when the guest shuts down, does something the machine does not have, KVM fails, or
 * vcpus_stop() asks; the first one that ends by itself says so in the group and signals its
 * eventfd, and the loop thread does the rest.
 *
 * Kicking: vcpus_stop() sets the stop flag and sends a signal. The handler sets immediate_exit in
 * the thread's own kvm_run, which closes the window between looking at the flag and entering the
 * guest.
 */
#pragma once

#include <pthread.h>

#include "base/base.h"
#include "base/err.h"

#include "vmm/bus.h"
#include "vmm/kvm/vm.h"

struct kvm_run;
struct vcpu_group;

enum vcpu_verdict {
	VCPU_CONTINUE,
	VCPU_SHUTDOWN, /* triple fault, the only way a guest without ACPI ends itself */
	VCPU_POWEROFF, /* the guest asked for power-off or reset by register */
	VCPU_GUEST_FAULT, /* something that no guest may do on this machine */
	VCPU_HOST_FAULT, /* KVM failed */
};

/* Written by the vCPU's thread, read by anyone with relaxed atomics. */
struct vcpu_stats {
	uint64_t mmio; /* exits for device registers */
	uint64_t pio;
	uint64_t unclaimed; /* of both: no device there */
	uint64_t other;
};

struct vcpu {
	struct vcpu_group *group;
	unsigned int index;
	int fd; /* owned */
	struct kvm_run *run; /* owned mapping of group->vm->run_size bytes */
	pthread_t thread;
	pid_t tid; /* valid once the thread is confined */
	bool started;
	unsigned int tries_again; /* KVM_RUN in a row that said EAGAIN (own thread) */
	struct vcpu_stats stats;
	/* Why it ended: written by the thread, valid when group->ended names this vCPU. */
	enum vcpu_verdict verdict;
	char text[128];
};

/* What all vCPUs of a machine share. */
struct vcpu_group {
	/* Fixed before the threads start. */
	const struct bus *mmio;
	const struct vm *vm;
	int end_fd; /* eventfd, not owned: signalled once, by the first vCPU that ends */
	pid_t pid; /* own process */
	int (*confine)(void); /* installs the seccomp filter of vCPU threads; 0 or negative errno */

	/* Atomics. */
	uint32_t confined; /* futex: threads at the gate */
	uint32_t gate; /* futex: 1 is open */
	uint32_t stop;
	uint32_t left; /* futex: threads that are done with the guest */
	uint32_t ended; /* 0, or 1 + index of the vCPU that ended first */
	int confine_error; /* of any thread */
};

/** vcpu_init - create vCPU @index of the machine; the interrupt controllers exist already */
int vcpu_init(struct vcpu *v, struct vcpu_group *group, unsigned int index, struct msb_err *err)
	MSB_MUST_CHECK;

/** vcpu_deinit - after vcpus_stop(), or when the thread was never started */
void vcpu_deinit(struct vcpu *v);

/**
 * vcpus_start - create the threads and wait until each one is confined and stands at the gate
 *
 * Return: 0 or a negative errno; then vcpus_stop() ends those that exist.
 */
int vcpus_start(struct vcpu_group *g, struct vcpu *vcpus, unsigned int n, struct msb_err *err)
	MSB_MUST_CHECK;

/** vcpus_go - open the gate: the guest runs */
void vcpus_go(struct vcpu_group *g);

/** vcpus_stop - bring every thread out of the guest for good; idempotent */
void vcpus_stop(struct vcpu_group *g, struct vcpu *vcpus, unsigned int n);

/** vcpu_fail - record why this vCPU ends; returns @verdict */
enum vcpu_verdict vcpu_fail(struct vcpu *v, enum vcpu_verdict verdict, const char *fmt, ...)
	MSB_PRINTF(3, 4);

/* Each counter has one writer: no read-modify-write is needed, readers just want whole values. */
static inline void vcpu_count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}
