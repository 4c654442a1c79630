/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/balloon.h"

#include "test.h"
#include "testdrv.h"

enum { INFLATE, DEFLATE, REPORT, HIGH_PFN = 1 << 20 };

struct rig {
	struct drv d;
	struct virtio_balloon b;
};

static void rig_init(struct rig *r)
{
	ASSERT_OK(drv_init(&r->d));
	ASSERT_OK(virtio_balloon_init(&r->b, &r->d.env));
	drv_attach(&r->d, &r->b.dev);
	drv_start(&r->d, UINT64_MAX, 64);
	memset(drv_ptr(&r->d, DRV_HIGH), 0x77, DRV_RAM);
}

static void rig_deinit(struct rig *r)
{
	virtio_balloon_deinit(&r->b);
	drv_deinit(&r->d);
}

static uint8_t page_byte(struct rig *r, uint64_t page)
{
	return *(uint8_t *)drv_ptr(&r->d, DRV_HIGH + page * GMEM_PAGE + 5);
}

static void send_pfns(struct rig *r, uint32_t q, const uint32_t *pfns, uint32_t n)
{
	struct drv_buf b = {drv_alloc(&r->d, n * 4), n * 4, false};
	uint32_t id;
	uint32_t len;

	memcpy(drv_ptr(&r->d, b.gpa), pfns, n * 4);
	(void)drv_submit(&r->d, q, &b, 1);
	drv_kick(&r->d, q);
	ASSERT_TRUE(drv_used(&r->d, q, &id, &len));
	ASSERT_EQ(len, 0);
}

TEST(inflate)
{
	static const uint32_t pfns[] = {
		HIGH_PFN + 3, HIGH_PFN + 4, HIGH_PFN + 5, HIGH_PFN + 9, HIGH_PFN + 8};
	struct rig r;

	rig_init(&r);
	send_pfns(&r, INFLATE, pfns, ARRAY_SIZE(pfns));
	ASSERT_EQ(r.b.discarded, 5 * GMEM_PAGE);
	ASSERT_EQ(r.b.given, 5);
	for (uint64_t p = 0; p < 12; p++)
		ASSERT_EQ(page_byte(&r, p), (p >= 3 && p <= 5) || p == 8 || p == 9 ? 0 : 0x77);
	send_pfns(&r, DEFLATE, pfns, ARRAY_SIZE(pfns));
	ASSERT_EQ(r.b.discarded, 5 * GMEM_PAGE);
	ASSERT_EQ(r.b.given, 0);
	/* More than there was. */
	send_pfns(&r, DEFLATE, pfns, ARRAY_SIZE(pfns));
	ASSERT_EQ(r.b.given, 0);
	ASSERT_EQ(r.b.dev.stats.malformed, 0);
	rig_deinit(&r);
}

TEST(inflate_not_ram)
{
	/* Above the region, in the hole, beyond everything; the last one is a run that leaves RAM.
	 */
	static const uint32_t pfns[] = {HIGH_PFN + DRV_RAM / GMEM_PAGE, 0xd0000, UINT32_MAX,
		HIGH_PFN + 1, HIGH_PFN + DRV_RAM / GMEM_PAGE - 1, HIGH_PFN + DRV_RAM / GMEM_PAGE};
	struct rig r;

	rig_init(&r);
	send_pfns(&r, INFLATE, pfns, ARRAY_SIZE(pfns));
	ASSERT_EQ(r.b.dev.stats.malformed, 4);
	ASSERT_EQ(r.b.discarded, GMEM_PAGE);
	ASSERT_EQ(r.b.given, 1);
	ASSERT_EQ(page_byte(&r, 1), 0);
	rig_deinit(&r);
}

TEST(inflate_lists)
{
	static uint32_t pfns[5000];
	struct rig r;

	rig_init(&r);
	/* Longer than one copy, in runs across its seams. */
	for (uint32_t i = 0; i < 600; i++)
		pfns[i] = HIGH_PFN + i;
	send_pfns(&r, INFLATE, pfns, 600);
	ASSERT_EQ(r.b.discarded, 600 * GMEM_PAGE);
	ASSERT_TRUE(page_byte(&r, 599) == 0 && page_byte(&r, 600) == 0x77);
	/* Too long. */
	for (uint32_t i = 0; i < ARRAY_SIZE(pfns); i++)
		pfns[i] = HIGH_PFN + 700;
	send_pfns(&r, INFLATE, pfns, ARRAY_SIZE(pfns));
	ASSERT_EQ(r.b.dev.stats.malformed, 1);
	rig_deinit(&r);
}

