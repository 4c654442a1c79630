/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.json: see manifest.h. */
#include "image/snapshot/manifest.h"

#include "base/caps.h"

#include "image/ref.h"

static const char *const image_names[] = {
	[SNAPSHOT_OCI] = "oci",
	[SNAPSHOT_BASE] = "base",
};

static void put_labels(struct json_out *o, const char *const *labels, size_t n)
{
	json_begin_object(o, "labels");
	for (size_t i = 0; i < n; i++) {
		const char *eq = strchrnul(labels[i], '=');
		cleanup_free char *key = strndup(labels[i], (size_t)(eq - labels[i]));

		/* The writer reports a key that is missing. */
		json_put_str(o, key, *eq ? eq + 1 : "");
	}
	json_end_object(o);
}

int snapshot_manifest_put(const struct snapshot_manifest *m, const char *const *labels,
	size_t n_labels, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_u64(&o, "schema", SNAPSHOT_SCHEMA);
	json_put_str(&o, "artifact", "snapshot");
	json_put_str(&o, "scope", "disk");
	json_put_u64(&o, "created_ns", m->created_ns);
	json_put_str(&o, "parent", m->parent[0] ? m->parent : NULL);
	json_begin_object(&o, "image");
	json_put_str(&o, "kind", image_names[m->image]);
	json_put_str(&o, "reference", m->reference);
	json_put_str(&o, "digest", m->image_digest);
	json_end_object(&o);
	json_begin_object(&o, "source");
	json_put_str(&o, "sandbox", m->sandbox);
	json_put_u64(&o, "cpus", m->cpus);
	json_put_u64(&o, "memory_mib", m->memory_mib);
	json_end_object(&o);
	json_begin_object(&o, "disk");
	json_put_str(&o, "kind", m->flat ? "flat" : "overlay");
	json_put_str(&o, "format", "raw");
	json_put_str(&o, "fstype", "ext4");
	json_put_u64(&o, "size", m->size_bytes);
	json_put_str(&o, "digest", m->disk_digest);
	json_end_object(&o);
	if (m->labels)
		json_put_value(&o, "labels", m->labels);
	else
		put_labels(&o, labels, n_labels);
	json_end_object(&o);
	return json_out_end(&o);
}

static int bad(struct msb_err *err, const char *what)
{
	return msb_err_set(err, -EINVAL, MSB_FAIL, "%s", what);
}

/* A text that has to be @wanted. */
static int expect(const struct json *obj, const char *key, const char *wanted, struct msb_err *err)
{
	const char *s = "";
	int r = json_get_str(obj, key, &s, err);

	if (r == 0 && !streq(s, wanted))
		r = msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED, "%s: this version knows only %s",
			key, wanted);
	return r;
}

static int get_digest(
	const struct json *obj, const char *key, const char **ret, struct msb_err *err)
{
	int r = json_get_str(obj, key, ret, err);

	return r == 0 && !image_digest_check(*ret) ? bad(err, "a digest is none") : r;
}

static int get_text(
	const struct json *obj, const char *key, size_t max, const char **ret, struct msb_err *err)
{
	int r = json_get_str(obj, key, ret, err);

	return r == 0 && (!(*ret)[0] || strlen(*ret) > max)
		       ? bad(err, "a text is empty or too long")
		       : r;
}

static int get_image(const struct json *root, struct snapshot_manifest *m, struct msb_err *err)
{
	static const char *const keys[] = {"kind", "reference", "digest"};
	const struct json *obj = NULL;
	const char *kind = "";
	int r = json_get_object(root, "image", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_str(obj, "kind", &kind, err);
	if (r == 0)
		r = get_text(obj, "reference", REF_TEXT_MAX, &m->reference, err);
	if (r == 0)
		r = get_digest(obj, "digest", &m->image_digest, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(image_names); i++) {
		if (streq(kind, image_names[i])) {
			m->image = (enum snapshot_image)i;
			return 0;
		}
	}
	return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED, "image: unknown kind");
}

