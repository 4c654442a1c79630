/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image configurations: what an image says about running it, and about itself.
 *
 * OCI image spec 1.0 and Docker, which write the same members. The text comes from whoever made the
 * image: types, counts and sizes are checked, contents are not. Strings may hold anything but NUL
 * bytes, so quote them before they reach a terminal. What is here but unknown is no error: the
 * format has grown before.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/json.h"

enum { OCI_LIST_MAX = LIMIT_ARGV, OCI_HISTORY_MAX = 4096 };

struct oci_list {
	size_t n;
	const char **items; /* NULL when there are none */
};

struct oci_label {
	const char *name;
	const char *value;
};

struct oci_history {
	const char *created;
	const char *created_by;
	const char *comment;
	bool empty_layer;
};

/* Texts are never NULL: "" when the document does not have them. */
struct oci_config {
	const char *os;
	const char *architecture;
	const char *variant;
	const char *created; /* RFC 3339 */
	const char *author;

	const char *user;
	const char *workdir; /* as written; may be relative */
	const char *stop_signal; /* as written; may be none */
	struct oci_list entrypoint;
	struct oci_list cmd;
	struct oci_list env; /* should be NAME=VALUE */
	struct oci_list volumes;
	struct oci_list ports; /* "80/tcp" */
	size_t n_labels;
	struct oci_label *labels; /* names differ */
	const struct json *healthcheck; /* NULL if none; not acted on */

	size_t n_history;
	struct oci_history *history;

	struct json *doc; /* private: owner of the strings */
};

/**
 * oci_config_parse - read a configuration
 * @ret: oci_config_deinit(), also after a failure
 *
 * Return: 0, or -EBADMSG, -EINVAL (not the format), -E2BIG (over a cap), -ENOMEM.
 */
int oci_config_parse(const char *text, size_t len, struct oci_config *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** oci_config_deinit - legal on a zeroed struct, and twice */
void oci_config_deinit(struct oci_config *c);
