/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address decode for MMIO and port I/O: a sorted table of device windows.
 *
 * The table is built before the guest runs and is read-only afterwards: vCPU threads decode without
 * a lock and the devices behind it do their own locking. Addresses and lengths come from the guest.
 */
#pragma once

#include "base/base.h"

struct bus_dev;

struct bus_ops {
	/* @off + @len is inside the window and 1 <= @len <= 8. Called on vCPU threads. */
	void (*read)(struct bus_dev *d, uint64_t off, void *data, uint32_t len);
	void (*write)(struct bus_dev *d, uint64_t off, const void *data, uint32_t len);
};

/* Embedded in its owner, which outlives the bus. */
struct bus_dev {
	uint64_t base;
	uint64_t size;
	const struct bus_ops *ops; /* either function may be NULL: reads as ones, ignores writes */
	const char *name;
};

enum { BUS_DEVS_MAX = 32, BUS_ACCESS_MAX = 8 };

struct bus {
	struct bus_dev *devs[BUS_DEVS_MAX];
	unsigned int n;
};

/** bus_add - 0, -EINVAL (empty or wrapping window), -EEXIST (overlap) or -ENOSPC */
int bus_add(struct bus *bus, struct bus_dev *d) MSB_MUST_CHECK;

/**
 * bus_read - guest reads @len bytes at @addr
 *
 * Return: true when a device answered; else @data is all ones, as on a bus without a device there.
 */
bool bus_read(const struct bus *bus, uint64_t addr, void *data, uint32_t len);

/** bus_write - guest writes; false when nobody listens at the address (the write is lost) */
bool bus_write(const struct bus *bus, uint64_t addr, const void *data, uint32_t len);