static int get_source(const struct json *root, struct snapshot_manifest *m, struct msb_err *err)
{
	static const char *const keys[] = {"sandbox", "cpus", "memory_mib"};
	const struct json *obj = NULL;
	int r = json_get_object(root, "source", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = get_text(obj, "sandbox", LIMIT_SANDBOX_NAME, &m->sandbox, err);
	if (r == 0)
		r = json_get_u32(obj, "cpus", 1, LIMIT_VCPUS, &m->cpus, err);
	if (r == 0)
		r = json_get_u32(obj, "memory_mib", 1, LIMIT_MEM_MAX_MIB, &m->memory_mib, err);
	return r;
}

static int get_disk(const struct json *root, struct snapshot_manifest *m, struct msb_err *err)
{
	static const char *const keys[] = {"kind", "format", "fstype", "size", "digest"};
	const struct json *obj = NULL;
	const char *kind = "";
	int r = json_get_object(root, "disk", &obj, err);

	if (r == 0)
		r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_str(obj, "kind", &kind, err);
	if (r == 0)
		r = expect(obj, "format", "raw", err);
	if (r == 0)
		r = expect(obj, "fstype", "ext4", err);
	if (r == 0)
		r = json_get_u64(obj, "size", &m->size_bytes, err);
	if (r == 0)
		r = get_digest(obj, "digest", &m->disk_digest, err);
	if (r < 0)
		return r;
	m->flat = streq(kind, "flat");
	if (!m->flat && !streq(kind, "overlay"))
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED, "disk: unknown kind");
	if (m->size_bytes < LIMIT_ROOT_DISK_MIN_MIB * MIB ||
		m->size_bytes > LIMIT_ROOT_DISK_MAX_MIB * MIB || m->size_bytes % MIB)
		return bad(err, "disk: no size of a root disk");
	return 0;
}

static int check_labels(const struct json *labels, struct msb_err *err)
{
	const char *value;
	int r = 0;

	if (labels && json_len(labels) > LIMIT_LABELS)
		return bad(err, "too many labels");
	if (!labels)
		return 0;
	json_foreach (item, labels) {
		r = json_to_str(item, "labels", &value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_all(const struct json *root, struct snapshot_manifest *m, struct msb_err *err)
{
	static const char *const keys[] = {"schema", "artifact", "scope", "created_ns", "parent",
		"image", "source", "disk", "labels"};
	uint32_t schema = 0;
	int r = json_get_u32(root, "schema", 1, UINT32_MAX, &schema, err);

	if (r == 0 && schema != SNAPSHOT_SCHEMA)
		r = msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"schema %u is not known, only %d", schema, SNAPSHOT_SCHEMA);
	if (r == 0)
		r = json_only(root, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = expect(root, "artifact", "snapshot", err);
	if (r == 0)
		r = expect(root, "scope", "disk", err);
	if (r == 0)
		r = json_get_u64(root, "created_ns", &m->created_ns, err);
	if (r == 0)
		r = json_opt_str(root, "parent", &m->parent, err);
	if (r == 0 && m->parent[0] && !image_digest_check(m->parent))
		r = bad(err, "a digest is none");
	if (r == 0)
		r = get_image(root, m, err);
	if (r == 0)
		r = get_source(root, m, err);
	if (r == 0)
		r = get_disk(root, m, err);
	if (r == 0)
		r = json_opt_object(root, "labels", &m->labels, err);
	return r == 0 ? check_labels(m->labels, err) : r;
}

int snapshot_manifest_parse(
	const char *text, size_t len, struct snapshot_manifest *ret, struct msb_err *err)
{
	int r;

	*ret = (struct snapshot_manifest){.parent = ""};
	if (len > SNAPSHOT_MANIFEST_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, SNAPSHOT_MANIFEST ": too large");
	r = json_parse(text, len, &ret->doc, err);
	if (r == 0)
		r = get_all(ret->doc, ret, err);
	/* A member that is missing, not the snapshot. */
	if (r == -ENOENT)
		r = -EINVAL;
	return r < 0 ? msb_err_prefix(err, r, SNAPSHOT_MANIFEST) : 0;
}

void snapshot_manifest_deinit(struct snapshot_manifest *m)
{
	json_free(m->doc);
	*m = (struct snapshot_manifest){.parent = ""};
}
