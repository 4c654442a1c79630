/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of HTTP/2 and their answers, between a client and a server in memory. */
#include "net/intercept/h2-testbed.h"

TEST(a_request_and_its_answer)
{
	struct fixture *f = make();
	struct view *v;

	f->server.answer_bytes = 5;
	v = ask(f, ((struct view){.to_put = 3}), ":method: POST", ":scheme: https",
		":authority: WWW.example:443", ":path: /a?private", "x-one: 1", "x-one: 2");
	settle(f);
	ASSERT_TRUE(v->ended && v->closed && v->code == 0 && v->got == 5 && v->bad == 0);
	ASSERT_TRUE(has(v, ":status: 200\nx-answer: yes\n-\n"));
	ASSERT_STREQ(f->server.views[0].log,
		":method: POST\n:scheme: https\n:authority: WWW.example:443\n:path: /a?private\n"
		"x-one: 1\nx-one: 2\n-\n");
	ASSERT_TRUE(f->server.views[0].got == 3 && f->server.views[0].bad == 0);
	ASSERT_TRUE(f->done == 1 && f->refused == 0 && f->failures == 0);
	ASSERT_STREQ(f->last.method, "POST");
	ASSERT_STREQ(f->last.path, "/a");
	ASSERT_TRUE(f->last.status == 200 && f->last.up == 3 && f->last.down == 5);
	ASSERT_TRUE(f->h2->streams == NULL && !h2_over(f->h2, H2_GUEST));
	drop(f);
}

TEST(many_streams_at_once_with_large_bodies)
{
	struct fixture *f = make();
	struct view *v[50];

	f->server.answer_bytes = BIG / 4;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		char path[] = ":path: /?";

		path[8] = (char)(i < 26 ? 'A' + i : 'a' + (i - 26));
		v[i] = ask(f, ((struct view){.to_put = 100 * 1000}), OURS, path);
	}
	settle(f);
	ASSERT_EQ(f->done, ARRAY_SIZE(v));
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		ASSERT_TRUE(v[i]->closed && v[i]->got == BIG / 4 && v[i]->bad == 0);
		ASSERT_TRUE(f->server.views[i].got == 100 * 1000 && f->server.views[i].bad == 0);
	}
	drop(f);
}

/* Nobody takes more than a window of what somebody else does not read, and others go on. */
TEST(a_slow_reader_is_waited_for)
{
	struct fixture *f = make();
	struct view *slow;
	struct view *other;

	f->server.answer_bytes = BIG;
	f->client.deaf = true;
	slow = ask(f, NOTHING, OURS, ":path: /s");
	settle(f);
	ASSERT_TRUE(slow->got == H2_WINDOW && !slow->ended);
	ASSERT_TRUE(waiting(f, H2_SERVER) <= H2_WINDOW);
	ASSERT_TRUE(f->server.views[0].put <= (size_t)3 * H2_WINDOW);
	/* Its connection's window is full, too; once that is open another stream is not held up. */
	ASSERT_OK(nghttp2_session_set_local_window_size(f->client.session, 0, 0, 8 * BIG));
	f->client.deaf = false;
	f->server.answer_bytes = BIG / 2;
	other = ask(f, NOTHING, OURS, ":path: /o");
	settle(f);
	ASSERT_TRUE(other->closed && other->got == BIG / 2 && other->bad == 0);
	ASSERT_TRUE(slow->got == H2_WINDOW);
	ASSERT_OK(nghttp2_session_consume(f->client.session, slow->id, H2_WINDOW));
	settle(f);
	ASSERT_TRUE(slow->closed && slow->got == BIG && slow->bad == 0);
	drop(f);
}

TEST(a_server_that_reads_nothing_stops_its_client)
{
	struct fixture *f = make();
	struct view *v;

	f->server.deaf = true;
	v = ask(f, ((struct view){.to_put = BIG}), OURS, ":path: /s");
	settle(f);
	ASSERT_TRUE(f->server.views[0].got == H2_WINDOW && v->put < BIG / 2);
	ASSERT_TRUE(waiting(f, H2_GUEST) <= H2_WINDOW);
	drop(f);
}

