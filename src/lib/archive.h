/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from and into archives: starts msb-archive and tells how it ended.
 *
 * Everything dangerous happens in msb-archive and its workers. It dies with us, so an interrupt
 * needs no care: names change at the very end, a file appears at the very end.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

/**
 * archive_load - images of the archive @fd, or of the directory, into the store
 * @lib_dir: NULL: that of the running program
 * @tag: further reference of the first image, NULL: none
 * @loaded: told of each reference, may end it with a negative errno; NULL: not told
 */
int archive_load(const char *home, const char *lib_dir, int fd, const char *tag,
	int (*loaded)(void *arg, const char *ref), void *arg, struct msb_err *err) MSB_MUST_CHECK;

/**
 * archive_load_snapshot - a snapshot out of the archive @fd
 * @lib_dir: NULL: that of the running program
 * @disk_fd: empty file that gets its disk
 * @text_fd: empty file that gets its name, a newline, and the text of its manifest
 *
 * Nothing is verified: what came may be anything.
 */
int archive_load_snapshot(const char *home, const char *lib_dir, int fd, int disk_fd, int text_fd,
	struct msb_err *err) MSB_MUST_CHECK;

/** archive_save - the images @refs (ends with NULL) to @fd */
int archive_save(const char *home, const char *lib_dir, int fd, const char *const *refs,
	const char *format, struct msb_err *err) MSB_MUST_CHECK;
