/* SPDX-License-Identifier: Apache-2.0 */
/* What is left to msb-tls. */
#pragma once

#include "base/err.h"

/** intercept_jail_enter - once all files have been read: no files, no network, no rights */
int intercept_jail_enter(struct msb_err *err) MSB_MUST_CHECK;

/** intercept_jail_lock - the last step: only the system calls of the loop */
int intercept_jail_lock(struct msb_err *err) MSB_MUST_CHECK;
