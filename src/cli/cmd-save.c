/* SPDX-License-Identifier: Apache-2.0 */
/* msb save: images of the store as an archive. */
#include <fcntl.h>

#include "cli/cli.h"
#include "lib/archive.h"

struct save_args {
	struct cli_common common;
	const char *output;
	int format; /* index into formats */
};

static const char *const formats[] = {"docker", "oci", NULL};

static int save_stdout(const struct opt_list *refs, const char *format, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;

	if (isatty(STDOUT_FILENO)) {
		msb_err_set(err, -EINVAL, MSB_USAGE, "standard output is a terminal");
		return msb_err_hint(err, -EINVAL, "name a file with --output");
	}
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot write to standard output");
	return archive_save(fd, refs, format, err);
}

static int save_file(
	const char *path, const struct opt_list *refs, const char *format, struct msb_err *err)
{
	struct archive_file file;
	int r = archive_file_open(path, &file, err);

	if (r == 0)
		r = archive_save(file.fd, refs, format, err);
	if (r == 0)
		r = archive_file_commit(&file, err);
	archive_file_close(&file);
	return r;
}

static int run_save(void *args, const struct opt_words *words)
{
	const struct save_args *a = args;
	const char *format = formats[a->format];
	struct msb_err err = {0};
	int r = a->output && !streq(a->output, "-")
			? save_file(a->output, &words->operands, format, &err)
			: save_stdout(&words->operands, format, &err);

	return r < 0 ? cli_fail(&err) : 0;
}

static const struct opt opts[] = {
	{.name = "output",
		.letter = 'o',
		.type = OPT_STRING,
		.offset = offsetof(struct save_args, output),
		.arg = "PATH",
		.help = "File to write instead of standard output; it appears when it is complete",
		.complete = OPT_COMPLETE_FILE},
	{.name = "format",
		.type = OPT_CHOICE,
		.offset = offsetof(struct save_args, format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "docker",
		.help = "Format of the archive"},
};

static const struct opt_operand operands[] = {
	{.name = "IMAGE", .help = "Images of the store", .required = true, .repeatable = true},
};

static const struct opt_example examples[] = {
	{"To another machine", "msb save python:3.12 | ssh host msb load"},
	{"As an OCI image layout", "msb save --format oci -o python.tar python:3.12"},
};

const struct cli_command cmd_save = {
	.table = {.name = "save",
		.aliases = {"image save"},
		.summary = "Save images as an archive",
		.description =
			"Writes what docker load, podman load, skopeo and msb load read. Layers "
			"are "
			"written uncompressed, bit by bit as they were before, so an image keeps "
			"its ID; layers that images share are written once. The same images give "
			"the same archive.",
		.group = "Images",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct save_args),
	.run = run_save,
};
