/* SPDX-License-Identifier: Apache-2.0 */
/* --root-disk: where a guest's changes to its root file system go. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "sandbox/spec.h"

struct run_root_disk {
	bool given;
	struct sandbox_root_disk disk;
	char *path; /* owned, as given; resolved by run_root_disk_apply() */
	char *real; /* owned */
};

/** run_parse_root_disk - SIZE, tmpfs[:SIZE] or PATH into the struct run_root_disk @target */
int run_parse_root_disk(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/**
 * run_root_disk_apply - put it into @spec, whose image is known
 *
 * Without the option an image of the store, and every sandbox that outlives a stop, gets
 * ROOT_DISK_DEFAULT_BYTES on disk; other images keep changes in the guest's memory.
 */
int run_root_disk_apply(struct run_root_disk *d, struct sandbox_spec *spec, struct msb_err *err)
	MSB_MUST_CHECK;
void run_root_disk_deinit(struct run_root_disk *d);
