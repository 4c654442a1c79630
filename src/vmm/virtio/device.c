/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common part of virtio devices: see device.h for threads and trust.
 *
 * Status machine (virtio 1.2, 3.1.1). Bits are only added, a write that would clear one is ignored;
 * zero resets from every state.
 *
 *   state        entered by                      legal driver writes
 *   reset        0                               ACKNOWLEDGE, DRIVER
 *   DRIVER       ACKNOWLEDGE and DRIVER          features, FEATURES_OK
 *   FEATURES_OK  if the features are acceptable  queue set-up, QueueReady, DRIVER_OK
 *   DRIVER_OK                                    QueueReady = 0; queues are processed
 *   NEEDS_RESET  device, on a broken queue       0 only; nothing is processed
 *   FAILED       driver                          0 only; nothing is processed
 *
 * Kicks and interrupts are eventfds:
 * #syscalls(vmm:loop): write
 * #syscalls(vmm:vcpu): write
 */
#include "vmm/virtio/device.h"

#include <sys/eventfd.h>

#include "base/log.h"

static const uint64_t common_features = UINT64_C(1) << VIRTIO_F_VERSION_1 |
					UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
					UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;

enum {
	STATUS_STOPPED = VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET,
	STATUS_DRIVER_MAY_SET = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
				VIRTIO_CONFIG_S_FAILED,
};

