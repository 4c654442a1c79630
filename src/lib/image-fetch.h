/* SPDX-License-Identifier: Apache-2.0 */
/* The image of the store that a reference of `msb run` and `msb create` means. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "lib/image.h"
#include "lib/pull.h"

struct image_fetch_opts {
	const char *home;
	const char *lib_dir;
	enum pull_policy policy;
	bool insecure; /* the registry of the reference */
	const char *ca_file; /* NULL: that of the configuration, if any */
	bool quiet;
	const struct pull_watch *watch; /* may be NULL */
	struct pull_result *pulled; /* filled in when something was downloaded; may be NULL */
};

/**
 * image_fetch - the digest of @im's reference; downloads the image if the policy says so
 * @word: as the user wrote it
 *
 * On success the store is held open: nothing removes the image before image_release().
 */
int image_fetch(struct image *im, const char *word, const struct image_fetch_opts *opts,
	struct msb_err *err) MSB_MUST_CHECK;

/** image_release - the sandbox is up, from now on its description keeps the image */
void image_release(struct image *im);
