/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: handles and errors. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

#include "base/str.h"

#include "lib/api.h"
#include "lib/where.h"
#include "sandbox/state.h"

_Static_assert((int)MSB_LOG_ERRORS == (int)LOG_ERR && (int)MSB_LOG_TRACE == (int)LOG_TRACE,
	"the same numbers");

/* Where meson installs the other programs; what counts when nothing nearer is found. */
#ifndef MSB_INSTALLED
#define MSB_INSTALLED ""
#endif

static const struct {
	enum msb_code code;
	const char *name;
} kinds[] = {
	[MSB_FAIL] = {MSB_E_FAILED, "failed"},
	[MSB_USAGE] = {MSB_E_USAGE, "usage"},
	[MSB_NOT_FOUND] = {MSB_E_NOT_FOUND, "not-found"},
	[MSB_EXISTS] = {MSB_E_EXISTS, "exists"},
	[MSB_BUSY] = {MSB_E_BUSY, "busy"},
	[MSB_PERMISSION] = {MSB_E_PERMISSION, "permission"},
	[MSB_UNSUPPORTED] = {MSB_E_UNSUPPORTED, "unsupported"},
	[MSB_LIMIT] = {MSB_E_LIMIT, "limit"},
	[MSB_NO_MEMORY] = {MSB_E_NO_MEMORY, "no-memory"},
	[MSB_IO] = {MSB_E_IO, "io"},
	[MSB_PROTOCOL] = {MSB_E_PROTOCOL, "protocol"},
	[MSB_GUEST] = {MSB_E_GUEST, "guest"},
	[MSB_TIMEOUT] = {MSB_E_TIMEOUT, "timeout"},
	[MSB_EXEC_NOT_FOUND] = {MSB_E_EXEC_NOT_FOUND, "exec-not-found"},
	[MSB_EXEC_DENIED] = {MSB_E_EXEC_DENIED, "exec-denied"},
};
_Static_assert(ARRAY_SIZE(kinds) == MSB_KIND_COUNT, "every kind has a code");

const char *msb_version(void)
{
	return MSB_VERSION;
}

const char *msb_code_name(int code)
{
	if (code == MSB_OK)
		return "ok";
	if (code == MSB_E_CANCELED)
		return "canceled";
	if (code == MSB_E_NOT_RUNNING)
		return "not-running";
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if ((int)kinds[i].code == code)
			return kinds[i].name;
	}
	return "failed";
}

/* Does the caller's struct have this member? */
#define HAS(to, member) ((to)->size >= offsetof(struct msb_error, member) + sizeof((to)->member))

static void put_text(char *to, size_t size, const char *text)
{
	size_t n = MIN(strlen(text), size - 1);

	/* Not within a character. */
	while (n && text[n] && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	memcpy(to, text, n);
	to[n] = '\0';
}

static void set_code(struct msb_error *to, int code)
{
	if (to && HAS(to, code))
		to->code = code;
}

int api_fail(struct msb_error *to, const struct msb_err *err, int r)
{
	bool told = err->msg[0];

	if (!to)
		return r;
	set_code(to, r == -ENOTCONN ? (int)MSB_E_NOT_RUNNING
				    : (int)kinds[told ? err->kind : msb_kind_from_errno(r)].code);
	if (HAS(to, sys_errno))
		to->sys_errno = -r;
	if (HAS(to, message))
		put_text(to->message, sizeof(to->message), told ? err->msg : strerror(-r));
	if (HAS(to, hint))
		put_text(to->hint, sizeof(to->hint), err->hint);
	if (HAS(to, console))
		to->console[0] = '\0';
	return r;
}

void api_console(struct msb_error *to, const char *console)
{
	if (to && HAS(to, console))
		put_text(to->console, sizeof(to->console), console);
}

static bool has_programs(const char *dir)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/msb-sandbox", dir);

	return n > 0 && (size_t)n < sizeof(path) && access(path, X_OK) == 0;
}

