/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that breaks every rule it can, from a seed: registers, ports, descriptors, ring indices,
 * memory under the device's feet. Afterwards each device must work again after a reset; the host
 * looks at the rest.
 *
 * Devices may be told to write anywhere from SCRATCH on and outside the RAM, but not into the
 * program, and the memory under the program is not given away: the test is meant to last. That
 * needs some care with the balloon, which takes any bytes it is shown for page numbers.
 */
#include "guest.h"

enum {
	RAM_END = 64 << 20,
	WINDOW = 0x1000,
	PORT_KEYBOARD = 0x64,
	PORT_POWER = 0x5b0,
	OPERATIONS = 24, /* per round */
	/* Filled with bytes that are no number of a page in RAM, however they are cut. */
	NO_PAGES = SCRATCH_END,
	NO_PAGES_END = RAM_END - 8192,
};

static const uint16_t registers[] = {REG_STATUS, REG_QUEUE_SEL, REG_QUEUE_NUM, REG_QUEUE_READY,
	REG_NOTIFY, REG_DESC, REG_DESC + 4, REG_AVAIL, REG_AVAIL + 4, REG_USED, REG_USED + 4,
	REG_ACK, REG_ACK_SEL, REG_FEATURES_SEL, REG_ISR_ACK, REG_CONFIG, REG_CONFIG + 4};

/* In a gentle round mistakes are rare, so that devices get to work before they give up. */
static bool gentle;

static struct {
	uint64_t operations;
	uint64_t needs_reset;
	uint64_t completions;
} counts;

static uint64_t some_value(void)
{
	switch (below(6)) {
	case 0:
		return below(16);
	case 1:
		return UINT64_C(1) << below(64);
	case 2:
		return (UINT64_C(1) << below(64)) - 1;
	case 3:
		return SCRATCH + below(SCRATCH_END - SCRATCH);
	case 4:
		return 0 - (uint64_t)below(4096);
	default:
		return random64();
	}
}

/* Where a device may be made to look: scratch memory, the edges of the RAM, nowhere. */
static uint64_t some_address(const struct device *d)
{
	switch (below(8)) {
	case 0:
		return RAM_END - below(8192);
	case 1:
		return RAM_END + below(UINT32_MAX - RAM_END);
	case 2:
		return devices[below(n_devices)].base + below(WINDOW);
	case 3:
		return UINT64_C(0) - below(1 << 20) - 1;
	case 4:
		return random64() | UINT64_C(1) << 40;
	default:
		if (d->id == ID_BALLOON)
			return NO_PAGES + below(NO_PAGES_END - NO_PAGES);
		return SCRATCH + below(SCRATCH_END - SCRATCH);
	}
}

static uint32_t some_length(uint64_t addr)
{
	uint32_t room = SCRATCH_END - SCRATCH;

	/* From outside the RAM nothing legal can follow; inside, mostly stay inside. */
	if (addr >= SCRATCH && addr < RAM_END)
		room = (uint32_t)((addr < SCRATCH_END ? SCRATCH_END : RAM_END) - addr);
	switch (below(6)) {
	case 0:
		return 0;
	case 1:
		return UINT32_MAX - below(64);
	case 2:
		return below(room) + 1;
	case 3:
		return 512 * below(9) + below(2);
	default:
		return below(64) + 1;
	}
}

static const uint8_t widths[] = {1, 2, 4, 8};

static void poke_registers(const struct device *d)
{
	uint32_t reg = below(2) ? registers[below(sizeof(registers) / sizeof(registers[0]))]
				: below(WINDOW - 8);
	unsigned int width = below(8) ? 4 : widths[below(4)];

	if (below(4) == 0)
		(void)mmio_read(d->base + reg, width);
	else
		mmio_write(d->base + reg, some_value(), width);
}

static void poke_ports(void)
{
	uint16_t port = below(2) ? (uint16_t)random64() : (uint16_t)(0x3f0 + below(16));
	unsigned int width = widths[below(3)];

	/* These two end the machine, which is not what is tested here. */
	if (port + 3u >= PORT_KEYBOARD && port <= PORT_KEYBOARD)
		return;
	if (port + 3u >= PORT_POWER && port <= PORT_POWER)
		return;
	if (below(2))
		(void)port_read(port, width);
	else
		port_write(port, (uint32_t)some_value(), width);
}

/* Anything between RAM and the top, interrupt controllers included: may end the machine. */
static void poke_everywhere(void)
{
	uint64_t addr = RAM_END + ((uint64_t)below(UINT32_MAX - RAM_END - 8) & ~7u);

	if (below(4) == 0)
		addr = 0xfec00000u + (below(2) ? below(64) : 0x200000 + below(0x1000));
	if (below(2))
		(void)mmio_read(addr & ~7u, widths[below(4)]);
	else
		mmio_write(addr & ~7u, some_value(), widths[below(4)]);
}

static struct queue *some_queue(struct device *d)
{
	return d->n_queues ? &d->q[below(d->n_queues)] : NULL;
}

static void write_desc(const struct device *d, volatile struct desc *e, unsigned int n)
{
	uint64_t addr = some_address(d);

	e->addr = addr;
	e->len = some_length(addr);
	e->flags = (uint16_t)(below(16) ? below(8) : random64());
	e->next = (uint16_t)(below(8) ? below(n) : random64());
}

