/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives of docker before 1.10: `repositories` is {name: {tag: id}}, and each id is a directory
 * with the layer and a description that names its parent.
 *
 * What later versions call the configuration is made here, as docker makes it when it loads such an
 * archive: the description of the topmost layer, without what belonged to the old format, and the
 * digests of all layers, for which they are read once more than those of other archives.
 */
#include "base/json.h"
#include "base/str.h"

#include "image/archive/load-internal.h"
#include "image/layer/outer.h"
#include "tls/sha256.h"

enum { ID_LEN = 64, CHUNK = 256 * 1024, FILE_NAME = ID_LEN + 16 };

/* One layer of a chain, the topmost first. */
struct link {
	char id[ID_LEN + 1];
	char diff_id[REF_DIGEST_LEN + 1];
	struct json *about; /* owned */
};

struct chain {
	size_t n;
	struct link links[MANIFEST_LAYERS_MAX];
};

static struct chain *chain_free(struct chain *c)
{
	for (size_t i = 0; c && i < c->n; i++)
		json_free(c->links[i].about);
	free(c);
	return NULL;
}
DEFINE_CLEANUP(struct chain *, chain_free);

static bool id_ok(const char *id)
{
	return strlen(id) == ID_LEN && strspn(id, "0123456789abcdef") == ID_LEN;
}

static int bad(struct msb_err *err, const char *what)
{
	return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "archive of an old docker: %s", what);
}

static int digest_layer(const struct source *s, struct load_list *list, const char *name,
	char ret[REF_DIGEST_LEN + 1], struct msb_err *err)
{
	cleanup_with(source_blob_close) struct source_blob b = {.fd = -EBADF};
	cleanup_with(sha256_free_p) struct sha256 *sha = sha256_new();
	cleanup_free uint8_t *chunk = malloc(CHUNK);
	uint64_t at = 0;
	int r = source_get(s, name, &b, err);

	if (r < 0)
		return r;
	if (!sha || !chunk)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	/* Links let a small archive have many large layers. */
	if (b.size > OUTER_BYTES_MAX - list->digested)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "archive has too much to read");
	list->digested += b.size;
	while (at < b.size && r == 0) {
		ssize_t got = source_read(&b, at, chunk, CHUNK);

		r = got < 0 ? (int)got : sha256_update(sha, chunk, (size_t)got);
		at += got > 0 ? (uint64_t)got : 0;
	}
	(void)snprintf(ret, REF_DIGEST_LEN + 1, "sha256:");
	if (r == 0)
		r = sha256_hex(sha, ret + 7);
	return r < 0 ? msb_err_errno(err, r, "cannot read a layer") : 0;
}

/* The layer @id and what it says about itself; @ret_parent "" at the end. */
static int read_link(const struct source *s, struct load_list *list, const char *id, struct link *l,
	char ret_parent[ID_LEN + 1], struct msb_err *err)
{
	cleanup_free char *text = NULL;
	const char *parent = "";
	char name[FILE_NAME];
	size_t len = 0;
	int r;

	memcpy(l->id, id, ID_LEN + 1);
	(void)snprintf(name, sizeof(name), "%s/json", id);
	r = source_text(s, name, "description of a layer", &text, &len, err);
	if (r == 0)
		r = json_parse(text, len, &l->about, err);
	if (r == 0)
		r = json_opt_str(l->about, "parent", &parent, err);
	if (r < 0)
		return r;
	if (parent[0] && !id_ok(parent))
		return bad(err, "a parent that is no ID");
	memcpy(ret_parent, parent, strlen(parent) + 1);
	(void)snprintf(name, sizeof(name), "%s/layer.tar", l->id);
	return digest_layer(s, list, name, l->diff_id, err);
}

static int read_chain(const struct source *s, struct load_list *list, const char *id,
	struct chain **ret, struct msb_err *err)
{
	cleanup_with(chain_free_p) struct chain *c = calloc(1, sizeof(*c));
	char next[ID_LEN + 1];

	if (!c)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	memcpy(next, id, ID_LEN + 1);
	do {
		int r;

		for (size_t i = 0; i < c->n; i++) {
			if (streq(c->links[i].id, next))
				return bad(err, "a layer that is its own ancestor");
		}
		if (c->n == MANIFEST_LAYERS_MAX)
			return msb_err_set(err, -E2BIG, MSB_LIMIT, "image has more than %d layers",
				MANIFEST_LAYERS_MAX);
		r = read_link(s, list, next, &c->links[c->n++], next, err);
		if (r < 0)
			return r;
	} while (next[0]);
	*ret = TAKE_PTR(c);
	return 0;
}

