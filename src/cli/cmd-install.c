/* SPDX-License-Identifier: Apache-2.0 */
/* msb install, msb uninstall: programs of images as commands of the host. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

#include "cli/alias.h"
#include "cli/cli.h"
#include "cli/pull-watch.h"
#include "cli/table.h"
#include "lib/image-config.h"
#include "lib/image-fetch.h"
#include "lib/image.h"
#include "lib/where.h"
#include "sandbox/state.h"

enum { FORMAT_TEXT, FORMAT_JSON, COMMAND_WIDTH = 60 };

struct install_args {
	struct cli_common common;
	const char *name;
	const char *cpus;
	const char *memory;
	const char *workdir;
	const char *shell;
	struct opt_list volumes;
	struct opt_list env;
	int format;
	bool list;
	bool tmp;
	bool force;
	bool no_pull;
	bool quiet;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct install_args, field)
#define RUN	  .group = "As msb run"

static const struct opt install_opts[] = {
	{.name = "name",
		.letter = 'n',
		.type = OPT_STRING,
		AT(name),
		.arg = "NAME",
		.help = "Name of the command; by default that of the image"},
	{.name = "tmp",
		.type = OPT_FLAG,
		AT(tmp),
		.help = "A new sandbox every time; by default one of that name stays, with its "
			"files"},
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Replace a command of that name"},
	{.name = "no-pull",
		.type = OPT_FLAG,
		AT(no_pull),
		.help = "Leave the image to the first run; arguments then replace what it runs"},
	{.name = "list", .letter = 'l', .type = OPT_FLAG, AT(list), .help = "Show what there is"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the list"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
	{.name = "cpus",
		.letter = 'c',
		.type = OPT_STRING,
		AT(cpus),
		.arg = "N",
		RUN,
		.help = "Number of virtual CPUs"},
	{.name = "memory",
		.letter = 'm',
		.type = OPT_STRING,
		AT(memory),
		.arg = "SIZE",
		RUN,
		.help = "Memory of the guest"},
	{.name = "volume",
		.letter = 'v',
		.type = OPT_LIST,
		AT(volumes),
		.arg = "HOST:GUEST[:OPTS]",
		RUN,
		.help = "Share a directory; a relative one is that of whoever runs the command"},
	{.name = "workdir",
		.letter = 'w',
		.type = OPT_STRING,
		AT(workdir),
		.arg = "DIR",
		RUN,
		.help = "Working directory"},
	{.name = "shell",
		.type = OPT_STRING,
		AT(shell),
		.arg = "PROGRAM",
		RUN,
		.help = "What runs when there is nothing else to run"},
	{.name = "env",
		.letter = 'e',
		.type = OPT_LIST,
		AT(env),
		.arg = "NAME[=VALUE]",
		RUN,
		.help = "Set an environment variable; NAME alone passes on the value at each run"},
};

static const struct opt_operand install_operands[] = {
	{.name = "IMAGE", .help = "What runs, as for msb run"},
};

static const struct opt_example install_examples[] = {
	{"Python of an image",
		"msb install python:3.12 && ~/.microsandbox/bin/python -c 'print(1)'"},
	{"On the files of this directory",
		"msb install --tmp -v .:/w -w /w --name pylint python:3.12 -- python -m pylint"},
	{"What there is", "msb install --list"},
};

/* Where the commands are; made if it is missing. */
static int bin_dir(const char *home, char *path, size_t size, struct msb_err *err)
{
	int n = snprintf(path, size, "%s/bin", home);
	int r = n < 0 || (size_t)n >= size ? -ENAMETOOLONG : io_mkdir_p(path, 0755);
	int fd;

	if (r == 0) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		r = -errno;
	}
	return msb_err_errno(err, r, "directory of commands");
}

/* 0: it is ours, -ENOENT: there is none, -EEXIST: it is somebody else's. */
static int look_at(int dir_fd, const char *name, struct json **ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return msb_err_errno(err, -errno, "no command '%.128s' is installed", name);
	r = S_ISREG(st.st_mode) ? io_read_file(dir_fd, name, ALIAS_BYTES_MAX, &text, &len) : -EFBIG;
	if (r == 0)
		r = alias_parse(text, len, ret);
	if (r == 0)
		return 0;
	return msb_err_set(err, -EEXIST, MSB_EXISTS, "'%.128s' was not made by msb install", name);
}

/* The image's name without registry, tag and digest. */
static int default_name(const char *image, char *to, size_t size, struct msb_err *err)
{
	const char *slash = strrchr(image, '/');
	const char *base = slash ? slash + 1 : image;
	size_t n = strcspn(base, ":@");

	if (n < size) {
		memcpy(to, base, n);
		to[n] = '\0';
		if (alias_name_check(to, err) == 0)
			return 0;
	}
	return msb_err_hint(err, -EINVAL, "give one with --name");
}

