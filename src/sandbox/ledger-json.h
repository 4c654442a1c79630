/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the ledger without their hash: one closed JSON object less its last brace. */
#pragma once

#include "net/event-msg.h"

enum { LEDGER_LINE = 8192 }; /* of any line, with its hash and newline */

/* All of them replace what is in @out. Return: 0 or a negative errno. */

/** ledger_json_file - the first line of file @number, behind a line with @prev */
int ledger_json_file(struct buf *out, uint64_t number, uint64_t seq, uint64_t real_ns,
	const char *prev) MSB_MUST_CHECK;

int ledger_json_event(struct buf *out, uint64_t seq, uint64_t real_ns, const struct net_event *e)
	MSB_MUST_CHECK;

/** ledger_json_lost - @n events since @since_ns could not be written, because of @error */
int ledger_json_lost(struct buf *out, uint64_t seq, uint64_t real_ns, uint64_t n, uint64_t since_ns,
	int error) MSB_MUST_CHECK;

/** ledger_json_say - @text may be NULL */
int ledger_json_say(struct buf *out, uint64_t seq, uint64_t real_ns, const char *event,
	const char *text) MSB_MUST_CHECK;
