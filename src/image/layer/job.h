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
#include "image/store/store.h"

/** layer_find_program - path of msb-layer: where MSB_LIB says, or beside this program */
int layer_find_program(char ret[PATH_MAX], struct msb_err *err) MSB_MUST_CHECK;

/** layer_raise_descriptors - a merge opens one file for each layer, and again in the child */
void layer_raise_descriptors(void);

struct layer_job {
	pid_t pid;
	int pidfd;
	int in_fd; /* unpack: the compressed layer goes here */
	int out_fd; /* pack: the layer's tar comes from here */
	int result_fd;
	int data_fd; /* borrowed, to check the answer */
	const char *subject; /* what is being read, for messages */
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
 * @files: empty; borrowed until the end of the job
 */
int layer_unpack_start(const char *program, const struct store_files *files, struct layer_job *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** layer_unpack_finish - the layer is complete: wait for the answer. Frees the job in any case */
int layer_unpack_finish(struct layer_job *job, struct layer_facts *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** layer_pack_start - start a worker that writes a layer's tar to ret->out_fd */
int layer_pack_start(const char *program, const struct store_files *files, struct layer_job *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** layer_pack_finish - the tar has ended: was it all of it? Frees the job in any case */
int layer_pack_finish(struct layer_job *job, struct msb_err *err) MSB_MUST_CHECK;

/** layer_job_abort - end a worker whose answer nobody wants; an empty job is fine */
void layer_job_abort(struct layer_job *job);

/**
 * layer_table - read an archive of images
 * @archive_fd: the archive from its present position
 * @spool_fd: empty file that gets the contents; -EBADF: the archive is a plain tar in a regular
 *	file, and stays where it is
 * @table_fd: empty file that gets the table (members.h)
 */
int layer_table(const char *program, int archive_fd, int spool_fd, int table_fd,
	struct msb_err *err) MSB_MUST_CHECK;

/**
 * layer_merge - merged metadata of an image
 * @index_fds, @data_bytes: of its @n layers, bottom first
 */
int layer_merge(const char *program, const int *index_fds, const uint64_t *data_bytes, size_t n,
	int out_fd, struct msb_err *err) MSB_MUST_CHECK;
