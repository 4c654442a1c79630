/* SPDX-License-Identifier: Apache-2.0 */
/* --script and its forms: programs that a sandbox finds on its PATH, below /.msb/scripts. */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"

#include "sandbox/spec.h"

struct run_scripts {
	uint32_t n;
	struct run_script {
		char *name; /* owned, as everything here */
		char *body;
		bool line; /* to be decoded and given to the shell */
	} list[LIMIT_SCRIPTS];
	struct sandbox_script made[LIMIT_SCRIPTS];
};

/* Option values; each appends to the struct run_scripts @target. */

/** run_parse_script - NAME=BODY if there is a '=' before any ':', otherwise NAME:PATH */
int run_parse_script(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
/** run_parse_script_raw - NAME=BODY, taken as it is */
int run_parse_script_raw(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
/** run_parse_script_path - NAME:PATH, a file of the host */
int run_parse_script_path(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/**
 * run_scripts_make - the whole texts in @s->made
 *
 * A body of --script becomes a file: \n \t \r \\ \" \' are decoded, the first line names @shell
 * (NULL: /bin/sh), the last one ends.
 */
int run_scripts_make(struct run_scripts *s, const char *shell, struct msb_err *err) MSB_MUST_CHECK;

void run_scripts_deinit(struct run_scripts *s);
