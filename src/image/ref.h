/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image references by Docker's rules: [host[:port]/]path[:tag][@sha256:digest].
 *
 * `alpine` is docker.io/library/alpine:latest; the first component is a host when it has a dot or a
 * colon or is `localhost`. Everything is checked: what comes out is safe as a part of a URL and of
 * a file name.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { REF_HOST_MAX = 255, REF_PATH_MAX = 255, REF_TAG_MAX = 128, REF_DIGEST_LEN = 71 };

struct image_ref {
	char host[REF_HOST_MAX + 1]; /* with port */
	char path[REF_PATH_MAX + 1];
	char tag[REF_TAG_MAX + 1]; /* "" when only a digest was given */
	char digest[REF_DIGEST_LEN + 1]; /* "sha256:...", "" if none */
};

enum { REF_TEXT_MAX = REF_HOST_MAX + REF_PATH_MAX + REF_TAG_MAX + REF_DIGEST_LEN + 4 };

/** image_ref_parse - 0 or -EINVAL with a message for the user */
int image_ref_parse(const char *text, struct image_ref *ret, struct msb_err *err) MSB_MUST_CHECK;

/** image_ref_print - canonical text, with host and tag */
void image_ref_print(const struct image_ref *ref, char ret[REF_TEXT_MAX + 1]);

/** image_ref_short - as a person would type it: without docker.io/library/ and docker.io/ */
void image_ref_short(const struct image_ref *ref, char ret[REF_TEXT_MAX + 1]);

/** image_digest_check - "sha256:" and 64 lower-case hexadecimal digits */
bool image_digest_check(const char *digest);
