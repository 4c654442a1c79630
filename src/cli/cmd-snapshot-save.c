/* SPDX-License-Identifier: Apache-2.0 */
/* msb snapshot save, load: snapshots as archives. */
#include <fcntl.h>

#include "base/str.h"

#include "cli/about.h"
#include "cli/api.h"
#include "cli/out-file.h"

struct archive_args {
	struct cli_common common;
	bool plain;
	bool with_image;
	bool with_parents;
	bool force;
	bool quiet;
};

#define AT(field) .offset = offsetof(struct archive_args, field)
#define GROUP	  "Snapshots"

static int print_lines(const char *one, const char *two)
{
	struct buf text;
	int status = CLI_EXIT_FAILED;

	buf_init(&text, CLI_TEXT_MAX);
	if (buf_printf(&text, "%s\n%s%s", one, two ? two : "", two ? "\n" : "") == 0)
		status = cli_print(&text);
	buf_deinit(&text);
	return status;
}

/* Returns the exit status, as all that follow. */
static int save(const struct archive_args *a, const char *name, int fd)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_snapshot_save(api.msb, name, fd, &e);
	cli_api_close(&api);
	return r < 0 ? cli_api_fail(&e) : 0;
}

static int save_stdout(const struct archive_args *a, const char *name)
{
	struct msb_err err;

	if (!isatty(STDOUT_FILENO))
		return save(a, name, STDOUT_FILENO);
	(void)msb_err_hint(&err,
		msb_err_set(&err, -EINVAL, MSB_USAGE, "standard output is a terminal"),
		"name a file");
	return cli_fail(&err);
}

static int save_file(const struct archive_args *a, const char *name, const char *path)
{
	struct msb_err err = {0};
	struct out_file file;
	int status;

	if (out_file_open(path, &file, &err) < 0) {
		status = cli_fail(&err);
	} else {
		status = save(a, name, file.fd);
		if (status == 0 && out_file_commit(&file, &err) < 0)
			status = cli_fail(&err);
	}
	out_file_close(&file);
	return status ? status : print_lines(path, NULL);
}

/* What archives of microsandbox may hold, too. */
static int not_in_archives(const struct archive_args *a, struct msb_err *err)
{
	if (a->with_image)
		return msb_err_hint(err,
			msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
				"--with-image: the archive of a snapshot holds no image"),
			"save that beside it: msb save IMAGE -o FILE");
	if (a->with_parents)
		return msb_err_hint(err,
			msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
				"--with-parents: every snapshot is whole and needs no parent"),
			"save those that you want to keep one by one");
	return 0;
}

static int run_save(void *args, const struct opt_words *words)
{
	const char *const *w = words->operands.items;
	struct msb_err err = {0};

	if (not_in_archives(args, &err) < 0)
		return cli_fail(&err);
	return streq(w[1], "-") ? save_stdout(args, w[0]) : save_file(args, w[0], w[1]);
}

static const struct opt save_opts[] = {
	/* Every archive is. */
	{.name = "plain-tar", .type = OPT_FLAG, AT(plain), .help = "", .hidden = true},
	{.name = "with-image", .type = OPT_FLAG, AT(with_image), .help = "", .hidden = true},
	{.name = "with-parents", .type = OPT_FLAG, AT(with_parents), .help = "", .hidden = true},
};

static const struct opt_operand save_operands[] = {
	{.name = "SNAPSHOT",
		.required = true,
		.complete = OPT_COMPLETE_FILE,
		.help = "A name, the beginning of a digest, or the path of a snapshot's directory"},
	{.name = "FILE",
		.required = true,
		.complete = OPT_COMPLETE_FILE,
		.help = "The archive, which appears when it is complete; - for standard output"},
};

static const struct opt_example save_examples[] = {
	{"To another machine", "msb snapshot save ready - | zstd | ssh host msb snapshot load -"},
};

