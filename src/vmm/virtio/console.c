/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console: see console.h.
 *
 * The driver announces itself on the control queue and each port is set up in a short dialogue:
 *
 *   driver                     device
 *   DEVICE_READY               PORT_ADD 0, PORT_ADD 1
 *   PORT_READY 0               CONSOLE_PORT 0
 *   PORT_READY 1               PORT_NAME 1 "msb.channel", PORT_OPEN 1
 *   PORT_OPEN 1 (1 or 0)       the agent opened or closed the port
 *
 * What the device still has to say is a set of bits, sent in their order: a driver that repeats
 * itself makes it say things again, never more of them at a time. Bytes for the guest stay in the
 * socket until the port is open, because a driver throws away what arrives before.
 *
 * Channel data moves between the socket and guest memory without a copy in between. Several buffers
 * go into one sendmsg() or recvmsg(); those that the socket did not take or fill are put back to
 * the queue, so nothing of a driver's buffer is held outside a run.
 *
 * #syscalls(vmm:loop): writev sendmsg recvmsg epoll_ctl
 */
#include "vmm/virtio/console.h"

#include <linux/virtio_ids.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/io.h"

enum {
	Q_LOG_RX,
	Q_LOG_TX,
	Q_CTRL_RX, /* device to driver */
	Q_CTRL_TX, /* driver to device */
	Q_CHANNEL_RX,
	Q_CHANNEL_TX,
	N_QUEUES,
};

enum {
	PORT_LOG,
	PORT_CHANNEL,
	QUEUE_SIZE = 64, /* of the largest */
	CHAIN_BUDGET = 64, /* control and log chains per run */
	ROUNDS = 4, /* channel system calls per direction and run */
	BATCH_MAX = 32, /* chains per system call */
	BATCH_FIRST = 4,
	BATCH_IOV = QUEUE_SIZE + BATCH_MAX,
};

/* Control messages, in the order in which they are sent. */
static const struct {
	uint16_t id;
	uint16_t event;
} messages[] = {
	{PORT_LOG, VIRTIO_CONSOLE_PORT_ADD},
	{PORT_CHANNEL, VIRTIO_CONSOLE_PORT_ADD},
	{PORT_LOG, VIRTIO_CONSOLE_CONSOLE_PORT},
	{PORT_CHANNEL, VIRTIO_CONSOLE_PORT_NAME},
	{PORT_CHANNEL, VIRTIO_CONSOLE_PORT_OPEN},
};
enum { SAY_ADD_LOG, SAY_ADD_CHANNEL, SAY_CONSOLE, SAY_NAME, SAY_OPEN, N_MESSAGES };
_Static_assert(ARRAY_SIZE(messages) == N_MESSAGES, "one bit per message");

/* Several chains with one array of buffers. */
struct batch {
	struct iovec iov[BATCH_IOV];
	struct virtq_chain chains[BATCH_MAX];
	unsigned int n_chains;
	size_t n_iov;
	size_t bytes;
};

