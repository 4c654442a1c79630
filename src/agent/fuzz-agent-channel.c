/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the agent against a host that sends anything, whole request path, EXEC disabled.
 *
 * FS requests are real, so each session runs with a small empty tmpfs as its root; without the
 * right to do that only frames that cannot touch a file are let through. Between sessions the
 * process is outside again, where the fuzzer keeps its files.
 *
 * Input: a stream of frames, their headers repaired so that mutations reach the messages: the
 * length is cut to what is there, the reserved bytes are zeroed. With an odd first byte nothing is
 * repaired.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"

#include "agent/agent.h"
#include "agent/ops/freeze.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing is held: the thread, its ends and what crosses them are what is looked at. */
static int pretend(void)
{
	return 0;
}

static const struct freezer freezer = {.freeze = pretend, .thaw = pretend};
static int outside = -EBADF;
static int inside = -EBADF;

/* A small tmpfs in a name space of our own. */
static void make_inside(void)
{
	/* Holes take no room there: a host that asks for a large file would read zeroes for hours.
	 */
	static const struct rlimit small = {1024 * KIB, 1024 * KIB};
	char dir[] = "/tmp/msb-fuzz-XXXXXX";

	if (outside >= 0)
		return;
	log_set_fd(-1);
	outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (outside < 0 || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
		setrlimit(RLIMIT_FSIZE, &small) < 0)
		abort();
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		!mkdtemp(dir))
		return;
	if (mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=1000") == 0)
		inside = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)umount2(dir, MNT_DETACH);
	(void)rmdir(dir);
}

static void change_root(int root)
{
	if (fchdir(root) < 0 || chroot(".") < 0)
		abort();
}

/* Copies the input as frames; see the top of the file. */
static size_t repair(uint8_t *to, const uint8_t *data, size_t size, bool raw)
{
	size_t at = 0;

	memcpy(to, data, size);
	while (!raw && at + FRAME_HEADER <= size) {
		uint32_t len;

		memcpy(&len, to + at, sizeof(len));
		len = MIN(len & 0x3ff, (uint32_t)(size - at - FRAME_HEADER));
		memcpy(to + at, &len, sizeof(len));
		to[at + 10] = to[at + 11] = 0;
		at += FRAME_HEADER + len;
	}
	return size;
}

/* Without the lock: is there anything in it that could be an FS request? */
static bool harmless(const uint8_t *p, size_t size)
{
	return inside >= 0 || !memchr(p, FRAME_FS, size);
}

/* Runs the loop until it has nothing to do, reading what it answers. */
static void turn(struct agent *a, int fd)
{
	static uint8_t sink[65536];
	int idle = 0;

	while (idle < 3 && !a->loop.stopped) {
		if (loop_once(&a->loop, 0) < 0)
			abort();
		idle = read(fd, sink, sizeof(sink)) > 0 || a->loop.timers ? 0 : idle + 1;
		/* A timer in the future is a shutdown that waits for processes. */
		if (a->loop.timers && a->loop.timers->deadline_ns > clock_mono_ns())
			break;
	}
}

static void session(const uint8_t *data, size_t size)
{
	const struct msg_config cfg = {.version = PROTO_VERSION};
	struct agent a;
	struct buf first;
	int fds[2];

	if (io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds) < 0)
		abort();
	if (agent_init(&a, fds[1], false) < 0)
		abort();
	a.no_exec = true;
	a.freezer = &freezer;
	buf_init(&first, 4096);
	if (agent_hello(&a) < 0 || msg_put_config(&first, &cfg, NULL) < 0)
		abort();
	/* Half of the inputs begin after READY. */
	if ((data[0] & 2) && buf_write_fd(&first, fds[0]) < 0)
		abort();
	for (size_t at = 1; at < size && !a.loop.stopped;) {
		ssize_t n = write(fds[0], data + at, MIN(size - at, (size_t)data[0] * 16 + 1));

		at += n > 0 ? (size_t)n : 0;
		turn(&a, fds[0]);
	}
	close(fds[0]);
	turn(&a, -1);
	agent_deinit(&a);
	close(fds[1]);
	buf_deinit(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frames[1 << 20];
	cleanup_fd int cwd = -EBADF;

	make_inside();
	if (size < 2 || size > sizeof(frames))
		return 0;
	frames[0] = data[0];
	(void)repair(frames + 1, data + 1, size - 1, data[0] & 1);
	if (!harmless(frames + 1, size - 1))
		return 0;
	if (inside < 0) {
		session(frames, size);
		return 0;
	}
	cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cwd < 0)
		abort();
	change_root(inside);
	session(frames, size);
	change_root(outside);
	if (fchdir(cwd) < 0)
		abort();
	return 0;
}
