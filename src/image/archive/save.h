/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving images of the store as an archive: what `docker load`, skopeo and `msb load` read.
 *
 * Layers are made again from their recipes, uncompressed, and each must have the digest that the
 * image's configuration names: the image keeps its configuration and so its ID. The archive depends
 * on nothing but the images and their names.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/archive/request.h"

/** save_run - write the archive to ARCHIVE_FD */
int save_run(const struct archive_request *req, const char *layer_program, struct msb_err *err)
	MSB_MUST_CHECK;
