/* SPDX-License-Identifier: Apache-2.0 */
/* EXEC: see exec.h. */
#include "exec.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/io.h"
#include "base/log.h"

#include "agent/ops/child.h"
#include "agent/ops/env.h"
#include "agent/ops/user.h"

enum {
	CH_STDIN = 0,
	CH_STDOUT = 1,
	CH_STDERR = 2,
	ROWS_DEFAULT = 24,
	COLS_DEFAULT = 80,
	/* What the kernel can hold for a terminal whose processes are gone: its read buffer and the
	 * buffers on the way there. */
	PTY_REST_MAX = 128 * 1024,
};

/* One direction of output: a pipe or a terminal. */
struct pump {
	struct loop_fd src; /* watched unless out of credit or room */
	struct exec *exec;
	int fd; /* owned, -EBADF when finished */
	uint8_t channel;
	uint64_t left; /* bytes still to send once the process is gone, UINT64_MAX before */
};

struct feed {
	struct loop_fd src; /* watched while `queue` waits for room in the pipe */
	struct exec *exec;
	int fd; /* owned, -EBADF when closed */
	struct buf queue; /* at most one window */
	bool eof; /* the client has sent everything */
	uint8_t last; /* byte written last */
};

struct exec {
	struct stream s;
	struct agent *agent;
	struct exec *next; /* agent->execs while not reaped */
	pid_t pid;
	bool reaped;
	bool pty;
	int status;
	struct pump out[2]; /* standard output and error; a terminal has only the first */
	struct feed in;
};

static void pump_event(struct loop_fd *src, uint32_t events);
static void feed_event(struct loop_fd *src, uint32_t events);

static void feed_close(struct feed *in)
{
	loop_fd_del(&in->src);
	in->fd = fd_close(in->fd);
	if (in->exec->s.ch && buf_len(&in->queue))
		stream_passed(&in->exec->s, buf_len(&in->queue));
	buf_deinit(&in->queue);
}

static void pump_close(struct pump *p)
{
	loop_fd_del(&p->src);
	p->fd = fd_close(p->fd);
}

static void exec_unlink(struct exec *e)
{
	struct exec **at = &e->agent->execs;

	while (*at && *at != e)
		at = &(*at)->next;
	if (*at)
		*at = e->next;
}

/* The stream is closed. A process that still runs is killed; the loop reaps it as an orphan. */
static void exec_free(struct exec *e)
{
	if (!e->reaped && e->pid > 0)
		(void)kill(-e->pid, SIGKILL);
	exec_unlink(e);
	e->agent->n_execs--;
	feed_close(&e->in);
	pump_close(&e->out[0]);
	pump_close(&e->out[1]);
	free(e);
}

static void exec_drop(struct stream *s)
{
	exec_free(container_of(s, struct exec, s));
}

/* The last frame, when the process is gone and its output is out. Frees @e. */
static void exec_finish(struct exec *e)
{
	struct channel *ch = e->s.ch;
	const struct msg_exited m = {
		.code = WIFEXITED(e->status) ? (uint32_t)WEXITSTATUS(e->status) : 0,
		.signal = WIFSIGNALED(e->status) ? (uint32_t)WTERMSIG(e->status) : 0,
	};
	uint32_t id = e->s.id;
	int r;

	feed_close(&e->in);
	stream_close(&e->s);
	exec_free(e);
	r = msg_put_exited(&ch->out, id, &m);
	if (r < 0)
		channel_break(ch, r);
	else
		channel_kick(ch);
}

/* Frees @e when nothing is left to do for it. */
static void exec_check(struct exec *e)
{
	if (e->reaped && e->out[0].fd < 0 && e->out[1].fd < 0)
		exec_finish(e);
}

static void pump_end(struct pump *p)
{
	pump_close(p);
	stream_send_eof(&p->exec->s, p->channel);
}

static int pump_watch(struct pump *p)
{
	if (p->src.loop)
		return 0;
	return loop_fd_add(&p->exec->agent->loop, &p->src, p->fd, EPOLLIN, pump_event);
}

