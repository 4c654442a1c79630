/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of configuration files: what conf.c (the table), conf-values.c (kinds of values),
 * conf-fs.c and conf-net.c (fields of one group) have in common.
 */
#pragma once

#include "base/yaml.h"

#include "lib/conf.h"

struct create_args;

struct conf_ctx {
	struct run_conf *conf;
	struct create_args *args;
	struct opt_filler *filler;
	struct msb_err *err;
};

struct conf_field {
	const char *group; /* NULL: at the root */
	const char *key;
	int (*apply)(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
	const char *option;
};

/* Values; each says where in the file what it did not expect stands. */
int conf_unsupported(struct conf_ctx *c, const struct yaml *y);
int conf_text(struct conf_ctx *c, const struct yaml *y, const char **ret) MSB_MUST_CHECK;
int conf_bool(struct conf_ctx *c, const struct yaml *y, bool *ret) MSB_MUST_CHECK;
int conf_want(struct conf_ctx *c, const struct yaml *y, enum yaml_kind kind) MSB_MUST_CHECK;

/** conf_place - like conf_error(), in front of what the parser of an option has said; @r */
int conf_place(struct conf_ctx *c, const struct yaml *y, int r);

/** conf_option - @value for @option of the command line; NULL: one without a value */
int conf_option(struct conf_ctx *c, const struct yaml *y, const char *option, const char *value)
	MSB_MUST_CHECK;

/** conf_only - an error for each key of @map that is none of @keys */
int conf_only(struct conf_ctx *c, const struct yaml *map, const char *const *keys, size_t n)
	MSB_MUST_CHECK;

/** conf_make - printf() into what lives as long as the configuration */
int conf_make(struct conf_ctx *c, const struct yaml *y, const char **ret, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Fields: values of .apply. */
int conf_apply_option(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_flag(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_options(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_mounts(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_patches(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_patch_files(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_policy(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_rules(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_allow(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_dns(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
int conf_apply_secrets(struct conf_ctx *c, const struct yaml *map);
int conf_apply_tls(struct conf_ctx *c, const struct yaml *y, const struct conf_field *f);
