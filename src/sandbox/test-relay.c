/* SPDX-License-Identifier: Apache-2.0 */
/* The relay between the client library and a fake guest, all on one loop. */
#include <sys/mman.h>

#include "base/io.h"

#include "sandbox/client-internal.h"
#include "sandbox/fake-guest.h"
#include "sandbox/relay.h"

#include "test.h"

enum { PATIENCE_MS = 20000, MANY = 100, MANY_BYTES = 1 << 20 };

static struct {
	struct loop loop;
	struct relay relay;
	struct fake_guest guest;
	int channel_fd;
	/* relay events */
	unsigned int readies;
	unsigned int stops;
	unsigned int owner_gones;
	unsigned int byes;
	unsigned int main_detached;
	unsigned int main_ended;
	bool ended_detached;
	int exit_status;
	int give_error;
	uint32_t memory_mib;
	int memory_result;
	uint32_t cpus;
	char secrets[16]; /* the file that came with them */
	int secrets_result;
	bool broken;
	bool finished;
	struct msb_err err;
	/* client events */
	unsigned int client_failed;
	unsigned int client_stopped;
	unsigned int client_ready;
} fx;

static void ev_hello(struct relay *r, const struct msg_hello *m)
{
	ASSERT_STREQ(m->agent_version, "fake");
}

static void ev_ready(struct relay *r, const struct msg_ready *m)
{
	struct msg_sb_ready ready = {.engine = "fake", .kernel_release = "x"};
	struct buf b;

	fx.readies++;
	buf_init(&b, 1000);
	ASSERT_OK(msg_put_sb_ready(&b, &ready));
	ASSERT_OK(relay_announce(r, &b));
	buf_deinit(&b);
}

static void ev_boot_failed(struct relay *r, const struct msg_failure *m)
{
}

static void ev_bye(struct relay *r, uint32_t signal)
{
	fx.byes++;
}

static void ev_broken(struct relay *r, const struct msb_err *err)
{
	ASSERT_TRUE(!fx.broken);
	fx.broken = true;
	fx.err = *err;
}

static void ev_channel_end(struct relay *r)
{
}

static void ev_stop(struct relay *r, uint32_t grace_ms)
{
	fx.stops++;
}

static void ev_owner_gone(struct relay *r)
{
	fx.owner_gones++;
}

static void ev_main_detached(struct relay *r)
{
	fx.main_detached++;
}

static void ev_main_ended(struct relay *r, bool detached, int exit_status, const char *err)
{
	fx.main_ended++;
	fx.ended_detached = detached;
	fx.exit_status = exit_status;
	ASSERT_STREQ(err, "");
}

static void ev_give_failed(struct relay *r, int error)
{
	fx.give_error = error;
}

static int ev_memory(struct relay *r, uint32_t mib)
{
	fx.memory_mib = mib;
	return fx.memory_result;
}

static void ev_cpus(struct relay *r, uint32_t online)
{
	fx.cpus = online;
}

static int ev_secrets(struct relay *r, const void *text, size_t len, int fd)
{
	ASSERT_EQ(len, 2);
	ASSERT_MEMEQ(text, "{}", 2);
	memset(fx.secrets, 0, sizeof(fx.secrets));
	if (fd >= 0)
		ASSERT_OK(pread(fd, fx.secrets, sizeof(fx.secrets) - 1, 0));
	return fx.secrets_result;
}

static void ev_finished(struct relay *r)
{
	fx.finished = true;
}

static bool ev_prepared(struct relay *r);

static const struct relay_events events = {
	.hello = ev_hello,
	.ready = ev_ready,
	.boot_failed = ev_boot_failed,
	.bye = ev_bye,
	.broken = ev_broken,
	.channel_end = ev_channel_end,
	.stop = ev_stop,
	.owner_gone = ev_owner_gone,
	.main_detached = ev_main_detached,
	.main_ended = ev_main_ended,
	.give_failed = ev_give_failed,
	.prepared = ev_prepared,
	.signal = relay_signal_main,
	.memory = ev_memory,
	.cpus = ev_cpus,
	.secrets = ev_secrets,
	.finished = ev_finished,
};

static void set_up(void)
{
	struct msg_config m = {.version = PROTO_VERSION, .hostname = "h"};
	static const char *const env[] = {NULL};
	struct buf config;
	int fds[2];

	ASSERT_OK(loop_init(&fx.loop));
	relay_init(&fx.relay, &fx.loop, &events);
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	fx.channel_fd = fds[0];
	fake_guest_init(&fx.guest, &fx.loop, fds[1]);
	buf_init(&config, LIMIT_FRAME_PAYLOAD);
	ASSERT_OK(msg_put_config(&config, &m, &(struct msg_config_lists){.env = env}));
	ASSERT_OK(relay_attach(&fx.relay, fds[0], &config));
	buf_deinit(&config);
}

static void tear_down(void)
{
	relay_deinit(&fx.relay);
	fake_guest_deinit(&fx.guest);
	close(fx.channel_fd);
	loop_deinit(&fx.loop);
}

