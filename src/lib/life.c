/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of named sandboxes: see life.h.
 *
 * The lock of the directory is the truth, the supervisor's connection the quick way to hear of a
 * change. Where there is no connection (yet, or any more) an inotify watch on the directory says
 * when to look again. Closing the lock is seen by inotify a moment before the lock is free, hence
 * the short limit on each wait.
 */
#include "lib/life.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#include "net/policy/rule.h"
#include "sandbox/client.h"
#include "sandbox/info.h"

enum {
	LOOK_AGAIN_MS = 50,
	/* A supervisor listens long before this, or is stuck. */
	CONNECT_MS = 10000,
	/* For 63 processors under emulation; the supervisor's own limit for memory is 60 s. */
	CHANGE_MS = 90000,
	/* A guest has to keep, of what it could use at once, when it gives memory back. */
	KEEP_MIB = 16,
	/* On top of the grace: the unmounting, the end of the machine. */
	STOP_MARGIN_MS = 15000,
	FORCE_MS = 5000,
	KILL_MS = 10000,
	ATTEMPTS = 16,
};

/* One command to one supervisor. */
struct talk {
	struct loop loop;
	struct sandbox *sb;
	struct loop_timer limit;
	bool ready;
	bool over;
	bool timed_out;
	struct life_error *err; /* why it failed, may be NULL */
	int result;
	const struct cancel *cancel; /* may be NULL */
	struct loop_fd cancel_src;
	bool cancelled;
	struct sandbox_stream signal; /* of life_signal() */
	struct msb_err *signal_err;
	struct sandbox_stream change; /* of life_change() */
	struct sandbox_result changed;
	char why[160]; /* it was refused, by our supervisor or by the guest */
};

static void on_ready(struct sandbox *sb, const struct msg_sb_ready *m, void *arg)
{
	struct talk *t = arg;

	t->ready = true;
	/* Interrupted: what counts is the end. */
	if (!t->cancelled)
		loop_stop(&t->loop, 0);
}

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct talk *t = arg;

	t->over = true;
	t->result = -EIO;
	if (t->err) {
		t->err->err = *err;
		(void)snprintf(t->err->console, sizeof(t->err->console), "%s", console);
	}
	loop_stop(&t->loop, 0);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct talk *t = arg;

	t->over = true;
	loop_stop(&t->loop, 0);
}

static const struct sandbox_events talk_events = {
	.ready = on_ready, .failed = on_failed, .stopped = on_stopped};

/* For a stop it does not matter whether the guest is ready. */
static const struct sandbox_events stop_events = {.failed = on_failed, .stopped = on_stopped};

static int talk_init(struct talk *t, struct life_error *err)
{
	int r;

	*t = (struct talk){.err = err};
	r = loop_init(&t->loop);
	return r < 0 ? msb_err_errno(err ? &err->err : NULL, r, "cannot start") : 0;
}

static void talk_deinit(struct talk *t)
{
	t->sb = sandbox_close(t->sb);
	loop_timer_del(&t->limit);
	loop_fd_del(&t->cancel_src);
	loop_deinit(&t->loop);
}

/* The first time stops the sandbox that comes up, the second time does not wait for that. */
static void on_cancel(struct loop_fd *src, uint32_t events)
{
	struct talk *t = container_of(src, struct talk, cancel_src);

	if (!cancel_asked(t->cancel))
		return;
	/* Nobody reads it: it would be readable for ever. */
	if (!t->cancel->asked)
		loop_fd_del(src);
	if (t->cancelled || !t->sb || sandbox_stop(t->sb, 0) < 0)
		loop_stop(&t->loop, 0);
	t->cancelled = true;
}

static int watch_cancel(struct talk *t, const struct cancel *cancel, struct msb_err *err)
{
	int r;

	if (!cancel)
		return 0;
	t->cancel = cancel;
	r = loop_fd_add(&t->loop, &t->cancel_src, cancel->fd, EPOLLIN, on_cancel);
	return r < 0 ? msb_err_errno(err, r, "cannot wait for an interrupt") : 0;
}

static void limit_passed(struct loop_timer *timer)
{
	struct talk *t = container_of(timer, struct talk, limit);

	t->timed_out = true;
	loop_stop(&t->loop, 0);
}

static uint64_t after_ms(uint64_t ms)
{
	return clock_mono_ns() + ms * NSEC_PER_MSEC;
}

