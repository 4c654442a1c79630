/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --conf and its kin: options of a new sandbox from YAML files.
 *
 * Files are laid over each other from left to right: maps merge, everything else replaces. What
 * comes of it fills the options that the command line leaves open; where both can count, as rules
 * do, those of the command line come first, and of two that say the same thing its own is taken.
 * ${NAME} in a value is a variable of msb's environment, which must exist; $${ is "${" itself.
 * Scripts are left alone. Relative paths count from the directory of the file that holds them.
 *
 * A field is known or an error; one whose feature does not exist here is an error that says so.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

enum { CONF_FILES_MAX = 32 };

enum conf_scope {
	CONF_ROOT,
	CONF_RESOURCES,
	CONF_RUNTIME,
	CONF_FS,
	CONF_NET,
	CONF_SECRETS,
	CONF_SCRIPTS,
	CONF_SCOPES
};

struct yaml_doc;

struct run_conf {
	uint32_t n;
	struct {
		enum conf_scope scope;
		const char *path;
	} files[CONF_FILES_MAX];
	/* Of them, after conf_fill(): */
	struct yaml_doc **docs; /* owned: they hold the texts */
	size_t n_docs;
	const char *image; /* NULL: not said */
	struct opt_list entrypoint;
	struct opt_list cmd;
};

/* Option values; each appends to the struct run_conf @target. */
int conf_parse_root(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int conf_parse_resources(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int conf_parse_runtime(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int conf_parse_fs(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int conf_parse_net(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int conf_parse_secrets(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int conf_parse_scripts(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** conf_fill - read the files and fill @args, a struct create_args; for struct opt_command */
int conf_fill(void *args, struct opt_filler *f, struct msb_err *err) MSB_MUST_CHECK;

void run_conf_deinit(struct run_conf *c);
