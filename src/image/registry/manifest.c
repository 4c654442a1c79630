/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, indexes and image configurations: see manifest.h. */
#include "image/registry/manifest.h"

#include <strings.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "base/str.h"

enum { TYPE_UNKNOWN = -1 };

static const struct {
	const char *name;
	enum manifest_kind kind;
} document_types[] = {
	{"application/vnd.oci.image.index.v1+json", MANIFEST_INDEX},
	{"application/vnd.oci.image.manifest.v1+json", MANIFEST_IMAGE},
	{"application/vnd.docker.distribution.manifest.list.v2+json", MANIFEST_INDEX},
	{"application/vnd.docker.distribution.manifest.v2+json", MANIFEST_IMAGE},
};

static const char *const layer_types[] = {
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.v1.tar+gzip",
	"application/vnd.oci.image.layer.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.diff.tar.zstd",
};

static const char *const config_types[] = {
	"application/vnd.oci.image.config.v1+json",
	"application/vnd.docker.container.image.v1+json",
};

static const char *const schema1_types[] = {
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
};

static bool in_list(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (streq(s, list[i]))
			return true;
	}
	return false;
}

static int document_kind(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(document_types); i++) {
		if (streq(type, document_types[i].name))
			return (int)document_types[i].kind;
	}
	return TYPE_UNKNOWN;
}

static int bad(struct msb_err *err, const char *what)
{
	return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "manifest: %s", what);
}

static int unsupported_type(struct msb_err *err, const char *what, const char *type)
{
	char quoted[MANIFEST_TYPE_MAX + 40];

	return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED, "%s %s", what,
		str_quote(quoted, sizeof(quoted), type, strlen(type)));
}

/* A word of the index' platform; an unusual one only makes the entry useless to us. */
static int get_word(const struct json *obj, const char *key, char ret[MANIFEST_WORD_MAX + 1],
	struct msb_err *err)
{
	const char *s = "";
	int r = json_opt_str(obj, key, &s, err);

	if (r < 0)
		return r;
	if (str_copy(ret, MANIFEST_WORD_MAX + 1, s) < 0)
		memcpy(ret, "?", 2);
	return 0;
}

static int get_platform(const struct json *obj, struct platform *ret, struct msb_err *err)
{
	int r = get_word(obj, "os", ret->os, err);

	if (r == 0)
		r = get_word(obj, "architecture", ret->architecture, err);
	if (r == 0)
		r = get_word(obj, "variant", ret->variant, err);
	return r;
}

static int get_descriptor(
	const struct json *obj, uint64_t size_max, struct descriptor *ret, struct msb_err *err)
{
	const char *digest = NULL;
	const char *type = NULL;
	int r = json_get_str(obj, "digest", &digest, err);

	if (r == 0)
		r = json_get_str(obj, "mediaType", &type, err);
	if (r == 0)
		r = json_get_u64(obj, "size", &ret->size, err);
	if (r < 0)
		return msb_err_prefix(err, r, "manifest");
	if (!image_digest_check(digest))
		return bad(err, "a digest that is not sha256: and 64 hexadecimal digits");
	memcpy(ret->digest, digest, REF_DIGEST_LEN + 1);
	if (str_copy(ret->media_type, sizeof(ret->media_type), type) < 0)
		return bad(err, "a media type that is too long");
	if (ret->size > size_max)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"manifest: %s has %" PRIu64 " bytes, at most %" PRIu64 " are accepted",
			digest, ret->size, size_max);
	return 0;
}

static int parse_image(const struct json *root, struct manifest *m, struct msb_err *err)
{
	const struct json *config = NULL;
	const struct json *layers = NULL;
	int r = json_get_object(root, "config", &config, err);

	if (r == 0)
		r = json_get_array(root, "layers", &layers, err);
	if (r < 0)
		return msb_err_prefix(err, r, "manifest");
	r = get_descriptor(config, MANIFEST_MAX, &m->config, err);
	if (r < 0)
		return r;
	if (!in_list(m->config.media_type, config_types, ARRAY_SIZE(config_types)))
		return unsupported_type(err, "this is no container image, its configuration is",
			m->config.media_type);
	if (json_len(layers) > MANIFEST_LAYERS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"image has %zu layers, at most %d are accepted", json_len(layers),
			MANIFEST_LAYERS_MAX);
	m->layers = calloc(MAX(json_len(layers), (size_t)1), sizeof(m->layers[0]));
	if (!m->layers)
		return msb_err_errno(err, -ENOMEM, "reading a manifest");
	json_foreach (layer, layers) {
		struct descriptor *d = &m->layers[m->n_layers];

		r = get_descriptor(layer, MANIFEST_LAYER_BYTES_MAX, d, err);
		if (r < 0)
			return r;
		if (!in_list(d->media_type, layer_types, ARRAY_SIZE(layer_types)))
			return unsupported_type(
				err, "image has a layer of unsupported type", d->media_type);
		m->n_layers++;
	}
	return 0;
}