/* Runs the loop until @done says so. */
static void run_until(bool (*done)(void))
{
	uint64_t deadline = clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC;

	while (!done()) {
		ASSERT_TRUE(clock_mono_ns() < deadline);
		ASSERT_OK(loop_once(&fx.loop, deadline));
	}
}

/* Everything that can be done without waiting is done. */
static void settle(void)
{
	for (unsigned int i = 0; i < 200; i++)
		ASSERT_OK(loop_once(&fx.loop, 0));
}

static void on_ready(struct sandbox *sb, const struct msg_sb_ready *m, void *arg)
{
	ASSERT_STREQ(m->engine, "fake");
	fx.client_ready++;
}

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	fx.client_failed++;
	fx.err = *err;
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	fx.client_stopped++;
}

static const struct sandbox_events client_events = {
	.ready = on_ready, .failed = on_failed, .stopped = on_stopped};

static struct sandbox *connect_client(bool owner)
{
	struct sandbox *sb;
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	ASSERT_OK(relay_add_client(&fx.relay, fds[0], owner));
	ASSERT_OK(sandbox_new(&fx.loop, fds[1], &client_events, NULL, &sb));
	return sb;
}

/* A client without the library: what it sends is up to the test. */
static int connect_raw(void)
{
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	ASSERT_OK(relay_add_client(&fx.relay, fds[0], false));
	return fds[1];
}

static void make_ready(void)
{
	fake_guest_hello(&fx.guest);
	fake_guest_ready(&fx.guest);
	settle();
	ASSERT_EQ(fx.readies, 1);
}

/* One request under test. */
struct job {
	struct sandbox_stream s;
	uint64_t total; /* expected of EMIT */
	uint64_t got;
	uint64_t to_write;
	uint64_t written;
	uint32_t sum;
	bool stalled; /* takes bytes but does not return credit */
	bool mixed; /* a wrong byte was seen */
	bool eof;
	bool frozen;
	bool done;
	struct sandbox_result result;
};

static unsigned int jobs_done;
static unsigned int jobs_wanted;

static bool jobs_complete(void)
{
	return jobs_done == jobs_wanted;
}

static void job_data(
	struct sandbox_stream *s, unsigned int channel, const void *p, size_t len, bool eof)
{
	struct job *j = container_of(s, struct job, s);
	const uint8_t *bytes = p;

	for (size_t i = 0; i < len; i++)
		j->mixed |= bytes[i] != fake_pattern(j->total, j->got + i);
	j->got += len;
	j->eof |= eof;
	if (!j->stalled)
		sandbox_stream_consumed(s, len);
}

static void job_write(struct job *j)
{
	uint8_t chunk[5000];

	while (j->written < j->to_write) {
		size_t n = (size_t)MIN(j->to_write - j->written, (uint64_t)sizeof(chunk));
		ssize_t put;

		for (size_t i = 0; i < n; i++)
			chunk[i] = fake_pattern(j->total, j->written + i);
		put = sandbox_stream_write(&j->s, chunk, n);
		ASSERT_OK(put);
		j->sum = fake_sum(j->sum, chunk, (size_t)put);
		j->written += (size_t)put;
		if ((size_t)put < n)
			return;
	}
	ASSERT_OK(sandbox_stream_write_eof(&j->s));
}

static void job_writable(struct sandbox_stream *s)
{
	job_write(container_of(s, struct job, s));
}

static void job_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct job *j = container_of(s, struct job, s);

	ASSERT_TRUE(!j->done);
	j->done = true;
	j->result = *r;
	jobs_done++;
}

static void job_started(struct sandbox_stream *s, uint32_t pid)
{
	struct job *j = container_of(s, struct job, s);

	j->frozen = pid == 0;
}

static const struct sandbox_stream_ops job_ops = {
	.started = job_started, .data = job_data, .writable = job_writable, .done = job_done};

static void start_job(struct sandbox *sb, struct job *j, const char *what, uint64_t n)
{
	char arg[32];
	const char *argv[] = {what, arg, NULL};
	struct msg_exec m = {.flags = EXEC_STDIN, .user = "", .cwd = ""};

	(void)snprintf(arg, sizeof(arg), "%" PRIu64, n);
	j->total = n;
	j->s.ops = &job_ops;
	ASSERT_OK(sandbox_exec(sb, &j->s, &m, argv, NULL));
	jobs_wanted++;
}

static bool ev_prepared(struct relay *r)
{
	if (!r->held)
		return false;
	relay_release(r);
	return true;
}

