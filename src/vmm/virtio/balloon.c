/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon: see balloon.h.
 *
 * Inflating passes lists of page numbers in readable buffers; a report passes the free ranges
 * themselves, as writable buffers. Both end in gmem_discard(), after the one translation that
 * everything of a guest goes through. A page number outside the RAM is counted and skipped; a
 * reported range outside the RAM breaks the queue like any other descriptor.
 */
#include "vmm/virtio/balloon.h"

#include <linux/virtio_ids.h>

enum {
	Q_INFLATE,
	Q_DEFLATE,
	Q_REPORT, /* drivers number only the queues of negotiated features */
	N_QUEUES,
	QUEUE_SIZE = 32, /* what a report needs */
	CHAIN_BUDGET = 16, /* per queue and run */
	PFN_BATCH = 256,
	PFNS_MAX = 4096, /* of one chain */
	PROGRESS = 4096, /* pages: worth a word */
};

static struct virtio_balloon *to_balloon(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_balloon, dev);
}

static void discard(struct virtio_balloon *b, uint8_t *p, size_t len) VMM_REQUIRES(b->dev.lock);

static void discard(struct virtio_balloon *b, uint8_t *p, size_t len)
{
	uint64_t bytes;

	if (gmem_discard(b->dev.mem, p, len, &bytes) < 0)
		b->dev.stats.failed++;
	else
		b->discarded += bytes;
}

/* @n pages from @pfn on. */
static void discard_pfns(struct virtio_balloon *b, uint32_t pfn, uint32_t n)
	VMM_REQUIRES(b->dev.lock);

static void discard_pfns(struct virtio_balloon *b, uint32_t pfn, uint32_t n)
{
	uint64_t gpa = (uint64_t)pfn << VIRTIO_BALLOON_PFN_SHIFT;
	struct gmem_slice s;

	if (n == 0)
		return;
	if (gmem_slice(b->dev.mem, gpa, (uint64_t)n << VIRTIO_BALLOON_PFN_SHIFT, &s) < 0) {
		virtio_dev_malformed(&b->dev, "page is not RAM");
		return;
	}
	discard(b, s.p, s.len);
	/* A page may come twice, but there are not more than all. */
	b->given = MIN(b->given + n, b->total);
}

/* One madvise() for each run of neighbours. */
static void inflate(struct virtio_balloon *b, const struct virtq_chain *chain)
	VMM_REQUIRES(b->dev.lock);

static void inflate(struct virtio_balloon *b, const struct virtq_chain *chain)
{
	uint32_t total = chain->out_len / (uint32_t)sizeof(uint32_t);
	uint32_t first = 0;
	uint32_t n = 0;

	if (total > PFNS_MAX) {
		virtio_dev_malformed(&b->dev, "too many pages at a time");
		total = PFNS_MAX;
	}
	for (uint32_t done = 0; done < total;) {
		uint32_t pfns[PFN_BATCH];
		uint32_t part = MIN(total - done, (uint32_t)PFN_BATCH);

		if (!chain_read(
			    chain, (size_t)done * sizeof(pfns[0]), pfns, part * sizeof(pfns[0])))
			break;
		done += part;
		for (uint32_t i = 0; i < part; i++) {
			if (n > 0 && pfns[i] == (uint64_t)first + n) {
				n++;
				continue;
			}
			discard_pfns(b, first, n);
			first = pfns[i];
			n = 1;
		}
	}
	discard_pfns(b, first, n);
}

/* A page comes back, as zeros, when it is touched: counting is all there is to do. */
static void deflate(struct virtio_balloon *b, const struct virtq_chain *chain)
	VMM_REQUIRES(b->dev.lock);

static void deflate(struct virtio_balloon *b, const struct virtq_chain *chain)
{
	uint32_t n = chain->out_len / (uint32_t)sizeof(uint32_t);

	b->given -= MIN(n, b->given);
}

static void report(struct virtio_balloon *b, const struct virtq_chain *chain)
	VMM_REQUIRES(b->dev.lock);