static struct virtio_console *to_console(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

static void say(struct virtio_console *c, unsigned int message)
{
	c->pending |= 1u << message;
}

static void on_control(struct virtio_console *c, const struct virtio_console_control *m)
	VMM_REQUIRES(c->dev.lock);

static void on_control(struct virtio_console *c, const struct virtio_console_control *m)
{
	if (m->event == VIRTIO_CONSOLE_DEVICE_READY) {
		if (m->value == 1) {
			say(c, SAY_ADD_LOG);
			say(c, SAY_ADD_CHANNEL);
		}
		return;
	}
	if (m->id >= CONSOLE_PORTS) {
		virtio_dev_malformed(&c->dev, "control message for a port that is not there");
		return;
	}
	switch (m->event) {
	case VIRTIO_CONSOLE_PORT_READY:
		if (m->value != 1)
			break;
		if (m->id == PORT_LOG) {
			say(c, SAY_CONSOLE);
		} else {
			c->guest_ready = true;
			say(c, SAY_NAME);
			say(c, SAY_OPEN);
		}
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (m->id == PORT_CHANNEL)
			c->guest_open = m->value == 1;
		break;
	default:
		virtio_dev_malformed(&c->dev, "unknown control message");
		break;
	}
}

/* Return: budget used up. */
static bool control_tx(struct virtio_console *c) VMM_REQUIRES(c->dev.lock);

static bool control_tx(struct virtio_console *c)
{
	struct virtq *vq = &c->dev.queues[Q_CTRL_TX];
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain chain;

	for (unsigned int i = 0; i < CHAIN_BUDGET; i++) {
		struct virtio_console_control m;

		if (virtq_next(vq, iov, QUEUE_SIZE, &chain) != 0)
			return false;
		if (chain_read(&chain, 0, &m, sizeof(m)))
			on_control(c, &m);
		else
			virtio_dev_malformed(&c->dev, "short control message");
		virtq_push(vq, &chain, 0);
		c->dev.stats.requests++;
	}
	return true;
}

static void control_rx(struct virtio_console *c) VMM_REQUIRES(c->dev.lock);

static void control_rx(struct virtio_console *c)
{
	static const char name[] = VIRTIO_CONSOLE_CHANNEL_NAME;
	struct virtq *vq = &c->dev.queues[Q_CTRL_RX];
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain chain;

	while (c->pending) {
		unsigned int i = (unsigned int)__builtin_ctz(c->pending);
		struct virtio_console_control m = {
			.id = messages[i].id, .event = messages[i].event};
		size_t n = sizeof(m);

		if (virtq_next(vq, iov, QUEUE_SIZE, &chain) != 0)
			return;
		m.value = i != SAY_OPEN || !c->hung_up;
		if (i == SAY_NAME)
			n += sizeof(name) - 1;
		/* Without its NUL, as the length says where the name ends. */
		if (!chain_write(&chain, 0, &m, sizeof(m)) ||
			(i == SAY_NAME && !chain_write(&chain, sizeof(m), name, n - sizeof(m)))) {
			virtio_dev_malformed(&c->dev, "buffer too small for a control message");
			n = 0;
		}
		virtq_push(vq, &chain, (uint32_t)n);
		c->pending &= ~(1u << i);
		c->dev.stats.requests++;
	}
}

/* Return: budget used up. */
static bool log_tx(struct virtio_console *c) VMM_REQUIRES(c->dev.lock);

static bool log_tx(struct virtio_console *c)
{
	struct virtq *vq = &c->dev.queues[Q_LOG_TX];
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain chain;

	for (unsigned int i = 0; i < CHAIN_BUDGET; i++) {
		ssize_t n = 0;

		if (virtq_next(vq, iov, QUEUE_SIZE, &chain) != 0)
			return false;
		if (c->host.log_fd >= 0 && chain.n_out > 0)
			n = writev(c->host.log_fd, chain.iov, chain.n_out);
		c->dev.stats.bytes_out += chain.out_len;
		c->dev.stats.dropped += chain.out_len - (n > 0 ? (size_t)n : 0);
		virtq_push(vq, &chain, 0);
		c->dev.stats.requests++;
	}
	return true;
}

/* Takes up to @max chains off the queue; asks for a kick when there is none. */
static void batch_fill(struct batch *b, struct virtq *vq, unsigned int max, bool in)
{
	b->n_chains = 0;
	b->n_iov = 0;
	b->bytes = 0;
	while (b->n_chains < max) {
		struct virtq_chain *chain = &b->chains[b->n_chains];
		struct iovec *iov = b->iov + b->n_iov;
		size_t room = BATCH_IOV - b->n_iov;
		int r;

		if (b->n_chains == 0)
			r = virtq_next(vq, iov, room, chain);
		else
			r = virtq_pop(vq, iov, room, chain);
		if (r != 0)
			return;
		if (in ? chain->n_out > 0 : chain->n_in > 0) {
			virtq_unpop(vq);
			(void)virtq_break(vq, "channel buffer of the wrong direction");
			return;
		}
		b->n_chains++;
		b->n_iov += in ? chain->n_in : chain->n_out;
		b->bytes += in ? chain->in_len : chain->out_len;
	}
}

/* Gives back the chains from @first on, newest first. */
static void batch_return(struct batch *b, struct virtq *vq, unsigned int first)
{
	while (b->n_chains > first) {
		b->n_chains--;
		virtq_unpop(vq);
	}
}

static void hang_up(struct virtio_console *c) VMM_REQUIRES(c->dev.lock);

static void hang_up(struct virtio_console *c)
{
	if (!c->hung_up && c->guest_ready)
		say(c, SAY_OPEN);
	c->hung_up = true;
}

/* Completes what the socket took: @n bytes, after c->tx_done bytes of the first chain earlier. */
static void channel_sent(struct virtio_console *c, struct virtq *vq, struct batch *b, size_t n)
	VMM_REQUIRES(c->dev.lock);

static void channel_sent(struct virtio_console *c, struct virtq *vq, struct batch *b, size_t n)
{
	unsigned int i;

	c->dev.stats.bytes_out += n;
	n += c->tx_done;
	c->tx_done = 0;
	for (i = 0; i < b->n_chains && n >= b->chains[i].out_len; i++) {
		n -= b->chains[i].out_len;
		virtq_push(vq, &b->chains[i], 0);
		c->dev.stats.requests++;
	}
	if (i == b->n_chains)
		return;
	c->tx_done = (uint32_t)n;
	c->tx_blocked = true;
	batch_return(b, vq, i);
}

/* Sends one batch. Return: try again. */
static bool channel_tx_round(struct virtio_console *c, struct batch *b) VMM_REQUIRES(c->dev.lock);

static bool channel_tx_round(struct virtio_console *c, struct batch *b)
{
	struct virtq *vq = &c->dev.queues[Q_CHANNEL_TX];
	struct msghdr msg = {.msg_iov = b->iov};
	ssize_t n;

	batch_fill(b, vq, BATCH_MAX, false);
	if (b->n_chains == 0)
		return false;
	if (c->tx_done > b->chains[0].out_len) {
		batch_return(b, vq, 0);
		(void)virtq_break(vq, "buffer shrank while it was being sent");
		return false;
	}
	msg.msg_iovlen = (typeof(msg.msg_iovlen))iov_window(
		&msg.msg_iov, b->n_iov, c->tx_done, b->bytes - c->tx_done);
	if (c->hung_up || msg.msg_iovlen == 0)
		n = (ssize_t)(b->bytes - c->tx_done);
	else
		n = sendmsg(c->host.channel_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == EAGAIN) {
			c->tx_blocked = true;
		} else if (errno != EINTR) {
			hang_up(c);
		}
		batch_return(b, vq, 0);
		return !c->tx_blocked;
	}
	if (c->hung_up)
		c->dev.stats.dropped += (size_t)n;
	channel_sent(c, vq, b, (size_t)n);
	return !c->tx_blocked;
}

