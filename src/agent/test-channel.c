/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's life and channel: phases, rules of the protocol, hosts that break them. */
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "test-peer.h"
#include "test.h"

/* The agent must give the connection up and say why by its exit status. */
static void must_break(struct peer *p, int error)
{
	struct frame f;

	peer_flush(p);
	while (peer_next(p, &f))
		ASSERT_TRUE(f.type != FRAME_BYE);
	peer_stop(p, error);
}

TEST(requests_before_config_are_refused)
{
	struct msg_failure failure;
	struct frame f;
	struct peer p;

	peer_start(&p, NULL);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_HELLO);
	ASSERT_OK(frame_put(&p.out, FRAME_METRICS, 0, 3, NULL, 0));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_FAILED);
	ASSERT_OK(msg_get_failure(&f, &failure));
	ASSERT_EQ(failure.errno_, EAGAIN);
	peer_stop(&p, 0);
}

TEST(hello_and_ready_carry_facts)
{
	const struct msg_config m = {.version = PROTO_VERSION};
	struct msg_hello hello;
	struct msg_ready ready;
	struct frame f;
	struct peer p;

	peer_start(&p, NULL);
	ASSERT_OK(msg_put_config(&p.out, &m, NULL));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_OK(msg_get_hello(&f, &hello));
	ASSERT_EQ(hello.version, PROTO_VERSION);
	ASSERT_TRUE(strlen(hello.agent_version) > 0);
	ASSERT_TRUE(strlen(hello.kernel_release) > 0);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_OK(msg_get_ready(&f, &ready));
	ASSERT_TRUE(ready.ready_ns > 0 && ready.ready_ns <= clock_mono_ns());
	ASSERT_TRUE(ready.cpus >= 1);
	ASSERT_TRUE(ready.mem_total_kib > 1024);
	/* A second CONFIG changes nothing. */
	ASSERT_OK(msg_put_config(&p.out, &m, NULL));
	ASSERT_OK(frame_put(&p.out, FRAME_PING, 0, 9, "abc", 3));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_PONG);
	ASSERT_EQ(f.stream, 9);
	ASSERT_EQ(f.len, 3);
	ASSERT_MEMEQ(f.payload, "abc", 3);
	peer_stop(&p, 0);
}

TEST(another_protocol_version_is_a_boot_failure)
{
	const struct msg_config m = {.version = PROTO_VERSION + 1};
	struct msg_failure failure;
	struct frame f;
	struct peer p;

	peer_start(&p, NULL);
	ASSERT_OK(msg_put_config(&p.out, &m, NULL));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_BOOT_FAILED);
	ASSERT_OK(msg_get_failure(&f, &failure));
	ASSERT_EQ(failure.errno_, EPROTONOSUPPORT);
	must_break(&p, EIO);
}

TEST(malformed_requests_fail_alone)
{
	static const uint8_t junk[100];
	struct msg_failure failure;
	struct frame f;
	struct peer p;

	peer_serve(&p);
	ASSERT_OK(frame_put(&p.out, FRAME_EXEC, 0, 1, junk, 3));
	ASSERT_OK(frame_put(&p.out, FRAME_FS, 0, 2, junk, sizeof(junk)));
	ASSERT_OK(frame_put(&p.out, FRAME_PING, 0, 3, junk, sizeof(junk)));
	ASSERT_OK(frame_put(&p.out, FRAME_PING, 0, 4, junk, 64));
	peer_flush(&p);
	for (uint32_t i = 1; i <= 3; i++) {
		ASSERT_TRUE(peer_next(&p, &f));
		ASSERT_EQ(f.stream, i);
		ASSERT_EQ(f.type, FRAME_FAILED);
		ASSERT_OK(msg_get_failure(&f, &failure));
		ASSERT_EQ(failure.stage, STAGE_REQUEST);
		ASSERT_EQ(failure.errno_, i == 3 ? EMSGSIZE : EBADMSG);
	}
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_PONG);
	peer_stop(&p, 0);
}

TEST(frames_of_unknown_streams_are_dropped)
{
	struct frame f;
	struct peer p;

	peer_serve(&p);
	peer_data(&p, 77, "x", 1, true);
	ASSERT_OK(msg_put_u32(&p.out, FRAME_CREDIT, 77, 5));
	ASSERT_OK(msg_put_u32(&p.out, FRAME_SIGNAL, 77, SIGKILL));
	ASSERT_OK(msg_put_resize(&p.out, 77, &(struct msg_resize){1, 1}));
	ASSERT_OK(frame_put(&p.out, FRAME_CANCEL, 0, 77, NULL, 0));
	ASSERT_OK(frame_put(&p.out, FRAME_PING, 0, 77, NULL, 0));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_PONG);
	peer_stop(&p, 0);
}

