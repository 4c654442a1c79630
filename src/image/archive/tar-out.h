/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a tar of a few plain files: ustar, the same bytes for the same contents. */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { TAR_OUT_NAME_MAX = 99 };

struct tar_out {
	int fd; /* borrowed */
	uint64_t left; /* bytes of the present file still to come */
	size_t padding; /* behind them */
};

/** tar_out_begin - header of a file of @size bytes, which tar_out_data() brings */
int tar_out_begin(struct tar_out *t, const char *name, uint64_t size, struct msb_err *err)
	MSB_MUST_CHECK;
int tar_out_data(struct tar_out *t, const void *p, size_t n, struct msb_err *err) MSB_MUST_CHECK;

/** tar_out_end - -EIO when fewer bytes came than were announced */
int tar_out_end(struct tar_out *t, struct msb_err *err) MSB_MUST_CHECK;

/** tar_out_file - a whole small file */
int tar_out_file(struct tar_out *t, const char *name, const void *p, size_t n, struct msb_err *err)
	MSB_MUST_CHECK;

/** tar_out_finish - end of the archive */
int tar_out_finish(struct tar_out *t, struct msb_err *err) MSB_MUST_CHECK;
