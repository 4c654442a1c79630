/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include "test.h"

static struct buf out;
static struct wire_out w;

static void begin(size_t max)
{
	buf_init(&out, max);
	wire_out_init(&w, &out);
}

TEST(integers_and_strings_round_trip)
{
	struct wire_in in;
	const void *bytes;
	size_t len;

	begin(1000);
	wire_put_u8(&w, UINT8_MAX);
	wire_put_u16(&w, 0x1234);
	wire_put_u32(&w, UINT32_MAX);
	wire_put_u64(&w, UINT64_MAX - 1);
	wire_put_str(&w, "hello");
	wire_put_str(&w, NULL);
	wire_put_bytes(&w, "a\0b", 3);
	wire_put_bytes(&w, NULL, 0);
	ASSERT_OK(w.error);
	/* Little-endian on the wire, whatever the machine. */
	ASSERT_EQ(buf_data(&out)[1], 0x34);
	ASSERT_EQ(buf_data(&out)[2], 0x12);

	wire_in_init(&in, buf_data(&out), buf_len(&out));
	ASSERT_EQ(wire_u8(&in), UINT8_MAX);
	ASSERT_EQ(wire_u16(&in), 0x1234);
	ASSERT_EQ(wire_u32(&in), UINT32_MAX);
	ASSERT_TRUE(wire_u64(&in) == UINT64_MAX - 1);
	ASSERT_STREQ(wire_str(&in, 5), "hello");
	ASSERT_STREQ(wire_str(&in, 0), "");
	bytes = wire_bytes(&in, 3, &len);
	ASSERT_EQ(len, 3);
	ASSERT_MEMEQ(bytes, "a\0b", 3);
	ASSERT_ERR(wire_end(&in), EBADMSG);
	(void)wire_bytes(&in, 3, &len);
	ASSERT_EQ(len, 0);
	ASSERT_OK(wire_end(&in));
	buf_deinit(&out);
}

static bool str_fails(const void *p, size_t len, size_t max)
{
	struct wire_in in;

	wire_in_init(&in, p, len);
	ASSERT_STREQ(wire_str(&in, max), in.bad ? "" : "abc");
	return in.bad;
}

TEST(strings_are_checked)
{
	ASSERT_TRUE(!str_fails("\3\0\0\0abc", 8, 3));
	ASSERT_TRUE(str_fails("\3\0\0\0abc", 8, 2)); /* over the maximum */
	ASSERT_TRUE(str_fails("\3\0\0\0abc", 7, 3)); /* NUL is beyond the end */
	ASSERT_TRUE(str_fails("\3\0\0\0abcd", 8, 3)); /* no NUL */
	ASSERT_TRUE(str_fails("\3\0\0\0a\0c", 8, 3)); /* NUL inside */
	ASSERT_TRUE(str_fails("\377\377\377\377abc", 8, SIZE_MAX)); /* length that would wrap */
	ASSERT_TRUE(str_fails("\0\0\0", 3, 3)); /* no length */
	ASSERT_TRUE(str_fails("\0\0\0\0", 4, 3)); /* empty without its NUL */
}

TEST(failure_sticks)
{
	struct wire_in in;
	size_t len = 1;

	wire_in_init(&in, "\1\2\3\4\5\6\7\10\11", 9);
	ASSERT_EQ(wire_u8(&in), 1);
	ASSERT_EQ(wire_count(&in, 1), 0);
	ASSERT_TRUE(in.bad);
	ASSERT_EQ(wire_u8(&in), 0);
	ASSERT_EQ(wire_u64(&in), 0);
	ASSERT_STREQ(wire_str(&in, 10), "");
	(void)wire_bytes(&in, 10, &len);
	ASSERT_EQ(len, 0);
	ASSERT_ERR(wire_end(&in), EBADMSG);
}

TEST(writer_reports_a_full_buffer_once)
{
	begin(10);
	wire_put_u64(&w, 1);
	ASSERT_OK(w.error);
	wire_put_u32(&w, 1);
	ASSERT_ERR(w.error, ENOBUFS);
	wire_put_u8(&w, 1);
	ASSERT_EQ(buf_len(&out), 8);
	ASSERT_ERR(w.error, ENOBUFS);
	buf_deinit(&out);
}
