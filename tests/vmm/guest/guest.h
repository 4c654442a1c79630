/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test guest without an operating system: finds its virtio devices on the command line, drives
 * them with a driver of its own, and reports through the console as a well-behaved guest would.
 *
 * Everything below SCRATCH is the program's; rings, buffers and whatever a hostile test lets a
 * device write lie above.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SCRATCH = 16 << 20,
	SCRATCH_END = 60 << 20,
	DEVICES_MAX = 8,
	QUEUES_MAX = 8,
	QUEUE_SIZE = 64,
};

enum { ID_BLOCK = 2, ID_CONSOLE = 3, ID_ENTROPY = 4, ID_BALLOON = 5 };

/* virtio-mmio registers. */
enum {
	REG_MAGIC = 0x00,
	REG_DEVICE_ID = 0x08,
	REG_FEATURES = 0x10,
	REG_FEATURES_SEL = 0x14,
	REG_ACK = 0x20,
	REG_ACK_SEL = 0x24,
	REG_QUEUE_SEL = 0x30,
	REG_QUEUE_MAX = 0x34,
	REG_QUEUE_NUM = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_NOTIFY = 0x50,
	REG_ISR = 0x60,
	REG_ISR_ACK = 0x64,
	REG_STATUS = 0x70,
	REG_DESC = 0x80,
	REG_AVAIL = 0x90,
	REG_USED = 0xa0,
	REG_CONFIG = 0x100,
};

enum {
	ST_ACK = 1,
	ST_DRIVER = 2,
	ST_DRIVER_OK = 4,
	ST_FEATURES_OK = 8,
	ST_NEEDS_RESET = 0x40,
};

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct queue {
	volatile struct desc *desc;
	volatile uint16_t *avail; /* flags, idx, ring */
	volatile uint16_t *used;
	uint16_t size;
	uint16_t next_desc;
	uint16_t seen;
};

struct device {
	uint64_t base;
	uint32_t id;
	unsigned int n_queues;
	struct queue q[QUEUES_MAX];
};

struct buf {
	void *p;
	uint32_t len;
	bool in;
};

extern struct device devices[DEVICES_MAX];
extern unsigned int n_devices;

/* machine.c */
uint32_t mmio_read(uint64_t addr, unsigned int width);
void mmio_write(uint64_t addr, uint64_t v, unsigned int width);
void port_write(uint16_t port, uint32_t v, unsigned int width);
uint32_t port_read(uint16_t port, unsigned int width);
void power_off(void) __attribute__((noreturn));
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
void seed_random(uint64_t seed);
uint64_t random64(void);
uint32_t below(uint32_t n); /* random, less than n */

/* virtio.c */
void devices_find(const char *cmdline);
struct device *device_by_id(uint32_t id, unsigned int nth);
uint32_t dev_read(const struct device *d, uint32_t reg);
void dev_write(const struct device *d, uint32_t reg, uint32_t v);
void *scratch_alloc(uint32_t n); /* zeroed, 64-byte aligned; wraps around when used up */

/** dev_reset - reset and forget the queues */
void dev_reset(struct device *d);

/** dev_start - whole initialisation with every feature offered; false when the device refuses */
bool dev_start(struct device *d);

/** dev_submit - a chain of buffers; kick unless @quiet */
void dev_submit(
	struct device *d, unsigned int q, const struct buf *bufs, unsigned int n, bool quiet);

/** dev_wait - wait for the next used element; its length, or -1 after a long time */
int64_t dev_wait(struct device *d, unsigned int q);

/** dev_do - dev_submit() and dev_wait() */
int64_t dev_do(struct device *d, unsigned int q, const struct buf *bufs, unsigned int n);

/* report.c: text goes to a buffer, report_send() hands it to the host through port 0 */
void say(const char *text);
void say_number(uint64_t n);
void check(bool good, const char *name);
void report_send(void);

/* good.c, hostile.c */
void good_tests(void);
void good_farewell(void);
void hostile_tests(uint64_t seed, uint32_t rounds, bool everywhere);
