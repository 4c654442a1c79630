/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandbox directories: $MSB_HOME/sandboxes/<name>/{lock, spec.json, state.json, agent.sock, ...}.
 *
 * The directory is the database. A lock on `lock`, held by the supervisor for its whole life,
 * means alive; spec.json appears by rename and says whether the directory outlives its supervisor;
 * state.json is what the supervisor last said (record.h).
 * A directory whose lock is free is a stopped sandbox, or left-over of a killed one: if ephemeral,
 * or without spec.json or with `unmade` (killed while being created), whoever comes next removes
 * it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "sandbox/spec.h"

#define SANDBOX_LOCK   "lock"
#define SANDBOX_SPEC   "spec.json"
#define SANDBOX_SOCKET "agent.sock"
#define SANDBOX_LOG    "kernel.log"
#define SANDBOX_STATE  "state.json"
#define SANDBOX_IMAGE  "image.erofs" /* made for this sandbox alone */
#define SANDBOX_UNMADE "unmade" /* its owner still works on the guest's files: not to be kept */
#define SANDBOX_UPPER  "upper.ext4" /* root disk, unless it has no name */

/** sandbox_name_check - 1 to 128 bytes, first one alphanumeric, the rest of [A-Za-z0-9._-] */
int sandbox_name_check(const char *name, struct msb_err *err) MSB_MUST_CHECK;

enum { SANDBOX_NAME_GENERATED = 13 };

/** sandbox_name_generate - "msb-" and 8 random hex digits */
int sandbox_name_generate(char ret_name[SANDBOX_NAME_GENERATED]) MSB_MUST_CHECK;

/** sandbox_hostname - @name if it is short enough, else a prefix of it and a digest */
void sandbox_hostname(const char *name, char ret_hostname[LIMIT_HOSTNAME + 1]);

/** sandbox_home_default - $MSB_HOME or ~/.microsandbox as an absolute path */
int sandbox_home_default(char *to, size_t size, struct msb_err *err) MSB_MUST_CHECK;

/**
 * sandbox_reap_stale - remove what killed supervisors left behind
 *
 * Never waits, never follows a symbolic link, leaves alone whatever does not look like ours. Call
 * it off the start path, e.g. while the guest boots.
 *
 * Return: number of directories removed, or a negative errno when the place cannot be read.
 */
int sandbox_reap_stale(const char *home);

/** sandbox_dir_unmade - its creator is not done with the guest's files, or was killed over them */
bool sandbox_dir_unmade(int dir_fd);

/* A directory held by its supervisor. */
struct sandbox_dir {
	int parent_fd; /* $MSB_HOME/sandboxes */
	int fd;
	int lock_fd;
	char name[LIMIT_SANDBOX_NAME + 1];
};

/** sandbox_dir_create - make and lock the directory of @name; -EEXIST (MSB_EXISTS) if it is alive
 * or persistent. Nothing is left behind on failure. */
int sandbox_dir_create(const char *home, const char *name, struct sandbox_dir *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** sandbox_dir_remove - remove the held directory with its files; the lock goes last */
int sandbox_dir_remove(struct sandbox_dir *d);

/** sandbox_dir_close - let go; legal on a closed or removed one */
void sandbox_dir_close(struct sandbox_dir *d);

/** sandbox_dir_find - descriptor of the directory of @name, without a lock; -ENOENT */
int sandbox_dir_find(const char *home, const char *name, int *ret_fd, struct msb_err *err)
	MSB_MUST_CHECK;

/** sandbox_dir_alive - does a supervisor hold the lock of the directory? Takes no lock itself */
bool sandbox_dir_alive(int dir_fd);

/** sandbox_lock_open - the same in two steps, for who asks more than once; a descriptor */
int sandbox_lock_open(int dir_fd);
/** sandbox_lock_held - @lock_fd: of sandbox_lock_open(), also a failed one */
bool sandbox_lock_held(int lock_fd);

/**
 * sandbox_dir_lock - take an existing, persistent, stopped one
 *
 * Return: 0, -EWOULDBLOCK (MSB_BUSY) when it runs, -ENOENT, or another negative errno.
 */
int sandbox_dir_lock(const char *home, const char *name, struct sandbox_dir *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** sandbox_dir_adopt - from inherited descriptors, consumed on success */
int sandbox_dir_adopt(const char *home, const char *name, int dir_fd, int lock_fd,
	struct sandbox_dir *ret, struct msb_err *err) MSB_MUST_CHECK;

/** sandbox_dir_rename - another name for the held one; -EEXIST (MSB_EXISTS) when it is taken */
int sandbox_dir_rename(struct sandbox_dir *d, const char *name, struct msb_err *err) MSB_MUST_CHECK;

/* @dir_fd is closed after the call; a value other than 0 ends the walk and is returned. */
typedef int sandbox_each_fn(const char *name, int dir_fd, void *arg);

/** sandbox_each - call @fn for every directory with a sandbox's name, in no order */
int sandbox_each(const char *home, sandbox_each_fn *fn, void *arg) MSB_MUST_CHECK;
