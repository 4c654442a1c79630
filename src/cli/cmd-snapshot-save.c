/* SPDX-License-Identifier: Apache-2.0 */
/* msb snapshot save, load: snapshots as archives. */
#include <fcntl.h>

#include "base/str.h"

#include "cli/cli.h"
#include "image/store/store.h"
#include "lib/archive.h"
#include "lib/snapshot-archive.h"
#include "sandbox/state.h"

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

static int save_stdout(const struct snapshot *s, struct msb_err *err)
{
	int r;

	if (!isatty(STDOUT_FILENO))
		return snapshot_save(s, STDOUT_FILENO, err);
	r = msb_err_set(err, -EINVAL, MSB_USAGE, "standard output is a terminal");
	return msb_err_hint(err, r, "name a file");
}

static int save_file(const struct snapshot *s, const char *path, struct msb_err *err)
{
	struct archive_file file;
	int r = archive_file_open(path, &file, err);

	if (r == 0)
		r = snapshot_save(s, file.fd, err);
	if (r == 0)
		r = archive_file_commit(&file, err);
	archive_file_close(&file);
	return r;
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
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	bool to_stdout = streq(w[1], "-");
	struct msb_err err = {0};
	char home[PATH_MAX];
	int r = not_in_archives(args, &err);

	if (r == 0)
		r = sandbox_home_default(home, sizeof(home), &err);
	if (r == 0)
		r = snapshot_open(home, w[0], &s, &err);
	if (r == 0)
		r = to_stdout ? save_stdout(&s, &err) : save_file(&s, w[1], &err);
	if (r < 0)
		return cli_fail(&err);
	return to_stdout ? 0 : print_lines(w[1], NULL);
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
static void tell_image(const char *home, const struct snapshot *s)
{
	cleanup_with(store_close_p) struct store *store = NULL;
	cleanup_with(store_image_deinit) struct store_image image = {.n_layers = 0};

	if (s->m.image == SNAPSHOT_OCI && store_open(home, &store, NULL) == 0 &&
		store_image_get(store, s->m.image_digest, &image, NULL) == -ENOENT)
		cli_note("its image is not here; it is pulled when the snapshot is used");
}

static int run_load(void *args, const struct opt_words *words)
{
	const struct archive_args *a = args;
	const char *const *w = words->operands.items;
	const char *dest = words->operands.n > 1 ? w[1] : NULL;
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	cleanup_fd int fd = -EBADF;
	struct msb_err err = {0};
	char home[PATH_MAX];
	int r = sandbox_home_default(home, sizeof(home), &err);

	if (r == 0) {
		fd = open_archive(w[0], &err);
		r = MIN(fd, 0);
	}
	if (r == 0)
		r = snapshot_load(
			&(struct snapshot_load){
				.home = home, .fd = fd, .parent = dest, .replace = a->force},
			&s, &err);
	if (r < 0)
		return cli_fail(&err);
	if (!a->quiet)
		tell_image(home, &s);
	return print_lines(s.digest, s.path);
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
