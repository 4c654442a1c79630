/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines from tables: one table per command, and parsing, --help, the man page and the shell
 * completions all come from it, so they cannot drift apart.
 *
 * Options target fields of the command's own argument struct (by offset), never globals. Values are
 * applied in the order default, configuration, environment, command line; the last one wins, lists
 * collect.
 * Strings are borrowed from argv, the environment and the tables.
 *
 * Word order. Options may stand before and after operands. `--` ends them. A command with
 * `takes_command` hands everything behind `--` on untouched, and also, as docker does, everything
 * from the first word behind its operands: in `msb run IMAGE ls -l` the -l belongs to ls.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum opt_type {
	OPT_FLAG, /* bool, set to true */
	OPT_CONST, /* int, set to .value */
	OPT_STRING, /* const char * */
	OPT_U32, /* uint32_t within .min and .max */
	OPT_MIB, /* uint32_t, memory size in MiB within .min and .max */
	OPT_DURATION, /* uint64_t, nanoseconds; zero only if .min is 0 */
	OPT_CHOICE, /* int, index into .choices */
	OPT_LIST, /* struct opt_list, repeatable */
	OPT_PARSE, /* anything, by .parse */
};

/* What a shell offers for a value or an operand. */
enum opt_complete { OPT_COMPLETE_NONE, OPT_COMPLETE_FILE, OPT_COMPLETE_DIR };

enum { OPT_ALIASES_MAX = 4, OPT_OPERANDS_MAX = 4, OPT_NUMBER = 32 };

#define OPT_ENDED SIZE_MAX

struct opt_filler;

struct opt_list {
	const char **items; /* @n of them and a NULL, or NULL */
	size_t n;
};

struct opt {
	const char *name; /* long name without dashes */
	char letter; /* short name, 0: none */
	enum opt_type type;
	size_t offset; /* of the target in the argument struct */
	const char *arg; /* name of the value in texts, e.g. "SIZE" */
	const char *help; /* one sentence without final stop */
	const char *group; /* heading in texts; options of one group stand together */
	const char *def; /* default value, as a user would write it */
	const char *env; /* environment variable that sets the default */
	const char *config; /* key of the user's configuration that does, below the variable */
	const char *const *choices; /* OPT_CHOICE: NULL-terminated */
	int value; /* OPT_CONST */
	uint64_t min;
	uint64_t max;
	/* OPT_PARSE: fills @target; messages without the option's name, it is put in front. */
	int (*parse)(void *target, const char *value, struct msb_err *err);
	const char *excludes; /* long name of an option that contradicts this one */
	const char *aliases[OPT_ALIASES_MAX]; /* other long names, accepted but not shown */
	enum opt_complete complete;
	bool repeatable; /* OPT_PARSE: may be given more than once */
	bool hidden;
	bool alone; /* given, nothing else matters: neither configuration nor environment is read */
};

struct opt_operand {
	const char *name; /* "IMAGE" */
	const char *help;
	enum opt_complete complete;
	const char *const *choices; /* NULL-terminated, NULL: free */
	bool required;
	bool repeatable; /* only the last operand */
};

struct opt_example {
	const char *text; /* what it does */
	const char *command;
};

/* First word of commands whose names are two words: "image" of "image ls". */
struct opt_group {
	const char *name;
	const char *summary; /* one sentence without final stop */
};

struct opt_command {
	const char *name; /* "run", or a group's name and a word: "image ls" */
	const char *aliases[OPT_ALIASES_MAX]; /* other names, of one or two words */
	const char *summary; /* one sentence without final stop */
	const char *description; /* paragraphs, separated by an empty line; may be NULL */
	const char *group; /* heading in the list of commands */
	const struct opt *opts;
	size_t n_opts; /* or OPT_ENDED: up to one without a name */
	size_t opts_at; /* in the argument struct: the struct whose fields @opts are about */
	const struct opt *more; /* further options, about the argument struct itself */
	size_t n_more;
	const struct opt_operand *operands;
	size_t n_operands;
	bool takes_command;
	/* Values for what the command line leaves open, before the configuration is asked; @args is
	 * what @opts are about. Calls opt_fill(). May be NULL. */
	int (*fill)(void *args, struct opt_filler *f, struct msb_err *err);
	const struct opt_example *examples;
	size_t n_examples;
	const char *exit_status; /* text for the man page, may be NULL */
	bool hidden;
};

