/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in a sandbox, and how: the configuration of its image and the options of the user.
 *
 * The rules are Docker's. A command replaces the image's CMD and is given to its ENTRYPOINT;
 * another entry point also drops CMD, an empty one leaves none. Variables, user, working directory
 * and labels of the user win over the image's. If neither says what to run, the shell runs.
 *
 * PATH and HOME are not set here: only the guest knows its users.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "image/config.h"
#include "sandbox/spec.h"

/* What the user says; everything is borrowed. */
struct run_wish {
	const char *entrypoint; /* NULL: the image's, "": none */
	struct opt_list entry_words; /* the same in several words, without @entrypoint */
	const char *const *command;
	size_t n_command;
	const char *shell; /* NULL: /bin/sh */
	const char *user; /* NULL: the image's */
	const char *workdir; /* NULL: the image's */
	struct opt_list env; /* NAME=VALUE, names differ */
	const struct sandbox_label *labels; /* the last one of a name counts */
	size_t n_labels;
	bool scripts; /* /.msb/scripts is to be on PATH */
};

/* Strings are those of the image and the wish. */
struct run_config {
	struct opt_list argv; /* at least one */
	bool is_shell; /* nobody says what to run */
	struct opt_list env;
	char *path; /* PATH=..., one of @env; or NULL */
	const char *user; /* "" if nobody says */
	char workdir[LIMIT_PATH]; /* absolute, "" if nobody says */
	uint32_t stop_signal; /* 0: the usual one */
	struct sandbox_label *labels;
	size_t n_labels;
};

/**
 * run_config_merge - @image and @wish become one
 * @image: NULL for what is no image of the store
 * @ret: run_config_deinit(), also after a failure; @image and @wish must outlive it
 */
int run_config_merge(const struct oci_config *image, const struct run_wish *wish,
	struct run_config *ret, struct msb_err *err) MSB_MUST_CHECK;

void run_config_deinit(struct run_config *c);
