/* SPDX-License-Identifier: Apache-2.0 */
/* The transport and the status machine, with a device that only counts. */
#include <linux/virtio_ids.h>

#include "test.h"
#include "testdrv.h"

enum {
	QUEUE_SIZE = 64,
	S_ACK = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	S_DRIVER = S_ACK | VIRTIO_CONFIG_S_DRIVER,
	S_FEATURES = S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
	S_OK = S_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK,
};
#define ALL_FEATURES UINT64_MAX

struct echo {
	struct virtio_dev dev;
	struct {
		uint32_t word;
		uint16_t half;
		uint16_t pad;
	} space;
	unsigned int resets;
	unsigned int watched;
};

static bool echo_run(struct virtio_dev *dev)
{
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain c;

	while (virtq_next(&dev->queues[0], iov, QUEUE_SIZE, &c) == 0) {
		virtq_push(&dev->queues[0], &c, c.in_len);
		dev->stats.requests++;
	}
	return false;
}

static void echo_watch(struct virtio_dev *dev)
{
	container_of(dev, struct echo, dev)->watched++;
}

static void echo_reset(struct virtio_dev *dev)
{
	container_of(dev, struct echo, dev)->resets++;
}

static void echo_config_write(struct virtio_dev *dev, uint32_t off, const void *data, uint32_t len)
{
	memcpy((uint8_t *)&container_of(dev, struct echo, dev)->space + off, data, len);
}

static const struct virtio_ops echo_ops = {
	.device_id = VIRTIO_ID_RNG,
	.name = "echo",
	.features = 1,
	.n_queues = 2,
	.queue_sizes = {QUEUE_SIZE, QUEUE_SIZE},
	.run = echo_run,
	.watch = echo_watch,
	.reset = echo_reset,
	.config_write = echo_config_write,
};

struct rig {
	struct drv d;
	struct echo e;
};

static void rig_init(struct rig *r)
{
	ASSERT_OK(drv_init(&r->d));
	r->e = (struct echo){.space = {.word = 0x11223344, .half = 0x5566}};
	ASSERT_OK(virtio_dev_init(
		&r->e.dev, &echo_ops, &r->d.env, 0, &r->e.space, sizeof(r->e.space)));
	drv_attach(&r->d, &r->e.dev);
}

static void rig_deinit(struct rig *r)
{
	virtio_dev_deinit(&r->e.dev);
	drv_deinit(&r->d);
}

static uint64_t malformed(struct rig *r)
{
	struct virtio_stats s;

	virtio_dev_stats(&r->e.dev, &s);
	return s.malformed;
}

TEST(identity)
{
	struct rig r;

	rig_init(&r);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_VERSION), 2);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_SEL, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_SEL, 2);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	drv_write(&r.d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_NOTIFY), 0);
	rig_deinit(&r);
}

