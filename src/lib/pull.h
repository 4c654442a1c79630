/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from registries: starts msb-pull, passes on what it says, tells how it ended.
 *
 * Everything dangerous happens in msb-pull; here its words are read (pull-event.h). What was
 * downloaded until a pull was cancelled is continued by the next one.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"
#include "lib/cancel.h"
#include "lib/config.h"
#include "lib/pull-event.h"

enum pull_policy { PULL_ALWAYS, PULL_IF_MISSING, PULL_NEVER };

/* Who looks on while msb-pull works. Any of the functions may be NULL. */
struct pull_watch {
	int (*begin)(void *arg, const char *word, bool quiet, struct msb_err *err);
	int (*event)(void *arg, const struct pull_event *e, struct msb_err *err);
	/* Nothing more is to be read at the moment. */
	int (*idle)(void *arg, struct msb_err *err);
	/* After a successful begin(). */
	void (*end)(void *arg);
	void *arg;
	const struct cancel *cancel; /* looked at after begin(); may be NULL */
};

struct pull_opts {
	const char *home;
	const char *lib_dir;
	const struct config *config;
	enum pull_policy policy;
	bool insecure; /* the registry of the reference */
	const char *ca_file; /* NULL: that of the configuration, if any */
	bool quiet; /* no progress, but warnings */
	const struct pull_watch *watch; /* may be NULL */
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
 *
 * Return: 0, -ECANCELED when it was cancelled, or another negative errno.
 */
int pull_image(const struct pull_opts *opts, const char *word, const struct image_ref *ref,
	struct pull_result *ret, struct msb_err *err) MSB_MUST_CHECK;

/** pull_login - do these credentials open the registry @host? Stores nothing */
int pull_login(const struct pull_opts *opts, const char *host, const char *username,
	const char *password, struct msb_err *err) MSB_MUST_CHECK;
