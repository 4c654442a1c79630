/* SPDX-License-Identifier: Apache-2.0 */
/* The socket device over vhost-user with a hostile QEMU and a hostile guest, and a service that
 * echoes. */
#include <endian.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/testvhost.h"
#include "vsock/vhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

enum { STEPS = 128, RX = 0, TX = 1 };

struct target {
	struct loop loop;
	struct vsock_mux *mux;
	struct vsock_vhost v;
	struct testvhost t;
	int host; /* of the connection made last */
	uint32_t token;
	bool asked;
};

static void on_ready(void *ctx)
{
	struct target *t = ctx;

	vsock_vhost_ready(&t->v);
}

static void on_dial(void *ctx, uint32_t route, uint32_t token)
{
	struct target *t = ctx;

	REQUIRE(route == 0);
	t->token = token;
	t->asked = true;
}

static const struct vsock_mux_ops ops = {.ready = on_ready, .dial = on_dial};

/* The header of a packet that means something, where testvhost_offer() may find it. */
static void write_packet(struct target *t, struct testvhost_input *in)
{
	struct virtio_vsock_hdr h = {.src_cid = htole64(VSOCK_CID_GUEST),
		.dst_cid = htole64(VSOCK_CID_HOST),
		.src_port = htole32(7),
		.dst_port = htole32(1),
		.len = htole32((uint32_t)testvhost_take(in, 1)),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16((uint16_t)(testvhost_take(in, 1) % 9)),
		.flags = htole32((uint32_t)testvhost_take(in, 1)),
		.buf_alloc = htole32((uint32_t)testvhost_take(in, 2)),
		.fwd_cnt = htole32((uint32_t)testvhost_take(in, 2))};

	memcpy(t->t.mem + 0x4000, &h, sizeof(h));
}

static void host(struct target *t, struct testvhost_input *in)
{
	static uint8_t b[4096];
	size_t n = testvhost_take(in, 2) % sizeof(b);
	int fds[2];

	if (t->asked) {
		t->asked = false;
		REQUIRE(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds) == 0);
		fd_close(t->host);
		t->host = fds[1];
		vsock_mux_dialled(t->mux, t->token, n % 8 ? fds[0] : -ECONNREFUSED);
		if (n % 8 == 0)
			fd_close(fds[0]);
	} else if (t->host >= 0 && n % 8 == 0) {
		t->host = fd_close(t->host);
	} else if (t->host >= 0) {
		(void)!recv(t->host, b, sizeof(b), MSG_DONTWAIT);
		(void)!send(t->host, b, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static void step(struct target *t, struct testvhost_input *in)
{
	switch (testvhost_take(in, 1) % 7) {
	case 0:
		testvhost_message(&t->t, in);
		break;
	case 1:
		testvhost_fill(&t->t, in);
		break;
	case 2:
		testvhost_offer(&t->t, TX, sizeof(struct virtio_vsock_hdr), in);
		break;
	case 3:
		testvhost_room(&t->t, RX, in);
		break;
	case 4:
		write_packet(t, in);
		break;
	case 5:
		host(t, in);
		break;
	default:
		(void)vsock_vhost_run(&t->v);
		REQUIRE(loop_once(&t->loop, 0) == 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t ports[] = {1};
	struct testvhost_input in = {data, size};
	static struct target t;
	int fds[2];

	t = (struct target){.host = -EBADF};
	REQUIRE(loop_init(&t.loop) == 0);
	REQUIRE(io_socketpair(SOCK_STREAM, fds) == 0);
	t.mux = vsock_mux_new(&t.loop, ports, ARRAY_SIZE(ports), &ops, &t);
	REQUIRE(t.mux != NULL && vsock_vhost_init(&t.v, &t.loop, fds[0], t.mux) == 0);
	testvhost_init(&t.t, &t.v.user);
	for (unsigned int i = 0; i < STEPS && in.left > 0; i++)
		step(&t, &in);
	vsock_vhost_deinit(&t.v);
	t.mux = vsock_mux_free(t.mux);
	testvhost_deinit(&t.t);
	loop_deinit(&t.loop);
	fd_close(t.host);
	fd_close(fds[0]);
	fd_close(fds[1]);
	return 0;
}
