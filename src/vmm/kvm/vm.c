/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine of KVM: see vm.h. */
#include "vmm/kvm/vm.h"

#include <linux/kvm.h>

int vm_has(const struct vm *vm, unsigned int cap)
{
	int r = kvm_ioctl_n(vm->kvm_fd, KVM_CHECK_EXTENSION, cap);

	return r > 0 ? r : 0;
}

static int vm_check_host(const struct vm *vm, struct msb_err *err)
{
	int version = kvm_ioctl_n(vm->kvm_fd, KVM_GET_API_VERSION, 0);

	if (version < 0)
		return msb_err_errno(err, -errno, "the KVM descriptor is not /dev/kvm");
	if (version != KVM_API_VERSION)
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"KVM of this host speaks version %d, not %d", version, KVM_API_VERSION);
	/* The youngest thing we rely on (4.13), and the one that fails silently. What else could be
	 * missing makes its own call fail. */
	if (!vm_has(vm, KVM_CAP_IMMEDIATE_EXIT))
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"KVM of this host is too old: no immediate exits");
	return 0;
}

int vm_init(struct vm *vm, int kvm_fd, struct msb_err *err)
{
	struct vm v = {.kvm_fd = kvm_fd, .fd = -EBADF};
	int size;
	int r;

	r = vm_check_host(&v, err);
	if (r < 0)
		return r;
	size = kvm_ioctl_n(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"KVM of this host has a strange vCPU mapping size (%d)", size);
	v.run_size = (size_t)size;
	/* A signal may interrupt the creation, which takes locks of the whole host. */
	do {
		v.fd = kvm_ioctl_n(kvm_fd, KVM_CREATE_VM, 0);
	} while (v.fd < 0 && errno == EINTR);
	if (v.fd < 0)
		return msb_err_errno(err, -errno, "KVM cannot create a virtual machine");
	*vm = v;
	return 0;
}

void vm_deinit(struct vm *vm)
{
	vm->fd = fd_close(vm->fd);
}

int vm_add_ram(struct vm *vm, uint64_t gpa, uint64_t size, void *hva, struct msb_err *err)
{
	struct kvm_userspace_memory_region region = {.slot = vm->n_slots,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva};

	if (kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return msb_err_errno(err, -errno,
			"KVM does not take %" PRIu64 " MiB of guest memory", size / MIB);
	vm->n_slots++;
	return 0;
}

int vm_irqfd(struct vm *vm, int eventfd, uint32_t gsi)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)eventfd, .gsi = gsi};

	return kvm_ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int vm_ioeventfd(struct vm *vm, int eventfd, uint64_t gpa)
{
	struct kvm_ioeventfd ioeventfd = {.addr = gpa, .len = 4, .fd = eventfd};

	return kvm_ioctl(vm->fd, KVM_IOEVENTFD, &ioeventfd) < 0 ? -errno : 0;
}