TEST(others_wait_for_a_relay_that_is_held)
{
	struct job early = {};
	struct job late = {};
	struct job owners = {};
	struct job prepared = {.s.ops = &job_ops};
	struct sandbox *owner;
	struct sandbox *first;
	struct sandbox *second;

	set_up();
	relay_hold(&fx.relay);
	owner = connect_client(true);
	first = connect_client(false);
	start_job(first, &early, "exit", 1);
	make_ready();
	second = connect_client(false);
	start_job(second, &late, "exit", 2);
	settle();
	ASSERT_EQ(fx.guest.requests, 0);
	start_job(owner, &owners, "exit", 3);
	settle();
	ASSERT_EQ(fx.guest.requests, 1);
	ASSERT_TRUE(owners.done && !early.done && !late.done);
	ASSERT_OK(sandbox_prepared(owner, &prepared.s));
	jobs_wanted++;
	run_until(jobs_complete);
	ASSERT_EQ(prepared.result.type, FRAME_PONG);
	ASSERT_EQ(early.result.exited.code, 1);
	ASSERT_EQ(late.result.exited.code, 2);
	/* Nobody else may say so, and not twice. */
	prepared.done = false;
	ASSERT_OK(sandbox_prepared(second, &prepared.s));
	jobs_wanted++;
	run_until(jobs_complete);
	ASSERT_EQ(prepared.result.type, FRAME_FAILED);
	sandbox_close(owner);
	sandbox_close(first);
	sandbox_close(second);
	tear_down();
}

TEST(requests_wait_for_the_guest)
{
	struct job j = {};
	struct sandbox *sb;

	set_up();
	sb = connect_client(true);
	start_job(sb, &j, "exit", 3);
	settle();
	ASSERT_EQ(fx.guest.configs, 1);
	ASSERT_EQ(fx.guest.requests, 0);
	ASSERT_TRUE(!j.done);
	make_ready();
	run_until(jobs_complete);
	ASSERT_EQ(j.result.type, FRAME_EXITED);
	ASSERT_EQ(j.result.exited.code, 3);
	ASSERT_EQ(fx.client_ready, 1);
	sandbox_close(sb);
	tear_down();
}

TEST(late_clients_learn_that_it_is_ready)
{
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	settle();
	ASSERT_EQ(fx.client_ready, 1);
	sandbox_close(sb);
	tear_down();
}

TEST(a_stalled_reader_stalls_only_itself)
{
	static struct job jobs[MANY];
	struct sandbox *sb;
	uint64_t stalled_at;

	set_up();
	make_ready();
	sb = connect_client(true);
	jobs[7].stalled = true;
	for (unsigned int i = 0; i < MANY; i++)
		start_job(sb, &jobs[i], "emit", MANY_BYTES + i * 1009);
	jobs_wanted--;
	run_until(jobs_complete);
	ASSERT_TRUE(!jobs[7].done);
	ASSERT_EQ(jobs[7].got, LIMIT_STREAM_WINDOW);
	ASSERT_TRUE(!fx.broken);

	jobs_wanted++;
	stalled_at = jobs[7].got;
	jobs[7].stalled = false;
	sandbox_stream_consumed(&jobs[7].s, stalled_at);
	run_until(jobs_complete);
	for (unsigned int i = 0; i < MANY; i++) {
		ASSERT_EQ(jobs[i].got, jobs[i].total);
		ASSERT_TRUE(jobs[i].eof && !jobs[i].mixed);
		ASSERT_EQ(jobs[i].result.type, FRAME_EXITED);
	}
	ASSERT_EQ(fx.relay.n_streams, 0);
	sandbox_close(sb);
	tear_down();
}

TEST(a_client_that_does_not_read_stalls_only_itself)
{
	static struct job jobs[MANY];
	static struct job stuck[4];
	struct sandbox *sb;
	struct sandbox *dead;

	set_up();
	make_ready();
	sb = connect_client(true);
	dead = connect_client(false);
	for (unsigned int i = 0; i < ARRAY_SIZE(stuck); i++)
		start_job(dead, &stuck[i], "emit", MANY_BYTES);
	/* As if its process were stopped. */
	loop_fd_del(&dead->src);
	jobs_wanted = 0;
	for (unsigned int i = 0; i < MANY; i++)
		start_job(sb, &jobs[i], "emit", MANY_BYTES);
	run_until(jobs_complete);
	for (unsigned int i = 0; i < MANY; i++)
		ASSERT_TRUE(jobs[i].got == MANY_BYTES && !jobs[i].mixed);
	ASSERT_TRUE(fx.relay.queued <= ARRAY_SIZE(stuck) * (LIMIT_STREAM_WINDOW + 4096u));
	ASSERT_EQ(fx.relay.n_streams, ARRAY_SIZE(stuck));
	/* Its death frees its streams. */
	sandbox_close(dead);
	settle();
	ASSERT_EQ(fx.guest.cancels, ARRAY_SIZE(stuck));
	ASSERT_EQ(fx.relay.n_streams, 0);
	ASSERT_EQ(fx.relay.queued, 0);
	sandbox_close(sb);
	tear_down();
}