static void eventfd_signal(int fd)
{
	const uint64_t one = 1;
	ssize_t n;

	/* Fails only when the counter is full, and then the event is pending anyway. */
	do {
		n = write(fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

static void raise_irq(struct virtio_dev *dev, uint32_t bits) VMM_REQUIRES(dev->lock);

static void raise_irq(struct virtio_dev *dev, uint32_t bits)
{
	/* Before the interrupt can arrive: its handler reads the register. */
	__atomic_fetch_or(&dev->isr, bits, __ATOMIC_SEQ_CST);
	dev->stats.irqs++;
	eventfd_signal(dev->irq_fd);
}

uint32_t virtio_dev_isr(const struct virtio_dev *dev)
{
	return __atomic_load_n(&dev->isr, __ATOMIC_SEQ_CST);
}

void virtio_dev_isr_ack(struct virtio_dev *dev, uint32_t bits)
{
	__atomic_fetch_and(&dev->isr, ~bits, __ATOMIC_SEQ_CST);
}

void virtio_dev_kick(struct virtio_dev *dev)
{
	eventfd_signal(dev->kick_fd);
}

void virtio_dev_malformed(struct virtio_dev *dev, const char *what)
{
	dev->stats.malformed++;
	log_ratelimit(LOG_DEBUG, "%s: the driver broke a rule: %s", dev->ops->name, what);
}

uint8_t virtio_dev_status(const struct virtio_dev *dev)
{
	return dev->status;
}

static bool is_running(const struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool is_running(const struct virtio_dev *dev)
{
	return (dev->status & VIRTIO_CONFIG_S_DRIVER_OK) && !(dev->status & STATUS_STOPPED);
}

static void reset(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void reset(struct virtio_dev *dev)
{
	bool ran = dev->status & VIRTIO_CONFIG_S_DRIVER_OK;

	for (unsigned int i = 0; i < dev->ops->n_queues; i++)
		virtq_reset(&dev->queues[i]);
	dev->acked = 0;
	dev->status = 0;
	__atomic_store_n(&dev->isr, 0, __ATOMIC_SEQ_CST);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	if (!ran)
		return;
	dev->stats.resets++;
	/* The loop sources still follow the old state. */
	virtio_dev_kick(dev);
}

static void start(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void start(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->ops->n_queues; i++)
		dev->queues[i].live = dev->queues[i].setup.ready;
	/* Buffers may have been made available before. */
	virtio_dev_kick(dev);
}

void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status)
{
	uint8_t old = dev->status & STATUS_DRIVER_MAY_SET;
	uint8_t add;

	if (status == 0) {
		reset(dev);
		return;
	}
	status &= STATUS_DRIVER_MAY_SET;
	if (dev->status & STATUS_STOPPED)
		return;
	add = status & (uint8_t)~old;
	if (old & (uint8_t)~status ||
		((add & VIRTIO_CONFIG_S_DRIVER) && !(status & VIRTIO_CONFIG_S_ACKNOWLEDGE)) ||
		((add & VIRTIO_CONFIG_S_FEATURES_OK) && !(old & VIRTIO_CONFIG_S_DRIVER)) ||
		((add & VIRTIO_CONFIG_S_DRIVER_OK) && !(old & VIRTIO_CONFIG_S_FEATURES_OK))) {
		virtio_dev_malformed(dev, "illegal status change");
		return;
	}
	if ((add & VIRTIO_CONFIG_S_FEATURES_OK) &&
		((dev->acked & ~dev->features) ||
			!(dev->acked & UINT64_C(1) << VIRTIO_F_VERSION_1)))
		add &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	dev->status |= add;
	if ((add & VIRTIO_CONFIG_S_DRIVER_OK) && is_running(dev))
		start(dev);
}

void virtio_dev_ack_features(struct virtio_dev *dev, uint32_t word, uint32_t bits)
{
	const uint64_t low = UINT32_MAX;

	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER) ||
		(dev->status & (VIRTIO_CONFIG_S_FEATURES_OK | STATUS_STOPPED))) {
		virtio_dev_malformed(dev, "features written in the wrong state");
		return;
	}
	if (word == 0)
		dev->acked = (dev->acked & ~low) | bits;
	else if (word == 1)
		dev->acked = (dev->acked & low) | (uint64_t)bits << 32;
	else if (bits != 0)
		virtio_dev_malformed(dev, "features that do not exist");
}

struct virtq *virtio_dev_queue(struct virtio_dev *dev, uint32_t i)
{
	return i < dev->ops->n_queues ? &dev->queues[i] : NULL;
}

static bool queues_writable(const struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool queues_writable(const struct virtio_dev *dev)
{
	return (dev->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
	       !(dev->status & (VIRTIO_CONFIG_S_DRIVER_OK | STATUS_STOPPED));
}

struct virtq_setup *virtio_dev_queue_setup(struct virtio_dev *dev, uint32_t i)
{
	struct virtq *vq = virtio_dev_queue(dev, i);

	if (!vq || vq->setup.ready || !queues_writable(dev)) {
		virtio_dev_malformed(dev, "queue set-up written in the wrong state");
		return NULL;
	}
	return &vq->setup;
}

void virtio_dev_queue_ready(struct virtio_dev *dev, uint32_t i, bool ready)
{
	struct virtq *vq = virtio_dev_queue(dev, i);

	if (vq && !ready) {
		virtq_disable(vq);
		return;
	}
	if (!vq || vq->setup.ready || !queues_writable(dev)) {
		virtio_dev_malformed(dev, "queue enabled in the wrong state");
		return;
	}
	if (virtq_enable(vq, dev->acked & UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX,
		    dev->acked & UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC) < 0)
		virtio_dev_malformed(dev, "queue is not where a queue can be");
}

static bool config_access_ok(const struct virtio_dev *dev, uint32_t off, uint32_t len)
{
	return (len == 1 || len == 2 || len == 4) && off % len == 0 && off < dev->config_len &&
	       len <= dev->config_len - off;
}

void virtio_dev_config_read(struct virtio_dev *dev, uint32_t off, void *data, uint32_t len)
{
	if (config_access_ok(dev, off, len))
		memcpy(data, (const uint8_t *)dev->config + off, len);
	else
		memset(data, 0, len);
}

void virtio_dev_config_write(struct virtio_dev *dev, uint32_t off, const void *data, uint32_t len)
{
	if (config_access_ok(dev, off, len) && dev->ops->config_write)
		dev->ops->config_write(dev, off, data, len);
	else
		virtio_dev_malformed(dev, "write to read-only configuration");
}

void virtio_dev_config_changed(struct virtio_dev *dev)
{
	dev->config_gen++;
	if (is_running(dev))
		raise_irq(dev, VIRTIO_IRQ_CONFIG);
}

void virtio_dev_flush(struct virtio_dev *dev)
{
	bool wanted = false;

	for (unsigned int i = 0; i < dev->ops->n_queues; i++)
		wanted |= virtq_publish(&dev->queues[i]);
	if (wanted)
		raise_irq(dev, VIRTIO_IRQ_VRING);
}

/* A broken queue stops the whole device: its driver is not one to talk to. */
static void stop_if_broken(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void stop_if_broken(struct virtio_dev *dev)
{
	const char *why = NULL;

	for (unsigned int i = 0; i < dev->ops->n_queues; i++) {
		if (dev->queues[i].broken)
			why = dev->queues[i].fault;
	}
	if (!why)
		return;
	virtio_dev_malformed(dev, why);
	for (unsigned int i = 0; i < dev->ops->n_queues; i++)
		dev->queues[i].live = false;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	raise_irq(dev, VIRTIO_IRQ_CONFIG);
}

static void run_again(struct loop_timer *t)
{
	virtio_dev_run(container_of(t, struct virtio_dev, again));
}

void virtio_dev_run(struct virtio_dev *dev)
{
	bool more = false;

	vmm_lock(&dev->lock);
	dev->stats.runs++;
	if (is_running(dev)) {
		more = dev->ops->run(dev);
		virtio_dev_flush(dev);
		stop_if_broken(dev);
	}
	if (dev->ops->watch)
		dev->ops->watch(dev);
	vmm_unlock(&dev->lock);
	if (more)
		loop_defer(dev->loop, &dev->again, run_again);
}

static void on_kick(struct loop_fd *src, uint32_t events)
{
	(void)events;
	virtio_dev_run(container_of(src, struct virtio_dev, kick_src));
}

int virtio_dev_init(struct virtio_dev *dev, const struct virtio_ops *ops,
	const struct virtio_env *env, uint64_t features, void *config, uint32_t config_len)
{
	cleanup_fd int kick = -EBADF;
	cleanup_fd int irq = -EBADF;
	int r;

	assert(ops->n_queues <= VIRTIO_QUEUES_MAX);
	kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick < 0)
		return -errno;
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (irq < 0)
		return -errno;
	*dev = (struct virtio_dev){
		.ops = ops,
		.mem = env->mem,
		.loop = env->loop,
		.features = common_features | ops->features | features,
		.kick_fd = kick,
		.irq_fd = irq,
		.config = config,
		.config_len = config_len,
	};
	vmm_lock_init(&dev->lock);
	for (unsigned int i = 0; i < ops->n_queues; i++)
		virtq_init(&dev->queues[i], env->mem, ops->queue_sizes[i]);
	/* Edge-triggered: every write wakes the loop once, and the counter need never be read. */
	r = loop_fd_add(env->loop, &dev->kick_src, kick, EPOLLIN | (uint32_t)EPOLLET, on_kick);
	if (r < 0) {
		dev->ops = NULL;
		return r;
	}
	(void)TAKE_FD(kick);
	(void)TAKE_FD(irq);
	return 0;
}

void virtio_dev_deinit(struct virtio_dev *dev)
{
	if (!dev->ops)
		return;
	loop_fd_del(&dev->kick_src);
	loop_timer_del(&dev->again);
	dev->kick_fd = fd_close(dev->kick_fd);
	dev->irq_fd = fd_close(dev->irq_fd);
	dev->ops = NULL;
}

void virtio_dev_stats(struct virtio_dev *dev, struct virtio_stats *ret)
{
	vmm_lock(&dev->lock);
	*ret = dev->stats;
	vmm_unlock(&dev->lock);
}
