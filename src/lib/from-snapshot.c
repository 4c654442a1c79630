/* SPDX-License-Identifier: Apache-2.0 */
/* --from-snapshot: see from-snapshot.h. */
#include "lib/from-snapshot.h"

#include "base/str.h"

#include "lib/snapshot-make.h"

/* The image of the installation has no versions that could be fetched. */
static int take_base(
	const struct snapshot *s, const char *lib_dir, struct image *im, struct msb_err *err)
{
	char digest[DIGEST_TEXT];
	int r = image_resolve("base", lib_dir, im, err);

	if (r == 0)
		r = snapshot_base_digest(im->path, digest, err);
	if (r == 0 && !streq(digest, s->m.image_digest))
		r = msb_err_set(err, -ENOENT, MSB_NOT_FOUND,
			"snapshot '%s' is of an image base that another version of msb brought",
			s->name);
	return r;
}

/* Whatever the reference means by now, it is the digest that counts. */
static int take_image(const struct snapshot *s, const struct image_fetch_opts *fo, struct image *im,
	struct msb_err *err)
{
	cleanup_with(store_image_deinit) struct store_image have = {.n_layers = 0};
	char word[REF_TEXT_MAX + 1];
	int r;

	*im = (struct image){
		.fd = -EBADF, .kind = IMAGE_OCI, .root_kind = ROOT_OVERLAY, .fstype = "erofs"};
	r = image_ref_parse(s->m.reference, &im->ref, err);
	if (r == 0)
		r = store_open(fo->home, &im->store, err);
	if (r < 0)
		return r;
	memcpy(im->digest, s->m.image_digest, sizeof(im->digest));
	r = store_image_get(im->store, im->digest, &have, err);
	if (r != -ENOENT)
		return r;
	im->store = store_close(im->store);
	im->ref.tag[0] = '\0';
	memcpy(im->ref.digest, s->m.image_digest, sizeof(im->ref.digest));
	image_ref_short(&im->ref, word);
	r = image_fetch(im, word, fo, err);
	return r < 0 ? msb_err_prefix(err, r, "image of snapshot '%s'", s->name) : 0;
}

int from_snapshot_image(const char *word, const struct image_fetch_opts *fo, struct snapshot *s,
	struct image *im, struct msb_err *err)
{
	int r = snapshot_open(fo->home, word, s, err);

	if (r < 0)
		return r;
	return s->m.image == SNAPSHOT_BASE ? take_base(s, fo->lib_dir, im, err)
					   : take_image(s, fo, im, err);
}

int from_snapshot_disk(const struct snapshot *s, const struct run_root_disk *wish,
	struct sandbox_spec *spec, struct msb_err *err)
{
	struct sandbox_root_disk d = {s->m.flat ? UPPER_FLAT : UPPER_DISK, s->m.size_bytes, ""};
	int r;

	if (wish->given) {
		if (wish->disk.kind != d.kind)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"option --root-disk: the snapshot has a root disk; only its size "
				"may "
				"be given, as %sSIZE",
				s->m.flat ? "flat:" : "");
		if (wish->disk.size_bytes < d.size_bytes) {
			r = msb_err_set(err, -ERANGE, MSB_USAGE,
				"option --root-disk: that of the snapshot has %" PRIu64 " MiB",
				d.size_bytes / MIB);
			return msb_err_hint(err, r, "it cannot become smaller");
		}
		d.size_bytes = wish->disk.size_bytes;
	}
	spec->root_disk = d;
	spec->snapshot = s->path;
	spec->snapshot_digest = s->digest;
	return 0;
}
