/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"

#include "test.h"

static int log_pipe[2];

static void begin(enum log_level level)
{
	ASSERT_OK(io_pipe(0, log_pipe));
	log_init("prog", level);
	log_set_fd(log_pipe[1]);
}

/* What was logged since begin(). */
static void expect(const char *want)
{
	struct buf b;

	close(log_pipe[1]);
	buf_init(&b, MIB);
	while (buf_read_fd(&b, log_pipe[0], 4096) > 0)
		;
	close(log_pipe[0]);
	log_set_fd(2);
	ASSERT_STREQ(buf_cstr(&b), want);
	buf_deinit(&b);
}

TEST(levels)
{
	begin(LOG_WARN);
	ASSERT_TRUE(log_enabled(LOG_ERR) && log_enabled(LOG_WARN) && !log_enabled(LOG_INFO));
	log_err("a %d", 1);
	log_warn("b");
	log_info("c");
	log_debug("d");
	expect("prog: error: a 1\nprog: warning: b\n");
	begin(LOG_TRACE);
	log_line(LOG_TRACE, "t");
	expect("prog: trace: t\n");
}

TEST(long_lines_are_cut_and_ended)
{
	char text[3000];
	struct buf b;
	size_t len;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	begin(LOG_ERR);
	log_err("%s", text);
	log_err("next");
	close(log_pipe[1]);
	buf_init(&b, MIB);
	while (buf_read_fd(&b, log_pipe[0], 4096) > 0)
		;
	close(log_pipe[0]);
	log_set_fd(2);
	len = strcspn(buf_cstr(&b), "\n");
	ASSERT_TRUE(len > 500 && len < 1024);
	ASSERT_STREQ(buf_cstr(&b) + len, "\nprog: error: next\n");
	buf_deinit(&b);
}

TEST(rate_limit)
{
	struct log_limit limit = {.count = 0};
	unsigned int shown = 0;

	begin(LOG_WARN);
	for (int i = 0; i < 100; i++)
		shown += log_allowed(&limit, LOG_WARN);
	/* The loop takes far less than a second; at a second's edge one more burst may pass. */
	ASSERT_TRUE(shown == 5 || shown == 10);
	ASSERT_TRUE(limit.suppressed > 0);
	limit = (struct log_limit){
		.window_ns = clock_mono_ns() - 2 * NSEC_PER_SEC, .count = 5, .suppressed = 7};
	ASSERT_TRUE(log_allowed(&limit, LOG_WARN));
	ASSERT_EQ(limit.suppressed, 0);
	ASSERT_TRUE(!log_allowed(&limit, LOG_DEBUG));
	close(log_pipe[1]);
	log_set_fd(2);
	struct buf b;

	buf_init(&b, MIB);
	while (buf_read_fd(&b, log_pipe[0], 4096) > 0)
		;
	close(log_pipe[0]);
	ASSERT_TRUE(strstr(buf_cstr(&b), "prog: warning: 7 similar messages suppressed\n") != NULL);
	buf_deinit(&b);
}

TEST(nobody_reads)
{
	begin(LOG_ERR);
	close(log_pipe[0]);
	close(log_pipe[1]);
	log_set_fd(-1);
	log_err("into the void");
	log_set_fd(2);
}
