/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "base/opt.h"
#include "base/str.h"

#include "test.h"

struct args {
	bool verbose;
	bool quiet;
	int tty;
	const char *user;
	uint32_t cpus;
	uint32_t mem_mib;
	uint64_t timeout_ns;
	int engine;
	struct opt_list env;
	struct opt_list labels;
	unsigned int parsed;
	bool secret;
	bool help;
	const char *dir;
};

static int parse_even(void *target, const char *value, struct msb_err *err)
{
	uint64_t n;

	if (str_to_u64(value, &n) < 0 || n % 2)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "not even");
	*(unsigned int *)target += (unsigned int)n;
	return 0;
}

static const char *const engines[] = {"auto", "kvm", "qemu", NULL};

#define AT(field) .offset = offsetof(struct args, field)

static const struct opt run_opts[] = {
	{.name = "memory",
		.letter = 'm',
		.type = OPT_MIB,
		AT(mem_mib),
		.arg = "SIZE",
		.help = "Memory of the guest",
		.group = "Machine",
		.def = "512M",
		.min = 64,
		.max = 1024 * 1024},
	{.name = "cpus",
		.letter = 'c',
		.type = OPT_U32,
		AT(cpus),
		.arg = "N",
		.help = "Virtual CPUs",
		.group = "Machine",
		.def = "1",
		.min = 1,
		.max = 64},
	{.name = "engine",
		.type = OPT_CHOICE,
		AT(engine),
		.arg = "ENGINE",
		.help = "How to run it",
		.group = "Machine",
		.env = "MSB_TEST_ENGINE",
		.choices = engines},
	{.name = "env",
		.letter = 'e',
		.type = OPT_LIST,
		AT(env),
		.arg = "K=V",
		.help = "Environment variable of 'it'",
		.group = "Process"},
	{.name = "label", .type = OPT_LIST, AT(labels), .arg = "K[=V]", .help = "Label: any"},
	{.name = "user",
		.letter = 'u',
		.type = OPT_STRING,
		AT(user),
		.arg = "USER",
		.help = "User",
		.group = "Process",
		.aliases = {"login", "as"}},
	{.name = "tty",
		.letter = 't',
		.type = OPT_CONST,
		AT(tty),
		.value = 1,
		.help = "Terminal",
		.excludes = "no-tty"},
	{.name = "no-tty", .type = OPT_CONST, AT(tty), .value = -1, .help = "No terminal"},
	{.name = "timeout",
		.type = OPT_DURATION,
		AT(timeout_ns),
		.arg = "TIME",
		.min = 1,
		.help = "End it"},
	{.name = "even",
		.type = OPT_PARSE,
		AT(parsed),
		.arg = "N",
		.parse = parse_even,
		.help = "Even number",
		.repeatable = true,
		.complete = OPT_COMPLETE_FILE},
	{.name = "secret", .type = OPT_FLAG, AT(secret), .help = "Internal", .hidden = true},
	{.name = "dir",
		.type = OPT_STRING,
		AT(dir),
		.arg = "DIR",
		.help = "Place",
		.config = "run.dir"},
};

static const struct opt common_opts[] = {
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "Say less"},
	{.name = "help", .type = OPT_FLAG, AT(help), .help = "Say how", .alone = true},
};

static const struct opt top_opts[] = {
	{.name = "verbose", .letter = 'V', .type = OPT_FLAG, AT(verbose), .help = "Say more"},
};

static const struct opt_operand run_operands[] = {
	{.name = "IMAGE", .help = "What to boot", .complete = OPT_COMPLETE_FILE},
};

static const struct opt_example run_examples[] = {
	{"Say it", "msb run base -- echo it"},
};

static const struct opt_command run = {
	.name = "run",
	.summary = "Run a command",
	.description = "First paragraph.\n\nSecond paragraph with words enough to be broken over "
		       "more than one line of text, which is what wrapping is about.",
	.group = "Sandboxes",
	.opts = run_opts,
	.n_opts = ARRAY_SIZE(run_opts),
	.operands = run_operands,
	.n_operands = ARRAY_SIZE(run_operands),
	.takes_command = true,
	.examples = run_examples,
	.n_examples = ARRAY_SIZE(run_examples),
	.exit_status = ".starts with a dot",
};