/*
 * Sends one chunk, or, once the process is gone, all that is left: then no event may come any more.
 * Returns false when the pump has ended.
 */
static bool pump_step(struct pump *p)
{
	ssize_t n = 0;

	while (p->left) {
		n = stream_send_fd(
			&p->exec->s, p->fd, p->channel, MIN(p->left, (uint64_t)OUT_CHUNK));
		if (n <= 0 || !p->exec->reaped)
			break;
		p->left -= (uint64_t)n;
	}
	if (p->left == 0) {
		pump_end(p);
		return false;
	}
	if (n == -ENOBUFS) {
		loop_fd_del(&p->src);
		return true;
	}
	/* Level-triggered: what is left or still to be written comes with a later turn. */
	if (n > 0 || (n == -EAGAIN && !p->exec->reaped)) {
		if (pump_watch(p) == 0)
			return true;
		n = -ENOMEM;
	}
	if (n == -ENOMEM)
		log_err("out of memory: output of process %d is cut", (int)p->exec->pid);
	/* End of file, the EIO of a terminal that nobody has open any more, or nothing was left. */
	pump_end(p);
	return false;
}

static void pump_event(struct loop_fd *src, uint32_t events)
{
	struct pump *p = container_of(src, struct pump, src);
	struct exec *e = p->exec;

	(void)events;
	if (!pump_step(p))
		exec_check(e);
}

static void exec_resume(struct stream *s)
{
	struct exec *e = container_of(s, struct exec, s);
	bool ended = false;

	for (size_t i = 0; i < ARRAY_SIZE(e->out); i++) {
		/* Watched ones are not waiting for us. */
		if (e->out[i].fd >= 0 && !e->out[i].src.loop)
			ended |= !pump_step(&e->out[i]);
	}
	if (ended)
		exec_check(e);
}

/* A process that reads a terminal sees the end of its input as a character. */
static void feed_pty_eof(struct feed *in)
{
	struct termios t;
	uint8_t eof[2];

	if (tcgetattr(in->fd, &t) < 0 || !(t.c_lflag & ICANON))
		return;
	/* In the middle of a line the first one only ends the line's part. */
	eof[0] = eof[1] = t.c_cc[VEOF];
	if (write(in->fd, eof, in->last == '\n' ? 1 : 2) < 0)
		return;
}

/* The process does not want its input: take what still comes and drop it. */
static void feed_end(struct feed *in)
{
	if (in->fd >= 0 && in->exec->pty && in->eof)
		feed_pty_eof(in);
	feed_close(in);
}

static ssize_t feed_write(struct feed *in, const void *p, size_t n)
{
	ssize_t put;

	do {
		put = write(in->fd, p, n);
	} while (put < 0 && errno == EINTR);
	if (put > 0)
		in->last = ((const uint8_t *)p)[put - 1];
	return put < 0 ? -errno : put;
}

static void feed_event(struct loop_fd *src, uint32_t events)
{
	struct feed *in = container_of(src, struct feed, src);
	ssize_t n = feed_write(in, buf_data(&in->queue), buf_len(&in->queue));

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		feed_end(in);
		return;
	}
	buf_consume(&in->queue, (size_t)n);
	stream_passed(&in->exec->s, (size_t)n);
	if (buf_len(&in->queue))
		return;
	loop_fd_del(&in->src);
	if (in->eof)
		feed_end(in);
}

