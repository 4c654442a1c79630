/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by conf-load.c (files to one tree) and what makes options of the tree (conf-fields.h). */
#pragma once

#include "base/yaml.h"

#include "lib/conf.h"

extern const char *const conf_groups[CONF_SCOPES]; /* keys of the root; CONF_ROOT: NULL */

/** conf_load - one tree of all files, each as what it is at the root; its nodes live in @c->docs */
int conf_load(struct run_conf *c, struct yaml **ret, struct msb_err *err) MSB_MUST_CHECK;

/** conf_read - one file more, for what a field names */
int conf_read(struct run_conf *c, const char *path, struct yaml **ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** conf_keep - a text that lives as long as @c; NULL without memory */
const char *conf_keep(struct run_conf *c, const char *text, size_t len);

/** conf_path - @word as a path here: relative ones count from the directory of @y's file */
int conf_path(struct run_conf *c, const struct yaml *y, const char *word, const char **ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** conf_error - FILE:LINE:COLUMN: and a message; -EINVAL */
int conf_error(const struct yaml *y, struct msb_err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
