/* SPDX-License-Identifier: Apache-2.0 */
/* The whole chain without a machine: client library, relay, and the real agent as a process. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#include "agent/agent.h"
#include "proto/wire.h"
#include "sandbox/client-internal.h"
#include "sandbox/relay.h"

#include "test.h"

enum { PATIENCE_MS = 60000, MANY = 100, LINES = 40000, FILE_BYTES = 3 * 1024 * 1024 + 7 };

static struct {
	struct loop loop;
	struct relay relay;
	struct sandbox *sb;
	int channel_fd;
	pid_t agent;
	unsigned int done;
	unsigned int wanted;
} fx;

static void ev_hello(struct relay *r, const struct msg_hello *m)
{
	ASSERT_EQ(m->version, PROTO_VERSION);
}

static void ev_ready(struct relay *r, const struct msg_ready *m)
{
}

static void ev_failure(struct relay *r, const struct msg_failure *m)
{
	test_fail(__FILE__, __LINE__, "boot failed: %s", m->what);
}

static void ev_u32(struct relay *r, uint32_t v)
{
}

static void ev_broken(struct relay *r, const struct msb_err *err)
{
	test_fail(__FILE__, __LINE__, "%s", err->msg);
}

static void ev_none(struct relay *r)
{
}

static const struct relay_events relay_events = {
	.hello = ev_hello,
	.ready = ev_ready,
	.boot_failed = ev_failure,
	.bye = ev_u32,
	.broken = ev_broken,
	.channel_end = ev_none,
	.stop = ev_u32,
	.owner_gone = ev_none,
	.finished = ev_none,
};

static void client_failed(
	struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	test_fail(__FILE__, __LINE__, "%s", err->msg);
}

static void client_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	test_fail(__FILE__, __LINE__, "stopped");
}

static const struct sandbox_events client_events = {
	.failed = client_failed, .stopped = client_stopped};

static void agent_process(int fd)
{
	struct agent a;

	log_set_fd(-1);
	if (agent_init(&a, fd, false) < 0 || agent_hello(&a) < 0 || loop_run(&a.loop) < 0)
		_exit(1);
	agent_deinit(&a);
	_exit(0);
}

static void set_up(void)
{
	const struct msg_config m = {.version = PROTO_VERSION};
	struct buf config;
	int chan[2];
	int conn[2];

	/* What the agent leaves is ours to reap: outside a guest it is not PID 1. */
	ASSERT_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, chan));
	fx.agent = fork();
	ASSERT_OK(fx.agent);
	if (fx.agent == 0) {
		close(chan[0]);
		agent_process(chan[1]);
	}
	close(chan[1]);
	fx.channel_fd = chan[0];

	ASSERT_OK(loop_init(&fx.loop));
	relay_init(&fx.relay, &fx.loop, &relay_events);
	buf_init(&config, LIMIT_FRAME_PAYLOAD);
	ASSERT_OK(msg_put_config(&config, &m, &(struct msg_config_lists){}));
	ASSERT_OK(relay_attach(&fx.relay, chan[0], &config));
	buf_deinit(&config);
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, conn));
	ASSERT_OK(relay_add_client(&fx.relay, conn[0], true));
	ASSERT_OK(sandbox_new(&fx.loop, conn[1], &client_events, NULL, &fx.sb));
}

static void tear_down(void)
{
	int status;

	sandbox_close(fx.sb);
	relay_deinit(&fx.relay);
	close(fx.channel_fd);
	loop_deinit(&fx.loop);
	ASSERT_EQ(waitpid(fx.agent, &status, 0), fx.agent);
	ASSERT_EQ(status, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void run_until_done(void)
{
	uint64_t deadline = clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC;

	while (fx.done < fx.wanted) {
		ASSERT_TRUE(clock_mono_ns() < deadline);
		ASSERT_OK(loop_once(&fx.loop, deadline));
	}
}

struct job {
	struct sandbox_stream s;
	struct buf out; /* stdout or file bytes */
	struct buf err;
	const uint8_t *in;
	size_t in_len;
	size_t in_done;
	bool stalled;
	bool done;
	struct sandbox_result result;
};

static void job_data(
	struct sandbox_stream *s, unsigned int channel, const void *p, size_t len, bool eof)
{
	struct job *j = container_of(s, struct job, s);

	ASSERT_OK(buf_append(channel == 2 ? &j->err : &j->out, p, len));
	if (!j->stalled)
		sandbox_stream_consumed(s, len);
}

static void job_write(struct sandbox_stream *s)
{
	struct job *j = container_of(s, struct job, s);

	while (j->in_done < j->in_len) {
		ssize_t n = sandbox_stream_write(s, j->in + j->in_done, j->in_len - j->in_done);

		ASSERT_OK(n);
		if (n == 0)
			return;
		j->in_done += (size_t)n;
	}
	ASSERT_OK(sandbox_stream_write_eof(s));
}

static void job_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct job *j = container_of(s, struct job, s);

	j->done = true;
	j->result = *r;
	fx.done++;
}

static const struct sandbox_stream_ops job_ops = {
	.data = job_data, .writable = job_write, .done = job_done};

static void job_init(struct job *j)
{
	*j = (struct job){.s.ops = &job_ops};
	buf_init(&j->out, 16 * MIB);
	buf_init(&j->err, MIB);
	fx.wanted++;
}

static void job_deinit(struct job *j)
{
	buf_deinit(&j->out);
	buf_deinit(&j->err);
}

static void start_shell(struct job *j, const char *script, const char *user, const char *cwd)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct msg_exec m = {.flags = EXEC_STDIN, .user = user, .cwd = cwd};

	ASSERT_OK(sandbox_exec(fx.sb, &j->s, &m, argv, NULL));
}

