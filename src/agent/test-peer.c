/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of the channel for tests: see test-peer.h. */
#include "test-peer.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"

#include "agent/agent.h"

#include "test.h"

enum { PATIENCE_MS = 60000, OUT_MAX = 8 * 1024 * 1024 };

const struct freezer *peer_freezer;

static void agent_process(int fd, void (*setup)(void))
{
	struct agent a;
	int r;

	/* What it says about misuse is the test's doing. */
	log_set_fd(-1);
	ASSERT_OK(io_nonblock(fd, true));
	if (setup)
		setup();
	r = agent_init(&a, fd, false);
	if (r == 0) {
		a.freezer = peer_freezer;
		r = agent_hello(&a);
		if (r == 0)
			r = loop_run(&a.loop);
		agent_deinit(&a);
	}
	close(fd);
	/* Not _exit(): the leak checker looks at the agent, too. */
	exit(r < 0 ? -r : 0);
}

void peer_start(struct peer *p, void (*setup)(void))
{
	int fds[2];

	*p = (struct peer){};
	buf_init(&p->in, 2 * (FRAME_HEADER + LIMIT_FRAME_PAYLOAD));
	buf_init(&p->out, OUT_MAX);
	/* Orphans of the agent become ours: as PID 1 it would have reaped them. */
	ASSERT_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	fflush(stdout);
	p->pid = fork();
	ASSERT_OK(p->pid);
	if (p->pid == 0) {
		close(fds[0]);
		agent_process(fds[1], setup);
	}
	close(fds[1]);
	p->fd = fds[0];
}

void peer_config(struct peer *p)
{
	const struct msg_config m = {.version = PROTO_VERSION};
	struct frame f;

	ASSERT_OK(msg_put_config(&p->out, &m, NULL));
	peer_flush(p);
	ASSERT_TRUE(peer_next(p, &f));
	ASSERT_EQ(f.type, FRAME_HELLO);
	ASSERT_TRUE(peer_next(p, &f));
	ASSERT_EQ(f.type, FRAME_READY);
}

void peer_serve(struct peer *p)
{
	peer_start(p, NULL);
	peer_config(p);
}

void peer_stop(struct peer *p, int status)
{
	int got;

	close(p->fd);
	ASSERT_EQ(waitpid(p->pid, &got, 0), p->pid);
	if (WIFSIGNALED(got))
		test_fail(__FILE__, __LINE__, "the agent died of signal %d", WTERMSIG(got));
	ASSERT_EQ(WEXITSTATUS(got), status);
	buf_deinit(&p->in);
	buf_deinit(&p->out);
}

/* Never blocks for good: a full socket while the agent waits for us would be a deadlock. */
void peer_flush(struct peer *p)
{
	while (buf_len(&p->out)) {
		struct pollfd pfd = {.fd = p->fd, .events = POLLOUT};
		ssize_t n;

		ASSERT_EQ(poll(&pfd, 1, PATIENCE_MS), 1);
		n = send(p->fd, buf_data(&p->out), buf_len(&p->out), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			return; /* hung up: the reader sees it */
		buf_consume(&p->out, (size_t)n);
	}
}

bool peer_next(struct peer *p, struct frame *f)
{
	int r;

	buf_consume(&p->in, p->consume);
	p->consume = 0;
	while ((r = frame_decode(&p->in, f)) == -EAGAIN) {
		struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
		ssize_t n;

		if (poll(&pfd, 1, PATIENCE_MS) != 1)
			test_fail(__FILE__, __LINE__, "the agent is silent");
		n = buf_read_fd(&p->in, p->fd, buf_space(&p->in));
		if (n == 0 || n == -ECONNRESET)
			return false;
		ASSERT_TRUE(n > 0);
	}
	ASSERT_OK(r);
	p->consume = FRAME_HEADER + f->len;
	return true;
}

void result_init(struct result *r)
{
	*r = (struct result){};
	for (int i = 0; i < 3; i++)
		buf_init(&r->out[i], OUT_MAX);
	credit_rx_init(&r->rx);
}

void result_deinit(struct result *r)
{
	for (int i = 0; i < 3; i++)
		buf_deinit(&r->out[i]);
}

static void result_data(struct result *r, struct peer *p, const struct frame *f)
{
	unsigned int channel = f->flags & FRAME_CHANNEL;
	uint32_t due;

	ASSERT_TRUE(!r->eof[channel]);
	ASSERT_OK(credit_rx_data(&r->rx, f->len));
	ASSERT_OK(buf_append(&r->out[channel], f->payload, f->len));
	r->eof[channel] = (f->flags & FRAME_EOF) != 0;
	if (r->no_credit)
		return;
	due = credit_rx_passed(&r->rx, r->rx.held);
	if (due) {
		ASSERT_OK(msg_put_u32(&p->out, FRAME_CREDIT, f->stream, due));
		peer_flush(p);
	}
}

void result_take(struct result *r, struct peer *p, const struct frame *f)
{
	struct msg_failure failure;

	ASSERT_TRUE(!r->done);
	switch (f->type) {
	case FRAME_STARTED:
		ASSERT_TRUE(!r->started);
		ASSERT_OK(msg_get_u32(f, &r->pid));
		r->started = true;
		break;
	case FRAME_DATA:
		result_data(r, p, f);
		break;
	case FRAME_CREDIT:
		break;
	case FRAME_EXITED:
		ASSERT_OK(msg_get_exited(f, &r->exited));
		ASSERT_TRUE(r->started);
		break;
	case FRAME_FS_DONE:
		ASSERT_OK(msg_get_fs_done(f, &r->fs));
		break;
	case FRAME_FAILED:
		ASSERT_OK(msg_get_failure(f, &failure));
		ASSERT_TRUE(!r->started);
		r->stage = failure.stage;
		r->error = (int)failure.errno_;
		(void)snprintf(r->what, sizeof(r->what), "%s", failure.what);
		break;
	default:
		ASSERT_TRUE(frame_is_terminal(f->type));
		break;
	}
	r->done = frame_is_terminal(f->type);
	if (r->done)
		r->last = f->type;
}

void peer_result(struct peer *p, uint32_t id, struct result *r)
{
	struct frame f;

	while (!r->done) {
		ASSERT_TRUE(peer_next(p, &f));
		ASSERT_EQ(f.stream, id);
		result_take(r, p, &f);
	}
}

void peer_exec(struct peer *p, uint32_t id, const struct msg_exec *m, const char *const *argv,
	const char *const *env)
{
	ASSERT_OK(msg_put_exec(&p->out, id, m, argv, env));
	peer_flush(p);
}

void peer_sh(struct peer *p, const struct msg_exec *m, const char *script, struct result *r)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	static const struct msg_exec plain;

	result_init(r);
	peer_exec(p, 1, m ? m : &plain, argv, NULL);
	peer_result(p, 1, r);
}

void peer_data(struct peer *p, uint32_t id, const void *data, size_t n, bool eof)
{
	const uint8_t *at = data;

	do {
		size_t part = MIN(n, (size_t)LIMIT_FRAME_PAYLOAD);

		ASSERT_OK(frame_put(
			&p->out, FRAME_DATA, eof && part == n ? FRAME_EOF : 0, id, at, part));
		at += part;
		n -= part;
	} while (n);
	peer_flush(p);
}

void peer_fs(struct peer *p, const struct msg_fs *m, struct result *r)
{
	result_init(r);
	ASSERT_OK(msg_put_fs(&p->out, 1, m));
	peer_flush(p);
	peer_result(p, 1, r);
}

const char *result_text(struct result *r, int channel)
{
	return buf_cstr(&r->out[channel]);
}
