/* SPDX-License-Identifier: Apache-2.0 */
/* Error value that travels up to whoever talks to the user: see err.h. */
#include "base/err.h"

static const struct {
	const char *name;
	int exit_code;
} kinds[] = {
	[MSB_FAIL] = {"fail", 125},
	[MSB_USAGE] = {"usage", 2},
	[MSB_NOT_FOUND] = {"not_found", 125},
	[MSB_EXISTS] = {"exists", 125},
	[MSB_BUSY] = {"busy", 125},
	[MSB_PERMISSION] = {"permission", 125},
	[MSB_UNSUPPORTED] = {"unsupported", 125},
	[MSB_LIMIT] = {"limit", 125},
	[MSB_NO_MEMORY] = {"no_memory", 125},
	[MSB_IO] = {"io", 125},
	[MSB_PROTOCOL] = {"protocol", 125},
	[MSB_GUEST] = {"guest", 125},
	[MSB_TIMEOUT] = {"timeout", 124},
	[MSB_EXEC_NOT_FOUND] = {"exec_not_found", 127},
	[MSB_EXEC_DENIED] = {"exec_denied", 126},
};
_Static_assert(ARRAY_SIZE(kinds) == MSB_KIND_COUNT, "every kind needs a name and an exit code");

static void MSB_PRINTF(3, 0) err_format(char *to, size_t size, const char *fmt, va_list ap)
{
	if (vsnprintf(to, size, fmt, ap) < 0)
		to[0] = '\0';
}

int msb_err_set_at(struct msb_err *err, int r, enum msb_kind kind, const char *file, int line,
	const char *fmt, ...)
{
	va_list ap;

	assert(r < 0);
	if (!err)
		return r;

	*err = (struct msb_err){.errno_ = -r, .kind = kind, .file = file, .line = line};
	va_start(ap, fmt);
	err_format(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return r;
}

int msb_err_errno_at(struct msb_err *err, int r, const char *file, int line, const char *fmt, ...)
{
	char what[sizeof(err->msg)];
	va_list ap;

	if (!err)
		return r;

	va_start(ap, fmt);
	err_format(what, sizeof(what), fmt, ap);
	va_end(ap);
	return msb_err_set_at(err, r, msb_kind_from_errno(r), file, line, "%.*s: %s",
		(int)sizeof(what) - 64, what, strerror(-r));
}

int msb_err_prefix(struct msb_err *err, int r, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;
	size_t len;

	if (!err)
		return r;

	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	err_format(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", old);
	return r;
}

int msb_err_hint(struct msb_err *err, int r, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return r;

	va_start(ap, fmt);
	err_format(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return r;
}

int msb_kind_exit_code(enum msb_kind kind)
{
	assert(kind < MSB_KIND_COUNT);
	return kinds[kind].exit_code;
}

const char *msb_kind_name(enum msb_kind kind)
{
	assert(kind < MSB_KIND_COUNT);
	return kinds[kind].name;
}

enum msb_kind msb_kind_from_errno(int r)
{
	switch (-r) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return MSB_NOT_FOUND;
	case EEXIST:
		return MSB_EXISTS;
	case EBUSY:
	case EAGAIN:
	case ETXTBSY:
		return MSB_BUSY;
	case EPERM:
	case EACCES:
	case EROFS:
		return MSB_PERMISSION;
	case EOPNOTSUPP:
	case ENOSYS:
		return MSB_UNSUPPORTED;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
		return MSB_NO_MEMORY;
	case EMFILE:
	case ENFILE:
	case E2BIG:
		return MSB_LIMIT;
	case EPROTO:
	case EBADMSG:
		return MSB_PROTOCOL;
	case ETIMEDOUT:
		return MSB_TIMEOUT;
	case EIO:
		return MSB_IO;
	default:
		return MSB_FAIL;
	}
}
