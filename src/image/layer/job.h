/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running msb-layer: what is started, what goes in, and what its answer is worth.
 *
 * The worker may have been taken over by the archive it reads: its answer is checked like any other
 * hostile input. Works from processes with threads; a worker dies with the thread that started it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"

struct layer_job {
	pid_t pid;
	int pidfd;
	int in_fd; /* the compressed layer goes here */
	int result_fd;
	int data_fd; /* borrowed, to check the answer */
};

struct layer_facts {
	char diff_id[REF_DIGEST_LEN + 1];
	char compression[8];
	uint64_t entries;
	uint64_t data_bytes;
	uint64_t tar_bytes;
};

/**
 * layer_unpack_start - start a worker for one layer
 * @program: absolute path of msb-layer
 * @data_fd, @index_fd: empty files; borrowed until the end of the job
 */
int layer_unpack_start(const char *program, int data_fd, int index_fd, struct layer_job *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** layer_unpack_finish - the layer is complete: wait for the answer. Frees the job in any case */
int layer_unpack_finish(struct layer_job *job, struct layer_facts *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** layer_unpack_abort - end a worker whose answer nobody wants; an empty job is fine */
void layer_unpack_abort(struct layer_job *job);

/**
 * layer_merge - merged metadata of an image
 * @index_fds, @data_bytes: of its @n layers, bottom first
 */
int layer_merge(const char *program, const int *index_fds, const uint64_t *data_bytes, size_t n,
	int out_fd, struct msb_err *err) MSB_MUST_CHECK;
