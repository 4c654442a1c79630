/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include "test.h"

static void raw(
	struct buf *b, uint32_t len, uint32_t stream, uint8_t type, uint8_t flags, uint16_t zero)
{
	uint8_t h[FRAME_HEADER];

	memcpy(h, &len, 4);
	memcpy(h + 4, &stream, 4);
	h[8] = type;
	h[9] = flags;
	memcpy(h + 10, &zero, 2);
	ASSERT_OK(buf_append(b, h, sizeof(h)));
}

static int decode_header(uint32_t len, uint32_t stream, uint8_t type, uint8_t flags, uint16_t zero)
{
	struct frame f;
	struct buf b;
	int r;

	buf_init(&b, 100);
	raw(&b, len, stream, type, flags, zero);
	r = frame_decode(&b, &f);
	buf_deinit(&b);
	return r;
}

TEST(frames_come_out_as_they_went_in)
{
	struct frame f;
	struct buf b;

	buf_init(&b, 200000);
	ASSERT_OK(frame_put(&b, FRAME_DATA, 2 | FRAME_EOF, UINT32_MAX, "abc", 3));
	ASSERT_OK(frame_put(&b, FRAME_METRICS, 0, 7, NULL, 0));
	ASSERT_OK(frame_decode(&b, &f));
	ASSERT_EQ(f.type, FRAME_DATA);
	ASSERT_EQ(f.flags, 2 | FRAME_EOF);
	ASSERT_EQ(f.stream, UINT32_MAX);
	ASSERT_EQ(f.len, 3);
	ASSERT_MEMEQ(f.payload, "abc", 3);
	buf_consume(&b, FRAME_HEADER + f.len);
	ASSERT_OK(frame_decode(&b, &f));
	ASSERT_EQ(f.type, FRAME_METRICS);
	ASSERT_EQ(f.len, 0);
	buf_consume(&b, FRAME_HEADER);
	ASSERT_ERR(frame_decode(&b, &f), EAGAIN);
	buf_deinit(&b);
}

TEST(every_prefix_asks_for_more)
{
	static uint8_t payload[LIMIT_FRAME_PAYLOAD];
	struct buf whole;
	struct frame f;

	buf_init(&whole, 200000);
	ASSERT_OK(frame_put(&whole, FRAME_PING, 0, 1, payload, 40));
	for (size_t n = 0; n < buf_len(&whole); n++) {
		struct buf part;

		buf_init(&part, 200);
		ASSERT_OK(buf_append(&part, buf_data(&whole), n));
		ASSERT_ERR(frame_decode(&part, &f), EAGAIN);
		buf_deinit(&part);
	}
	ASSERT_OK(frame_put(&whole, FRAME_DATA, 0, 1, payload, sizeof(payload)));
	buf_consume(&whole, FRAME_HEADER + 40);
	ASSERT_OK(frame_decode(&whole, &f));
	ASSERT_EQ(f.len, LIMIT_FRAME_PAYLOAD);
	buf_deinit(&whole);
}

TEST(invalid_headers_are_refused)
{
	ASSERT_ERR(decode_header(0, 1, FRAME_METRICS, 0, 0), 0);
	ASSERT_ERR(decode_header(LIMIT_FRAME_PAYLOAD, 1, FRAME_DATA, 0, 0), EAGAIN);
	ASSERT_ERR(decode_header(LIMIT_FRAME_PAYLOAD + 1, 1, FRAME_DATA, 0, 0), EBADMSG);
	ASSERT_ERR(decode_header(UINT32_MAX, 1, FRAME_DATA, 0, 0), EBADMSG);
	ASSERT_ERR(decode_header(0, 1, FRAME_DATA, 3, 0), EBADMSG); /* no such channel */
	ASSERT_ERR(decode_header(0, 1, FRAME_DATA, 0x40, 0), EBADMSG);
	ASSERT_ERR(decode_header(0, 1, FRAME_EXEC, FRAME_EOF, 0), EBADMSG);
	ASSERT_ERR(decode_header(0, 1, FRAME_DATA, 0, 1), EBADMSG);
	ASSERT_ERR(decode_header(0, 0, FRAME_DATA, 0, 0), EBADMSG); /* needs a stream */
	ASSERT_ERR(decode_header(0, 1, FRAME_HELLO, 0, 0), EBADMSG); /* must not have one */
}

