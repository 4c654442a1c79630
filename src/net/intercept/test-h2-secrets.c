/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in HTTP/2, and what becomes of them when memory ends. */
#include <sys/mman.h>

#include "net/intercept/h2-testbed.h"

#define KEY "sk-1234567890"

static struct secrets *make_secrets(uint32_t inject, uint32_t violation)
{
	const struct secret_settings settings = {.n = 1,
		.violation = violation,
		.rules = {
			{.name = "KEY", .n_hosts = 1, .hosts = {"www.example"}, .inject = inject}}};
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct secrets *s = NULL;

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(secret_value_write(fd, KEY, NULL));
	ASSERT_OK(secrets_new(&settings, fd, &s, NULL));
	(void)close(fd);
	return s;
}

TEST(a_secret_in_a_field_is_in_no_table)
{
	struct secrets *s = make_secrets(0, 0);
	struct fixture *f = make_with(s, 100);
	size_t table;

	ask(f, NOTHING, OURS, ":path: /", "x-key: Bearer $MSB_KEY", "x-other: 1");
	settle(f);
	ASSERT_TRUE(has(&f->server.views[0], "x-key: Bearer " KEY "\n"));
	ASSERT_TRUE(!f->server.views[0].secret_indexed);
	ASSERT_STREQ(f->last.secret, "KEY");
	table = nghttp2_session_get_hd_inflate_dynamic_table_size(f->server.session);
	ask(f, NOTHING, OURS, ":path: /", "x-key: Bearer $MSB_KEY", "x-other: 1");
	settle(f);
	ASSERT_EQ(nghttp2_session_get_hd_inflate_dynamic_table_size(f->server.session), table);
	ASSERT_TRUE(has(&f->server.views[1], "x-key: Bearer " KEY "\n"));
	ask(f, NOTHING, OURS, ":path: /", "authorization: Basic dXNlcjokTVNCX0tFWQ==");
	settle(f);
	/* user:sk-1234567890 */
	ASSERT_TRUE(has(&f->server.views[2], "authorization: Basic dXNlcjpzay0xMjM0NTY3ODkw\n"));
	ASSERT_EQ(f->refused, 0);
	drop(f);
	(void)secrets_free(s);
}

TEST(a_secret_where_none_may_be)
{
	static const char *const bad[][8] = {
		{OURS, ":path: /$MSB_KEY"},
		{OURS, ":path: /?a=$MSB_KEY"},
		{OURS, ":path: /?a=%24MSB_KEY"},
	};
	struct secrets *s = make_secrets(0, 0);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture *f = make_with(s, 100);
		struct view *v = ask_lines(f, bad[i], NOTHING);

		settle(f);
		ASSERT_TRUE(has(v, ":status: 403\n") && v->closed && f->server.n_views == 0);
		ASSERT_STREQ(f->secret, "KEY");
		drop(f);
	}
	/* Behind a body. */
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = make_with(s, 100);
		struct view *v = ask(
			f, ((struct view){.trailer = "$MSB_KEY", .to_put = i}), OURS, ":path: /");

		settle(f);
		ASSERT_TRUE(has(v, ":status: 403\n") && v->closed && v->code == 0);
		ASSERT_TRUE(f->server.views[0].closed && !f->server.views[0].ended);
		ASSERT_TRUE(f->h2->streams == NULL && f->refused == 1);
		drop(f);
	}
	(void)secrets_free(s);
}

static ssize_t on_text(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *ctx)
{
	const char **text = source->ptr;
	/* In small pieces. */
	size_t len = strnlen(*text, MIN(n, (size_t)7));

	(void)s;
	(void)id;
	(void)ctx;
	memcpy(to, *text, len);
	*text += len;
	if (!**text)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)len;
}

static struct view *post(struct fixture *f, const char **text, const char *type)
{
	const char *lines[] = {OURS, ":path: /post", type, "content-length: 31", NULL};
	nghttp2_data_provider body = {.source = {.ptr = text}, .read_callback = on_text};
	struct view *v = new_view(&f->client, 0);
	nghttp2_nv nv[16];

