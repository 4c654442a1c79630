/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --volume and --mount-*: directories, files, volumes and disks of the host in the sandbox.
 *
 * The words are taken apart and checked when they are read; volumes that are missing are made
 * later, when nothing else can be wrong any more.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"

#include "sandbox/spec.h"
#include "sandbox/volume.h"

struct run_volume {
	char *text; /* owned: the words that the others point into */
	char *source; /* owned: absolute path; NULL: a volume */
	const char *volume;
	const char *path; /* in the guest */
	char *options; /* without those that describe the volume */
	bool disk; /* @source is an image of a disk */
	bool given_kind;
	enum volume_kind kind;
	bool given_size;
	uint64_t size_bytes;
};

struct run_volumes {
	uint32_t n;
	struct run_volume list[LIMIT_SHARES];
};

/* Each of them appends to the struct run_volumes @target. */

/** run_parse_volume - HOST:GUEST[:OPTION,...] or NAME:GUEST[:OPTION,...] */
int run_parse_volume(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_mount_dir(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_mount_file(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_mount_disk(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_mount_named(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** run_volumes_apply - put them into @spec, whose home is known; makes missing volumes */
int run_volumes_apply(const struct run_volumes *v, struct sandbox_spec *spec, struct msb_err *err)
	MSB_MUST_CHECK;
void run_volumes_deinit(struct run_volumes *v);