TEST(a_guest_that_does_not_read_stalls_only_its_stream)
{
	static struct job jobs[MANY];
	struct job stuck = {.to_write = MANY_BYTES};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(true);
	start_job(sb, &stuck, "stall", 0);
	job_write(&stuck);
	jobs_wanted = 0;
	for (unsigned int i = 0; i < MANY; i++) {
		jobs[i].to_write = MANY_BYTES;
		start_job(sb, &jobs[i], i % 2 ? "cat" : "sink", i);
		job_write(&jobs[i]);
	}
	run_until(jobs_complete);
	ASSERT_EQ(stuck.written, LIMIT_STREAM_WINDOW);
	for (unsigned int i = 0; i < MANY; i++) {
		ASSERT_EQ(jobs[i].result.type, FRAME_EXITED);
		if (i % 2)
			ASSERT_TRUE(jobs[i].got == MANY_BYTES && !jobs[i].mixed);
		else
			ASSERT_EQ(jobs[i].result.exited.code, jobs[i].sum & 0xff);
	}
	ASSERT_OK(sandbox_stream_signal(&stuck.s, 15));
	settle();
	ASSERT_EQ(stuck.result.exited.signal, 15);
	sandbox_close(sb);
	tear_down();
}

/* The channel itself is stuck: the relay holds a bounded amount and stops reading clients. */
TEST(a_deaf_guest_costs_bounded_memory)
{
	static struct job jobs[MANY];
	struct sandbox *sb;

	set_up();
	make_ready();
	fake_guest_listen(&fx.guest, false);
	sb = connect_client(true);
	for (unsigned int i = 0; i < MANY; i++) {
		jobs[i].to_write = MANY_BYTES;
		start_job(sb, &jobs[i], "cat", i);
		job_write(&jobs[i]);
	}
	settle();
	ASSERT_TRUE(buf_len(&fx.relay.channel_out) <=
		    LIMIT_CTRL_BACKLOG + LIMIT_FRAME_PAYLOAD + FRAME_HEADER);
	ASSERT_EQ(jobs_done, 0);
	fake_guest_listen(&fx.guest, true);
	run_until(jobs_complete);
	for (unsigned int i = 0; i < MANY; i++)
		ASSERT_TRUE(jobs[i].got == MANY_BYTES && !jobs[i].mixed);
	sandbox_close(sb);
	tear_down();
}

static bool is_broken(void)
{
	return fx.broken;
}

TEST(a_guest_that_breaks_the_rules_loses_its_channel)
{
	static const char *const how[] = {"overdraw", "unknown-stream", "two-ends", "wrong-end",
		"started-twice", "false-credit", "data-after-eof", "empty-data", "channel-zero",
		"host-frame", "request", "ready-twice", "garbage"};

	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		struct job j = {.stalled = true};
		struct sandbox *sb;

		memset(&fx, 0, sizeof(fx));
		set_up();
		make_ready();
		sb = connect_client(true);
		start_job(sb, &j, how[i], 0);
		run_until(is_broken);
		ASSERT_EQ(fx.err.kind, MSB_GUEST);
		ASSERT_EQ(fx.relay.channel_fd, -EBADF);
		sandbox_close(sb);
		tear_down();
	}
}

TEST(nothing_is_served_before_hello_and_ready)
{
	static const uint8_t early[] = {
		FRAME_READY, FRAME_BYE, FRAME_CONFIG, FRAME_SHUTDOWN, FRAME_CLOCK};

	for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
		memset(&fx, 0, sizeof(fx));
		set_up();
		fake_guest_raw(&fx.guest, early[i], 0, 0, NULL, 0);
		run_until(is_broken);
		tear_down();
	}
	memset(&fx, 0, sizeof(fx));
	set_up();
	fake_guest_hello(&fx.guest);
	fake_guest_hello(&fx.guest);
	run_until(is_broken);
	tear_down();
}

/* A request waits for READY; the guest must not answer what it has not been sent. */
TEST(an_answer_before_the_question_breaks_the_channel)
{
	struct job j = {};
	struct sandbox *sb;
	struct msg_exited m = {};
	struct buf b;

	set_up();
	sb = connect_client(true);
	start_job(sb, &j, "exit", 0);
	settle();
	fake_guest_hello(&fx.guest);
	buf_init(&b, 100);
	ASSERT_OK(msg_put_exited(&b, 1, &m));
	fake_guest_raw(&fx.guest, FRAME_EXITED, 0, 1, buf_data(&b) + FRAME_HEADER,
		buf_len(&b) - FRAME_HEADER);
	buf_deinit(&b);
	run_until(is_broken);
	ASSERT_TRUE(!j.done);
	sandbox_close(sb);
	tear_down();
}

/* More than the socket holds goes in pieces; a relay that has hung up is no failure here. */
static void raw_send(int fd, struct buf *b)
{
	while (buf_len(b)) {
		ssize_t n = buf_send_fd(b, fd);

		if (n < 0 && n != -EAGAIN)
			return;
		settle();
	}
}

