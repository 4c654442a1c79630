/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this directory. */
#pragma once

#include "image/snapshot/snapshot.h"

#define SNAPSHOT_NEW_PREFIX ".new-"

/** snapshot_each_entry - every name in the directory @path, but for . and ..; a directory that is
 * missing is empty; a negative result of @fn ends the walk and is returned */
int snapshot_each_entry(const char *path, int (*fn)(int parent_fd, const char *name, void *arg),
	void *arg) MSB_MUST_CHECK;