static void report(struct virtio_balloon *b, const struct virtq_chain *chain)
{
	for (unsigned int i = 0; i < chain->n_in; i++) {
		const struct iovec *v = &chain->iov[chain->n_out + i];

		discard(b, v->iov_base, v->iov_len);
	}
}

/* Return: budget used up. */
static bool run_queue(struct virtio_balloon *b, unsigned int q) VMM_REQUIRES(b->dev.lock);

static bool run_queue(struct virtio_balloon *b, unsigned int q)
{
	struct virtq *vq = &b->dev.queues[q];
	struct iovec iov[QUEUE_SIZE];

	for (unsigned int i = 0; i < CHAIN_BUDGET; i++) {
		struct virtq_chain chain;

		if (virtq_next(vq, iov, QUEUE_SIZE, &chain) != 0)
			return false;
		if (q == Q_INFLATE)
			inflate(b, &chain);
		else if (q == Q_DEFLATE)
			deflate(b, &chain);
		else if (q == Q_REPORT)
			report(b, &chain);
		virtq_push(vq, &chain, 0);
		b->dev.stats.requests++;
	}
	return true;
}

static void tell(struct virtio_balloon *b) VMM_REQUIRES(b->dev.lock);

static void tell(struct virtio_balloon *b)
{
	b->told = b->given;
	if (b->on_given)
		b->on_given(b, b->given, b->arg);
}

static bool balloon_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool balloon_run(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_balloon(dev);
	bool more = false;

	vmm_lock_held(&b->dev.lock);
	for (unsigned int q = 0; q < N_QUEUES; q++) {
		virtq_notify_off(&dev->queues[q]);
		more |= run_queue(b, q);
	}
	return more;
}

/* After each run, and after a reset. */
static void balloon_watch(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void balloon_watch(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_balloon(dev);

	vmm_lock_held(&b->dev.lock);
	if (b->given != b->told && (b->given == b->space.num_pages || b->given == 0 ||
					   b->given - b->told + PROGRESS > 2 * PROGRESS))
		tell(b);
}

static void balloon_config_write(struct virtio_dev *dev, uint32_t off, const void *data,
	uint32_t len) VMM_REQUIRES(dev->lock);

static void balloon_config_write(
	struct virtio_dev *dev, uint32_t off, const void *data, uint32_t len)
{
	struct virtio_balloon *b = to_balloon(dev);
	const uint32_t at = offsetof(struct virtio_balloon_space, actual);

	/* The caller checked the range; num_pages is ours. */
	if (off < at)
		virtio_dev_malformed(dev, "write to the target of the balloon");
	else
		memcpy((uint8_t *)&b->space.actual + (off - at), data, len);
}

static void balloon_reset(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void balloon_reset(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_balloon(dev);

	vmm_lock_held(&b->dev.lock);
	b->space.actual = 0;
	b->given = 0;
	/* The loop has to tell. */
	virtio_dev_kick(dev);
}

static const struct virtio_ops balloon_ops = {
	.device_id = VIRTIO_ID_BALLOON,
	.name = "virtio-balloon",
	.features = UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING,
	.n_queues = N_QUEUES,
	.queue_sizes = {QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE},
	.run = balloon_run,
	.watch = balloon_watch,
	.reset = balloon_reset,
	.config_write = balloon_config_write,
};

int virtio_balloon_init(struct virtio_balloon *b, const struct virtio_env *env)
{
	*b = (struct virtio_balloon){.space = {0}};
	for (unsigned int i = 0; i < env->mem->n_regions; i++)
		b->total += (uint32_t)(env->mem->regions[i].size >> VIRTIO_BALLOON_PFN_SHIFT);
	return virtio_dev_init(&b->dev, &balloon_ops, env, 0, &b->space, sizeof(b->space));
}

void virtio_balloon_deinit(struct virtio_balloon *b)
{
	virtio_dev_deinit(&b->dev);
}

void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages)
{
	vmm_lock(&b->dev.lock);
	b->space.num_pages = pages;
	virtio_dev_config_changed(&b->dev);
	tell(b);
	vmm_unlock(&b->dev.lock);
}
