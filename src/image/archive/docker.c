/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives of `docker save`: manifest.json is a list of images, each with its configuration's file,
 * its names and its layers' files.
 *
 * There are no digests of layers, only the configuration's diff_ids, so the manifest is made here:
 * of uncompressed layers, whatever the archive has, so that it depends on the image alone.
 */
#include "base/json.h"
#include "base/str.h"

#include "image/archive/load-internal.h"

/* Modern names of the configuration's file are its digest; one that is not must not look like it.
 */
static int check_name(const char *name, const char *digest, struct msb_err *err)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	size_t hex = strspn(base, "0123456789abcdef");

	if (hex != 64 || (base[hex] != '\0' && !streq(base + hex, ".json")) ||
		memcmp(base, digest + 7, hex) == 0)
		return 0;
	return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
		"image configuration has the wrong digest: %.12s is %.19s", base, digest);
}

static int add_layers(struct load_image *image, const struct json *layers, struct msb_err *err)
{
	size_t i = 0;

	json_foreach (layer, layers) {
		const char *name = NULL;
		int r = json_to_str(layer, "Layers", &name, err);

		if (r < 0)
			return msb_err_prefix(err, r, "manifest.json");
		image->layers[i].name = strdup(name);
		if (!image->layers[i++].name)
			return msb_err_errno(err, -ENOMEM, "reading an archive");
	}
	return 0;
}

static int add_names(struct load_list *list, struct load_image *image, const struct json *names,
	struct msb_err *err)
{
	for (const struct json *j = names ? json_first(names) : NULL; j; j = json_next(j)) {
		const char *text = NULL;
		int r = json_to_str(j, "RepoTags", &text, err);

		if (r == 0)
			r = load_name(list, image, text, err);
		if (r < 0)
			return msb_err_prefix(err, r, "manifest.json");
	}
	return 0;
}

static int add_image(
	const struct source *s, const struct json *j, struct load_list *list, struct msb_err *err)
{
	struct load_image *image = load_add(list, err);
	const struct json *layers = NULL;
	const struct json *names = NULL;
	const char *config = NULL;
	char *text = NULL;
	size_t len = 0;
	int r = image ? 0 : -E2BIG;

	if (r < 0)
		return r;
	r = json_get_str(j, "Config", &config, err);
	if (r == 0)
		r = json_get_array(j, "Layers", &layers, err);
	if (r == 0)
		r = json_opt_array(j, "RepoTags", &names, err);
	if (r < 0)
		return msb_err_prefix(err, r, "manifest.json");
	r = source_text(s, config, "image configuration", &text, &len, err);
	if (r == 0)
		r = load_config(list, image, text, len, json_len(layers), err);
	if (r == 0)
		r = check_name(config, image->config_digest, err);
	if (r == 0)
		r = add_layers(image, layers, err);
	return r < 0 ? r : add_names(list, image, names, err);
}

int load_list_docker(const struct source *s, struct load_list *ret, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = source_text(s, "manifest.json", "manifest.json", &text, &len, err);

	if (r < 0)
		return r;
	r = json_parse(text, len, &root, err);
	if (r < 0)
		return msb_err_prefix(err, r, "manifest.json");
	if (json_type(root) != JSON_ARRAY || json_len(root) == 0)
		return msb_err_set(
			err, -EBADMSG, MSB_PROTOCOL, "manifest.json is no list of images");
	json_foreach (image, root) {
		r = add_image(s, image, ret, err);
		if (r < 0)
			return r;
	}
	return 0;
}