/* Return: more to send right away. */
static bool channel_tx(struct virtio_console *c, struct batch *b) VMM_REQUIRES(c->dev.lock);

static bool channel_tx(struct virtio_console *c, struct batch *b)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (c->tx_blocked || !channel_tx_round(c, b))
			return false;
		/* Others wait for these buffers: show them before the next system call. */
		virtio_dev_flush(&c->dev);
	}
	return true;
}

/* Completes @n received bytes. */
static void channel_received(struct virtio_console *c, struct virtq *vq, struct batch *b, size_t n)
	VMM_REQUIRES(c->dev.lock);

static void channel_received(struct virtio_console *c, struct virtq *vq, struct batch *b, size_t n)
{
	unsigned int i;

	c->dev.stats.bytes_in += n;
	for (i = 0; i < b->n_chains && n > 0; i++) {
		uint32_t part = (uint32_t)MIN(n, (size_t)b->chains[i].in_len);

		virtq_push(vq, &b->chains[i], part);
		n -= part;
		c->dev.stats.requests++;
	}
	batch_return(b, vq, i);
}

/* Return: more to receive right away. */
static bool channel_rx(struct virtio_console *c, struct batch *b) VMM_REQUIRES(c->dev.lock);

static bool channel_rx(struct virtio_console *c, struct batch *b)
{
	struct virtq *vq = &c->dev.queues[Q_CHANNEL_RX];
	unsigned int max = BATCH_FIRST;

	for (unsigned int i = 0; i < ROUNDS; i++, max = BATCH_MAX) {
		struct msghdr msg = {.msg_iov = b->iov};
		ssize_t n;

		if (!c->guest_open || c->hung_up || !c->rx_ready)
			return false;
		batch_fill(b, vq, max, true);
		if (b->n_chains == 0)
			return false;
		msg.msg_iovlen = (typeof(msg.msg_iovlen))b->n_iov;
		n = recvmsg(c->host.channel_fd, &msg, MSG_DONTWAIT);
		if (n <= 0) {
			batch_return(b, vq, 0);
			if (n == 0 || (errno != EAGAIN && errno != EINTR))
				hang_up(c);
			c->rx_ready = false;
			return false;
		}
		/* Less than the room: the socket is empty, and epoll tells when it is not. */
		c->rx_ready = (size_t)n == b->bytes;
		channel_received(c, vq, b, (size_t)n);
		if (!c->rx_ready)
			return false;
		virtio_dev_flush(&c->dev);
	}
	return true;
}