static const char *const shells[] = {"bash", "fish", NULL};
static const struct opt_operand pick_operands[] = {
	{.name = "SHELL", .help = "Which", .choices = shells, .required = true},
};
static const struct opt_command pick = {
	.name = "pick",
	.aliases = {"box pick"},
	.summary = "Pick one",
	.group = "Other",
	.operands = pick_operands,
	.n_operands = ARRAY_SIZE(pick_operands),
};
static const struct opt_operand many_operands[] = {
	{.name = "NAME", .help = "Names", .required = true, .repeatable = true},
};
static const struct opt_command many = {
	.name = "many",
	.summary = "Take many",
	.group = "Other",
	.operands = many_operands,
	.n_operands = ARRAY_SIZE(many_operands),
};
static const struct opt_command internal = {
	.name = "internal-thing", .summary = "Nothing", .group = "Other", .hidden = true};

static const struct opt_command box_ls = {.name = "box ls",
	.aliases = {"boxes", "box list"},
	.summary = "List boxes",
	.group = "Boxes",
	.operands = pick_operands,
	.n_operands = ARRAY_SIZE(pick_operands)};
static const struct opt_command box_open = {
	.name = "box open", .summary = "Open one", .group = "Boxes"};

static const struct opt_command *const commands[] = {
	&run, &pick, &many, &box_ls, &box_open, &internal};

static const struct opt_group groups[] = {{"box", "Boxes of all kinds"}};

static unsigned int looked_up; /* how often */

static int configured(
	void *arg, const char *key, char number[OPT_NUMBER], const char **ret, struct msb_err *err)
{
	looked_up++;
	if (!getenv("MSB_TEST_BROKEN")) {
		*ret = "/configured";
		return 0;
	}
	return msb_err_set(err, -EINVAL, MSB_USAGE, "the file is broken");
}

static const struct opt_program prog = {
	.name = "msb",
	.version = "1.2.3",
	.summary = "Sandboxes",
	.common = common_opts,
	.n_common = ARRAY_SIZE(common_opts),
	.commands = commands,
	.n_commands = ARRAY_SIZE(commands),
	.groups = groups,
	.n_groups = ARRAY_SIZE(groups),
	.top = top_opts,
	.n_top = ARRAY_SIZE(top_opts),
	.configured = configured,
};

enum { WORDS_MAX = 16 };

/* Splits at blanks. */
static int parse(const struct opt_command *cmd, const char *line, struct args *args,
	struct opt_words *words, struct msb_err *err)
{
	static char copy[256];
	static char *argv[WORDS_MAX + 1];
	char *save = NULL;
	int argc = 0;

	*args = (struct args){.verbose = false};
	ASSERT_OK(str_copy(copy, sizeof(copy), line));
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		ASSERT_TRUE(argc < WORDS_MAX);
		argv[argc++] = w;
	}
	argv[argc] = NULL;
	return opt_parse(&prog, cmd, argc, argv, args, words, err);
}

static void release(const struct opt_command *cmd, struct args *args, struct opt_words *words)
{
	opt_deinit(&prog, cmd, args);
	opt_words_deinit(words);
}

/* The line is refused with this message and hint. */
static void refuse(const char *line, const char *msg, const char *hint)
{
	struct args args;
	struct opt_words words;
	struct msb_err err = {0};

	ASSERT_ERR(parse(&run, line, &args, &words, &err), EINVAL);
	ASSERT_STREQ(err.msg, msg);
	ASSERT_STREQ(err.hint, hint);
	ASSERT_EQ(err.kind, MSB_USAGE);
	ASSERT_EQ(msb_kind_exit_code(err.kind), 2);
}

