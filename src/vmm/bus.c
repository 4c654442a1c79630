/* SPDX-License-Identifier: Apache-2.0 */
/* Address decode: see bus.h. */
#include "vmm/bus.h"

int bus_add(struct bus *bus, struct bus_dev *d)
{
	unsigned int i;
	uint64_t end;

	if (d->size == 0 || __builtin_add_overflow(d->base, d->size, &end))
		return -EINVAL;
	for (i = 0; i < bus->n; i++) {
		const struct bus_dev *o = bus->devs[i];

		if (d->base < o->base + o->size && o->base < end)
			return -EEXIST;
	}
	if (bus->n == BUS_DEVS_MAX)
		return -ENOSPC;
	for (i = bus->n++; i > 0 && bus->devs[i - 1]->base > d->base; i--)
		bus->devs[i] = bus->devs[i - 1];
	bus->devs[i] = d;
	return 0;
}

/* The device whose window holds all of the access. */
static struct bus_dev *bus_find(const struct bus *bus, uint64_t addr, uint32_t len)
{
	unsigned int lo = 0;
	unsigned int hi = bus->n;

	if (len == 0 || len > BUS_ACCESS_MAX)
		return NULL;
	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		struct bus_dev *d = bus->devs[mid];

		if (addr < d->base)
			hi = mid;
		else if (addr - d->base >= d->size)
			lo = mid + 1;
		else
			return len <= d->size - (addr - d->base) ? d : NULL;
	}
	return NULL;
}

bool bus_read(const struct bus *bus, uint64_t addr, void *data, uint32_t len)
{
	struct bus_dev *d = bus_find(bus, addr, len);

	if (!d || !d->ops->read) {
		memset(data, 0xff, MIN(len, (uint32_t)BUS_ACCESS_MAX));
		return d != NULL;
	}
	d->ops->read(d, addr - d->base, data, len);
	return true;
}

bool bus_write(const struct bus *bus, uint64_t addr, const void *data, uint32_t len)
{
	struct bus_dev *d = bus_find(bus, addr, len);

	if (d && d->ops->write)
		d->ops->write(d, addr - d->base, data, len);
	return d != NULL;
}