static void scribble(struct device *d)
{
	struct queue *q = some_queue(d);
	uint64_t at;

	if (!q)
		return;
	switch (below(5)) {
	case 0:
		for (unsigned int i = below(8) + 1; i > 0; i--)
			write_desc(d, &q->desc[below(q->size)], q->size);
		break;
	case 1:
		q->avail[2 + below(q->size)] = (uint16_t)(below(4) ? below(q->size) : random64());
		break;
	case 2:
		q->avail[1] = (uint16_t)(below(4) ? q->avail[1] + below(4) : random64());
		break;
	case 3:
		q->avail[0] = (uint16_t)random64();
		q->avail[2 + q->size] = (uint16_t)random64();
		break;
	default:
		at = SCRATCH + below(SCRATCH_END - SCRATCH - 8);
		*(volatile uint64_t *)(at & ~7ull) = some_value();
		break;
	}
}

/* An indirect table, of which much is right. */
static uint64_t make_table(const struct device *d, unsigned int n)
{
	struct desc *t = scratch_alloc(n * 16);

	for (unsigned int i = 0; i < n; i++) {
		write_desc(d, &t[i], n);
		if (below(gentle ? 64 : 8) == 0)
			continue;
		t[i] = (struct desc){.addr = (uint64_t)scratch_alloc(64),
			.len = 1 + below(64),
			.flags = (uint16_t)((i + 1 < n ? DESC_NEXT : 0) |
					    (i > n / 2 ? DESC_WRITE : 0)),
			.next = (uint16_t)(i + 1)};
	}
	return (uint64_t)t;
}

/* A chain that is right but for one thing, perhaps, with contents a device could act upon. */
static void submit(struct device *d)
{
	struct queue *q = some_queue(d);
	uint16_t head;
	unsigned int n = 1 + below(4);
	/* An indirect table at the end starts with readable buffers again. */
	bool table = below(4) == 0;
	unsigned int out = table ? n : below(n + 1);

	if (!q)
		return;
	head = (uint16_t)(q->next_desc % q->size);
	for (unsigned int i = 0; i < n; i++) {
		volatile struct desc *e = &q->desc[q->next_desc++ % q->size];
		uint64_t *p = scratch_alloc(64);

		for (unsigned int k = 0; k < 8; k++)
			p[k] = below(2) ? below(16) : some_value();
		if (d->id == ID_BALLOON)
			memset(p, 0x30, 64);
		e->addr = (uint64_t)p;
		e->len = i == 0 && below(2) ? 16 : 1 + below(64);
		e->flags = (uint16_t)((i >= out ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0));
		e->next = (uint16_t)(q->next_desc % q->size);
		if (below(gentle ? 256 : 24) == 0)
			write_desc(d, e, q->size);
		if (i + 1 == n && table) {
			unsigned int entries = 1 + below(6);

			e->addr = make_table(d, entries);
			e->len = entries * 16 - (!gentle && below(16) == 0);
			e->flags = DESC_INDIRECT;
		}
	}
	q->avail[2 + q->avail[1] % q->size] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->avail[1]++;
	dev_write(d, REG_NOTIFY, (uint32_t)(q - d->q));
}

static void balloon_list(struct device *d)
{
	uint32_t *pfns = scratch_alloc(64);
	struct buf b = {pfns, 64, false};

	for (unsigned int i = 0; i < 16; i++)
		pfns[i] = below(4) ? (SCRATCH >> 12) + below((SCRATCH_END - SCRATCH) >> 12)
				   : (RAM_END >> 12) + below(UINT32_MAX - (RAM_END >> 12));
	if (d->n_queues > 2)
		dev_submit(d, below(2), &b, 1, false);
}

static void act(struct device *d)
{
	counts.operations++;
	switch (below(8)) {
	case 0:
	case 1:
		poke_registers(d);
		break;
	case 2:
		poke_ports();
		break;
	case 3:
	case 4:
		if (gentle)
			submit(d);
		else
			scribble(d);
		break;
	case 5:
		if (d->id == ID_BALLOON)
			balloon_list(d);
		else
			submit(d);
		break;
	case 6:
		submit(d);
		break;
	default:
		dev_write(d, REG_NOTIFY, below(QUEUES_MAX));
		break;
	}
}

static void round_on(struct device *d, bool everywhere)
{
	gentle = below(2);
	if (gentle || below(4))
		(void)dev_start(d);
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		act(d);
		if (everywhere)
			poke_everywhere();
	}
	for (unsigned int i = 0; i < d->n_queues; i++)
		counts.completions += d->q[i].used[1];
	counts.needs_reset += (dev_read(d, REG_STATUS) & ST_NEEDS_RESET) != 0;
}

static void say_count(const char *what, uint64_t n)
{
	say("# ");
	say_number(n);
	say(what);
}

void hostile_tests(uint64_t seed, uint32_t rounds, bool everywhere)
{
	seed_random(seed);
	memset((void *)NO_PAGES, 0x30, RAM_END - NO_PAGES);
	say("\n"); /* the log has had other bytes */
	for (uint32_t r = 0; r < rounds; r++)
		round_on(&devices[r % n_devices], everywhere);
	for (unsigned int i = 0; i < n_devices; i++)
		dev_reset(&devices[i]);
	say_count(" operations\n", counts.operations);
	say_count(" times a device gave up on its driver\n", counts.needs_reset);
	say_count(" chains completed all the same\n", counts.completions);
	check(counts.needs_reset > 0, "broken rings stop a device");
	check(counts.completions > 0, "what is right is answered");
	for (unsigned int i = 0; i < n_devices; i++)
		check(dev_start(&devices[i]), "a device works again after a reset");
	for (unsigned int i = 0; i < n_devices; i++)
		dev_reset(&devices[i]);
}