static void shell(struct job *j, const char *script)
{
	job_init(j);
	start_shell(j, script, "", "");
}

TEST(a_command_from_end_to_end)
{
	struct job j;

	set_up();
	job_init(&j);
	j.in = (const uint8_t *)"input";
	j.in_len = 5;
	start_shell(&j, "cat; echo err >&2; exit 7", "", "");
	job_write(&j.s);
	run_until_done();
	ASSERT_EQ(j.result.type, FRAME_EXITED);
	ASSERT_EQ(j.result.exited.code, 7);
	ASSERT_STREQ(buf_cstr(&j.out), "input");
	ASSERT_STREQ(buf_cstr(&j.err), "err\n");
	job_deinit(&j);
	tear_down();
}

static void expect_refusal(
	const char *program, const char *user, const char *cwd, enum msb_kind kind, const char *msg)
{
	const char *argv[] = {program, NULL};
	struct msg_exec m = {.user = user, .cwd = cwd};
	struct job j;

	job_init(&j);
	ASSERT_OK(sandbox_exec(fx.sb, &j.s, &m, argv, NULL));
	run_until_done();
	ASSERT_EQ(j.result.type, FRAME_FAILED);
	ASSERT_EQ(j.result.err.kind, kind);
	if (!strstr(j.result.err.msg, msg))
		test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", j.result.err.msg, msg);
	job_deinit(&j);
}

TEST(refusals_say_what_and_why)
{
	set_up();
	expect_refusal("nosuch", "", "", MSB_EXEC_NOT_FOUND,
		"cannot run 'nosuch': No such file or directory");
	expect_refusal("/etc/passwd", "", "", MSB_EXEC_DENIED,
		"cannot run '/etc/passwd': Permission denied");
	expect_refusal("/bin/true", "nosuchuser", "", MSB_EXEC_DENIED, "user 'nosuchuser'");
	expect_refusal("/bin/true", "", "/nonexistent", MSB_EXEC_DENIED,
		"working directory '/nonexistent': No such file or directory");
	tear_down();
}

/* seq 1 LINES, and nothing else, for each of them, while one reader returns no credit. */
TEST(many_streams_lose_and_mix_nothing)
{
	static struct job jobs[MANY];
	const uint32_t stuck = 13;
	struct buf want;
	char script[64];

	set_up();
	buf_init(&want, 16 * MIB);
	for (unsigned int i = 1; i <= LINES; i++)
		ASSERT_OK(buf_printf(&want, "%u\n", i));
	(void)snprintf(script, sizeof(script), "exec seq 1 %d", LINES);
	for (unsigned int i = 0; i < MANY; i++) {
		shell(&jobs[i], script);
		jobs[i].stalled = i == stuck;
	}
	/* It would not fit: the wait for all the others is not in vain. */
	ASSERT_TRUE(buf_len(&want) < LIMIT_STREAM_WINDOW);
	fx.wanted = MANY;
	run_until_done();
	for (unsigned int i = 0; i < MANY; i++) {
		ASSERT_EQ(buf_len(&jobs[i].out), buf_len(&want));
		ASSERT_MEMEQ(buf_data(&jobs[i].out), buf_data(&want), buf_len(&want));
		job_deinit(&jobs[i]);
	}
	buf_deinit(&want);
	ASSERT_EQ(fx.relay.n_streams, 0);
	tear_down();
}

TEST(a_stalled_reader_holds_only_its_own_process)
{
	struct job stuck;
	struct job other;

	set_up();
	shell(&stuck, "head -c 4000000 /dev/zero");
	stuck.stalled = true;
	fx.wanted = 1;
	job_init(&other);
	fx.wanted = 1;
	start_shell(&other, "head -c 4000000 /dev/zero", "", "");
	run_until_done();
	ASSERT_TRUE(other.done && !stuck.done);
	ASSERT_EQ(buf_len(&other.out), 4000000);
	/* The other one may have been faster. */
	while (buf_len(&stuck.out) < LIMIT_STREAM_WINDOW)
		ASSERT_OK(loop_once(&fx.loop, UINT64_MAX));
	ASSERT_TRUE(!stuck.done);
	ASSERT_EQ(buf_len(&stuck.out), LIMIT_STREAM_WINDOW);
	stuck.stalled = false;
	sandbox_stream_consumed(&stuck.s, LIMIT_STREAM_WINDOW);
	fx.wanted = 2;
	run_until_done();
	ASSERT_EQ(buf_len(&stuck.out), 4000000);
	job_deinit(&stuck);
	job_deinit(&other);
	tear_down();
}

