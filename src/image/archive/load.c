/* SPDX-License-Identifier: Apache-2.0 */
/* Loading images from an archive into the store: see load.h. */
#include "image/archive/load.h"

#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

#include "image/archive/load-internal.h"
#include "image/assemble.h"
#include "image/confine.h"
#include "image/layer/job.h"
#include "tls/sha256.h"

enum { CHUNK = 256 * 1024 };

#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG	"application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER	"application/vnd.docker.image.rootfs.diff.tar"

/* Layers of the store by what they unpack to: the same layer may have come compressed. */
struct known {
	size_t n;
	size_t cap;
	struct store_layer *layers;
};

struct load {
	const struct archive_request *req;
	const char *layer_program;
	struct report *report;
	struct store *store;
	struct source source;
	struct load_list list;
	struct known known;
};

static void image_deinit(struct load_image *i)
{
	for (size_t n = 0; n < i->n_layers; n++)
		free(i->layers[n].name);
	free(i->layers);
	free(i->stored);
	free(i->refs);
	free(i->manifest_json);
	free(i->config_json);
	image_config_deinit(&i->config);
}

void load_list_deinit(struct load_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		image_deinit(&l->images[i]);
	free(l->images);
	*l = (struct load_list){};
}

struct load_image *load_add(struct load_list *l, struct msb_err *err)
{
	if (!l->images)
		l->images = calloc(LOAD_IMAGES_MAX, sizeof(l->images[0]));
	if (!l->images || l->n == LOAD_IMAGES_MAX) {
		(void)msb_err_set(err, -E2BIG, MSB_LIMIT,
			"archive has more than %d images, that is too many", LOAD_IMAGES_MAX);
		return NULL;
	}
	return &l->images[l->n++];
}

int load_name(struct load_list *l, struct load_image *image, const char *text, struct msb_err *err)
{
	struct image_ref *more;
	struct image_ref ref;
	int r = image_ref_parse(text, &ref, err);

	if (r < 0)
		return r;
	if (l->n_names++ == LOAD_NAMES_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "archive has more than %d names", LOAD_NAMES_MAX);
	more = realloc(image->refs, (image->n_refs + 1) * sizeof(ref));
	if (!more)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	image->refs = more;
	image->refs[image->n_refs++] = ref;
	return 0;
}

int load_digest(const void *p, size_t n, char ret[REF_DIGEST_LEN + 1], struct msb_err *err)
{
	cleanup_with(sha256_free_p) struct sha256 *sha = sha256_new();
	int r = sha ? sha256_update(sha, p, n) : -ENOMEM;

	(void)snprintf(ret, REF_DIGEST_LEN + 1, "sha256:");
	if (r == 0)
		r = sha256_hex(sha, ret + 7);
	return r < 0 ? msb_err_errno(err, r, "cannot compute a digest") : 0;
}

static int check_platform(const struct platform *p, struct msb_err *err)
{
	char quoted[2 * MANIFEST_WORD_MAX + 8];
	char text[2 * MANIFEST_WORD_MAX + 4];

	if ((!p->os[0] || streq(p->os, "linux")) &&
		(!p->architecture[0] || streq(p->architecture, host_architecture())))
		return 0;
	(void)snprintf(text, sizeof(text), "%s/%s", p->os, p->architecture);
	return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
		"image is made for %s, this machine is linux/%s",
		str_quote(quoted, sizeof(quoted), text, strlen(text)), host_architecture());
}

int load_keep(struct load_list *l, size_t n, struct msb_err *err)
{
	l->text += n;
	return l->text <= LOAD_TEXT_MAX ? 0
					: msb_err_set(err, -E2BIG, MSB_LIMIT,
						  "archive has more than %d MiB of manifests "
						  "and configurations",
						  LOAD_TEXT_MAX >> 20);
}

int load_config(struct load_list *l, struct load_image *image, char *text, size_t len,
	size_t n_layers, struct msb_err *err)
{
	int r;

	image->config_json = text;
	r = load_keep(l, len, err);
	if (r == 0)
		r = load_digest(text, len, image->config_digest, err);
	if (r == 0)
		r = image_config_parse(text, len, &image->config, err);
	if (r == 0)
		r = check_platform(&image->config.platform, err);
	if (r < 0)
		return r;
	if (n_layers > MANIFEST_LAYERS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"image has %zu layers, at most %d are accepted", n_layers,
			MANIFEST_LAYERS_MAX);
	if (image->config.n_diff_ids != n_layers)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"image has %zu layers but a configuration for %zu", n_layers,
			image->config.n_diff_ids);
	image->layers = calloc(MAX(n_layers, (size_t)1), sizeof(image->layers[0]));
	if (!image->layers)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	image->n_layers = n_layers;
	for (size_t i = 0; i < n_layers; i++)
		image->layers[i].diff_id = image->config.diff_ids[i];
	return 0;
}