/* Options of two tables, the first of which is about a struct inside the arguments. */
TEST(options_may_be_about_a_part_of_the_arguments)
{
	struct part {
		const char *name;
		struct opt_list list;
	};
	struct whole {
		struct args args; /* of common_opts */
		bool loud;
		struct part part;
	};
	static const struct opt part_opts[] = {
		{.name = "name",
			.type = OPT_STRING,
			.offset = offsetof(struct part, name),
			.arg = "NAME",
			.help = "Name"},
		{.name = "item",
			.type = OPT_LIST,
			.offset = offsetof(struct part, list),
			.arg = "ITEM",
			.help = "Item"},
		{.name = NULL},
	};
	static const struct opt whole_opts[] = {
		{.name = "loud",
			.type = OPT_FLAG,
			.offset = offsetof(struct whole, loud),
			.excludes = "quiet",
			.help = "Be loud"},
	};
	static const struct opt_command c = {.name = "both",
		.summary = "Both",
		.opts = part_opts,
		.n_opts = OPT_ENDED,
		.opts_at = offsetof(struct whole, part),
		.more = whole_opts,
		.n_more = ARRAY_SIZE(whole_opts)};
	char n[] = "--name=x";
	char i[] = "--item=y";
	char l[] = "--loud";
	char q[] = "--quiet";
	char *argv[] = {n, l, i, NULL};
	char *both[] = {l, q, NULL};
	struct whole w = {.loud = false};
	struct opt_words words;
	struct msb_err err = {0};
	struct buf text;

	ASSERT_OK(opt_parse(&prog, &c, 3, argv, &w, &words, &err));
	ASSERT_STREQ(w.part.name, "x");
	ASSERT_EQ(w.part.list.n, 1);
	ASSERT_STREQ(w.part.list.items[0], "y");
	ASSERT_TRUE(w.loud);
	opt_deinit(&prog, &c, &w);
	opt_words_deinit(&words);
	ASSERT_EQ(w.part.list.n, 0);
	w = (struct whole){.loud = false};
	ASSERT_ERR(opt_parse(&prog, &c, 2, both, &w, &words, &err), EINVAL);
	opt_deinit(&prog, &c, &w);
	opt_words_deinit(&words);
	buf_init(&text, 65536);
	ASSERT_OK(opt_help(&prog, &c, &text));
	ASSERT_TRUE(strstr(buf_cstr(&text), "--item") != NULL);
	ASSERT_TRUE(strstr(buf_cstr(&text), "--loud") != NULL);
	buf_deinit(&text);
}

TEST(every_type_and_every_spelling)
{
	struct args a;
	struct opt_words w;
	struct msb_err err = {0};

	ASSERT_OK(parse(&run,
		"-m 1G -c8 -e A=1 -eB=2 --env=C=3 --env D=4 -e=E= --user=me -tq --timeout 1.5s", &a,
		&w, &err));
	ASSERT_EQ(a.mem_mib, 1024);
	ASSERT_EQ(a.cpus, 8);
	ASSERT_EQ(a.env.n, 5);
	ASSERT_STREQ(a.env.items[0], "A=1");
	ASSERT_STREQ(a.env.items[1], "B=2");
	ASSERT_STREQ(a.env.items[2], "C=3");
	ASSERT_STREQ(a.env.items[3], "D=4");
	ASSERT_STREQ(a.env.items[4], "E=");
	ASSERT_TRUE(a.env.items[5] == NULL);
	ASSERT_STREQ(a.user, "me");
	ASSERT_EQ(a.tty, 1);
	ASSERT_TRUE(a.quiet);
	ASSERT_EQ(a.timeout_ns, 3 * NSEC_PER_SEC / 2);
	release(&run, &a, &w);

	ASSERT_OK(parse(
		&run, "--engine kvm --even 2 --even=4 --login x --no-tty -m=64", &a, &w, &err));
	ASSERT_EQ(a.engine, 1);
	ASSERT_EQ(a.parsed, 6);
	ASSERT_STREQ(a.user, "x");
	ASSERT_EQ(a.tty, -1);
	ASSERT_EQ(a.mem_mib, 64);
	release(&run, &a, &w);
}

TEST(default_environment_command_line)
{
	struct args a;
	struct opt_words w;
	struct msb_err err = {0};

	ASSERT_OK(parse(&run, "", &a, &w, &err));
	ASSERT_EQ(a.mem_mib, 512);
	ASSERT_EQ(a.cpus, 1);
	ASSERT_EQ(a.engine, 0);
	ASSERT_OK(setenv("MSB_TEST_ENGINE", "qemu", 1));
	ASSERT_OK(parse(&run, "", &a, &w, &err));
	ASSERT_EQ(a.engine, 2);
	ASSERT_OK(parse(&run, "--engine kvm", &a, &w, &err));
	ASSERT_EQ(a.engine, 1);
	ASSERT_OK(setenv("MSB_TEST_ENGINE", "xen", 1));
	refuse("", "environment variable MSB_TEST_ENGINE: 'xen' is not one of auto, kvm or qemu",
		"");
	ASSERT_OK(parse(&run, "--engine kvm", &a, &w, &err));
	ASSERT_OK(setenv("MSB_TEST_ENGINE", "", 1));
	ASSERT_OK(parse(&run, "", &a, &w, &err));
}