static int parse_entry(const struct json *obj, struct manifest *m, struct msb_err *err)
{
	struct manifest_entry *e = &m->entries[m->n_entries];
	const struct json *platform = NULL;
	int kind;
	int r = get_descriptor(obj, INT64_MAX, &e->desc, err);

	if (r == 0)
		r = json_opt_object(obj, "platform", &platform, err);
	if (r == 0 && platform)
		r = get_platform(platform, &e->platform, err);
	if (r < 0)
		return r;
	kind = document_kind(e->desc.media_type);
	if (kind == TYPE_UNKNOWN)
		return 0;
	e->kind = (enum manifest_kind)kind;
	m->n_entries++;
	return 0;
}

static int parse_index(const struct json *root, struct manifest *m, struct msb_err *err)
{
	const struct json *list = NULL;
	int r = json_get_array(root, "manifests", &list, err);

	if (r < 0)
		return msb_err_prefix(err, r, "manifest");
	if (json_len(list) > MANIFEST_ENTRIES_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"index has %zu images, at most %d are accepted", json_len(list),
			MANIFEST_ENTRIES_MAX);
	m->entries = calloc(MAX(json_len(list), (size_t)1), sizeof(m->entries[0]));
	if (!m->entries)
		return msb_err_errno(err, -ENOMEM, "reading a manifest");
	json_foreach (entry, list) {
		r = parse_entry(entry, m, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* "type/subtype" without parameters, in lower case. */
static void strip_type(const char *value, char ret[MANIFEST_TYPE_MAX + 1])
{
	size_t n = 0;

	while (value && value[n] && !strchr("; \t", value[n]) && n < MANIFEST_TYPE_MAX) {
		char c = value[n];

		ret[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	ret[n] = '\0';
}

/*
 * What the document is. Its own word must agree with the registry's, and with what is in it: one
 * that is an index to one program and an image to another has the same digest for both.
 */
static int decide_kind(const struct json *root, const char *content_type, enum manifest_kind *ret,
	struct msb_err *err)
{
	bool index = json_find(root, "manifests") != NULL;
	bool image = json_find(root, "layers") || json_find(root, "config");
	char header[MANIFEST_TYPE_MAX + 1];
	const char *own = NULL;
	uint32_t version = 0;
	int kind;
	int r;

	strip_type(content_type, header);
	if (in_list(header, schema1_types, ARRAY_SIZE(schema1_types)))
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"image has a manifest of schema 1, which is obsolete");
	r = json_get_u32(root, "schemaVersion", 0, UINT32_MAX, &version, err);
	if (r == 0)
		r = json_opt_str(root, "mediaType", &own, err);
	if (r < 0)
		return msb_err_prefix(err, r, "manifest");
	if (version == 1)
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"image has a manifest of schema 1, which is obsolete");
	if (version != 2)
		return bad(err, "unknown schema version");
	if (index == image)
		return bad(err, index ? "neither an index nor an image but both"
				      : "neither an index nor an image");
	kind = own ? document_kind(own) : index ? MANIFEST_INDEX : MANIFEST_IMAGE;
	if (kind == TYPE_UNKNOWN)
		return unsupported_type(err, "manifest of unsupported type", own);
	if ((kind == MANIFEST_INDEX) != index)
		return bad(err, "its type contradicts its content");
	if (document_kind(header) != TYPE_UNKNOWN && document_kind(header) != kind)
		return bad(err, "its type contradicts the registry's");
	*ret = (enum manifest_kind)kind;
	return 0;
}

int manifest_parse(const char *text, size_t len, const char *content_type, struct manifest *ret,
	struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	int r;

	*ret = (struct manifest){};
	if (len > MANIFEST_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "manifest is larger than %d bytes", MANIFEST_MAX);
	r = json_parse(text, len, &root, err);
	if (r < 0)
		return msb_err_prefix(err, r, "manifest");
	if (json_type(root) != JSON_OBJECT)
		return bad(err, "no JSON object");
	r = decide_kind(root, content_type, &ret->kind, err);
	if (r < 0)
		return r;
	return ret->kind == MANIFEST_IMAGE ? parse_image(root, ret, err)
					   : parse_index(root, ret, err);
}

void manifest_deinit(struct manifest *m)
{
	free(m->layers);
	free(m->entries);
	*m = (struct manifest){};
}

/* How well an image fits, 0: not at all. Newer levels of an architecture are not for every CPU. */
static unsigned int fitness(const struct platform *p, const char *architecture)
{
	static const struct {
		const char *architecture;
		const char *variant;
		unsigned int rank;
	} ranks[] = {
		{"amd64", "", 3},
		{"amd64", "v1", 2},
		{"amd64", "v2", 1},
		{"arm64", "v8", 3},
		{"arm64", "", 2},
	};

	if (!streq(p->os, "linux") || !streq(p->architecture, architecture))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ranks); i++) {
		if (streq(ranks[i].architecture, architecture) &&
			streq(ranks[i].variant, p->variant))
			return ranks[i].rank;
	}
	return 0;
}

static int fail_no_platform(const struct manifest *m, const char *architecture, struct msb_err *err)
{
	enum { SHOWN = 8 };
	struct buf list;
	size_t shown = 0;
	int r = 0;

	buf_init(&list, 300);
	for (size_t i = 0; i < m->n_entries && shown < SHOWN && r == 0; i++) {
		const struct platform *p = &m->entries[i].platform;
		char text[3 * MANIFEST_WORD_MAX + 16];
		char quoted[64];

		if (!p->os[0] || streq(p->os, "unknown"))
			continue;
		(void)snprintf(text, sizeof(text), "%s/%s%s%s", p->os, p->architecture,
			p->variant[0] ? "/" : "", p->variant);
		str_quote(quoted, sizeof(quoted), text, strlen(text));
		/* The quotes only matter for what should not be printed as it is. */
		r = buf_printf(
			&list, "%s%.*s", shown++ ? ", " : "", (int)strlen(quoted) - 2, quoted + 1);
	}
	r = msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "image is not made for linux/%s%s%s",
		architecture, buf_len(&list) ? ", only for " : "",
		buf_cstr(&list) ? buf_cstr(&list) : "");
	buf_deinit(&list);
	return r;
}

