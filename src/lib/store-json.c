/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about images and snapshots, for programs: see store-json.h. */
#include "lib/store-json.h"

#include <sys/stat.h>

#include "base/str.h"

int image_about_get(
	const struct store *s, const char *word, struct image_about *ret, struct msb_err *err)
{
	struct image_name name;
	int r = image_find(s, word, &name, err);

	if (r == 0)
		r = store_image_get(s, name.digest, &ret->image, err);
	if (r == 0)
		r = oci_config_parse(
			ret->image.config_json, strlen(ret->image.config_json), &ret->config, err);
	if (r < 0)
		return r;
	memcpy(ret->entry.digest, name.digest, sizeof(ret->entry.digest));
	ret->entry.has_ref = name.by_ref;
	if (name.by_ref)
		image_ref_short(&name.ref, ret->entry.text);
	return 0;
}

void image_about_deinit(struct image_about *a)
{
	store_image_deinit(&a->image);
	oci_config_deinit(&a->config);
}

void image_json_members(
	struct json_out *o, const struct image_entry *e, const struct store_image *image)
{
	char when[TIME_TEXT];

	json_put_str(o, "reference", e->has_ref ? e->text : NULL);
	json_put_str(o, "digest", e->digest);
	json_put_u64(o, "size_bytes", image->size_bytes);
	json_put_str(o, "architecture", image->architecture);
	json_put_str(o, "os", image->os);
	json_put_u64(o, "layer_count", image->n_layers);
	json_put_str(o, "created_at", time_rfc3339(image->created_s * NSEC_PER_SEC, when));
}

static void put_list(struct json_out *o, const char *key, const struct oci_list *list)
{
	json_begin_array(o, key);
	for (size_t i = 0; i < list->n; i++)
		json_put_str(o, NULL, list->items[i]);
	json_end_array(o);
}

static void put_config(struct json_out *o, const struct store_image *im, const struct oci_config *c)
{
	json_begin_object(o, "config");
	json_put_str(o, "digest", im->config_digest);
	put_list(o, "env", &c->env);
	put_list(o, "cmd", &c->cmd);
	put_list(o, "entrypoint", &c->entrypoint);
	json_put_str(o, "working_dir", c->workdir);
	json_put_str(o, "user", c->user);
	json_begin_object(o, "labels");
	for (size_t i = 0; i < c->n_labels; i++)
		json_put_str(o, c->labels[i].name, c->labels[i].value);
	json_end_object(o);
	json_put_str(o, "stop_signal", c->stop_signal[0] ? c->stop_signal : NULL);
	json_end_object(o);
}

int image_json(const struct image_about *a, struct buf *out)
{
	const struct store_image *im = &a->image;
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	image_json_members(&o, &a->entry, im);
	put_config(&o, im, &a->config);
	json_begin_array(&o, "layers");
	for (uint32_t i = 0; i < im->n_layers; i++) {
		const struct store_layer *l = &im->layers[i];

		json_begin_object(&o, NULL);
		json_put_str(&o, "diff_id", l->diff_id);
		json_put_str(&o, "blob_digest", l->digest);
		json_put_str(&o, "media_type", l->media_type);
		json_put_u64(&o, "compressed_size_bytes", l->blob_bytes);
		json_put_u64(&o, "erofs_size_bytes", l->data_bytes);
		json_put_u64(&o, "position", i);
		json_end_object(&o);
	}
	json_end_array(&o);
	json_end_object(&o);
	return json_out_end(&o);
}

uint64_t snapshot_allocated(const struct snapshot *s)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/" SNAPSHOT_DISK, s->path) >= (int)sizeof(path) ||
		lstat(path, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

static const char *parent_of(const struct snapshot *s)
{
	return s->m.parent && s->m.parent[0] ? s->m.parent : NULL;
}

void snapshot_json_members(struct json_out *o, const struct snapshot *s)
{
	char when[TIME_TEXT];

	json_put_str(o, "digest", s->digest);
	json_put_str(o, "name", s->name);
	json_put_str(o, "parent_digest", parent_of(s));
	json_put_str(o, "scope", "disk");
	json_put_str(o, "state_kind", "file");
	json_put_str(o, "image_ref", s->m.reference);
	json_put_str(o, "format", "raw");
	json_put_str(o, "fstype", "ext4");
	json_put_null(o, "checkpoint_manifest_digest");
	json_put_u64(o, "size_bytes", s->m.size_bytes);
	json_put_u64(o, "allocated_bytes", snapshot_allocated(s));
	json_put_str(o, "locality", "local");
	json_put_str(o, "availability", "available");
	json_put_null(o, "migration_state");
	json_put_null(o, "migration_error_code");
	json_put_str(o, "created_at", time_rfc3339(s->m.created_ns, when));
	json_put_str(o, "artifact_path", s->path);
}

int snapshot_json(const struct snapshot *s, bool verified, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	snapshot_json_members(&o, s);
	json_put_str(&o, "image_digest", s->m.image_digest);
	json_put_str(&o, "source_sandbox", s->m.sandbox);
	json_put_u64(&o, "cpus", s->m.cpus);
	json_put_u64(&o, "memory_mib", s->m.memory_mib);
	json_put_str(&o, "root_disk", s->m.flat ? "flat" : "overlay");
	json_put_str(&o, "disk_digest", s->m.disk_digest);
	if (s->m.labels) {
		json_put_value(&o, "labels", s->m.labels);
	} else {
		json_begin_object(&o, "labels");
		json_end_object(&o);
	}
	if (verified)
		json_put_bool(&o, "verified", true);
	json_end_object(&o);
	return json_out_end(&o);
}