TEST(signals_and_cancel_end_a_process)
{
	struct job a;
	struct job b;

	set_up();
	shell(&a, "echo up; exec sleep 1000");
	shell(&b, "echo up; exec sleep 1000");
	while (!buf_len(&a.out) || !buf_len(&b.out))
		ASSERT_OK(loop_once(&fx.loop, UINT64_MAX));
	ASSERT_OK(sandbox_stream_signal(&a.s, SIGTERM));
	ASSERT_OK(sandbox_stream_cancel(&b.s));
	ASSERT_OK(sandbox_stream_cancel(&b.s));
	run_until_done();
	ASSERT_EQ(a.result.exited.signal, SIGTERM);
	ASSERT_EQ(b.result.exited.signal, SIGKILL);
	job_deinit(&a);
	job_deinit(&b);
	tear_down();
}

TEST(a_client_that_leaves_takes_its_processes_along)
{
	struct sandbox *leaver;
	struct job j;
	char text[32];
	uint64_t pid;
	int conn[2];
	int pidfd;

	set_up();
	leaver = fx.sb;
	shell(&j, "echo $$; exec sleep 1000");
	while (!buf_len(&j.out))
		ASSERT_OK(loop_once(&fx.loop, UINT64_MAX));
	ASSERT_OK(str_copy(text, sizeof(text), buf_cstr(&j.out)));
	text[strcspn(text, "\n")] = '\0';
	ASSERT_OK(str_to_u64(text, &pid));
	pidfd = io_pidfd_open((pid_t)pid);
	ASSERT_OK(pidfd);
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, conn));
	ASSERT_OK(relay_add_client(&fx.relay, conn[0], false));
	ASSERT_OK(sandbox_new(&fx.loop, conn[1], &client_events, NULL, &fx.sb));
	sandbox_close(leaver);
	while (fx.relay.n_streams)
		ASSERT_OK(loop_once(&fx.loop, UINT64_MAX));
	ASSERT_ERR(io_pidfd_kill(pidfd, 0), ESRCH);
	close(pidfd);
	job_deinit(&j);
	tear_down();
}

static void fs_op(struct job *j, struct msg_fs m)
{
	job_init(j);
	if (!m.path2)
		m.path2 = "";
	ASSERT_OK(sandbox_fs(fx.sb, &j->s, &m));
	if (m.op == FS_WRITE)
		return;
	run_until_done();
}

TEST(files_go_there_and_back)
{
	char dir[PATH_MAX];
	char path[PATH_MAX + 8];
	char path2[PATH_MAX + 8];
	uint8_t *bytes = malloc(FILE_BYTES);
	struct msg_dirent entry;
	struct wire_in in;
	struct job j;

	ASSERT_TRUE(bytes);
	for (size_t i = 0; i < FILE_BYTES; i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
	set_up();
	(void)snprintf(dir, sizeof(dir), "%s/a/b", test_tmpdir());
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	(void)snprintf(path2, sizeof(path2), "%s/g", dir);

	fs_op(&j, (struct msg_fs){.op = FS_MKDIR, .flags = FS_PARENTS, .mode = 0755, .path = dir});
	ASSERT_EQ(j.result.fs.errno_, 0);
	fs_op(&j, (struct msg_fs){.op = FS_WRITE, .mode = 0640, .path = path});
	j.in = bytes;
	j.in_len = FILE_BYTES;
	job_write(&j.s);
	run_until_done();
	ASSERT_EQ(j.result.type, FRAME_FS_DONE);
	ASSERT_EQ(j.result.fs.bytes, FILE_BYTES);

	fs_op(&j, (struct msg_fs){.op = FS_RENAME, .path = path, .path2 = path2});
	fs_op(&j, (struct msg_fs){.op = FS_READ, .length = UINT64_MAX, .path = path2});
	ASSERT_EQ(buf_len(&j.out), FILE_BYTES);
	ASSERT_MEMEQ(buf_data(&j.out), bytes, FILE_BYTES);
	job_deinit(&j);

	fs_op(&j, (struct msg_fs){.op = FS_LIST, .path = dir});
	wire_in_init(&in, buf_data(&j.out), buf_len(&j.out));
	ASSERT_OK(msg_get_dirent(&in, &entry));
	ASSERT_STREQ(entry.name, "g");
	ASSERT_EQ(entry.st.size, FILE_BYTES);
	ASSERT_EQ(entry.st.mode & 07777, 0640);
	job_deinit(&j);

	fs_op(&j, (struct msg_fs){.op = FS_STAT, .path = path});
	ASSERT_EQ(j.result.type == FRAME_FS_DONE ? j.result.fs.errno_ : j.result.failure.errno_,
		ENOENT);
	fs_op(&j, (struct msg_fs){.op = FS_REMOVE, .flags = FS_RECURSIVE, .path = dir});
	ASSERT_EQ(access(dir, F_OK), -1);
	tear_down();
	free(bytes);
}
