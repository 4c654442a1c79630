/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"
#include "lib/api-pull.h"

#include "test.h"

#define A "sha256:aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000"
#define B "sha256:bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000"

static void tell(struct progress *p, const char *line, struct buf *out)
{
	struct msb_pull_event told;
	struct pull_event e;
	struct msb_err err = {0};

	if (pull_event_parse(line, strlen(line), &e, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", line, err.msg);
	ASSERT_TRUE(api_pull_event(&e, &told));
	ASSERT_OK(progress_event(p, &told, out));
}

static void tell_layer(
	struct progress *p, char digit, const char *state, unsigned int bytes, struct buf *out)
{
	char line[400];
	char hex[65] = "";

	memset(hex, digit, 64);
	(void)snprintf(line, sizeof(line),
		"{\"event\":\"layer\",\"digest\":\"sha256:%s\",\"state\":\"%s\",\"bytes\":%u,"
		"\"total\":2097152}",
		hex, state, bytes);
	tell(p, line, out);
}

static const char resolve[] = "{\"event\":\"resolve\",\"ref\":\"x\",\"digest\":\"" A
			      "\",\"from\":\"docker.io\",\"layers\":3,\"bytes\":6291456}";

TEST(events_are_read)
{
	static const char error[] = "{\"event\":\"error\",\"kind\":\"permission\",\"msg\":\"no\","
				    "\"hint\":\"login\"}";
	static const char done[] = "{\"event\":\"done\",\"digest\":\"" B "\","
				   "\"downloaded_layers\":2,\"downloaded_bytes\":5,\"layers\":7}";
	struct pull_event e;

	ASSERT_OK(pull_event_parse(resolve, strlen(resolve), &e, NULL));
	ASSERT_EQ(e.type, PULL_RESOLVE);
	ASSERT_STREQ(e.digest, A);
	ASSERT_STREQ(e.from, "docker.io");
	ASSERT_EQ(e.layers, 3);
	ASSERT_OK(pull_event_parse(error, strlen(error), &e, NULL));
	ASSERT_EQ(e.type, PULL_ERROR);
	ASSERT_EQ(e.err.kind, MSB_PERMISSION);
	ASSERT_STREQ(e.err.msg, "no");
	ASSERT_STREQ(e.err.hint, "login");
	ASSERT_OK(pull_event_parse(done, strlen(done), &e, NULL));
	ASSERT_STREQ(e.digest, B);
	ASSERT_EQ(e.downloaded_layers, 2);
	ASSERT_EQ(e.downloaded_bytes, 5);
	ASSERT_EQ(e.layers, 7);
}

TEST(events_of_a_liar_are_refused)
{
	static const char *const lines[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"event\":1}",
		"{\"event\":\"surprise\"}",
		"{\"event\":\"warning\"}",
		"{\"event\":\"error\",\"kind\":\"x\"}",
		"{\"event\":\"layer\",\"digest\":\"sha256:1\",\"state\":\"done\",\"bytes\":1,"
		"\"total\":1}",
		"{\"event\":\"layer\",\"digest\":\"" A
		"\",\"state\":\"gone\",\"bytes\":1,\"total\":1}",
		"{\"event\":\"layer\",\"digest\":\"" A
		"\",\"state\":\"done\",\"bytes\":-1,\"total\":1}",
		"{\"event\":\"done\",\"digest\":\"../../etc\",\"downloaded_layers\":2,"
		"\"downloaded_bytes\":5,\"layers\":7}",
	};
	struct pull_event e;
	struct msb_err err = {0};
	char *longest;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		ASSERT_ERR(pull_event_parse(lines[i], strlen(lines[i]), &e, &err), EBADMSG);
	ASSERT_STREQ(err.msg, "msb-pull says what it must not");
	longest = malloc(PULL_LINE_MAX + 1);
	memset(longest, ' ', PULL_LINE_MAX + 1);
	ASSERT_ERR(pull_event_parse(longest, PULL_LINE_MAX + 1, &e, &err), EBADMSG);
	free(longest);
}

TEST(control_characters_do_not_reach_the_terminal)
{
	static const char line[] = "{\"event\":\"error\",\"kind\":\"io\",\"msg\":"
				   "\"a\\u001b[2Jb\\nc\",\"hint\":\"\\u202eevil\"}";
	struct pull_event e;

	ASSERT_OK(pull_event_parse(line, strlen(line), &e, NULL));
	ASSERT_STREQ(e.err.msg, "a?[2Jb?c");
	ASSERT_STREQ(e.err.hint, "?evil");
}

TEST(plain_lines)
{
	struct progress p;
	struct buf out;

	progress_init(&p, PROGRESS_LINES, "alpine:latest");
	buf_init(&out, MIB);
	tell(&p, resolve, &out);
	tell_layer(&p, 'a', "exists", 0, &out);
	tell_layer(&p, 'b', "waiting", 0, &out);
	tell_layer(&p, 'b', "downloading", 1048576, &out);
	tell_layer(&p, 'b', "retrying", 1048576, &out);
	tell_layer(&p, 'b', "retrying", 1048576, &out);
	tell_layer(&p, 'b', "done", 2097152, &out);
	tell(&p, "{\"event\":\"merge\"}", &out);
	ASSERT_OK(progress_draw(&p, 24, 80, &out));
	ASSERT_OK(progress_clear(&p, &out));
	ASSERT_STREQ(buf_cstr(&out), "alpine:latest: 3 layers, 6.0 MiB from docker.io\n"
				     "aaaaaaaaaaaa: already here\n"
				     "bbbbbbbbbbbb: connection lost, trying again\n"
				     "bbbbbbbbbbbb: 2.0 MiB\n");
	buf_deinit(&out);
	progress_deinit(&p);
}

TEST(bars_are_redrawn_in_place)
{
	struct progress p;
	struct buf out;

	progress_init(&p, PROGRESS_BARS, "alpine:latest");
	buf_init(&out, MIB);
	ASSERT_OK(progress_draw(&p, 24, 80, &out));
	ASSERT_STREQ(buf_cstr(&out), "\ralpine:latest: asking the registry\033[K\n\033[J");
	tell(&p, resolve, &out);
	tell_layer(&p, 'a', "exists", 0, &out);
	tell_layer(&p, 'b', "downloading", 1048576, &out);
	tell_layer(&p, 'c', "waiting", 0, &out);
	tell_layer(&p, 'd', "done", 2097152, &out);
	buf_consume(&out, buf_len(&out));
	ASSERT_OK(progress_draw(&p, 24, 60, &out));
	ASSERT_STREQ(buf_cstr(&out),
		"\033[1A"
		"\ralpine:latest from docker.io: 2 of 3 layers, 3.0 MiB of 6.0\033[K\n"
		"\r  bbbbbbbbbbbb [=======>       ]  1.0 MiB / 2.0 MiB\033[K\n"
		"\r  cccccccccccc [               ]  waiting\033[K\n"
		"\r  dddddddddddd [===============]  2.0 MiB\033[K\n\033[J");
	buf_consume(&out, buf_len(&out));
	ASSERT_OK(progress_clear(&p, &out));
	ASSERT_STREQ(buf_cstr(&out), "\033[4A\r\033[J");
	buf_consume(&out, buf_len(&out));
	ASSERT_OK(progress_clear(&p, &out));
	ASSERT_EQ(buf_len(&out), 0);

	/* Too narrow for bars, then for anything. */
	ASSERT_OK(progress_draw(&p, 24, 30, &out));
	ASSERT_TRUE(strstr(buf_cstr(&out), "\r  bbbbbbbbbbbb  1.0 MiB / 2.0\033[K\n") != NULL);
	progress_forget(&p);
	buf_consume(&out, buf_len(&out));
	ASSERT_OK(progress_draw(&p, 24, 1, &out));
	ASSERT_EQ(buf_len(&out), 0);

	tell(&p, "{\"event\":\"merge\"}", &out);
	ASSERT_OK(progress_draw(&p, 24, 80, &out));
	ASSERT_STREQ(buf_cstr(&out), "\ralpine:latest: putting the image together\033[K\n\033[J");
	buf_deinit(&out);
	progress_deinit(&p);
}

TEST(a_small_screen_shows_what_moves)
{
	struct progress p;
	struct buf out;
	const char *text;

	progress_init(&p, PROGRESS_BARS, "x");
	buf_init(&out, MIB);
	tell(&p, resolve, &out);
	tell_layer(&p, '0', "done", 2097152, &out);
	tell_layer(&p, '1', "waiting", 0, &out);
	tell_layer(&p, '2', "waiting", 0, &out);
	tell_layer(&p, '3', "downloading", 1, &out);
	tell_layer(&p, '4', "retrying", 1, &out);
	ASSERT_OK(progress_draw(&p, 6, 80, &out));
	text = buf_cstr(&out);
	ASSERT_TRUE(strstr(text, "  111111111111 ") != NULL);
	ASSERT_TRUE(strstr(text, "  333333333333 ") != NULL);
	ASSERT_TRUE(strstr(text, "  444444444444 ") != NULL);
	ASSERT_TRUE(strstr(text, "\r  and 2 more\033[K\n") != NULL);
	ASSERT_EQ(p.drawn, 5);
	for (unsigned int rows = 0; rows < 12; rows++) {
		ASSERT_OK(progress_draw(&p, rows, 80, &out));
		ASSERT_TRUE(p.drawn <= MAX(rows, 2u) - 1);
	}
	buf_deinit(&out);
	progress_deinit(&p);
}

/* More than any image has, sizes that do not add up, bytes beyond the total. */
TEST(nonsense_is_shown_as_such)
{
	struct progress p;
	struct buf out;
	char line[400];

	progress_init(&p, PROGRESS_BARS, "x");
	buf_init(&out, MIB);
	for (unsigned int i = 0; i < 1000; i++) {
		(void)snprintf(line, sizeof(line),
			"{\"event\":\"layer\",\"digest\":\"sha256:%064x\",\"state\":"
			"\"downloading\","
			"\"bytes\":9223372036854775807,\"total\":%s}",
			i, i % 2 ? "9223372036854775807" : "0");
		tell(&p, line, &out);
	}
	ASSERT_EQ(p.n, 512);
	ASSERT_OK(progress_draw(&p, 24, 200, &out));
	ASSERT_EQ(p.drawn, 23);
	buf_deinit(&out);
	progress_deinit(&p);
}

static int draw_one_layer(void)
{
	struct msb_pull_event e = {
		.type = MSB_PULL_LAYER, .digest = A, .from = "", .text = "", .total = 5};
	struct progress p;
	struct buf out;
	int r;

	progress_init(&p, PROGRESS_BARS, "x");
	buf_init(&out, MIB);
	r = progress_event(&p, &e, &out);
	if (r == 0)
		r = progress_draw(&p, 24, 80, &out);
	if (r == 0)
		r = progress_clear(&p, &out);
	buf_deinit(&out);
	progress_deinit(&p);
	return r;
}

TEST(progress_without_memory)
{
	FAULT_LOOP({
		int r = draw_one_layer();

		ASSERT_TRUE(r == 0 || r == -ENOMEM);
	});
}
