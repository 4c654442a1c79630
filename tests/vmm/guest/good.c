/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each device with a driver that keeps the rules.
 *
 * Disks: the first is read-only and starts with the text "read-only disk", the second can be
 * written and starts with "writable disk".
 */
#include "guest.h"

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11, BLK_ZEROES = 13 };
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };
enum { Q_LOG_TX = 1, Q_CTRL_RX, Q_CTRL_TX, Q_CHAN_RX, Q_CHAN_TX };
enum { DEVICE_READY = 0, PORT_ADD, PORT_READY = 3, CONSOLE_PORT, PORT_OPEN = 6, PORT_NAME };
enum { SECTOR = 512, CHANNEL_BYTES = 200000 };

struct blk_request {
	uint32_t type;
	uint32_t ioprio;
	uint64_t sector;
	uint8_t status;
};

static unsigned int blk(
	struct device *d, uint32_t type, uint64_t sector, void *p, uint32_t n, bool in)
{
	struct blk_request *r = scratch_alloc(sizeof(*r));
	struct buf b[3] = {{r, 16, false}, {p, n, in}, {&r->status, 1, true}};

	*r = (struct blk_request){.type = type, .sector = sector, .status = 0xee};
	if (n == 0)
		b[1] = b[2];
	if (dev_do(d, 0, b, n ? 3 : 2) < 0)
		return 0xff;
	return *(volatile uint8_t *)&r->status;
}

static void test_read_only_disk(void)
{
	struct device *d = device_by_id(ID_BLOCK, 0);
	uint8_t *p = scratch_alloc(8 * SECTOR);
	uint64_t sectors;

	check(d && dev_start(d), "read-only disk: starts");
	if (!d)
		return;
	sectors = mmio_read(d->base + REG_CONFIG, 4);
	check(blk(d, BLK_IN, 0, p, 4 * SECTOR, true) == BLK_OK && !memcmp(p, "read-only disk", 14),
		"read-only disk: reads");
	check(blk(d, BLK_OUT, 0, p, SECTOR, false) == BLK_IOERR,
		"read-only disk: refuses to write");
	check(blk(d, BLK_IN, sectors, p, SECTOR, true) == BLK_IOERR,
		"read-only disk: nothing behind its end");
	check(blk(d, BLK_GET_ID, 0, p, 20, true) == BLK_OK && p[0] != 0,
		"read-only disk: has an id");
	dev_reset(d);
}

static void test_disk(void)
{
	struct device *d = device_by_id(ID_BLOCK, 1);
	uint8_t *p = scratch_alloc(64 * SECTOR);
	struct {
		uint64_t sector;
		uint32_t n;
		uint32_t flags;
	} *range = scratch_alloc(16);

	check(d && dev_start(d), "disk: starts");
	if (!d)
		return;
	check(blk(d, BLK_IN, 0, p, SECTOR, true) == BLK_OK && !memcmp(p, "writable disk", 13),
		"disk: reads");
	for (unsigned int i = 0; i < 64 * SECTOR; i++)
		p[i] = (uint8_t)(i * 31 + i / SECTOR);
	check(blk(d, BLK_OUT, 16, p, 64 * SECTOR, false) == BLK_OK, "disk: writes");
	check(blk(d, BLK_FLUSH, 0, NULL, 0, false) == BLK_OK, "disk: flushes");
	memset(p, 0, SECTOR);
	check(blk(d, BLK_IN, 17, p, SECTOR, true) == BLK_OK && p[5] == (uint8_t)(517 * 31 + 1),
		"disk: reads what was written");
	range->sector = 16;
	range->n = 8;
	check(blk(d, BLK_DISCARD, 0, range, 16, false) == BLK_OK, "disk: discards");
	range->sector = 24;
	check(blk(d, BLK_ZEROES, 0, range, 16, false) == BLK_OK, "disk: writes zeros");
	check(blk(d, BLK_IN, 24, p, SECTOR, true) == BLK_OK && p[5] == 0, "disk: reads zeros");
	check(blk(d, 77, 0, p, SECTOR, true) == BLK_UNSUPP, "disk: says what it cannot do");
	dev_reset(d);
}

static void test_entropy(void)
{
	struct device *d = device_by_id(ID_ENTROPY, 0);
	uint8_t *p = scratch_alloc(128);
	struct buf b = {p, 64, true};
	unsigned int differ = 0;

	check(d && dev_start(d), "entropy: starts");
	if (!d)
		return;
	check(dev_do(d, 0, &b, 1) == 64, "entropy: fills a buffer");
	b.p = p + 64;
	(void)dev_do(d, 0, &b, 1);
	for (unsigned int i = 0; i < 64; i++)
		differ += p[i] != p[64 + i];
	check(differ > 32, "entropy: says something new");
	dev_reset(d);
}

