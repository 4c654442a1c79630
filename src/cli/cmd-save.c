/* SPDX-License-Identifier: Apache-2.0 */
/* msb save: images of the store as an archive. */
#include <fcntl.h>

#include "cli/api.h"
#include "cli/out-file.h"

struct save_args {
	struct cli_common common;
	const char *output;
	int format; /* index into formats */
};

static const char *const formats[] = {"docker", "oci", NULL};

static int open_stdout(struct msb_err *err)
{
	int fd;

	if (isatty(STDOUT_FILENO)) {
		msb_err_set(err, -EINVAL, MSB_USAGE, "standard output is a terminal");
		return msb_err_hint(err, -EINVAL, "name a file with --output");
	}
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? msb_err_errno(err, -errno, "cannot write to standard output") : fd;
}

/* Returns the exit status. */
static int save(const struct save_args *a, const struct opt_words *words, int fd)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_image_save(api.msb, words->operands.items, formats[a->format], fd, &e);
	cli_api_close(&api);
	return r < 0 ? cli_api_fail(&e) : 0;
}

static int save_stdout(const struct save_args *a, const struct opt_words *words)
{
	struct msb_err err = {0};
	cleanup_fd int fd = open_stdout(&err);

	return fd < 0 ? cli_fail(&err) : save(a, words, fd);
}

static int save_file(const struct save_args *a, const struct opt_words *words)
{
	struct out_file file;
	struct msb_err err = {0};
	int status;

	if (out_file_open(a->output, &file, &err) < 0) {
		status = cli_fail(&err);
	} else {
		status = save(a, words, file.fd);
		if (status == 0 && out_file_commit(&file, &err) < 0)
			status = cli_fail(&err);
	}
	out_file_close(&file);
	return status;
}

static int run_save(void *args, const struct opt_words *words)
{
	const struct save_args *a = args;

	return a->output && !streq(a->output, "-") ? save_file(a, words) : save_stdout(a, words);
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