int manifest_choose(const struct manifest *m, const char *architecture,
	const struct manifest_entry **ret, struct msb_err *err)
{
	const struct manifest_entry *best = NULL;
	const struct manifest_entry *nested = NULL;
	unsigned int best_rank = 0;

	for (size_t i = 0; i < m->n_entries; i++) {
		const struct manifest_entry *e = &m->entries[i];
		unsigned int rank = fitness(&e->platform, architecture);

		if (e->kind == MANIFEST_IMAGE && rank > best_rank) {
			best = e;
			best_rank = rank;
		}
		if (e->kind == MANIFEST_INDEX && !nested && (rank || !e->platform.os[0]))
			nested = e;
	}
	*ret = best ? best : nested;
	return *ret ? 0 : fail_no_platform(m, architecture, err);
}

int image_config_parse(const char *text, size_t len, struct image_config *ret, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct json *rootfs = NULL;
	const struct json *ids = NULL;
	int r = json_parse(text, len, &root, err);

	*ret = (struct image_config){};
	if (r == 0)
		r = get_platform(root, &ret->platform, err);
	if (r == 0)
		r = json_get_object(root, "rootfs", &rootfs, err);
	if (r == 0)
		r = json_get_array(rootfs, "diff_ids", &ids, err);
	if (r < 0)
		return msb_err_prefix(err, r, "image configuration");
	if (json_len(ids) > MANIFEST_LAYERS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"image configuration has %zu layers, at most %d are accepted",
			json_len(ids), MANIFEST_LAYERS_MAX);
	ret->diff_ids = calloc(MAX(json_len(ids), (size_t)1), sizeof(ret->diff_ids[0]));
	if (!ret->diff_ids)
		return msb_err_errno(err, -ENOMEM, "reading an image configuration");
	json_foreach (id, ids) {
		const char *s = NULL;

		r = json_to_str(id, "diff_ids", &s, err);
		if (r < 0)
			return msb_err_prefix(err, r, "image configuration");
		if (!image_digest_check(s))
			return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
				"image configuration: a diff_id that is no sha256 digest");
		memcpy(ret->diff_ids[ret->n_diff_ids++], s, REF_DIGEST_LEN + 1);
	}
	return 0;
}

void image_config_deinit(struct image_config *c)
{
	free(c->diff_ids);
	*c = (struct image_config){};
}

const char *host_architecture(void)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}};
	struct utsname u;

	if (uname(&u) < 0)
		return "unknown";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(u.machine, names[i][0]))
			return names[i][1];
	}
	return "unknown";
}