/* A socket that is full: what is in memory stays what it was. */
TEST(a_client_that_does_not_read_its_socket)
{
	struct fixture *f = make();
	struct view *v;

	f->server.answer_bytes = BIG;
	ASSERT_OK(nghttp2_session_set_local_window_size(f->client.session, 0, 0, 8 * BIG));
	v = ask(f, NOTHING, OURS, ":path: /s");
	f->stuck = true;
	settle(f);
	ASSERT_TRUE(buf_len(&f->to_client) <= (size_t)2 * H2_WRITE_BYTES);
	ASSERT_TRUE(f->server.views[0].put <= (size_t)3 * H2_WINDOW);
	f->stuck = false;
	settle(f);
	ASSERT_TRUE(v->closed && v->got == BIG && v->bad == 0);
	drop(f);
}

TEST(windows_open_wider_for_fast_readers_within_a_limit)
{
	struct fixture *f = make();

	f->server.answer_bytes = BIG;
	ASSERT_OK(nghttp2_session_set_local_window_size(f->client.session, 0, 0, 64 * BIG));
	for (int i = 0; i < 20; i++) {
		struct view *v = ask(f, NOTHING, OURS, ":path: /s");

		ASSERT_OK(nghttp2_session_set_local_window_size(
			f->client.session, 0, v->id, 2 * BIG));
	}
	settle(f);
	ASSERT_EQ(f->done, 20);
	ASSERT_EQ(f->h2->more, 0);
	drop(f);
}

TEST(trailers_both_ways)
{
	struct fixture *f = make();
	struct view *v;

	f->server.answer_bytes = 100 * 1000;
	f->server.answer_trailer = "server's";
	v = ask(f, ((struct view){.to_put = 100 * 1000, .trailer = "client's"}), OURS,
		":path: /grpc", "te: trailers");
	settle(f);
	ASSERT_TRUE(v->closed && v->ended && v->got == 100 * 1000 && v->bad == 0);
	ASSERT_TRUE(has(v, "-\nx-end: server's\n-\n"));
	ASSERT_TRUE(has(&f->server.views[0], "te: trailers\n-\nx-end: client's\n-\n"));
	drop(f);

	/* Without a body before them. */
	f = make();
	f->server.answer_trailer = "server's";
	v = ask(f, ((struct view){.trailer = "client's"}), OURS, ":path: /grpc");
	settle(f);
	ASSERT_TRUE(v->closed && has(v, "x-end: server's"));
	ASSERT_TRUE(has(&f->server.views[0], "x-end: client's"));
	drop(f);
}

TEST(interim_answers_come_before_the_last_one)
{
	static const char *const lines[] = {":status: 103", "link: a", NULL};
	struct fixture *f = make();
	nghttp2_nv nv[8];
	struct view *v;

	f->server.silent = true;
	v = ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	for (int i = 0; i < 2; i++)
		ASSERT_OK(nghttp2_submit_headers(
			f->server.session, 0, 1, NULL, nv, nv_of(lines, nv), NULL));
	settle(f);
	ASSERT_STREQ(v->log, ":path: /\n:status: 103\nlink: a\n-\n:status: 103\nlink: a\n-\n");
	answer(&f->server, &f->server.views[0]);
	settle(f);
	ASSERT_TRUE(v->closed && v->code == 0 && has(v, ":status: 200"));
	ASSERT_EQ(f->last.status, 200);
	drop(f);
}

TEST(resets_go_both_ways)
{
	struct fixture *f = make();
	struct view *v;

	f->server.silent = true;
	v = ask(f, ((struct view){.hold = true, .to_put = 10}), OURS, ":path: /");
	settle(f);
	ASSERT_OK(nghttp2_submit_rst_stream(f->client.session, 0, v->id, NGHTTP2_CANCEL));
	settle(f);
	ASSERT_TRUE(f->server.views[0].closed && f->server.views[0].code == NGHTTP2_CANCEL);
	ASSERT_TRUE(f->done == 1 && f->last.status == 0 && f->h2->streams == NULL);

	v = ask(f, ((struct view){.hold = true, .to_put = 10}), OURS, ":path: /");
	settle(f);
	ASSERT_OK(
		nghttp2_submit_rst_stream(f->server.session, 0, v->id, NGHTTP2_ENHANCE_YOUR_CALM));
	settle(f);
	ASSERT_TRUE(v->closed && v->code == NGHTTP2_ENHANCE_YOUR_CALM);
	ASSERT_TRUE(f->done == 2 && f->h2->streams == NULL);
	drop(f);
}

