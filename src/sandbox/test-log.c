/* SPDX-License-Identifier: Apache-2.0 */
/* The log of commands: written, read, in circles. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/caps.h"
#include "base/io.h"

#include "sandbox/exec-log.h"
#include "sandbox/log-read.h"

#include "test.h"

static int open_tmp(void)
{
	int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_TRUE(fd >= 0);
	return fd;
}

static void expect(struct log_reader *r, const char *source, uint32_t id, const void *p, size_t n)
{
	struct log_entry e;

	ASSERT_OK(log_reader_next(r, &e));
	ASSERT_STREQ(e.source, source);
	ASSERT_EQ(e.id, id);
	ASSERT_EQ(e.len, n);
	ASSERT_TRUE(memcmp(e.data, p, n) == 0);
	ASSERT_TRUE(strlen(e.time) == strlen("2026-11-21T05:45:06.123Z"));
	log_entry_deinit(&e);
}

TEST(what_is_written_is_read)
{
	static const uint8_t binary[] = {0xff, 0xfe, 0, 1, 'a'};
	static const char text[] = "two\nlines \"quoted\" \\ \t\x01 and \xc3\xa4";
	int dir_fd = open_tmp();
	struct log_reader r;
	struct log_entry e;
	struct exec_log l;

	exec_log_init(&l);
	exec_log_write(&l, "stdout", 1, "nothing", 7);
	ASSERT_OK(exec_log_open(&l, dir_fd));
	log_reader_init(&r, dir_fd);
	ASSERT_ERR(log_reader_next(&r, &e), EAGAIN);
	exec_log_say(&l, "%s", "started");
	exec_log_write(&l, "stdout", 1, text, sizeof(text) - 1);
	expect(&r, "system", 0, "started\n", 8);
	expect(&r, "stdout", 1, text, sizeof(text) - 1);
	ASSERT_ERR(log_reader_next(&r, &e), EAGAIN);
	for (size_t n = 1; n <= sizeof(binary); n++)
		exec_log_write(&l, "stderr", 7, binary, n);
	for (size_t n = 1; n <= sizeof(binary); n++)
		expect(&r, "stderr", 7, binary, n);
	exec_log_close(&l);
	exec_log_close(&l);
	/* The next start goes on behind. */
	ASSERT_OK(exec_log_open(&l, dir_fd));
	exec_log_write(&l, "output", 1, "again", 5);
	expect(&r, "output", 1, "again", 5);
	exec_log_close(&l);
	log_reader_deinit(&r);
	fd_close(dir_fd);
}

static uint64_t disk_bytes(int dir_fd)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < EXEC_LOG_FILES; i++) {
		struct stat st;

		ASSERT_EQ(fstatat(dir_fd, exec_log_name(i), &st, 0), 0);
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

/* However much is written: bounded, the youngest is there, in order, and a reader notices a loss.
 */
TEST(it_goes_round_in_circles)
{
	int dir_fd = open_tmp();
	static char piece[50000];
	struct log_reader slow;
	struct log_reader r;
	struct log_entry e;
	struct exec_log l;
	uint32_t first = 0;
	uint32_t last = 0;

	memset(piece, 'x', sizeof(piece));
	exec_log_init(&l);
	ASSERT_OK(exec_log_open(&l, dir_fd));
	log_reader_init(&slow, dir_fd);
	for (uint32_t i = 1; i <= 1500; i++) {
		exec_log_write(&l, "stdout", i, piece, sizeof(piece));
		if (i == 1)
			expect(&slow, "stdout", 1, piece, sizeof(piece));
	}
	ASSERT_TRUE(disk_bytes(dir_fd) <= (uint64_t)EXEC_LOG_FILES * LIMIT_EXEC_LOG);
	ASSERT_TRUE(disk_bytes(dir_fd) > (uint64_t)(EXEC_LOG_FILES - 1) * LIMIT_EXEC_LOG - 200000);
	log_reader_init(&r, dir_fd);
	while (log_reader_next(&r, &e) == 0) {
		if (first == 0)
			first = e.id;
		else
			ASSERT_EQ(e.id, last + 1);
		last = e.id;
		log_entry_deinit(&e);
	}
	ASSERT_EQ(last, 1500);
	ASSERT_TRUE(first > 1 && first < 1000);
	ASSERT_TRUE(!r.lost && r.skipped == 0);
	last = 0;
	while (log_reader_next(&slow, &e) == 0) {
		last = e.id;
		log_entry_deinit(&e);
	}
	ASSERT_EQ(last, 1500);
	ASSERT_TRUE(slow.lost);
	exec_log_close(&l);
	log_reader_deinit(&slow);
	log_reader_deinit(&r);
	fd_close(dir_fd);
}

TEST(garbage_is_skipped)
{
	static const char text[] =
		"{\"seq\":3}\nnonsense\n{\"t\":1}\n"
		"{\"t\":\"2026-11-21T06:17:42.836Z\",\"s\":\"stdout\",\"d\":\"A\",\"e\":\"b64\","
		"\"id\":1}\n"
		"{\"t\":\"2026-11-21T06:17:42.836Z\",\"s\":\"stdout\",\"d\":\"fine\",\"id\":1}\n";
	int dir_fd = open_tmp();
	struct log_reader r;
	struct log_entry e;

	ASSERT_OK(io_write_file_atomic(
		dir_fd, exec_log_name(2), text, sizeof(text) - 1, 0600, false));
	log_reader_init(&r, dir_fd);
	expect(&r, "stdout", 1, "fine", 4);
	ASSERT_ERR(log_reader_next(&r, &e), EAGAIN);
	ASSERT_EQ(r.skipped, 3);
	log_reader_deinit(&r);
	fd_close(dir_fd);
}

/* A full disk ends the log and nothing else. */
TEST(a_full_disk_ends_it)
{
	struct rlimit limit = {.rlim_cur = 1000, .rlim_max = 1000};
	int dir_fd = open_tmp();
	struct exec_log l;

	exec_log_init(&l);
	ASSERT_OK(exec_log_open(&l, dir_fd));
	ASSERT_TRUE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 100; i++)
		exec_log_write(&l, "stdout", 1, "some text that takes some room", 30);
	ASSERT_TRUE(l.off);
	exec_log_close(&l);
	fd_close(dir_fd);
}