static bool raw_closed(int fd)
{
	char c[256];
	ssize_t n;

	settle();
	while ((n = read(fd, c, sizeof(c))) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

static void put_exec(struct buf *b, uint32_t stream, const char *what)
{
	const char *argv[] = {what, "0", NULL};
	const char *env[] = {NULL};
	struct msg_exec m = {.user = "", .cwd = ""};

	ASSERT_OK(msg_put_exec(b, stream, &m, argv, env));
}

TEST(a_client_that_breaks_the_rules_is_disconnected)
{
	static uint8_t zero[LIMIT_FRAME_PAYLOAD];
	struct sandbox *sb;
	struct job j = {};

	set_up();
	make_ready();
	sb = connect_client(true);
	for (unsigned int i = 0; i < 9; i++) {
		int fd = connect_raw();
		struct buf b;

		buf_init(&b, MIB);
		put_exec(&b, 5, "stall");
		switch (i) {
		case 0: /* a number in use */
			put_exec(&b, 5, "stall");
			break;
		case 1: /* more than the window */
			for (unsigned int k = 0; k < 5; k++)
				ASSERT_OK(frame_put(&b, FRAME_DATA, 0, 5, zero, sizeof(zero)));
			break;
		case 2: /* credit for nothing */
			ASSERT_OK(msg_put_u32(&b, FRAME_CREDIT, 5, 1));
			break;
		case 3: /* a frame of the guest */
			ASSERT_OK(msg_put_u32(&b, FRAME_STARTED, 5, 1));
			break;
		case 4: /* a frame of the supervisor to the guest */
			ASSERT_OK(frame_put(&b, FRAME_SHUTDOWN, 0, 0, zero, 4));
			break;
		case 5: /* stdin has channel 0 */
			ASSERT_OK(frame_put(&b, FRAME_DATA, 1, 5, "x", 1));
			break;
		case 6: /* after the end */
			ASSERT_OK(frame_put(&b, FRAME_DATA, FRAME_EOF, 5, NULL, 0));
			ASSERT_OK(frame_put(&b, FRAME_DATA, 0, 5, "x", 1));
			break;
		case 7:
			ASSERT_OK(buf_append(&b, zero, sizeof(zero)));
			break;
		case 8:
			ASSERT_OK(frame_put(&b, FRAME_DATA, 0, 5, NULL, 0));
			break;
		default:
			break;
		}
		raw_send(fd, &b);
		if (!raw_closed(fd))
			test_fail(__FILE__, __LINE__, "client %u is still served", i);
		ASSERT_EQ(fx.guest.cancels, i + 1);
		ASSERT_EQ(fx.relay.n_clients, 1);
		buf_deinit(&b);
		close(fd);
	}
	ASSERT_EQ(fx.relay.n_streams, 0);
	ASSERT_TRUE(!fx.broken);
	start_job(sb, &j, "exit", 0);
	run_until(jobs_complete);
	sandbox_close(sb);
	tear_down();
}

/* Frames that crossed the end of their stream on the way are no offence. */
TEST(frames_for_an_ended_stream_are_dropped)
{
	struct buf b;
	int fd;

	set_up();
	make_ready();
	fd = connect_raw();
	buf_init(&b, MIB);
	put_exec(&b, 1, "exit");
	raw_send(fd, &b);
	settle();
	buf_consume(&b, buf_len(&b));
	ASSERT_OK(frame_put(&b, FRAME_DATA, 0, 1, "x", 1));
	ASSERT_OK(msg_put_u32(&b, FRAME_SIGNAL, 1, 2));
	ASSERT_OK(frame_put(&b, FRAME_CANCEL, 0, 1, NULL, 0));
	put_exec(&b, 1, "exit");
	raw_send(fd, &b);
	settle();
	ASSERT_EQ(fx.guest.requests, 2);
	ASSERT_EQ(fx.relay.n_clients, 1);
	buf_deinit(&b);
	close(fd);
	tear_down();
}

TEST(one_client_cannot_take_all_streams)
{
	static struct job jobs[LIMIT_CLIENT_STREAMS + 1];
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(true);
	for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++) {
		start_job(sb, &jobs[i], "stall", 0);
		settle();
	}
	ASSERT_EQ(jobs_done, 1);
	ASSERT_EQ(jobs[LIMIT_CLIENT_STREAMS].result.type, FRAME_FAILED);
	ASSERT_EQ(jobs[LIMIT_CLIENT_STREAMS].result.err.kind, MSB_LIMIT);
	sandbox_close(sb);
	settle();
	ASSERT_EQ(fx.relay.n_streams, 0);
	ASSERT_EQ(fx.owner_gones, 1);
	tear_down();
}

TEST(too_many_clients_are_turned_away)
{
	int fds[LIMIT_CLIENTS];
	int pair[2];

	set_up();
	for (unsigned int i = 0; i < LIMIT_CLIENTS; i++)
		fds[i] = connect_raw();
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, pair));
	ASSERT_ERR(relay_add_client(&fx.relay, pair[0], false), EMFILE);
	close(pair[0]);
	close(pair[1]);
	for (unsigned int i = 0; i < LIMIT_CLIENTS; i++)
		close(fds[i]);
	settle();
	ASSERT_EQ(fx.relay.n_clients, 0);
	tear_down();
}

