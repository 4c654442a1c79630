/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sandbox's machine: memory, processors, devices, and the wires between them.
 *
 * Built and torn down on the loop thread, which also runs all devices; see kvm/vcpu.h for the other
 * threads. A struct machine is static memory of main(): nothing is allocated after start.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

#include "vmm/arch/arch.h"
#include "vmm/bus.h"
#include "vmm/config.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"
#include "vmm/mem.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/fs.h"
#include "vmm/virtio/mmio.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"

enum { MACHINE_DEVICES_MAX = 5 + LIMIT_DISKS + LIMIT_SHARES };

struct machine {
	struct loop *loop;
	struct gmem mem;
	struct vm vm;
	struct bus mmio;

	struct vcpu_group group;
	struct vcpu vcpus[LIMIT_VCPUS];
	unsigned int n_vcpus;
	int end_fd; /* eventfd: a vCPU ended */
	struct loop_fd end_src;
	void (*on_end)(struct machine *m);
	void (*on_balloon)(struct machine *m, uint32_t mib); /* set before machine_build() */

	struct virtio_console console;
	bool channel_closed; /* the guest had opened it: the agent is gone */
	bool stopping; /* no vCPU runs any more */
	struct virtio_rng rng;
	struct virtio_balloon balloon;
	struct virtio_blk disks[LIMIT_DISKS];
	unsigned int n_disks;
	struct virtio_fs shares[LIMIT_SHARES];
	unsigned int n_shares;
	struct virtio_net net; /* without operations: none */
	struct virtio_vsock vsock; /* the same */
	struct blk_extent extents[LIMIT_EXTENTS]; /* of all disks */
	struct virtio_mmio transports[MACHINE_DEVICES_MAX]; /* in the order of their addresses */
	unsigned int n_transports;

	uint64_t disk_max; /* highest end of a disk in its file, in bytes */
};

/**
 * machine_build - everything short of running
 * @m: zeroed, but for on_balloon: called on the loop when the guest gave memory back or took it
 * @c: passed vmm_config_check(); its descriptors stay the caller's and open, those of KVM, kernel
 * and initramfs only during this call
 * @on_end: called on the loop when the guest or a vCPU ended, maybe more than once; machine_end()
 * tells how
 *
 * Return: 0, or a negative errno with nothing left behind.
 */
int machine_build(struct machine *m, const struct vmm_config *c, struct loop *loop,
	void (*on_end)(struct machine *m), struct msb_err *err) MSB_MUST_CHECK;

/**
 * machine_start - create the vCPU threads, each confined by @confine and waiting for machine_go()
 */
int machine_start(struct machine *m, int (*confine)(void), struct msb_err *err) MSB_MUST_CHECK;

/** machine_go - the guest runs */
void machine_go(struct machine *m);

/** machine_balloon - ask the guest to give @mib of its memory back, less than all; loop thread */
int machine_balloon(struct machine *m, uint32_t mib) MSB_MUST_CHECK;

/**
 * machine_stop - stop the vCPUs, then pass on what the guest said last
 * @patience_ns: give up on a reader that takes nothing of the guest's last bytes for so long;
 * loop_stop() ends the wait too
 *
 * A reader that is only slow gets everything: what is left is what the queues held.
 */
void machine_stop(struct machine *m, uint64_t patience_ns);

/** machine_end - how the guest ended; @text is static or inside @m */
enum vmm_exit_reason machine_end(const struct machine *m, const char **ret_text);

void machine_deinit(struct machine *m);