/* PREFIX/lib/libmsb.so, or a program in PREFIX/bin that has it inside, to PREFIX/lib/msb. */
static bool beside_us(char to[PATH_MAX])
{
	cleanup_free char *real = NULL;
	Dl_info info;
	char *slash;

	if (!dladdr(kinds, &info) || !info.dli_fname)
		return false;
	real = realpath(info.dli_fname, NULL);
	slash = real ? strrchr(real, '/') : NULL;
	if (!slash)
		return false;
	*slash = '\0';
	if (snprintf(to, PATH_MAX, "%s/msb", real) < PATH_MAX && has_programs(to))
		return true;
	slash = strrchr(real, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return snprintf(to, PATH_MAX, "%s/lib/msb", real) < PATH_MAX && has_programs(to);
}

static int find_lib_dir(struct msb *m, const char *given, struct msb_err *err)
{
	const char *env = getenv("MSB_LIB");
	int r;

	if (given) {
		cleanup_free char *real = realpath(given, NULL);

		r = real ? str_copy(m->lib_dir, sizeof(m->lib_dir), real) : -errno;
		return r < 0 ? msb_err_errno(err, r, "lib_dir %.300s", given) : 0;
	}
	if ((!env || !*env) && beside_us(m->lib_dir))
		return 0;
	if ((!env || !*env) && MSB_INSTALLED[0] != '\0' && has_programs(MSB_INSTALLED))
		return str_copy(m->lib_dir, sizeof(m->lib_dir), MSB_INSTALLED);
	/* What is wrong with it counts only when it is needed. */
	if (where_lib_dir(m->lib_dir, sizeof(m->lib_dir), &m->no_lib) < 0)
		m->lib_dir[0] = '\0';
	return 0;
}

static int set_home(struct msb *m, const char *given, struct msb_err *err)
{
	char cwd[PATH_MAX];
	int n;

	if (!given)
		return sandbox_home_default(m->home, sizeof(m->home), err);
	if (!given[0])
		return msb_err_usage(err, "the home directory is empty");
	if (given[0] == '/')
		n = snprintf(m->home, sizeof(m->home), "%s", given);
	else if (!getcwd(cwd, sizeof(cwd)))
		return msb_err_errno(err, -errno, "the working directory");
	else
		n = snprintf(m->home, sizeof(m->home), "%s/%s", cwd, given);
	return n < 0 || (size_t)n >= sizeof(m->home) ? msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
							       "the home directory's path "
							       "is too long")
						     : 0;
}

int msb_open(const char *home, const char *lib_dir, struct msb **ret, struct msb_error *error)
{
	struct msb_err err = {0};
	struct msb *m = calloc(1, sizeof(*m));
	int r = m ? 0 : -ENOMEM;

	*ret = NULL;
	if (r == 0) {
		m->cancel_fd = -1;
		m->log_level = LOG_WARN;
		r = set_home(m, home, &err);
	}
	if (r == 0)
		r = find_lib_dir(m, lib_dir, &err);
	if (r < 0) {
		free(m);
		return api_fail(error, &err, r);
	}
	*ret = m;
	return 0;
}

struct msb *msb_close(struct msb *m)
{
	free(m);
	return NULL;
}

const char *msb_home(const struct msb *m)
{
	return m->home;
}

void msb_set_verbosity(struct msb *m, enum msb_verbosity v)
{
	m->log_level = (enum log_level)MIN((unsigned int)v, (unsigned int)LOG_TRACE);
}

void msb_set_children(struct msb *m, int children)
{
	m->children = children != 0;
}

void msb_set_cancel(struct msb *m, int fd, int (*asked)(void *arg), void *arg)
{
	m->cancel_fd = fd;
	m->asked = asked;
	m->asked_arg = arg;
}

const char *api_lib_dir(const struct msb *m, struct msb_err *err)
{
	if (m->lib_dir[0])
		return m->lib_dir;
	*err = m->no_lib;
	if (!err->msg[0])
		(void)msb_err_set(err, -ENOENT, MSB_FAIL, "the installation was not found");
	return NULL;
}

static bool asked(void *arg)
{
	struct api_cancel *c = arg;

	c->asked |= c->m->asked(c->m->asked_arg) != 0;
	return c->asked;
}

const struct cancel *api_cancel_begin(struct api_cancel *c, const struct msb *m)
{
	*c = (struct api_cancel){
		.m = m, .cancel = {.fd = m->cancel_fd, .asked = m->asked ? asked : NULL, .arg = c}};
	return m->cancel_fd >= 0 ? &c->cancel : NULL;
}

int api_cancel_end(struct api_cancel *c, struct msb_error *to, const struct msb_err *err, int r)
{
	struct pollfd p = {.fd = c->cancel.fd, .events = POLLIN};

	if (r >= 0)
		return r;
	(void)api_fail(to, err, r);
	/* There are other reasons for that number. */
	if (r == -ECANCELED && (c->asked || (!c->cancel.asked && p.fd >= 0 && poll(&p, 1, 0) == 1)))
		set_code(to, MSB_E_CANCELED);
	return r;
}

static bool sigpipe_is_pending(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
}

void api_sigpipe_begin(struct api_sigpipe *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	s->pending = sigpipe_is_pending();
	s->blocked = pthread_sigmask(SIG_BLOCK, &set, &s->old) == 0;
}

/* One that came from us is taken away before the mask is as it was. */
void api_sigpipe_end(struct api_sigpipe *s)
{
	static const struct timespec now;
	sigset_t set;

	if (!s->blocked)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (!s->pending && sigpipe_is_pending())
		(void)sigtimedwait(&set, NULL, &now);
	(void)pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}

char **api_list_dup(const char *const *list)
{
	size_t bytes = sizeof(char *);
	size_t n = 0;
	char **copy;
	char *at;

	for (; list[n]; n++)
		bytes += sizeof(char *) + strlen(list[n]) + 1;
	copy = malloc(bytes);
	if (!copy)
		return NULL;
	at = (char *)(copy + n + 1);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(list[i]) + 1;

		copy[i] = memcpy(at, list[i], len);
		at += len;
	}
	copy[n] = NULL;
	return copy;
}