static bool is_finished(void)
{
	return fx.finished && fx.client_stopped == 2;
}

TEST(everybody_learns_of_the_end_behind_their_data)
{
	struct msg_sb_stopped m = {.reason = STOP_GUEST, .detail = ""};
	struct job j = {};
	struct sandbox *a;
	struct sandbox *b;
	struct buf last;

	set_up();
	make_ready();
	a = connect_client(true);
	b = connect_client(false);
	start_job(a, &j, "emit", 200000);
	run_until(jobs_complete);
	start_job(a, &j, "stall", 0);
	j.done = false;
	settle();
	buf_init(&last, 1000);
	ASSERT_OK(msg_put_sb_stopped(&last, &m));
	relay_detach(&fx.relay);
	relay_finish(&fx.relay, &last);
	buf_deinit(&last);
	run_until(is_finished);
	ASSERT_TRUE(j.done);
	ASSERT_EQ(j.result.type, 0);
	ASSERT_STREQ(j.result.err.msg, "the guest powered off");
	ASSERT_EQ(fx.owner_gones, 0);
	sandbox_close(a);
	sandbox_close(b);
	tear_down();
}

/* Nothing of it reaches the client, and nothing holds it up. */
TEST(a_detached_command_goes_on_without_its_client)
{
	static struct job jobs[2];
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i].stalled = true;
		start_job(sb, &jobs[i], "emit", i ? MANY_BYTES : 10ULL * MANY_BYTES);
	}
	settle();
	ASSERT_EQ(jobs[0].got, LIMIT_STREAM_WINDOW);
	ASSERT_OK(sandbox_stream_detach(&jobs[0].s));
	jobs_wanted = 1;
	run_until(jobs_complete);
	ASSERT_EQ(jobs[0].result.type, FRAME_EXITED);
	ASSERT_EQ(jobs[0].result.exited.code, 0);
	ASSERT_EQ(jobs[0].got, LIMIT_STREAM_WINDOW);
	/* The other one is still its client's. */
	sandbox_close(sb);
	for (int i = 0; i < 100 && fx.relay.n_streams; i++)
		settle();
	ASSERT_EQ(fx.relay.n_streams, 0);
	ASSERT_EQ(fx.relay.n_busy, 0);
	ASSERT_EQ(fx.guest.cancels, 1);
	ASSERT_EQ(fx.main_ended, 0);
	ASSERT_TRUE(!fx.broken);
	tear_down();
}

TEST(a_detached_command_still_ends_as_the_main_process)
{
	struct job j = {};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(true);
	start_job(sb, &j, "stall", 0);
	settle();
	ASSERT_OK(sandbox_stream_detach(&j.s));
	run_until(jobs_complete);
	ASSERT_EQ(fx.main_detached, 1);
	sandbox_close(sb);
	settle();
	ASSERT_EQ(fx.owner_gones, 1);
	ASSERT_EQ(fx.guest.cancels, 0);
	ASSERT_EQ(fx.main_ended, 0);
	ASSERT_TRUE(relay_signal_main(&fx.relay, 15));
	settle();
	ASSERT_EQ(fx.main_ended, 1);
	ASSERT_TRUE(fx.ended_detached);
	ASSERT_EQ(fx.exit_status, 128 + 15);
	ASSERT_TRUE(!relay_signal_main(&fx.relay, 15));
	tear_down();
}

TEST(a_signal_reaches_the_main_process_only)
{
	struct job j[4] = {};
	struct sandbox *owner;
	struct sandbox *other;

	set_up();
	make_ready();
	other = connect_client(false);
	owner = connect_client(true);
	start_job(other, &j[0], "stall", 0);
	j[1].s.ops = j[2].s.ops = &job_ops;
	ASSERT_OK(sandbox_signal(other, &j[1].s, 10));
	jobs_wanted = 1;
	run_until(jobs_complete);
	ASSERT_EQ(j[1].result.type, FRAME_FAILED);
	ASSERT_EQ(j[1].result.err.errno_, ESRCH);
	start_job(owner, &j[3], "stall", 0);
	ASSERT_OK(sandbox_signal(other, &j[2].s, 10));
	jobs_wanted = 3;
	run_until(jobs_complete);
	ASSERT_EQ(j[2].result.type, FRAME_PONG);
	ASSERT_EQ(j[3].result.exited.signal, 10);
	ASSERT_EQ(fx.main_ended, 1);
	ASSERT_TRUE(!fx.ended_detached && !j[0].done);
	sandbox_close(owner);
	sandbox_close(other);
	tear_down();
}