static int add_option(struct opt_list *to, const char *option, const char *value)
{
	int r = value ? opt_list_add(to, option) : 0;

	return r == 0 && value ? opt_list_add(to, value) : r;
}

static int add_options(const struct install_args *a, struct opt_list *to)
{
	int r = add_option(to, "--cpus", a->cpus);

	if (r == 0)
		r = add_option(to, "--memory", a->memory);
	if (r == 0)
		r = add_option(to, "--workdir", a->workdir);
	if (r == 0)
		r = add_option(to, "--shell", a->shell);
	for (size_t i = 0; i < a->volumes.n && r == 0; i++)
		r = add_option(to, "--volume", a->volumes.items[i]);
	for (size_t i = 0; i < a->env.n && r == 0; i++)
		r = add_option(to, "--env", a->env.items[i]);
	return r;
}

static int check_options(const struct install_args *a, struct msb_err *err)
{
	uint64_t mib;
	uint32_t n;

	if (a->cpus && str_to_u32(a->cpus, 1, LIMIT_VCPUS, &n) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"option --cpus: a number from 1 to %u is wanted", LIMIT_VCPUS);
	if (a->memory && str_to_mib(a->memory, &mib) < 0)
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "option --memory: a size is wanted, e.g. 512M");
	return 0;
}

/*
 * What the arguments are added to, when the user says nothing. With an entry point they take the
 * place of the image's CMD, as ever; without one the program is the CMD itself.
 */
static int image_command(const struct install_args *a, const char *home, const char *word,
	struct oci_config *config, struct opt_list *command, struct msb_err *err)
{
	struct image im = {.fd = -EBADF};
	struct pull_watcher show;
	struct pull_result pulled = {.made = false};
	struct image_fetch_opts fo = {.home = home,
		.policy = PULL_IF_MISSING,
		.quiet = a->quiet,
		.watch = &show.watching.inner,
		.pulled = &pulled};
	char lib_dir[PATH_MAX];
	int r = where_lib_dir(lib_dir, sizeof(lib_dir), err);

	fo.lib_dir = lib_dir;
	pull_watcher_init(&show);
	if (r == 0)
		r = image_resolve(word, lib_dir, &im, err);
	if (r == 0 && !a->no_pull)
		r = image_fetch(&im, word, &fo, err);
	pull_watcher_done(word, &pulled);
	if (r == 0 && !a->no_pull && im.kind == IMAGE_OCI) {
		r = image_config_load(home, im.digest, config, err);
		for (size_t i = 0; r == 0 && config->entrypoint.n == 0 && i < config->cmd.n; i++)
			r = opt_list_add(command, config->cmd.items[i]);
	}
	image_deinit(&im);
	return r;
}

static bool on_path(const char *dir)
{
	const char *path = getenv("PATH");
	size_t len = strlen(dir);

	for (const char *at = path ? path : ""; *at; at += strspn(at, ":")) {
		size_t n = strcspn(at, ":");

		if (n == len && memcmp(at, dir, n) == 0)
			return true;
		at += n;
	}
	return false;
}

static int write_command(
	int dir_fd, const char *name, const struct alias *a, bool force, struct msb_err *err)
{
	struct json *old = NULL;
	struct buf text;
	int r = look_at(dir_fd, name, &old, err);

	if (r == 0)
		json_free(old);
	if (r == -EEXIST)
		return r;
	if (r == 0 && !force)
		return msb_err_hint(err,
			msb_err_set(
				err, -EEXIST, MSB_EXISTS, "'%.128s' is installed already", name),
			"give --force to replace it, or another --name");
	buf_init(&text, ALIAS_BYTES_MAX);
	r = alias_print(a, &text);
	if (r == 0)
		r = io_write_file_atomic(
			dir_fd, name, buf_data(&text), buf_len(&text), 0755, false);
	buf_deinit(&text);
	return r < 0 ? msb_err_errno(err, r, "command '%.128s'", name) : 0;
}

struct installing {
	char home[PATH_MAX];
	char bin[PATH_MAX + 8];
	char exe[PATH_MAX];
	char name[LIMIT_SANDBOX_NAME + 1];
	struct oci_config config;
	struct alias alias;
};

