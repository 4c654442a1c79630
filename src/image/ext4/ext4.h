/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes empty ext4 file systems.
 *
 * What a new sandbox needs is a file system that is there in less than a millisecond and takes no
 * space: about a dozen blocks are written into a sparse file, everything else of ext4 is "not
 * initialised" and reads as zeroes. The kernel finds nothing left to do either: no inode table is
 * zeroed in the background.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { EXT4_BLOCK = 4096 };
#define EXT4_MIN_BYTES (32 * MIB)
#define EXT4_MAX_BYTES (4096 * GIB)

struct ext4_opts {
	uint64_t size_bytes; /* EXT4_MIN_BYTES to EXT4_MAX_BYTES; a partial block is not used */
	bool journal; /* for what has to survive a machine that was switched off */
	uint8_t uuid[16];
	uint64_t now_s;
};

/**
 * ext4_format - make @fd a file of @opts->size_bytes with an empty file system
 * @fd: an empty file, or one that reads as zeroes
 */
int ext4_format(int fd, const struct ext4_opts *opts, struct msb_err *err) MSB_MUST_CHECK;
