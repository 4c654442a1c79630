/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/io.h"

#include "engine/qmp.h"

#include "test.h"

static int parse(const char *line, struct qmp_msg *ret)
{
	return qmp_parse(line, strlen(line), ret);
}

TEST(each_kind_of_message)
{
	struct qmp_msg m;

	ASSERT_OK(parse("{\"QMP\": {\"version\": {}, \"capabilities\": []}}", &m));
	ASSERT_EQ(m.type, QMP_GREETING);
	ASSERT_OK(parse("{\"return\": {\"a\": [1, {}]}, \"id\": 7}", &m));
	ASSERT_EQ(m.type, QMP_RETURN);
	ASSERT_OK(parse("{\"error\": {\"class\": \"X\", \"desc\": \"no\\nluck \\u00fc\"}}", &m));
	ASSERT_EQ(m.type, QMP_ERROR);
	ASSERT_STREQ(m.desc, "no?luck ??");
	ASSERT_OK(parse("{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}", &m));
	ASSERT_EQ(m.type, QMP_EVENT);
	ASSERT_STREQ(m.event, "SHUTDOWN");
	ASSERT_STREQ(m.reason, "guest-reset");
	ASSERT_TRUE(!m.closed);
	ASSERT_OK(parse(
		"{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": false, \"id\": \"x\"}}",
		&m));
	ASSERT_TRUE(m.closed);
	ASSERT_OK(parse(
		"{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, \"id\": \"x\"}}", &m));
	ASSERT_TRUE(!m.closed);
	ASSERT_OK(parse("{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": 0}}", &m));
	ASSERT_TRUE(!m.closed);
}

TEST(absent_and_odd_fields)
{
	struct qmp_msg m;

	ASSERT_OK(parse("{\"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": -1}}", &m));
	ASSERT_EQ(m.actual, 0);
	ASSERT_OK(parse("{\"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 268435456}}", &m));
	ASSERT_EQ(m.actual, 268435456);

	ASSERT_OK(parse("{\"event\": \"RESUME\"}", &m));
	ASSERT_STREQ(m.reason, "");
	ASSERT_OK(parse("{\"event\": \"X\", \"data\": {\"action\": \"pause\"}}", &m));
	ASSERT_STREQ(m.reason, "");
	ASSERT_OK(parse("{\"event\": \"X\", \"data\": {\"reason\": 7}}", &m));
	ASSERT_STREQ(m.reason, "");
	ASSERT_OK(parse("{\"event\": \"X\", \"data\": \"reason\"}", &m));
	ASSERT_STREQ(m.reason, "");
	ASSERT_OK(parse("{\"error\": null}", &m));
	ASSERT_STREQ(m.desc, "");
	/* Longer than any name of ours: cut. */
	ASSERT_OK(parse("{\"event\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", &m));
	ASSERT_EQ(strlen(m.event), sizeof(m.event) - 1);
}

TEST(what_is_no_qmp)
{
	static const char *const lines[] = {"", "hello", "{", "{}", "[]", "1", "\"event\"",
		"{\"event\": \"A\"} x", "{\"event\": \"\"}", "{\"event\": 1}", "{\"event\": null}",
		"{\"return\": {}, \"error\": {}}", "{\"execute\": \"quit\"}",
		"{\"event\": \"A\", \"event\": \"B\"}", "{\"event\": \"\xff\"}"};
	struct qmp_msg m;

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		if (parse(lines[i], &m) != -EBADMSG)
			test_fail(__FILE__, __LINE__, "'%s' was accepted", lines[i]);
	}
}

/* Lines come in pieces of any size. */
TEST(stream_in_pieces)
{
	static const char stream[] = "{\"QMP\": {}}\r\n{\"return\": {}}\n{\"event\": \"STOP\"}\r\n";

	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		unsigned int seen = 0;
		struct qmp_msg m;
		struct qmp q;
		int fds[2];

		qmp_init(&q);
		ASSERT_OK(io_pipe(O_NONBLOCK, fds));
		ASSERT_EQ(qmp_fill(&q, fds[0]), -EAGAIN);
		for (size_t at = 0; at < sizeof(stream) - 1; at += piece) {
			ASSERT_OK(io_write_full(
				fds[1], stream + at, MIN(piece, sizeof(stream) - 1 - at)));
			ASSERT_OK(qmp_fill(&q, fds[0]));
			while (qmp_next(&q, &m) == 0)
				seen = seen * 10 + (unsigned int)m.type + 1;
		}
		ASSERT_EQ(seen, 124);
		fd_close(fds[1]);
		ASSERT_EQ(qmp_fill(&q, fds[0]), -ENODATA);
		fd_close(fds[0]);
		qmp_deinit(&q);
	}
}

TEST(endless_line)
{
	static char line[QMP_LINE_MAX];
	struct qmp_msg m;
	struct qmp q;
	int fds[2];
	int r = 0;

	memset(line, ' ', sizeof(line));
	qmp_init(&q);
	ASSERT_OK(io_pipe(O_NONBLOCK, fds));
	ASSERT_OK(io_write_full(fds[1], line, sizeof(line)));
	ASSERT_OK(io_write_full(fds[1], line, 1));
	for (unsigned int i = 0; r == 0; i++) {
		ASSERT_TRUE(i < 100);
		ASSERT_EQ(qmp_next(&q, &m), -EAGAIN);
		r = qmp_fill(&q, fds[0]);
	}
	ASSERT_EQ(r, -EBADMSG);
	fd_close(fds[0]);
	fd_close(fds[1]);
	qmp_deinit(&q);
}

TEST(out_of_memory)
{
	struct qmp_msg m;

	FAULT_LOOP({
		int r = parse("{\"event\": \"STOP\", \"data\": {\"reason\": \"x\"}}", &m);

		ASSERT_TRUE(r == 0 || r == -ENOMEM);
	});
}
