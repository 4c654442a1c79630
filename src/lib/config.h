/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's configuration: $MSB_HOME/config.json, or the file that MSB_CONFIG_PATH names.
 *
 *	{"sandbox_defaults": {"cpus": 2, ...}, "deployment_profile": "multi-tenant",
 *	 "registries": {"ca_certs": "FILE", "hosts": {"HOST": {...}, ...}}}
 *
 * sandbox_defaults	what msb run and msb create take where an option or its variable says
 *			nothing: cpus, memory_mib, engine, shell, workdir, root_disk,
 *			max_duration, idle_timeout; values as for the options
 * deployment_profile	multi-tenant: every sandbox is one tenant's among others (lib/tenant.h), no
 *			option can say otherwise; single-tenant: as if it were not there
 * registries.ca_certs	authorities in PEM form, beside those of the system
 * of each host:
 * insecure		needs no valid certificate and no TLS
 * mirrors		["[http[s]://]HOST[:PORT][/PREFIX]", ...], asked first, in order
 * ca_certs		authorities for this host only
 *
 * Hosts are those of image references, docker.io for short ones. Relative files are relative to the
 * configuration. What is not known or not supported is refused, so that a misspelt key is no silent
 * hole; only null and {} may stand anywhere.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"
#include "base/opt.h"

struct config {
	struct json *root; /* NULL: there is no file */
	char path[PATH_MAX];
};

/** config_load - read and check; no file is an empty configuration. @ret: config_deinit() */
int config_load(const char *home, struct config *ret, struct msb_err *err) MSB_MUST_CHECK;
void config_deinit(struct config *c);

/**
 * config_text - text of a key like "sandbox_defaults.cpus", NULL if it is not there
 * @number: holds the text of a number
 */
int config_text(const struct config *c, const char *key, char number[OPT_NUMBER], const char **ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** config_ca_certs - absolute path of registries.ca_certs, "" if there is none */
int config_ca_certs(const struct config *c, char ret[PATH_MAX], struct msb_err *err) MSB_MUST_CHECK;

/** config_put_hosts - member "hosts" of a request to msb-pull, none if nothing is configured */
int config_put_hosts(const struct config *c, struct json_out *out, struct msb_err *err)
	MSB_MUST_CHECK;
