/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 side of the machine: address map, interrupt controllers, processors, port I/O.
 *
 * What exists beside virtio: PIC, I/O APIC and local APICs inside KVM, and two write-only ports.
 * There is no timer chip (guests use the local APIC's TSC deadline and the KVM clock), no RTC, no
 * keyboard controller except for its reset line, no PCI. All other ports read as ones, as on a bus
 * where nobody answers, and swallow writes.
 */
#include <linux/kvm.h>

#include "base/base.h"

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/layout.h"

enum {
	/* Writing 0xfe pulses the reset line: how kernels reboot when nothing better is there. */
	PORT_KEYBOARD = 0x64,
	KEYBOARD_RESET = 0xfe,
	/* Ours: a write of POWER_OFF ends the machine. */
	PORT_POWER = 0x5b0,
	POWER_OFF = 0x01,
};

#define CR0_PE	    0x1u
#define CR0_ET	    0x10u
#define RFLAGS_ONES 0x2u

enum {
	SEGMENT_CODE = 11, /* execute, read, accessed */
	SEGMENT_DATA = 3, /* read, write, accessed */
	SEGMENT_TSS_BUSY = 11, /* of 32 bits */
	TSS_LIMIT = 0x67,
};

#define MSR_IA32_MISC_ENABLE	0x1a0u
#define MISC_ENABLE_AS_WE_ARE	1u
#define MSR_MTRR_DEF_TYPE	0x2ffu
#define MTRR_ENABLED_WRITE_BACK 0x806u

const struct arch_devices arch_devices = {
	.mmio_gpa = MMIO_DEVICES_GPA,
	.mmio_size = MMIO_DEVICE_SIZE,
	.irq = IRQ_DEVICES_FIRST,
	.max = IOAPIC_PINS - IRQ_DEVICES_FIRST,
};

unsigned int arch_ram_layout(uint64_t size, struct arch_range ret[ARCH_RAM_RANGES_MAX])
{
	ret[0] = (struct arch_range){.gpa = 0, .size = MIN(size, (uint64_t)RAM_BELOW_GAP_END)};
	if (size <= RAM_BELOW_GAP_END)
		return 1;
	ret[1] = (struct arch_range){.gpa = RAM_ABOVE_GAP, .size = size - RAM_BELOW_GAP_END};
	return 2;
}

int arch_cmdline_device(char *to, size_t size, unsigned int n)
{
	size_t len = strlen(to);
	int put;

	assert(n < arch_devices.max);
	put = snprintf(to + len, size - len, " virtio_mmio.device=4K@0x%x:%u",
		MMIO_DEVICES_GPA + n * MMIO_DEVICE_SIZE, IRQ_DEVICES_FIRST + n);
	if (put < 0 || (size_t)put >= size - len) {
		to[len] = '\0';
		return -ENAMETOOLONG;
	}
	return 0;
}

int arch_vm_init(struct vm *vm, struct msb_err *err)
{
	/* Matters to Intel processors only and is accepted everywhere. The other page they need is
	 * at KVM_IDENTITY_GPA by default. */
	if (kvm_ioctl_n(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_GPA) < 0)
		return msb_err_errno(err, -errno, "KVM does not take the address map");
	if (kvm_ioctl_n(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return msb_err_errno(err, -errno, "KVM cannot create the interrupt controllers");
	return 0;
}

static int get_cpuid(
	const struct vm *vm, unsigned int vcpus, struct cpuid_table *t, struct msb_err *err)
{
	t->nent = CPUID_ENTRIES_MAX;
	t->padding = 0;
	if (kvm_ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, t) < 0)
		return msb_err_errno(err, -errno, "KVM does not tell the processor's features");
	cpuid_apply_policy(t, vcpus, vm_has(vm, KVM_CAP_TSC_DEADLINE_TIMER) != 0);
	return 0;
}

/* What firmware would leave behind. Everything else is fine as KVM resets it. */
static int set_msrs(const struct vcpu *v, bool intel)
{
	struct {
		uint32_t n;
		uint32_t pad;
		struct kvm_msr_entry entries[2];
	} msrs = {
		.n = intel ? 2 : 1,
		.entries = {{.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK},
			{.index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_AS_WE_ARE}},
	};
	int done;

	_Static_assert(offsetof(typeof(msrs), entries) == offsetof(struct kvm_msrs, entries),
		"laid out as KVM wants it");
	done = kvm_ioctl(v->fd, KVM_SET_MSRS, &msrs);

	if (done < 0)
		return -errno;
	return (uint32_t)done == msrs.n ? 0 : -EOPNOTSUPP;
}

/* Entry state of the PVH boot protocol: 32-bit protected mode, flat segments, paging off. */
static int set_entry(const struct vcpu *v, const struct arch_entry *entry)
{
	static const struct kvm_segment code = {.limit = UINT32_MAX,
		.selector = 8,
		.type = SEGMENT_CODE,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1};
	static const struct kvm_segment data = {.limit = UINT32_MAX,
		.selector = 16,
		.type = SEGMENT_DATA,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1};
	static const struct kvm_segment tss = {
		.limit = TSS_LIMIT, .selector = 24, .type = SEGMENT_TSS_BUSY, .present = 1};
	struct kvm_regs regs = {.rip = entry->ip, .rbx = entry->info_gpa, .rflags = RFLAGS_ONES};
	struct kvm_sregs sregs;

	if (kvm_ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = tss;
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr4 = 0;
	if (kvm_ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 ||
		kvm_ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

int arch_vcpus_init(struct vm *vm, struct vcpu *vcpus, unsigned int n,
	const struct arch_entry *entry, struct msb_err *err)
{
	struct cpuid_table cpuid;
	bool intel;
	int r;

	r = get_cpuid(vm, n, &cpuid, err);
	if (r < 0)
		return r;
	intel = cpuid_is_intel(&cpuid);
	for (unsigned int i = 0; i < n; i++) {
		cpuid_set_apic_id(&cpuid, i);
		if (kvm_ioctl(vcpus[i].fd, KVM_SET_CPUID2, &cpuid) < 0)
			return msb_err_errno(
				err, -errno, "KVM does not take the features of vCPU %u", i);
		r = set_msrs(&vcpus[i], intel);
		if (r < 0)
			return msb_err_errno(err, r, "KVM does not take the MSRs of vCPU %u", i);
	}
	/* The others wait for INIT and SIPI inside KVM. */
	r = set_entry(&vcpus[0], entry);
	if (r < 0)
		return msb_err_errno(err, r, "KVM does not take the entry state");
	return 0;
}

static enum vcpu_verdict serve_port_write(struct vcpu *v, uint16_t port, uint8_t value)
{
	if (port == PORT_KEYBOARD && value == KEYBOARD_RESET)
		return vcpu_fail(v, VCPU_POWEROFF, "reset by the keyboard controller");
	if (port == PORT_POWER && value == POWER_OFF)
		return vcpu_fail(v, VCPU_POWEROFF, "power-off port");
	if (port != PORT_KEYBOARD && port != PORT_POWER)
		vcpu_count(&v->stats.unclaimed);
	return VCPU_CONTINUE;
}

static enum vcpu_verdict serve_pio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t at = run->io.data_offset;
	size_t len = (size_t)run->io.size * run->io.count;
	uint8_t *data = (uint8_t *)run + at;

	vcpu_count(&v->stats.pio);
	if (at > v->group->vm->run_size || len > v->group->vm->run_size - at)
		return vcpu_fail(v, VCPU_HOST_FAULT, "KVM reports data outside of its mapping");
	if (run->io.direction == KVM_EXIT_IO_IN) {
		memset(data, 0xff, len);
		vcpu_count(&v->stats.unclaimed);
		return VCPU_CONTINUE;
	}
	return serve_port_write(v, run->io.port, data[0]);
}

enum vcpu_verdict arch_vcpu_exit(struct vcpu *v)
{
	if (v->run->exit_reason == KVM_EXIT_IO)
		return serve_pio(v);
	return vcpu_fail(v, VCPU_HOST_FAULT, "unexpected KVM exit %u", v->run->exit_reason);
}
