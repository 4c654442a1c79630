/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: $MSB_HOME/snapshots/<name>/{snapshot.json, upper.ext4}, or such a directory elsewhere.
 *
 * Whatever has a name is whole and never changes. It is made as .new-XXXXXXXX, locked by a flock on
 * the directory itself, and appears by rename; it goes by rename to such a name, and then file by
 * file. What a killed process left has a free lock and is removed by the next snapshot_reap().
 *
 * Nothing is opened through a symbolic link below the directory of all snapshots.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"

#include "image/snapshot/manifest.h"

struct snapshot {
	char name[LIMIT_SANDBOX_NAME + 1]; /* of the directory */
	char path[PATH_MAX]; /* absolute */
	char digest[DIGEST_TEXT]; /* of the manifest's text */
	int fd; /* owned; the directory */
	struct snapshot_manifest m;
};

/** snapshot_name_check - as names of sandboxes */
int snapshot_name_check(const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** snapshots_dir - path of the directory of all of them */
int snapshots_dir(const char *home, char ret[PATH_MAX], struct msb_err *err) MSB_MUST_CHECK;

/**
 * snapshot_open - the snapshot that @word names: by a path if there is a slash in it, else by its
 * name, else by the beginning of its digest
 * @ret: snapshot_close(), also after a failure
 *
 * Return: 0; -ENOENT (MSB_NOT_FOUND); -EINVAL for what is damaged.
 */
int snapshot_open(const char *home, const char *word, struct snapshot *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** snapshot_open_disk - its disk, for reading; the size was compared with the manifest's */
int snapshot_open_disk(const struct snapshot *s, int *ret_fd, struct msb_err *err) MSB_MUST_CHECK;
void snapshot_close(struct snapshot *s);

struct snapshot_list {
	struct snapshot *items; /* sorted by name; without descriptors */
	size_t n;
	char (*damaged)[LIMIT_SANDBOX_NAME + 1]; /* names of what cannot be read */
	size_t n_damaged;
};

/** snapshot_list_get - all below @home; snapshot_list_deinit() */
int snapshot_list_get(const char *home, struct snapshot_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
void snapshot_list_deinit(struct snapshot_list *list);

/* One that is being made. */
struct snapshot_new {
	int parent_fd;
	int fd; /* locked */
	char temporary[16];
	const char *name; /* borrowed; NULL until it is known, at the latest for publishing */
};

/**
 * snapshot_new_begin - @parent: directory that gets it, made if it is missing
 * @ret: snapshot_new_end(), also after a failure
 */
int snapshot_new_begin(const char *parent, const char *name, bool replace, struct snapshot_new *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** snapshot_new_disk - the empty file for the disk; the caller closes it */
int snapshot_new_disk(const struct snapshot_new *n, int *ret_fd, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * snapshot_new_publish - the disk is there: sync all, write the manifest, give it its name
 * @replace: instead of one that has the name
 * Return: 0, -EEXIST (MSB_EXISTS), or another negative errno.
 */
int snapshot_new_publish(struct snapshot_new *n, const void *manifest, size_t len, bool replace,
	struct msb_err *err) MSB_MUST_CHECK;

/** snapshot_new_end - removes what was not published */
void snapshot_new_end(struct snapshot_new *n);

/** snapshot_remove - @s is gone at once, its space a moment later */
int snapshot_remove(const struct snapshot *s, struct msb_err *err) MSB_MUST_CHECK;

/** snapshot_reap - remove what killed processes left below @home; number, or a negative errno */
int snapshot_reap(const char *home);
