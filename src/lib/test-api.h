/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of libmsb begin with. */
#pragma once

#include "msb/msb.h"

#include "test.h"

static struct msb_error e = MSB_ERROR_INIT;

/* A handle on a place of its own; nothing is installed there. */
static struct msb *open_here(void)
{
	struct msb *m = NULL;

	ASSERT_OK(msb_open(test_tmpdir(), test_tmpdir(), &m, &e));
	ASSERT_STREQ(msb_home(m), test_tmpdir());
	return m;
}

#define ASSERT_FAILS(call, r_, code_)                         \
	do {                                                  \
		e = (struct msb_error)MSB_ERROR_INIT;         \
		ASSERT_ERR(call, r_);                         \
		ASSERT_STREQ(msb_code_name(e.code), (code_)); \
		ASSERT_EQ(e.sys_errno, (r_));                 \
		ASSERT_TRUE(e.message[0]);                    \
	} while (0)
