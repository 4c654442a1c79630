/* SPDX-License-Identifier: Apache-2.0 */
/* Saving images of the store as an archive: see save.h. */
#include "image/archive/save.h"

#include "base/io.h"
#include "base/json.h"

#include "image/archive/load-internal.h"
#include "image/archive/tar-out.h"
#include "image/confine.h"
#include "image/layer/job.h"
#include "tls/sha256.h"

enum { CHUNK = 256 * 1024 };

#define OCI_INDEX    "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG   "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER    "application/vnd.oci.image.layer.v1.tar"

struct save_image {
	struct store_image image;
	char *manifest; /* OCI: as it goes into the archive, owned */
	size_t manifest_len;
	char manifest_digest[REF_DIGEST_LEN + 1];
	size_t n_refs;
	const struct image_ref *refs[ARCHIVE_REFS_MAX];
};

struct save {
	const struct archive_request *req;
	const char *layer_program;
	struct store *store;
	struct tar_out out;
	size_t n;
	struct save_image *images;
	size_t n_written;
	const char **written; /* digests of blobs that are in the archive */
	uint8_t *chunk;
};

static int find_images(struct save *s, struct msb_err *err)
{
	for (size_t i = 0; i < s->req->n_refs; i++) {
		const struct image_ref *ref = &s->req->refs[i];
		char digest[REF_DIGEST_LEN + 1];
		struct save_image *image = NULL;
		int r = store_ref_get(s->store, ref, digest, err);

		for (size_t n = 0; n < s->n && r == 0; n++) {
			if (streq(s->images[n].image.digest, digest))
				image = &s->images[n];
		}
		if (r == 0 && !image) {
			image = &s->images[s->n];
			r = store_image_get(s->store, digest, &image->image, err);
			s->n += r == 0;
		}
		if (r < 0 || !image)
			return r;
		/* By digest alone it has no name there. */
		if (ref->tag[0])
			image->refs[image->n_refs++] = ref;
	}
	return 0;
}

/* Name of a blob in the archive. */
static void blob_name(const struct save *s, const char *digest, const char *suffix,
	char ret[TAR_OUT_NAME_MAX + 1])
{
	bool oci = s->req->format == ARCHIVE_OCI;

	(void)snprintf(ret, TAR_OUT_NAME_MAX + 1, "%s%s%s", oci ? "blobs/sha256/" : "", digest + 7,
		oci ? "" : suffix);
}

static bool is_written(struct save *s, const char *digest)
{
	for (size_t i = 0; i < s->n_written; i++) {
		if (streq(s->written[i], digest))
			return true;
	}
	s->written[s->n_written++] = digest;
	return false;
}

static int put_text(struct save *s, const char *digest, const char *suffix, const char *text,
	struct msb_err *err)
{
	char name[TAR_OUT_NAME_MAX + 1];

	if (is_written(s, digest))
		return 0;
	blob_name(s, digest, suffix, name);
	return tar_out_file(&s->out, name, text, strlen(text), err);
}

static int damaged(const struct store_layer *l, struct msb_err *err)
{
	(void)msb_err_set(err, -EBADMSG, MSB_IO,
		"damaged layer %.19s in the image store: its tar is not the one that came",
		l->digest);
	return msb_err_hint(err, -EBADMSG, "remove the image with 'msb rmi' and pull it again");
}

/* From the worker to the archive, digested on the way. Exactly what was announced. */
static int copy_layer(struct save *s, const struct store_layer *l, int from_fd, struct sha256 *sha,
	struct msb_err *err)
{
	uint64_t left = l->tar_bytes;

	for (;;) {
		ssize_t got = read(from_fd, s->chunk, CHUNK);
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return msb_err_errno(err, -errno, "cannot read a layer");
		if ((uint64_t)got > left)
			return damaged(l, err);
		if (got == 0)
			return 0; /* how it ended is the worker's to say */
		left -= (uint64_t)got;
		r = sha256_update(sha, s->chunk, (size_t)got);
		if (r < 0)
			return msb_err_errno(err, r, "cannot compute a digest");
		r = tar_out_data(&s->out, s->chunk, (size_t)got, err);
		if (r < 0)
			return r;
	}
}

static int pack_layer(
	struct save *s, const struct store_layer *l, struct store_files *files, struct msb_err *err)
{
	cleanup_with(sha256_free_p) struct sha256 *sha = sha256_new();
	char digest[REF_DIGEST_LEN + 1] = "sha256:";
	struct layer_job job;
	int r;