/* It is there before what a client asks for, even if that client was first. */
TEST(files_are_given_before_anything_is_served)
{
	static uint8_t big[LIMIT_STREAM_WINDOW + 1];
	struct job j = {};
	struct sandbox *sb;

	set_up();
	memset(big, 'x', sizeof(big));
	sb = connect_client(true);
	ASSERT_OK(relay_give_directory(&fx.relay, "/s", 0755));
	ASSERT_OK(relay_give_file(&fx.relay, "/s/big", 0755, big, sizeof(big) - 1));
	ASSERT_OK(relay_give_file(&fx.relay, "/s/empty", 0755, "", 0));
	ASSERT_ERR(relay_give_file(&fx.relay, "/s/huge", 0755, big, sizeof(big)), EFBIG);
	start_job(sb, &j, "exit", 0);
	make_ready();
	run_until(jobs_complete);
	ASSERT_EQ(fx.guest.given, 3);
	ASSERT_EQ(fx.guest.given_bytes, sizeof(big) - 1);
	ASSERT_EQ(fx.guest.given_at_exec, 3);
	ASSERT_EQ(fx.give_error, 0);
	/* One that cannot be made is reported, once. */
	ASSERT_OK(relay_give_directory(&fx.relay, "/refuse", 0755));
	for (int i = 0; i < 100 && !fx.give_error; i++)
		settle();
	ASSERT_EQ(fx.give_error, -EROFS);
	ASSERT_EQ(fx.relay.n_streams, 0);
	ASSERT_EQ(fx.relay.n_busy, 0);
	ASSERT_TRUE(!fx.broken);
	sandbox_close(sb);
	tear_down();
}

TEST(pings_and_metrics)
{
	struct job ping = {.s.ops = &job_ops};
	struct job metrics = {.s.ops = &job_ops};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(true);
	ASSERT_OK(sandbox_ping(sb, &ping.s));
	ASSERT_OK(sandbox_metrics(sb, &metrics.s));
	jobs_wanted = 2;
	run_until(jobs_complete);
	ASSERT_EQ(ping.result.type, FRAME_PONG);
	ASSERT_EQ(metrics.result.metrics.procs, 7);
	ASSERT_OK(sandbox_stop(sb, 0));
	settle();
	ASSERT_EQ(fx.stops, 1);
	sandbox_close(sb);
	tear_down();
}

/* Each with its own, or with none. */
TEST(secrets_come_with_a_file)
{
	static const char *const texts[] = {"one", "two", ""};
	struct job jobs[] = {{.s.ops = &job_ops}, {.s.ops = &job_ops}, {.s.ops = &job_ops}};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++) {
		int fd = texts[i][0] ? memfd_create("test", MFD_CLOEXEC) : -EBADF;

		if (texts[i][0])
			ASSERT_EQ(write(fd, texts[i], 3), 3);
		fx.secrets_result = i == 1 ? -ENETDOWN : 0;
		ASSERT_OK(sandbox_secrets(sb, &jobs[i].s, "{}", 2, fd));
		jobs_wanted = i + 1;
		run_until(jobs_complete);
		ASSERT_EQ(jobs[i].result.type, i == 1 ? FRAME_FAILED : FRAME_PONG);
		ASSERT_STREQ(fx.secrets, texts[i]);
	}
	sandbox_close(sb);
	settle();
	tear_down();
}

TEST(a_freeze_lasts_until_it_is_cancelled)
{
	struct job j = {.s.ops = &job_ops};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	ASSERT_OK(sandbox_freeze(sb, &j.s, 1000));
	settle();
	ASSERT_TRUE(j.frozen && !j.done);
	/* An idle timeout must not fall into it. */
	ASSERT_EQ(fx.relay.n_busy, 1);
	ASSERT_OK(sandbox_stream_cancel(&j.s));
	jobs_wanted = 1;
	run_until(jobs_complete);
	ASSERT_EQ(j.result.type, FRAME_THAWED);
	ASSERT_EQ(j.result.thawed, 0);
	ASSERT_EQ(fx.relay.n_busy, 0);
	sandbox_close(sb);
	tear_down();
}

TEST(a_client_that_leaves_ends_its_freeze)
{
	struct job j = {.s.ops = &job_ops};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	ASSERT_OK(sandbox_freeze(sb, &j.s, 1000));
	settle();
	ASSERT_TRUE(j.frozen);
	sandbox_close(sb);
	settle();
	ASSERT_EQ(fx.guest.cancels, 1);
	ASSERT_EQ(fx.relay.n_streams, 0);
	ASSERT_TRUE(!fx.broken);
	tear_down();
}

TEST(other_processors)
{
	const struct msg_modify m = {.cpus = 3, .cwd = ""};
	struct job j = {.s.ops = &job_ops};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	ASSERT_OK(sandbox_modify(sb, &j.s, &m, NULL));
	jobs_wanted = 1;
	run_until(jobs_complete);
	ASSERT_EQ(j.result.type, FRAME_MODIFIED);
	ASSERT_EQ(j.result.modified, 3);
	ASSERT_EQ(fx.cpus, 3);
	/* Nobody asked this stream for processors. */
	start_job(sb, &j, "stall", 0);
	settle();
	fake_guest_raw(&fx.guest, FRAME_MODIFIED, 0, 1, "\x03\0\0", 4);
	settle();
	ASSERT_TRUE(fx.broken && fx.cpus == 3);
	sandbox_close(sb);
	tear_down();
}