TEST(broken_framing_ends_the_channel)
{
	struct peer p;

	peer_serve(&p);
	ASSERT_OK(buf_append(&p.out, "GET / HTTP/1.1\r\n\r\n", 18));
	must_break(&p, EBADMSG);
}

TEST(frames_that_only_the_guest_sends_end_the_channel)
{
	static const uint8_t types[] = {FRAME_HELLO, FRAME_READY, FRAME_BYE, FRAME_SB_STOP};
	struct peer p;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		peer_serve(&p);
		ASSERT_OK(frame_put(&p.out, types[i], 0, 0, NULL, 0));
		must_break(&p, EPROTO);
	}
	peer_serve(&p);
	ASSERT_OK(frame_put(&p.out, FRAME_EXITED, 0, 1, NULL, 0));
	must_break(&p, EPROTO);
}

TEST(a_number_in_use_ends_the_channel)
{
	char path[PATH_MAX];
	struct msg_fs w = {.op = FS_WRITE, .mode = 0600, .path = path};
	struct peer p;

	(void)snprintf(path, sizeof(path), "%s/w", test_tmpdir());
	peer_serve(&p);
	ASSERT_OK(msg_put_fs(&p.out, 1, &w));
	ASSERT_OK(msg_put_fs(&p.out, 1, &w));
	must_break(&p, EPROTO);
}

TEST(sending_beyond_the_credit_ends_the_channel)
{
	static const uint8_t chunk[LIMIT_FRAME_PAYLOAD];
	const char *const argv[] = {"sleep", "1000", NULL};
	struct peer p;

	if (geteuid() != 0)
		SKIP("switching users needs root");
	peer_serve(&p);
	/* Never reads: no credit comes back, however slowly we write. */
	peer_exec(&p, 1, &(struct msg_exec){.flags = EXEC_STDIN}, argv, NULL);
	for (unsigned int i = 0; i < 2 * LIMIT_STREAM_WINDOW / sizeof(chunk); i++)
		ASSERT_OK(frame_put(&p.out, FRAME_DATA, 0, 1, chunk, sizeof(chunk)));
	must_break(&p, EPROTO);
}

TEST(returning_credit_that_was_not_taken_ends_the_channel)
{
	char path[PATH_MAX];
	struct msg_fs w = {.op = FS_WRITE, .mode = 0600, .path = path};
	struct peer p;

	(void)snprintf(path, sizeof(path), "%s/w", test_tmpdir());
	peer_serve(&p);
	ASSERT_OK(msg_put_fs(&p.out, 1, &w));
	ASSERT_OK(msg_put_u32(&p.out, FRAME_CREDIT, 1, 1));
	must_break(&p, EPROTO);
}

/* 200,000 answers for a host that reads nothing until the end: bounded memory, nothing lost. */
TEST(a_host_that_does_not_read_is_waited_for)
{
	enum { N = 200000 };
	static const uint8_t payload[60];
	uint32_t sent = 0;
	uint32_t got = 0;
	struct frame f;
	struct peer p;

	peer_serve(&p);
	while (sent < N) {
		uint8_t frame[FRAME_HEADER + 64];
		struct buf one = {.base = frame, .cap = sizeof(frame), .max = sizeof(frame)};
		ssize_t n;

		ASSERT_OK(frame_put(&one, FRAME_PING, 0, sent + 1, payload, sizeof(payload)));
		n = send(p.fd, frame, buf_len(&one), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == (ssize_t)buf_len(&one)) {
			sent++;
			/* One frame in a read is another case than many. */
			(void)sched_yield();
			continue;
		}
		/* The agent has stopped reading; a part of a frame may be out. */
		if (n > 0) {
			ASSERT_OK(buf_append(&p.out, frame + n, buf_len(&one) - (size_t)n));
			sent++;
		}
		break;
	}
	ASSERT_TRUE(sent < N);
	while (got < sent) {
		if (buf_len(&p.out)) {
			ssize_t n = send(p.fd, buf_data(&p.out), buf_len(&p.out),
				MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n > 0)
				buf_consume(&p.out, (size_t)n);
		}
		ASSERT_TRUE(peer_next(&p, &f));
		ASSERT_EQ(f.type, FRAME_PONG);
		ASSERT_EQ(f.stream, ++got);
	}
	peer_stop(&p, 0);
}

