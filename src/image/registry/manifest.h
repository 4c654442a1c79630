/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests, indexes and image configurations, as a registry that means us harm would send them.
 *
 * OCI image spec 1.0 and Docker image manifest version 2, schema 2. What comes out is checked:
 * digests are digests, sizes and counts are within our limits, and a document is either an index or
 * an image, never both, whatever the registry calls it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"

enum {
	MANIFEST_MAX = 4 * 1024 * 1024,
	MANIFEST_ENTRIES_MAX = 1024, /* images of one index */
	MANIFEST_LAYERS_MAX = 512,
	MANIFEST_TYPE_MAX = 127,
	MANIFEST_WORD_MAX = 31, /* names of systems and architectures */
};

#define MANIFEST_LAYER_BYTES_MAX (10 * GIB) /* compressed */

/* What we tell a registry we understand. */
#define MANIFEST_ACCEPT                                               \
	"application/vnd.oci.image.index.v1+json, "                   \
	"application/vnd.oci.image.manifest.v1+json, "                \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

struct descriptor {
	char digest[REF_DIGEST_LEN + 1];
	char media_type[MANIFEST_TYPE_MAX + 1];
	uint64_t size;
};

enum manifest_kind { MANIFEST_INDEX, MANIFEST_IMAGE };

struct platform {
	char os[MANIFEST_WORD_MAX + 1]; /* "" when the index does not say */
	char architecture[MANIFEST_WORD_MAX + 1];
	char variant[MANIFEST_WORD_MAX + 1];
};

struct manifest_entry {
	struct descriptor desc;
	enum manifest_kind kind;
	struct platform platform;
};

struct manifest {
	enum manifest_kind kind;
	/* MANIFEST_IMAGE */
	struct descriptor config;
	size_t n_layers;
	struct descriptor *layers; /* bottom first, owned */
	/* MANIFEST_INDEX; what we do not know (signatures, attestations) is left out */
	size_t n_entries;
	struct manifest_entry *entries; /* owned */
};

/**
 * manifest_parse - read an index or an image manifest
 * @content_type: of the response, NULL if it had none; used when the document does not say
 * @ret: manifest_deinit(), also after a failure
 */
int manifest_parse(const char *text, size_t len, const char *content_type, struct manifest *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void manifest_deinit(struct manifest *m);

/**
 * manifest_choose - entry of an index for Linux on @architecture (a name of the OCI spec)
 *
 * The plain variant of an architecture is preferred. Without a matching image the first nested
 * index is taken that might hold one.
 *
 * Return: 0, or -ENOENT with a message that lists what there is.
 */
int manifest_choose(const struct manifest *m, const char *architecture,
	const struct manifest_entry **ret, struct msb_err *err) MSB_MUST_CHECK;

struct image_config {
	struct platform platform;
	size_t n_diff_ids;
	char (*diff_ids)[REF_DIGEST_LEN + 1]; /* owned */
};

/** image_config_parse - @ret: image_config_deinit(), also after a failure */
int image_config_parse(const char *text, size_t len, struct image_config *ret, struct msb_err *err)
	MSB_MUST_CHECK;
void image_config_deinit(struct image_config *c);

/** host_architecture - of this machine by its OCI name ("amd64"); "unknown" for others */
const char *host_architecture(void);
