/* SPDX-License-Identifier: Apache-2.0 */
/* How commands use libmsb: its handle, its errors, and signals as reasons to cancel. */
#pragma once

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "msb/msb.h"

struct cli_api {
	struct msb *msb;
	struct interrupt interrupt;
};

/** cli_api_open - with the usual places; cli_api_close() */
int cli_api_open(struct cli_api *api, const struct cli_common *common, struct msb_error *err)
	MSB_MUST_CHECK;
void cli_api_close(struct cli_api *api);

/** cli_api_catch - from now on signals that ask msb to end cancel calls with the handle */
int cli_api_catch(struct cli_api *api, struct msb_error *err) MSB_MUST_CHECK;

/** cli_api_release - the call has returned @r: if a signal came we die of it now, as if it had not
 * been caught */
void cli_api_release(struct cli_api *api, int r, const struct msb_error *err);

/** cli_api_prefix - put "<context>: " before the message */
void cli_api_prefix(struct msb_error *err, const char *fmt, ...) MSB_PRINTF(2, 3);

/** cli_api_ms - a time of the command line as the library wants it */
static inline unsigned int cli_api_ms(uint64_t ns)
{
	return (unsigned int)MIN(ns / NSEC_PER_MSEC, (uint64_t)UINT_MAX);
}

/** cli_api_fail - cli_fail() for an error of the library */
int cli_api_fail(const struct msb_error *err);

/** cli_api_fail_console - the same, and the console of the guest that did not come up */
int cli_api_fail_console(const struct msb_error *err);