	if (!sha)
		return msb_err_errno(err, -ENOMEM, "cannot save a layer");
	r = layer_pack_start(s->layer_program, files, &job, err);
	if (r < 0)
		return r;
	r = copy_layer(s, l, job.out_fd, sha, err);
	if (r < 0) {
		layer_job_abort(&job);
		return r;
	}
	r = layer_pack_finish(&job, err);
	if (r == -EBADMSG || r == -ENODATA)
		return damaged(l, err);
	if (r == 0) {
		r = sha256_hex(sha, digest + 7);
		if (r < 0)
			return msb_err_errno(err, r, "cannot compute a digest");
		if (!streq(digest, l->diff_id))
			return damaged(l, err);
		r = tar_out_end(&s->out, err);
	}
	return r;
}

static int put_layer(struct save *s, const struct store_layer *l, struct msb_err *err)
{
	struct store_files files = STORE_FILES_NONE;
	char name[TAR_OUT_NAME_MAX + 1];
	int r;

	if (is_written(s, l->diff_id))
		return 0;
	blob_name(s, l->diff_id, ".tar", name);
	r = store_layer_open(s->store, l->digest, &files, err);
	if (r == 0)
		r = tar_out_begin(&s->out, name, l->tar_bytes, err);
	if (r == 0)
		r = pack_layer(s, l, &files, err);
	store_files_close(&files);
	return r;
}

static void put_descriptor(
	struct json_out *o, const char *key, const char *type, const char *digest, uint64_t size)
{
	json_begin_object(o, key);
	json_put_str(o, "mediaType", type);
	json_put_str(o, "digest", digest);
	json_put_u64(o, "size", size);
	if (key)
		json_end_object(o); /* items of lists get more members */
}

/* Is the manifest already one of uncompressed layers, as OCI writes it? Then it stays as it is. */
static bool manifest_fits(const struct store_image *i)
{
	cleanup_with(manifest_deinit) struct manifest m = {};
	bool fits;

	if (!i->manifest_json || manifest_parse(i->manifest_json, strlen(i->manifest_json),
					 OCI_MANIFEST, &m, NULL) < 0)
		return false;
	fits = m.kind == MANIFEST_IMAGE && m.n_layers == i->n_layers &&
	       streq(m.config.media_type, OCI_CONFIG);
	for (size_t n = 0; fits && n < m.n_layers; n++)
		fits = streq(m.layers[n].digest, i->layers[n].diff_id) &&
		       streq(m.layers[n].media_type, OCI_LAYER);
	return fits;
}

static int print_manifest(const struct store_image *i, struct buf *text, struct msb_err *err)
{
	cleanup_json struct json *old = NULL;
	const struct json *notes;
	struct json_out o;
	int r = json_parse(i->manifest_json, strlen(i->manifest_json), &old, err);

	if (r < 0)
		return r;
	json_out_init(&o, text, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_u64(&o, "schemaVersion", 2);
	json_put_str(&o, "mediaType", OCI_MANIFEST);
	put_descriptor(&o, "config", OCI_CONFIG, i->config_digest, strlen(i->config_json));
	json_begin_array(&o, "layers");
	for (uint32_t n = 0; n < i->n_layers; n++) {
		put_descriptor(&o, NULL, OCI_LAYER, i->layers[n].diff_id, i->layers[n].tar_bytes);
		json_end_object(&o);
	}
	json_end_array(&o);
	notes = json_find(old, "annotations");
	if (notes)
		json_put_value(&o, "annotations", notes);
	json_end_object(&o);
	r = json_out_end(&o);
	return r < 0 ? msb_err_errno(err, r, "cannot describe an image") : 0;
}

static int make_manifest(struct save_image *image, struct msb_err *err)
{
	const char *whole = image->image.manifest_json;
	struct buf text;
	int r = 0;

	buf_init(&text, MANIFEST_MAX);
	if (!manifest_fits(&image->image)) {
		r = print_manifest(&image->image, &text, err);
		whole = r == 0 ? buf_cstr(&text) : NULL;
	}
	if (r == 0) {
		image->manifest = whole ? strdup(whole) : NULL;
		image->manifest_len = image->manifest ? strlen(image->manifest) : 0;
		r = image->manifest ? load_digest(image->manifest, image->manifest_len,
					      image->manifest_digest, err)
				    : msb_err_errno(err, -ENOMEM, "cannot describe an image");
	}
	buf_deinit(&text);
	return r;
}

static void index_entry(struct json_out *o, const struct save_image *i, const struct image_ref *ref)
{
	char text[REF_TEXT_MAX + 1];

	put_descriptor(o, NULL, OCI_MANIFEST, i->manifest_digest, i->manifest_len);
	if (ref) {
		struct image_ref plain = *ref;

		plain.digest[0] = '\0';
		image_ref_print(&plain, text);
		json_begin_object(o, "annotations");
		json_put_str(o, "io.containerd.image.name", text);
		json_put_str(o, "org.opencontainers.image.ref.name", ref->tag);
		json_end_object(o);
	}
	json_begin_object(o, "platform");
	json_put_str(o, "architecture", i->image.architecture);
	json_put_str(o, "os", i->image.os);
	json_end_object(o);
	json_end_object(o);
}

static int print_oci_index(struct save *s, struct json_out *o)
{
	json_begin_object(o, NULL);
	json_put_u64(o, "schemaVersion", 2);
	json_put_str(o, "mediaType", OCI_INDEX);
	json_begin_array(o, "manifests");
	for (size_t i = 0; i < s->n; i++) {
		const struct save_image *image = &s->images[i];

		for (size_t n = 0; n < image->n_refs; n++)
			index_entry(o, image, image->refs[n]);
		if (!image->n_refs)
			index_entry(o, image, NULL);
	}
	json_end_array(o);
	json_end_object(o);
	return json_out_end(o);
}

static int print_docker_list(struct save *s, struct json_out *o)
{
	char text[REF_TEXT_MAX + 1];

	json_begin_array(o, NULL);
	for (size_t i = 0; i < s->n; i++) {
		const struct save_image *image = &s->images[i];
		char name[TAR_OUT_NAME_MAX + 1];

		json_begin_object(o, NULL);
		blob_name(s, image->image.config_digest, ".json", name);
		json_put_str(o, "Config", name);
		json_begin_array(o, "RepoTags");
		for (size_t n = 0; n < image->n_refs; n++) {
			struct image_ref plain = *image->refs[n];

			plain.digest[0] = '\0';
			image_ref_short(&plain, text);
			json_put_str(o, NULL, text);
		}
		json_end_array(o);
		json_begin_array(o, "Layers");
		for (uint32_t n = 0; n < image->image.n_layers; n++) {
			blob_name(s, image->image.layers[n].diff_id, ".tar", name);
			json_put_str(o, NULL, name);
		}
		json_end_array(o);
		json_end_object(o);
	}
	json_end_array(o);
	return json_out_end(o);
}

/* What a reader wants to see first stands first. */
static int put_head(struct save *s, struct msb_err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	bool oci = s->req->format == ARCHIVE_OCI;
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, MANIFEST_MAX);
	json_out_init(&o, &text, JSON_COMPACT);
	r = oci ? print_oci_index(s, &o) : print_docker_list(s, &o);
	if (r < 0)
		r = msb_err_errno(err, r, "cannot describe the images");
	if (r == 0 && oci)
		r = tar_out_file(&s->out, "oci-layout", layout, sizeof(layout) - 1, err);
	if (r == 0)
		r = tar_out_file(&s->out, oci ? "index.json" : "manifest.json", buf_data(&text),
			buf_len(&text), err);
	buf_deinit(&text);
	return r;
}

