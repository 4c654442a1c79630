/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new sandbox: from options, as msb create has them, and an image to a description that can be
 * started.
 *
 * create_init(), create_describe(), create_prepare(), then life_create() with what is in .spec,
 * .image and .preparation, or what else wants them; create_deinit() in any case.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "image/snapshot/snapshot.h"
#include "lib/conf.h"
#include "lib/from-snapshot.h"
#include "lib/image-fetch.h"
#include "lib/life.h"
#include "lib/net-args.h"
#include "lib/patch.h"
#include "lib/root-disk.h"
#include "lib/run-args.h"
#include "lib/run-config.h"
#include "lib/script-args.h"
#include "lib/volume-args.h"
#include "lib/vsock-args.h"
#include "sandbox/spec.h"
#include "sandbox/state.h"

struct create_args {
	const char *name;
	struct opt_list labels;
	bool replace;
	uint64_t replace_grace_ns;
	uint32_t mem_mib;
	uint32_t cpus;
	uint32_t max_cpus; /* 0: as cpus */
	uint32_t max_mem_mib;
	int engine;
	const char *kernel;
	struct opt_list env;
	struct opt_list env_files;
	const char *workdir;
	const char *user;
	const char *hostname;
	const char *shell;
	const char *init;
	struct opt_list init_args;
	struct opt_list init_env;
	const char *entrypoint;
	struct run_tmpfs tmpfs;
	struct run_volumes volumes;
	struct run_net net;
	struct vsock_routes vsocks;
	struct run_rlimits rlimits;
	struct run_scripts scripts;
	struct run_patches patches;
	struct run_conf conf;
	struct run_root_disk root_disk;
	const char *from_snapshot;
	uint64_t max_duration_ns;
	uint64_t idle_timeout_ns;
	int pull; /* index into pull_policies */
	bool insecure; /* the registry of the image */
	const char *ca_certs;
	bool quiet;
	int security; /* index into security_profiles */
	int tenancy; /* index into tenant_profiles */
	int log_level; /* enum log_level */
};

/* Its options; OPT_ENDED of them. */
extern const struct opt create_opts[];

struct create {
	struct create_args *args;
	bool main_command; /* the words behind the image are the sandbox's main process */
	const struct pull_watch *watch; /* may be NULL */
	struct pull_result pulled; /* .made: the image was downloaded */
	struct opt_list env; /* of the user */
	struct image image;
	struct snapshot snapshot; /* --from-snapshot */
	struct oci_config image_config;
	struct run_config config;
	struct sandbox_spec spec;
	struct sandbox_label *labels;
	char name[SANDBOX_NAME_GENERATED];
	char home[PATH_MAX]; /* "" before create_describe(): the default */
	char lib_dir[PATH_MAX]; /* the same */
	char kernel[PATH_MAX];
	struct policy policy;
	struct preparation preparation; /* for life_create(), with .spec.prepare */
	struct guest_fs patching; /* while it is carried out */
};

/** create_init - not to be moved afterwards; create_deinit() */
void create_init(struct create *c, struct create_args *args);

/** create_describe - all that needs no look at the image: mistakes in options come first
 * @words: the image, if one is given, and the command behind it
 */
int create_describe(struct create *c, const struct opt_words *words, struct msb_err *err)
	MSB_MUST_CHECK;

/** create_exists - is there a sandbox of that name that is to be used, running or not? */
bool create_exists(const struct create *c);

/** create_refuse_existing - -EEXIST (MSB_EXISTS) if there is */
int create_refuse_existing(const struct create *c, struct msb_err *err) MSB_MUST_CHECK;

/**
 * create_prepare - get the image, make missing volumes, end the sandbox that is to be replaced
 *
 * -ECANCELED when the download was cancelled. The image is kept until create_deinit() or
 * image_release().
 */
int create_prepare(struct create *c, const struct opt_words *words, struct msb_err *err)
	MSB_MUST_CHECK;
void create_deinit(struct create *c);
