/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandbox is: the one description that goes from the CLI to the supervisor and to disk.
 *
 * The CLI has resolved everything a person may write (image names, relative paths, units); the
 * spec holds absolute paths and plain numbers. Strings are borrowed: they live in the caller's
 * memory, or, for a spec read from JSON, in the spec's own storage until sandbox_spec_deinit().
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/log.h"

#include "engine/engine.h"
#include "net/dns/config.h"
#include "net/intercept/settings.h"
#include "net/limit.h"
#include "net/policy/policy.h"
#include "net/pool.h"
#include "net/port.h"
#include "net/proxy.h"
#include "net/secrets/settings.h"
#include "proto/msg.h"
#include "sandbox/share.h"
#include "vsock/route.h"

enum { SANDBOX_SPEC_VERSION = 1 };

/* What the user named as the image; decides nothing but messages and listings. */
enum sandbox_image_kind {
	IMAGE_BASE = 0, /* the embedded image of the installation */
	IMAGE_EROFS, /* an EROFS file */
	IMAGE_DISK, /* a raw disk image */
	IMAGE_DIRECTORY, /* a directory, packed by the CLI */
	IMAGE_OCI, /* an image of the store, found by image_digest at every start */
};

struct sandbox_label {
	const char *name;
	const char *value; /* may be "" */
};

/* A program in /.msb/scripts of the guest. */
struct sandbox_script {
	const char *name; /* sandbox_script_name_check() */
	const char *body; /* UTF-8 */
};

/* Where the guest's changes to its root file system go. */
enum sandbox_upper_kind {
	UPPER_TMPFS = 0, /* its memory; gone when it ends */
	UPPER_DISK, /* an ext4 file system of ours, in the sandbox's directory */
	UPPER_FILE, /* a file system on a raw disk image of the user's */
	UPPER_FLAT, /* as UPPER_DISK, but it holds a copy of the image and is the root itself */
};

/* For ROOT_OVERLAY only: with ROOT_DISK the image itself is written. */
struct sandbox_root_disk {
	enum sandbox_upper_kind kind;
	uint64_t size_bytes; /* UPPER_TMPFS: 0 is half of the memory; UPPER_FILE: 0 */
	const char *path; /* UPPER_FILE: absolute path; otherwise "" */
};

#define ROOT_DISK_DEFAULT_BYTES (4 * GIB) /* of an image of the store */

struct sandbox_net {
	const struct policy *policy; /* NULL: no network, no device */
	uint32_t max_connections; /* 0: the default */
	struct net_limits limits;
	struct net_pools pools;
	struct net_proxy proxy; /* its password only on the way to the supervisor */
	struct dns_settings dns;
	struct tls_settings tls;
	bool trust_host_cas; /* the guest trusts whom the host trusts */
	struct net_ports ports;
	struct secret_settings secrets; /* without any, .tls may be off */
};

struct sandbox_spec {
	const char *name;
	bool ephemeral; /* leaves no directory */
	bool detached; /* does not end with its owner */
	/* The owner works on the guest's files before anybody else is served, until
	 * sandbox_prepared(). If it goes away before, the sandbox was never made. Not stored. */
	bool prepare;
	bool orphan; /* its supervisor is no child of whoever starts it; not part of the JSON */
	uint64_t created_ns; /* CLOCK_REALTIME */
	enum engine_kind engine;

	enum sandbox_image_kind image_kind;
	const char *image; /* as the user wrote it, for people */
	const char *image_digest; /* IMAGE_OCI: digest of its manifest in the store; otherwise "" */
	const char *image_path; /* file of the root device; "" when given as a descriptor, or
				   IMAGE_OCI */
	enum msg_root_kind root_kind; /* ROOT_DISK opens the file read-write */
	const char *root_fstype; /* "" probes */
	struct sandbox_root_disk root_disk;
	/* UPPER_DISK, UPPER_FLAT: directory and digest of the snapshot that the disk begins as a
	 * copy of; NULL or "": it begins empty */
	const char *snapshot;
	const char *snapshot_digest;

