/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the QEMU engine: descriptors, and the words that tell QEMU what to make of them.
 *
 * A disk that is one whole file is that file. A disk of extents is described by a VMDK descriptor
 * of ours, in memory, whose flat extents are the inherited descriptors: the only disk format of
 * QEMU that puts pieces of files together. No file of a user is ever parsed as VMDK.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/spawn.h"

#include "engine/engine.h"

struct qemu_disks {
	int first; /* number of the first descriptor in QEMU */
	unsigned int n_fds;
	int fds[LIMIT_EXTENTS + LIMIT_DISKS];
	bool owned[LIMIT_EXTENTS + LIMIT_DISKS];
	struct {
		unsigned int set; /* descriptor set of the file, or of the VMDK descriptor */
		bool vmdk;
		bool read_only;
		bool unsafe;
	} disks[LIMIT_DISKS];
	unsigned int n_disks;
};

/** qemu_disks_init - nothing yet; @first: number of the first descriptor in QEMU's process */
void qemu_disks_init(struct qemu_disks *q, int first);
void qemu_disks_deinit(struct qemu_disks *q);

/** qemu_disks_open - descriptors for the disks of @spec, which passed engine_check_spec() */
int qemu_disks_open(struct qemu_disks *q, const struct engine_spec *spec, struct msb_err *err)
	MSB_MUST_CHECK;

/** qemu_disks_args - call @add with each word of the command line */
void qemu_disks_args(
	const struct qemu_disks *q, void (*add)(void *arg, const char *word), void *arg);

/** qemu_disks_spawn - hand over the descriptors */
void qemu_disks_spawn(const struct qemu_disks *q, struct spawn *s);