/* What asks for help gets it, however broken all else is. */
TEST(help_stands_alone)
{
	struct args a;
	struct opt_words w;
	struct msb_err err = {0};

	looked_up = 0;
	ASSERT_OK(parse(&run, "", &a, &w, &err));
	ASSERT_STREQ(a.dir, "/configured");
	ASSERT_EQ(looked_up, 1);
	ASSERT_OK(setenv("MSB_TEST_BROKEN", "1", 1));
	ASSERT_OK(setenv("MSB_TEST_ENGINE", "xen", 1));
	refuse("", "the file is broken", "");
	refuse("--dir /",
		"environment variable MSB_TEST_ENGINE: 'xen' is not one of auto, kvm or qemu", "");
	ASSERT_OK(parse(&run, "--tty --no-tty --help", &a, &w, &err));
	ASSERT_TRUE(a.help);
	ASSERT_EQ(looked_up, 2);
	ASSERT_OK(unsetenv("MSB_TEST_BROKEN"));
	ASSERT_OK(unsetenv("MSB_TEST_ENGINE"));
}

TEST(later_options_win)
{
	struct args a;
	struct opt_words w;
	struct msb_err err = {0};

	ASSERT_OK(parse(&run, "-m 1G -m 2G", &a, &w, &err));
	ASSERT_EQ(a.mem_mib, 2048);
}

