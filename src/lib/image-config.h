/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of an image of the store. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/config.h"

/**
 * image_config_load - that of the image with the manifest @digest
 * @ret: oci_config_deinit(), also after a failure
 */
int image_config_load(const char *home, const char *digest, struct oci_config *ret,
	struct msb_err *err) MSB_MUST_CHECK;
