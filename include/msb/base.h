/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmsb: errors, and the handle that everything begins with.
 *
 * Rules of the whole library:
 *
 * - A function that can fail returns 0 (or what it says) on success and a negative errno on
 *   failure, and fills the struct msb_error that it was given; that may be NULL.
 * - Nothing is printed, no signal disposition is changed, and exit() is never called. SIGPIPE does
 *   not reach the process from inside a call. Callbacks may do what they like except call the
 *   function they are called from on the same object.
 * - There are no global variables. Different threads may use different objects at the same time;
 *   one object is used by one thread at a time. A struct msb does not change between its last
 *   setter and msb_close(): until then any number of threads may use it at once.
 * - Calls block. Those that wait for a guest or a registry end early when the handle's cancel
 *   descriptor says so, see msb_set_cancel().
 * - Text that comes out of a sandbox (output, names and targets of files, the console, log entries)
 *   was chosen by code that may be hostile. It is bounded, and that is all: look at it before you
 *   print it or take it for a path.
 * - Strings are UTF-8 and end with NUL. What a getter returns lives as long as its object.
 *
 * Struct types without members here are made and freed by the library and may grow. The others
 * begin with `size`, which the caller sets (the MSB_..._INIT macros do): the library fills in what
 * fits, so a program keeps working with a library that knows more members.
 */
#ifndef MSB_BASE_H
#define MSB_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MSB_API __attribute__((visibility("default")))
#else
#define MSB_API
#endif

/* Goes up with every addition. */
#define MSB_API_LEVEL 3

/** msb_version - of the library that runs, "1.2.3" */
MSB_API const char *msb_version(void);

/* What a caller can do about a failure. Further codes may come: treat unknown ones as MSB_E_FAILED.
 */
enum msb_code {
	MSB_OK = 0,
	MSB_E_FAILED, /* anything without a better name */
	MSB_E_USAGE, /* the caller's words are off */
	MSB_E_NOT_FOUND, /* a named thing does not exist */
	MSB_E_EXISTS, /* a named thing exists already */
	MSB_E_BUSY, /* in use, or (for what must be stopped) running */
	MSB_E_PERMISSION, /* the host does not let us */
	MSB_E_UNSUPPORTED, /* this build, host or engine cannot do it */
	MSB_E_LIMIT, /* a cap was reached */
	MSB_E_NO_MEMORY, /* memory or disk space is gone */
	MSB_E_IO, /* the host failed an operation */
	MSB_E_PROTOCOL, /* the other side sent something it must not */
	MSB_E_GUEST, /* the guest failed: panic, no boot, lost agent */
	MSB_E_TIMEOUT, /* a deadline passed */
	MSB_E_EXEC_NOT_FOUND, /* the command does not exist in the guest */
	MSB_E_EXEC_DENIED, /* the command exists but cannot be executed */
	MSB_E_CANCELED, /* as the cancel descriptor asked */
	MSB_E_NOT_RUNNING /* the sandbox does not run */
};

/** msb_code_name - stable lower-case name, "not-found" */
MSB_API const char *msb_code_name(int code);

struct msb_error {
	size_t size; /* set by the caller: MSB_ERROR_INIT */
	int code; /* enum msb_code */
	int sys_errno; /* positive errno, 0 if none applies */
	char message[512]; /* what happened and why, one line */
	char hint[256]; /* how to fix it, may be "" */
	char console[8192]; /* last lines of a guest that did not come up, may be "" */
};

/* clang-format off */
#ifdef __cplusplus
#define MSB_ERROR_INIT {sizeof(struct msb_error), 0, 0, "", "", ""}
#else
/* With the rest left out compilers clear it instead of copying 9 KiB of zeros from the program. */
#define MSB_ERROR_INIT {.size = sizeof(struct msb_error)}
#endif
/* clang-format on */

/* An installation and the place of its sandboxes. */
struct msb;

/**
 * msb_open - begin
 * @home: directory of sandboxes, images and volumes; NULL: $MSB_HOME, or ~/.microsandbox
 * @lib_dir: lib/msb of the installation, where the other programs are; NULL: $MSB_LIB, or beside
 * the library, or where it was installed
 * @ret: msb_close()
 *
 * Starts and reads nothing. The environment is read here and, for PATH, HOME and the variables of
 * proxies, when programs are started: do not change it meanwhile.
 */
MSB_API int msb_open(
	const char *home, const char *lib_dir, struct msb **ret, struct msb_error *err);

/** msb_close - NULL is fine. Return: NULL */
MSB_API struct msb *msb_close(struct msb *m);

MSB_API const char *msb_home(const struct msb *m);

/* What the programs that the library starts say on the standard error of the process. */
enum msb_verbosity {
	MSB_LOG_ERRORS = 0,
	MSB_LOG_WARNINGS, /* the default */
	MSB_LOG_INFO,
	MSB_LOG_DEBUG,
	MSB_LOG_TRACE
};

MSB_API void msb_set_verbosity(struct msb *m, enum msb_verbosity v);

/** msb_set_children - @children: supervisors of sandboxes that commands start are children of the
 * process, which hears of their ends by SIGCHLD; otherwise, as of all other sandboxes, of nobody */
MSB_API void msb_set_children(struct msb *m, int children);

/**
 * msb_set_cancel - how calls with this handle are ended from outside
 * @fd: borrowed, e.g. an eventfd, a signalfd or the end of a pipe; -1: none
 * @asked: called when @fd is readable: takes what is there to read and returns whether to end.
 * NULL: being readable means to end, and the library reads nothing
 *
 * msb_create(), msb_start(), msb_wait(), msb_modify() while it restarts, msb_exec(), processes,
 * msb_logs_wait(), monitors, and what talks with a registry listen to it. They return
 * -ECANCELED when they have put things in order: a sandbox that was to be created is gone, one that
 * was to be started is stopped, a command is killed, a download can be continued later.
 */
MSB_API void msb_set_cancel(struct msb *m, int fd, int (*asked)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
