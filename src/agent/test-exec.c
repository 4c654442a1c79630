/* SPDX-License-Identifier: Apache-2.0 */
/* EXEC against a real agent process and real commands of the host. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"

#include "test-peer.h"
#include "test.h"

static void need_root(void)
{
	if (geteuid() != 0)
		SKIP("switching users needs root");
}

/* What is left of an exec's group comes to us (see peer_start()) and must end by @signo. */
static void reap_group(const struct result *r, int signo)
{
	int status;

	ASSERT_TRUE(r->pid > 1);
	while (waitpid(-(pid_t)r->pid, &status, 0) > 0) {
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_TRUE(WTERMSIG(status) == signo || WTERMSIG(status) == SIGPIPE);
	}
	ASSERT_EQ(errno, ECHILD);
	ASSERT_TRUE(kill(-(pid_t)r->pid, 0) < 0);
}

static void kill_group(const struct result *r)
{
	ASSERT_TRUE(r->pid > 1);
	(void)kill(-(pid_t)r->pid, SIGKILL);
	reap_group(r, SIGKILL);
}

TEST(output_streams_and_exit_status)
{
	struct result r;
	struct peer p;

	need_root();
	peer_serve(&p);
	peer_sh(&p, NULL, "echo out; echo err >&2; exit 7", &r);
	ASSERT_EQ(r.last, FRAME_EXITED);
	ASSERT_EQ(r.exited.code, 7);
	ASSERT_EQ(r.exited.signal, 0);
	ASSERT_STREQ(result_text(&r, 1), "out\n");
	ASSERT_STREQ(result_text(&r, 2), "err\n");
	ASSERT_TRUE(r.eof[1] && r.eof[2]);
	result_deinit(&r);

	/* The same number again, and death by a signal. */
	peer_sh(&p, NULL, "kill -KILL $$", &r);
	ASSERT_EQ(r.exited.code, 0);
	ASSERT_EQ(r.exited.signal, SIGKILL);
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(the_child_gets_a_clean_start)
{
	struct result r;
	struct peer p;

	need_root();
	peer_serve(&p);
	/* No descriptor of the agent, no signal blocked or ignored, a group and session of its own.
	 * The fourth descriptor is the directory that ls reads. */
	peer_sh(&p, NULL,
		"ls /proc/self/fd | tr '\\n' ' '; grep -E '^Sig(Blk|Ign)' /proc/self/status; umask;"
		"set -- $(cat /proc/$$/stat); test $1 = $5 && test $1 = $6 && echo leader; "
		"readlink "
		"/proc/$$/fd/0",
		&r);
	ASSERT_STREQ(result_text(&r, 1),
		"0 1 2 3 "
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\nleader\n/dev/null\n");
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(environment_and_directory_are_layered)
{
	const char *const cfg_env[] = {"A=config", "B=config", "HOME=/cfg", NULL};
	const char *const req_env[] = {"B=first", "C=request", "B=request", NULL};
	const char *const argv[] = {"env", NULL};
	const struct msg_config_lists lists = {.env = cfg_env};
	struct msg_config cfg = {.version = PROTO_VERSION, .cwd = "/usr"};
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	peer_start(&p, NULL);
	ASSERT_OK(msg_put_config(&p.out, &cfg, &lists));
	peer_flush(&p);
	do {
		ASSERT_TRUE(peer_next(&p, &f));
	} while (f.type != FRAME_READY);

	result_init(&r);
	peer_exec(&p, 1, &(struct msg_exec){}, argv, req_env);
	peer_result(&p, 1, &r);
	ASSERT_STREQ(result_text(&r, 1),
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
		"HOME=/cfg\nUSER=root\nA=config\nB=request\nC=request\n");
	result_deinit(&r);
	peer_sh(&p, NULL, "pwd", &r);
	ASSERT_STREQ(result_text(&r, 1), "/usr\n");
	result_deinit(&r);
	peer_sh(&p, &(struct msg_exec){.cwd = "/proc"}, "pwd", &r);
	ASSERT_STREQ(result_text(&r, 1), "/proc\n");
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(users)
{
	struct result r;
	struct peer p;

	need_root();
	peer_serve(&p);
	peer_sh(&p, &(struct msg_exec){.user = "nobody"}, "id -u; id -G; echo $HOME $USER", &r);
	ASSERT_STREQ(result_text(&r, 1), "65534\n65534\n/nonexistent nobody\n");
	result_deinit(&r);
	/* The user of a stream can open it by name. */
	peer_sh(&p, &(struct msg_exec){.user = "12345:54321"},
		"id -u; id -G; echo $HOME; grep Cap[IPEA] /proc/self/status | sort -u -k2 | wc -l; "
		"echo x "
		">/dev/stdout",
		&r);
	ASSERT_STREQ(result_text(&r, 1), "12345\n54321\n/\n1\nx\n");
	result_deinit(&r);
	peer_stop(&p, 0);
}

/* Runs @argv0 to its failure. */
static void fails(struct peer *p, const struct msg_exec *m, const char *argv0, uint32_t stage,
	int error, const char *what)
{
	const char *const argv[] = {argv0, NULL};
	struct result r;

	result_init(&r);
	peer_exec(p, 9, m, argv, NULL);
	peer_result(p, 9, &r);
	ASSERT_EQ(r.last, FRAME_FAILED);
	ASSERT_EQ(r.stage, stage);
	ASSERT_EQ(r.error, error);
	ASSERT_STREQ(r.what, what);
	result_deinit(&r);
}

static const char *make_file(const char *name, const char *text, mode_t mode)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", test_tmpdir(), name);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, text, strlen(text), mode, false));
	ASSERT_OK(chmod(path, mode));
	return path;
}

TEST(spawn_failures_name_stage_errno_and_object)
{
	const struct msg_exec plain = {};
	char what[PATH_MAX + 32];
	const char *path;
	struct peer p;

	need_root();
	peer_serve(&p);
	fails(&p, &plain, "no-such-program", STAGE_EXEC, ENOENT, "no-such-program");
	fails(&p, &plain, "", STAGE_EXEC, ENOENT, "");
	fails(&p, &plain, "/no/such/program", STAGE_EXEC, ENOENT, "/no/such/program");
	fails(&p, &plain, "/etc", STAGE_EXEC, EACCES, "/etc");
	fails(&p, &plain, "/etc/passwd", STAGE_EXEC, EACCES, "/etc/passwd");
	fails(&p, &plain, "/etc/passwd/x", STAGE_EXEC, ENOTDIR, "/etc/passwd/x");

	path = make_file("text", "just words\n", 0755);
	fails(&p, &plain, path, STAGE_EXEC, ENOEXEC, path);
	path = make_file("script", "#!/no/such/interpreter\n", 0755);
	(void)snprintf(what, sizeof(what), "interpreter or loader of %s", path);
	fails(&p, &plain, path, STAGE_EXEC, ENOENT, what);

	fails(&p, &(struct msg_exec){.cwd = "/no/such/dir"}, "true", STAGE_CWD, ENOENT,
		"/no/such/dir");
	fails(&p, &(struct msg_exec){.cwd = "/etc/passwd"}, "true", STAGE_CWD, ENOTDIR,
		"/etc/passwd");
	fails(&p, &(struct msg_exec){.user = "nobody-here"}, "true", STAGE_USER, ENOENT,
		"nobody-here");
	fails(&p, &(struct msg_exec){.user = "root:no-group"}, "true", STAGE_USER, ESRCH,
		"root:no-group");
	fails(&p, &(struct msg_exec){.user = "root:"}, "true", STAGE_USER, EINVAL, "root:");
	fails(&p, &(struct msg_exec){.n_rlimits = 1, .rlimits = {{30, 1, 1}}}, "true", STAGE_RLIMIT,
		EINVAL, "true");
	peer_stop(&p, 0);
}

/* A file that may not be executed in one directory of PATH hides nothing further on. */
TEST(path_is_searched_with_the_users_rights)
{
	const char *const argv[] = {"found-me", NULL};
	char env_path[2 * PATH_MAX];
	const char *const env[] = {env_path, NULL};
	char dir[PATH_MAX];
	struct result r;
	struct peer p;

	need_root();
	(void)make_file("found-me", "#!/bin/sh\necho wrong\n", 0644);
	(void)snprintf(dir, sizeof(dir), "%s/b", test_tmpdir());
	ASSERT_OK(mkdir(dir, 0755));
	(void)make_file("b/found-me", "#!/bin/sh\necho right\n", 0755);
	(void)snprintf(env_path, sizeof(env_path), "PATH=/nonexistent:%s:%s", test_tmpdir(), dir);
	peer_serve(&p);
	result_init(&r);
	peer_exec(&p, 1, &(struct msg_exec){}, argv, env);
	peer_result(&p, 1, &r);
	ASSERT_STREQ(result_text(&r, 1), "right\n");
	result_deinit(&r);

	ASSERT_OK(chmod(dir, 0700));
	(void)snprintf(env_path, sizeof(env_path), "PATH=%s", dir);
	result_init(&r);
	peer_exec(&p, 1, &(struct msg_exec){.user = "nobody"}, argv, env);
	peer_result(&p, 1, &r);
	ASSERT_EQ(r.last, FRAME_FAILED);
	ASSERT_EQ(r.error, EACCES);
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(resource_limits_apply)
{
	const struct msg_exec m = {
		.n_rlimits = 2, .rlimits = {{RLIMIT_NOFILE, 33, 44}, {RLIMIT_CORE, 0, UINT64_MAX}}};
	struct result r;
	struct peer p;

	need_root();
	peer_serve(&p);
	peer_sh(&p, &m, "ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc", &r);
	ASSERT_STREQ(result_text(&r, 1), "33\n44\n0\nunlimited\n");
	result_deinit(&r);
	peer_stop(&p, 0);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

/* Three windows through cat in both directions at once, with a client that obeys the credit. */
TEST(stdin_streams_with_flow_control)
{
	enum { TOTAL = 3 * LIMIT_STREAM_WINDOW + 12345 };
	const char *const argv[] = {"cat", NULL};
	struct credit_tx tx;
	size_t sent = 0;
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	peer_serve(&p);
	result_init(&r);
	credit_tx_init(&tx);
	peer_exec(&p, 5, &(struct msg_exec){.flags = EXEC_STDIN}, argv, NULL);
	while (!r.done) {
		uint8_t chunk[8000];
		size_t n = MIN(sizeof(chunk), (size_t)tx.avail);

		n = MIN(n, TOTAL - sent);
		if (n) {
			for (size_t i = 0; i < n; i++)
				chunk[i] = pattern(sent + i);
			credit_tx_take(&tx, n);
			sent += n;
			peer_data(&p, 5, chunk, n, sent == TOTAL);
			continue;
		}
		ASSERT_TRUE(peer_next(&p, &f));
		if (f.type == FRAME_CREDIT) {
			uint32_t back;

			ASSERT_OK(msg_get_u32(&f, &back));
			ASSERT_OK(credit_tx_return(&tx, back));
		}
		result_take(&r, &p, &f);
	}
	ASSERT_EQ(r.exited.code, 0);
	ASSERT_EQ(buf_len(&r.out[1]), TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		ASSERT_EQ(buf_data(&r.out[1])[i], pattern(i));
	result_deinit(&r);
	peer_stop(&p, 0);
}

/* Without EOF the command goes on reading; what nobody reads does not stop its end. */
TEST(stdin_ends_only_when_told)
{
	const char *const argv[] = {"sh", "-c", "read a; echo $a; cat; echo end", NULL};
	static char zeros[LIMIT_STREAM_WINDOW];
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	peer_serve(&p);
	result_init(&r);
	peer_exec(&p, 1, &(struct msg_exec){.flags = EXEC_STDIN}, argv, NULL);
	peer_data(&p, 1, "one\n", 4, false);
	while (buf_len(&r.out[1]) < 4) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_STREQ(result_text(&r, 1), "one\n");
	peer_data(&p, 1, "two", 3, true);
	peer_result(&p, 1, &r);
	ASSERT_STREQ(result_text(&r, 1), "one\ntwoend\n");
	result_deinit(&r);

	result_init(&r);
	peer_exec(&p, 1, &(struct msg_exec){.flags = EXEC_STDIN}, (const char *[]){"true", NULL},
		NULL);
	peer_data(&p, 1, zeros, sizeof(zeros), false);
	peer_result(&p, 1, &r);
	ASSERT_EQ(r.exited.code, 0);
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(signals_reach_the_process_group)
{
	const char *const argv[] = {/* The inner shell says when it is one, with default signals. */
		"sh", "-c", "trap 'echo got; exit 5' TERM; sh -c 'echo up; exec sleep 1000' & wait",
		NULL};
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	peer_serve(&p);
	result_init(&r);
	peer_exec(&p, 2, &(struct msg_exec){}, argv, NULL);
	while (buf_len(&r.out[1]) < 3) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_OK(msg_put_u32(&p.out, FRAME_SIGNAL, 2, 0));
	ASSERT_OK(msg_put_u32(&p.out, FRAME_SIGNAL, 2, 1000));
	ASSERT_OK(msg_put_u32(&p.out, FRAME_SIGNAL, 2, SIGTERM));
	peer_flush(&p);
	peer_result(&p, 2, &r);
	ASSERT_STREQ(result_text(&r, 1), "up\ngot\n");
	ASSERT_EQ(r.exited.code, 5);
	/* sleep was in the group. */
	reap_group(&r, SIGTERM);
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(cancel_kills_and_silences)
{
	const char *const argv[] = {"yes", NULL};
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	peer_serve(&p);
	result_init(&r);
	r.no_credit = true;
	peer_exec(&p, 2, &(struct msg_exec){}, argv, NULL);
	/* Stalled with a full window: the end must come all the same. */
	while (buf_len(&r.out[1]) < LIMIT_STREAM_WINDOW) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_OK(frame_put(&p.out, FRAME_CANCEL, 0, 2, NULL, 0));
	peer_flush(&p);
	peer_result(&p, 2, &r);
	ASSERT_EQ(r.exited.signal, SIGKILL);
	ASSERT_EQ(buf_len(&r.out[1]), LIMIT_STREAM_WINDOW);
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(a_background_process_does_not_hold_the_end_back)
{
	struct result r;
	struct peer p;

	need_root();
	peer_serve(&p);
	/* One that is silent, and one that never stops writing. */
	peer_sh(&p, NULL, "sleep 1000 & echo done", &r);
	ASSERT_EQ(r.exited.code, 0);
	ASSERT_STREQ(result_text(&r, 1), "done\n");
	kill_group(&r);
	result_deinit(&r);
	peer_sh(&p, NULL, "yes & read -t 0 x </dev/null; exit 3", &r);
	ASSERT_EQ(r.exited.code, 3);
	kill_group(&r);
	result_deinit(&r);
	peer_stop(&p, 0);
}

/* Output written just before the end is complete, however slowly the client reads. */
TEST(output_is_drained_before_the_end)
{
	struct result r;
	struct peer p;

	need_root();
	peer_serve(&p);
	for (int i = 0; i < 20; i++) {
		peer_sh(&p, NULL, "head -c 65536 /dev/zero; head -c 65536 /dev/zero >&2", &r);
		ASSERT_EQ(buf_len(&r.out[1]), 65536);
		ASSERT_EQ(buf_len(&r.out[2]), 65536);
		result_deinit(&r);
	}
	peer_stop(&p, 0);
}

TEST(a_stalled_reader_does_not_stop_others)
{
	const char *const argv[] = {"yes", NULL};
	struct result stalled[4];
	struct result r;
	struct frame f;
	struct peer p;
	size_t got = 0;

	need_root();
	peer_serve(&p);
	for (uint32_t i = 0; i < 4; i++) {
		result_init(&stalled[i]);
		stalled[i].no_credit = true;
		peer_exec(&p, 10 + i, &(struct msg_exec){}, argv, NULL);
	}
	while (got < 4 * LIMIT_STREAM_WINDOW) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&stalled[f.stream - 10], &p, &f);
		got += f.type == FRAME_DATA ? f.len : 0;
	}
	peer_sh(&p, NULL, "head -c 1000000 /dev/zero", &r);
	ASSERT_EQ(buf_len(&r.out[1]), 1000000);
	result_deinit(&r);
	/* Hanging up kills them; nobody is left in their groups. */
	peer_stop(&p, 0);
	for (uint32_t i = 0; i < 4; i++) {
		reap_group(&stalled[i], SIGKILL);
		result_deinit(&stalled[i]);
	}
}

/* Nothing lost, nothing mixed: 100 commands of 1 MB, every second one read only at the end. */
TEST(a_hundred_streams_at_once)
{
	enum { N = 100, TOTAL = 1000000 };
	static struct result r[N];
	unsigned int done = 0;
	struct frame f;
	struct peer p;

	need_root();
	peer_serve(&p);
	for (uint32_t i = 0; i < N; i++) {
		char script[100];

		(void)snprintf(script, sizeof(script), "yes %u | head -c %d", i, TOTAL);
		result_init(&r[i]);
		r[i].no_credit = i % 2 == 1;
		peer_exec(&p, i + 1, &(struct msg_exec){},
			(const char *[]){"sh", "-c", script, NULL}, NULL);
	}
	while (done < N) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r[f.stream - 1], &p, &f);
		if (!r[f.stream - 1].done || ++done != N / 2)
			continue;
		for (uint32_t i = 1; i < N; i += 2) {
			uint32_t due = credit_rx_passed(&r[i].rx, r[i].rx.held);

			r[i].no_credit = false;
			if (due)
				ASSERT_OK(msg_put_u32(&p.out, FRAME_CREDIT, i + 1, due));
		}
		peer_flush(&p);
	}
	for (uint32_t i = 0; i < N; i++) {
		char line[8];
		size_t len = (size_t)snprintf(line, sizeof(line), "%u\n", i);

		ASSERT_EQ(buf_len(&r[i].out[1]), TOTAL);
		for (size_t at = 0; at < TOTAL; at++)
			ASSERT_EQ(buf_data(&r[i].out[1])[at], line[at % len]);
		result_deinit(&r[i]);
	}
	peer_stop(&p, 0);
}

TEST(terminal)
{
	const char *const argv[] = {"sh", "-c",
		"tty >/dev/null && echo tty; stty size; trap 'stty size; exit 0' WINCH; echo up; "
		"while "
		"read x; do echo \"<$x>\"; done; echo eof",
		NULL};
	const struct msg_exec m = {.flags = EXEC_PTY | EXEC_STDIN, .rows = 33, .cols = 99};
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	if (access("/dev/ptmx", R_OK | W_OK) < 0)
		SKIP("no /dev/ptmx");
	peer_serve(&p);
	result_init(&r);
	peer_exec(&p, 3, &m, argv, NULL);
	peer_data(&p, 3, "hi\n", 3, true);
	peer_result(&p, 3, &r);
	/* Everything on channel 1; the terminal echoes, whenever it sees the input, and makes CR LF
	 * of the newline. */
	ASSERT_TRUE(strstr(result_text(&r, 1), "tty\r\n") != NULL);
	ASSERT_TRUE(strstr(result_text(&r, 1), "33 99\r\n") != NULL);
	ASSERT_TRUE(strstr(result_text(&r, 1), "<hi>\r\neof\r\n") != NULL);
	ASSERT_TRUE(r.eof[1] && !r.eof[2]);
	ASSERT_EQ(r.exited.code, 0);
	result_deinit(&r);

	result_init(&r);
	peer_exec(&p, 3, &m, argv, NULL);
	while (!strstr(result_text(&r, 1), "up\r\n")) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_OK(msg_put_resize(&p.out, 3, &(struct msg_resize){50, 132}));
	peer_flush(&p);
	/* Some shells run the trap only when a line has come. */
	peer_data(&p, 3, "\n", 1, false);
	peer_result(&p, 3, &r);
	ASSERT_TRUE(strstr(result_text(&r, 1), "50 132\r\n") != NULL);
	result_deinit(&r);
	peer_stop(&p, 0);
}

/* Output of a terminal just before the end, with and without somebody left on it. */
TEST(terminal_output_is_drained)
{
	const struct msg_exec m = {.flags = EXEC_PTY};
	struct result r;
	struct peer p;

	need_root();
	if (access("/dev/ptmx", R_OK | W_OK) < 0)
		SKIP("no /dev/ptmx");
	peer_serve(&p);
	for (int i = 0; i < 20; i++) {
		peer_sh(&p, &m, "stty -opost; yes | head -c 20000; trap '' HUP; sleep 1000 &", &r);
		ASSERT_EQ(buf_len(&r.out[1]), 20000);
		kill_group(&r);
		result_deinit(&r);
	}
	peer_stop(&p, 0);
}

TEST(ctrl_c_through_the_terminal)
{
	const struct msg_exec m = {.flags = EXEC_PTY | EXEC_STDIN};
	struct result r;
	struct frame f;
	struct peer p;

	need_root();
	if (access("/dev/ptmx", R_OK | W_OK) < 0)
		SKIP("no /dev/ptmx");
	peer_serve(&p);
	result_init(&r);
	peer_exec(&p, 3, &m, (const char *[]){"sh", "-c", "echo up; exec sleep 1000", NULL}, NULL);
	while (!strstr(result_text(&r, 1), "up\r\n")) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	peer_data(&p, 3, "\x03", 1, false);
	peer_result(&p, 3, &r);
	ASSERT_EQ(r.exited.signal, SIGINT);
	result_deinit(&r);
	peer_stop(&p, 0);
}
