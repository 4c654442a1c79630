/* SPDX-License-Identifier: Apache-2.0 */
/* msb run: a command in a new sandbox, which ends with the command. */
#include <fcntl.h>

#include "base/str.h"

#include "cli/cli.h"
#include "cli/image.h"
#include "cli/run-args.h"
#include "cli/session.h"
#include "cli/term.h"
#include "sandbox/spec.h"
#include "sandbox/state.h"

struct run_args {
	struct cli_common common;
	uint32_t mem_mib;
	uint32_t cpus;
	int engine;
	const char *kernel;
	struct opt_list env;
	const char *workdir;
	const char *user;
	const char *hostname;
	const char *shell;
	const char *entrypoint;
	int tty; /* 1: -t, -1: --no-tty, 0: as stdin and stdout are */
	struct run_tmpfs tmpfs;
	struct run_rlimits rlimits;
	uint64_t timeout_ns;
	uint64_t max_duration_ns;
	bool quiet;
	bool timing;
	int later; /* target of options that do not exist yet */
};

/* Words of the command line that mean something in msb's documentation, but not to this version:
 * an explanation is better than "unknown option". */
static int not_yet(void *target, const char *value, struct msb_err *err)
{
	return msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
		"not supported by this version; sandboxes of msb run are unnamed, have no network "
		"and share no directories");
}

static const char *const engines[] = {
	[ENGINE_AUTO] = "auto", [ENGINE_KVM] = "kvm", [ENGINE_QEMU] = "qemu", NULL};

#define AT(field) .offset = offsetof(struct run_args, field)
#define MACHINE	  .group = "Machine"
#define PROCESS	  .group = "Command"
#define OUTPUT	  .group = "Running"
#define NOT_YET \
	.type = OPT_PARSE, AT(later), .parse = not_yet, .arg = "VALUE", .help = "", .hidden = true

static const struct opt opts[] = {
	{.name = "memory",
		.letter = 'm',
		.type = OPT_MIB,
		AT(mem_mib),
		.arg = "SIZE",
		MACHINE,
		.def = "512M",
		.min = LIMIT_MEM_MIN_MIB,
		.max = LIMIT_MEM_MAX_MIB,
		.help = "Memory of the guest: MiB, or with a unit, 512M, 2G"},
	{.name = "cpus",
		.letter = 'c',
		.type = OPT_U32,
		AT(cpus),
		.arg = "N",
		MACHINE,
		.def = "1",
		.min = 1,
		.max = LIMIT_VCPUS,
		.help = "Number of virtual CPUs"},
	{.name = "tmpfs",
		.type = OPT_PARSE,
		AT(tmpfs),
		.parse = run_parse_tmpfs,
		.arg = "PATH[:SIZE][:OPTS]",
		MACHINE,
		.repeatable = true,
		.help = "Mount a file system in memory, e.g. /scratch:100M or /data:64M:noexec"},
	{.name = "hostname",
		.letter = 'H',
		.type = OPT_STRING,
		AT(hostname),
		.arg = "NAME",
		MACHINE,
		.help = "Host name of the guest"},
	{.name = "engine",
		.type = OPT_CHOICE,
		AT(engine),
		.arg = "ENGINE",
		MACHINE,
		.choices = engines,
		.def = "auto",
		.env = "MSB_ENGINE",
		.help = "What runs the machine; auto takes kvm where it works and emulates "
			"otherwise"},
	{.name = "kernel",
		.type = OPT_STRING,
		AT(kernel),
		.arg = "FILE",
		MACHINE,
		.complete = OPT_COMPLETE_FILE,
		.help = "Boot this kernel (an uncompressed vmlinux with PVH entry) instead of "
			"msb's"},
	{.name = "env",
		.letter = 'e',
		.type = OPT_LIST,
		AT(env),
		.arg = "NAME[=VALUE]",
		PROCESS,
		.help = "Set an environment variable; NAME alone passes on the value from here"},
	{.name = "workdir",
		.letter = 'w',
		.type = OPT_STRING,
		AT(workdir),
		.arg = "DIR",
		PROCESS,
		.help = "Working directory, / by default"},
	{.name = "user",
		.letter = 'u',
		.type = OPT_STRING,
		AT(user),
		.arg = "USER[:GROUP]",
		PROCESS,
		.help = "Run as this user, by name or number; root by default"},
	{.name = "entrypoint",
		.type = OPT_STRING,
		AT(entrypoint),
		.arg = "PROGRAM",
		PROCESS,
		.help = "Program that gets the command as its arguments"},
	{.name = "shell",
		.type = OPT_STRING,
		AT(shell),
		.arg = "PROGRAM",
		PROCESS,
		.help = "What runs when no command is given, /bin/sh by default"},
	{.name = "rlimit",
		.type = OPT_PARSE,
		AT(rlimits),
		.parse = run_parse_rlimit,
		.arg = "NAME=SOFT[:HARD]",
		PROCESS,
		.repeatable = true,
		.help = "Resource limit of the command, e.g. nofile=1024:2048 or core=unlimited"},
	{.name = "tty",
		.letter = 't',
		.type = OPT_CONST,
		AT(tty),
		.value = 1,
		OUTPUT,
		.excludes = "no-tty",
		.help = "Give the command a terminal; done by itself when stdin and stdout are "
			"one"},
	{.name = "no-tty",
		.type = OPT_CONST,
		AT(tty),
		.value = -1,
		OUTPUT,
		.help = "No terminal: stdout and stderr stay apart"},
	{.name = "timeout",
		.type = OPT_DURATION,
		AT(timeout_ns),
		.arg = "TIME",
		OUTPUT,
		.min = 1,
		.help = "Kill the command after this long (30s, 5m) and exit with 124"},
	{.name = "max-duration",
		.type = OPT_DURATION,
		AT(max_duration_ns),
		.arg = "TIME",
		OUTPUT,
		.min = 1,
		.help = "Stop the sandbox after this long, its start included"},
	{.name = "quiet",
		.letter = 'q',
		.type = OPT_FLAG,
		AT(quiet),
		OUTPUT,
		.help = "No progress and no notices"},
	{.name = "timing",
		.type = OPT_FLAG,
		AT(timing),
		OUTPUT,
		.help = "Show on stderr when each phase of the run ended"},
	{.name = "name", .letter = 'n', NOT_YET},
	{.name = "volume", .letter = 'v', NOT_YET},
	{.name = "port", .letter = 'p', NOT_YET, .aliases = {"publish"}},
};