static int describe(struct installing *in, const struct install_args *a,
	const struct opt_words *words, struct msb_err *err)
{
	const char *image = words->operands.items[0];
	ssize_t len = readlink("/proc/self/exe", in->exe, sizeof(in->exe) - 1);
	int r = check_options(a, err);

	if (r == 0 && len < 0)
		r = msb_err_errno(err, -errno, "cannot find my own installation");
	if (r < 0)
		return r;
	in->exe[len] = '\0';
	if (a->name)
		r = str_copy(in->name, sizeof(in->name), a->name) < 0
			    ? -ENAMETOOLONG
			    : alias_name_check(a->name, err);
	else
		r = default_name(image, in->name, sizeof(in->name), err);
	if (r == -ENAMETOOLONG)
		r = msb_err_set(err, r, MSB_USAGE, "the name is too long");
	if (r == 0 && !a->tmp)
		r = sandbox_name_check(in->name, err);
	if (r < 0)
		return r;
	in->alias = (struct alias){.image = image,
		.sandbox = a->tmp ? NULL : in->name,
		.msb = in->exe,
		.home = in->home,
		.lib = getenv("MSB_LIB")};
	r = add_options(a, &in->alias.options);
	for (size_t i = 0; i < words->n_command && r == 0; i++)
		r = opt_list_add(&in->alias.command, words->command[i]);
	if (r < 0)
		return msb_err_errno(err, r, "reading the command line");
	if (words->n_command == 0)
		r = image_command(a, in->home, image, &in->config, &in->alias.command, err);
	return r;
}

static int install(const struct install_args *a, const struct opt_words *words)
{
	struct installing in = {.config = {.os = ""}};
	cleanup_fd int dir_fd = -EBADF;
	struct msb_err err = {0};
	int r = sandbox_home_default(in.home, sizeof(in.home), &err);

	if (r == 0)
		r = describe(&in, a, words, &err);
	if (r == 0) {
		dir_fd = bin_dir(in.home, in.bin, sizeof(in.bin), &err);
		r = MIN(dir_fd, 0);
	}
	if (r == 0)
		r = write_command(dir_fd, in.name, &in.alias, a->force, &err);
	if (r == 0 && !a->quiet) {
		cli_done("Installed", "%s", in.name);
		if (!on_path(in.bin))
			cli_note("%s is not in PATH; add it with: export PATH=\"%s:$PATH\"", in.bin,
				in.bin);
	}
	free(in.alias.options.items);
	free(in.alias.command.items);
	oci_config_deinit(&in.config);
	return r < 0 ? cli_fail(&err) : 0;
}

/* The list. */

static void add_row(struct table *t, const char *name, const struct json *doc)
{
	const struct json *command = json_find(doc, "command");
	const char *image = "-";
	const char *mode = "-";
	struct buf text;
	int r = 0;

	buf_init(&text, ALIAS_BYTES_MAX);
	if (json_opt_str(doc, "image", &image, NULL) < 0 ||
		json_opt_str(doc, "mode", &mode, NULL) < 0)
		image = mode = "-";
	for (const struct json *item = command ? json_first(command) : NULL; item;
		item = json_next(item)) {
		size_t len;
		const char *s = json_bytes(item, &len);

		if (s && r == 0)
			r = buf_printf(&text, "%s%s", buf_len(&text) ? " " : "", s);
	}
	table_add(t, name, 0);
	table_add(t, image, 0);
	table_add(t, mode, 0);
	table_add(t, r == 0 && buf_len(&text) ? buf_cstr(&text) : "-", COMMAND_WIDTH);
	buf_deinit(&text);
}

static void add_object(struct json_out *o, const char *name, const struct json *doc)
{
	json_begin_object(o, NULL);
	json_put_str(o, "name", name);
	json_foreach (item, doc)
		json_put_value(o, json_key(item), item);
	json_end_object(o);
}

struct listing {
	const struct install_args *args;
	struct table table;
	struct json_out json;
	struct buf text;
	unsigned int n;
	int error;
};

static void list_one(struct listing *l, int dir_fd, const char *name)
{
	struct json *doc = NULL;

	if (look_at(dir_fd, name, &doc, NULL) < 0)
		return;
	l->n++;
	if (l->args->format == FORMAT_JSON)
		add_object(&l->json, name, doc);
	else if (l->args->quiet && l->error == 0)
		l->error = buf_printf(&l->text, "%s\n", name);
	else if (!l->args->quiet)
		add_row(&l->table, name, doc);
	json_free(doc);
}

