/* SPDX-License-Identifier: Apache-2.0 */
/* Shares and mounted disks of a sandbox on their way to the machine and to its agent. */
#pragma once

#include "base/loop.h"

#include "engine/engine.h"
#include "sandbox/spec.h"

struct supervisor;

/* For the agent's configuration, which is written when the files are closed already. */
struct sup_share {
	char tag[16];
	bool is_file;
	char mount[64];
};

struct sup_disk_note {
	bool read_only;
	char device[16]; /* path in the guest */
	char fstype[16];
	char mount[64];
};

struct sup_shares {
	int fds[LIMIT_SHARES]; /* owned, until the machine runs */
	int usage_fds[LIMIT_SHARES]; /* the same */
	int disk_fds[LIMIT_SHARES]; /* the same */
	struct engine_extent disks[LIMIT_SHARES];
	char fs_path[PATH_MAX];
};

/* One process of msb-fs. */
struct sup_share_watch {
	struct loop_fd src;
	struct loop_timer patience; /* the machine has ended it and should end itself */
	struct supervisor *sup;
	uint32_t index;
};

void sup_shares_init(struct sup_shares *s);
void sup_shares_deinit(struct sup_shares *s);

/** sup_shares_open - open what the spec names and describe it in @es; the strings live in @sup and
 * @s. The disks of the root are in @es already */
int sup_shares_open(struct supervisor *sup, struct sup_shares *s, struct engine_spec *es,
	struct msb_err *err) MSB_MUST_CHECK;

/** sup_volumes_release - the machine is gone, others may have or remove the volumes */
void sup_volumes_release(struct supervisor *sup);

/** sup_shares_config - what the agent is told */
void sup_shares_config(const struct supervisor *sup, struct msg_config *m);

/** sup_shares_watch - from now on the death of msb-fs is the end of the sandbox */
int sup_shares_watch(struct supervisor *sup) MSB_MUST_CHECK;
void sup_shares_unwatch(struct supervisor *sup);
