/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree that a guest has made. */
#pragma once

#include "base/base.h"

/**
 * volume_tree_remove - remove the directory @name of @parent_fd with all it holds
 *
 * However deep it is, two directories are open at a time: what lies below is moved up before it is
 * removed. Symbolic links are removed, never followed. Interrupted, it can be called again.
 */
int volume_tree_remove(int parent_fd, const char *name) MSB_MUST_CHECK;