/* DATA of the client: straight into the pipe, what does not fit into the queue. */
static void feed_data(struct feed *in, const struct frame *f)
{
	ssize_t n = 0;
	size_t rest;

	if (in->fd < 0 || in->eof) {
		stream_passed(&in->exec->s, f->len);
		return;
	}
	in->eof = (f->flags & FRAME_EOF) != 0;
	if (f->len && buf_len(&in->queue) == 0)
		n = feed_write(in, f->payload, f->len);
	if (n < 0 && n != -EAGAIN) {
		stream_passed(&in->exec->s, f->len);
		feed_end(in);
		return;
	}
	n = MAX(n, (ssize_t)0);
	stream_passed(&in->exec->s, (size_t)n);
	rest = f->len - (size_t)n;
	if (rest == 0 && buf_len(&in->queue) == 0) {
		if (in->eof)
			feed_end(in);
		return;
	}
	if (buf_append(&in->queue, f->payload + n, rest) == 0 &&
		(in->src.loop || loop_fd_add(&in->exec->agent->loop, &in->src, in->fd, EPOLLOUT,
					 feed_event) == 0))
		return;
	/* Losing a part of the input without a word would be worse than losing the process. */
	log_err("out of memory for the input of process %d: killed", (int)in->exec->pid);
	if (!in->exec->reaped)
		(void)kill(-in->exec->pid, SIGKILL);
	buf_deinit(&in->queue);
	feed_close(in);
}

static void exec_cancel(struct exec *e)
{
	if (!e->reaped)
		(void)kill(-e->pid, SIGKILL);
	/* Nobody wants the rest. */
	feed_close(&e->in);
	for (size_t i = 0; i < ARRAY_SIZE(e->out); i++) {
		if (e->out[i].fd >= 0)
			pump_end(&e->out[i]);
	}
	exec_check(e);
}

static void exec_resize(struct exec *e, const struct frame *f)
{
	struct msg_resize m;

	if (msg_get_resize(f, &m) == 0 && e->pty && e->out[0].fd >= 0) {
		const struct winsize ws = {.ws_row = m.rows, .ws_col = m.cols};

		/* The kernel sends SIGWINCH. */
		(void)ioctl(e->out[0].fd, TIOCSWINSZ, &ws);
	}
}

static void exec_signal(struct exec *e, const struct frame *f)
{
	uint32_t signo;

	/* Once reaped the number may belong to somebody else. */
	if (msg_get_u32(f, &signo) == 0 && signo > 0 && signo <= 64 && !e->reaped)
		(void)kill(-e->pid, (int)signo);
}

static void exec_frame(struct stream *s, const struct frame *f)
{
	struct exec *e = container_of(s, struct exec, s);

	switch (f->type) {
	case FRAME_DATA:
		feed_data(&e->in, f);
		break;
	case FRAME_RESIZE:
		exec_resize(e, f);
		break;
	case FRAME_SIGNAL:
		exec_signal(e, f);
		break;
	default:
		exec_cancel(e);
		break;
	}
}

static const struct stream_ops exec_stream_ops = {
	.frame = exec_frame,
	.resume = exec_resume,
	.drop = exec_drop,
};

void exec_reaped(struct agent *a, pid_t pid, int status)
{
	struct exec *e = a->execs;

	while (e && e->pid != pid)
		e = e->next;
	if (!e)
		return;
	exec_unlink(e);
	e->reaped = true;
	e->status = status;
	feed_close(&e->in);
	for (size_t i = 0; i < ARRAY_SIZE(e->out); i++) {
		struct pump *p = &e->out[i];
		int held = 0;

		if (p->fd < 0)
			continue;
		/* All that the process has written is in the pipe now. For a terminal the count is
		 * not exact, but reading ends by itself: its end hung it up. */
		if (e->pty)
			p->left = PTY_REST_MAX;
		else
			p->left = ioctl(p->fd, FIONREAD, &held) == 0 ? (uint64_t)held : 0;
		(void)pump_step(p);
	}
	exec_check(e);
}

void exec_signal_all(struct agent *a, int signo)
{
	for (struct exec *e = a->execs; e; e = e->next)
		(void)kill(-e->pid, signo);
}

/* Descriptors of a new exec: the agent's ends go to the struct, the child's to @stdio. */
struct stdio {
	int fd[3]; /* owned */
};

static void stdio_deinit(struct stdio *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->fd); i++)
		s->fd[i] = fd_close(s->fd[i]);
}