TEST(shutdown_asks_then_kills_and_says_goodbye)
{
	const char *const argv[] = {"sh", "-c", "trap '' TERM; echo up; exec sleep 1000", NULL};
	struct result r;
	struct frame f;
	struct peer p;
	uint32_t by;

	if (geteuid() != 0)
		SKIP("switching users needs root");
	peer_serve(&p);
	result_init(&r);
	peer_exec(&p, 1, &(struct msg_exec){}, argv, NULL);
	while (buf_len(&r.out[1]) < 3) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_OK(msg_put_shutdown(&p.out, FRAME_SHUTDOWN, &(struct msg_shutdown){50}));
	ASSERT_OK(msg_put_exec(&p.out, 2, &(struct msg_exec){}, argv, NULL));
	peer_flush(&p);
	/* New work is refused, the old one dies of SIGKILL because it ignores SIGTERM. */
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_FAILED);
	ASSERT_EQ(f.stream, 2);
	peer_result(&p, 1, &r);
	ASSERT_EQ(r.exited.signal, SIGKILL);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_BYE);
	ASSERT_OK(msg_get_u32(&f, &by));
	ASSERT_EQ(by, 0);
	ASSERT_TRUE(!peer_next(&p, &f));
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(a_process_of_the_guest_can_ask_for_the_end)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
	struct frame f;
	struct peer p;
	uint32_t by;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		peer_serve(&p);
		ASSERT_OK(kill(p.pid, signals[i]));
		ASSERT_TRUE(peer_next(&p, &f));
		ASSERT_EQ(f.type, FRAME_BYE);
		ASSERT_OK(msg_get_u32(&f, &by));
		ASSERT_EQ(by, signals[i]);
		ASSERT_TRUE(!peer_next(&p, &f));
		peer_stop(&p, 0);
	}
}

/* The agent sees its n-th allocation or system call fail; it must neither crash nor leave a request
 * without an answer while the connection stands. */
static unsigned int fault_nth;

static void arm_fault(void)
{
	fault_arm(fault_nth);
}

static void fault_session(struct peer *p, const char *path)
{
	const char *const argv[] = {"sh", "-c", "cat; echo err >&2", NULL};
	struct result r[4];
	unsigned int done = 0;
	struct frame f;

	for (int i = 0; i < 4; i++)
		result_init(&r[i]);
	ASSERT_OK(msg_put_config(&p->out, &(struct msg_config){.version = PROTO_VERSION}, NULL));
	ASSERT_OK(msg_put_exec(&p->out, 1, &(struct msg_exec){.flags = EXEC_STDIN}, argv, NULL));
	peer_data(p, 1, "hello\n", 6, true);
	ASSERT_OK(msg_put_fs(&p->out, 2, &(struct msg_fs){.op = FS_LIST, .path = "/proc/self"}));
	ASSERT_OK(msg_put_fs(
		&p->out, 3, &(struct msg_fs){.op = FS_WRITE, .mode = 0600, .path = path}));
	peer_data(p, 3, "text", 4, true);
	ASSERT_OK(frame_put(&p->out, FRAME_METRICS, 0, 4, NULL, 0));
	peer_flush(p);
	while (done < 4 && peer_next(p, &f)) {
		if (f.stream == 0)
			continue;
		ASSERT_TRUE(f.stream <= 4);
		result_take(&r[f.stream - 1], p, &f);
		done += r[f.stream - 1].done;
	}
	for (int i = 0; i < 4; i++)
		result_deinit(&r[i]);
}

TEST(every_failing_call_is_survived)
{
	char path[PATH_MAX];
	unsigned int whole = 0;

	if (geteuid() != 0)
		SKIP("switching users needs root");
	(void)snprintf(path, sizeof(path), "%s/w", test_tmpdir());
	for (fault_nth = 1; fault_nth < 120; fault_nth++) {
		struct peer p;
		int status;

		peer_start(&p, arm_fault);
		fault_session(&p, path);
		close(p.fd);
		ASSERT_EQ(waitpid(p.pid, &status, 0), p.pid);
		if (WIFSIGNALED(status))
			test_fail(__FILE__, __LINE__, "call %u failed: signal %d", fault_nth,
				WTERMSIG(status));
		whole += WEXITSTATUS(status) == 0;
		buf_deinit(&p.in);
		buf_deinit(&p.out);
	}
	/* Most failures cost one request, not the connection. */
	ASSERT_TRUE(whole > 60);
}
