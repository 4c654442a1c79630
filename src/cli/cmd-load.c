/* SPDX-License-Identifier: Apache-2.0 */
/* msb load: images from an archive into the store. */
#include <fcntl.h>

#include "base/io.h"
#include "base/str.h"

#include "cli/api.h"

struct load_args {
	struct cli_common common;
	const char *input;
	const char *tag;
	bool quiet;
};

static int open_input(const char *path, struct msb_err *err)
{
	char quoted[200];
	int fd;

	if (!path || streq(path, "-")) {
		if (isatty(STDIN_FILENO)) {
			msb_err_set(err, -EINVAL, MSB_USAGE, "standard input is a terminal");
			return msb_err_hint(err, -EINVAL, "name an archive with --input");
		}
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (fd >= 0)
		return fd;
	if (!path)
		path = "standard input";
	return msb_err_errno(err, -errno, "cannot read %s",
		str_quote(quoted, sizeof(quoted), path, strlen(path)));
}

static int say_loaded(void *arg, const char *reference)
{
	const struct load_args *a = arg;
	cleanup_free char *line = NULL;

	if (a->quiet)
		return 0;
	if (asprintf(&line, "Loaded image: %s\n", reference) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	return io_write_full(STDOUT_FILENO, line, strlen(line));
}

static int run_load(void *args, const struct opt_words *words)
{
	struct load_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	cleanup_fd int fd = open_input(a->input, &err);
	struct cli_api api;
	int r;

	if (fd < 0)
		return cli_fail(&err);
	r = cli_api_open(&api, &a->common, &e);
	if (r == 0)
		r = msb_image_load(api.msb, fd, a->tag, say_loaded, a, &e);
	cli_api_close(&api);
	return r < 0 ? cli_api_fail(&e) : 0;
}

static const struct opt opts[] = {
	{.name = "input",
		.letter = 'i',
		.type = OPT_STRING,
		.offset = offsetof(struct load_args, input),
		.arg = "PATH",
		.help = "Archive, or directory with an OCI image layout, to read instead of "
			"standard input",
		.complete = OPT_COMPLETE_FILE},
	{.name = "tag",
		.letter = 't',
		.type = OPT_STRING,
		.offset = offsetof(struct load_args, tag),
		.arg = "REF",
		.help = "Name for the first image, beside those in the archive"},
	{.name = "quiet",
		.letter = 'q',
		.type = OPT_FLAG,
		.offset = offsetof(struct load_args, quiet),
		.help = "Print nothing"},
};

static const struct opt_example examples[] = {
	{"What docker has", "docker save alpine | msb load"},
	{"An archive without a name in it", "msb load -i rootfs-oci.tar.gz -t mine:1"},
};

const struct cli_command cmd_load = {
	.table = {.name = "load",
		.aliases = {"image load"},
		.summary = "Load images from an archive",
		.description =
			"Reads archives of docker save, podman save, skopeo and buildah: the "
			"docker "
			"format and OCI image layouts, plain or compressed with gzip or zstd, and "
			"directories in the OCI layout. All images of the archive are loaded; of "
			"an "
			"image for several platforms the one for this machine. Layers that are in "
			"the store already are not read again.\n\n"
			"Digests are verified. Names change when all images are complete.",
		.group = "Images",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct load_args),
	.run = run_load,
};
