/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine asks of a processor architecture.
 *
 * Everything that differs between architectures is behind this header; exactly one directory below
 * arch/ implements it. Order of use: arch_ram_layout(), arch_vm_init(), arch_boot_load(), then
 * arch_vcpu_init() for each vCPU, all of it before the guest runs; arch_vcpu_exit() on vCPU threads
 * afterwards.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"
#include "vmm/mem.h"

/* Where devices lie: device n has the window at mmio_gpa + n * mmio_size and interrupt irq + n. */
struct arch_devices {
	uint64_t mmio_gpa;
	uint64_t mmio_size;
	uint32_t irq;
	uint32_t max;
};

extern const struct arch_devices arch_devices;

struct arch_range {
	uint64_t gpa;
	uint64_t size;
};

enum { ARCH_RAM_RANGES_MAX = 2 };

/* What to boot. The descriptors stay the caller's. */
struct arch_boot {
	int kernel_fd;
	int initramfs_fd; /* -1: none */
	const char *cmdline; /* complete */
	unsigned int vcpus;
};

/* Where the boot processor starts. */
struct arch_entry {
	uint64_t ip;
	uint64_t info_gpa;
};

/** arch_ram_layout - split @size bytes of RAM into address ranges; their number */
unsigned int arch_ram_layout(uint64_t size, struct arch_range ret[ARCH_RAM_RANGES_MAX]);

/** arch_vm_init - interrupt controllers and whatever has to exist before the first vCPU */
int arch_vm_init(struct vm *vm, struct msb_err *err) MSB_MUST_CHECK;

/** arch_boot_load - put kernel, initramfs, command line and boot tables into guest memory */
int arch_boot_load(const struct arch_boot *boot, struct gmem *mem, struct arch_entry *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** arch_vcpus_init - features and initial registers of all vCPUs; the first one starts at @entry */
int arch_vcpus_init(struct vm *vm, struct vcpu *vcpus, unsigned int n,
	const struct arch_entry *entry, struct msb_err *err) MSB_MUST_CHECK;

/**
 * arch_cmdline_device - append the announcement of device @n to a kernel command line
 * @to, @size: NUL-terminated text and the size of its buffer
 *
 * Return: 0 or -ENAMETOOLONG.
 */
int arch_cmdline_device(char *to, size_t size, unsigned int n) MSB_MUST_CHECK;

/**
 * arch_vcpu_exit - handle an exit that only this architecture has
 * Context: thread of @vcpu.
 */
enum vcpu_verdict arch_vcpu_exit(struct vcpu *vcpu);
