/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of libmsb share: see include/msb/base.h for its rules. */
#pragma once

#include <signal.h>

#include "base/base.h"
#include "base/err.h"
#include "base/log.h"

#include "lib/cancel.h"
#include "msb/base.h"

struct msb {
	char home[PATH_MAX];
	char lib_dir[PATH_MAX];
	struct msb_err no_lib; /* why @lib_dir is "" */
	enum log_level log_level; /* of the programs that are started */
	bool children; /* msb_set_children() */
	int cancel_fd; /* -1: none */
	int (*asked)(void *arg);
	void *asked_arg;
};

/** api_fail - tell the caller of the library; returns @r */
int api_fail(struct msb_error *to, const struct msb_err *err, int r);

/** api_result - api_fail() if @r is negative; returns @r */
static inline int api_result(struct msb_error *to, const struct msb_err *err, int r)
{
	return r < 0 ? api_fail(to, err, r) : r;
}

/** api_console - the console of a guest that did not come up, to be called after api_fail() */
void api_console(struct msb_error *to, const char *console);

/** api_lib_dir - the other programs are needed; NULL with a message if they were not found */
const char *api_lib_dir(const struct msb *m, struct msb_err *err);

/* The cancel descriptor of a handle during one call. */
struct api_cancel {
	struct cancel cancel;
	const struct msb *m;
	bool asked;
};

/** api_cancel_begin - for who waits; NULL if the handle has none */
const struct cancel *api_cancel_begin(struct api_cancel *c, const struct msb *m);

/** api_cancel_end - tells @r, and whether it was the caller who wanted the end; returns @r */
int api_cancel_end(struct api_cancel *c, struct msb_error *to, const struct msb_err *err, int r);

/* Keeps SIGPIPE from the thread while it writes to descriptors of the caller. */
struct api_sigpipe {
	sigset_t old;
	bool pending; /* it was before us */
	bool blocked;
};

void api_sigpipe_begin(struct api_sigpipe *s);
void api_sigpipe_end(struct api_sigpipe *s);

/** api_list_dup - a copy of the NULL-terminated list in one piece, for free(); NULL: no memory */
char **api_list_dup(const char *const *list);