TEST(memory_is_answered_to_the_one_who_asked)
{
	struct job j = {.s.ops = &job_ops};
	struct job second = {.s.ops = &job_ops};
	struct sandbox *other;
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(false);
	other = connect_client(false);
	ASSERT_OK(sandbox_memory(sb, &j.s, 256));
	settle();
	ASSERT_TRUE(fx.memory_mib == 256 && !j.done);
	/* One at a time. */
	ASSERT_OK(sandbox_memory(other, &second.s, 300));
	jobs_wanted = 1;
	run_until(jobs_complete);
	ASSERT_TRUE(second.result.type == FRAME_FAILED && second.result.err.errno_ == EBUSY);
	ASSERT_EQ(fx.memory_mib, 256);
	relay_memory_done(&fx.relay, 256, NULL);
	jobs_wanted = 2;
	run_until(jobs_complete);
	ASSERT_TRUE(j.result.type == FRAME_MODIFIED && j.result.modified == 256);
	/* Whoever has left is told nothing, and the next one may ask. */
	second.done = false;
	ASSERT_OK(sandbox_memory(other, &second.s, 300));
	settle();
	sandbox_close(other);
	settle();
	relay_memory_done(&fx.relay, 300, NULL);
	j.done = false;
	ASSERT_OK(sandbox_memory(sb, &j.s, 100));
	settle();
	relay_memory_done(&fx.relay, 0, "the guest would not");
	jobs_wanted = 3;
	run_until(jobs_complete);
	ASSERT_TRUE(j.result.type == FRAME_FAILED && strstr(j.result.err.msg, "would not"));
	fx.memory_result = -ERANGE;
	j.done = false;
	ASSERT_OK(sandbox_memory(sb, &j.s, 1));
	jobs_wanted = 4;
	run_until(jobs_complete);
	ASSERT_TRUE(j.result.type == FRAME_FAILED && j.result.err.errno_ == ERANGE);
	ASSERT_TRUE(!fx.relay.resizing && !fx.broken);
	sandbox_close(sb);
	tear_down();
}

/* Twice, with bytes in it, or for another request. */
TEST(frozen_out_of_place_breaks_the_channel)
{
	for (int i = 0; i < 3; i++) {
		struct job j = {.s.ops = &job_ops};
		struct sandbox *sb;

		memset(&fx, 0, sizeof(fx));
		jobs_wanted = jobs_done = 0;
		set_up();
		make_ready();
		sb = connect_client(false);
		if (i < 2)
			ASSERT_OK(sandbox_freeze(sb, &j.s, 1000));
		else
			start_job(sb, &j, "stall", 0);
		settle();
		ASSERT_TRUE(!fx.broken);
		fake_guest_raw(&fx.guest, FRAME_FROZEN, 0, 1, "x", i == 1);
		settle();
		ASSERT_TRUE(fx.broken);
		sandbox_close(sb);
		tear_down();
	}
}

static bool is_lost(void)
{
	return fx.client_failed == 1;
}

TEST(a_lost_supervisor_ends_streams_and_client)
{
	struct job j = {};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(true);
	start_job(sb, &j, "stall", 0);
	settle();
	relay_deinit(&fx.relay);
	run_until(is_lost);
	ASSERT_TRUE(j.done);
	ASSERT_EQ(j.result.type, 0);
	ASSERT_ERR(sandbox_ping(sb, &j.s), ENOTCONN);
	ASSERT_ERR(sandbox_stream_write(&j.s, "x", 1), EPIPE);
	sandbox_close(sb);
	tear_down();
}

static void close_in_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct job *j = container_of(s, struct job, s);

	j->done = true;
	jobs_done++;
	sandbox_close(j->result.type ? NULL : (struct sandbox *)(uintptr_t)j->to_write);
}

/* The handle is freed under the callback's feet; the sanitizers watch. */
TEST(closing_inside_a_callback)
{
	static const struct sandbox_stream_ops ops = {.done = close_in_done};
	struct job a = {.s.ops = &ops};
	struct job b = {.s.ops = &ops};
	struct sandbox *sb;

	set_up();
	make_ready();
	sb = connect_client(true);
	a.to_write = b.to_write = (uintptr_t)sb;
	ASSERT_OK(sandbox_ping(sb, &a.s));
	ASSERT_OK(sandbox_ping(sb, &b.s));
	jobs_wanted = 1;
	run_until(jobs_complete);
	settle();
	ASSERT_EQ(jobs_done, 1);
	ASSERT_EQ(fx.owner_gones, 1);
	ASSERT_EQ(fx.client_failed, 0);
	tear_down();
}