static int known_add(void *arg, const struct store_layer *layer)
{
	struct known *k = arg;

	if (k->n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 64;
		void *more = realloc(k->layers, cap * sizeof(k->layers[0]));

		if (!more)
			return -ENOMEM;
		k->layers = more;
		k->cap = cap;
	}
	k->layers[k->n++] = *layer;
	return 0;
}

static const struct store_layer *known_find(const struct known *k, const char *diff_id)
{
	for (size_t i = 0; i < k->n; i++) {
		if (streq(k->layers[i].diff_id, diff_id))
			return &k->layers[i];
	}
	return NULL;
}

/* A layer on its way from the archive through a worker into the store. */
struct passage {
	struct source_blob blob;
	struct store_work *work;
	struct store_files files;
	struct layer_job job;
	struct sha256 *sha;
	uint8_t *chunk;
};

static void passage_deinit(struct passage *p)
{
	layer_job_abort(&p->job);
	store_work_free(p->work);
	store_files_close(&p->files);
	source_blob_close(&p->blob);
	sha256_free(p->sha);
	free(p->chunk);
}

static int passage_init(
	struct load *l, const struct load_layer *layer, struct passage *p, struct msb_err *err)
{
	int r = source_get(&l->source, layer->name, &p->blob, err);

	if (r < 0)
		return r;
	if (p->blob.size > MANIFEST_LAYER_BYTES_MAX ||
		(layer->desc.digest[0] && p->blob.size != layer->desc.size))
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"layer %.19s has another size than the manifest says", layer->diff_id);
	p->sha = sha256_new();
	p->chunk = malloc(CHUNK);
	if (!p->sha || !p->chunk)
		return msb_err_errno(err, -ENOMEM, "cannot load a layer");
	r = store_layer_begin(l->store, &p->work, &p->files, err);
	if (r == 0)
		r = layer_unpack_start(l->layer_program, &p->files, &p->job, err);
	return r;
}

/* All bytes to the digest and to the worker, while that wants them. */
static int passage_run(struct passage *p, struct msb_err *err)
{
	bool gone = false;
	uint64_t at = 0;

	while (at < p->blob.size) {
		ssize_t got = source_read(&p->blob, at, p->chunk, CHUNK);
		int r = got < 0 ? (int)got : sha256_update(p->sha, p->chunk, (size_t)got);

		if (r < 0)
			return msb_err_errno(err, r, "cannot read a layer");
		at += (uint64_t)got;
		r = gone ? 0 : io_write_full(p->job.in_fd, p->chunk, (size_t)got);
		/* It has found a reason to end; whose fault it is the digest will tell. */
		if (r == -EPIPE)
			gone = true;
		else if (r < 0)
			return msb_err_errno(err, r, "cannot unpack a layer");
	}
	return 0;
}

static const char *docker_type(const char *compression)
{
	if (streq(compression, "gzip"))
		return DOCKER_LAYER ".gzip";
	return streq(compression, "zstd") ? DOCKER_LAYER ".zstd" : DOCKER_LAYER;
}

static int passage_finish(struct load *l, struct passage *p, const struct load_layer *layer,
	struct store_layer *ret, struct msb_err *err)
{
	struct layer_facts facts;
	int r;

	(void)snprintf(ret->digest, sizeof(ret->digest), "sha256:");
	r = sha256_hex(p->sha, ret->digest + 7);
	if (r < 0)
		return msb_err_errno(err, r, "cannot compute a digest");
	if (layer->desc.digest[0] && !streq(ret->digest, layer->desc.digest))
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"layer %.19s has the wrong digest: its content is %.19s",
			layer->desc.digest, ret->digest);
	r = layer_unpack_finish(&p->job, &facts, err);
	if (r < 0)
		return msb_err_prefix(err, r, "layer %.19s", layer->diff_id);
	if (!streq(facts.diff_id, layer->diff_id))
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"a layer unpacks to %.19s, the image configuration says %.19s",
			facts.diff_id, layer->diff_id);
	memcpy(ret->diff_id, facts.diff_id, sizeof(ret->diff_id));
	(void)snprintf(ret->media_type, sizeof(ret->media_type), "%s",
		layer->desc.digest[0] ? layer->desc.media_type : docker_type(facts.compression));
	memcpy(ret->compression, facts.compression, sizeof(ret->compression));
	ret->blob_bytes = p->blob.size;
	ret->data_bytes = facts.data_bytes;
	ret->tar_bytes = facts.tar_bytes;
	ret->entries = facts.entries;
	return store_layer_commit(p->work, ret, err);
}