/** opt_own - number of its @opts */
static inline size_t opt_own(const struct opt_command *cmd)
{
	size_t n = 0;

	if (cmd->n_opts != OPT_ENDED)
		return cmd->n_opts;
	while (cmd->opts[n].name)
		n++;
	return n;
}

struct opt_variable {
	const char *name;
	const char *help;
};

struct opt_program {
	const char *name; /* "msb" */
	const char *version;
	const char *summary;
	const char *description;
	const struct opt *common; /* options of every command */
	size_t n_common;
	const struct opt_command *const *commands;
	size_t n_commands;
	const struct opt_group *groups;
	size_t n_groups;
	const struct opt *top; /* options of the bare program */
	size_t n_top;
	/*
	 * Value of a key of the user's configuration, NULL if there is none; text that outlives
	 * the arguments, or a number printed into @number. May be NULL.
	 */
	int (*configured)(void *arg, const char *key, char number[OPT_NUMBER], const char **ret,
		struct msb_err *err);
	void *configured_arg;
	const struct opt_variable *variables; /* environment variables that no option names */
	size_t n_variables;
	const char *exit_status; /* text for the man page, may be NULL */
};

/* The words that are no options. */
struct opt_words {
	struct opt_list operands;
	char **command; /* NULL-terminated tail of argv, takes_command only */
	size_t n_command;
};

/**
 * opt_parse - read the words behind the command's name
 * @cmd: NULL for the bare program (its `top` options)
 * @argv: @argc words and a NULL; borrowed for as long as @args is used
 * @args: argument struct of the command, zeroed
 * @ret: opt_words_deinit()
 *
 * Operands are counted only by opt_check_operands(), so that --help works without them.
 *
 * Return: 0 or a negative errno with a message of kind MSB_USAGE.
 */
int opt_parse(const struct opt_program *prog, const struct opt_command *cmd, int argc, char **argv,
	void *args, struct opt_words *ret, struct msb_err *err) MSB_MUST_CHECK;

/** opt_check_operands - too few, too many, or not one of the choices */
int opt_check_operands(const struct opt_program *prog, const struct opt_command *cmd,
	const struct opt_words *words, struct msb_err *err) MSB_MUST_CHECK;

/** opt_deinit - frees the lists in @args */
void opt_deinit(const struct opt_program *prog, const struct opt_command *cmd, void *args);
void opt_words_deinit(struct opt_words *words);

/** opt_fill - give option @name a value, unless the command line has given it one; those that may
 * be repeated get it behind the others. -ENOENT without a message: there is no such option */
int opt_fill(struct opt_filler *f, const char *name, const char *value, struct msb_err *err)
	MSB_MUST_CHECK;
/** opt_is_given - did the command line give it? */
bool opt_is_given(const struct opt_filler *f, const char *name);
/** opt_operands_given - their number */
size_t opt_operands_given(const struct opt_filler *f);

/** opt_list_add - append; 0, -E2BIG or -ENOMEM */
int opt_list_add(struct opt_list *list, const char *item) MSB_MUST_CHECK;

struct opt_found {
	const struct opt_command *cmd; /* NULL: no such command */
	const struct opt_group *group; /* of the first word, NULL if it is none's name */
	size_t used; /* words that name @cmd */
	const char *near; /* without @cmd: the likeliest name, or NULL */
};

/** opt_find - the command that the first of @words name, or what comes near */
void opt_find(
	const struct opt_program *prog, const char *const *words, size_t n, struct opt_found *ret);

/* Texts are appended to @out; 0, -ENOBUFS or -ENOMEM. @cmd NULL: the program itself. */
int opt_help(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out)
	MSB_MUST_CHECK;
int opt_man(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out)
	MSB_MUST_CHECK;
/** opt_tree - commands and options as an indented tree */
int opt_tree(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out)
	MSB_MUST_CHECK;
/** opt_group_help, opt_group_tree - the commands of a group */
int opt_group_help(const struct opt_program *prog, const struct opt_group *group, struct buf *out)
	MSB_MUST_CHECK;
int opt_group_tree(const struct opt_program *prog, const struct opt_group *group, struct buf *out)
	MSB_MUST_CHECK;

enum opt_shell { OPT_BASH, OPT_ZSH, OPT_FISH };
int opt_completion(const struct opt_program *prog, enum opt_shell shell, struct buf *out)
	MSB_MUST_CHECK;