TEST(odd_list)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	struct drv_buf b = {drv_alloc(&r.d, 8), 7, false};
	*(uint32_t *)drv_ptr(&r.d, b.gpa) = HIGH_PFN;
	(void)drv_submit(&r.d, INFLATE, &b, 1);
	b.in = true;
	(void)drv_submit(&r.d, INFLATE, &b, 1);
	drv_kick(&r.d, INFLATE);
	ASSERT_TRUE(drv_used(&r.d, INFLATE, &id, &len));
	ASSERT_TRUE(drv_used(&r.d, INFLATE, &id, &len));
	ASSERT_EQ(r.b.discarded, GMEM_PAGE);
	rig_deinit(&r);
}

TEST(report)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	struct drv_buf b[2] = {
		{DRV_HIGH + 2 * MIB, MIB, true}, {DRV_HIGH + 100, 2 * GMEM_PAGE, true}};
	(void)drv_submit(&r.d, REPORT, b, 2);
	drv_kick(&r.d, REPORT);
	ASSERT_TRUE(drv_used(&r.d, REPORT, &id, &len));
	ASSERT_EQ(r.b.discarded, MIB + GMEM_PAGE);
	ASSERT_TRUE(
		page_byte(&r, 512) == 0 && page_byte(&r, 767) == 0 && page_byte(&r, 768) == 0x77);
	ASSERT_TRUE(page_byte(&r, 0) == 0x77 && page_byte(&r, 1) == 0);
	/* A range outside the RAM is a broken descriptor. */
	b[0] = (struct drv_buf){DRV_HIGH + DRV_RAM - GMEM_PAGE, 2 * GMEM_PAGE, true};
	(void)drv_submit(&r.d, REPORT, b, 1);
	drv_kick(&r.d, REPORT);
	ASSERT_TRUE(drv_status(&r.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_deinit(&r);
}

struct heard {
	uint32_t pages;
	unsigned int n;
};

static void hear(struct virtio_balloon *b, uint32_t pages, void *arg)
{
	struct heard *h = arg;

	(void)b;
	h->pages = pages;
	h->n++;
}

TEST(what_was_given_is_told)
{
	static uint32_t pfns[4096];
	struct heard h = {};
	struct rig r;

	rig_init(&r);
	r.b.on_given = hear;
	r.b.arg = &h;
	for (uint32_t i = 0; i < ARRAY_SIZE(pfns); i++)
		pfns[i] = HIGH_PFN + i % (DRV_RAM / GMEM_PAGE);
	virtio_balloon_set_target(&r.b, 300);
	ASSERT_TRUE(h.n == 1 && h.pages == 0);
	/* Under way, there, too far by little. */
	send_pfns(&r, INFLATE, pfns, 100);
	ASSERT_EQ(h.n, 1);
	send_pfns(&r, INFLATE, pfns + 100, 200);
	ASSERT_TRUE(h.n == 2 && h.pages == 300);
	send_pfns(&r, INFLATE, pfns, 1);
	ASSERT_EQ(h.n, 2);
	/* Every question is answered. */
	virtio_balloon_set_target(&r.b, 0);
	ASSERT_TRUE(h.n == 3 && h.pages == 301);
	send_pfns(&r, DEFLATE, pfns, 301);
	ASSERT_TRUE(h.n == 4 && h.pages == 0);
	/* A list that says the same again and again is worth no more than all pages. */
	for (unsigned int i = 0; i < 3; i++)
		send_pfns(&r, INFLATE, pfns, ARRAY_SIZE(pfns));
	ASSERT_EQ(r.b.given, r.b.total);
	/* A driver that starts anew has given nothing. */
	drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
	ASSERT_EQ(r.b.given, 0);
	ASSERT_OK(loop_once(&r.d.loop, 0));
	ASSERT_EQ(h.pages, 0);
	rig_deinit(&r);
}

TEST(no_page_is_taken_back_in_need)
{
	struct rig r;

	rig_init(&r);
	ASSERT_EQ(r.b.dev.features & UINT64_C(1) << VIRTIO_BALLOON_F_DEFLATE_ON_OOM, 0);
	rig_deinit(&r);
}

TEST(target)
{
	struct rig r;
	uint32_t gen;

	rig_init(&r);
	gen = drv_read(&r.d, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_balloon_set_target(&r.b, 1234);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG), 1234);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_IRQ_CONFIG);
	ASSERT_TRUE(drv_read(&r.d, VIRTIO_MMIO_CONFIG_GENERATION) != gen);
	drv_write(&r.d, VIRTIO_MMIO_CONFIG + 4, 77);
	ASSERT_EQ(r.b.space.actual, 77);
	drv_write(&r.d, VIRTIO_MMIO_CONFIG, 99);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG), 1234);
	ASSERT_EQ(r.b.dev.stats.malformed, 1);
	rig_deinit(&r);
}
