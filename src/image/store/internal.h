/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the store's files. */
#pragma once

#include "base/json.h"

#include "image/store/store.h"

enum { STORE_HEX = 64, STORE_JSON_MAX = 1024 * 1024, WORK_NAME = 20 };

struct store {
	int root_fd; /* $MSB_HOME/images */
	int lock_fd;
	int tmp_fd;
	int parts_fd;
	int layers_fd;
	int manifests_fd;
	int refs_fd;
};

/* An entry of tmp/: a directory locked through @fd until it is published or dropped. */
struct store_work {
	struct store *s;
	char name[WORK_NAME + 1];
	int fd;
};

/** digest_hex - the digits behind "sha256:"; @digest was checked */
static inline const char *digest_hex(const char *digest)
{
	return digest + 7;
}

/** store_open_locked - open with the given flock() operation on the lock file; -EBUSY when it would
 * wait */
int store_open_locked(const char *home, int lock, struct store **ret, struct msb_err *err)
	MSB_MUST_CHECK;

int work_begin(struct store *s, struct store_work **ret, struct msb_err *err) MSB_MUST_CHECK;

/** work_file - new file @name in the work directory */
int work_file(struct store_work *w, const char *name, int *ret_fd, struct msb_err *err)
	MSB_MUST_CHECK;

/** work_put - write @n bytes as file @name */
int work_put(struct store_work *w, const char *name, const void *p, size_t n, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * work_publish - sync everything and move the directory to @to_fd/@hex
 * Return: 0 also when something of that name is there already, which then stays.
 */
int work_publish(struct store_work *w, int to_fd, const char *hex, struct msb_err *err)
	MSB_MUST_CHECK;

/** store_remove - make @from_fd/@name vanish at once, then free its space; adds it to @bytes */
int store_remove(struct store *s, int from_fd, const char *name, uint64_t *bytes,
	struct msb_err *err) MSB_MUST_CHECK;

/** store_each_hex - call @fn for every entry of @dir_fd that is a digest's digits */
int store_each_hex(int dir_fd, int (*fn)(void *arg, const char *digest), void *arg) MSB_MUST_CHECK;

/** store_refs_tidy - remove empty directories of references; @s is locked exclusively */
void store_refs_tidy(const struct store *s);
