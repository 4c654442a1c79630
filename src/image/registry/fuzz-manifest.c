/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: manifests and image configurations. The first byte chooses. */
#include "image/registry/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_manifest(const char *text, size_t len, const char *content_type)
{
	struct msb_err err = {};
	struct manifest m;

	if (manifest_parse(text, len, content_type, &m, &err) < 0) {
		assert(err.msg[0]);
	} else if (m.kind == MANIFEST_IMAGE) {
		assert(m.n_layers <= MANIFEST_LAYERS_MAX && m.n_entries == 0);
		for (size_t i = 0; i < m.n_layers; i++)
			assert(image_digest_check(m.layers[i].digest) &&
				m.layers[i].size <= MANIFEST_LAYER_BYTES_MAX);
	} else {
		const struct manifest_entry *e = NULL;

		assert(m.n_entries <= MANIFEST_ENTRIES_MAX && m.n_layers == 0);
		if (manifest_choose(&m, "amd64", &e, &err) == 0)
			assert(e >= m.entries && e < m.entries + m.n_entries);
	}
	manifest_deinit(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {NULL, "application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json; charset=utf-8",
		"application/json"};
	struct image_config config;
	const char *text = (const char *)data + 1;

	if (size == 0)
		return 0;
	size--;
	if (data[0] == 'c') {
		if (image_config_parse(text, size, &config, NULL) == 0)
			assert(config.n_diff_ids <= MANIFEST_LAYERS_MAX);
		image_config_deinit(&config);
	} else {
		check_manifest(text, size, types[data[0] % ARRAY_SIZE(types)]);
	}
	return 0;
}
