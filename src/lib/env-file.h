/* SPDX-License-Identifier: Apache-2.0 */
/* Files of --env-file: one NAME=VALUE a line, as docker reads them. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

enum { ENV_FILE_MAX = 1024 * 1024 };

/**
 * env_file_parse - append the variables of @text to @ret
 * @text: NUL-terminated, without NUL inside
 * @name: of the file, for messages
 * @ret: items are owned by the caller, also after a failure
 *
 * Empty lines and those that start with # mean nothing. A value is taken as it is, quotes and
 * trailing spaces included. NAME alone takes the host's value; if the host has none it is left out.
 */
int env_file_parse(const char *text, const char *name, struct opt_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * env_make - what --env-file and -e give together: -e wins over files, a later file over an earlier
 * @files, @given: as on the command line
 * @ret: NAME=VALUE, names differ, run_env_deinit()
 */
int env_make(const struct opt_list *files, const struct opt_list *given, struct opt_list *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** env_file_read - env_file_parse() of the file @path */
int env_file_read(const char *path, struct opt_list *ret, struct msb_err *err) MSB_MUST_CHECK;
