/* SPDX-License-Identifier: Apache-2.0 */
/* Files that commands write: whole, or not there. */
#pragma once

#include "base/base.h"
#include "base/err.h"

/* A file that appears under its name when it is whole. */
struct out_file {
	int fd;
	const char *path; /* borrowed */
	char temporary[PATH_MAX]; /* "": none */
	bool unnamed; /* until out_file_commit() */
};

/** out_file_open - @ret: out_file_close(), also after a failure */
int out_file_open(const char *path, struct out_file *ret, struct msb_err *err) MSB_MUST_CHECK;
int out_file_commit(struct out_file *f, struct msb_err *err) MSB_MUST_CHECK;
void out_file_close(struct out_file *f);
