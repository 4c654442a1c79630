/* SPDX-License-Identifier: Apache-2.0 */
/* The image of the store that a reference means: see image-fetch.h. */
#include "lib/image-fetch.h"

#include "base/str.h"

#include "lib/images.h"

/* Nothing is started for what is here: that is what a repeated run costs. */
static int look_up(struct image *im, struct msb_err *err)
{
	cleanup_with(store_image_deinit) struct store_image image = {.n_layers = 0};
	int r = store_ref_get(im->store, &im->ref, im->digest, err);

	/* A reference without its image is what a damaged store has: a pull repairs it. */
	return r < 0 ? r : store_image_get(im->store, im->digest, &image, err);
}

static int download(struct image *im, const char *word, const struct image_fetch_opts *opts,
	struct msb_err *err)
{
	struct pull_result result = {.layers = 0};
	struct config config = {0};
	struct pull_opts po = {
		.home = opts->home,
		.lib_dir = opts->lib_dir,
		.config = &config,
		.policy = opts->policy,
		.insecure = opts->insecure,
		.ca_file = opts->ca_file,
		.quiet = opts->quiet,
		.watch = opts->watch,
	};
	int r = config_load(opts->home, &config, err);

	if (r < 0)
		return r;
	r = pull_image(&po, word, &im->ref, &result, err);
	config_deinit(&config);
	if (r < 0)
		return r;
	memcpy(im->digest, result.digest, sizeof(im->digest));
	if (opts->pulled)
		*opts->pulled = result;
	return 0;
}

/* Somebody who has such a file, or almost such an image, may have meant that. */
static int explain(const char *word, const struct image *im, int r, struct msb_err *err)
{
	char near[REF_TEXT_MAX + 1];
	char quoted[160];

	r = msb_err_prefix(
		err, r, "image %s", str_quote(quoted, sizeof(quoted), word, strlen(word)));
	if (err && !err->hint[0] && image_nearest(im->store, &im->ref, near))
		(void)msb_err_hint(err, r, "%.180s is here", near);
	return image_path_hint(word, r, err);
}

static int not_here(const char *word, const struct image *im, struct msb_err *err)
{
	char near[REF_TEXT_MAX + 1];
	char quoted[160];
	int r = msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "image %s is not here",
		str_quote(quoted, sizeof(quoted), word, strlen(word)));

	if (image_nearest(im->store, &im->ref, near))
		(void)msb_err_hint(
			err, r, "get it with 'msb pull %.100s'; %.100s is here", word, near);
	else
		(void)msb_err_hint(err, r, "get it with 'msb pull %.100s'", word);
	return image_path_hint(word, r, err);
}

int image_fetch(struct image *im, const char *word, const struct image_fetch_opts *opts,
	struct msb_err *err)
{
	int r;

	if (im->kind != IMAGE_OCI)
		return 0;
	r = store_open(opts->home, &im->store, err);
	if (r < 0)
		return r;
	r = opts->policy == PULL_ALWAYS ? -ENOENT : look_up(im, err);
	if (r != -ENOENT)
		return r;
	if (opts->policy == PULL_NEVER)
		return not_here(word, im, err);
	r = download(im, word, opts, err);
	return r < 0 && r != -ECANCELED ? explain(word, im, r, err) : r;
}

void image_release(struct image *im)
{
	im->store = store_close(im->store);
}
