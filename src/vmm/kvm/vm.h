/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine of KVM: its descriptor, memory slots and event wiring. */
#pragma once

#include <sys/syscall.h>

#include "base/base.h"
#include "base/err.h"

struct vm {
	int kvm_fd; /* /dev/kvm, not owned */
	int fd; /* owned */
	size_t run_size; /* of each vCPU's shared struct kvm_run */
	uint32_t n_slots;
};

/* C libraries disagree on the type of the request; the kernel takes 32 bits. */
static inline int kvm_ioctl(int fd, unsigned int request, const void *arg)
{
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

static inline int kvm_ioctl_n(int fd, unsigned int request, unsigned long arg)
{
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

/**
 * vm_init - create an empty machine
 * @kvm_fd: /dev/kvm, must stay open as long as @vm
 *
 * Checks the API version and that KVM is young enough.
 */
int vm_init(struct vm *vm, int kvm_fd, struct msb_err *err) MSB_MUST_CHECK;

void vm_deinit(struct vm *vm);

/** vm_has - value of KVM_CHECK_EXTENSION, 0 when missing */
int vm_has(const struct vm *vm, unsigned int cap);

/** vm_add_ram - host memory becomes guest RAM; it must stay mapped as long as the machine runs */
int vm_add_ram(struct vm *vm, uint64_t gpa, uint64_t size, void *hva, struct msb_err *err)
	MSB_MUST_CHECK;

/** vm_irqfd - a write to @eventfd is an edge on interrupt line @gsi; the eventfd stays the caller's
 */
int vm_irqfd(struct vm *vm, int eventfd, uint32_t gsi) MSB_MUST_CHECK;

/** vm_ioeventfd - a 4-byte guest write to @gpa signals @eventfd instead of leaving KVM */
int vm_ioeventfd(struct vm *vm, int eventfd, uint64_t gpa) MSB_MUST_CHECK;
