/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging layers: indexes in, one EROFS metadata image out, over the layers' data.
 *
 * The result is what applying the layers' archives one after the other to a directory would give:
 * later entries replace earlier ones, directories merge, whiteouts and opaque marks remove what
 * lower layers brought, a parent that is a symbolic link is followed inside the image and never out
 * of it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { MERGE_LAYERS_MAX = 512, MERGE_LINKS_MAX = 40 };

struct merge;

int merge_new(struct merge **ret) MSB_MUST_CHECK;
struct merge *merge_free(struct merge *m);
DEFINE_CLEANUP(struct merge *, merge_free);

/**
 * merge_layer - put the next layer on top
 * @index, @len: the whole index; must stay until merge_finish(), names and small contents are not
 * copied
 * @data_blocks: size of the layer's data in 4 KiB blocks
 */
int merge_layer(struct merge *m, const void *index, size_t len, uint64_t data_blocks,
	struct msb_err *err) MSB_MUST_CHECK;

/**
 * merge_finish - write the metadata
 *
 * The guest's disk is: block 0 of the file, the data of all layers in order, the rest of the file.
 */
int merge_finish(struct merge *m, int out_fd, struct msb_err *err) MSB_MUST_CHECK;
