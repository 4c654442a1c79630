/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of an image of the store: see image-config.h. */
#include "lib/image-config.h"

#include "image/store/store.h"

int image_config_load(
	const char *home, const char *digest, struct oci_config *ret, struct msb_err *err)
{
	struct store_image image = {.n_layers = 0};
	struct store *store = NULL;
	int r = store_open(home, &store, err);

	*ret = (struct oci_config){};
	if (r == 0)
		r = store_image_get(store, digest, &image, err);
	if (r == 0)
		r = oci_config_parse(image.config_json, strlen(image.config_json), ret, err);
	store_image_deinit(&image);
	store_close(store);
	return r;
}
