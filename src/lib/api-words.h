/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of libmsb that are command lines which nobody typed: words for a table of options, given
 * one by one. Each is tried alone when it is set, all of them together when they are used.
 *
 * Parsers may overwrite what they read (secrets do), so they get copies; all are erased at the end.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

struct api_table {
	const struct opt_command *command; /* no options but these, of no program */
	size_t args_size; /* of what they are about */
	void (*release)(void *args); /* what parsers made; lists are freed before */
	const char *noun; /* "a sandbox has no option ..." */
	const char *page; /* the options are those of */
};

/** api_words_set - add --@option[=@value], instead of an earlier one unless it is repeatable */
int api_words_set(struct opt_list *words, const struct api_table *t, const char *option,
	const char *value, struct msb_err *err) MSB_MUST_CHECK;

void api_words_deinit(struct opt_list *words);

/* The words, read. */
struct api_parsed {
	const struct api_table *table;
	const struct opt_program *program;
	struct opt_list copy;
	void *args;
};

/**
 * api_parse - @program: for its configuration
 * @args: zeroed; api_parsed_deinit(), also after a failure
 */
int api_parse(struct api_parsed *p, const struct opt_list *words, const struct api_table *t,
	const struct opt_program *program, void *args, struct msb_err *err) MSB_MUST_CHECK;
void api_parsed_deinit(struct api_parsed *p);
