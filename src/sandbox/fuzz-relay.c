/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the relay between a guest and clients that say anything.
 *
 * The input is a list of chunks: one byte says who speaks (guest, owner, another client, or a new
 * client appears or one leaves), one how many bytes, then the bytes. Half of the inputs begin with
 * a guest that is ready. Whatever is said, the relay keeps its books: streams, queues and
 * descriptors are gone at the end.
 */
#include <fcntl.h>

#include "base/io.h"

#include "sandbox/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEERS = 3, GUEST = 0, ROUNDS = 4 };

struct world {
	struct loop loop;
	struct relay relay;
	int fds[PEERS]; /* far ends */
	int channel;
	bool finished;
};

static void ev_hello(struct relay *r, const struct msg_hello *m)
{
	(void)r;
	(void)m;
}

static void ev_ready(struct relay *r, const struct msg_ready *m)
{
	struct msg_sb_ready ready = {.engine = "kvm", .kernel_release = ""};
	struct buf b;

	(void)m;
	buf_init(&b, 1000);
	if (msg_put_sb_ready(&b, &ready) < 0 || relay_announce(r, &b) < 0)
		abort();
	buf_deinit(&b);
}

static void ev_failure(struct relay *r, const struct msg_failure *m)
{
	(void)r;
	if (strlen(m->what) > LIMIT_FRAME_PAYLOAD)
		abort();
}

static void ev_u32(struct relay *r, uint32_t v)
{
	(void)r;
	(void)v;
}

static void ev_broken(struct relay *r, const struct msb_err *err)
{
	if (r->channel_fd >= 0 || !err->msg[0])
		abort();
}

static void ev_none(struct relay *r)
{
	(void)r;
}

static void ev_finished(struct relay *r)
{
	container_of(r, struct world, relay)->finished = true;
}

static const struct relay_events events = {
	.hello = ev_hello,
	.ready = ev_ready,
	.boot_failed = ev_failure,
	.bye = ev_u32,
	.broken = ev_broken,
	.channel_end = ev_none,
	.stop = ev_u32,
	.owner_gone = ev_none,
	.finished = ev_finished,
};

static void check(int r)
{
	if (r < 0)
		abort();
}

static void turn(struct world *w)
{
	char sink[65536];

	for (unsigned int i = 0; i < ROUNDS; i++)
		check(loop_once(&w->loop, 0));
	for (unsigned int i = 0; i < PEERS; i++) {
		while (w->fds[i] >= 0 && read(w->fds[i], sink, sizeof(sink)) > 0)
			;
	}
}

static void say(struct world *w, unsigned int who, const void *p, size_t n)
{
	/* Nobody may be listening any more. */
	if (w->fds[who] >= 0 && send(w->fds[who], p, n, MSG_NOSIGNAL) < 0)
		w->fds[who] = fd_close(w->fds[who]);
}

static void join(struct world *w, unsigned int who)
{
	int fds[2];

	w->fds[who] = fd_close(w->fds[who]);
	check(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	if (relay_add_client(&w->relay, fds[0], who == 1) < 0)
		abort();
	w->fds[who] = fds[1];
}

static void introduce(struct world *w)
{
	struct msg_hello hello = {
		.version = PROTO_VERSION, .agent_version = "", .kernel_release = ""};
	struct msg_ready ready = {.cpus = 1};
	struct buf b;

	buf_init(&b, 1000);
	check(msg_put_hello(&b, &hello));
	check(msg_put_ready(&b, &ready));
	say(w, GUEST, buf_data(&b), buf_len(&b));
	buf_deinit(&b);
	turn(w);
}

static void play(struct world *w, const uint8_t *data, size_t size)
{
	while (size >= 2) {
		unsigned int who = data[0] % PEERS;
		size_t n = MIN((size_t)data[1], size - 2);

		if (data[0] & 0x80 && who != GUEST)
			join(w, who);
		else if (data[0] & 0x40 && who != GUEST)
			w->fds[who] = fd_close(w->fds[who]);
		else
			say(w, who, data + 2, n);
		data += 2 + n;
		size -= 2 + n;
		turn(w);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = calloc(1, sizeof(*w));
	struct buf nothing;
	int fds[2];

	if (!w || size < 1)
		goto out;
	check(loop_init(&w->loop));
	relay_init(&w->relay, &w->loop, &events);
	check(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	w->channel = fds[0];
	w->fds[GUEST] = fds[1];
	buf_init(&nothing, 16);
	check(relay_attach(&w->relay, w->channel, &nothing));
	w->fds[1] = w->fds[2] = -EBADF;
	join(w, 1);
	join(w, 2);
	if (data[0] & 1)
		introduce(w);
	play(w, data + 1, size - 1);

	relay_detach(&w->relay);
	relay_finish(&w->relay, &nothing);
	turn(w);
	if (!w->finished || w->relay.n_clients || w->relay.queued)
		abort();
	for (unsigned int i = 0; i < w->relay.high_water; i++) {
		if (w->relay.streams[i].client)
			abort();
	}
	relay_deinit(&w->relay);
	for (unsigned int i = 0; i < PEERS; i++)
		fd_close(w->fds[i]);
	close(w->channel);
	loop_deinit(&w->loop);
out:
	free(w);
	return 0;
}