static int put_image(struct save *s, const struct save_image *image, struct msb_err *err)
{
	int r = 0;

	if (image->manifest)
		r = put_text(s, image->manifest_digest, "", image->manifest, err);
	if (r == 0)
		r = put_text(s, image->image.config_digest, ".json", image->image.config_json, err);
	for (uint32_t n = 0; n < image->image.n_layers && r == 0; n++)
		r = put_layer(s, &image->image.layers[n], err);
	return r;
}

static int prepare(struct save *s, struct msb_err *err)
{
	size_t blobs = 0;
	int r;

	s->images = calloc(s->req->n_refs, sizeof(s->images[0]));
	s->chunk = malloc(CHUNK);
	if (!s->images || !s->chunk)
		return msb_err_errno(err, -ENOMEM, "cannot save images");
	r = find_images(s, err);
	for (size_t i = 0; i < s->n && r == 0; i++) {
		blobs += 2 + (size_t)s->images[i].image.n_layers;
		if (s->req->format == ARCHIVE_OCI)
			r = make_manifest(&s->images[i], err);
	}
	if (r < 0)
		return r;
	s->written = calloc(MAX(blobs, (size_t)1), sizeof(s->written[0]));
	return s->written ? 0 : msb_err_errno(err, -ENOMEM, "cannot save images");
}

static int run(struct save *s, struct msb_err *err)
{
	int r = store_open(s->req->home, &s->store, err);

	if (r == 0)
		r = image_confine(s->req->home, s->layer_program, 0, -EBADF, err);
	if (r == 0)
		r = prepare(s, err);
	if (r == 0)
		r = put_head(s, err);
	for (size_t i = 0; i < s->n && r == 0; i++)
		r = put_image(s, &s->images[i], err);
	return r < 0 ? r : tar_out_finish(&s->out, err);
}

int save_run(const struct archive_request *req, const char *layer_program, struct msb_err *err)
{
	struct save s = {.req = req, .layer_program = layer_program, .out.fd = ARCHIVE_FD};
	int r = run(&s, err);

	for (size_t i = 0; i < s.n; i++) {
		store_image_deinit(&s.images[i].image);
		free(s.images[i].manifest);
	}
	free(s.images);
	free(s.written);
	free(s.chunk);
	store_close(s.store);
	return r;
}
