/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error value that travels up to whoever talks to the user.
 *
 * Functions return 0 or a negative errno; functions at the border of a component also fill a
 * `struct msb_err` given by the caller (it may be NULL). The struct is a value on the caller's
 * stack: nothing to free, nothing to allocate, works when memory is gone. The kind decides the exit
 * code.
 */
#pragma once

#include "base/base.h"

/* What went wrong, as far as a caller can act on it. The table in err.c maps each to an exit code.
 */
enum msb_kind {
	MSB_FAIL = 0, /* anything without a better name */
	MSB_USAGE, /* the user's words are off */
	MSB_NOT_FOUND, /* a named thing does not exist */
	MSB_EXISTS, /* a named thing exists already */
	MSB_BUSY, /* in use by somebody else */
	MSB_PERMISSION, /* the host does not let us */
	MSB_UNSUPPORTED, /* this build, host or engine cannot do it */
	MSB_LIMIT, /* a cap was reached */
	MSB_NO_MEMORY, /* memory or disk space is gone */
	MSB_IO, /* the host failed an operation */
	MSB_PROTOCOL, /* the peer sent something it must not */
	MSB_GUEST, /* the guest failed: panic, no boot, lost agent */
	MSB_TIMEOUT, /* a deadline passed */
	MSB_EXEC_NOT_FOUND, /* the command does not exist in the guest */
	MSB_EXEC_DENIED, /* the command exists but cannot be executed */
	MSB_KIND_COUNT
};

struct msb_err {
	int errno_; /* positive errno, 0 if none applies */
	enum msb_kind kind;
	char msg[400]; /* what happened and why, one line, no trailing punctuation */
	char hint[240]; /* how to fix it, may be empty */
	const char *file;
	int line;
};

/**
 * msb_err_set - record a failure
 * @err: where to record, may be NULL
 * @r: negative errno to return
 * @kind: what a caller can do about it
 *
 * Return: @r, so that callers write `return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "...")`.
 */
#define msb_err_set(err, r, kind, ...) msb_err_set_at(err, r, kind, __FILE__, __LINE__, __VA_ARGS__)

int msb_err_set_at(struct msb_err *err, int r, enum msb_kind kind, const char *file, int line,
	const char *fmt, ...) MSB_PRINTF(6, 7);

/** msb_err_usage - like msb_err_set, for words of the user that are off; returns -EINVAL */
#define msb_err_usage(err, ...) msb_err_set(err, -EINVAL, MSB_USAGE, __VA_ARGS__)

/** msb_err_errno - like msb_err_set, with the kind derived from @r and ": <strerror>" appended */
#define msb_err_errno(err, r, ...) msb_err_errno_at(err, r, __FILE__, __LINE__, __VA_ARGS__)

int msb_err_errno_at(struct msb_err *err, int r, const char *file, int line, const char *fmt, ...)
	MSB_PRINTF(5, 6);

/** msb_err_prefix - put "<context>: " before the message on the way up; returns @r */
int msb_err_prefix(struct msb_err *err, int r, const char *fmt, ...) MSB_PRINTF(3, 4);

/** msb_err_hint - say how to fix it; returns @r */
int msb_err_hint(struct msb_err *err, int r, const char *fmt, ...) MSB_PRINTF(3, 4);

/** msb_kind_exit_code - exit status of the CLI for @kind */
int msb_kind_exit_code(enum msb_kind kind);

/** msb_kind_name - stable lower-case name of @kind, for JSON and tests */
const char *msb_kind_name(enum msb_kind kind);

/** msb_kind_from_errno - default kind for a negative errno */
enum msb_kind msb_kind_from_errno(int r);
