/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images out of the store.
 *
 * Removing is forgetting a reference; what nobody refers to any more is then collected.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "image/store/store.h"

struct image_removal {
	char home[PATH_MAX];
	bool force; /* also what is needed: it stays on disk as long as it is */
	/* What stays, and the sandbox or snapshot that needs it; may be NULL */
	void (*kept)(void *arg, const char *what, const char *user, const char *word);
	void *arg;
	struct opt_list digests; /* private: of images without a name now */
};

/** image_remove - forget a reference, or all of an image that is given by its digest; any number of
 * times before image_remove_end() */
int image_remove(struct image_removal *m, const char *word, struct msb_err *err) MSB_MUST_CHECK;

/** image_remove_end - collect what has no name now; -EBUSY: it stays until a later collection */
int image_remove_end(struct image_removal *m, struct msb_err *err) MSB_MUST_CHECK;

struct image_doubt;

/**
 * image_prune - everything that neither sandboxes nor snapshots need
 * @doubt: called with what cannot be read and may need any image; then every image stays, and only
 *	what belongs to none goes. NULL: nobody wants to know
 */
int image_prune(const char *home, void (*doubt)(void *arg, const struct image_doubt *d), void *arg,
	struct store_gc_report *ret, struct msb_err *err) MSB_MUST_CHECK;
