/* SPDX-License-Identifier: Apache-2.0 */
/* Queues over plain memory, without a device: the good paths and each way to break the rules. */
#include <linux/virtio_ring.h>

#include "vmm/virtio/queue.h"

#include "test.h"

enum {
	SIZE = 8,
	RAM = 1 << 20,
	DESC = 0x1000,
	AVAIL = 0x2000,
	USED = 0x3000,
	TABLE = 0x4000,
	BUF = 0x10000,
};

struct rig {
	struct gmem mem;
	struct virtq vq;
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct virtq_chain chain;
	uint16_t avail_idx;
};

static void *at(struct rig *r, uint64_t gpa)
{
	struct gmem_slice s;

	ASSERT_OK(gmem_slice(&r->mem, gpa, 1, &s));
	return s.p;
}

static void rig_init(struct rig *r, bool event_idx, bool indirect)
{
	*r = (struct rig){.avail_idx = 0};
	gmem_init(&r->mem);
	ASSERT_OK(gmem_alloc(&r->mem, 0, RAM));
	virtq_init(&r->vq, &r->mem, 2 * SIZE);
	r->vq.setup =
		(struct virtq_setup){.desc = DESC, .avail = AVAIL, .used = USED, .size = SIZE};
	ASSERT_OK(virtq_enable(&r->vq, event_idx, indirect));
	r->vq.live = true;
}

static void rig_deinit(struct rig *r)
{
	gmem_deinit(&r->mem);
}

static void desc_at(struct rig *r, uint64_t table, uint16_t i, uint64_t gpa, uint32_t len,
	uint16_t flags, uint16_t next)
{
	((struct vring_desc *)at(r, table))[i] =
		(struct vring_desc){.addr = gpa, .len = len, .flags = flags, .next = next};
}

static void desc(
	struct rig *r, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	desc_at(r, DESC, i, gpa, len, flags, next);
}

static void post(struct rig *r, uint16_t head)
{
	uint16_t *avail = at(r, AVAIL);

	avail[2 + r->avail_idx % SIZE] = head;
	avail[1] = ++r->avail_idx;
}

static int pop(struct rig *r)
{
	return virtq_pop(&r->vq, r->iov, VIRTQ_SIZE_MAX, &r->chain);
}

static void expect_broken(struct rig *r, const char *why)
{
	ASSERT_EQ(pop(r), -EPROTO);
	ASSERT_TRUE(r->vq.broken && !r->vq.live);
	ASSERT_STREQ(r->vq.fault, why);
	/* Silent from now on. */
	post(r, 0);
	ASSERT_EQ(pop(r), VIRTQ_EMPTY);
	ASSERT_TRUE(!virtq_notify_on(&r->vq));
}