static void words_are(const char *line, const char *image, const char *command)
{
	struct args a;
	struct opt_words w;
	struct msb_err err = {0};
	char joined[256] = "";
	size_t at = 0;

	if (parse(&run, line, &a, &w, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", line, err.msg);
	for (size_t i = 0; i < w.n_command; i++)
		at += (size_t)snprintf(
			joined + at, sizeof(joined) - at, "%s%s", i ? " " : "", w.command[i]);
	ASSERT_STREQ(w.operands.n ? w.operands.items[0] : "", image);
	ASSERT_STREQ(joined, command);
	release(&run, &a, &w);
}

TEST(operands_and_command)
{
	words_are("", "", "");
	words_are("-- echo hi", "", "echo hi");
	words_are("base", "base", "");
	words_are("base ls -l --all", "base", "ls -l --all");
	words_are("base -c 2 ls -l", "base", "ls -l");
	words_are("-c 2 base -- -x -- y", "base", "-x -- y");
	words_are("-c 2 -- base", "", "base");
	words_are("base sh -c -- x", "base", "sh -c -- x");
	words_are("- cat", "-", "cat");
}

TEST(operand_counts_and_choices)
{
	struct args a;
	struct opt_words w;
	struct msb_err err = {0};

	ASSERT_OK(parse(&pick, "fish", &a, &w, &err));
	ASSERT_OK(opt_check_operands(&prog, &pick, &w, &err));
	release(&pick, &a, &w);
	ASSERT_OK(parse(&pick, "", &a, &w, &err));
	ASSERT_ERR(opt_check_operands(&prog, &pick, &w, &err), EINVAL);
	ASSERT_STREQ(err.msg, "SHELL is missing");
	ASSERT_STREQ(err.hint, "see 'msb pick --help'");
	release(&pick, &a, &w);
	ASSERT_OK(parse(&pick, "csh", &a, &w, &err));
	ASSERT_ERR(opt_check_operands(&prog, &pick, &w, &err), EINVAL);
	ASSERT_STREQ(err.msg, "SHELL must be bash or fish, not 'csh'");
	release(&pick, &a, &w);
	ASSERT_OK(parse(&pick, "bash -- -q", &a, &w, &err));
	ASSERT_TRUE(!a.quiet);
	ASSERT_ERR(opt_check_operands(&prog, &pick, &w, &err), EINVAL);
	ASSERT_STREQ(err.msg, "unexpected argument '-q'");
	release(&pick, &a, &w);
	ASSERT_OK(parse(&many, "a b -q c", &a, &w, &err));
	ASSERT_TRUE(a.quiet);
	ASSERT_EQ(w.operands.n, 3);
	ASSERT_OK(opt_check_operands(&prog, &many, &w, &err));
	release(&many, &a, &w);
	ASSERT_OK(parse(NULL, "-V", &a, &w, &err));
	ASSERT_TRUE(a.verbose);
}

TEST(errors_say_what_and_how)
{
	refuse("--memroy 1", "unknown option '--memroy'", "did you mean --memory?");
	refuse("--mem=1", "unknown option '--mem'", "did you mean --memory?");
	refuse("--qiet", "unknown option '--qiet'", "did you mean --quiet?");
	refuse("--frobnicate", "unknown option '--frobnicate'", "see 'msb run --help'");
	refuse("--secrt", "unknown option '--secrt'", "see 'msb run --help'");
	refuse("-x", "unknown option '-x'", "see 'msb run --help'");
	refuse("-qx", "unknown option '-x'", "see 'msb run --help'");
	refuse("--quiet=1", "option --quiet takes no value", "see 'msb run --help'");
	refuse("-m", "option --memory needs a value (SIZE)", "see 'msb run --help'");
	refuse("-m 0", "option --memory: '0' is out of range", "choose 64M to 1024G");
	refuse("-m 9999999999999999999999",
		"option --memory: '9999999999999999999999' is out of "
		"range",
		"choose 64M to 1024G");
	refuse("-m abc", "option --memory: 'abc' is not a size",
		"write MiB or a unit, for example 512M or 2G");
	refuse("-c 999", "option --cpus: '999' is out of range", "choose 1 to 64");
	refuse("-c -1", "option --cpus: '-1' is not a whole number", "");
	refuse("--timeout 5x", "option --timeout: '5x' is not a duration",
		"write seconds or a unit, for example 500ms, 30s, 5m or 1h");
	refuse("--timeout 0", "option --timeout: '0' is out of range", "");
	refuse("--timeout 200000d", "option --timeout: '200000d' is out of range", "");
	refuse("--engine xen", "option --engine: 'xen' is not one of auto, kvm or qemu", "");
	refuse("--even 3", "option --even: not even", "");
	refuse("-t --no-tty", "options --tty and --no-tty exclude each other", "");
	refuse("--no-tty base -t", "options --tty and --no-tty exclude each other", "");
}

TEST(control_bytes_do_not_reach_the_terminal)
{
	refuse("--\033[31m", "unknown option '--\\x1b[31m'", "see 'msb run --help'");
}

/* @line is split at blanks; @near NULL: nothing comes near. */
static void finds(const char *line, const struct opt_command *cmd, size_t used, const char *near)
{
	const char *words[4] = {NULL};
	char copy[64];
	char *save = NULL;
	struct opt_found f;
	size_t n = 0;

	ASSERT_OK(str_copy(copy, sizeof(copy), line));
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	opt_find(&prog, words, n, &f);
	if (f.cmd != cmd || (cmd && f.used != used) || !f.near != !near ||
		(near && !streq(near, f.near)))
		test_fail(__FILE__, __LINE__, "%s: %s, %zu words, near %s", line,
			f.cmd ? f.cmd->name : "nothing", f.used, f.near ? f.near : "nothing");
	ASSERT_TRUE((f.group != NULL) == (n && streq(words[0], "box")));
}

TEST(commands_are_found_and_suggested)
{
	finds("run", &run, 1, NULL);
	finds("run ls", &run, 1, NULL);
	finds("internal-thing", &internal, 1, NULL);
	finds("rnu", NULL, 0, "run");
	finds("internal-thin", NULL, 0, NULL);
	finds("frobnicate", NULL, 0, NULL);
	finds("", NULL, 0, NULL);

	finds("box ls x", &box_ls, 2, NULL);
	finds("box list", &box_ls, 2, NULL);
	finds("boxes", &box_ls, 1, NULL);
	finds("boxes ls", &box_ls, 1, NULL);
	finds("box", NULL, 0, NULL);
	finds("box pick bash", &pick, 2, NULL);
	finds("box oepn", NULL, 0, "box open");
	finds("box run", NULL, 0, NULL);
	finds("bxo", NULL, 0, "box");
	finds("boxe", NULL, 0, "boxes");
	finds("box ls2", NULL, 0, "box ls");
	finds("open", NULL, 0, NULL);
	finds("ls", NULL, 0, NULL);
}

TEST(lists_are_capped)
{
	struct opt_list list = {.n = 0};

	for (unsigned int i = 0; i < LIMIT_ARGV; i++)
		ASSERT_OK(opt_list_add(&list, "x"));
	ASSERT_ERR(opt_list_add(&list, "x"), E2BIG);
	free(list.items);
}

typedef int generate_fn(struct buf *out);

static int gen_help(struct buf *out)
{
	return opt_help(&prog, &run, out);
}

static int gen_man(struct buf *out)
{
	return opt_man(&prog, &run, out);
}

static int gen_tree(struct buf *out)
{
	return opt_tree(&prog, NULL, out);
}

static int gen_bash(struct buf *out)
{
	return opt_completion(&prog, OPT_BASH, out);
}

static int gen_zsh(struct buf *out)
{
	return opt_completion(&prog, OPT_ZSH, out);
}

static int gen_fish(struct buf *out)
{
	return opt_completion(&prog, OPT_FISH, out);
}

static int gen_program_help(struct buf *out)
{
	return opt_help(&prog, NULL, out);
}

static int gen_group_help(struct buf *out)
{
	return opt_group_help(&prog, &groups[0], out);
}

static int gen_group_tree(struct buf *out)
{
	return opt_group_tree(&prog, &groups[0], out);
}

static int gen_program_man(struct buf *out)
{
	return opt_man(&prog, NULL, out);
}

static generate_fn *const generators[] = {gen_help, gen_man, gen_tree, gen_bash, gen_zsh, gen_fish,
	gen_program_help, gen_program_man, gen_group_help, gen_group_tree};

/* @format holds one %s for the option's name; roff escapes its dashes. */
static void names_every_option(generate_fn *fn, const char *prefix, bool roff)
{
	struct buf b;
	const char *text;

	buf_init(&b, MIB);
	ASSERT_OK(fn(&b));
	text = buf_cstr(&b);
	for (size_t i = 0; i < ARRAY_SIZE(run_opts); i++) {
		char want[80];
		size_t at = (size_t)snprintf(want, sizeof(want), "%s", prefix);

		for (const char *c = run_opts[i].name; *c; c++)
			at += (size_t)snprintf(want + at, sizeof(want) - at, "%s%c",
				roff && *c == '-' ? "\\" : "", *c);
		if (!!strstr(text, want) == run_opts[i].hidden)
			test_fail(__FILE__, __LINE__, "%s is %s:\n%s", want,
				run_opts[i].hidden ? "shown" : "missing", text);
	}
	ASSERT_TRUE(strstr(text, "quiet") != NULL);
	ASSERT_TRUE(strstr(text, "internal-thing") == NULL);
	ASSERT_TRUE(strstr(text, "login") == NULL);
	buf_deinit(&b);
}

TEST(all_texts_name_the_same_options)
{
	names_every_option(gen_help, "--", false);
	names_every_option(gen_man, "\\fB\\-\\-", true);
	names_every_option(gen_tree, "--", false);
	names_every_option(gen_bash, "--", false);
	names_every_option(gen_zsh, "--", false);
	names_every_option(gen_fish, "-l ", false);
}

TEST(help_shows_defaults_and_fits_the_screen)
{
	struct buf b;
	const char *text;

	buf_init(&b, MIB);
	ASSERT_OK(opt_help(&prog, &run, &b));
	text = buf_cstr(&b);
	ASSERT_TRUE(strstr(text, "Usage: msb run [OPTIONS] [IMAGE] [--] [COMMAND [ARG...]]\n"));
	ASSERT_TRUE(strstr(text, "-m, --memory SIZE"));
	ASSERT_TRUE(strstr(text, "[default: 512M]"));
	ASSERT_TRUE(strstr(text, "[env: MSB_TEST_ENGINE]"));
	ASSERT_TRUE(strstr(text, "auto, kvm, qemu"));
	ASSERT_TRUE(strstr(text, "(repeatable)"));
	ASSERT_TRUE(strstr(text, "\n  msb run base -- echo it\n"));
	ASSERT_TRUE(strstr(text, "\nMachine:\n"));
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > 80)
			test_fail(__FILE__, __LINE__, "long line: %.*s", (int)len, text);
		text += len + (text[len] != '\0');
	}
	buf_deinit(&b);
}

