/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system for the guest of tests: a few small files by full path, on the sandbox's root disk.
 *
 * Like a kernel's, it keeps in memory what is written until it is synced: who kills the machine
 * loses that, who stops it in order does not.
 */
#pragma once

#include "base/base.h"

enum { FAKE_FILES = 64, FAKE_FILE_MAX = 64 * 1024, FAKE_NAME_MAX = 112 };

struct fake_file {
	char name[FAKE_NAME_MAX]; /* "": free */
	uint32_t size;
	bool dirty;
	uint8_t *data; /* owned */
};

struct fake_store {
	int fd; /* not owned; negative: nothing is kept */
	struct fake_file files[FAKE_FILES];
};

/** fake_store_load - what was synced to @fd; a disk that nobody synced to is empty */
int fake_store_load(struct fake_store *st, int fd) MSB_MUST_CHECK;
int fake_store_sync(struct fake_store *st) MSB_MUST_CHECK;
void fake_store_deinit(struct fake_store *st);

/** fake_store_find - NULL when there is none */
struct fake_file *fake_store_find(struct fake_store *st, const char *name);

/** fake_store_make - an empty file of this name; NULL when there is no room for one more */
struct fake_file *fake_store_make(struct fake_store *st, const char *name);

/** fake_file_append - -EFBIG beyond FAKE_FILE_MAX */
int fake_file_append(struct fake_file *f, const void *p, size_t n) MSB_MUST_CHECK;