static int stopped_early(struct msb_err *err, const char *name)
{
	return msb_err_set(
		err, -ECANCELED, MSB_FAIL, "sandbox '%s' was stopped before it was ready", name);
}

/* Until the guest is ready. The supervisor has its own limit for that. */
static int wait_ready(struct talk *t, const char *name)
{
	int r = loop_run(&t->loop);

	if (r < 0)
		return msb_err_errno(&t->err->err, r, "waiting for the sandbox");
	if (t->ready && !t->cancelled)
		return 0;
	if (t->cancelled)
		t->result = msb_err_set(&t->err->err, -ECANCELED, MSB_FAIL, "interrupted");
	else if (t->result == 0)
		t->result = stopped_early(&t->err->err, name);
	/* It has said its last word, and is our child. */
	if (t->over && sandbox_pid(t->sb) > 0)
		(void)waitpid(sandbox_pid(t->sb), NULL, 0);
	return t->result;
}

/* What cannot be made as it was asked for is not made. */
static int prepare_guest(struct talk *t, const struct sandbox_spec *spec,
	const struct preparation *prepare, struct life_error *err)
{
	int r = prepare->fn(prepare->arg, &t->loop, t->sb, &err->err);

	if (r == 0)
		return 0;
	/* Somebody else did that, and what we had begun failed for no other reason. */
	if (t->over && t->result == 0 && !t->cancelled)
		r = stopped_early(&err->err, spec->name);
	t->ready = false;
	t->err = NULL;
	loop_timer_set(&t->loop, &t->limit, after_ms(STOP_MARGIN_MS), limit_passed);
	if (!t->over && sandbox_stop(t->sb, 0) == 0 && loop_run(&t->loop) < 0)
		log_debug("waiting for the end of sandbox %s", spec->name);
	if (t->over && sandbox_pid(t->sb) > 0)
		(void)waitpid(sandbox_pid(t->sb), NULL, 0);
	return t->cancelled ? msb_err_set(&err->err, -ECANCELED, MSB_FAIL, "interrupted") : r;
}

int life_create(const struct sandbox_spec *spec, int image_fd, const struct preparation *prepare,
	const struct cancel *cancel, struct life_error *err)
{
	struct talk t;
	int r = talk_init(&t, err);

	if (r < 0)
		return r;
	r = watch_cancel(&t, cancel, &err->err);
	if (r == 0)
		r = sandbox_spawn(&t.loop, spec, image_fd, &talk_events, &t, &t.sb, &err->err);
	if (r == 0) {
		/* The guest boots meanwhile. */
		(void)sandbox_reap_stale(spec->home);
		r = wait_ready(&t, spec->name);
	}
	if (r == 0 && prepare)
		r = prepare_guest(&t, spec, prepare, err);
	talk_deinit(&t);
	/* It was up already, and is ours. */
	if (t.cancelled && t.ready && !spec->ephemeral) {
		int e = life_remove(spec->home, spec->name, true, &err->err);

		if (e < 0 && e != -ENOENT)
			return msb_err_prefix(
				&err->err, e, "interrupted, and it could not be removed");
		r = msb_err_set(&err->err, -ECANCELED, MSB_FAIL, "interrupted");
	}
	return r;
}

int life_lock(const char *home, const char *lib_dir, const char *name, struct life_lock *ret,
	struct msb_err *err)
{
	int r = sandbox_dir_lock(home, name, &ret->dir, err);

	if (r < 0)
		return r;
	r = sandbox_spec_load(ret->dir.fd, &ret->spec, err);
	if (r < 0) {
		sandbox_dir_close(&ret->dir);
		return msb_err_prefix(err, r, "sandbox '%s'", name);
	}
	/* It may have moved, and been made by another installation. */
	ret->spec.name = ret->dir.name;
	ret->spec.home = home;
	ret->spec.lib_dir = lib_dir;
	ret->spec.detached = true;
	return 0;
}

void life_unlock(struct life_lock *l)
{
	sandbox_spec_deinit(&l->spec);
	sandbox_dir_close(&l->dir);
}

