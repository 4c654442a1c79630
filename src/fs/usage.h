/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many bytes a volume with a size holds.
 *
 * The number lies in a file beside the volume's directory that all its servers map. The first of
 * them counts the files; the lock of that file (flock, of its open file description) says who is
 * first: exclusive while somebody counts, shared by everybody who serves.
 */
#pragma once

#include "base/base.h"

enum { FS_USAGE_SIZE = 4096 }; /* of the file */

/**
 * fs_usage_attach - the count of the volume at @dir_fd, which is right from then on
 * @fd: the file, of FS_USAGE_SIZE bytes, a description of the caller's own
 * @ret: mapped until the process ends, which keeps the lock, too
 *
 * May wait for another process that counts.
 */
int fs_usage_attach(int fd, int dir_fd, int64_t **ret) MSB_MUST_CHECK;

/** fs_usage_count - bytes as quotas count them (quota.c) below @dir_fd, by looking at every file */
int fs_usage_count(int dir_fd, uint64_t *ret) MSB_MUST_CHECK;
