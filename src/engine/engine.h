/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines: how a virtual machine is started, told to stop, and watched. Two of them: `kvm`
 * (msb-vmm) and `qemu` (QEMU's microvm machine under TCG). The supervisor sees one process with a
 * byte channel to the agent and a stream of console bytes; everything else is the engine's
 * business.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/loop.h"

#include "engine/cgroup.h"
#include "fs/server.h"
#include "vsock/route.h"

enum engine_kind { ENGINE_AUTO = 0, ENGINE_KVM, ENGINE_QEMU };

/* A piece of a file. */
struct engine_extent {
	int fd; /* borrowed */
	uint64_t offset; /* in bytes */
	uint64_t len; /* multiple of 512; 0 in a disk of one extent: up to the end of the file */
};

/* Extents one after the other; one whole file if the guest may write. */
struct engine_disk {
	bool read_only;
	bool unsafe; /* nothing of it is needed after the machine: the guest's flushes mean nothing
		      */
	uint32_t n_extents;
	const struct engine_extent *extents; /* borrowed */
};

/* A directory or file of the host that a process of msb-fs serves. */
struct engine_share {
	int fd; /* borrowed; O_PATH will do */
	int usage_fd; /* borrowed: FS_FD_USAGE, with options.whole */
	const char *tag; /* what the guest mounts, at most 35 bytes */
	struct fs_options options;
};

/* The network that a process of msb-net is. */
struct engine_net {
	const char *path; /* of msb-net; NULL: no network, no device */
	int config_fd; /* borrowed: net/config.h, at its beginning */
	int events_fd; /* borrowed: takes the lines of net/events.h; negative: nobody hears them */
	const char *tls_path; /* of msb-tls; NULL: TLS is not intercepted */
	int tls_secrets_fd; /* borrowed: values, read by msb-tls alone; negative: none */
	int tls_control_fd; /* borrowed: other secrets later; negative: none */
	int tls_config_fd; /* borrowed: net/intercept/config.h, at its beginning */
	const int *port_fds; /* borrowed: NET_FD_PORTS and so on */
	uint32_t n_ports; /* at most LIMIT_PORTS */
	uint8_t mac[6]; /* of the guest */
};

/* Sockets of the host that the guest may reach, by processes of msb-vsock. */
struct engine_vsock {
	const char *path; /* of msb-vsock; NULL: none, no device */
	const struct vsock_routes *routes; /* borrowed */
};

enum {
	ENGINE_NET_HELPERS = 2,
	ENGINE_VSOCK_HELPERS = 2,
	ENGINE_HELPERS_MAX = LIMIT_SHARES + ENGINE_NET_HELPERS + ENGINE_VSOCK_HELPERS,
};

struct engine_helper {
	const char *name; /* of the program */
	pid_t pid; /* -1: reaped */
	int pidfd;
};

struct engine_spec {
	uint32_t vcpus; /* online when the guest starts */
	uint32_t mem_mib; /* what the guest is to make do with */
	/*
	 * What the machine has, 0: no more than that. The guest's kernel leaves the other
	 * processors off (maxcpus=) and gives the other memory back (balloon). That is its own
	 * doing: this is what a hostile guest has.
	 */
	uint32_t max_vcpus;
	uint32_t max_mem_mib;
	int kernel_fd; /* borrowed */
	int initramfs_fd; /* borrowed, -1: none */
	uint32_t n_disks;
	struct engine_disk disks[LIMIT_DISKS];
	uint32_t n_shares;
	struct engine_share shares[LIMIT_SHARES];
	const char *fs_path; /* path of msb-fs, when there are shares */
	struct engine_net net;
	struct engine_vsock vsock;
	const char *cmdline_extra; /* appended to the engine's kernel command line, may be "" */
	const char *vmm_path; /* kvm: path of msb-vmm; qemu: path of the QEMU binary or NULL to
				 search */
};

enum engine_exit {
	ENGINE_EXIT_POWEROFF,
	ENGINE_EXIT_PANIC,
	ENGINE_EXIT_STOPPED,
	ENGINE_EXIT_FAILED
};

struct engine_vm {
	const struct engine_ops *ops;
	pid_t pid;
	int pidfd; /* owned: readable when the process has ended */
	int channel_fd; /* owned, non-blocking: agent channel bytes */
	int console_fd; /* owned, non-blocking, read end: guest console bytes */
	int control_fd; /* owned: engine-specific */
	int stderr_fd; /* owned: what the process says about itself; reaped() looks for the reason
			  of a failure there */
	uint32_t n_helpers;
	/* Owned: msb-fs of the share of that index, then msb-net, msb-tls and msb-vsock; they end
	 * with the machine. */
	struct engine_helper helpers[ENGINE_HELPERS_MAX];
	struct cgroup cgroup; /* owned, usually none: bounds of the process */
	void *priv; /* the engine's own state, freed by engine_vm_deinit() */
	uint64_t spawned_ns;
	uint64_t created_ns; /* 0 where the engine does not know */
	uint64_t first_run_ns; /* 0 where the engine does not know */
	uint32_t jail_level;
	uint32_t max_mem_mib; /* of the machine */
	uint32_t mem_mib; /* of it, the guest has not given back, as far as is known */
	enum engine_exit exit;
	struct msb_err exit_err; /* why, when exit is ENGINE_EXIT_FAILED */
};

struct engine_ops {
	const char *name;
	/* Spawns the process; on success every fd of @ret is set. Nothing is left behind on
	 * failure. */
	int (*start)(const struct engine_spec *spec, struct engine_vm *ret, struct msb_err *err);
	/*
	 * control_fd is readable: take in events. Return: 0; -ENODATA when the process closed it
	 * (stop watching); another negative errno when the process broke the protocol: it was
	 * killed.
	 */
	int (*control)(struct engine_vm *vm);
	/*
	 * The guest is to make do with @mem_mib, from 1 to vm->max_mem_mib. vm->mem_mib follows, in
	 * control(), if the guest does as it is told. Return: 0 or a negative errno, -EOPNOTSUPP
	 * when the machine was made without a device for that.
	 */
	int (*resize)(struct engine_vm *vm, uint32_t mem_mib);
	/* End the machine now, without the guest's help. The process ends soon after. */
	void (*kill)(struct engine_vm *vm);
	/* The process was reaped with wait status @status: decide vm->exit. */
	void (*reaped)(struct engine_vm *vm, int status);
};

static inline uint32_t engine_max_vcpus(const struct engine_spec *spec)
{
	return MAX(spec->max_vcpus, spec->vcpus);
}

static inline uint32_t engine_max_mem_mib(const struct engine_spec *spec)
{
	return MAX(spec->max_mem_mib, spec->mem_mib);
}

extern const struct engine_ops engine_kvm;
extern const struct engine_ops engine_qemu;

/** engine_vm_deinit - close every fd, remove the cgroup; the process must have been reaped */
void engine_vm_deinit(struct engine_vm *vm);

/**
 * engine_helper_ended - vm->helpers[@i].pidfd is readable: reap the process
 *
 * Without it the guest waits for answers that never come, or gets errors; what follows is the
 * caller's decision. Return: 0: its peer, the machine, had ended it; -EAGAIN: it has not ended;
 * another negative errno with the reason in @err.
 */
int engine_helper_ended(struct engine_vm *vm, uint32_t i, struct msb_err *err) MSB_MUST_CHECK;

/** engine_kind_parse - "auto", "kvm", "qemu"; -EINVAL otherwise */
int engine_kind_parse(const char *s, enum engine_kind *ret) MSB_MUST_CHECK;

/* Verdict on KVM of this host; see probe.c for what is tried. */
enum probe_verdict {
	PROBE_OK = 0,
	PROBE_ABSENT, /* no /dev/kvm */
	PROBE_DENIED, /* no permission */
	PROBE_TOO_OLD, /* a needed capability is missing */
	PROBE_EMULATED, /* guest kernel code runs, but orders of magnitude too slowly */
	PROBE_BROKEN, /* guest code does not run correctly */
};

struct probe_result {
	enum probe_verdict verdict;
	uint64_t insn_ps; /* picoseconds per guest instruction, 0 if not measured */
	char detail[160]; /* one line */
	char hint[200]; /* how to fix it, may be "" */
};

/**
 * engine_probe_kvm - can this host run our guests on KVM?
 * @cache_path: file with the verdict of this boot, NULL to probe afresh
 *
 * Runs real guest code. Never fails: everything that goes wrong is a verdict.
 */
void engine_probe_kvm(const char *cache_path, struct probe_result *ret);

/**
 * engine_choose - the ops for @kind
 * @ret_probe: may be NULL; says why AUTO did not take KVM
 *
 * AUTO takes KVM where it works; KVM where it does not is an error that says why.
 */
int engine_choose(enum engine_kind kind, const char *cache_path, const struct engine_ops **ret,
	struct probe_result *ret_probe, struct msb_err *err) MSB_MUST_CHECK;

/** engine_find_qemu - path of the QEMU binary that engine_qemu would start; the error says how to
 * install it */
int engine_find_qemu(char *to, size_t size, struct msb_err *err) MSB_MUST_CHECK;