static int print_list(struct listing *l)
{
	int status = CLI_EXIT_FAILED;

	if (l->args->format == FORMAT_JSON) {
		json_end_array(&l->json);
		return cli_print_json(&l->json, &l->text);
	}
	if (l->n == 0 && !l->args->quiet) {
		cli_note("No commands are installed.");
		return 0;
	}
	if (l->error == 0 && !l->args->quiet)
		l->error = table_format(&l->table, &l->text);
	if (l->error == 0)
		status = cli_print(&l->text);
	return status;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int list(const struct install_args *a)
{
	static const char *const header[] = {"NAME", "IMAGE", "MODE", "COMMAND"};
	struct listing l = {.args = a};
	struct msb_err err = {0};
	struct dirent **names = NULL;
	cleanup_fd int dir_fd = -EBADF;
	char home[PATH_MAX];
	char bin[PATH_MAX + 8];
	int status;
	int n;
	int r = sandbox_home_default(home, sizeof(home), &err);

	if (r == 0)
		dir_fd = bin_dir(home, bin, sizeof(bin), &err);
	if (r < 0 || dir_fd < 0)
		return cli_fail(&err);
	n = scandir(bin, &names, NULL, by_name);
	buf_init(&l.text, CLI_TEXT_MAX);
	json_out_init(&l.json, &l.text, JSON_PRETTY);
	table_init(&l.table, header, ARRAY_SIZE(header));
	if (a->format == FORMAT_JSON)
		json_begin_array(&l.json, NULL);
	for (int i = 0; i < n; i++) {
		list_one(&l, dir_fd, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	status = print_list(&l);
	table_deinit(&l.table);
	buf_deinit(&l.text);
	return status;
}

static int run_install(void *args, const struct opt_words *words)
{
	const struct install_args *a = args;
	struct msb_err err = {0};

	if (a->list)
		return list(a);
	if (words->operands.n)
		return install(a, words);
	(void)msb_err_set(&err, -EINVAL, MSB_USAGE, "the image is missing");
	(void)msb_err_hint(&err, -EINVAL, "msb install IMAGE, or msb install --list");
	return cli_fail(&err);
}

const struct cli_command cmd_install = {
	.table = {.name = "install",
		.summary = "Make a command of the host that runs an image",
		.description =
			"Writes a script into MSB_HOME/bin that runs the image, or the command "
			"behind --, with the script's arguments added. Without a command it is "
			"the image's: arguments then take the place of the CMD behind an entry "
			"point, and are added to a CMD that stands alone. The command works in a "
			"sandbox of its name, which stays, or with --tmp in a new one every time.",
		.group = "Installation",
		.opts = install_opts,
		.n_opts = ARRAY_SIZE(install_opts),
		.operands = install_operands,
		.n_operands = ARRAY_SIZE(install_operands),
		.takes_command = true,
		.examples = install_examples,
		.n_examples = ARRAY_SIZE(install_examples)},
	.args_size = sizeof(struct install_args),
	.run = run_install,
};

struct uninstall_args {
	struct cli_common common;
	bool quiet;
};

static const struct opt uninstall_opts[] = {
	{.name = "quiet",
		.letter = 'q',
		.type = OPT_FLAG,
		.offset = offsetof(struct uninstall_args, quiet),
		.help = "No notices"},
};

static const struct opt_operand uninstall_operands[] = {
	{.name = "NAME", .help = "Name of a command", .required = true, .repeatable = true},
};

static int remove_one(int dir_fd, const char *name, struct msb_err *err)
{
	struct json *doc = NULL;
	int r = alias_name_check(name, err);

	if (r == 0)
		r = look_at(dir_fd, name, &doc, err);
	if (r < 0)
		return r;
	json_free(doc);
	return unlinkat(dir_fd, name, 0) < 0 ? msb_err_errno(err, -errno, "command '%s'", name) : 0;
}

static int run_uninstall(void *args, const struct opt_words *words)
{
	const struct uninstall_args *a = args;
	struct msb_err err = {0};
	cleanup_fd int dir_fd = -EBADF;
	char home[PATH_MAX];
	char bin[PATH_MAX + 8];
	int status = 0;

	if (sandbox_home_default(home, sizeof(home), &err) < 0)
		return cli_fail(&err);
	dir_fd = bin_dir(home, bin, sizeof(bin), &err);
	if (dir_fd < 0)
		return cli_fail(&err);
	for (size_t i = 0; i < words->operands.n; i++) {
		const char *name = words->operands.items[i];

		if (remove_one(dir_fd, name, &err) < 0)
			status = cli_fail(&err);
		else if (!a->quiet)
			cli_done("Uninstalled", "%s", name);
	}
	return status;
}

const struct cli_command cmd_uninstall = {
	.table = {.name = "uninstall",
		.summary = "Remove commands of msb install",
		.description = "The sandbox that a command works in stays; msb rm removes it.",
		.group = "Installation",
		.opts = uninstall_opts,
		.n_opts = ARRAY_SIZE(uninstall_opts),
		.operands = uninstall_operands,
		.n_operands = ARRAY_SIZE(uninstall_operands)},
	.args_size = sizeof(struct uninstall_args),
	.run = run_uninstall,
};