/* A server that has said all and wants no more of the request. Often: what was on its way must not
 * be missing in any window afterwards. */
TEST(an_early_answer_is_heard_whole)
{
	struct fixture *f = make();

	for (unsigned int i = 1; i <= 200; i++) {
		struct view *v;

		f->client.n_views = f->server.n_views = 0;
		f->server.silent = f->server.deaf = true;
		v = ask(f, ((struct view){.to_put = BIG}), OURS, ":path: /e");
		settle(f);
		ASSERT_TRUE(v->put >= H2_WINDOW);
		f->server.answer_bytes = 60 * 1000;
		answer(&f->server, &f->server.views[0]);
		f->stuck = true;
		settle(f);
		ASSERT_OK(nghttp2_submit_rst_stream(f->server.session, 0, v->id, NGHTTP2_NO_ERROR));
		settle(f);
		f->stuck = false;
		settle(f);
		ASSERT_TRUE(v->closed && v->ended && v->got == 60 * 1000 && v->bad == 0);
		ASSERT_TRUE(v->code == 0 && f->h2->streams == NULL && f->last.status == 200);
		ASSERT_OK(nghttp2_session_consume_connection(
			f->server.session, f->server.views[0].got));
		ASSERT_EQ(f->done, i);
	}
	drop(f);
}

TEST(goaway_is_passed_on_and_what_runs_goes_on)
{
	struct fixture *f = make();
	struct view *v;
	struct view *late;

	f->server.silent = true;
	v = ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	ASSERT_OK(nghttp2_submit_goaway(f->server.session, 0, v->id, NGHTTP2_NO_ERROR, NULL, 0));
	settle(f);
	ASSERT_EQ(f->client.goaway, NGHTTP2_NO_ERROR + 1);
	ASSERT_TRUE(!h2_over(f->h2, H2_GUEST));
	f->server.answer_bytes = 10;
	answer(&f->server, &f->server.views[0]);
	settle(f);
	ASSERT_TRUE(v->closed && v->code == 0 && v->got == 10);
	ASSERT_TRUE(h2_over(f->h2, H2_GUEST) && h2_over(f->h2, H2_SERVER));
	drop(f);

	/* What the server has not begun with may be asked again. */
	f = make();
	f->server.silent = true;
	v = ask(f, NOTHING, OURS, ":path: /1");
	late = ask(f, NOTHING, OURS, ":path: /2");
	settle(f);
	ASSERT_OK(nghttp2_submit_goaway(f->server.session, 0, v->id, NGHTTP2_NO_ERROR, NULL, 0));
	settle(f);
	ASSERT_TRUE(late->closed && late->code == NGHTTP2_REFUSED_STREAM && !v->closed);
	drop(f);
}

TEST(a_server_that_is_gone)
{
	struct fixture *f = make();
	struct view *half;
	struct view *whole;

	f->server.answer_bytes = 30 * 1000;
	f->stuck = true;
	whole = ask(f, NOTHING, OURS, ":path: /w");
	settle(f);
	f->server.silent = true;
	half = ask(f, NOTHING, OURS, ":path: /h");
	settle(f);
	h2_end(f->h2, H2_SERVER);
	f->stuck = false;
	settle(f);
	ASSERT_TRUE(whole->closed && whole->code == 0 && whole->got == 30 * 1000);
	ASSERT_TRUE(half->closed && half->code == NGHTTP2_INTERNAL_ERROR);
	ASSERT_TRUE(f->client.goaway && h2_over(f->h2, H2_GUEST) && f->h2->streams == NULL);
	drop(f);
}

TEST(a_guest_that_is_gone)
{
	struct fixture *f = make();

	f->server.silent = true;
	ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	h2_end(f->h2, H2_GUEST);
	settle(f);
	ASSERT_TRUE(f->server.views[0].closed && f->server.views[0].code == NGHTTP2_CANCEL);
	ASSERT_TRUE(f->server.goaway && h2_over(f->h2, H2_GUEST) && f->h2->streams == NULL);
	drop(f);
}