/* Exactly the named types are accepted, each on its kind of stream. */
TEST(types_and_names_agree)
{
	for (unsigned int type = 0; type < 256; type++) {
		bool named = !streq(frame_type_name((uint8_t)type), "?");
		bool control = decode_header(0, 0, (uint8_t)type, 0, 0) == 0;
		bool stream = decode_header(0, 1, (uint8_t)type, 0, 0) == 0;

		ASSERT_TRUE(!(control && stream));
		ASSERT_EQ(named, control || stream);
		ASSERT_TRUE(stream || !frame_is_terminal((uint8_t)type));
	}
	ASSERT_TRUE(frame_is_terminal(FRAME_EXITED) && frame_is_terminal(FRAME_FAILED) &&
		    frame_is_terminal(FRAME_PONG));
	ASSERT_TRUE(!frame_is_terminal(FRAME_DATA) && !frame_is_terminal(FRAME_STARTED));
	ASSERT_TRUE(frame_is_terminal(FRAME_THAWED) && !frame_is_terminal(FRAME_FROZEN));
}

TEST(a_frame_fits_whole_or_not_at_all)
{
	static uint8_t payload[LIMIT_FRAME_PAYLOAD + 1];
	struct buf b;
	size_t mark;

	buf_init(&b, 30);
	ASSERT_OK(frame_put(&b, FRAME_PING, 0, 1, payload, 5));
	ASSERT_ERR(frame_put(&b, FRAME_PING, 0, 1, payload, 5), ENOBUFS);
	ASSERT_EQ(buf_len(&b), FRAME_HEADER + 5);
	ASSERT_OK(frame_begin(&b, FRAME_PING, 0, 1, &mark));
	ASSERT_ERR(buf_append(&b, payload, 2), ENOBUFS);
	ASSERT_ERR(frame_finish(&b, mark, -ENOBUFS), ENOBUFS);
	ASSERT_EQ(buf_len(&b), FRAME_HEADER + 5);
	buf_deinit(&b);

	buf_init(&b, 200000);
	ASSERT_ERR(frame_put(&b, FRAME_DATA, 0, 1, payload, sizeof(payload)), EMSGSIZE);
	ASSERT_OK(frame_begin(&b, FRAME_DATA, 0, 1, &mark));
	ASSERT_OK(buf_append(&b, payload, sizeof(payload)));
	ASSERT_ERR(frame_finish(&b, mark, 0), EMSGSIZE);
	ASSERT_EQ(buf_len(&b), 0);
	buf_deinit(&b);
}

TEST(begin_and_finish_survive_a_moving_buffer)
{
	struct frame f;
	struct buf b;
	size_t mark;

	buf_init(&b, 100000);
	for (int i = 0; i < 2000; i++) {
		ASSERT_OK(frame_begin(&b, FRAME_DATA, 1, 9, &mark));
		for (int j = 0; j < i % 50; j++)
			ASSERT_OK(buf_append(&b, &(uint8_t){(uint8_t)i}, 1));
		ASSERT_OK(frame_finish(&b, mark, 0));
		if (i % 2 == 0)
			continue;
		ASSERT_OK(frame_decode(&b, &f));
		ASSERT_EQ(f.len, (i / 2) % 50);
		for (uint32_t j = 0; j < f.len; j++)
			ASSERT_EQ(f.payload[j], (uint8_t)(i / 2));
		buf_consume(&b, FRAME_HEADER + f.len);
	}
	buf_deinit(&b);
}
