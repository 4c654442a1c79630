/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/rng.h"

#include "test.h"
#include "testdrv.h"

struct rig {
	struct drv d;
	struct virtio_rng r;
};

static void rig_init(struct rig *g)
{
	ASSERT_OK(drv_init(&g->d));
	ASSERT_OK(virtio_rng_init(&g->r, &g->d.env));
	drv_attach(&g->d, &g->r.dev);
	drv_start(&g->d, UINT64_MAX, 8);
}

static void rig_deinit(struct rig *g)
{
	virtio_rng_deinit(&g->r);
	drv_deinit(&g->d);
}

TEST(bytes)
{
	struct rig g;
	uint32_t id;
	uint32_t len;
	static const uint8_t zeros[64];

	rig_init(&g);
	/* Two buffers of one chain; both get bytes, and no two are the same. */
	struct drv_buf b[2] = {{drv_alloc(&g.d, 64), 64, true}, {drv_alloc(&g.d, 64), 64, true}};
	(void)drv_submit(&g.d, 0, b, 2);
	drv_kick(&g.d, 0);
	ASSERT_TRUE(drv_used(&g.d, 0, &id, &len));
	ASSERT_EQ(len, 128);
	const uint8_t *x = drv_ptr(&g.d, b[0].gpa);
	const uint8_t *y = drv_ptr(&g.d, b[1].gpa);
	ASSERT_TRUE(memcmp(x, zeros, 64) != 0 && memcmp(y, zeros, 64) != 0);
	ASSERT_TRUE(memcmp(x, y, 64) != 0);
	rig_deinit(&g);
}

TEST(short_answer)
{
	struct rig g;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	struct drv_buf b = {DRV_HIGH, DRV_RAM, true};
	(void)drv_submit(&g.d, 0, &b, 1);
	drv_kick(&g.d, 0);
	ASSERT_TRUE(drv_used(&g.d, 0, &id, &len));
	ASSERT_EQ(len, 4096);
	/* Only readable: answered with nothing. */
	b.in = false;
	b.len = 8;
	(void)drv_submit(&g.d, 0, &b, 1);
	drv_kick(&g.d, 0);
	ASSERT_TRUE(drv_used(&g.d, 0, &id, &len));
	ASSERT_EQ(len, 0);
	rig_deinit(&g);
}

TEST(rate_limit)
{
	struct rig g;
	uint32_t id;
	uint32_t len;
	uint64_t bytes = 0;
	uint64_t start;

	rig_init(&g);
	start = clock_mono_ns();
	/* The burst is 64 KiB, then 1 MiB a second: 192 KiB take an eighth of a second. */
	while (bytes < 192 * KIB) {
		struct drv_buf b = {DRV_HIGH, 4096, true};

		(void)drv_submit(&g.d, 0, &b, 1);
		drv_write(&g.d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		while (!drv_used(&g.d, 0, &id, &len))
			ASSERT_OK(loop_once(&g.d.loop, clock_mono_ns() + NSEC_PER_SEC));
		bytes += len;
	}
	ASSERT_TRUE(clock_mono_ns() - start >= 120 * NSEC_PER_MSEC);
	rig_deinit(&g);
}
