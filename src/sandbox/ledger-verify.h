/* SPDX-License-Identifier: Apache-2.0 */
/* Is the ledger of a sandbox what was written? */
#pragma once

#include "sandbox/ledger.h"

struct ledger_verdict {
	bool broken;
	char file[32]; /* of the first broken line; "": the ledger as a whole */
	uint64_t line; /* in it, from 1 */
	char why[200]; /* with .broken */
	uint64_t lines; /* that are right, up to there */
	uint64_t first_seq; /* of the oldest line that is still there, 0: none */
	uint64_t lost; /* events of which the ledger says that they were lost */
	bool torn; /* the last line is half written: somebody was killed */
	bool ended; /* the last line is the end of a run */
	struct ledger_head last;
};

/**
 * ledger_verify - read all that is there, also while it is written
 *
 * Return: 0 with a verdict; -ENOENT when there is no ledger; another negative errno when it cannot
 * be read.
 */
int ledger_verify(int dir_fd, struct ledger_verdict *ret) MSB_MUST_CHECK;