TEST(man_page_is_well_formed)
{
	struct buf b;
	const char *text;

	buf_init(&b, MIB);
	ASSERT_OK(opt_man(&prog, &run, &b));
	text = buf_cstr(&b);
	ASSERT_TRUE(str_starts(text, ".TH \"MSB-RUN\" 1 \"\" \"msb 1.2.3\""));
	ASSERT_TRUE(strstr(text, "\nmsb\\-run \\- Run a command\n") != NULL);
	ASSERT_TRUE(strstr(text, "\n\\&.starts with a dot\n") != NULL);
	ASSERT_TRUE(strstr(text, ".BR msb (1)") != NULL);
	buf_deinit(&b);
}

static void has_text(int (*fn)(struct buf *out), const char *want)
{
	struct buf b;

	buf_init(&b, MIB);
	ASSERT_OK(fn(&b));
	if (!strstr(buf_cstr(&b), want))
		test_fail(__FILE__, __LINE__, "%s is missing:\n%s", want, buf_cstr(&b));
	buf_deinit(&b);
}

TEST(groups_are_in_all_texts)
{
	struct buf b;

	has_text(gen_program_help, "\nBoxes:\n  box ls                  List boxes\n");
	has_text(gen_tree, "\n  box open\n    -q, --quiet\n    --help\n");
	has_text(gen_group_help, "Usage: msb box COMMAND");
	has_text(gen_group_help, "\n  ls                      List boxes\n  open ");
	has_text(gen_group_help, "\n  pick                    Pick one\n");
	has_text(gen_group_tree, "\n  ls\n    -q, --quiet\n    --help\n  open\n");
	has_text(gen_program_man, ".BR msb\\-box\\-ls (1)");
	has_text(gen_bash, "_msb_offer 'run pick many box ");
	has_text(gen_bash, "\t'box ls' | 'boxes' | 'box list')\n");
	has_text(gen_bash, "\tbox)\n\t\t_msb_offer 'pick ls open'\n");
	has_text(gen_zsh, "\tboxes)\n\t\t_arguments");
	has_text(gen_zsh, "\tbox)\n\tcommands=(\n\t\t'pick:Pick one'\n\t\t'ls:List boxes'\n");
	has_text(gen_fish, "'__msb_only box' -f -a open -d 'Open one'");
	has_text(gen_fish, "'__msb_at box ls'");
	has_text(gen_fish, "'__msb_only box' -f -a pick -d 'Pick one'");

	buf_init(&b, MIB);
	ASSERT_OK(opt_help(&prog, &box_ls, &b));
	ASSERT_TRUE(strstr(buf_cstr(&b), "Usage: msb box ls [OPTIONS] SHELL\n\n"
					 "Other names: msb boxes, msb box list.\n") != NULL);
	buf_consume(&b, buf_len(&b));
	ASSERT_OK(opt_man(&prog, &box_ls, &b));
	ASSERT_TRUE(str_starts(buf_cstr(&b), ".TH \"MSB-BOX-LS\" 1"));
	ASSERT_TRUE(strstr(buf_cstr(&b), "\nOther names: msb boxes, msb box list.\n") != NULL);
	buf_deinit(&b);
}

TEST(out_of_memory_is_clean)
{
	struct args a;
	struct opt_words w = {.command = NULL};
	struct msb_err err;
	struct buf b;
	int r;

	FAULT_LOOP({
		r = parse(&run, "base -e A=1 -e B=2 --label x --engine kvm ls", &a, &w, &err);
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		if (r == 0)
			release(&run, &a, &w);
	});
	for (size_t i = 0; i < ARRAY_SIZE(generators); i++) {
		FAULT_LOOP({
			buf_init(&b, MIB);
			r = generators[i](&b);
			ASSERT_TRUE(r == 0 || r == -ENOMEM);
			buf_deinit(&b);
		});
	}
}