TEST(whole_life)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	ASSERT_EQ(drv_status(&r.d), S_OK);
	ASSERT_EQ(drv_irqs(&r.d), 0);
	struct drv_buf b = {drv_alloc(&r.d, 32), 32, true};
	(void)drv_submit(&r.d, 0, &b, 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(drv_used(&r.d, 0, &id, &len) && id == 0 && len == 32);
	ASSERT_EQ(drv_irqs(&r.d), 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_IRQ_VRING);
	drv_write(&r.d, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_IRQ_VRING);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ASSERT_EQ(malformed(&r), 0);

	drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
	ASSERT_EQ(drv_status(&r.d), 0);
	ASSERT_EQ(r.e.resets, 2); /* one of them before the start */
	unsigned int watched = r.e.watched;
	drv_kick(&r.d, 0);
	ASSERT_TRUE(r.e.watched > watched);
	(void)drv_submit(&r.d, 0, &b, 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(!drv_used(&r.d, 0, &id, &len));
	ASSERT_EQ(drv_irqs(&r.d), 0);

	/* And a second driver on the same device. */
	drv_start(&r.d, ALL_FEATURES, 8);
	(void)drv_submit(&r.d, 0, &b, 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(drv_used(&r.d, 0, &id, &len));
	rig_deinit(&r);
}

TEST(buffers_before_driver_ok)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	drv_features(&r.d, ALL_FEATURES);
	drv_queue_write(&r.d, 0, 16);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	struct drv_buf b = {drv_alloc(&r.d, 32), 32, true};
	(void)drv_submit(&r.d, 0, &b, 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(!drv_used(&r.d, 0, &id, &len));
	drv_write(&r.d, VIRTIO_MMIO_STATUS, S_OK);
	drv_pump(&r.d);
	ASSERT_TRUE(drv_used(&r.d, 0, &id, &len));
	rig_deinit(&r);
}

TEST(status_is_a_ladder)
{
	static const struct {
		uint32_t before;
		uint32_t write;
		uint32_t after;
	} steps[] = {
		{0, VIRTIO_CONFIG_S_DRIVER, 0},
		{0, VIRTIO_CONFIG_S_FEATURES_OK, 0},
		{0, S_OK, 0},
		{0, VIRTIO_CONFIG_S_NEEDS_RESET, 0},
		{0, S_ACK, S_ACK},
		{0, S_DRIVER, S_DRIVER},
		{S_ACK, S_FEATURES, S_ACK},
		{S_DRIVER, S_ACK, S_DRIVER},
		{S_DRIVER, VIRTIO_CONFIG_S_DRIVER, S_DRIVER},
		{S_DRIVER, S_OK, S_DRIVER},
		{S_DRIVER, S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK, S_DRIVER},
		/* Without VERSION_1 the features are not acceptable. */
		{S_DRIVER, S_FEATURES, S_DRIVER},
		{S_DRIVER, S_DRIVER | VIRTIO_CONFIG_S_FAILED, S_DRIVER | VIRTIO_CONFIG_S_FAILED},
		{S_DRIVER | VIRTIO_CONFIG_S_FAILED, S_OK, S_DRIVER | VIRTIO_CONFIG_S_FAILED},
		{S_DRIVER | VIRTIO_CONFIG_S_FAILED, 0, 0},
		{S_DRIVER, 0x100, 0},
	};
	struct rig r;

	rig_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
		drv_write(&r.d, VIRTIO_MMIO_STATUS, S_ACK);
		drv_write(&r.d, VIRTIO_MMIO_STATUS, S_DRIVER);
		if (steps[i].before <= S_ACK) {
			drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
			drv_write(&r.d, VIRTIO_MMIO_STATUS, steps[i].before);
		} else {
			drv_write(&r.d, VIRTIO_MMIO_STATUS, steps[i].before);
		}
		if (steps[i].before == 0)
			drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
		ASSERT_EQ(drv_status(&r.d), steps[i].before);
		drv_write(&r.d, VIRTIO_MMIO_STATUS, steps[i].write);
		ASSERT_EQ(drv_status(&r.d), steps[i].after);
	}
	rig_deinit(&r);
}

TEST(features_are_checked_and_final)
{
	struct rig r;

	rig_init(&r);
	drv_write(&r.d, VIRTIO_MMIO_STATUS, S_DRIVER);
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 17); /* not offered */
	drv_write(&r.d, VIRTIO_MMIO_STATUS, S_FEATURES);
	ASSERT_EQ(drv_status(&r.d), S_DRIVER);
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	drv_write(&r.d, VIRTIO_MMIO_STATUS, S_FEATURES);
	ASSERT_EQ(drv_status(&r.d), S_FEATURES);
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 17);
	ASSERT_EQ(r.e.dev.acked, UINT64_C(1) << 32 | 1);
	drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
	ASSERT_EQ(r.e.dev.acked, 0);
	/* No driver, no features. */
	drv_write(&r.d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	ASSERT_EQ(r.e.dev.acked, 0);
	rig_deinit(&r);
}