const struct cli_command cmd_snapshot_save = {
	.table = {.name = "snapshot save",
		.aliases = {"snapshot export", "snap save"},
		.summary = "Save a snapshot as an archive",
		.description =
			"Writes a tar with the manifest and what is no hole of the disk. The image "
			"is not in it: msb run pulls it by its digest where it is missing, and msb "
			"save takes it along.",
		.group = GROUP,
		.opts = save_opts,
		.n_opts = ARRAY_SIZE(save_opts),
		.operands = save_operands,
		.n_operands = ARRAY_SIZE(save_operands),
		.examples = save_examples,
		.n_examples = ARRAY_SIZE(save_examples)},
	.args_size = sizeof(struct archive_args),
	.run = run_save,
};

static int open_archive(const char *path, struct msb_err *err)
{
	char quoted[200];
	int fd;

	if (streq(path, "-"))
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? msb_err_errno(err, -errno, "cannot read %s",
				str_quote(quoted, sizeof(quoted), path, strlen(path)))
		      : fd;
}

/* Whoever is about to go off line should know. */
static void tell_image(struct msb *m, const struct msb_items *l, const struct json *doc)
{
	struct msb_items *image = NULL;

	if (streq(msb_items_kind(l, 0), "image") &&
		msb_image_inspect(m, about_str(doc, "image_digest"), &image, NULL) == -ENOENT)
		cli_note("its image is not here; it is pulled when the snapshot is used");
	(void)msb_items_free(image);
}

static int tell(struct msb *m, const struct archive_args *a, const struct msb_items *l)
{
	cleanup_json struct json *doc = NULL;
	struct msb_err err = {0};
	int r = about_json(l, 0, &doc);

	if (r < 0) {
		(void)msb_err_errno(&err, r, "the description");
		return cli_fail(&err);
	}
	if (!a->quiet)
		tell_image(m, l, doc);
	return print_lines(msb_items_digest(l, 0), about_str(doc, "artifact_path"));
}

static int run_load(void *args, const struct opt_words *words)
{
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;
	const struct archive_args *a = args;
	const char *const *w = words->operands.items;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_items *l = NULL;
	struct msb_err err = {0};
	cleanup_fd int fd = open_archive(w[0], &err);
	struct cli_api api;
	int status;
	int r;

	if (fd < 0)
		return cli_fail(&err);
	o.directory = words->operands.n > 1 ? w[1] : NULL;
	o.replace = a->force;
	r = cli_api_open(&api, &a->common, &e);
	if (r == 0)
		r = msb_snapshot_import(api.msb, fd, &o, &l, &e);
	status = r < 0 ? cli_api_fail(&e) : tell(api.msb, a, l);
	(void)msb_items_free(l);
	cli_api_close(&api);
	return status;
}

static const struct opt load_opts[] = {
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Replace a snapshot of that name"},
	{.name = "quiet",
		.letter = 'q',
		.type = OPT_FLAG,
		AT(quiet),
		.help = "Only digest and path, on stdout"},
};

static const struct opt_operand load_operands[] = {
	{.name = "ARCHIVE",
		.required = true,
		.complete = OPT_COMPLETE_FILE,
		.help = "What msb snapshot save has written, plain or compressed with gzip or "
			"zstd; - for standard input"},
	{.name = "DIR",
		.complete = OPT_COMPLETE_DIR,
		.help = "Directory that gets it, instead of the one of all snapshots"},
};

const struct cli_command cmd_snapshot_load = {
	.table = {.name = "snapshot load",
		.aliases = {"snapshot import", "snap load"},
		.summary = "Load a snapshot from an archive",
		.description =
			"The archive is read by a process that can do nothing else. The snapshot "
			"appears, with the name that it had, when its disk has the digest that its "
			"manifest says; digest and path are printed.",
		.group = GROUP,
		.opts = load_opts,
		.n_opts = ARRAY_SIZE(load_opts),
		.operands = load_operands,
		.n_operands = ARRAY_SIZE(load_operands)},
	.args_size = sizeof(struct archive_args),
	.run = run_load,
};