TEST(chain_in_order)
{
	struct rig r;
	uint8_t b[6];
	uint16_t *used;

	rig_init(&r, false, false);
	desc(&r, 3, BUF, 4, VRING_DESC_F_NEXT, 5);
	desc(&r, 5, BUF + 100, 4, VRING_DESC_F_NEXT, 1);
	desc(&r, 1, BUF + 200, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	desc(&r, 0, RAM - 16, 16, VRING_DESC_F_WRITE, 7);
	memcpy(at(&r, BUF), "abcd", 4);
	memcpy(at(&r, BUF + 100), "efgh", 4);
	ASSERT_EQ(pop(&r), VIRTQ_EMPTY);
	post(&r, 3);
	ASSERT_EQ(pop(&r), 0);
	ASSERT_TRUE(r.chain.head == 3 && r.chain.n_out == 2 && r.chain.n_in == 2);
	ASSERT_TRUE(r.chain.out_len == 8 && r.chain.in_len == 32);
	ASSERT_TRUE(chain_read(&r.chain, 1, b, 6));
	ASSERT_MEMEQ(b, "bcdefg", 6);
	ASSERT_TRUE(chain_read(&r.chain, 8, b, 0));
	ASSERT_TRUE(!chain_read(&r.chain, 3, b, 6));
	ASSERT_TRUE(!chain_read(&r.chain, SIZE_MAX, b, 2));
	ASSERT_TRUE(chain_write(&r.chain, 15, "xy", 2));
	ASSERT_EQ(((uint8_t *)at(&r, BUF + 215))[0], 'x');
	ASSERT_EQ(((uint8_t *)at(&r, RAM - 16))[0], 'y');
	ASSERT_TRUE(!chain_write(&r.chain, 31, "xy", 2));
	virtq_push(&r.vq, &r.chain, 17);
	used = at(&r, USED);
	ASSERT_EQ(used[1], 0);
	ASSERT_TRUE(virtq_publish(&r.vq));
	ASSERT_EQ(used[1], 1);
	ASSERT_EQ(used[2], 3);
	ASSERT_EQ(used[4], 17);
	ASSERT_TRUE(!virtq_publish(&r.vq));
	rig_deinit(&r);
}

TEST(index_wraps)
{
	struct rig r;
	unsigned int irqs = 0;

	rig_init(&r, true, false);
	desc(&r, 0, BUF, 4, 0, 0);
	for (unsigned int i = 0; i < 3 * 65536 / 4; i++) {
		for (unsigned int k = 0; k < 4; k++)
			post(&r, 0);
		for (unsigned int k = 0; k < 4; k++) {
			ASSERT_EQ(pop(&r), 0);
			virtq_push(&r.vq, &r.chain, 0);
		}
		irqs += virtq_publish(&r.vq);
		/* used_event: tell me about the next one. */
		((uint16_t *)at(&r, AVAIL))[2 + SIZE] = r.vq.next_used;
		ASSERT_EQ(((uint16_t *)at(&r, USED))[1], (uint16_t)(4 * (i + 1)));
	}
	ASSERT_EQ(irqs, 3 * 65536 / 4);
	rig_deinit(&r);
}

TEST(broken_by_index)
{
	struct rig r;

	rig_init(&r, false, true);
	desc(&r, 0, BUF, 4, 0, 0);
	post(&r, SIZE);
	expect_broken(&r, "descriptor index is outside the table");
	rig_deinit(&r);

	rig_init(&r, false, true);
	desc(&r, 0, BUF, 4, VRING_DESC_F_NEXT, 0xffff);
	post(&r, 0);
	expect_broken(&r, "descriptor index is outside the table");
	rig_deinit(&r);

	rig_init(&r, false, true);
	desc(&r, 0, BUF, 4, 0, 0);
	((uint16_t *)at(&r, AVAIL))[1] = SIZE;
	ASSERT_EQ(pop(&r), 0);
	virtq_push(&r.vq, &r.chain, 0);
	rig_deinit(&r);

	rig_init(&r, false, true);
	((uint16_t *)at(&r, AVAIL))[1] = SIZE + 1;
	expect_broken(&r, "avail index jumped");
	rig_deinit(&r);

	rig_init(&r, false, true);
	((uint16_t *)at(&r, AVAIL))[1] = 0xffff;
	expect_broken(&r, "avail index jumped");
	rig_deinit(&r);
}

TEST(broken_by_loop)
{
	struct rig r;

	rig_init(&r, false, true);
	desc(&r, 0, BUF, 4, VRING_DESC_F_NEXT, 1);
	desc(&r, 1, BUF, 4, VRING_DESC_F_NEXT, 0);
	post(&r, 0);
	expect_broken(&r, "descriptors form a loop");
	rig_deinit(&r);

	rig_init(&r, false, true);
	desc(&r, 0, TABLE, 4 * 16, VRING_DESC_F_INDIRECT, 0);
	desc_at(&r, TABLE, 0, BUF, 4, VRING_DESC_F_NEXT, 0);
	post(&r, 0);
	expect_broken(&r, "descriptors form a loop");
	rig_deinit(&r);
}

TEST(broken_by_address)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {{BUF, 0}, {RAM - 1, 2}, {RAM, 1}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 8},
		{0xd0000000, 4}, {BUF, UINT32_MAX}};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (int indirect = 0; indirect < 2; indirect++) {
			struct rig r;

			rig_init(&r, false, true);
			desc(&r, 0, bad[i].gpa, bad[i].len, VRING_DESC_F_WRITE, 0);
			if (indirect) {
				desc_at(&r, TABLE, 0, bad[i].gpa, bad[i].len, 0, 0);
				desc(&r, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
			}
			post(&r, 0);
			expect_broken(&r, "descriptor is empty or not in RAM");
			rig_deinit(&r);
		}
	}
}

