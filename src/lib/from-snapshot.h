/* SPDX-License-Identifier: Apache-2.0 */
/* --from-snapshot: a new sandbox whose root disk begins as that of a snapshot. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/snapshot/snapshot.h"
#include "lib/image-fetch.h"
#include "lib/root-disk.h"

/**
 * from_snapshot_image - the snapshot @word, and the image that it needs
 * @s: snapshot_close(), also after a failure
 *
 * The image is downloaded, by its digest, if it is not here and the policy does not forbid that.
 */
int from_snapshot_image(const char *word, const struct image_fetch_opts *fo, struct snapshot *s,
	struct image *im, struct msb_err *err) MSB_MUST_CHECK;

/** from_snapshot_disk - the root disk of @spec; --root-disk SIZE may make it larger */
int from_snapshot_disk(const struct snapshot *s, const struct run_root_disk *wish,
	struct sandbox_spec *spec, struct msb_err *err) MSB_MUST_CHECK;