TEST(queue_setup_is_frozen)
{
	static const uint32_t regs[] = {VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH};
	struct rig r;
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	drv_features(&r.d, ALL_FEATURES);
	drv_queue_write(&r.d, 0, 16);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	for (int round = 0; round < 2; round++) {
		struct virtq before = r.e.dev.queues[0];
		uint64_t count = malformed(&r);

		drv_write(&r.d, VIRTIO_MMIO_QUEUE_SEL, 0);
		for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
			drv_write(&r.d, regs[i], 64);
		ASSERT_EQ(malformed(&r), count + ARRAY_SIZE(regs));
		ASSERT_TRUE(before.setup.desc == r.e.dev.queues[0].setup.desc);
		ASSERT_TRUE(before.setup.avail == r.e.dev.queues[0].setup.avail);
		ASSERT_TRUE(before.setup.used == r.e.dev.queues[0].setup.used);
		ASSERT_EQ(before.setup.size, r.e.dev.queues[0].setup.size);
		ASSERT_EQ(before.setup.ready, r.e.dev.queues[0].setup.ready);
		ASSERT_EQ(r.e.dev.queues[0].size, 16);
		drv_write(&r.d, VIRTIO_MMIO_STATUS, S_OK);
	}
	/* A queue that was not ready at DRIVER_OK stays off. */
	drv_queue_write(&r.d, 1, 16);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 0);

	struct drv_buf b = {drv_alloc(&r.d, 32), 32, true};
	(void)drv_submit(&r.d, 0, &b, 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(drv_used(&r.d, 0, &id, &len));
	/* Taken back while running: off, and not to be had again without a reset. */
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_SEL, 0);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 0);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 0);
	(void)drv_submit(&r.d, 0, &b, 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(!drv_used(&r.d, 0, &id, &len));
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 0);
	rig_deinit(&r);
}

TEST(queue_that_cannot_be)
{
	struct rig r;

	rig_init(&r);
	drv_features(&r.d, ALL_FEATURES);
	drv_queue_write(&r.d, 0, 16);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_NUM, 0x10010); /* does not wrap to 16 */
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 0);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_NUM, 16);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffffffff);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 0);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 1);
	/* There is no queue 2, nor 2^32 - 1. */
	for (uint32_t sel = 2; sel >= 2; sel = sel == 2 ? UINT32_MAX : 0) {
		drv_write(&r.d, VIRTIO_MMIO_QUEUE_SEL, sel);
		drv_write(&r.d, VIRTIO_MMIO_QUEUE_NUM, 16);
		drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 1);
		drv_write(&r.d, VIRTIO_MMIO_QUEUE_READY, 0);
		ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	rig_deinit(&r);
}

TEST(needs_reset)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	struct drv_buf b[2] = {{drv_alloc(&r.d, 8), 8, true}, {UINT64_C(3) << 30, 8, true}};
	(void)drv_submit(&r.d, 0, &b[0], 1);
	(void)drv_submit(&r.d, 0, &b[1], 1);
	drv_kick(&r.d, 0);
	/* What was good before the break is returned. */
	ASSERT_TRUE(drv_used(&r.d, 0, &id, &len));
	ASSERT_TRUE(!drv_used(&r.d, 0, &id, &len));
	ASSERT_EQ(drv_status(&r.d), S_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
	ASSERT_EQ(
		drv_read(&r.d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_IRQ_VRING | VIRTIO_IRQ_CONFIG);
	ASSERT_EQ(malformed(&r), 1);
	/* Nothing but a reset helps. */
	drv_write(&r.d, VIRTIO_MMIO_STATUS, S_OK);
	(void)drv_submit(&r.d, 0, &b[0], 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(!drv_used(&r.d, 0, &id, &len));
	ASSERT_EQ(malformed(&r), 1);
	drv_start(&r.d, ALL_FEATURES, 16);
	ASSERT_EQ(drv_status(&r.d), S_OK);
	(void)drv_submit(&r.d, 0, &b[0], 1);
	drv_kick(&r.d, 0);
	ASSERT_TRUE(drv_used(&r.d, 0, &id, &len));
	rig_deinit(&r);
}

TEST(config_space)
{
	struct rig r;
	uint64_t v;
	const uint64_t base = DRV_MMIO + VIRTIO_MMIO_CONFIG;

	rig_init(&r);
	v = 0;
	ASSERT_TRUE(bus_read(&r.d.bus, base, &v, 4) && v == 0x11223344);
	v = 0;
	ASSERT_TRUE(bus_read(&r.d.bus, base + 1, &v, 1) && v == 0x33);
	v = 0;
	ASSERT_TRUE(bus_read(&r.d.bus, base + 4, &v, 2) && v == 0x5566);
	/* Misaligned, too wide, straddling the end, behind the end: zeros. */
	static const struct {
		uint32_t off;
		uint32_t len;
	} bad[] = {{1, 2}, {2, 4}, {0, 8}, {0, 3}, {8, 1}, {8, 4}, {0xefc, 4}, {6, 4}};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t count = malformed(&r);

		v = 0;
		ASSERT_TRUE(bus_read(&r.d.bus, base + bad[i].off, &v, bad[i].len));
		ASSERT_EQ(v, 0);
		v = UINT64_MAX;
		ASSERT_TRUE(bus_write(&r.d.bus, base + bad[i].off, &v, bad[i].len));
		ASSERT_EQ(malformed(&r), count + 1);
	}
	ASSERT_EQ(r.e.space.word, 0x11223344);
	v = 0xaa;
	ASSERT_TRUE(bus_write(&r.d.bus, base + 6, &v, 2));
	ASSERT_EQ(r.e.space.pad, 0xaa);
	rig_deinit(&r);
}

TEST(register_width)
{
	static const uint32_t widths[] = {1, 2, 3, 8};
	struct rig r;

	rig_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		uint64_t v = 0;

		ASSERT_TRUE(bus_read(&r.d.bus, DRV_MMIO, &v, widths[i]));
		ASSERT_EQ(v, 0);
		v = S_ACK;
		ASSERT_TRUE(bus_write(&r.d.bus, DRV_MMIO + VIRTIO_MMIO_STATUS, &v, widths[i]));
		ASSERT_EQ(drv_status(&r.d), 0);
	}
	ASSERT_EQ(malformed(&r), ARRAY_SIZE(widths));
	drv_write(&r.d, 0xf8, 1);
	drv_write(&r.d, VIRTIO_MMIO_MAGIC_VALUE, 1);
	ASSERT_EQ(malformed(&r), ARRAY_SIZE(widths) + 2);
	rig_deinit(&r);
}

