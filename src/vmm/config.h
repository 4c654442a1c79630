/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-vmm is told at start, and what it tells back.
 *
 * msb-vmm is started with inherited descriptors only. VMM_FD_CONTROL is a SOCK_SEQPACKET socket;
 * its first message is one struct vmm_config, sent before the process is spawned. The fds named in
 * the config are open at the given numbers. After that the VMM sends struct vmm_event messages and
 * takes struct vmm_command; when the supervisor closes its end, or sends anything else, the VMM
 * exits. All fields are validated by vmm_config_check().
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/jail.h"

enum { VMM_CONFIG_MAGIC = 0x31764d4d, VMM_FD_CONTROL = 3 };

/* A disk is put together from extents. The extents of the first disk come first in the list. */
struct vmm_disk {
	uint32_t read_only;
	uint32_t unsafe; /* flushes do nothing */
	uint32_t n_extents; /* at least one; exactly one unless read-only */
};

struct vmm_extent {
	int32_t fd;
	uint32_t reserved; /* 0 */
	uint64_t offset; /* in the file, in bytes */
	uint64_t len; /* multiple of 512; 0 in a disk of one extent: up to the end of the file */
};

/* A shared directory: a socket to its process, see proto/fslink.h. */
struct vmm_share {
	int32_t fd;
	char tag[36]; /* NUL-terminated */
};

/* The network: a socket to msb-net, see proto/netframe.h. */
struct vmm_net {
	int32_t fd; /* -1: none */
	uint8_t mac[6];
	uint8_t reserved[2]; /* 0 */
};

struct vmm_config {
	uint32_t magic;
	uint32_t size; /* of the message: vmm_config_size() */
	uint32_t vcpus;
	uint32_t mem_mib;
	uint32_t balloon_mib; /* of mem_mib, that the guest gives back as soon as it can */
	int32_t kvm_fd; /* /dev/kvm */
	int32_t kernel_fd; /* vmlinux, ELF with a PVH note */
	int32_t initramfs_fd; /* -1: none */
	int32_t channel_fd; /* stream socket: bytes of the agent channel port */
	int32_t log_fd; /* write end: bytes of the console port; never blocks the guest */
	int32_t cgroup_fd; /* unused by the VMM itself, -1 */
	uint32_t n_disks;
	struct vmm_disk disks[LIMIT_DISKS];
	char cmdline[LIMIT_CMDLINE]; /* NUL-terminated; device discovery is appended by the VMM */
	uint32_t n_shares;
	struct vmm_share shares[LIMIT_SHARES];
	struct vmm_net net;
	int32_t vsock_fd; /* a socket to msb-vsock, see proto/vsocklink.h; -1: none */
	uint32_t n_extents; /* of all disks */
	struct vmm_extent extents[LIMIT_EXTENTS]; /* the message ends with the last one in use */
};

enum vmm_event_type {
	VMM_EV_CREATED = 1, /* machine built, about to lock the door (seccomp) */
	VMM_EV_RUNNING, /* first KVM_RUN */
	VMM_EV_EXIT, /* last message; reason below */
	VMM_EV_FAILED, /* start-up failed: text says why; last message */
	VMM_EV_BALLOON, /* @value MiB are given back: after each VMM_CMD_BALLOON, then with progress
			 */
};

enum vmm_command_type {
	VMM_CMD_BALLOON = 1, /* @value MiB are to be given back, less than all */
};

struct vmm_command {
	uint32_t type;
	uint32_t value;
};

enum vmm_exit_reason {
	VMM_EXIT_POWEROFF = 1, /* by a device register, or its agent closed the channel */
	/*
	 * Triple fault: how a kernel without ACPI reboots, and with `reboot=t panic=-1` also how it
	 * panics. The VMM cannot tell; the supervisor can, by the agent's goodbye on the channel.
	 */
	VMM_EXIT_SHUTDOWN,
	VMM_EXIT_STOPPED, /* the supervisor closed the control socket or asked */
	VMM_EXIT_GUEST_FAULT, /* the guest did something the machine does not have */
	VMM_EXIT_HOST_FAULT, /* the host failed us (KVM error, memory) */
};

struct vmm_event {
	uint32_t type;
	uint32_t reason; /* enum vmm_exit_reason */
	int32_t errno_;
	uint32_t jail_level; /* VMM_EV_RUNNING: bit set of VMM_JAIL_* reached */
	uint32_t value;
	uint32_t reserved; /* 0 */
	uint64_t mono_ns;
	char text[256]; /* NUL-terminated */
};

/* What of base/jail.h was reached, and one more. */
enum vmm_jail_bits {
	VMM_JAIL_SECCOMP = JAIL_SECCOMP,
	VMM_JAIL_LANDLOCK = JAIL_LANDLOCK,
	VMM_JAIL_USERNS = JAIL_USERNS,
	VMM_JAIL_MOUNTNS = JAIL_MOUNTNS,
	VMM_JAIL_NETNS = JAIL_NETNS,
	VMM_JAIL_PIDNS = JAIL_PIDNS,
	VMM_JAIL_NOCAPS = JAIL_NOCAPS,
	VMM_JAIL_CGROUP = 1u << 7,
};

/** vmm_config_size - bytes of the message for @n_extents extents, at most LIMIT_EXTENTS */
static inline size_t vmm_config_size(uint32_t n_extents)
{
	return offsetof(struct vmm_config, extents) + n_extents * sizeof(struct vmm_extent);
}

/** vmm_config_check - is @c complete and within all limits? 0, or -EINVAL with the reason */
int vmm_config_check(const struct vmm_config *c, struct msb_err *err) MSB_MUST_CHECK;
