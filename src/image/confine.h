/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs that bring images can touch while they work: msb-pull and msb-archive.
 *
 * They run large libraries, or parsers, on the words of strangers, as the user. Whoever takes one
 * over by them keeps the image store and, in msb-pull, the network; the user's other files are out
 * of reach, as far as the kernel has Landlock.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { CONFINE_NETWORK = 1 }; /* the network stays, and what libraries need for it */

/**
 * image_confine - from now on only the store is written, only the system and the store are read
 * @home: $MSB_HOME, with its images directory
 * @layer_program: stays executable
 * @flags: CONFINE_NETWORK
 * @dir_fd: a directory to read, -EBADF: none
 *
 * Context: before any thread, after everything of the user's was read. Without Landlock, or with
 * one that cannot tell a rename from a theft (version 1), nothing changes.
 */
int image_confine(const char *home, const char *layer_program, unsigned int flags, int dir_fd,
	struct msb_err *err) MSB_MUST_CHECK;
