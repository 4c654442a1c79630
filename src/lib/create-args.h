/* SPDX-License-Identifier: Apache-2.0 */
/* A new sandbox in words: options as msb create has them, and what has been made of them. */
#pragma once

#include "base/base.h"
#include "base/opt.h"

#include "lib/conf.h"
#include "lib/net-args.h"
#include "lib/patch.h"
#include "lib/pull.h"
#include "lib/root-disk.h"
#include "lib/run-args.h"
#include "lib/script-args.h"
#include "lib/volume-args.h"
#include "lib/vsock-args.h"

/* Values of .security. */
enum { SECURITY_DEFAULT, SECURITY_RESTRICTED };

/* What .pull may be besides an enum pull_policy: another word for if-missing. */
enum { PULL_MISSING = PULL_NEVER + 1 };

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
	int pull; /* enum pull_policy, or PULL_MISSING */
	bool insecure; /* the registry of the image */
	const char *ca_certs;
	bool quiet;
	int security;
	int tenancy; /* index into tenant_profiles */
	int log_level; /* enum log_level */
};

/* Its options; OPT_ENDED of them. */
extern const struct opt create_opts[];

/* The image. */
extern const struct opt_operand create_operands[1];

/* What msb_create() is given: words, or what a command line has made of them already. */
struct msb_config {
	struct opt_list words;
	char *image; /* NULL: the default */
	char **command; /* NULL: none */
	/* NULL: @words count. What parsers have made in it is freed by msb_create(), which can be
	 * called once then */
	struct create_args *parsed;
};