static bool is_old(const char *key)
{
	static const char *const keys[] = {
		"id", "parent", "Size", "parent_id", "layer_id", "throwaway", "rootfs", "history"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (streq(key, keys[i]))
			return true;
	}
	return false;
}

static int print_config(const struct chain *c, struct buf *text)
{
	struct json_out o;

	json_out_init(&o, text, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_foreach (member, c->links[0].about) {
		if (!is_old(json_key(member)))
			json_put_value(&o, json_key(member), member);
	}
	json_begin_object(&o, "rootfs");
	json_put_str(&o, "type", "layers");
	json_begin_array(&o, "diff_ids");
	for (size_t i = c->n; i-- > 0;)
		json_put_str(&o, NULL, c->links[i].diff_id);
	json_end_array(&o);
	json_end_object(&o);
	json_begin_array(&o, "history");
	for (size_t i = c->n; i-- > 0;) {
		const struct json *created = json_find(c->links[i].about, "created");

		json_begin_object(&o, NULL);
		if (created)
			json_put_value(&o, "created", created);
		json_end_object(&o);
	}
	json_end_array(&o);
	json_end_object(&o);
	return json_out_end(&o);
}

static int set_layers(struct load_image *image, const struct chain *c, struct msb_err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		char name[FILE_NAME];

		(void)snprintf(name, sizeof(name), "%s/layer.tar", c->links[c->n - 1 - i].id);
		image->layers[i].name = strdup(name);
		if (!image->layers[i].name)
			return msb_err_errno(err, -ENOMEM, "reading an archive");
	}
	return 0;
}

static int add_image(const struct source *s, const char *id, struct load_list *list,
	struct load_image **ret, struct msb_err *err)
{
	cleanup_with(chain_free_p) struct chain *c = NULL;
	struct load_image *image = load_add(list, err);
	char *config = NULL;
	struct buf text;
	size_t len;
	int r = image ? read_chain(s, list, id, &c, err) : -E2BIG;

	if (r < 0 || !c)
		return r;
	buf_init(&text, MANIFEST_MAX);
	r = print_config(c, &text);
	len = buf_len(&text);
	if (r == 0) {
		const char *whole = buf_cstr(&text);

		config = whole ? strdup(whole) : NULL;
		r = config ? 0 : -ENOMEM;
	}
	buf_deinit(&text);
	if (r < 0)
		return msb_err_errno(err, r, "cannot describe an image");
	r = load_config(list, image, config, len, c->n, err);
	*ret = image;
	return r < 0 ? r : set_layers(image, c, err);
}

/* Images that were made, by the ID of their topmost layer: one may have many names. */
struct made {
	size_t n;
	struct {
		char id[ID_LEN + 1];
		struct load_image *image;
	} items[LOAD_IMAGES_MAX];
};

static int add_name(const struct source *s, const char *name, const struct json *tag,
	struct made *made, struct load_list *list, struct msb_err *err)
{
	struct load_image *image = NULL;
	char text[REF_TEXT_MAX + 1];
	const char *id = NULL;
	int r = json_to_str(tag, "repositories", &id, err);

	if (r < 0)
		return r;
	if (!id_ok(id))
		return bad(err, "a name for what is no ID");
	if (snprintf(text, sizeof(text), "%s:%s", name, json_key(tag)) >= (int)sizeof(text))
		return bad(err, "a name that is too long");
	for (size_t i = 0; i < made->n; i++) {
		if (streq(made->items[i].id, id))
			image = made->items[i].image;
	}
	if (!image) {
		r = add_image(s, id, list, &image, err);
		if (r < 0 || !image)
			return r;
		memcpy(made->items[made->n].id, id, ID_LEN + 1);
		made->items[made->n++].image = image;
	}
	return load_name(list, image, text, err);
}

int load_list_legacy(const struct source *s, struct load_list *ret, struct msb_err *err)
{
	cleanup_free struct made *made = calloc(1, sizeof(*made));
	cleanup_json struct json *root = NULL;
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = source_text(s, "repositories", "repositories", &text, &len, err);

	if (!made)
		return msb_err_errno(err, -ENOMEM, "reading an archive");
	if (r == 0)
		r = json_parse(text, len, &root, err);
	if (r < 0)
		return r;
	json_foreach (name, root) {
		json_foreach (tag, name) {
			if (json_type(name) != JSON_OBJECT || !json_key(name))
				return bad(err, "repositories are no list of names");
			r = add_name(s, json_key(name), tag, made, ret, err);
			if (r < 0)
				return r;
		}
	}
	return ret->n ? 0 : bad(err, "it has no images");
}
