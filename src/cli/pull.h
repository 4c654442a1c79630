/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from registries: starts msb-pull, shows what it does, tells how it ended.
 *
 * Everything dangerous happens in msb-pull; here its words are read (pull-event.h) and drawn
 * (progress.h) on stderr. An interrupt ends msb-pull and gives the terminal back as it was; what
 * was downloaded so far is continued by the next pull.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"
#include "lib/config.h"

enum pull_policy { PULL_ALWAYS, PULL_IF_MISSING, PULL_NEVER };

struct pull_opts {
	const char *home;
	const char *lib_dir;
	const struct config *config;
	enum pull_policy policy;
	bool insecure; /* the registry of the reference */
	const char *ca_file; /* NULL: that of the configuration, if any */
	bool quiet; /* no progress; warnings are shown */
};

struct pull_result {
	char digest[REF_DIGEST_LEN + 1];
	uint64_t layers;
	uint64_t downloaded_layers;
	uint64_t downloaded_bytes;
	bool made; /* an image was put together; unknown, false, when quiet */
	uint64_t took_ns;
};

/**
 * pull_image - bring @word into the store
 * @word: as the user wrote it, @ref is what it means
 * @ret_signal: signal that ended it, 0 if none; then the result is -EINTR without a message
 */
int pull_image(const struct pull_opts *opts, const char *word, const struct image_ref *ref,
	struct pull_result *ret, int *ret_signal, struct msb_err *err) MSB_MUST_CHECK;

/** pull_login - do these credentials open the registry @host? Stores nothing */
int pull_login(const struct pull_opts *opts, const char *host, const char *username,
	const char *password, int *ret_signal, struct msb_err *err) MSB_MUST_CHECK;
