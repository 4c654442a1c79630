/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a tree step by step, never following a symbolic link and never leaving the tree, also
 * while processes of the guest rename things below.
 */
#pragma once

#include <dirent.h>

#include "base/base.h"

enum { TREE_DEPTH_MAX = 128, TREE_BATCH = 64 };

struct tree_level {
	DIR *dir; /* owned */
	char name[NAME_MAX + 1]; /* in the level above; "" for the top */
};

struct tree {
	unsigned int depth;
	uint64_t removed;
	char path[PATH_MAX];
	struct tree_level levels[TREE_DEPTH_MAX];
};

/** tree_open - the tree at @path, which is a directory; NULL with errno */
struct tree *tree_open(const char *path) MSB_MUST_CHECK;

/** tree_step - remove a batch of entries: 1 to go on, 0 when the tree is gone, or a negative errno
 */
int tree_step(struct tree *t) MSB_MUST_CHECK;

void tree_free(struct tree *t);
