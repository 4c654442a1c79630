/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI image layouts: index.json names manifests by digest, everything lies in blobs/sha256/.
 *
 * An entry of index.json is an image, or an index whose image for this machine is taken. Entries of
 * one name are the platforms of one image. Names: io.containerd.image.name, else
 * org.opencontainers.image.ref.name where it is more than a tag.
 */
#include "base/json.h"
#include "base/str.h"

#include "image/archive/load-internal.h"

enum { NESTING_MAX = 4, BLOB_NAME = 16 + 64 };

static void blob_name(const char *digest, char ret[BLOB_NAME])
{
	(void)snprintf(ret, BLOB_NAME, "blobs/sha256/%s", digest + 7);
}

/* A document that was promised by @desc. */
static int read_blob(const struct source *s, const struct descriptor *desc, const char *what,
	char **ret, size_t *ret_len, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	char digest[REF_DIGEST_LEN + 1];
	char name[BLOB_NAME];
	size_t len = 0;
	int r;

	blob_name(desc->digest, name);
	r = source_text(s, name, what, &text, &len, err);
	if (r == 0)
		r = load_digest(text, len, digest, err);
	if (r < 0)
		return r;
	if (len != desc->size || !streq(digest, desc->digest))
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"%s has the wrong digest: %.19s is %.19s", what, desc->digest, digest);
	*ret = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

static int add_layers(struct load_image *image, const struct manifest *m, struct msb_err *err)
{
	for (size_t i = 0; i < m->n_layers; i++) {
		struct load_layer *l = &image->layers[i];

		l->desc = m->layers[i];
		l->name = malloc(BLOB_NAME);
		if (!l->name)
			return msb_err_errno(err, -ENOMEM, "reading an archive");
		blob_name(l->desc.digest, l->name);
	}
	return 0;
}

/* @text is that of the manifest @m, and is taken on success. */
static int set_image(const struct source *s, struct load_list *list, struct load_image *image,
	const struct manifest *m, const char *digest, char **text, struct msb_err *err)
{
	char *config = NULL;
	size_t len = 0;
	int r = read_blob(s, &m->config, "image configuration", &config, &len, err);

	if (r == 0)
		r = load_config(list, image, config, len, m->n_layers, err);
	if (r == 0)
		r = add_layers(image, m, err);
	if (r < 0)
		return r;
	memcpy(image->digest, digest, sizeof(image->digest));
	image->manifest_json = TAKE_PTR(*text);
	return 0;
}

/* From @desc, through indexes, to the image for this machine. */
static int resolve(const struct source *s, struct load_list *list, struct load_image *image,
	struct descriptor desc, struct msb_err *err)
{
	for (int depth = 0; depth < NESTING_MAX; depth++) {
		cleanup_with(manifest_deinit) struct manifest m = {};
		const struct manifest_entry *entry = NULL;
		cleanup_free char *text = NULL;
		size_t len = 0;
		int r = read_blob(s, &desc, "manifest", &text, &len, err);

		if (r == 0)
			r = load_keep(list, len, err);
		if (r == 0)
			r = manifest_parse(text, len, desc.media_type, &m, err);
		if (r < 0)
			return r;
		if (m.kind == MANIFEST_IMAGE)
			return set_image(s, list, image, &m, desc.digest, &text, err);
		r = manifest_choose(&m, host_architecture(), &entry, err);
		if (r < 0)
			return r;
		desc = entry->desc;
	}
	return msb_err_set(err, -E2BIG, MSB_LIMIT, "indexes are nested too deep");
}

/* What an entry of index.json calls itself; "" when it has no name. */
static int entry_name(const struct json *entry, const char **ret, struct msb_err *err)
{
	const struct json *notes = NULL;
	const char *name = "";
	const char *ref = "";
	int r = json_opt_object(entry, "annotations", &notes, err);

	if (r == 0 && notes)
		r = json_opt_str(notes, "io.containerd.image.name", &name, err);
	if (r == 0 && notes)
		r = json_opt_str(notes, "org.opencontainers.image.ref.name", &ref, err);
	/* A word without a separator may be a tag as well as a name. */
	*ret = name[0] ? name : strpbrk(ref, "/:") ? ref : "";
	return r < 0 ? msb_err_prefix(err, r, "index.json") : 0;
}