static int open_pty(struct exec *e, const struct msg_exec *m, uint32_t uid, struct stdio *io)
{
	const struct winsize ws = {
		.ws_row = m->rows ? m->rows : ROWS_DEFAULT,
		.ws_col = m->cols ? m->cols : COLS_DEFAULT,
	};
	const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
	int fd = open("/dev/ptmx", flags | O_NONBLOCK);
	int unlock = 0;

	if (fd < 0)
		return -errno;
	e->out[0].fd = fd;
	if (ioctl(fd, TIOCSPTLCK, &unlock) < 0 || ioctl(fd, TIOCSWINSZ, &ws) < 0)
		return -errno;
	io->fd[0] = ioctl(fd, TIOCGPTPEER, flags);
	if (io->fd[0] < 0)
		return -errno;
	for (int i = 1; i < 3; i++) {
		io->fd[i] = fcntl(io->fd[0], F_DUPFD_CLOEXEC, 3);
		if (io->fd[i] < 0)
			return -errno;
	}
	/* The user of a terminal owns it, or could not open /dev/stdout. */
	if (uid != 0 && fchown(io->fd[0], uid, (gid_t)-1) < 0)
		return -errno;
	if (m->flags & EXEC_STDIN) {
		e->in.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (e->in.fd < 0)
			return -errno;
	}
	return 0;
}

