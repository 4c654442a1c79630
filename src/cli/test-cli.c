/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/io.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/timing.h"

#include "test.h"

enum { WORDS_MAX = 12 };

/* Runs msb with the words of @line; what it printed on both streams is in @ret_text. */
static int msb(const char *line, struct buf *ret_text)
{
	char copy[256] = "";
	char *argv[WORDS_MAX + 2];
	char *save = NULL;
	int saved[2];
	cleanup_fd int file = memfd_create("text", MFD_CLOEXEC);
	int argc = 0;
	int status;

	ASSERT_OK(str_copy(copy, sizeof(copy), line));
	for (char *w = strtok_r(copy, " ", &save); w && argc < WORDS_MAX;
		w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	for (int i = 0; i < 2; i++) {
		saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 10);
		ASSERT_EQ(dup2(file, i + 1), i + 1);
	}
	status = cli_main(argc, argv);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(dup2(saved[i], i + 1), i + 1);
		close(saved[i]);
	}
	ASSERT_EQ(lseek(file, 0, SEEK_SET), 0);
	buf_init(ret_text, MIB);
	while (buf_read_fd(ret_text, file, 65536) > 0)
		;
	return status;
}

static void expect(const char *line, int status, const char *text)
{
	struct buf b;
	int r = msb(line, &b);
	const char *got = buf_cstr(&b);

	if (r != status || !got || !strstr(got, text))
		test_fail(__FILE__, __LINE__, "%s: status %d, '%s', expected %d, '%s'", line, r,
			got ? got : "", status, text);
	buf_deinit(&b);
}

/* Nothing but this line. */
static void expect_line(const char *line, int status, const char *text)
{
	struct buf b;

	ASSERT_EQ(msb(line, &b), status);
	ASSERT_STREQ(buf_cstr(&b), text);
	buf_deinit(&b);
}

TEST(help_of_everything)
{
	char line[64];

	expect("msb", 0, "Usage: msb COMMAND");
	expect("msb --help", 0, "Usage: msb COMMAND");
	expect("msb help", 0, "Usage: msb COMMAND");
	for (size_t i = 0; i < cli_program.n_commands; i++) {
		const char *name = cli_program.commands[i]->name;
		char usage[64];

		(void)snprintf(usage, sizeof(usage), "Usage: msb %s [OPTIONS]", name);
		(void)snprintf(line, sizeof(line), "msb %s --help", name);
		expect(line, 0, usage);
		(void)snprintf(line, sizeof(line), "msb %s -h", name);
		expect(line, 0, usage);
		(void)snprintf(line, sizeof(line), "msb help %s", name);
		expect(line, 0, usage);
		(void)snprintf(line, sizeof(line), "msb --help %s", name);
		expect(line, 0, usage);
		(void)snprintf(line, sizeof(line), "msb __man %s", name);
		expect(line, 0, ".SH SYNOPSIS");
	}
}

TEST(version_tree_completion)
{
	expect_line("msb --version", 0, "msb " MSB_VERSION "\n");
	expect_line("msb -V", 0, "msb " MSB_VERSION "\n");
	expect_line("msb version", 0, "msb " MSB_VERSION "\n");
	expect("msb --tree", 0, "\n  run\n    -n, --name NAME\n");
	expect("msb run --tree", 0, "msb run\n  -n, --name NAME\n");
	expect("msb completion bash", 0, "complete -o default -F _msb msb");
	expect("msb completion zsh", 0, "#compdef msb");
	expect("msb completion fish", 0, "complete -c msb");
	expect("msb completion --tree", 0, "msb completion\n");
}

TEST(wrong_words)
{
	expect_line("msb rnu", 2, "msb: unknown command 'rnu'; did you mean 'msb run'?\n");
	expect_line("msb xyzzy", 2, "msb: unknown command 'xyzzy'; see 'msb --help'\n");
	expect_line("msb help xyzzy", 2, "msb: unknown command 'xyzzy'; see 'msb --help'\n");
	expect_line(
		"msb --verison", 2, "msb: unknown option '--verison'; did you mean --version?\n");
	expect_line("msb completion csh", 2, "msb: SHELL must be bash, zsh or fish, not 'csh'\n");
	expect_line("msb completion", 2, "msb: SHELL is missing; see 'msb completion --help'\n");
	expect_line("msb version x", 2, "msb: unexpected argument 'x'; see 'msb version --help'\n");
	expect_line(
		"msb run --workdir x", 2, "msb: option --workdir: 'x' is not an absolute path\n");
	expect_line("msb run --user=", 2, "msb: option --user: the value is empty\n");
	expect_line("msb run --name=", 2, "msb: option --name: the value is empty\n");
	expect("msb run --port x", 2,
		"msb: option --port: port 'x': the port of the guest is missing");
	expect("msb create --name a/b", 2, "msb: 'a/b' is not a sandbox name");
	expect("msb create --timeout 3", 2, "msb: unknown option '--timeout'");
	expect("msb exec", 2, "msb: NAME is missing");
	expect("msb stop", 2, "msb: which sandboxes?");
	expect("msb rm --label =x y", 2, "msb: option --label: a label is KEY or KEY=VALUE");
}

