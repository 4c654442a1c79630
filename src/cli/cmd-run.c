/* SPDX-License-Identifier: Apache-2.0 */
/* msb run: a command in a new sandbox, which ends with the command. */
#include "cli/creating.h"
#include "cli/detach-keys.h"
#include "cli/session.h"
#include "lib/create-args.h"

struct run_args {
	struct cli_common common;
	struct create_args create;
	/* Only msb run. */
	int tty; /* 1: -t, -1: --no-tty, 0: as stdin and stdout are */
	uint64_t timeout_ns;
	bool detach;
	struct detach_keys detach_keys;
	bool timing;
};

#define AT(field) .offset = offsetof(struct run_args, field)
#define OUTPUT	  .group = "Running"

/* Behind those of create_opts. */
static const struct opt run_opts[] = {
	{.name = "detach",
		.letter = 'd',
		.type = OPT_FLAG,
		AT(detach),
		OUTPUT,
		.help = "Run the command in the background and print the sandbox's name; the "
			"sandbox ends with the command"},
	SESSION_TTY_OPTS(struct run_args),
	SESSION_DETACH_KEYS_OPT(struct run_args),
	SESSION_TIMING_OPT(struct run_args),
};

static const struct opt_example examples[] = {
	{"One command in the image base", "msb run -- uname -a"},
	{"One in an image of a registry", "msb run python:3.12 -- python -c 'print(\"hello\")'"},
	{"A shell", "msb run"},
	{"More machine, less time", "msb run -m 2G -c 4 --timeout 30s base -- nproc"},
	{"A root file system of your own",
		"mmdebstrap bookworm ./root && msb run ./root -- cat /etc/os-release"},
	{"With a script of yours", "msb run --script setup:./setup.sh -- setup"},
	{"Through a pipe", "echo 'print me' | msb run -- tr a-z A-Z"},
};

static int run_run(void *args, const struct opt_words *words)
{
	struct run_args *a = args;
	/* The table of the command is that of the library: read once is enough. */
	const struct msb_config config = {.parsed = &a->create,
		.image = words->operands.n ? (char *)(uintptr_t)words->operands.items[0] : NULL,
		.command = words->n_command ? words->command : NULL};
	const struct session_opts so = {.common = &a->common,
		.config = &config,
		.tty = a->tty,
		.quiet = a->create.quiet,
		.timing = a->timing,
		.timeout_ns = a->timeout_ns,
		.detach_keys = &a->detach_keys};

	return a->detach ? creating_run(&a->common, &a->create, &config, true) : session_run(&so);
}

const struct cli_command cmd_run = {
	.table = {.name = "run",
		.summary = "Run a command in a new sandbox",
		.description =
			"Starts a virtual machine with its own Linux kernel, runs the command in "
			"it, "
			"and throws the machine away when the command ends. Output comes as it is "
			"written; stdin, signals and the size of the terminal go to the "
			"command.\n\n"
			"With --name the sandbox and its files stay, stopped; if there is one of "
			"that name already, the command runs in that.\n\n"
			"The first word that is no option is the image, unless it stands behind "
			"--; "
			"what follows is the command, with its own options.",
		.group = "Sandboxes",
		.opts = create_opts,
		.n_opts = OPT_ENDED,
		.opts_at = offsetof(struct run_args, create),
		.fill = conf_fill,
		.more = run_opts,
		.n_more = ARRAY_SIZE(run_opts),
		.operands = create_operands,
		.n_operands = ARRAY_SIZE(create_operands),
		.takes_command = true,
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples),
		.exit_status = "That of the command; 128 plus the signal's number if a signal "
			       "killed it; 124 "
			       "when a time limit passed; 126 when the program cannot be executed, "
			       "127 when "
			       "it does not exist; 125 when msb or the host failed; 2 for options "
			       "msb does "
			       "not understand."},
	.args_size = sizeof(struct run_args),
	.run = run_run,
};
