/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"

#include "lib/stream.h"

#include "test.h"

enum { BULK = 300 * 1024, DEADLINE_S = 10 };

struct out_test {
	struct loop loop;
	struct outlet o;
	size_t passed;
	unsigned int failures;
};

static void on_passed(struct outlet *o, size_t n)
{
	container_of(o, struct out_test, o)->passed += n;
}

static void on_failed(struct outlet *o)
{
	container_of(o, struct out_test, o)->failures++;
}

static void out_begin(struct out_test *t, int fd)
{
	*t = (struct out_test){.o = {.passed = on_passed, .failed = on_failed}};
	ASSERT_OK(loop_init(&t->loop));
	outlet_init(&t->o, &t->loop, fd, MIB);
}

static void out_end(struct out_test *t)
{
	outlet_deinit(&t->o);
	loop_deinit(&t->loop);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

/* More than the pipe takes at once: everything arrives, in order, and is accounted for. */
static void bulk(int from, int to)
{
	cleanup_free uint8_t *data = malloc(BULK);
	uint64_t deadline = clock_mono_ns() + DEADLINE_S * NSEC_PER_SEC;
	struct out_test t;
	size_t got = 0;
	uint8_t part[8192];

	ASSERT_TRUE(data != NULL);
	for (size_t i = 0; i < BULK; i++)
		data[i] = pattern(i);
	out_begin(&t, to);
	ASSERT_OK(outlet_write(&t.o, data, BULK));
	ASSERT_TRUE(t.passed < BULK);
	ASSERT_OK(io_nonblock(from, true));
	while (got < BULK && clock_mono_ns() < deadline) {
		ssize_t n = read(from, part, sizeof(part));

		for (ssize_t i = 0; i < n; i++)
			ASSERT_EQ(part[i], pattern(got + (size_t)i));
		got += n > 0 ? (size_t)n : 0;
		ASSERT_OK(loop_once(&t.loop, 0));
	}
	ASSERT_EQ(got, BULK);
	ASSERT_EQ(t.passed, BULK);
	ASSERT_TRUE(outlet_empty(&t.o));
	ASSERT_EQ(t.failures, 0);
	out_end(&t);
}

TEST(outlet_to_a_pipe)
{
	int fds[2];

	ASSERT_OK(io_pipe(0, fds));
	bulk(fds[0], fds[1]);
	ASSERT_TRUE(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
}

TEST(outlet_to_a_socket)
{
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	bulk(fds[0], fds[1]);
	ASSERT_TRUE(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
}

TEST(outlet_without_a_description_of_its_own)
{
	struct out_test t;
	int fds[2];
	char got[16];

	ASSERT_OK(io_pipe(0, fds));
	out_begin(&t, fds[1]);
	ASSERT_EQ(t.o.mode, STREAM_NONBLOCK);
	t.o.fd = fd_close(t.o.fd);
	t.o.fd = fds[1];
	t.o.own_fd = false;
	t.o.mode = STREAM_POLLED;
	ASSERT_OK(outlet_write(&t.o, "abc", 3));
	ASSERT_EQ(t.passed, 0);
	ASSERT_OK(loop_once(&t.loop, clock_mono_ns() + NSEC_PER_SEC));
	ASSERT_EQ(t.passed, 3);
	ASSERT_EQ(read(fds[0], got, sizeof(got)), 3);
	out_end(&t);
	close(fds[0]);
	close(fds[1]);
}

TEST(outlet_to_files_and_devices)
{
	cleanup_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	cleanup_fd int file = memfd_create("out", MFD_CLOEXEC);
	struct out_test t;
	char got[8];

	out_begin(&t, null);
	ASSERT_OK(outlet_write(&t.o, "abc", 3));
	ASSERT_EQ(t.passed, 3);
	out_end(&t);
	ASSERT_EQ(write(file, "0", 1), 1);
	out_begin(&t, file);
	ASSERT_OK(outlet_write(&t.o, "abc", 3));
	ASSERT_EQ(t.passed, 3);
	out_end(&t);
	/* The offset is shared with whoever else writes there. */
	ASSERT_EQ(pread(file, got, sizeof(got), 0), 4);
}

TEST(outlet_that_fails_drops_everything)
{
	struct out_test t;
	int fds[2];

	ASSERT_TRUE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	ASSERT_OK(io_pipe(0, fds));
	out_begin(&t, fds[1]);
	close(fds[0]);
	ASSERT_OK(outlet_write(&t.o, "abc", 3));
	ASSERT_EQ(t.o.error, -EPIPE);
	ASSERT_EQ(t.failures, 1);
	ASSERT_EQ(t.passed, 3);
	ASSERT_OK(outlet_write(&t.o, "abc", 3));
	ASSERT_EQ(t.passed, 6);
	ASSERT_EQ(t.failures, 1);
	ASSERT_TRUE(outlet_empty(&t.o));
	out_end(&t);
	close(fds[1]);
}

TEST(outlet_is_bounded)
{
	struct out_test t;
	int fds[2];
	static const uint8_t chunk[64 * 1024];
	int r = 0;

	ASSERT_OK(io_pipe(0, fds));
	out_begin(&t, fds[1]);
	for (int i = 0; i < 100 && r == 0; i++)
		r = outlet_write(&t.o, chunk, sizeof(chunk));
	ASSERT_ERR(r, ENOBUFS);
	ASSERT_TRUE(buf_len(&t.o.pending) <= MIB);
	out_end(&t);
	close(fds[0]);
	close(fds[1]);
}

struct in_test {
	struct loop loop;
	struct inlet in;
	size_t take; /* at most this many bytes per call */
	char got[64];
	size_t n_got;
	unsigned int eofs;
};

static size_t on_data(struct inlet *in, const void *p, size_t n)
{
	struct in_test *t = container_of(in, struct in_test, in);

	n = MIN(n, t->take);
	ASSERT_TRUE(t->n_got + n < sizeof(t->got));
	memcpy(t->got + t->n_got, p, n);
	t->n_got += n;
	return n;
}

static void on_eof(struct inlet *in)
{
	container_of(in, struct in_test, in)->eofs++;
}

static void in_begin(struct in_test *t, int fd, size_t take)
{
	*t = (struct in_test){.in = {.data = on_data, .eof = on_eof}, .take = take};
	ASSERT_OK(loop_init(&t->loop));
	inlet_init(&t->in, &t->loop, fd);
}

static void in_end(struct in_test *t)
{
	inlet_deinit(&t->in);
	loop_deinit(&t->loop);
}

TEST(inlet_pauses_until_resumed)
{
	struct in_test t;
	int fds[2];

	ASSERT_OK(io_pipe(0, fds));
	in_begin(&t, fds[0], 2);
	ASSERT_OK(io_write_full(fds[1], "abcdef", 6));
	ASSERT_EQ(t.n_got, 0);
	ASSERT_OK(inlet_resume(&t.in));
	ASSERT_OK(loop_once(&t.loop, clock_mono_ns() + NSEC_PER_SEC));
	ASSERT_EQ(t.n_got, 2);
	ASSERT_TRUE(!t.in.running);
	ASSERT_OK(inlet_resume(&t.in));
	ASSERT_EQ(t.n_got, 4);
	t.take = 64;
	ASSERT_OK(inlet_resume(&t.in));
	ASSERT_EQ(t.n_got, 6);
	ASSERT_MEMEQ(t.got, "abcdef", 6);
	close(fds[1]);
	ASSERT_OK(loop_once(&t.loop, clock_mono_ns() + NSEC_PER_SEC));
	ASSERT_EQ(t.eofs, 1);
	ASSERT_OK(inlet_resume(&t.in));
	ASSERT_EQ(t.eofs, 1);
	in_end(&t);
	close(fds[0]);
}

static void reads_to_the_end(int fd, const char *want)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_S * NSEC_PER_SEC;
	struct in_test t;

	in_begin(&t, fd, 64);
	ASSERT_OK(inlet_resume(&t.in));
	while (t.eofs == 0 && clock_mono_ns() < deadline)
		ASSERT_OK(loop_once(&t.loop, deadline));
	ASSERT_EQ(t.eofs, 1);
	ASSERT_STREQ(t.got, want);
	in_end(&t);
}

TEST(inlet_from_files_devices_and_sockets)
{
	cleanup_fd int file = memfd_create("in", MFD_CLOEXEC);
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[2];

	ASSERT_OK(io_write_full(file, "skip:text", 9));
	ASSERT_EQ(lseek(file, 5, SEEK_SET), 5);
	reads_to_the_end(file, "text");
	reads_to_the_end(null, "");
	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	ASSERT_OK(io_write_full(fds[1], "sent", 4));
	close(fds[1]);
	reads_to_the_end(fds[0], "sent");
	close(fds[0]);
}
