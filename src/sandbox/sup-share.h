/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of a sandbox on their way to the machine and to its agent. */
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

struct sup_shares {
	int fds[LIMIT_SHARES]; /* owned, until the machine runs */
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

/** sup_shares_open - open what @spec names and describe it in @es; strings live in @s and @notes */
int sup_shares_open(struct sup_shares *s, const struct sandbox_spec *spec, struct engine_spec *es,
	struct sup_share *notes, struct msb_err *err) MSB_MUST_CHECK;

/** sup_shares_config - what the agent is told */
void sup_shares_config(
	const struct sandbox_spec *spec, const struct sup_share *notes, struct msg_config *m);

/** sup_shares_watch - from now on the death of msb-fs is the end of the sandbox */
int sup_shares_watch(struct supervisor *sup) MSB_MUST_CHECK;
void sup_shares_unwatch(struct supervisor *sup);
