/* SPDX-License-Identifier: Apache-2.0 */
/* The image of the store that a reference means: see image-fetch.h. */
#include "cli/image-fetch.h"

#include <sys/stat.h>

#include "base/str.h"

#include "image/store/store.h"

/* Nothing is started for what is here: that is what a repeated run costs. */
static int look_up(struct image *im, const char *home, struct msb_err *err)
{
	struct store *store = NULL;
	int r = store_open(home, &store, err);

	if (r == 0)
		r = store_ref_get(store, &im->ref, im->digest, err);
	store_close(store);
	return r;
}

static int download(struct image *im, const char *word, const struct image_fetch_opts *opts,
	int *ret_signal, struct msb_err *err)
{
	struct pull_result result = {.layers = 0};
	struct config config = {0};
	struct pull_opts po = {
		.home = opts->home,
		.lib_dir = opts->lib_dir,
		.config = &config,
		.policy = opts->policy,
		.quiet = opts->quiet,
	};
	int r = config_load(opts->home, &config, err);

	if (r < 0)
		return r;
	r = pull_image(&po, word, &im->ref, &result, ret_signal, err);
	if (r == 0)
		memcpy(im->digest, result.digest, sizeof(im->digest));
	config_deinit(&config);
	return r;
}

int image_fetch(struct image *im, const char *word, const struct image_fetch_opts *opts,
	int *ret_signal, struct msb_err *err)
{
	char quoted[160];
	struct stat st;
	int r = -ENOENT;

	*ret_signal = 0;
	if (im->kind != IMAGE_OCI)
		return 0;
	if (opts->policy != PULL_ALWAYS)
		r = look_up(im, opts->home, err);
	if (r != -ENOENT)
		return r;
	if (opts->policy == PULL_NEVER) {
		r = msb_err_set(err, r, MSB_NOT_FOUND, "image %s is not here",
			str_quote(quoted, sizeof(quoted), word, strlen(word)));
		return msb_err_hint(err, r, "get it with 'msb pull %.100s'", word);
	}
	r = download(im, word, opts, ret_signal, err);
	if (r < 0 && !*ret_signal)
		r = msb_err_prefix(err, r, "image %s",
			str_quote(quoted, sizeof(quoted), word, strlen(word)));
	/* Somebody who has such a file may have meant that. */
	if (r < 0 && !*ret_signal && lstat(word, &st) == 0)
		return msb_err_hint(err, r, "for the %s of that name write ./%.100s",
			S_ISDIR(st.st_mode) ? "directory" : "file", word);
	return r;
}
