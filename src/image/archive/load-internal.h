/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of a load: what an archive of any format is turned into, and what is done
 * with it (load.c).
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/archive/source.h"
#include "image/ref.h"
#include "image/registry/manifest.h"

enum {
	LOAD_IMAGES_MAX = 1024,
	LOAD_NAMES_MAX = 4096,
	LOAD_TEXT_MAX = 64 * 1024 * 1024, /* manifests and configurations of all images */
};

struct load_layer {
	char *name; /* of the member, owned */
	const char *diff_id; /* of the configuration */
	struct descriptor desc; /* digest "": the archive does not say */
};

struct load_image {
	char digest[REF_DIGEST_LEN + 1]; /* of the manifest; "" until it is made */
	char config_digest[REF_DIGEST_LEN + 1];
	char *manifest_json; /* owned; NULL until it is made */
	char *config_json; /* owned */
	struct image_config config;
	size_t n_layers;
	struct load_layer *layers; /* owned */
	struct store_layer *stored; /* the same in the store, owned */
	bool here; /* the store has this image already */
	size_t n_refs;
	struct image_ref *refs; /* owned */
};

struct load_list {
	size_t n;
	struct load_image *images; /* owned */
	size_t n_names; /* of all images */
	size_t text; /* bytes that all images keep */
	uint64_t digested; /* bytes of layers that were read to learn their digests */
};

void load_list_deinit(struct load_list *l);

/** load_add - another image; NULL with a message when there are too many */
struct load_image *load_add(struct load_list *l, struct msb_err *err);

/** load_name - @image is also called @text; foreign text */
int load_name(struct load_list *l, struct load_image *image, const char *text, struct msb_err *err)
	MSB_MUST_CHECK;

/** load_config - check the configuration (@text is consumed) against the machine and @n_layers;
 * fills the image's layers with diff_ids */
int load_config(struct load_list *l, struct load_image *image, char *text, size_t len,
	size_t n_layers, struct msb_err *err) MSB_MUST_CHECK;

/** load_keep - @n more bytes are kept until the end; -E2BIG when it is too much */
int load_keep(struct load_list *l, size_t n, struct msb_err *err) MSB_MUST_CHECK;

/** load_digest - digest of @n bytes in memory */
int load_digest(const void *p, size_t n, char ret[REF_DIGEST_LEN + 1], struct msb_err *err)
	MSB_MUST_CHECK;

/** load_list_oci, load_list_docker - what is in the archive; contents of layers are not read, but
 * by load_list_legacy() */
int load_list_oci(const struct source *s, struct load_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int load_list_docker(const struct source *s, struct load_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int load_list_legacy(const struct source *s, struct load_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
