/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throughput and latency of stack and flows against the kernel's TCP over a TAP device (testbed.h).
 *
 * Everything shares the machine: the guest's kernel, the peer's, and the flows on one thread.
 */
#include <sys/wait.h>

#include "net/flow/testbed.h"

enum { SECONDS = 3, ROUNDS = 5000, PIECE = 256 * 1024 };

static uint8_t piece[PIECE];

/* Write or read until the time is over or the other end is gone; bytes. */
static uint64_t pour(int fd, bool out)
{
	uint64_t end = clock_mono_ns() + SECONDS * NSEC_PER_SEC, n = 0;

	while (out ? clock_mono_ns() < end : true) {
		ssize_t r = out ? send(fd, piece, PIECE, MSG_NOSIGNAL) : read(fd, piece, PIECE);

		if (r <= 0)
			break;
		n += (uint64_t)r;
	}
	return n;
}

static void say(const char *what, uint64_t bytes, uint64_t ns)
{
	(void)printf("# %-28s %6.2f Gbit/s\n", what, (double)bytes * 8 / (double)ns);
	(void)fflush(stdout);
}

/* One child a connection on either side; the readers say how much came. */
static int serve(int fd, int n, bool out)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			int c = accept(fd, NULL, NULL);
			uint64_t start = clock_mono_ns(), bytes = pour(c, out);

			if (!out && n == 1)
				say("guest to host, 1 flow", bytes, clock_mono_ns() - start);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

static int call(int n, bool out)
{
	int pipes[2];
	uint64_t start = clock_mono_ns(), bytes = 0, part;

	CHECK(io_pipe(0, pipes) == 0);
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			part = pour(connect_to(PORT), out);
			_exit(io_write_full(pipes[1], &part, sizeof(part)) != 0);
		}
	}
	for (int i = 0; i < n; i++) {
		CHECK(io_read_full(pipes[0], &part, sizeof(part)) == 0);
		bytes += part;
	}
	while (wait(NULL) > 0)
		;
	if (!out || n > 1)
		say(out		? "guest to host, 8 flows"
			: n > 1 ? "host to guest, 8 flows"
				: "host to guest, 1 flow",
			bytes, clock_mono_ns() - start);
	return 0;
}

static int serve_in(int fd)
{
	return serve(fd, 1, false);
}

static int serve_in8(int fd)
{
	return serve(fd, 8, false);
}

static int serve_out(int fd)
{
	return serve(fd, 1, true);
}

static int serve_out8(int fd)
{
	return serve(fd, 8, true);
}

static int call_out(int n)
{
	return call(n, true);
}

static int call_in(int n)
{
	return call(n, false);
}

static void run(int (*server)(int), int (*guest)(int), int arg)
{
	int listener;
	pid_t pid;

	bed_init(true, 0);
	listener = listen_at(PORT);
	pid = child(bed.up_ns, server, listener);
	play(guest, arg);
	reap(pid);
	(void)close(listener);
	bed_deinit();
}

TEST(guest_to_host)
{
	run(serve_in, call_out, 1);
}

TEST(host_to_guest)
{
	run(serve_out, call_in, 1);
}

TEST(guest_to_host_eight_flows)
{
	run(serve_in8, call_out, 8);
}

TEST(host_to_guest_eight_flows)
{
	run(serve_out8, call_in, 8);
}

static int echo_bytes(int fd)
{
	int c = accept(fd, NULL, NULL);
	char b;

	while (read(c, &b, 1) == 1)
		CHECK(io_write_full(c, &b, 1) == 0);
	return 0;
}

static int measure_echo(int arg)
{
	int fd = connect_to(PORT);
	uint64_t start;
	char b = 'x';

	(void)arg;
	CHECK(fd >= 0);
	start = clock_mono_ns();
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(io_write_full(fd, &b, 1) == 0);
		CHECK(io_read_full(fd, &b, 1) == 0);
	}
	(void)printf("# %-28s %6.1f us\n", "round trip of a byte",
		(double)(clock_mono_ns() - start) / ROUNDS / 1000);
	return fflush(stdout);
}

TEST(round_trip)
{
	run(echo_bytes, measure_echo, 0);
}
