/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about images and snapshots, for programs. */
#pragma once

#include "base/base.h"
#include "base/json.h"

#include "image/config.h"
#include "image/snapshot/snapshot.h"
#include "image/store/store.h"
#include "lib/images.h"

/* An image with its configuration. Zeroed: none; image_about_deinit(). */
struct image_about {
	struct image_entry entry;
	struct store_image image;
	struct oci_config config;
};

/** image_about_get - the one that @word means: a reference, or the beginning of a digest
 * @ret: zeroed; image_about_deinit(), also after a failure */
int image_about_get(const struct store *s, const char *word, struct image_about *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void image_about_deinit(struct image_about *a);

/** image_json_members - those that a list has, too */
void image_json_members(
	struct json_out *o, const struct image_entry *e, const struct store_image *image);
/** image_json - all as one object */
int image_json(const struct image_about *a, struct buf *out) MSB_MUST_CHECK;

/** snapshot_allocated - space that its disk takes on this host */
uint64_t snapshot_allocated(const struct snapshot *s);
void snapshot_json_members(struct json_out *o, const struct snapshot *s);
/** snapshot_json - @verified: its disk was compared with its digest */
int snapshot_json(const struct snapshot *s, bool verified, struct buf *out) MSB_MUST_CHECK;
