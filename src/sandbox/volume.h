/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named volumes: $MSB_HOME/volumes/<name>/{volume.json, lock, data/ or disk.raw, usage}.
 *
 * A directory volume is shared by any number of sandboxes at once; its size, if it has one, bounds
 * what all files together may take (fs/usage.h). A disk volume is a raw image with an ext4 file
 * system, for one sandbox at a time, or for any number that only read it.
 *
 * Whoever uses a volume holds its lock (flock, shared); removing takes it exclusively and never
 * waits. A volume appears whole, by rename, and disappears by rename before its files are removed.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"

enum volume_kind { VOLUME_DIR, VOLUME_DISK };

extern const char *const volume_kind_names[]; /* "dir", "disk", NULL */

struct volume_info {
	char name[LIMIT_SANDBOX_NAME + 1];
	enum volume_kind kind;
	uint64_t size_bytes; /* 0: a directory without bound */
	uint64_t created_ns; /* CLOCK_REALTIME */
};

/** volume_name_check - the rules are those of sandboxes */
int volume_name_check(const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** volume_size_check - may a volume of @kind have @bytes? */
int volume_size_check(enum volume_kind kind, uint64_t bytes, struct msb_err *err) MSB_MUST_CHECK;

/** volume_create - name, kind and size of @info; -EEXIST (MSB_EXISTS) */
int volume_create(const char *home, const struct volume_info *info, struct msb_err *err)
	MSB_MUST_CHECK;

/** volume_get - -ENOENT (MSB_NOT_FOUND) */
int volume_get(const char *home, const char *name, struct volume_info *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** volume_used - bytes that it takes on the host; of a directory, as its size counts them */
int volume_used(const char *home, const struct volume_info *info, uint64_t *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** volume_path - of the directory or the image */
void volume_path(const char *home, const struct volume_info *info, char ret[PATH_MAX]);

/** volume_remove - with what it holds; -EWOULDBLOCK (MSB_BUSY) while a sandbox runs with it */
int volume_remove(const char *home, const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** volume_reap - remove what interrupted commands left behind */
void volume_reap(const char *home);

struct volume_list {
	struct volume_info *items; /* sorted by name */
	size_t n;
};

/** volume_list_get - all of them; volume_list_deinit(). One that cannot be read is left out */
int volume_list_get(const char *home, struct volume_list *ret, struct msb_err *err) MSB_MUST_CHECK;
void volume_list_deinit(struct volume_list *list);

/* A volume in use. */
struct volume {
	struct volume_info info;
	int lock_fd; /* in use as long as it is open */
	int fd; /* the directory (O_PATH) or the image */
	int usage_fd; /* directory with a size, else -1 */
};

/** volume_attach - -EWOULDBLOCK (MSB_BUSY) for a disk that another sandbox writes to */
int volume_attach(const char *home, const char *name, bool read_only, struct volume *ret,
	struct msb_err *err) MSB_MUST_CHECK;

void volume_init(struct volume *v);
void volume_close(struct volume *v);
