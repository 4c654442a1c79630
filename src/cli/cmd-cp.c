/* SPDX-License-Identifier: Apache-2.0 */
/* msb cp: files and trees between the host and sandboxes, by the rules of docker cp. */
#include "cli/api.h"
#include "lib/human.h"

struct cp_args {
	struct cli_common common;
	bool archive;
	bool follow;
	bool resume;
};

static const struct opt opts[] = {
	{.name = "archive",
		.letter = 'a',
		.type = OPT_FLAG,
		.offset = offsetof(struct cp_args, archive),
		.help = "Keep the numbers of user and group, too"},
	{.name = "follow-link",
		.letter = 'L',
		.type = OPT_FLAG,
		.offset = offsetof(struct cp_args, follow),
		.help = "Copy what SRC points to if it is a symbolic link"},
	{.name = "resume",
		.type = OPT_FLAG,
		.offset = offsetof(struct cp_args, resume),
		.help = "Keep what has come when the copy is cut, and go on there the next time"},
};

static const struct opt_operand operands[] = {
	{.name = "SRC",
		.complete = OPT_COMPLETE_FILE,
		.help = "What to copy: NAME:/path in a sandbox, a path here, or - for standard "
			"input",
		.required = true},
	{.name = "DST",
		.complete = OPT_COMPLETE_FILE,
		.help = "Where to: NAME:/path in a sandbox, a path here, or - for standard output",
		.required = true},
};

static const struct opt_example examples[] = {
	{"A file into a sandbox", "msb cp ./data.csv dev:/srv/"},
	{"A directory out of it", "msb cp dev:/var/log ./log"},
	{"What is in a directory, not the directory", "msb cp ./src/. dev:/app"},
	{"From one sandbox to another", "msb cp dev:/srv/. test:/srv"},
	{"What a link points to", "msb cp -L dev:/etc/os-release ."},
	{"A large file over several attempts", "msb cp --resume ./disk.img dev:/srv/"},
	{"Through a pipe", "msb cp dev:/etc/passwd - | wc -l"},
};

static void say_skipped(void *arg, const char *path, const char *why)
{
	cli_note("%s is not copied: %s", path, why);
}

static void say_resumed(void *arg, const char *path, uint64_t kept)
{
	char size[HUMAN_SIZE];

	if (kept)
		cli_note("%s goes on behind %s", path, human_size(size, kept));
	else
		cli_note("%s has changed since it was cut: it begins anew", path);
}

static int run_cp(void *args, const struct opt_words *words)
{
	const char *const *ends = words->operands.items;
	struct msb_copy_options o = MSB_COPY_OPTIONS_INIT;
	const struct cp_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	unsigned int skipped = 0;
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	o.archive = a->archive;
	o.follow = a->follow;
	o.resume = a->resume;
	o.in = STDIN_FILENO;
	o.out = STDOUT_FILENO;
	o.skipped = say_skipped;
	o.resumed = say_resumed;
	if (r == 0)
		r = msb_copy(api.msb, ends[0], ends[1], &o, &skipped, &e);
	cli_api_close(&api);
	if (r < 0)
		return cli_api_fail(&e);
	return skipped ? CLI_EXIT_FAILED : 0;
}

const struct cli_command cmd_cp = {
	.table = {.name = "cp",
		.aliases = {"copy"},
		.summary = "Copy files between the host and sandboxes",
		.description =
			"Works like docker cp. A directory that exists gets the source inside "
			"it, otherwise the destination is what the source becomes; with SRC/. "
			"only what is in the directory is copied. Permission bits and times are "
			"kept; the owner is who writes, or root in a sandbox. Links are copied as "
			"links; out of a sandbox only "
			"those that stay inside the copied tree. That goes for the source itself, "
			"too, unless --follow-link is given or a slash stands behind it. With - a "
			"single file comes from standard input or goes "
			"to standard output. A sandbox that does not run is started for it. "
			"Both ends compare a checksum of every file; one that does not become "
			"whole is removed. With --resume it stays as NAME.msb-part, which the "
			"same command with --resume goes on with, once both ends agree about "
			"what is there.",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct cp_args),
	.run = run_cp,
};
