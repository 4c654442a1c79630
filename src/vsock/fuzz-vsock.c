/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest and an unsteady host: packets of any content, connections that come, fail, end
 * and stop reading at any time.
 *
 * What must hold: no packet is larger than its room, nor than what the guest said it has; the table
 * is bounded and empty at the end; what the mux says are packets of the protocol.
 */
#include <endian.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vsock/mux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

enum { STEPS = 256, HOSTS = 8, ROOM = 4096 };

struct input {
	const uint8_t *at;
	size_t left;
};

struct target {
	struct loop loop;
	struct vsock_mux *mux;
	uint32_t tokens[VSOCK_DIALS_MAX];
	unsigned int n_tokens;
	int hosts[HOSTS];
	bool raw; /* there may be connections of any port */
	unsigned int next_host;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && in->left > 0; i++, in->left--)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

static void on_ready(void *ctx)
{
	(void)ctx;
}

static void on_dial(void *ctx, uint32_t route, uint32_t token)
{
	struct target *t = ctx;

	REQUIRE(route < 2 && t->n_tokens < VSOCK_DIALS_MAX);
	t->tokens[t->n_tokens++] = token;
}

static const struct vsock_mux_ops ops = {.ready = on_ready, .dial = on_dial};

/* Mostly a packet that means something; sometimes all of it is the input's. */
static void guest(struct target *t, struct input *in)
{
	static uint8_t payload[VSOCK_BUFFER + 64];
	uint8_t how = (uint8_t)take(in, 1);
	size_t len = take(in, 2);
	struct virtio_vsock_hdr h = {.src_cid = htole64(VSOCK_CID_GUEST),
		.dst_cid = htole64(VSOCK_CID_HOST),
		.src_port = htole32((uint32_t)take(in, 1) % 4),
		.dst_port = htole32(1 + (how >> 4) % 3),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(how & 15),
		.flags = htole32((uint32_t)take(in, 1)),
		.buf_alloc = htole32((uint32_t)take(in, 4)),
		.fwd_cnt = htole32((uint32_t)take(in, 4))};
	struct iovec iov[2];

	if (!vsock_mux_accepts(t->mux))
		return;
	len = MIN(len, sizeof(payload));
	h.len = htole32((uint32_t)len);
	if (how == 0xff) {
		t->raw = true;
		for (size_t i = 0; i < sizeof(h); i++)
			((uint8_t *)&h)[i] = (uint8_t)take(in, 1);
	}
	iov[0] = (struct iovec){payload, len / 3};
	iov[1] = (struct iovec){payload + len / 3, len - len / 3};
	vsock_mux_take(t->mux, &h, iov, 2, len);
}

static void answer(struct target *t, struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);
	uint32_t token = (uint32_t)take(in, 2);
	int fds[2];
	int fd = -ECONNREFUSED;

	/* An answer that was asked for, but for one of sixteen. */
	if (how < 0xf0 && t->n_tokens == 0)
		return;
	if (how < 0xf0)
		token = t->tokens[--t->n_tokens];
	if (how % 4 == 1)
		fd = -EAGAIN;
	if (how % 4 >= 2) {
		int *host = &t->hosts[t->next_host++ % HOSTS];

		REQUIRE(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds) == 0);
		fd_close(*host);
		*host = fds[1];
		fd = fds[0];
	}
	if (how >= 0xf0) {
		/* Also by accident it would be one that is awaited. */
		for (unsigned int i = 0; i < t->n_tokens; i++) {
			if (t->tokens[i] == token)
				t->tokens[i] = t->tokens[--t->n_tokens];
		}
	}
	vsock_mux_dialled(t->mux, token, fd);
}

static void host(struct target *t, struct input *in)
{
	static uint8_t b[8192];
	uint8_t how = (uint8_t)take(in, 1);
	int *fd = &t->hosts[how % HOSTS];
	size_t n = take(in, 2) % sizeof(b);

	if (*fd < 0)
		return;
	switch (how / HOSTS % 4) {
	case 0:
		(void)!send(*fd, b, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		(void)!recv(*fd, b, n, MSG_DONTWAIT);
		break;
	case 2:
		(void)shutdown(*fd, (int)(n % 3));
		break;
	default:
		*fd = fd_close(*fd);
		break;
	}
}

static bool packet(struct target *t, struct input *in)
{
	static uint8_t room[ROOM];
	struct iovec iov = {room, 1 + take(in, 1) * 15};
	struct virtio_vsock_hdr h;
	ssize_t len = vsock_mux_next(t->mux, &h, &iov, 1);

	if (len < 0)
		return false;
	REQUIRE((size_t)len <= iov.iov_len && le32toh(h.len) == (uint32_t)len);
	REQUIRE(le64toh(h.dst_cid) == VSOCK_CID_GUEST && le64toh(h.src_cid) == VSOCK_CID_HOST);
	REQUIRE(le16toh(h.op) >= VIRTIO_VSOCK_OP_RESPONSE &&
		le16toh(h.op) <= VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	REQUIRE((len > 0) == (le16toh(h.op) == VIRTIO_VSOCK_OP_RW));
	return true;
}

/* The guest forgets everything, every question is answered: nothing is left. */
static void finish(struct target *t)
{
	struct input none = {NULL, 0};

	for (uint32_t from = 0; from < 4; from++) {
		for (uint32_t port = 1; port <= 2; port++) {
			struct virtio_vsock_hdr h = {.src_cid = htole64(VSOCK_CID_GUEST),
				.dst_cid = htole64(VSOCK_CID_HOST),
				.src_port = htole32(from),
				.dst_port = htole32(port),
				.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
				.op = htole16(VIRTIO_VSOCK_OP_RST)};

			vsock_mux_take(t->mux, &h, NULL, 0, 0);
		}
	}
	while (!t->raw && vsock_mux_held(t->mux) > 0) {
		while (t->n_tokens > 0)
			vsock_mux_dialled(t->mux, t->tokens[--t->n_tokens], -ECONNREFUSED);
		while (packet(t, &none))
			;
		/* Those that are to be dialled again wait for a moment. */
		REQUIRE(loop_once(&t->loop, clock_mono_ns() + 2 * NSEC_PER_MSEC) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t ports[] = {1, 2};
	struct input in = {data, size};
	static struct target t;

	t = (struct target){.n_tokens = 0};
	for (unsigned int i = 0; i < HOSTS; i++)
		t.hosts[i] = -EBADF;
	REQUIRE(loop_init(&t.loop) == 0);
	t.mux = vsock_mux_new(&t.loop, ports, ARRAY_SIZE(ports), &ops, &t);
	REQUIRE(t.mux != NULL);
	for (unsigned int i = 0; i < STEPS && in.left > 0; i++) {
		switch (take(&in, 1) % 8) {
		case 0:
			answer(&t, &in);
			break;
		case 1:
			host(&t, &in);
			break;
		case 2:
			(void)packet(&t, &in);
			break;
		case 3:
			REQUIRE(loop_once(&t.loop, 0) == 0);
			break;
		default:
			guest(&t, &in);
			break;
		}
		REQUIRE(vsock_mux_held(t.mux) <= 2 * VSOCK_STREAMS_MAX);
	}
	finish(&t);
	t.mux = vsock_mux_free(t.mux);
	loop_deinit(&t.loop);
	for (unsigned int i = 0; i < HOSTS; i++)
		fd_close(t.hosts[i]);
	return 0;
}