static int unpack_layer(struct load *l, const struct load_layer *layer, struct store_layer *ret,
	struct msb_err *err)
{
	cleanup_with(passage_deinit) struct passage p = {
		.blob.fd = -EBADF, .files = STORE_FILES_NONE};
	int r = passage_init(l, layer, &p, err);

	if (r == 0)
		r = passage_run(&p, err);
	return r < 0 ? r : passage_finish(l, &p, layer, ret, err);
}

/* The layer's place in the store, from there or from the archive. */
static int get_layer(struct load *l, const struct load_layer *layer, struct store_layer *ret,
	struct msb_err *err)
{
	const struct store_layer *have = known_find(&l->known, layer->diff_id);
	int r;

	*ret = (struct store_layer){};
	if (have) {
		*ret = *have;
		return 0;
	}
	if (layer->desc.digest[0] && store_layer_get(l->store, layer->desc.digest, ret, NULL) == 0)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"layer %.19s unpacks to %.19s, the image configuration says %.19s",
			ret->digest, ret->diff_id, layer->diff_id);
	*ret = (struct store_layer){};
	r = unpack_layer(l, layer, ret, err);
	if (r == 0)
		r = known_add(&l->known, ret);
	return r == -ENOMEM ? msb_err_errno(err, r, "cannot load a layer") : r;
}

/* The manifest that an archive of docker's does not have. */
static int make_manifest(
	struct load_image *image, const struct store_layer *layers, struct msb_err *err)
{
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, MANIFEST_MAX);
	json_out_init(&o, &text, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_u64(&o, "schemaVersion", 2);
	json_put_str(&o, "mediaType", DOCKER_MANIFEST);
	json_begin_object(&o, "config");
	json_put_str(&o, "mediaType", DOCKER_CONFIG);
	json_put_u64(&o, "size", strlen(image->config_json));
	json_put_str(&o, "digest", image->config_digest);
	json_end_object(&o);
	json_begin_array(&o, "layers");
	for (size_t i = 0; i < image->n_layers; i++) {
		json_begin_object(&o, NULL);
		json_put_str(&o, "mediaType", DOCKER_LAYER);
		json_put_u64(&o, "size", layers[i].tar_bytes);
		json_put_str(&o, "digest", layers[i].diff_id);
		json_end_object(&o);
	}
	json_end_array(&o);
	json_end_object(&o);
	r = json_out_end(&o);
	if (r == 0) {
		const char *whole = buf_cstr(&text);

		image->manifest_json = whole ? strdup(whole) : NULL;
		r = image->manifest_json ? 0 : -ENOMEM;
	}
	buf_deinit(&text);
	if (r < 0 || !image->manifest_json)
		return msb_err_errno(err, r, "cannot describe an image");
	return load_digest(image->manifest_json, strlen(image->manifest_json), image->digest, err);
}

static int have_image(struct load *l, const char *digest, struct msb_err *err)
{
	cleanup_with(store_image_deinit) struct store_image have = {};

	return store_image_get(l->store, digest, &have, err);
}

/* Everything of an image that takes space. */
static int get_layers(struct load *l, struct load_image *image, struct msb_err *err)
{
	int r = image->digest[0] ? have_image(l, image->digest, err) : -ENOENT;

	image->here = r == 0;
	if (r != -ENOENT)
		return r;
	image->stored = calloc(MAX(image->n_layers, (size_t)1), sizeof(image->stored[0]));
	if (!image->stored)
		return msb_err_errno(err, -ENOMEM, "cannot load an image");
	r = 0;
	for (size_t i = 0; i < image->n_layers && r == 0; i++)
		r = get_layer(l, &image->layers[i], &image->stored[i], err);
	return r;
}

static int make_image(struct load *l, struct load_image *image, struct msb_err *err)
{
	struct store_image made = {.n_layers = (uint32_t)image->n_layers, .layers = image->stored};
	int r = image->manifest_json ? 0 : make_manifest(image, image->stored, err);

	if (r == 0)
		r = have_image(l, image->digest, err);
	if (r != -ENOENT)
		return r;
	memcpy(made.digest, image->digest, sizeof(made.digest));
	memcpy(made.config_digest, image->config_digest, sizeof(made.config_digest));
	made.manifest_json = image->manifest_json;
	made.config_json = image->config_json;
	for (size_t i = 0; i < image->n_layers; i++)
		made.size_bytes += image->stored[i].blob_bytes;
	return image_assemble(l->store, l->layer_program, &made, err);
}