/* A pipe with a non-blocking end for us; @write_end says which end that is. */
static int open_pipe(int *ret_ours, int *ret_theirs, bool write_end, uint32_t uid)
{
	int fds[2];
	int r = io_pipe(0, fds);

	if (r < 0)
		return r;
	*ret_ours = fds[write_end ? 1 : 0];
	*ret_theirs = fds[write_end ? 0 : 1];
	/* As for terminals: /dev/stdout must open for the user it belongs to. */
	if (uid != 0 && fchown(fds[0], uid, (gid_t)-1) < 0)
		return -errno;
	return fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_pipes(struct exec *e, const struct msg_exec *m, uint32_t uid, struct stdio *io)
{
	int r = 0;

	if (m->flags & EXEC_STDIN) {
		r = open_pipe(&e->in.fd, &io->fd[0], true, uid);
	} else {
		io->fd[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		r = io->fd[0] < 0 ? -errno : 0;
	}
	for (int i = 0; i < 2 && r == 0; i++)
		r = open_pipe(&e->out[i].fd, &io->fd[1 + i], false, uid);
	return r;
}

static struct exec *exec_new(struct agent *a, const struct msg_exec *m)
{
	struct exec *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->agent = a;
	e->pty = (m->flags & EXEC_PTY) != 0;
	e->reaped = true; /* until there is a process */
	for (size_t i = 0; i < ARRAY_SIZE(e->out); i++) {
		e->out[i] = (struct pump){
			.exec = e,
			.fd = -EBADF,
			.channel = (uint8_t)(CH_STDOUT + i),
			.left = UINT64_MAX,
		};
	}
	e->in = (struct feed){.exec = e, .fd = -EBADF, .last = '\n'};
	buf_init(&e->in.queue, LIMIT_STREAM_WINDOW);
	a->n_execs++;
	return e;
}

/* Why a request failed, in the words of FAILED. */
struct failure {
	enum msg_stage stage;
	int error;
	char what[MSG_TEXT_MAX + 1];
};

static int fail(struct failure *why, enum msg_stage stage, int error, const char *what)
{
	why->stage = stage;
	why->error = error;
	(void)snprintf(why->what, sizeof(why->what), "%s", what);
	return error;
}

static char **argv_array(const struct msg_strv *list)
{
	struct msg_strv v = *list;
	char **argv = calloc((size_t)v.count + 1, sizeof(argv[0]));
	const char *s;

	for (uint32_t i = 0; argv && (s = msg_strv_next(&v)); i++)
		argv[i] = (char *)(uintptr_t)s;
	return argv;
}

static int exec_spawn(struct exec *e, const struct msg_exec *m, const struct user *user,
	const struct stdio *io, struct failure *why)
{
	const struct msg_config *cfg = &e->agent->config;
	cleanup_free char **argv = argv_array(&m->argv);
	struct env env = {};
	struct child c = {
		.argv = argv,
		.cwd = m->cwd[0]		 ? m->cwd
		       : cfg->cwd && cfg->cwd[0] ? cfg->cwd
						 : "/",
		.user = user,
		.rlimits = {cfg->rlimits, m->rlimits},
		.n_rlimits = {cfg->n_rlimits, m->n_rlimits},
		.stdio = {io->fd[0], io->fd[1], io->fd[2]},
		.restricted = cfg->restricted,
		.pty = e->pty,
	};
	int r;

	if (!argv)
		return fail(why, STAGE_FORK, -ENOMEM, "argument list");
	r = env_build(&env, user, e->pty, cfg, &m->env);
	if (r < 0)
		return fail(why, STAGE_FORK, r, "environment");
	c.envp = env.v;
	c.path = env_get(&env, "PATH");
	r = child_spawn(&c, &e->pid);
	env_deinit(&env);
	if (r == 0)
		return 0;
	if (c.stage == STAGE_CWD)
		return fail(why, c.stage, r, c.cwd);
	if (c.stage != STAGE_EXEC)
		return fail(why, c.stage, r, argv[0]);
	if (!c.no_interpreter)
		return fail(why, c.stage, r, c.what[0] ? c.what : argv[0]);
	(void)snprintf(why->what, sizeof(why->what), "interpreter or loader of %.*s",
		(int)sizeof(why->what) - 64, c.what);
	why->stage = c.stage;
	why->error = r;
	return r;
}

static int exec_start(struct exec *e, const struct msg_exec *m, struct failure *why)
{
	const struct msg_config *cfg = &e->agent->config;
	const char *spec = m->user[0] ? m->user : cfg->user ? cfg->user : "";
	__attribute__((cleanup(stdio_deinit))) struct stdio io = {{-EBADF, -EBADF, -EBADF}};
	struct user user;
	int r;

	r = user_lookup(spec, &user);
	if (r < 0)
		return fail(why, STAGE_USER, r, spec);
	if (e->pty)
		r = open_pty(e, m, user.uid, &io);
	else
		r = open_pipes(e, m, user.uid, &io);
	if (r < 0)
		return fail(why, e->pty ? STAGE_PTY : STAGE_IO, r, e->pty ? "/dev/ptmx" : "pipe");
	for (size_t i = 0; i < ARRAY_SIZE(e->out) && r == 0; i++) {
		if (e->out[i].fd >= 0)
			r = pump_watch(&e->out[i]);
	}
	if (r < 0)
		return fail(why, STAGE_IO, r, "epoll");
	return exec_spawn(e, m, &user, &io, why);
}

int exec_request(struct agent *a, const struct frame *f)
{
	struct failure why;
	struct msg_exec m;
	struct exec *e;
	int r;

	if (a->no_exec || msg_get_exec(f, &m) < 0) {
		agent_refuse(a, f->stream, STAGE_REQUEST, a->no_exec ? -EPERM : -EBADMSG, "EXEC");
		return 0;
	}
	e = exec_new(a, &m);
	if (!e) {
		agent_refuse(a, f->stream, STAGE_LIMIT, -ENOMEM, "EXEC");
		return 0;
	}
	r = stream_open(&e->s, &a->ch, f->stream, &exec_stream_ops);
	if (r == -EEXIST) {
		/* Two requests of one number: the host is confused beyond repair. */
		exec_free(e);
		return -EPROTO;
	}
	if (r == 0)
		r = exec_start(e, &m, &why);
	else
		(void)fail(&why, STAGE_LIMIT, r, "streams");
	if (r < 0) {
		stream_close(&e->s);
		exec_free(e);
		agent_refuse(a, f->stream, why.stage, why.error, why.what);
		return 0;
	}
	e->reaped = false;
	e->next = a->execs;
	a->execs = e;
	r = msg_put_u32(&a->ch.out, FRAME_STARTED, f->stream, (uint32_t)e->pid);
	if (r == 0)
		channel_kick(&a->ch);
	return r;
}
