/* SPDX-License-Identifier: Apache-2.0 */
/* Options of secrets. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "net/secrets/settings.h"

struct run_secrets {
	struct secret_settings settings; /* strings are in .texts */
	char *texts[SECRETS_MAX *
		    (SECRET_HOSTS_MAX + 4)]; /* owned; overwritten before they are freed */
	uint32_t n_texts;
	int violation; /* enum secret_violation */
	uint32_t n_inject;
	struct {
		const char *name; /* of a secret, which may be named later */
		uint32_t inject;
	} inject[SECRETS_MAX];
};

/** run_parse_secret - ENV[=VALUE]@HOST[,HOST...]; a value is erased from @value, which is argv's */
int run_parse_secret(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** run_parse_inject - ENV=PART[,PART...] */
int run_parse_inject(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** run_secrets_apply - what the options come to; strings live as long as @s */
int run_secrets_apply(const struct run_secrets *s, struct secret_settings *ret, struct msb_err *err)
	MSB_MUST_CHECK;

void run_secrets_deinit(struct run_secrets *s);

/* Entries of a table of options; @T has a struct run_secrets as its member @M. */
#define RUN_SECRET_OPTS(T, M)                                                                    \
	{.name = "secret",                                                                       \
		.type = OPT_PARSE,                                                               \
		.offset = offsetof(T, M),                                                        \
		.group = "Network",                                                              \
		.parse = run_parse_secret,                                                       \
		.arg = "ENV[=VALUE]@HOST,...",                                                   \
		.repeatable = true,                                                              \
		.help = "Give the sandbox a placeholder as ENV; in its HTTPS requests to "       \
			"HOST (NAME, *.SUFFIX, *) it becomes the value of ENV here"},            \
		{.name = "secret-inject",                                                        \
			.type = OPT_PARSE,                                                       \
			.offset = offsetof(T, M),                                                \
			.group = "Network",                                                      \
			.parse = run_parse_inject,                                               \
			.arg = "ENV=PART,...",                                                   \
			.repeatable = true,                                                      \
			.help = "In which parts of requests it does: headers, basic (name and "  \
				"password in Authorization), query, body; headers,basic if not " \
				"said"},                                                         \
	{                                                                                        \
		.name = "on-secret-violation", .type = OPT_CHOICE,                               \
		.offset = offsetof(T, M.violation), .group = "Network", .arg = "ACTION",         \
		.choices = secret_violation_names, .def = "block-and-log",                       \
		.help = "What becomes of a request with a placeholder where no value may go"     \
	}