static bool console_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool console_run(struct virtio_dev *dev)
{
	struct virtio_console *c = to_console(dev);
	struct batch b;
	bool more;

	vmm_lock_held(&c->dev.lock);
	for (unsigned int i = 0; i < N_QUEUES; i++)
		virtq_notify_off(&dev->queues[i]);
	more = control_tx(c);
	more |= log_tx(c);
	more |= channel_tx(c, &b);
	more |= channel_rx(c, &b);
	control_rx(c);
	return more;
}

static void console_watch(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void console_watch(struct virtio_dev *dev)
{
	struct virtio_console *c = to_console(dev);
	struct virtq *rx = &dev->queues[Q_CHANNEL_RX];
	uint32_t events = 0;

	vmm_lock_held(&c->dev.lock);
	if (c->guest_open != c->told_open) {
		c->told_open = c->guest_open;
		if (c->host.on_guest_open)
			c->host.on_guest_open(c, c->told_open, c->host.arg);
	}
	if (c->hung_up) {
		loop_fd_del(&c->channel_src);
		if (!c->told_hangup && c->host.on_hangup)
			c->host.on_hangup(c, c->host.arg);
		c->told_hangup = true;
		return;
	}
	/* Bytes are only of interest with buffers for them; without, the driver's next kick is. */
	if (c->guest_open && (virtq_has_work(rx) || virtq_notify_on(rx)))
		events |= EPOLLIN;
	/* After a reset there is nothing left to send. */
	c->tx_blocked &= dev->queues[Q_CHANNEL_TX].live;
	if (c->tx_blocked)
		events |= EPOLLOUT;
	/* Only memory can be short, and then the machine is beyond help: give the channel up. */
	if (loop_fd_set(&c->channel_src, events) < 0)
		hang_up(c);
}

static void on_channel(struct loop_fd *src, uint32_t events)
{
	struct virtio_console *c = container_of(src, struct virtio_console, channel_src);

	if (events & EPOLLOUT)
		c->tx_blocked = false;
	if (events & EPOLLIN) {
		c->rx_ready = true;
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		vmm_lock(&c->dev.lock);
		hang_up(c);
		vmm_unlock(&c->dev.lock);
	}
	virtio_dev_run(&c->dev);
}

static void console_reset(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void console_reset(struct virtio_dev *dev)
{
	struct virtio_console *c = to_console(dev);

	c->guest_ready = false;
	c->guest_open = false;
	c->tx_done = 0;
	c->pending = 0;
}

static const struct virtio_ops console_ops = {
	.device_id = VIRTIO_ID_CONSOLE,
	.name = "virtio-console",
	.features = UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT,
	.n_queues = N_QUEUES,
	/* Of pages and writes of up to 32 KiB; what the log receives is never used. */
	.queue_sizes =
		{
			[Q_LOG_RX] = 2,
			[Q_LOG_TX] = 8,
			[Q_CTRL_RX] = 8,
			[Q_CTRL_TX] = 8,
			[Q_CHANNEL_RX] = 32,
			[Q_CHANNEL_TX] = QUEUE_SIZE,
		},
	.run = console_run,
	.watch = console_watch,
	.reset = console_reset,
};

int virtio_console_init(
	struct virtio_console *c, const struct virtio_env *env, const struct console_host *host)
{
	int r;

	*c = (struct virtio_console){
		.host = *host,
		.space = {.max_nr_ports = CONSOLE_PORTS},
	};
	if (host->log_fd >= 0) {
		r = io_nonblock(host->log_fd, true);
		if (r < 0)
			return r;
	}
	r = virtio_dev_init(&c->dev, &console_ops, env, 0, &c->space, sizeof(c->space));
	if (r < 0)
		return r;
	r = loop_fd_add(env->loop, &c->channel_src, host->channel_fd, 0, on_channel);
	if (r < 0)
		virtio_dev_deinit(&c->dev);
	return r;
}

void virtio_console_deinit(struct virtio_console *c)
{
	loop_fd_del(&c->channel_src);
	virtio_dev_deinit(&c->dev);
}
