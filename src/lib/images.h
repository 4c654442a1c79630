/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of the store as commands name and judge them: by reference or by the beginning of a
 * digest, and whether a sandbox needs them.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/snapshot/snapshot.h"
#include "image/store/store.h"
#include "sandbox/info.h"

enum { IMAGE_PREFIX_MIN = 6 }; /* digits of a digest that may name an image */

struct image_name {
	bool by_ref; /* @ref means it; otherwise the digest was given */
	struct image_ref ref;
	char digest[REF_DIGEST_LEN + 1];
};

/**
 * image_find - the image of the store that @word means
 *
 * Return: 0; -ENOENT with the nearest name or `msb pull` as the hint; -EINVAL for what is no name,
 * or the beginning of several digests.
 */
int image_find(const struct store *s, const char *word, struct image_name *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** image_nearest - reference in the store that is spelled almost as @ref; false if none is */
bool image_nearest(const struct store *s, const struct image_ref *ref, char ret[REF_TEXT_MAX + 1]);

/* A reference of the store, or an image without one. */
struct image_entry {
	bool has_ref;
	struct image_ref ref;
	char text[REF_TEXT_MAX + 1]; /* short form of @ref, "" without */
	char digest[REF_DIGEST_LEN + 1];
};

struct image_list {
	size_t n;
	size_t cap;
	struct image_entry *items; /* by text; those without reference last */
};

/** image_list_get - everything there is; image_list_deinit() */
int image_list_get(const struct store *s, struct image_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
void image_list_deinit(struct image_list *list);

/* What keeps images: sandboxes, and snapshots of them. */
struct image_users {
	struct sandbox_list sandboxes;
	struct snapshot_list snapshots;
	/* Of a directory of theirs that cannot be read; empty: they can. */
	struct msb_err unread[2];
};

/** image_users_get - image_users_deinit(), also after a failure */
int image_users_get(const char *home, struct image_users *ret, struct msb_err *err) MSB_MUST_CHECK;
void image_users_deinit(struct image_users *u);

/** image_user - name of a sandbox or a snapshot that needs the image @digest, NULL if none does
 *
 * One whose description cannot be read may need any image; it is named if nobody else is.
 * @ret_what: "sandbox", "snapshot", or "directory" of them; may be NULL
 */
const char *image_user(const struct image_users *u, const char *digest, const char **ret_what);

/* What cannot be read and may need any image. Strings are those of the struct image_users. */
struct image_doubt {
	const char *what; /* as of image_user() */
	const char *name; /* of a directory: "" */
	const char *why;
};

/** image_doubt - the one of index @i; false: there are no more */
bool image_doubt(const struct image_users *u, size_t i, struct image_doubt *ret);