static void check_option(const struct opt_command *c, const struct opt *o, size_t at)
{
	bool value = o->type != OPT_FLAG && o->type != OPT_CONST;
	size_t own = opt_own(c);

	ASSERT_TRUE(o->hidden || (o->help && o->help[0]));
	ASSERT_TRUE(o->hidden || o->help[strlen(o->help) - 1] != '.');
	ASSERT_TRUE(value == (o->arg != NULL));
	ASSERT_TRUE((o->type == OPT_CHOICE) == (o->choices != NULL));
	for (size_t j = 0; j < at; j++) {
		const struct opt *other = j < own ? &c->opts[j] : &c->more[j - own];

		ASSERT_TRUE(!streq(o->name, other->name));
		ASSERT_TRUE(!o->letter || o->letter != other->letter);
	}
	for (size_t j = 0; j < cli_program.n_common; j++) {
		ASSERT_TRUE(!streq(o->name, cli_program.common[j].name));
		ASSERT_TRUE(!o->letter || o->letter != cli_program.common[j].letter);
	}
}

/* Of options and commands that people see, and of those only. */
TEST(tables_are_complete)
{
	for (size_t i = 0; i < cli_program.n_commands; i++) {
		const struct opt_command *c = cli_program.commands[i];
		size_t own = opt_own(c);

		ASSERT_TRUE(c->summary && c->summary[0]);
		ASSERT_TRUE(c->summary[strlen(c->summary) - 1] != '.');
		ASSERT_TRUE(c->group != NULL);
		for (size_t k = 0; k < own + c->n_more; k++)
			check_option(c, k < own ? &c->opts[k] : &c->more[k - own], k);
	}
}

TEST(timing_table)
{
	struct msb_process_times t = {
		.size = sizeof(t),
		.spawn_ns = 1001000000,
		.engine_ns = 1002500000,
		.hello_ns = 1075000000,
		.ready_ns = 1080000000,
		.guest_pid1_ns = 40000000,
		.guest_ready_ns = 50000000,
		.exec_ns = 1090000000,
		.exit_ns = 1095000000,
		.end_ns = 1100000000,
	};
	struct buf b;

	buf_init(&b, 4096);
	ASSERT_OK(timing_print(1000000000, &t, &b));
	ASSERT_STREQ(buf_cstr(&b), "phase            at ms   took ms\n"
				   "spawn              1.0       1.0\n"
				   "engine             2.5       1.5\n"
				   "kernel            70.0      67.5\n"
				   "agent             75.0       5.0\n"
				   "ready             80.0       5.0\n"
				   "exec              90.0      10.0\n"
				   "exit              95.0       5.0\n"
				   "end              100.0       5.0\n");
	buf_deinit(&b);

	/* A machine that was faster than its watchers, READY that was read late: still in order. */
	t.vm_created_ns = 1002000000;
	t.guest_ready_ns = 41000000;
	buf_init(&b, 4096);
	ASSERT_OK(timing_print(1000000000, &t, &b));
	ASSERT_STREQ(buf_cstr(&b), "phase            at ms   took ms\n"
				   "spawn              1.0       1.0\n"
				   "engine             2.0       1.0\n"
				   "vm created         2.0       0.0\n"
				   "kernel            75.0      73.0\n"
				   "agent             75.0       0.0\n"
				   "ready             80.0       5.0\n"
				   "exec              90.0      10.0\n"
				   "exit              95.0       5.0\n"
				   "end              100.0       5.0\n");
	buf_deinit(&b);

	/* What the guest says can be anything. */
	t.guest_pid1_ns = UINT64_MAX;
	t.guest_ready_ns = 1;
	buf_init(&b, 4096);
	ASSERT_OK(timing_print(1000000000, &t, &b));
	ASSERT_TRUE(!strstr(buf_cstr(&b), "kernel"));
	buf_deinit(&b);
}
