/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IMAGE word of `msb run`: what it names, and the root device that comes out of it.
 *
 * `base` is the image of the installation. What starts with '.', '/' or '~', or ends like a disk
 * image, is a path, and so is what has a slash and exists; any other name is that of an image in a
 * registry, which image-fetch.h brings into the store. A directory is packed into an EROFS image in
 * an unnamed file under $MSB_HOME/cache, so nothing is left behind however the command ends. A file
 * is looked at: EROFS is read below a scratch layer, ext2/3/4 is the root itself, written in place.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"
#include "image/store/store.h"
#include "lib/convert.h"
#include "sandbox/spec.h"

struct image {
	enum sandbox_image_kind kind;
	char path[PATH_MAX]; /* file of the root device, "" when @fd is it */
	int fd; /* owned, -EBADF unless packed */
	enum msg_root_kind root_kind;
	const char *fstype;
	enum disk_format format; /* of the file at @path; image_pack() makes it raw */
	/* IMAGE_OCI: what image_fetch() gets, and what it found. */
	struct image_ref ref;
	char digest[REF_DIGEST_LEN + 1];
	struct store *store; /* held open, so that the image stays there; image_release() */
};

/**
 * image_resolve - find what @word names, without changing anything
 * @lib_dir: where the image `base` lies
 */
int image_resolve(const char *word, const char *lib_dir, struct image *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** image_path_hint - say that there is a path of that name, if so; returns @r */
int image_path_hint(const char *word, int r, struct msb_err *err);

/** image_expand_home - @word with ~ at its start replaced by the home directory */
int image_expand_home(const char *word, char *to, size_t size, struct msb_err *err) MSB_MUST_CHECK;

/** image_pack - a directory or an image of another format becomes a raw image in @fd; nothing to do
 * for other kinds */
int image_pack(struct image *im, const char *home, struct msb_err *err) MSB_MUST_CHECK;

void image_deinit(struct image *im);