static int load_images(struct load *l, struct msb_err *err)
{
	int r = 0;

	for (size_t i = 0; i < l->list.n && r == 0; i++)
		r = get_layers(l, &l->list.images[i], err);
	for (size_t i = 0; i < l->list.n && r == 0; i++) {
		if (!l->list.images[i].here)
			r = make_image(l, &l->list.images[i], err);
	}
	return r;
}

/* A refused archive leaves nothing, as a refused image of a registry does. */
static void discard_refused(struct load *l, size_t n_before, const struct msb_err *err)
{
	size_t n = l->known.n - n_before;
	cleanup_free const char **digests = n ? calloc(n, sizeof(digests[0])) : NULL;

	if (!digests || (err && err->kind != MSB_PROTOCOL && err->kind != MSB_LIMIT))
		return;
	for (size_t i = 0; i < n; i++)
		digests[i] = l->known.layers[n_before + i].digest;
	store_discard(l->store, digests, n);
}

static int list_images(struct load *l, struct msb_err *err)
{
	struct source_blob b;
	int r = source_find(&l->source, "index.json", &b);

	source_blob_close(&b);
	if (r == 0)
		return load_list_oci(&l->source, &l->list, err);
	if (l->source.dir_fd >= 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the directory is no OCI image layout: it has no index.json");
	r = source_find(&l->source, "manifest.json", &b);
	source_blob_close(&b);
	if (r == 0)
		return load_list_docker(&l->source, &l->list, err);
	r = source_find(&l->source, "repositories", &b);
	source_blob_close(&b);
	if (r == 0)
		return load_list_legacy(&l->source, &l->list, err);
	return msb_err_set(err, -EINVAL, MSB_USAGE,
		"this is no archive of images: it has neither index.json nor manifest.json");
}

/* Before the work begins: an image without a name would be garbage at once. */
static int check_names(struct load *l, struct msb_err *err)
{
	struct load_image *first = &l->list.images[0];
	char tag[REF_TEXT_MAX + 1];
	int r;

	if (l->req->tag.path[0]) {
		image_ref_print(&l->req->tag, tag);
		r = load_name(&l->list, first, tag, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < l->list.n; i++) {
		if (l->list.images[i].n_refs)
			continue;
		msb_err_set(err, -EINVAL, MSB_USAGE, "image %zu of the archive has no name", i + 1);
		return i ? -EINVAL : msb_err_hint(err, -EINVAL, "give it one with --tag");
	}
	return 0;
}

static int publish_names(struct load *l, struct msb_err *err)
{
	for (size_t i = 0; i < l->list.n; i++) {
		const struct load_image *image = &l->list.images[i];

		for (size_t n = 0; n < image->n_refs; n++) {
			int r = store_ref_set(l->store, &image->refs[n], image->digest, err);

			if (r < 0)
				return r;
			report_loaded(l->report, &image->refs[n], image->digest);
		}
	}
	return 0;
}

static int run(struct load *l, struct msb_err *err)
{
	int r = store_open(l->req->home, &l->store, err);
	struct stat st;
	size_t n_before;
	bool dir = fstat(ARCHIVE_FD, &st) == 0 && S_ISDIR(st.st_mode);

	if (r == 0)
		r = image_confine(
			l->req->home, l->layer_program, 0, dir ? ARCHIVE_FD : -EBADF, err);
	if (r == 0)
		r = source_open(l->store, l->layer_program, ARCHIVE_FD, &l->source, err);
	if (r == 0)
		r = list_images(l, err);
	if (r == 0)
		r = check_names(l, err);
	if (r < 0)
		return r;
	r = store_layer_each(l->store, known_add, &l->known);
	if (r < 0)
		return msb_err_errno(err, r, "cannot read the image store");
	n_before = l->known.n;
	r = load_images(l, err);
	if (r < 0) {
		discard_refused(l, n_before, err);
		return r;
	}
	return publish_names(l, err);
}

int load_run(const struct archive_request *req, const char *layer_program, struct report *report,
	struct msb_err *err)
{
	struct load l = {.req = req,
		.layer_program = layer_program,
		.report = report,
		.source = {.dir_fd = -EBADF, .fd = -EBADF}};
	int r = run(&l, err);

	source_close(&l.source);
	load_list_deinit(&l.list);
	free(l.known.layers);
	store_close(l.store);
	return r;
}