	uint32_t vcpus;
	uint32_t mem_mib;
	uint32_t max_vcpus; /* how far they can be changed while it runs; 0: no further */
	uint32_t max_mem_mib;

	const char *hostname; /* NULL or "": the name, cut to fit */
	const char *user; /* NULL or "": root */
	const char *workdir; /* NULL or "": / */
	const char *shell; /* NULL or "": /bin/sh; for the client, the guest is not told */
	const char *const *env; /* NAME=VALUE, NULL-terminated; NULL: none */
	const char *init; /* takes over as PID 1, a path or "auto"; NULL or "": none */
	const char *const *init_args; /* behind its name, NULL-terminated; NULL: none */
	const char *const *init_env; /* the same: NAME=VALUE for it alone */
	bool restricted; /* no process of the user administers the machine */
	uint32_t stop_signal; /* what asks the command to end, STOPSIGNAL of an image; 0: SIGTERM */
	uint32_t n_tmpfs;
	struct msg_tmpfs tmpfs[LIMIT_MOUNTS];
	uint32_t n_rlimits;
	struct msg_rlimit rlimits[LIMIT_RLIMITS];

	uint32_t n_shares;
	struct sandbox_share shares[LIMIT_SHARES];
	uint32_t n_disks; /* together with the shares at most LIMIT_SHARES */
	struct sandbox_disk disks[LIMIT_SHARES];

	struct sandbox_net net;
	struct vsock_routes vsocks; /* sockets of the host that the guest may reach */

	uint32_t n_labels;
	const struct sandbox_label *labels; /* names differ */

	uint32_t n_scripts;
	const struct sandbox_script *scripts; /* names differ */

	const char *const *command; /* main process: the sandbox ends with it; NULL: none */

	uint64_t max_duration_ns; /* 0: none */
	uint64_t idle_timeout_ns; /* stop when nobody has used it for this long; 0: never */
	uint64_t boot_timeout_ns; /* 0: by engine */

	const char *home; /* $MSB_HOME */
	const char *lib_dir; /* msb-sandbox, msb-vmm, vmlinux, initramfs.cpio */
	const char *kernel_path; /* NULL or "": vmlinux of lib_dir */
	const char *qemu_path; /* NULL or "": searched */
	enum log_level log_level; /* above LOG_WARN the supervisor shares the caller's stderr */

	void *storage; /* private: owner of the strings of a spec read from JSON */
};

static inline uint32_t sandbox_spec_max_vcpus(const struct sandbox_spec *spec)
{
	return MAX(spec->max_vcpus, spec->vcpus);
}

static inline uint32_t sandbox_spec_max_mem_mib(const struct sandbox_spec *spec)
{
	return MAX(spec->max_mem_mib, spec->mem_mib);
}

/** sandbox_spec_init - empty description with the defaults: base image, 1 vCPU, 512 MiB, auto */
void sandbox_spec_init(struct sandbox_spec *spec);

/** sandbox_spec_deinit - frees what sandbox_spec_from_json() allocated; legal on any initialised
 * spec */
void sandbox_spec_deinit(struct sandbox_spec *spec);

/** sandbox_script_name_check - letters, digits, . _ -, neither . nor - first; 0 or -EINVAL */
int sandbox_script_name_check(const char *name) MSB_MUST_CHECK;

/** sandbox_spec_check - ranges, names and paths; the message of @err is fit for the user */
int sandbox_spec_check(const struct sandbox_spec *spec, struct msb_err *err) MSB_MUST_CHECK;

/** sandbox_spec_to_json - append the JSON text; -ENOBUFS or -ENOMEM */
int sandbox_spec_to_json(const struct sandbox_spec *spec, struct buf *out) MSB_MUST_CHECK;

/** sandbox_spec_to_json_secret - the same with what never goes to a disk */
int sandbox_spec_to_json_secret(const struct sandbox_spec *spec, struct buf *out) MSB_MUST_CHECK;

/** sandbox_spec_from_json - strict: unknown members, wrong types and bad values are errors */
int sandbox_spec_from_json(
	const char *text, size_t len, struct sandbox_spec *ret, struct msb_err *err) MSB_MUST_CHECK;