TEST(broken_by_direction)
{
	struct rig r;

	rig_init(&r, false, false);
	desc(&r, 0, BUF, 4, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	desc(&r, 1, BUF, 4, 0, 0);
	post(&r, 0);
	expect_broken(&r, "readable descriptor after a writable one");
	rig_deinit(&r);
}

TEST(indirect)
{
	struct rig r;

	/* After direct ones, unaligned, and with a write flag that has no meaning. */
	rig_init(&r, false, true);
	desc(&r, 0, BUF, 4, VRING_DESC_F_NEXT, 2);
	desc(&r, 2, TABLE + 1, 3 * 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
	struct vring_desc t[3] = {
		{.addr = BUF + 16, .len = 4, .flags = VRING_DESC_F_NEXT, .next = 2},
		{.addr = 0, .len = 0},
		{.addr = BUF + 32, .len = 8, .flags = VRING_DESC_F_WRITE},
	};
	memcpy((uint8_t *)at(&r, TABLE) + 1, t, sizeof(t));
	post(&r, 0);
	ASSERT_EQ(pop(&r), 0);
	ASSERT_TRUE(r.chain.n_out == 2 && r.chain.n_in == 1 && r.chain.in_len == 8);
	rig_deinit(&r);
}

static void expect_indirect_broken(
	uint32_t len, uint64_t table, uint16_t flags, bool negotiated, const char *why)
{
	struct rig r;

	rig_init(&r, false, negotiated);
	desc(&r, 0, table, len, VRING_DESC_F_INDIRECT | flags, 1);
	desc(&r, 1, BUF, 4, 0, 0);
	desc_at(&r, TABLE, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	post(&r, 0);
	expect_broken(&r, why);
	rig_deinit(&r);
}

TEST(broken_by_indirect)
{
	static const char size[] = "indirect table has an illegal size";

	expect_indirect_broken(16, TABLE, 0, false, "indirect descriptor was not negotiated");
	expect_indirect_broken(
		16, TABLE, VRING_DESC_F_NEXT, true, "indirect descriptor has a successor");
	expect_indirect_broken(0, TABLE, 0, true, size);
	expect_indirect_broken(15, TABLE, 0, true, size);
	expect_indirect_broken(17, TABLE, 0, true, size);
	expect_indirect_broken((SIZE + 1) * 16, TABLE, 0, true, size);
	expect_indirect_broken(UINT32_MAX - 15, TABLE, 0, true, size);
	expect_indirect_broken(32, RAM - 16, 0, true, "indirect table is not in RAM");
	expect_indirect_broken(32, UINT64_MAX - 15, 0, true, "indirect table is not in RAM");
	expect_indirect_broken(16, TABLE, 0, true, "indirect descriptor inside an indirect table");
}

TEST(broken_by_length)
{
	struct rig r;

	/* Seven direct descriptors and a table of two are nine. */
	rig_init(&r, false, true);
	for (unsigned int i = 0; i < SIZE - 1; i++)
		desc(&r, (uint16_t)i, BUF, 4, VRING_DESC_F_NEXT, (uint16_t)(i + 1));
	desc(&r, SIZE - 1, TABLE, 2 * 16, VRING_DESC_F_INDIRECT, 0);
	desc_at(&r, TABLE, 0, BUF, 4, VRING_DESC_F_NEXT, 1);
	desc_at(&r, TABLE, 1, BUF, 4, 0, 0);
	post(&r, 0);
	expect_broken(&r, "chain is longer than the queue");
	rig_deinit(&r);
}

TEST(broken_by_bytes)
{
	struct rig r;
	uint64_t big = UINT64_C(1) << 29;

	/* The same big buffer again and again: more bytes than RAM in one chain. */
	rig_init(&r, false, false);
	ASSERT_OK(gmem_alloc(&r.mem, UINT64_C(4) << 30, big));
	for (uint16_t i = 0; i < 3; i++)
		desc(&r, i, UINT64_C(4) << 30, (uint32_t)big, i < 2 ? VRING_DESC_F_NEXT : 0,
			(uint16_t)(i + 1));
	post(&r, 0);
	expect_broken(&r, "chain carries too many bytes");
	rig_deinit(&r);
}

TEST(broken_by_flood)
{
	struct rig r;

	/* The same head more often than the queue has entries, none of them returned. */
	rig_init(&r, false, false);
	desc(&r, 0, BUF, 4, 0, 0);
	for (unsigned int i = 0; i < SIZE; i++) {
		post(&r, 0);
		ASSERT_EQ(pop(&r), 0);
	}
	post(&r, 0);
	expect_broken(&r, "more chains than entries");
	rig_deinit(&r);
}

TEST(no_space_consumes_nothing)
{
	struct rig r;
	struct virtq_chain c = {.head = 99};

	rig_init(&r, false, false);
	desc(&r, 0, BUF, 4, VRING_DESC_F_NEXT, 1);
	desc(&r, 1, BUF, 4, 0, 0);
	post(&r, 0);
	ASSERT_EQ(virtq_pop(&r.vq, r.iov, 1, &c), VIRTQ_NO_SPACE);
	ASSERT_EQ(c.head, 99);
	ASSERT_EQ(virtq_pop(&r.vq, r.iov, 2, &c), 0);
	ASSERT_EQ(c.n_out, 2);
	rig_deinit(&r);
}

TEST(unpop)
{
	struct rig r;

	rig_init(&r, false, false);
	desc(&r, 0, BUF, 4, 0, 0);
	desc(&r, 1, BUF, 8, 0, 0);
	post(&r, 0);
	post(&r, 1);
	ASSERT_EQ(pop(&r), 0);
	ASSERT_EQ(pop(&r), 0);
	virtq_unpop(&r.vq);
	virtq_unpop(&r.vq);
	ASSERT_EQ(r.vq.in_flight, 0);
	ASSERT_EQ(pop(&r), 0);
	ASSERT_EQ(r.chain.out_len, 4);
	/* Validated anew: what was good the first time may not be any more. */
	ASSERT_EQ(pop(&r), 0);
	virtq_unpop(&r.vq);
	desc(&r, 1, RAM, 8, 0, 0);
	ASSERT_EQ(pop(&r), -EPROTO);
	rig_deinit(&r);
}

TEST(notifications)
{
	struct rig r;
	uint16_t *used;

	rig_init(&r, false, false);
	used = at(&r, USED);
	virtq_notify_off(&r.vq);
	ASSERT_EQ(used[0], VRING_USED_F_NO_NOTIFY);
	ASSERT_TRUE(!virtq_notify_on(&r.vq));
	ASSERT_EQ(used[0], 0);
	desc(&r, 0, BUF, 4, 0, 0);
	post(&r, 0);
	ASSERT_TRUE(virtq_notify_on(&r.vq));
	ASSERT_EQ(pop(&r), 0);
	virtq_push(&r.vq, &r.chain, 0);
	((uint16_t *)at(&r, AVAIL))[0] = VRING_AVAIL_F_NO_INTERRUPT;
	ASSERT_TRUE(!virtq_publish(&r.vq));
	rig_deinit(&r);

	rig_init(&r, true, false);
	desc(&r, 0, BUF, 4, 0, 0);
	post(&r, 0);
	ASSERT_EQ(virtq_next(&r.vq, r.iov, SIZE, &r.chain), 0);
	ASSERT_EQ(virtq_next(&r.vq, r.iov, SIZE, &r.chain), VIRTQ_EMPTY);
	used = at(&r, USED + 4 + SIZE * 8);
	ASSERT_EQ(*used, 1); /* avail_event */
	virtq_push(&r.vq, &r.chain, 0);
	ASSERT_TRUE(virtq_publish(&r.vq)); /* the first one always interrupts */
	post(&r, 0);
	ASSERT_EQ(virtq_next(&r.vq, r.iov, SIZE, &r.chain), 0);
	virtq_push(&r.vq, &r.chain, 0);
	((uint16_t *)at(&r, AVAIL))[2 + SIZE] = 5; /* used_event: not before the sixth */
	ASSERT_TRUE(!virtq_publish(&r.vq));
	rig_deinit(&r);
}

TEST(enable_refused)
{
	static const struct {
		struct virtq_setup s;
		int error;
	} bad[] = {
		{{DESC, AVAIL, USED, 0, false}, EINVAL},
		{{DESC, AVAIL, USED, 3, false}, EINVAL},
		{{DESC, AVAIL, USED, 4 * SIZE, false}, EINVAL},
		{{DESC, AVAIL, USED, 0x8000, false}, EINVAL},
		{{DESC + 8, AVAIL, USED, SIZE, false}, EINVAL},
		{{DESC, AVAIL + 1, USED, SIZE, false}, EINVAL},
		{{DESC, AVAIL, USED + 2, SIZE, false}, EINVAL},
		{{RAM - 16, AVAIL, USED, SIZE, false}, EFAULT},
		{{RAM, AVAIL, USED, SIZE, false}, EFAULT},
		{{DESC, RAM - 20, USED, SIZE, false}, EFAULT},
		{{DESC, AVAIL, RAM - 68, SIZE, false}, EFAULT},
		{{UINT64_MAX - 15, AVAIL, USED, SIZE, false}, EFAULT},
		{{DESC, UINT64_MAX - 1, USED, SIZE, false}, EFAULT},
		{{DESC, AVAIL, UINT64_MAX - 3, SIZE, false}, EFAULT},
	};
	struct rig r;

	rig_init(&r, false, false);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		virtq_reset(&r.vq);
		r.vq.setup = bad[i].s;
		ASSERT_ERR(virtq_enable(&r.vq, false, false), bad[i].error);
		ASSERT_TRUE(!r.vq.setup.ready && !r.vq.desc);
		ASSERT_EQ(pop(&r), VIRTQ_EMPTY);
	}
	/* The tightest place that still fits. */
	r.vq.setup =
		(struct virtq_setup){RAM - 128 - 72, RAM - 22 - 128 - 74, RAM - 72, SIZE, false};
	ASSERT_ERR(virtq_enable(&r.vq, false, false), EINVAL);
	r.vq.setup.desc = RAM - 256;
	r.vq.setup.used = RAM - 72;
	ASSERT_OK(virtq_enable(&r.vq, false, false));
	rig_deinit(&r);
}

TEST(windows)
{
	char b[30];
	struct iovec v[3] = {{b, 10}, {b + 10, 10}, {b + 20, 10}};
	struct iovec *at_v = v;

	ASSERT_EQ(iov_window(&at_v, 3, 12, 10), 2);
	ASSERT_TRUE(at_v == v + 1 && at_v[0].iov_base == b + 12 && at_v[0].iov_len == 8);
	ASSERT_TRUE(at_v[1].iov_base == b + 20 && at_v[1].iov_len == 2);
	ASSERT_EQ(iov_window(&at_v, 2, 10, SIZE_MAX), 0);
	at_v = v;
	ASSERT_EQ(iov_window(&at_v, 3, 0, 0), 0);
}
