/* SPDX-License-Identifier: Apache-2.0 */
/* Image store, layers and images: see store.h. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/store/internal.h"

enum { BLOCK = 4096 };

static int damaged(struct msb_err *err, const char *what, const char *digest)
{
	msb_err_set(err, -EBADMSG, MSB_IO, "damaged %s %.19s in the image store", what, digest);
	return msb_err_hint(err, -EBADMSG, "remove the image with 'msb rmi' and pull it again");
}

static int open_entry(int dir_fd, const char *digest)
{
	int fd =
		openat(dir_fd, digest_hex(digest), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int get_text(
	const struct json *j, const char *key, char *to, size_t size, struct msb_err *err)
{
	const char *s;
	int r = json_get_str(j, key, &s, err);

	return r < 0 ? r : str_copy(to, size, s);
}

static int layer_parse(const struct json *j, struct store_layer *l, struct msb_err *err)
{
	int r = get_text(j, "digest", l->digest, sizeof(l->digest), err);

	if (r == 0)
		r = get_text(j, "diff_id", l->diff_id, sizeof(l->diff_id), err);
	if (r == 0)
		r = get_text(j, "media_type", l->media_type, sizeof(l->media_type), err);
	if (r == 0)
		r = get_text(j, "compression", l->compression, sizeof(l->compression), err);
	if (r == 0)
		r = json_get_u64(j, "blob_bytes", &l->blob_bytes, err);
	if (r == 0)
		r = json_get_u64(j, "data_bytes", &l->data_bytes, err);
	if (r == 0)
		r = json_get_u64(j, "tar_bytes", &l->tar_bytes, err);
	if (r == 0)
		r = json_get_u64(j, "entries", &l->entries, err);
	if (r == 0 && (!image_digest_check(l->digest) || !image_digest_check(l->diff_id) ||
			      l->data_bytes % BLOCK))
		r = -EBADMSG;
	return r;
}

int store_layer_get(
	const struct store *s, const char *digest, struct store_layer *ret, struct msb_err *err)
{
	cleanup_fd int dir = open_entry(s->layers_fd, digest);
	cleanup_json struct json *j = NULL;
	struct store_layer l;
	int r;

	if (dir == -ENOENT)
		return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "no layer %.19s here", digest);
	if (dir < 0)
		return msb_err_errno(err, dir, "cannot read the image store");
	r = json_read_file(dir, "layer.json", &j, err);
	if (r == 0)
		r = layer_parse(j, &l, err);
	if (r < 0 || !streq(l.digest, digest))
		return damaged(err, "layer", digest);
	*ret = l;
	return 0;
}

void store_files_close(struct store_files *f)
{
	f->data_fd = fd_close(f->data_fd);
	f->index_fd = fd_close(f->index_fd);
	f->recipe_fd = fd_close(f->recipe_fd);
}

int store_layer_open(
	const struct store *s, const char *digest, struct store_files *ret, struct msb_err *err)
{
	cleanup_fd int dir = open_entry(s->layers_fd, digest);
	struct store_files f;

	if (dir < 0)
		return msb_err_errno(err, dir, "cannot open layer %.19s", digest);
	f.data_fd = openat(dir, "data", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	f.index_fd = openat(dir, "index", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	f.recipe_fd = openat(dir, "recipe", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f.data_fd < 0 || f.index_fd < 0 || f.recipe_fd < 0) {
		store_files_close(&f);
		return damaged(err, "layer", digest);
	}
	*ret = f;
	return 0;
}

struct layer_walk {
	const struct store *s;
	int (*fn)(void *arg, const struct store_layer *layer);
	void *arg;
};

static int walk_layer(void *arg, const char *digest)
{
	struct layer_walk *w = arg;
	struct store_layer l;

	return store_layer_get(w->s, digest, &l, NULL) < 0 ? 0 : w->fn(w->arg, &l);
}

int store_layer_each(
	const struct store *s, int (*fn)(void *arg, const struct store_layer *layer), void *arg)
{
	struct layer_walk w = {.s = s, .fn = fn, .arg = arg};

	return store_each_hex(s->layers_fd, walk_layer, &w);
}

int store_layer_begin(struct store *s, struct store_work **ret, struct store_files *ret_files,
	struct msb_err *err)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	struct store_files f = STORE_FILES_NONE;
	int r = work_begin(s, &w, err);

	if (r == 0)
		r = work_file(w, "data", &f.data_fd, err);
	if (r == 0)
		r = work_file(w, "index", &f.index_fd, err);
	if (r == 0)
		r = work_file(w, "recipe", &f.recipe_fd, err);
	if (r < 0) {
		store_files_close(&f);
		return r;
	}
	*ret_files = f;
	*ret = TAKE_PTR(w);
	return 0;
}

static void layer_print(struct json_out *o, const struct store_layer *l)
{
	json_begin_object(o, NULL);
	json_put_str(o, "digest", l->digest);
	json_put_str(o, "diff_id", l->diff_id);
	json_put_str(o, "media_type", l->media_type);
	json_put_str(o, "compression", l->compression);
	json_put_u64(o, "blob_bytes", l->blob_bytes);
	json_put_u64(o, "data_bytes", l->data_bytes);
	json_put_u64(o, "tar_bytes", l->tar_bytes);
	json_put_u64(o, "entries", l->entries);
	json_end_object(o);
}

static int put_json(struct store_work *w, const char *name, struct buf *text, struct json_out *o,
	struct msb_err *err)
{
	int r = json_out_end(o);

	if (r < 0)
		return msb_err_errno(err, r, "cannot describe what goes to the image store");
	return work_put(w, name, buf_data(text), buf_len(text), err);
}

int store_layer_commit(struct store_work *w, const struct store_layer *layer, struct msb_err *err)
{
	struct json_out o;
	struct buf text;
	int r;

	assert(image_digest_check(layer->digest));
	buf_init(&text, STORE_JSON_MAX);
	json_out_init(&o, &text, JSON_PRETTY);
	layer_print(&o, layer);
	r = put_json(w, "layer.json", &text, &o, err);
	buf_deinit(&text);
	return r < 0 ? r : work_publish(w, w->s->layers_fd, digest_hex(layer->digest), err);
}

int store_image_begin(
	struct store *s, struct store_work **ret, int *ret_meta_fd, struct msb_err *err)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	int r = work_begin(s, &w, err);

	if (r == 0)
		r = work_file(w, "meta.erofs", ret_meta_fd, err);
	if (r == 0)
		*ret = TAKE_PTR(w);
	return r;
}

static void image_print(struct json_out *o, const struct store_image *i)
{
	json_begin_object(o, NULL);
	json_put_str(o, "digest", i->digest);
	json_put_str(o, "config_digest", i->config_digest);
	json_put_str(o, "os", i->os);
	json_put_str(o, "architecture", i->architecture);
	json_put_u64(o, "created", i->created_s);
	json_put_u64(o, "size_bytes", i->size_bytes);
	json_begin_array(o, "layers");
	for (uint32_t n = 0; n < i->n_layers; n++)
		json_put_str(o, NULL, i->layers[n].digest);
	json_end_array(o);
	json_end_object(o);
}

int store_image_commit(struct store_work *w, const struct store_image *image, struct msb_err *err)
{
	struct json_out o;
	struct buf text;
	int r;

	assert(image_digest_check(image->digest));
	buf_init(&text, STORE_JSON_MAX);
	json_out_init(&o, &text, JSON_PRETTY);
	image_print(&o, image);
	r = put_json(w, "image.json", &text, &o, err);
	buf_deinit(&text);
	if (r == 0)
		r = work_put(w, "manifest.json", image->manifest_json, strlen(image->manifest_json),
			err);
	if (r == 0)
		r = work_put(w, "config.json", image->config_json, strlen(image->config_json), err);
	return r < 0 ? r : work_publish(w, w->s->manifests_fd, digest_hex(image->digest), err);
}

static int image_layers(
	const struct store *s, const struct json *list, struct store_image *i, struct msb_err *err)
{
	size_t n = json_len(list);

	if (n > STORE_LAYERS_MAX)
		return -EBADMSG;
	i->layers = calloc(n ? n : 1, sizeof(i->layers[0]));
	if (!i->layers)
		return -ENOMEM;
	json_foreach (item, list) {
		const char *digest;
		int r = json_to_str(item, "layers", &digest, err);

		if (r == 0 && !image_digest_check(digest))
			r = -EBADMSG;
		if (r == 0)
			r = store_layer_get(s, digest, &i->layers[i->n_layers], err);
		if (r < 0)
			return r;
		i->n_layers++;
	}
	return 0;
}

static int image_parse(
	const struct store *s, const struct json *j, struct store_image *i, struct msb_err *err)
{
	const struct json *layers = NULL;
	int r = get_text(j, "digest", i->digest, sizeof(i->digest), err);

	if (r == 0)
		r = get_text(j, "config_digest", i->config_digest, sizeof(i->config_digest), err);
	if (r == 0)
		r = get_text(j, "os", i->os, sizeof(i->os), err);
	if (r == 0)
		r = get_text(j, "architecture", i->architecture, sizeof(i->architecture), err);
	if (r == 0)
		r = json_get_u64(j, "created", &i->created_s, err);
	if (r == 0)
		r = json_get_u64(j, "size_bytes", &i->size_bytes, err);
	if (r == 0)
		r = json_get_array(j, "layers", &layers, err);
	return r < 0 ? r : image_layers(s, layers, i, err);
}

int store_image_get(
	const struct store *s, const char *digest, struct store_image *ret, struct msb_err *err)
{
	cleanup_fd int dir = open_entry(s->manifests_fd, digest);
	cleanup_with(store_image_deinit) struct store_image i = {};
	cleanup_json struct json *j = NULL;
	int r;

	if (dir == -ENOENT)
		return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "no image %.19s here", digest);
	if (dir < 0)
		return msb_err_errno(err, dir, "cannot read the image store");
	r = json_read_file(dir, "image.json", &j, err);
	if (r == 0)
		r = image_parse(s, j, &i, err);
	if (r == 0)
		r = io_read_file(dir, "manifest.json", STORE_CONFIG_MAX, &i.manifest_json, NULL);
	if (r == 0)
		r = io_read_file(dir, "config.json", STORE_CONFIG_MAX, &i.config_json, NULL);
	if (r == -ENOMEM)
		return msb_err_errno(err, r, "cannot read the image store");
	if (r < 0 || !streq(i.digest, digest))
		return damaged(err, "image", digest);
	*ret = i;
	i = (struct store_image){};
	return 0;
}

void store_image_deinit(struct store_image *i)
{
	free(i->layers);
	free(i->manifest_json);
	free(i->config_json);
	*i = (struct store_image){};
}

int store_image_each(const struct store *s, int (*fn)(void *arg, const char *digest), void *arg)
{
	return store_each_hex(s->manifests_fd, fn, arg);
}

static void extent_add(struct store_disk *d, int fd, uint64_t offset, uint64_t len)
{
	if (len)
		d->extents[d->n_extents++] =
			(struct store_extent){.fd = fd, .offset = offset, .len = len};
}

static int disk_open_layers(const struct store *s, const struct store_image *image,
	struct store_disk *d, struct msb_err *err)
{
	for (uint32_t i = 0; i < image->n_layers; i++) {
		const struct store_layer *l = &image->layers[i];
		struct store_files files = STORE_FILES_NONE;
		struct stat st;
		int r;

		/* Layers without large files have no data to show. */
		if (!l->data_bytes)
			continue;
		r = store_layer_open(s, l->digest, &files, err);
		if (r < 0)
			return r;
		d->fds[d->n_fds++] = files.data_fd;
		files.data_fd = -EBADF;
		store_files_close(&files);
		if (fstat(d->fds[d->n_fds - 1], &st) < 0 || (uint64_t)st.st_size != l->data_bytes)
			return damaged(err, "layer", l->digest);
		extent_add(d, (int)d->n_fds - 1, 0, l->data_bytes);
	}
	return 0;
}

int store_disk_open(const struct store *s, const struct store_image *image, struct store_disk *ret,
	struct msb_err *err)
{
	cleanup_fd int dir = open_entry(s->manifests_fd, image->digest);
	struct stat st;
	int r;

	*ret = (struct store_disk){};
	if (dir < 0)
		return msb_err_errno(err, dir, "cannot open image %.19s", image->digest);
	ret->fds[0] = openat(dir, "meta.erofs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (ret->fds[0] < 0)
		return damaged(err, "image", image->digest);
	ret->n_fds = 1;
	if (fstat(ret->fds[0], &st) < 0 || st.st_size < 2 * BLOCK || st.st_size % BLOCK) {
		store_disk_close(ret);
		return damaged(err, "image", image->digest);
	}
	extent_add(ret, 0, 0, BLOCK);
	r = disk_open_layers(s, image, ret, err);
	if (r < 0) {
		store_disk_close(ret);
		return r;
	}
	extent_add(ret, 0, BLOCK, (uint64_t)st.st_size - BLOCK);
	return 0;
}

void store_disk_close(struct store_disk *d)
{
	for (uint32_t i = 0; i < d->n_fds; i++)
		fd_close(d->fds[i]);
	d->n_fds = 0;
	d->n_extents = 0;
}