TEST(config_generation)
{
	struct rig r;
	uint32_t gen;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	gen = drv_read(&r.d, VIRTIO_MMIO_CONFIG_GENERATION);
	vmm_lock(&r.e.dev.lock);
	virtio_dev_config_changed(&r.e.dev);
	vmm_unlock(&r.e.dev.lock);
	ASSERT_TRUE(drv_read(&r.d, VIRTIO_MMIO_CONFIG_GENERATION) != gen);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_IRQ_CONFIG);
	rig_deinit(&r);
}

TEST(init_failures)
{
	struct drv d;

	ASSERT_OK(drv_init(&d));
	FAULT_LOOP({
		struct echo e;

		if (virtio_dev_init(&e.dev, &echo_ops, &d.env, 0, NULL, 0) == 0)
			virtio_dev_deinit(&e.dev);
	});
	drv_deinit(&d);
}

struct resetter {
	struct drv *d;
	uint32_t stop;
};

static void *reset_forever(void *arg)
{
	struct resetter *x = arg;

	while (!__atomic_load_n(&x->stop, __ATOMIC_SEQ_CST)) {
		struct drv_queue *q = &x->d->q[0];
		uint64_t at[3] = {q->desc, q->avail, q->used};

		drv_features(x->d, ALL_FEATURES);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_SEL, 0);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_NUM, 16);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)at[0]);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)at[1]);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)at[2]);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_READY, 1);
		drv_write(x->d, VIRTIO_MMIO_STATUS, S_OK);
		drv_write(x->d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		(void)drv_read(x->d, VIRTIO_MMIO_INTERRUPT_STATUS);
		drv_write(x->d, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	}
	return NULL;
}

/* A vCPU resets the device while the loop works on its queue; thread sanitizer territory. */
TEST(reset_against_the_loop)
{
	struct rig r;
	struct resetter x = {.d = &r.d};
	pthread_t t;
	uint16_t *avail;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	struct drv_buf b = {drv_alloc(&r.d, 32), 32, true};
	for (unsigned int i = 0; i < 16; i++)
		(void)drv_submit(&r.d, 0, &b, 1);
	avail = drv_ptr(&r.d, r.d.q[0].avail);
	__atomic_store_n(&avail[1], 16, __ATOMIC_SEQ_CST);
	ASSERT_EQ(pthread_create(&t, NULL, reset_forever, &x), 0);
	while (r.e.dev.stats.requests < 5000)
		ASSERT_OK(loop_once(&r.d.loop, clock_mono_ns() + NSEC_PER_SEC));
	__atomic_store_n(&x.stop, 1, __ATOMIC_SEQ_CST);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_EQ(malformed(&r), 0);
	rig_deinit(&r);
}
