/* SPDX-License-Identifier: Apache-2.0 */
/* One short question to the guest of a running sandbox. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "proto/msg.h"

/** ask_ping - does it answer? @touch: its idle timeout begins anew */
int ask_ping(const char *home, const char *name, bool touch, struct msb_err *err) MSB_MUST_CHECK;

/** ask_metrics - how it is */
int ask_metrics(const char *home, const char *name, struct msg_metrics *ret, struct msb_err *err)
	MSB_MUST_CHECK;
