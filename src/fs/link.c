/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE messages over a socket: see link.h.
 *
 * #syscalls(fs:serve): recvmsg sendmsg
 */
#include "fs/link.h"

#include <linux/fuse.h>
#include <sys/socket.h>

#include "proto/fslink.h"

_Static_assert((int)FSLINK_DATA_MAX == (int)FS_DATA_MAX &&
		       (int)FSLINK_REPLY_MIN == (int)FS_REPLY_HEAD &&
		       (int)FSLINK_MESSAGE_MAX >= (int)FS_REQUEST_MAX,
	"what the server sends fits");

/* One more byte than the largest message tells it from a longer one. */
static uint8_t in_buf[sizeof(struct fslink_head) + FSLINK_MESSAGE_MAX + 1]
	__attribute__((aligned(16)));
static uint8_t out_buf[FS_REPLY_MAX] __attribute__((aligned(16)));

void fs_link_prepare(int fd)
{
	int size = FSLINK_SOCKET_BUFFER;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Splits the @n bytes at @request into what the server wants in one piece and the payload. */
static void split(const uint8_t *request, size_t n, struct fs_request *rq, struct iovec *data)
{
	struct fuse_in_header h;

	*rq = (struct fs_request){.head = request, .head_len = n, .data = data, .n_data = 1};
	if (n <= FS_HEAD_WRITE)
		return;
	memcpy(&h, request, sizeof(h));
	if (h.opcode != FUSE_WRITE)
		return;
	rq->head_len = FS_HEAD_WRITE;
	rq->data_len = n - FS_HEAD_WRITE;
	*data = (struct iovec){(void *)(uintptr_t)(request + FS_HEAD_WRITE), rq->data_len};
}

/* One message; the length of the reply, 0: none. */
static size_t answer(struct fs *fs, size_t n)
{
	struct iovec in_data = {0};
	struct iovec out_data = {out_buf + FS_REPLY_HEAD, FS_DATA_MAX};
	struct fs_reply rp = {.buf = out_buf, .data = &out_data, .n_data = 1};
	struct fs_request rq;
	struct fslink_head head;
	size_t len;

	if (n < sizeof(head))
		return 0;
	memcpy(&head, in_buf, sizeof(head));
	rp.room = MIN((size_t)head.room, sizeof(out_buf));
	split(in_buf + sizeof(head), n - sizeof(head), &rq, &in_data);
	len = fs_handle(fs, &rq, &rp);
	if (len == 0 && rp.room >= FS_REPLY_HEAD) {
		/* A request without a head; its number is unknown, too. */
		struct fuse_out_header out = {.len = sizeof(out), .error = -EIO};

		memcpy(out_buf, &out, sizeof(out));
		len = sizeof(out);
	}
	return len;
}

int fs_link_run(struct fs *fs, int fd)
{
	for (;;) {
		struct iovec in = {in_buf, sizeof(in_buf)};
		struct iovec out = {.iov_base = out_buf};
		struct msghdr m = {.msg_iov = &in, .msg_iovlen = 1};
		ssize_t n;

		do {
			n = recvmsg(fd, &m, 0);
		} while (n < 0 && errno == EINTR);
		/* A peer that was killed with something unread. */
		if (n <= 0)
			return n < 0 && errno != ECONNRESET ? -errno : 0;
		out.iov_len = answer(fs, (size_t)n);
		if (out.iov_len == 0)
			continue;
		m = (struct msghdr){.msg_iov = &out, .msg_iovlen = 1};
		do {
			n = sendmsg(fd, &m, MSG_NOSIGNAL);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
	}
}
