/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of a machine: the image, and what the guest's changes to it go to.
 *
 * An image of the store is opened anew at every start, so that a sandbox which was stopped finds it
 * again; the store stays locked until the sandbox can be seen by whoever collects garbage. A root
 * disk of ours is a sparse file in the sandbox's directory, made when it is missing and grown when
 * the description says so. That of an ephemeral sandbox has no name: nothing can be left of it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "engine/engine.h"
#include "image/store/store.h"
#include "sandbox/spec.h"

struct sup_disks {
	struct store *store; /* IMAGE_OCI: open, hence locked */
	struct store_disk *image; /* IMAGE_OCI */
	struct engine_extent *extents; /* IMAGE_OCI: of the image */
	struct engine_extent whole; /* any other image, borrowed */
	struct engine_extent upper;
};

void sup_disks_init(struct sup_disks *d);
void sup_disks_close(struct sup_disks *d);

/**
 * sup_disks_open - open or make what @spec describes, and put it into @es
 * @dir_fd: the sandbox's directory
 * @whole_fd: the image if it is not one of the store, borrowed
 *
 * Context: @d must live until the machine was started.
 */
int sup_disks_open(struct sup_disks *d, const struct sandbox_spec *spec, int dir_fd, int whole_fd,
	struct engine_spec *es, struct msb_err *err) MSB_MUST_CHECK;
