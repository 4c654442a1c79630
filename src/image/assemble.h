/* SPDX-License-Identifier: Apache-2.0 */
/* From layers that are in the store to an image that is. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/store/store.h"

/**
 * image_assemble - merge the layers of @image and publish it
 * @layer_program: absolute path of msb-layer
 * @image: complete; os and architecture are set to this host's and created_s to now
 */
int image_assemble(struct store *s, const char *layer_program, struct store_image *image,
	struct msb_err *err) MSB_MUST_CHECK;