int life_start(const char *home, const char *lib_dir, const char *name, enum log_level level,
	bool orphan, const struct cancel *cancel, struct life_error *err)
{
	struct life_lock l;
	struct talk t;
	int r = life_lock(home, lib_dir, name, &l, &err->err);

	if (r < 0)
		return r;
	l.spec.log_level = level;
	l.spec.orphan = orphan;
	r = talk_init(&t, err);
	if (r == 0) {
		r = watch_cancel(&t, cancel, &err->err);
		if (r == 0)
			r = sandbox_start(
				&t.loop, &l.spec, &l.dir, &talk_events, &t, &t.sb, &err->err);
		life_unlock(&l);
		if (r == 0)
			r = wait_ready(&t, name);
		talk_deinit(&t);
	} else {
		life_unlock(&l);
	}
	return r;
}

/* Until something may have happened in the directory. @cancel: may be NULL; -ECANCELED */
static int wait_for_change(int inotify_fd, const struct cancel *cancel)
{
	struct pollfd p[] = {{.fd = inotify_fd, .events = POLLIN},
		{.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
	char drop[4096];

	if (poll(p, ARRAY_SIZE(p), LOOK_AGAIN_MS) <= 0)
		return 0;
	if (cancel && p[1].revents && cancel_asked(cancel))
		return -ECANCELED;
	/* Whatever it says, the lock is looked at. */
	if (p[0].revents && read(inotify_fd, drop, sizeof(drop)) < 0)
		return 0;
	return 0;
}

static int watch(int dir_fd)
{
	cleanup_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	if (fd < 0 ||
		inotify_add_watch(fd, path,
			IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* 0 when nobody holds the lock any more, -ETIMEDOUT, -ECANCELED. */
static int wait_dead(int dir_fd, uint64_t deadline_ns, const struct cancel *cancel)
{
	int r;

	/* Without a watch (no descriptor left) looking again now and then has to do. */
	cleanup_fd int inotify_fd = watch(dir_fd);

	while (sandbox_dir_alive(dir_fd)) {
		if (clock_mono_ns() >= deadline_ns)
			return -ETIMEDOUT;
		r = wait_for_change(inotify_fd, cancel);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Connects to the supervisor that holds the lock. It may be about to listen, or about to end.
 * Return: 0, 1 when it has ended, or a negative errno.
 */
static int connect_alive(
	struct talk *t, const char *home, const char *name, int dir_fd, struct msb_err *err)
{
	cleanup_fd int inotify_fd = watch(dir_fd);
	uint64_t deadline = after_ms(CONNECT_MS);

	for (;;) {
		int r;

		if (!sandbox_dir_alive(dir_fd))
			return 1;
		r = sandbox_connect(&t->loop, home, name, &stop_events, t, &t->sb, err);
		if (r == 0 || (r != -ENOTCONN && r != -ENOENT && r != -EAGAIN))
			return r;
		if (clock_mono_ns() >= deadline)
			return r;
		(void)wait_for_change(inotify_fd, NULL);
	}
}

/* The last resort: the machine dies with its supervisor. */
static int kill_supervisor(const char *name, int dir_fd, struct msb_err *err)
{
	struct sandbox_record rec;
	cleanup_fd int pidfd = -EBADF;
	pid_t pid;

	sandbox_record_read(dir_fd, &rec);
	pid = rec.pid;
	pidfd = pid > 1 ? io_pidfd_open(pid) : -ESRCH;
	/* The number is its own only as long as it says so while we hold on to it. */
	sandbox_record_read(dir_fd, &rec);
	if (pidfd >= 0 && sandbox_status_alive(rec.status) && rec.pid == pid)
		(void)io_pidfd_kill(pidfd, SIGKILL);
	if (wait_dead(dir_fd, after_ms(KILL_MS), NULL) == 0)
		return 0;
	return msb_err_set(err, -ETIMEDOUT, MSB_TIMEOUT,
		"sandbox '%s' does not end (supervisor: process %ld)", name, (long)rec.pid);
}

/* Asks; @err only says why asking was not possible. Return: 0 when its supervisor has said that it
 * ended. */
static int ask_to_stop(const char *home, const char *name, int dir_fd, uint32_t grace_ms,
	bool force, struct msb_err *err)
{
	struct talk t;
	int r = talk_init(&t, NULL);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = connect_alive(&t, home, name, dir_fd, err);
	if (r == 0)
		r = sandbox_stop(t.sb, force ? 0 : grace_ms);
	/* A second request without grace does not wait for the guest. */
	if (r == 0 && force)
		r = sandbox_stop(t.sb, 0);
	if (r == 0) {
		loop_timer_set(&t.loop, &t.limit,
			after_ms(force ? FORCE_MS : (uint64_t)grace_ms + STOP_MARGIN_MS),
			limit_passed);
		r = loop_run(&t.loop);
	}
	if (r == 0 && t.timed_out)
		r = -ETIMEDOUT;
	talk_deinit(&t);
	return MIN(r, 0);
}

int life_stop(
	const char *home, const char *name, uint32_t grace_ms, bool force, struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	int r = sandbox_dir_find(home, name, &dir_fd, err);

	if (r < 0 || !sandbox_dir_alive(dir_fd))
		return r;
	r = ask_to_stop(home, name, dir_fd, grace_ms, force, err);
	/* Told, the lock is free within the moment that it takes a killed one to vanish. */
	if (r == 0 && wait_dead(dir_fd, after_ms(KILL_MS), NULL) == 0)
		return 0;
	return kill_supervisor(name, dir_fd, err);
}

static void on_signalled(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct talk *t = container_of(s, struct talk, signal);

	t->over = true;
	t->result = r->type == FRAME_PONG ? 0 : -EIO;
	if (r->type != FRAME_PONG && r->err.errno_ == ESRCH)
		t->result = msb_err_hint(t->signal_err,
			msb_err_set(t->signal_err, -ESRCH, MSB_FAIL, "it has no main process"),
			"signal one of its processes with 'msb exec NAME -- kill'");
	else if (r->type != FRAME_PONG)
		*t->signal_err = r->err;
	loop_stop(&t->loop, 0);
}

static const struct sandbox_stream_ops signal_ops = {.done = on_signalled};

static int await_answer(struct talk *t, int r, struct msb_err *err)
{
	if (r == 0) {
		loop_timer_set(&t->loop, &t->limit, after_ms(CONNECT_MS), limit_passed);
		r = loop_run(&t->loop);
	}
	if (r == 0 && t->timed_out)
		r = -ETIMEDOUT;
	return r < 0 ? msb_err_errno(err, r, "its supervisor") : t->result;
}

static int ask_to_signal(struct talk *t, const void *arg, struct msb_err *err)
{
	const int *signo = arg;

	t->signal.ops = &signal_ops;
	t->signal_err = err;
	return await_answer(t, sandbox_signal(t->sb, &t->signal, *signo), err);
}

/* Has @fn talk with the supervisor of a sandbox that runs; @gone: what to say when it does not. */
static int talk_at(const char *home, const char *name, int dir_fd, const char *gone,
	int (*fn)(struct talk *t, const void *arg, struct msb_err *err), const void *arg,
	struct msb_err *err)
{
	struct talk t;
	int r = talk_init(&t, NULL);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = connect_alive(&t, home, name, dir_fd, err);
	if (r == 1)
		r = msb_err_set(err, -ESRCH, MSB_FAIL, "%s", gone);
	if (r == 0)
		r = fn(&t, arg, err);
	talk_deinit(&t);
	return r;
}

static int talk_with(const char *home, const char *name, const char *gone,
	int (*fn)(struct talk *t, const void *arg, struct msb_err *err), const void *arg,
	struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	int r = sandbox_dir_find(home, name, &dir_fd, err);

	return r < 0 ? r : talk_at(home, name, dir_fd, gone, fn, arg, err);
}

int life_signal(const char *home, const char *name, int signo, struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	int r = sandbox_dir_find(home, name, &dir_fd, err);

	if (r < 0)
		return r;
	r = talk_at(home, name, dir_fd, "it does not run", ask_to_signal, &signo, err);
	return r < 0 ? msb_err_prefix(err, r, "sandbox '%s'", name) : 0;
}

static void on_changed(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct talk *t = container_of(s, struct talk, change);

	t->changed = *r;
	t->why[0] = '\0';
	if (r->type == FRAME_FAILED)
		(void)snprintf(t->why, sizeof(t->why), "%s", r->failure.what);
	t->over = true;
	loop_stop(&t->loop, 0);
}

static const struct sandbox_stream_ops change_ops = {.done = on_changed};

/* Waits for the answer to a request whose opening returned @r. */
static int await_change(struct talk *t, int r, struct msb_err *err)
{
	t->changed = (struct sandbox_result){.type = 0};
	if (r == 0) {
		t->over = false;
		loop_timer_set(&t->loop, &t->limit, after_ms(CHANGE_MS), limit_passed);
		while (r == 0 && !t->over && !t->timed_out)
			r = loop_run(&t->loop);
		loop_timer_del(&t->limit);
	}
	if (r == 0 && t->timed_out)
		r = -ETIMEDOUT;
	if (r < 0)
		return msb_err_errno(err, r, "its guest");
	if (t->changed.type == FRAME_MODIFIED || t->changed.type == FRAME_METRICS_DONE)
		return 0;
	*err = t->changed.err;
	return err->errno_ ? -err->errno_ : -EIO;
}

static int change_cpus(struct talk *t, uint32_t cpus, struct msb_err *err)
{
	const struct msg_modify m = {.cpus = cpus, .cwd = ""};
	int r = await_change(t, sandbox_modify(t->sb, &t->change, &m, NULL), err);

	if (r < 0)
		return r;
	if (t->changed.modified != cpus)
		return msb_err_set(
			err, -EIO, MSB_GUEST, "the guest runs on %u CPUs", t->changed.modified);
	return 0;
}

/*
 * A kernel that is to give more than is free first kills what it can and then panics. Of ours that
 * must not happen by a command that goes too far; whoever lies to us here has only itself to lose.
 */
static int check_available(struct talk *t, uint32_t give_mib, struct msb_err *err)
{
	uint64_t mib;
	int r = await_change(t, sandbox_metrics(t->sb, &t->change), err);

	if (r < 0)
		return r;
	mib = t->changed.metrics.mem_available_kib / 1024;
	mib -= MIN(mib, (uint64_t)KEEP_MIB);
	if (mib >= give_mib)
		return 0;
	return msb_err_hint(err,
		msb_err_set(err, -EBUSY, MSB_BUSY,
			"the guest can give back %" PRIu64 " of %" PRIu32 " MiB: it uses the rest",
			mib, give_mib),
		"end something in it first, or give --restart");
}

static int change_memory(struct talk *t, const struct life_change *c, struct msb_err *err)
{
	int r = 0;

	if (c->old_mem_mib > c->mem_mib)
		r = check_available(t, c->old_mem_mib - c->mem_mib, err);
	if (r < 0)
		return r;
	r = await_change(t, sandbox_memory(t->sb, &t->change, c->mem_mib), err);
	/* Words of the supervisor, which need no quotes. */
	if (r < 0 && t->why[0] && !t->changed.failure.errno_)
		r = msb_err_set(err, -EBUSY, MSB_GUEST, "%s", t->why);
	return r;
}

static int change_defaults(struct talk *t, const struct life_change *c, struct msb_err *err)
{
	const struct msg_modify m = {.defaults = 1, .cwd = c->cwd ? c->cwd : ""};

	return await_change(t, sandbox_modify(t->sb, &t->change, &m, c->env), err);
}

/* Processors are quick to go back to; defaults last, nobody refuses them. */
static int change_all(struct talk *t, const void *arg, struct msb_err *err)
{
	const struct life_change *c = arg;
	struct msb_err later;
	int r;

	t->change.ops = &change_ops;
	r = c->cpus ? change_cpus(t, c->cpus, err) : 0;

	if (r == 0 && c->mem_mib)
		r = change_memory(t, c, err);
	if (r == 0 && c->defaults)
		r = change_defaults(t, c, err);
	if (r < 0 && c->cpus && c->old_cpus && !t->timed_out)
		(void)change_cpus(t, c->old_cpus, &later);
	return r;
}

int life_change(
	const char *home, const char *name, const struct life_change *c, struct msb_err *err)
{
	return talk_with(home, name, "it does not run any more", change_all, c, err);
}

int life_await_listening(const char *home, const char *name, struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	struct talk t;
	int r = sandbox_dir_find(home, name, &dir_fd, err);

	if (r < 0)
		return r;
	r = talk_init(&t, NULL);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = connect_alive(&t, home, name, dir_fd, err);
	talk_deinit(&t);
	return MIN(r, 0);
}

void life_await_turn(int dir_fd)
{
	while (flock(dir_fd, LOCK_EX) < 0 && errno == EINTR)
		;
}

int life_remove(const char *home, const char *name, bool force, struct msb_err *err)
{
	cleanup_fd int turn_fd = -EBADF;
	struct sandbox_dir d;
	bool stopped = false;
	int r = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		r = sandbox_dir_lock(home, name, &d, err);
		if (r == 0) {
			r = sandbox_dir_remove(&d);
			sandbox_dir_close(&d);
			return r < 0 ? msb_err_errno(err, r, "directory of sandbox '%s'", name) : 0;
		}
		/* An ephemeral one has removed itself. */
		if (r == -ENOENT && stopped)
			return 0;
		if (r != -EWOULDBLOCK)
			return r;
		if (!force)
			return msb_err_hint(
				err, r, "stop it first, or use 'msb rm --force %s'", name);
		r = life_stop(home, name, 0, true, err);
		if (r < 0 && r != -ENOENT)
			return r;
		/* It does not run: who has the lock now modifies it. */
		if (turn_fd < 0 && sandbox_dir_find(home, name, &turn_fd, err) == 0)
			life_await_turn(turn_fd);
		stopped = true;
	}
	return msb_err_set(err, -EBUSY, MSB_BUSY,
		"sandbox '%s' is started again and again by somebody else", name);
}

int life_wait(const char *home, const char *name, uint64_t timeout_ns, const struct cancel *cancel,
	struct msb_err *err)
{
	uint64_t deadline = timeout_ns ? clock_mono_ns() + timeout_ns : UINT64_MAX;
	cleanup_fd int dir_fd = -EBADF;
	int r = sandbox_dir_find(home, name, &dir_fd, err);

	if (r < 0)
		return r;
	r = wait_dead(dir_fd, deadline, cancel);
	if (r == -ECANCELED)
		return msb_err_set(err, r, MSB_FAIL, "interrupted");
	return r < 0 ? msb_err_set(err, r, MSB_TIMEOUT, "sandbox '%s' still runs", name) : 0;
}

static void on_policy(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct talk *t = container_of(s, struct talk, signal);

	t->over = true;
	t->result = 0;
	if (r->type != FRAME_PONG) {
		*t->signal_err = r->err;
		t->result = -EIO;
	}
	loop_stop(&t->loop, 0);
}

static const struct sandbox_stream_ops policy_ops = {.done = on_policy};

static int ask_for_policy(struct talk *t, const void *policy, struct msb_err *err)
{
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, LIMIT_FRAME_PAYLOAD);
	json_out_init(&o, &text, JSON_COMPACT);
	policy_to_json(policy, &o, NULL);
	r = json_out_end(&o);
	if (r == -ENOBUFS)
		r = msb_err_set(err, -E2BIG, MSB_LIMIT,
			"the rules are too many for a sandbox that runs: they need a restart");
	else if (r < 0)
		r = msb_err_errno(err, r, "the rules");
	t->signal.ops = &policy_ops;
	t->signal_err = err;
	if (r == 0)
		r = await_answer(
			t, sandbox_policy(t->sb, &t->signal, buf_data(&text), buf_len(&text)), err);
	buf_deinit(&text);
	return r;
}

int life_policy(
	const char *home, const char *name, const struct policy *policy, struct msb_err *err)
{
	return talk_with(home, name, "it does not run", ask_for_policy, policy, err);
}

struct new_secrets {
	const struct secret_settings *settings;
	int *values; /* taken */
};

static int ask_for_secrets(struct talk *t, const void *arg, struct msb_err *err)
{
	const struct new_secrets *n = arg;
	int fd = TAKE_FD(*n->values);
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, LIMIT_FRAME_PAYLOAD);
	json_out_init(&o, &text, JSON_COMPACT);
	secret_settings_to_json(n->settings, &o, NULL);
	r = json_out_end(&o);
	t->signal.ops = &policy_ops;
	t->signal_err = err;
	if (r == 0) {
		r = sandbox_secrets(t->sb, &t->signal, buf_data(&text), buf_len(&text), fd);
		r = await_answer(t, r, err);
	} else {
		fd_close(fd);
		r = msb_err_set(err, r, MSB_LIMIT,
			"the secrets are too many for a sandbox that runs: they need a restart");
	}
	buf_deinit(&text);
	return r;
}

int life_secrets(const char *home, const char *name, const struct secret_settings *s, int fd,
	struct msb_err *err)
{
	cleanup_fd int values = fd;
	struct new_secrets n = {.settings = s, .values = &values};

	return talk_with(home, name, "it does not run", ask_for_secrets, &n, err);
}

int life_rename(const char *home, const char *name, const char *to, struct msb_err *err)
{
	struct sandbox_dir d;
	int r = sandbox_name_check(to, err);

	if (r == 0)
		r = sandbox_dir_lock(home, name, &d, err);
	if (r < 0)
		return r;
	r = sandbox_dir_rename(&d, to, err);
	sandbox_dir_close(&d);
	return r;
}