static void test_balloon(void)
{
	struct device *d = device_by_id(ID_BALLOON, 0);
	uint8_t *pages = (uint8_t *)(uint64_t)(40 << 20);
	uint32_t *pfns = scratch_alloc(64);
	struct buf list = {pfns, 3 * 4, false};
	struct buf range = {pages + 65536, 65536, true};
	bool zero = true;

	check(d && dev_start(d), "balloon: starts");
	if (!d)
		return;
	memset(pages, 0x5a, 256 << 10);
	for (unsigned int i = 0; i < 3; i++)
		pfns[i] = (uint32_t)((uint64_t)pages >> 12) + i * 2;
	check(dev_do(d, 0, &list, 1) == 0 && pages[0] == 0 && pages[8192] == 0 && pages[16384] == 0,
		"balloon: inflated pages are given up");
	check(pages[4096] == 0x5a && pages[20480] == 0x5a, "balloon: their neighbours are not");
	check(dev_do(d, 1, &list, 1) == 0, "balloon: deflates");
	check(dev_do(d, 2, &range, 1) == 0, "balloon: takes a report");
	for (unsigned int i = 0; i < 65536; i += 4096)
		zero &= pages[65536 + i] == 0;
	check(zero && pages[131072] == 0x5a, "balloon: reported pages are given up");
	dev_reset(d);
}

static void control(struct device *d, uint32_t id, uint16_t event, uint16_t value)
{
	struct {
		uint32_t id;
		uint16_t event;
		uint16_t value;
	} *m = scratch_alloc(8);
	struct buf b = {m, 8, false};

	m->id = id;
	m->event = event;
	m->value = value;
	(void)dev_do(d, Q_CTRL_TX, &b, 1);
}

/* Waits for the next control message and compares it. */
static bool expect(
	struct device *d, const uint8_t *page, unsigned int n, uint32_t id, uint16_t event)
{
	const uint8_t *m = page + (size_t)n * 64;

	return dev_wait(d, Q_CTRL_RX) >= 8 && *(const volatile uint32_t *)m == id &&
	       *(const volatile uint16_t *)(m + 4) == event;
}

static void test_console(void)
{
	struct device *d = device_by_id(ID_CONSOLE, 0);
	uint8_t *page = scratch_alloc(8 * 64);
	uint8_t *bytes = scratch_alloc(CHANNEL_BYTES);
	struct buf b = {bytes, CHANNEL_BYTES, false};

	check(d && dev_start(d), "console: starts");
	if (!d)
		return;
	for (unsigned int i = 0; i < 8; i++) {
		struct buf in = {page + (size_t)i * 64, 64, true};

		dev_submit(d, Q_CTRL_RX, &in, 1, i < 7);
	}
	control(d, 0, DEVICE_READY, 1);
	check(expect(d, page, 0, 0, PORT_ADD) && expect(d, page, 1, 1, PORT_ADD),
		"console: announces two ports");
	control(d, 0, PORT_READY, 1);
	check(expect(d, page, 2, 0, CONSOLE_PORT), "console: port 0 is the console");
	control(d, 1, PORT_READY, 1);
	check(expect(d, page, 3, 1, PORT_NAME) && !memcmp(page + 3 * 64 + 8, "msb.channel", 11),
		"console: port 1 is the channel");
	check(expect(d, page, 4, 1, PORT_OPEN), "console: the host has the channel open");
	control(d, 1, PORT_OPEN, 1);
	for (unsigned int i = 0; i < CHANNEL_BYTES; i++)
		bytes[i] = (uint8_t)i;
	check(dev_do(d, Q_CHAN_TX, &b, 1) == 0, "console: carries bytes of the channel");
	/* No reset: it would close the channel, and that is the end of the machine. */
}

/* More bytes than a socket holds, and gone without waiting. */
void good_farewell(void)
{
	struct device *d = device_by_id(ID_CONSOLE, 0);
	struct buf b = {scratch_alloc(CHANNEL_BYTES), CHANNEL_BYTES, false};

	for (unsigned int i = 0; d && i < 4; i++)
		dev_submit(d, Q_CHAN_TX, &b, 1, i < 3);
}

void good_tests(void)
{
	test_read_only_disk();
	test_disk();
	test_entropy();
	test_balloon();
	test_console();
}