static const struct opt_operand operands[] = {
	{.name = "IMAGE",
		.complete = OPT_COMPLETE_FILE,
		.help = "What the guest runs on: base (the default, a busybox system), a directory "
			"with a root file system (changes are not written back), or a raw disk "
			"image "
			"with an ext4 (written to) or EROFS file system"},
};

static const struct opt_example examples[] = {
	{"One command in the image base", "msb run -- uname -a"},
	{"A shell", "msb run"},
	{"More machine, less time", "msb run -m 2G -c 4 --timeout 30s base -- nproc"},
	{"A root file system of your own",
		"mmdebstrap bookworm ./root && msb run ./root -- cat /etc/os-release"},
	{"Through a pipe", "echo 'print me' | msb run -- tr a-z A-Z"},
};

/* Options may be empty strings where that cannot mean anything. */
static int check_words(const struct run_args *a, struct msb_err *err)
{
	const struct {
		const char *option;
		const char *value;
	} words[] = {
		{"--hostname", a->hostname},
		{"--workdir", a->workdir},
		{"--user", a->user},
		{"--shell", a->shell},
		{"--entrypoint", a->entrypoint},
		{"--kernel", a->kernel},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].value && !words[i].value[0])
			return msb_err_set(err, -EINVAL, MSB_USAGE, "option %s: the value is empty",
				words[i].option);
	}
	if (a->workdir && a->workdir[0] != '/') {
		char quoted[120];

		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"option --workdir: %s is not an absolute path",
			str_quote(quoted, sizeof(quoted), a->workdir, strlen(a->workdir)));
	}
	return 0;
}

/* Absolute, because the supervisor has another working directory. */
static int find_kernel(const char *word, char *to, size_t size, struct msb_err *err)
{
	cleanup_free char *real = NULL;
	char quoted[160];
	int r;

	to[0] = '\0';
	if (!word)
		return 0;
	(void)str_quote(quoted, sizeof(quoted), word, strlen(word));
	real = realpath(word, NULL);
	if (!real || access(real, R_OK) < 0)
		return msb_err_errno(err, -errno, "cannot read kernel %s", quoted);
	r = str_copy(to, size, real);
	return r < 0 ? msb_err_errno(err, r, "kernel %s", quoted) : 0;
}

/* Entry point and command, or the shell. The list ends with NULL. */
static int make_argv(const struct run_args *a, const struct opt_words *words, struct opt_list *ret)
{
	int r = a->entrypoint ? opt_list_add(ret, a->entrypoint) : 0;

	for (size_t i = 0; i < words->n_command && r == 0; i++)
		r = opt_list_add(ret, words->command[i]);
	if (r == 0 && ret->n == 0)
		r = opt_list_add(ret, a->shell ? a->shell : "/bin/sh");
	return r;
}

/* The terminal's type goes with the terminal, unless the user says otherwise. */
static int make_exec_env(
	const struct run_args *a, bool pty, char *term, size_t size, const char **ret)
{
	const char *value = getenv("TERM");

	*ret = NULL;
	for (size_t i = 0; i < a->env.n; i++) {
		if (streq(a->env.items[i], "TERM") || str_starts(a->env.items[i], "TERM="))
			return 0;
	}
	if (!pty || !value || !*value)
		return 0;
	if ((size_t)snprintf(term, size, "TERM=%s", value) < size)
		*ret = term;
	return 0;
}