/* index.json, twice: as our manifest parser understands it, and with the names it leaves out. */
struct top {
	struct json *root;
	struct manifest m;
	size_t n;
	const char **names; /* of m.entries, in order */
};

static void top_deinit(struct top *t)
{
	json_free(t->root);
	manifest_deinit(&t->m);
	free(t->names);
}

/* The parser skips entries of kinds it does not know, so both lists are walked together. */
static int match_names(struct top *t, struct msb_err *err)
{
	const struct json *list = json_find(t->root, "manifests");
	size_t n = 0;

	t->names = calloc(MAX(t->m.n_entries, (size_t)1), sizeof(t->names[0]));
	if (!t->names)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	json_foreach (entry, list) {
		const char *digest = "";
		const char *type = "";
		int r;

		if (n == t->m.n_entries)
			break;
		r = json_get_str(entry, "digest", &digest, err);
		if (r == 0)
			r = json_get_str(entry, "mediaType", &type, err);
		if (r < 0)
			return r;
		if (!streq(digest, t->m.entries[n].desc.digest) ||
			!streq(type, t->m.entries[n].desc.media_type))
			continue;
		r = entry_name(entry, &t->names[n++], err);
		if (r < 0)
			return r;
	}
	t->n = n;
	return 0;
}

/* Entries of the same name as @first, which is the first of it: the platforms of one image. */
static int choose(
	const struct top *t, size_t first, const struct manifest_entry **ret, struct msb_err *err)
{
	struct manifest group = {.kind = MANIFEST_INDEX};
	bool same = true;
	int r;

	group.entries = calloc(t->n, sizeof(group.entries[0]));
	if (!group.entries)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	for (size_t i = first; i < t->n; i++) {
		if (!streq(t->names[i], t->names[first]))
			continue;
		same = same && streq(t->m.entries[i].desc.digest, t->m.entries[first].desc.digest);
		group.entries[group.n_entries++] = t->m.entries[i];
	}
	*ret = &t->m.entries[first];
	r = 0;
	if (!same) {
		const struct manifest_entry *best = NULL;

		r = manifest_choose(&group, host_architecture(), &best, err);
		for (size_t i = first; r == 0 && best && i < t->n; i++) {
			if (streq(t->m.entries[i].desc.digest, best->desc.digest))
				*ret = &t->m.entries[i];
		}
	}
	manifest_deinit(&group);
	return r;
}

static bool name_seen(const struct top *t, size_t i)
{
	for (size_t n = 0; n < i; n++) {
		if (streq(t->names[n], t->names[i]))
			return true;
	}
	return false;
}

static struct load_image *find_image(struct load_list *list, const char *digest)
{
	for (size_t i = 0; i < list->n; i++) {
		if (streq(list->images[i].digest, digest))
			return &list->images[i];
	}
	return NULL;
}

static int add_entry(const struct source *s, const struct top *t, size_t i, struct load_list *list,
	struct msb_err *err)
{
	const struct manifest_entry *entry = NULL;
	struct load_image *image;
	int r;

	if (name_seen(t, i))
		return 0;
	r = choose(t, i, &entry, err);
	if (r < 0 || !entry)
		return r;
	image = find_image(list, entry->desc.digest);
	if (!image) {
		image = load_add(list, err);
		r = image ? resolve(s, list, image, entry->desc, err) : -E2BIG;
	}
	if (r == 0 && image && t->names[i][0])
		r = load_name(list, image, t->names[i], err);
	return r;
}

int load_list_oci(const struct source *s, struct load_list *ret, struct msb_err *err)
{
	cleanup_with(top_deinit) struct top t = {};
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = source_text(s, "index.json", "index.json", &text, &len, err);

	if (r == 0)
		r = manifest_parse(text, len, NULL, &t.m, err);
	if (r == 0)
		r = json_parse(text, len, &t.root, err);
	if (r < 0)
		return r;
	if (t.m.kind != MANIFEST_INDEX || t.m.n_entries == 0)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "index.json is no list of images");
	r = match_names(&t, err);
	for (size_t i = 0; i < t.n && r == 0 && t.names; i++)
		r = add_entry(s, &t, i, ret, err);
	return r;
}
