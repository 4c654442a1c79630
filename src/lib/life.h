/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of named sandboxes, one blocking call per step: what create, start, stop, restart, rm
 * and run have in common.
 *
 * Every call copes with other commands that do something to the same sandbox at the same time, and
 * with supervisors that were killed or do not answer: it succeeds, or says why not, and never waits
 * without a limit.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "lib/cancel.h"
#include "sandbox/client.h"
#include "sandbox/spec.h"
#include "sandbox/state.h"

enum { LIFE_STOP_GRACE_MS = 10000, LIFE_GRACE_MAX_MS = 24 * 3600 * 1000 };

static inline uint32_t life_grace_ms(uint64_t ns)
{
	return (uint32_t)MIN(ns / NSEC_PER_MSEC, (uint64_t)LIFE_GRACE_MAX_MS);
}

struct life_error {
	struct msb_err err;
	char console[8192]; /* last lines of a guest that failed, or "" */
};

/*
 * @cancel: a wait that is cancelled ends the sandbox that comes up first: of one that was to be
 * made nothing is left, one that was to be started is stopped; -ECANCELED. May be NULL.
 */

/*
 * Work on the files of a new sandbox before anything runs in it; it needs spec->prepare. Called
 * with the connection of the owner, whose loop it may run; it ends with sandbox_prepared(). What it
 * has opened must last as long as the connection when it returns an error.
 */
struct preparation {
	int (*fn)(void *arg, struct loop *loop, struct sandbox *sb, struct msb_err *err);
	void *arg;
};

/** life_create - make a sandbox and wait until its guest is ready; nothing is left on failure
 * @image_fd: as for sandbox_spawn()
 * @prepare: NULL unless spec->prepare */
int life_create(const struct sandbox_spec *spec, int image_fd, const struct preparation *prepare,
	const struct cancel *cancel, struct life_error *err) MSB_MUST_CHECK;

/** life_start - start a stopped one; -EWOULDBLOCK (MSB_BUSY) when it runs
 * @orphan: as in struct sandbox_spec */
int life_start(const char *home, const char *lib_dir, const char *name, enum log_level level,
	bool orphan, const struct cancel *cancel, struct life_error *err) MSB_MUST_CHECK;

struct life_lock {
	struct sandbox_dir dir;
	struct sandbox_spec spec; /* as it is to be started: of this installation, detached */
};

/** life_lock - take a stopped sandbox in order to start it; life_unlock() */
int life_lock(const char *home, const char *lib_dir, const char *name, struct life_lock *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void life_unlock(struct life_lock *l);

/**
 * life_stop - end a running one; success if it does not run
 * @grace_ms: time for its processes between SIGTERM and SIGKILL
 * @force: switch the machine off at once
 */
int life_stop(const char *home, const char *name, uint32_t grace_ms, bool force,
	struct msb_err *err) MSB_MUST_CHECK;

/** life_signal - a signal to the main process of a running one */
int life_signal(const char *home, const char *name, int signo, struct msb_err *err) MSB_MUST_CHECK;

/* What can be changed while it runs. */
struct life_change {
	uint32_t cpus; /* 0: as they are */
	uint32_t mem_mib;
	bool defaults; /* @cwd and @env (NULL: none) are those of later commands */
	const char *cwd;
	const char *const *env;
	/* What it has so far, with the above: everything changes, or nothing. */
	uint32_t old_cpus;
	uint32_t old_mem_mib;
};

/** life_change - change a running one; waits for the guest, within limits
 *
 * If the guest refuses, @err says what it did, and everything is as it was, as far as the guest
 * allows.
 */
int life_change(const char *home, const char *name, const struct life_change *c,
	struct msb_err *err) MSB_MUST_CHECK;

/** life_secrets - other secrets for new connections of a running one; @fd: their values
 * (secret_value_write()), owned from here on, also on failure */
int life_secrets(const char *home, const char *name, const struct secret_settings *s, int fd,
	struct msb_err *err) MSB_MUST_CHECK;

/** life_policy - other rules for the network of a running one: what is open and not allowed by them
 * any more is reset */
int life_policy(const char *home, const char *name, const struct policy *policy,
	struct msb_err *err) MSB_MUST_CHECK;

/** life_await_turn - of several who change the description of a sandbox each waits for the one
 * before; until @dir_fd is closed. Where a file system knows no such lock the last of two wins */
void life_await_turn(int dir_fd);

/** life_remove - with its directory; a running one only with @force, else -EWOULDBLOCK (MSB_BUSY)
 */
int life_remove(const char *home, const char *name, bool force, struct msb_err *err) MSB_MUST_CHECK;

/** life_await_listening - a sandbox that runs takes clients, or has ended; 0 or a negative errno */
int life_await_listening(const char *home, const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** life_wait - until it does not run; -ETIMEDOUT after @timeout_ns (0: no limit) */
int life_wait(const char *home, const char *name, uint64_t timeout_ns, const struct cancel *cancel,
	struct msb_err *err) MSB_MUST_CHECK;

/** life_rename - another name for a stopped one */
int life_rename(const char *home, const char *name, const char *to, struct msb_err *err)
	MSB_MUST_CHECK;
