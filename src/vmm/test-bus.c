/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bus.h"

#include "test.h"

struct probe {
	struct bus_dev dev;
	uint64_t off;
	uint32_t len;
	unsigned int calls;
};

static void note(struct bus_dev *d, uint64_t off, uint32_t len)
{
	struct probe *p = container_of(d, struct probe, dev);

	p->off = off;
	p->len = len;
	p->calls++;
}

static void probe_read(struct bus_dev *d, uint64_t off, void *data, uint32_t len)
{
	note(d, off, len);
	memset(data, 0xab, len);
}

static void probe_write(struct bus_dev *d, uint64_t off, const void *data, uint32_t len)
{
	(void)data;
	note(d, off, len);
}

static const struct bus_ops ops = {.read = probe_read, .write = probe_write};
static const struct bus_ops no_ops;

TEST(decode)
{
	struct bus bus = {.n = 0};
	struct probe p[3] = {
		{.dev = {.base = 0x3000, .size = 0x1000, .ops = &ops}},
		{.dev = {.base = 0x1000, .size = 0x1000, .ops = &ops}},
		{.dev = {.base = 0x2000, .size = 0x10, .ops = &ops}},
	};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		ASSERT_OK(bus_add(&bus, &p[i].dev));
	ASSERT_TRUE(bus_read(&bus, 0x3ffc, &v, 4));
	ASSERT_TRUE(p[0].calls == 1 && p[0].off == 0xffc && p[0].len == 4);
	ASSERT_TRUE(bus_write(&bus, 0x1000, &v, 8));
	ASSERT_TRUE(p[1].calls == 1 && p[1].off == 0 && p[1].len == 8);
	ASSERT_TRUE(bus_write(&bus, 0x200f, &v, 1));
	ASSERT_TRUE(p[2].calls == 1 && p[2].off == 0xf);
}

TEST(nobody_there)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {{0xfff, 1}, {0xfff, 2}, {0x1ffd, 4}, {0x2000, 1}, {0x1000, 0}, {0x1000, 9},
		{UINT64_MAX, 8}, {0, 1}};
	struct bus bus = {.n = 0};
	struct probe p = {.dev = {.base = 0x1000, .size = 0x1000, .ops = &ops}};

	ASSERT_OK(bus_add(&bus, &p.dev));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t v[16] = {0};

		ASSERT_TRUE(!bus_read(&bus, bad[i].addr, v, bad[i].len));
		for (uint32_t b = 0; b < sizeof(v); b++)
			ASSERT_EQ(v[b], b < MIN(bad[i].len, 8u) ? 0xff : 0);
		ASSERT_TRUE(!bus_write(&bus, bad[i].addr, v, bad[i].len));
	}
	ASSERT_EQ(p.calls, 0);
}

TEST(device_without_functions)
{
	struct bus bus = {.n = 0};
	struct bus_dev d = {.base = 0, .size = 8, .ops = &no_ops};
	uint32_t v = 0;

	ASSERT_OK(bus_add(&bus, &d));
	ASSERT_TRUE(bus_read(&bus, 4, &v, 4));
	ASSERT_EQ(v, UINT32_MAX);
	ASSERT_TRUE(bus_write(&bus, 4, &v, 4));
}

TEST(refused)
{
	struct bus bus = {.n = 0};
	struct bus_dev d[BUS_DEVS_MAX + 1];

	for (uint64_t i = 0; i < ARRAY_SIZE(d); i++) {
		d[i] = (struct bus_dev){.base = 0x1000 * i, .size = 0x1000, .ops = &ops};
		if (i < BUS_DEVS_MAX)
			ASSERT_OK(bus_add(&bus, &d[i]));
	}
	ASSERT_ERR(bus_add(&bus, &d[BUS_DEVS_MAX]), ENOSPC);
	d[BUS_DEVS_MAX].base = 0x800;
	ASSERT_ERR(bus_add(&bus, &d[BUS_DEVS_MAX]), EEXIST);
	d[BUS_DEVS_MAX].size = 0;
	ASSERT_ERR(bus_add(&bus, &d[BUS_DEVS_MAX]), EINVAL);
	d[BUS_DEVS_MAX].base = UINT64_MAX;
	d[BUS_DEVS_MAX].size = 2;
	ASSERT_ERR(bus_add(&bus, &d[BUS_DEVS_MAX]), EINVAL);
}
