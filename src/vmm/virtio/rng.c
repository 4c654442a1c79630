/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng: see rng.h. A guest that wants more than its rate waits for a timer, not for us.
 *
 * #syscalls(vmm:loop): getrandom
 */
#include "vmm/virtio/rng.h"

#include <linux/virtio_ids.h>
#include <sys/random.h>

enum {
	QUEUE_SIZE = 8,
	REQUEST_BYTES_MAX = 4096, /* a short answer is a legal one */
	BURST_BYTES = 64 << 10,
	BYTES_PER_SEC = 1 << 20,
	REFILL_MS = 10,
	REQUEST_COST_MIN = 64, /* tokens: a request is work, whatever its size */
};

static struct virtio_rng *to_rng(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_rng, dev);
}

static void refill(struct virtio_rng *r)
{
	uint64_t now = clock_mono_ns();
	uint64_t passed = MIN(now - r->refilled_ns, NSEC_PER_SEC);
	uint64_t bytes = passed * BYTES_PER_SEC / NSEC_PER_SEC;

	if (bytes == 0)
		return;
	r->tokens = MIN(r->tokens + bytes, (uint64_t)BURST_BYTES);
	r->refilled_ns = now;
}

static void on_refill(struct loop_timer *t)
{
	struct virtio_rng *r = container_of(t, struct virtio_rng, refill);

	virtio_dev_run(&r->dev);
}

static bool rng_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool rng_run(struct virtio_dev *dev)
{
	struct virtio_rng *r = to_rng(dev);
	struct virtq *vq = &dev->queues[0];
	struct iovec iov[QUEUE_SIZE];

	virtq_notify_off(vq);
	for (;;) {
		uint8_t bytes[REQUEST_BYTES_MAX];
		struct virtq_chain chain;
		size_t want;
		size_t cost;
		ssize_t n;

		if (virtq_next(vq, iov, QUEUE_SIZE, &chain) != 0)
			return false;
		want = MIN((size_t)chain.in_len, sizeof(bytes));
		refill(r);
		cost = MAX(want, (size_t)REQUEST_COST_MIN);
		if (cost > r->tokens) {
			virtq_unpop(vq);
			loop_timer_set(dev->loop, &r->refill,
				clock_mono_ns() + REFILL_MS * NSEC_PER_MSEC, on_refill);
			return false;
		}
		r->tokens -= cost;
		n = getrandom(bytes, want, 0);
		if (n < 0 || !chain_write(&chain, 0, bytes, (size_t)n)) {
			n = 0;
			dev->stats.failed++;
		}
		virtq_push(vq, &chain, (uint32_t)n);
		dev->stats.requests++;
		dev->stats.bytes_in += (uint64_t)n;
	}
}

static const struct virtio_ops rng_ops = {
	.device_id = VIRTIO_ID_RNG,
	.name = "virtio-rng",
	.n_queues = 1,
	.queue_sizes = {QUEUE_SIZE},
	.run = rng_run,
};

int virtio_rng_init(struct virtio_rng *r, const struct virtio_env *env)
{
	*r = (struct virtio_rng){.tokens = BURST_BYTES, .refilled_ns = clock_mono_ns()};
	return virtio_dev_init(&r->dev, &rng_ops, env, 0, NULL, 0);
}

void virtio_rng_deinit(struct virtio_rng *r)
{
	loop_timer_del(&r->refill);
	virtio_dev_deinit(&r->dev);
}
