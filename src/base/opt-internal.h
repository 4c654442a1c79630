/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the generators of help, man pages and completions; see opt.h. */
#pragma once

#include "base/opt.h"

/* Output that remembers its first error, so that generators read as text. */
struct opt_text {
	struct buf *out;
	int r;
};

void opt_put(struct opt_text *t, const char *fmt, ...) MSB_PRINTF(2, 3);

static inline bool opt_takes_value(const struct opt *o)
{
	return o->type != OPT_FLAG && o->type != OPT_CONST;
}

static inline bool opt_is_repeatable(const struct opt *o)
{
	return o->type == OPT_LIST || o->repeatable;
}

/* The options of a command in the order texts show them: its own (of the bare program: `top`), then
 * the common ones; hidden ones are left out. NULL at the end. Start with *@at = 0. */
static inline const struct opt *opt_next(
	const struct opt_program *prog, const struct opt_command *cmd, size_t *at)
{
	const struct opt *own = cmd ? cmd->opts : prog->top;
	size_t n = cmd ? opt_own(cmd) : prog->n_top;
	size_t more = n + (cmd ? cmd->n_more : 0);

	while (*at < more + prog->n_common) {
		const struct opt *o = *at < n	   ? &own[*at]
				      : *at < more ? &cmd->more[*at - n]
						   : &prog->common[*at - more];

		++*at;
		if (!o->hidden)
			return o;
	}
	return NULL;
}

/** opt_misspelling - how far apart two words are; a typed beginning of @word counts as a small slip
 */
unsigned int opt_misspelling(const char *typed, const char *word);
bool opt_near_enough(const char *typed, unsigned int distance);

/** opt_in_group - word of @cmd's name behind the group's, NULL when it is not in @group */
const char *opt_in_group(const struct opt_command *cmd, const struct opt_group *group);

/** opt_word_in - word that means @cmd behind the group's: of its name, or of another name of a
 * command that stands outside; NULL if there is none */
const char *opt_word_in(const struct opt_program *prog, const struct opt_command *cmd,
	const struct opt_group *group);

/** opt_group_of - group of @cmd, NULL for a command of one word */
const struct opt_group *opt_group_of(const struct opt_program *prog, const struct opt_command *cmd);
