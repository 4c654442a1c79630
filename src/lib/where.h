/* SPDX-License-Identifier: Apache-2.0 */
/* Where the installation is. */
#pragma once

#include "base/base.h"
#include "base/err.h"

/** where_lib_dir - absolute path of lib/msb: $MSB_LIB, or beside the running program */
int where_lib_dir(char *to, size_t size, struct msb_err *err) MSB_MUST_CHECK;
