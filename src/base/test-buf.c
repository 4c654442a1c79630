/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/buf.h"
#include "base/io.h"

#include "test.h"

TEST(append_consume_keeps_order)
{
	struct buf b;

	buf_init(&b, 1000);
	for (unsigned int i = 0; i < 500; i++) {
		ASSERT_OK(buf_append(&b, &(uint8_t){(uint8_t)i}, 1));
		if (i % 3 == 2)
			buf_consume(&b, 1);
	}
	ASSERT_EQ(buf_len(&b), 500 - 166);
	ASSERT_EQ(buf_data(&b)[0], 166);
	ASSERT_EQ(buf_data(&b)[333], (uint8_t)499);
	buf_deinit(&b);
}

TEST(never_exceeds_maximum)
{
	struct buf b;
	char big[64] = "";

	buf_init(&b, 100);
	ASSERT_OK(buf_append(&b, big, 64));
	ASSERT_ERR(buf_append(&b, big, 37), ENOBUFS);
	ASSERT_EQ(buf_len(&b), 64);
	ASSERT_OK(buf_append(&b, big, 36));
	ASSERT_ERR(buf_printf(&b, "x"), ENOBUFS);
	ASSERT_TRUE(buf_cstr(&b) != NULL);
	buf_consume(&b, 100);
	ASSERT_EQ(buf_space(&b), 100);
	buf_deinit(&b);
}

TEST(printf_appends_without_nul)
{
	struct buf b;

	buf_init(&b, 4096);
	ASSERT_OK(buf_printf(&b, "%s-%d", "a", 1));
	ASSERT_OK(buf_printf(&b, "/%05d", 42));
	ASSERT_STREQ(buf_cstr(&b), "a-1/00042");
	buf_deinit(&b);
}

TEST(out_of_memory_leaves_content)
{
	struct buf b;
	char chunk[300];
	int r = 0;

	memset(chunk, 'x', sizeof(chunk));
	FAULT_LOOP({
		buf_init(&b, 10000);
		for (int i = 0; i < 20 && r == 0; i++) {
			size_t before = buf_len(&b);

			r = buf_append(&b, chunk, sizeof(chunk));
			ASSERT_EQ(buf_len(&b), before + (r == 0 ? sizeof(chunk) : 0));
		}
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		r = 0;
		buf_deinit(&b);
	});
}

TEST(read_and_write_fd)
{
	struct buf in;
	struct buf out;
	int fds[2];

	ASSERT_OK(io_pipe(O_NONBLOCK, fds));
	buf_init(&in, 8);
	buf_init(&out, 100);
	ASSERT_ERR(buf_read_fd(&in, fds[0], 8), EAGAIN);
	ASSERT_OK(buf_append(&out, "0123456789", 10));
	ASSERT_EQ(buf_write_fd(&out, fds[1]), 10);
	ASSERT_EQ(buf_len(&out), 0);
	ASSERT_EQ(buf_read_fd(&in, fds[0], 100), 8);
	ASSERT_ERR(buf_read_fd(&in, fds[0], 100), ENOBUFS);
	buf_consume(&in, 8);
	ASSERT_EQ(buf_read_fd(&in, fds[0], 100), 2);
	close(fds[1]);
	ASSERT_EQ(buf_read_fd(&in, fds[0], 100), 0);
	close(fds[0]);
	buf_deinit(&in);
	buf_deinit(&out);
}
