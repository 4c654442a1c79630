/* SPDX-License-Identifier: Apache-2.0 */
/* How commands use libmsb: see api.h. */
#include "cli/api.h"

#include "base/log.h"

_Static_assert((int)MSB_LOG_WARNINGS == (int)LOG_WARN && (int)MSB_LOG_DEBUG == (int)LOG_DEBUG,
	"the same numbers");

int cli_api_open(struct cli_api *api, const struct cli_common *common, struct msb_error *err)
{
	int r;

	*api = (struct cli_api){.msb = NULL};
	r = msb_open(NULL, NULL, &api->msb, err);
	if (r == 0)
		msb_set_verbosity(api->msb, (enum msb_verbosity)common->log_level);
	return r;
}

void cli_api_close(struct cli_api *api)
{
	api->msb = msb_close(api->msb);
}

static int asked(void *arg)
{
	return cancel_asked(arg);
}

/* What went wrong outside of the library, as it would have said it. */
static int fail(struct msb_error *to, const struct msb_err *err, int r)
{
	to->code = MSB_E_FAILED;
	to->sys_errno = -r;
	(void)snprintf(to->message, sizeof(to->message), "%s", err->msg);
	(void)snprintf(to->hint, sizeof(to->hint), "%s", err->hint);
	return r;
}

int cli_api_catch(struct cli_api *api, struct msb_error *err)
{
	struct msb_err e = {0};
	int r = interrupt_begin(&api->interrupt, &e);

	if (r < 0)
		return fail(err, &e, r);
	msb_set_cancel(api->msb, api->interrupt.cancel.fd, asked, &api->interrupt.cancel);
	return 0;
}

void cli_api_release(struct cli_api *api, int r, const struct msb_error *err)
{
	msb_set_cancel(api->msb, -1, NULL, NULL);
	/* What went wrong while we were asked to end nobody else will say. */
	if (api->interrupt.signo && r < 0 && r != -ECANCELED)
		(void)cli_api_fail(err);
	interrupt_end(&api->interrupt);
}

void cli_api_prefix(struct msb_error *err, const char *fmt, ...)
{
	char message[sizeof(err->message)];
	char context[120];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(context, sizeof(context), fmt, ap) < 0)
		context[0] = '\0';
	va_end(ap);
	(void)snprintf(message, sizeof(message), "%s", err->message);
	(void)snprintf(err->message, sizeof(err->message), "%s: %.*s", context,
		(int)(sizeof(message) - sizeof(context)), message);
}

static int exit_status(int code)
{
	switch (code) {
	case MSB_E_USAGE:
		return msb_kind_exit_code(MSB_USAGE);
	case MSB_E_TIMEOUT:
		return msb_kind_exit_code(MSB_TIMEOUT);
	case MSB_E_EXEC_NOT_FOUND:
		return msb_kind_exit_code(MSB_EXEC_NOT_FOUND);
	case MSB_E_EXEC_DENIED:
		return msb_kind_exit_code(MSB_EXEC_DENIED);
	default:
		return msb_kind_exit_code(MSB_FAIL);
	}
}

int cli_api_fail(const struct msb_error *err)
{
	if (err->hint[0])
		cli_note("%s; %s", err->message, err->hint);
	else
		cli_note("%s", err->message);
	return exit_status(err->code);
}

int cli_api_fail_console(const struct msb_error *err)
{
	int status = cli_api_fail(err);

	cli_console(err->console);
	return status;
}
