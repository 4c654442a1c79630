/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver made of input bytes: register accesses, memory edits, descriptors and kicks, in
 * any order. Shared by the fuzz targets of the devices.
 */
#pragma once

#include "testdrv.h"

struct fuzz_input {
	const uint8_t *p;
	size_t n;
};

/** fuzz_take - next @bytes (at most 8) of the input, zeros when it is used up */
uint64_t fuzz_take(struct fuzz_input *in, unsigned int bytes);

struct fuzz_device {
	struct drv d;
	struct virtio_dev *dev;
	void (*host)(
		struct fuzz_device *f, struct fuzz_input *in); /* the host side acts; may be NULL */
	unsigned int held_max; /* chains of a queue that the device may hold between runs */
	void (*check)(struct fuzz_device *f); /* invariants after each operation; may be NULL */
};

/** fuzz_device_init - memory and loop; then the target makes f->dev with f->d.env */
void fuzz_device_init(struct fuzz_device *f);

/** fuzz_device_run - attach f->dev and act until the input ends; @started: begin with a driver up
 */
void fuzz_device_run(struct fuzz_device *f, struct fuzz_input *in, bool started);

#define FUZZ_REQUIRE(x)                                                         \
	do {                                                                    \
		if (!(x)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                \
		}                                                               \
	} while (0)