	ASSERT_EQ(strlen(*text), 31);
	v->id = nghttp2_submit_request(f->client.session, NULL, nv, nv_of(lines, nv), &body, NULL);
	ASSERT_TRUE(v->id > 0);
	return v;
}

TEST(a_secret_in_a_body_where_it_may_not_be)
{
	struct secrets *s = make_secrets(0, 0);
	const char *text = "before $MSB_KEY after 0123456789";
	struct fixture *f = make_with(s, 100);
	struct view *v;

	text++;
	v = post(f, &text, "content-type: text/plain");
	settle(f);
	ASSERT_TRUE(has(v, ":status: 403\n") && v->closed);
	ASSERT_STREQ(f->secret, "KEY");
	/* Its server has a request without an end. */
	ASSERT_TRUE(!f->server.views[0].ended && f->server.views[0].code == NGHTTP2_CANCEL);
	ASSERT_TRUE(f->done == 0 && f->h2->streams == NULL);
	drop(f);
	(void)secrets_free(s);
}

TEST(a_secret_in_a_body_where_it_may_be)
{
	struct secrets *s = make_secrets(SECRET_IN_BODY, 0);
	const char *text = "before $MSB_KEY after $MSB_KEY ";
	struct fixture *f = make_with(s, 100);
	const struct view *v;

	post(f, &text, "content-type: text/plain");
	settle(f);
	v = &f->server.views[0];
	ASSERT_TRUE(v->ended && v->closed && v->code == 0 && !has(v, "content-length"));
	ASSERT_EQ(v->got, strlen("before " KEY " after " KEY " "));
	ASSERT_STREQ(f->last.secret, "KEY");
	ASSERT_EQ(f->last.up, 31);
	/* A body with a coding of its own stays what it is. */
	text = "before $MSG_KEY after $MSG_KEY ";
	post(f, &text, "content-encoding: br");
	settle(f);
	ASSERT_TRUE(f->server.views[1].got == 31 && has(&f->server.views[1], "content-length"));
	drop(f);

	/* More than all windows. */
	f = make_with(s, 100);
	f->server.answer_bytes = 10;
	v = ask(f, ((struct view){.to_put = BIG}), OURS, ":path: /b");
	settle(f);
	ASSERT_TRUE(v->closed && v->code == 0);
	ASSERT_TRUE(f->server.views[0].got == BIG && f->server.views[0].bad == 0);
	drop(f);
	(void)secrets_free(s);
}

TEST(memory_that_is_used_up)
{
	struct secrets *s = make_secrets(SECRET_IN_BODY | SECRET_IN_DEFAULT, 0);
	struct fixture *f = make_with(s, 100);
	const struct h2_rules rules = f->h2->rules;
	struct buf out;

	f->server.answer_bytes = 20 * 1000;
	f->server.answer_trailer = "end";
	ask(f, ((struct view){.to_put = 20 * 1000, .trailer = "end"}), OURS, ":path: /a",
		"x-key: $MSB_KEY");
	ask(f, NOTHING, ":method: GET", ":scheme: https", ":authority: b", ":path: /");
	settle(f);
	ASSERT_EQ(f->done, 1);
	buf_init(&out, BIG);
	/* All that came, once more, and all answers thrown away. */
	FAULT_LOOP({
		const uint8_t *at = buf_data(&f->tape);
		struct h2 *h = NULL;
		int r = h2_new(&rules, &h);

		while (r == 0 && at < buf_data(&f->tape) + buf_len(&f->tape)) {
			uint32_t head[2];

			memcpy(head, at, sizeof(head));
			at += sizeof(head);
			r = h2_read(h, (enum h2_side)head[0], at, head[1]);
			at += head[1];
			for (int i = 0; i < 2 && r >= 0; i++) {
				r = MIN(h2_write(h, (enum h2_side)i, &out), 0);
				buf_consume(&out, buf_len(&out));
			}
		}
		(void)h2_free(h);
	});
	buf_deinit(&out);
	drop(f);
	(void)secrets_free(s);
}