static void fill_spec(struct sandbox_spec *spec, const struct run_args *a)
{
	spec->ephemeral = true;
	spec->engine = (enum engine_kind)a->engine;
	spec->vcpus = a->cpus;
	spec->mem_mib = a->mem_mib;
	spec->hostname = a->hostname;
	spec->user = a->user;
	spec->workdir = a->workdir;
	spec->shell = a->shell;
	spec->n_tmpfs = a->tmpfs.n;
	memcpy(spec->tmpfs, a->tmpfs.list, sizeof(spec->tmpfs));
	spec->n_rlimits = a->rlimits.n;
	memcpy(spec->rlimits, a->rlimits.list, sizeof(spec->rlimits));
	spec->max_duration_ns = a->max_duration_ns;
	spec->log_level = (enum log_level)a->common.log_level;
}

struct run {
	const struct run_args *args;
	struct opt_list argv;
	struct opt_list env;
	struct image image;
	struct sandbox_spec spec;
	char name[SANDBOX_NAME_GENERATED];
	char home[PATH_MAX];
	char lib_dir[PATH_MAX];
	char kernel[PATH_MAX];
};

/* All that needs no look at the image: mistakes in options come first. */
static int describe(struct run *run, const struct opt_words *words, struct msb_err *err)
{
	const struct run_args *a = run->args;
	int r = check_words(a, err);

	if (r == 0)
		r = run_make_env(&a->env, &run->env, err);
	if (r == 0)
		r = cli_lib_dir(run->lib_dir, sizeof(run->lib_dir), err);
	if (r == 0)
		r = sandbox_home_default(run->home, sizeof(run->home), err);
	if (r == 0)
		r = find_kernel(a->kernel, run->kernel, sizeof(run->kernel), err);
	if (r < 0)
		return r;
	r = make_argv(a, words, &run->argv);
	if (r == -E2BIG)
		return msb_err_set(
			err, r, MSB_USAGE, "the command has more than %u words", LIMIT_ARGV);
	if (r < 0)
		return msb_err_errno(err, r, "reading the command line");
	r = sandbox_name_generate(run->name);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make a name for the sandbox");

	fill_spec(&run->spec, a);
	run->spec.name = run->name;
	run->spec.home = run->home;
	run->spec.lib_dir = run->lib_dir;
	run->spec.kernel_path = run->kernel;
	run->spec.env = run->env.n ? run->env.items : NULL;
	return sandbox_spec_check(&run->spec, err);
}

static int find_image(struct run *run, const struct opt_words *words, struct msb_err *err)
{
	const char *word = words->operands.n ? words->operands.items[0] : "base";
	struct image *im = &run->image;
	int r = image_resolve(word, run->lib_dir, im, err);

	if (r == 0)
		r = image_pack(im, run->home, err);
	if (r < 0)
		return r;
	run->spec.image = word;
	run->spec.image_kind = im->kind;
	run->spec.image_path = im->path;
	run->spec.root_kind = im->root_kind;
	run->spec.root_fstype = im->fstype;
	return 0;
}

static int attach(const struct run *run)
{
	const struct run_args *a = run->args;
	bool in_tty = isatty(STDIN_FILENO);
	/* In the background reading the terminal would only stop us. */
	bool background = in_tty && !term_foreground(STDIN_FILENO);
	bool pty = a->tty > 0 || (a->tty == 0 && in_tty && isatty(STDOUT_FILENO) && !background);
	const char *env[2] = {NULL, NULL};
	char term[160];
	struct session_opts so = {
		.spec = &run->spec,
		.image_fd = run->image.fd >= 0 ? run->image.fd : -1,
		.argv = run->argv.items,
		.env = env,
		.pty = pty,
		.raw = pty && in_tty,
		.use_stdin = !background,
		.quiet = a->quiet,
		.timing = a->timing,
		.timeout_ns = a->timeout_ns,
	};

	(void)make_exec_env(a, pty, term, sizeof(term), &env[0]);
	return session_run(&so);
}

static int run_run(void *args, const struct opt_words *words)
{
	struct run_args *a = args;
	struct run run = {.args = a, .image.fd = -EBADF};
	struct msb_err err = {0};
	int status;
	int r;

	sandbox_spec_init(&run.spec);
	r = describe(&run, words, &err);
	if (r == 0)
		r = find_image(&run, words, &err);
	status = r < 0 ? cli_fail(&err) : attach(&run);
	image_deinit(&run.image);
	run_env_deinit(&run.env);
	free(run.argv.items);
	run_tmpfs_deinit(&a->tmpfs);
	return status;
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
			"The first word that is no option is the image, unless it stands behind "
			"--; "
			"what follows is the command, with its own options.",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
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
