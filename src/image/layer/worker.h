/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-layer is told and what it answers.
 *
 * The process works on inherited descriptors only. Its first argument is the job:
 *
 *	unpack	stdin: compressed layer; WORKER_FD_DATA, WORKER_FD_INDEX, WORKER_FD_RECIPE: empty
 *		files to fill
 *	merge	stdin: u32 count, then a u64 of data blocks for each layer; WORKER_FD_INDEX + i:
 *		index of layer i; WORKER_FD_DATA: empty file to fill
 *	pack	WORKER_FD_DATA, WORKER_FD_RECIPE: of a layer; WORKER_FD_OUT: where its tar goes
 *	scan	stdin: plain tar archive, a regular file; WORKER_FD_INDEX: empty file to fill with
 *the archive's table (members.h) spool	stdin: tar archive of any compression, as a stream;
 *WORKER_FD_DATA: empty file for the contents; WORKER_FD_INDEX as for scan
 *
 * Each ends with one struct worker_result on WORKER_FD_RESULT. Exit status 0 when the result says
 * success, 1 otherwise; any other end means that the worker was killed by its jail.
 */
#pragma once

#include "base/base.h"

enum {
	WORKER_FD_RESULT = 3,
	WORKER_FD_DATA = 4,
	WORKER_FD_INDEX = 5,
	WORKER_FD_OUT = 5, /* pack has no index */
	WORKER_FD_RECIPE = 6,
};

struct worker_result {
	int32_t error; /* 0 or a negative errno */
	uint32_t kind; /* enum msb_kind */
	char text[400]; /* NUL-terminated */
	char diff_id[65]; /* unpack: SHA-256 of the uncompressed tar, hexadecimal */
	char compression[7]; /* unpack: "gzip", "zstd", "none" */
	uint64_t entries;
	uint64_t data_bytes;
	uint64_t tar_bytes;
};
