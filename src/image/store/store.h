/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image store: $MSB_HOME/images, shared by all processes of one user. Layout and rules:
 * docs/internals/images.md.
 *
 * Whatever is visible is whole and never changes; everything is made in tmp/ and appears by rename.
 * Nothing here talks to a network or parses an archive. Links with libc alone, so that `msb run` of
 * a local image costs nothing.
 *
 * Locking: an open store holds images/lock shared, so that no collection runs meanwhile; store_gc()
 * takes it exclusively and fails with MSB_BUSY when it cannot have it at once. Work in tmp/ is
 * guarded by a flock on the entry itself.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#include "image/ref.h"

enum { STORE_LAYERS_MAX = 512, STORE_CONFIG_MAX = 4 * 1024 * 1024 };

struct store;

/** store_open - make the directories if needed, remove abandoned work in tmp/, take the shared lock
 */
int store_open(const char *home, struct store **ret, struct msb_err *err) MSB_MUST_CHECK;
struct store *store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close);

/* References. */

/** store_ref_get - manifest digest behind @ref; a ref with a digest needs that very image. -ENOENT
 * if not here */
int store_ref_get(const struct store *s, const struct image_ref *ref,
	char ret_digest[REF_DIGEST_LEN + 1], struct msb_err *err) MSB_MUST_CHECK;

/** store_ref_set - @ref now means @digest, an image that is in the store */
int store_ref_set(struct store *s, const struct image_ref *ref, const char *digest,
	struct msb_err *err) MSB_MUST_CHECK;

int store_ref_remove(struct store *s, const struct image_ref *ref, struct msb_err *err)
	MSB_MUST_CHECK;

/** store_ref_each - call @fn for every reference; a negative result of @fn ends the walk and is
 * returned */
int store_ref_each(const struct store *s,
	int (*fn)(void *arg, const struct image_ref *ref, const char *digest), void *arg)
	MSB_MUST_CHECK;

/* Layers, by digest of the compressed blob. */

struct store_layer {
	char digest[REF_DIGEST_LEN + 1];
	char diff_id[REF_DIGEST_LEN + 1];
	char media_type[128];
	char compression[8];
	uint64_t blob_bytes; /* compressed */
	uint64_t data_bytes; /* size of `data`, a multiple of 4 KiB */
	uint64_t tar_bytes;
	uint64_t entries;
};

/** store_layer_get - -ENOENT when the layer is not in the store */
int store_layer_get(const struct store *s, const char *digest, struct store_layer *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/* The files of a layer, owned. */
struct store_files {
	int data_fd;
	int index_fd;
	int recipe_fd;
};

#define STORE_FILES_NONE ((struct store_files){-EBADF, -EBADF, -EBADF})

void store_files_close(struct store_files *f);

int store_layer_open(const struct store *s, const char *digest, struct store_files *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** store_layer_each - call @fn with every layer; damaged ones are left out */
int store_layer_each(const struct store *s, int (*fn)(void *arg, const struct store_layer *layer),
	void *arg) MSB_MUST_CHECK;

/* A layer being made. */
struct store_work;

/** store_layer_begin - place for a layer; waits for nobody: two processes may make the same one */
int store_layer_begin(struct store *s, struct store_work **ret, struct store_files *ret_files,
	struct msb_err *err) MSB_MUST_CHECK;

/** store_layer_commit - the files are complete: sync and publish; losing a race to another process
 * is success */
int store_layer_commit(struct store_work *w, const struct store_layer *layer, struct msb_err *err)
	MSB_MUST_CHECK;

/** store_work_free - drop what was not committed */
struct store_work *store_work_free(struct store_work *w);
DEFINE_CLEANUP(struct store_work *, store_work_free);

/**
 * store_part_open - partial download of @digest, locked, positioned at its end
 * @ret_size: bytes that are there already
 * Return: a descriptor, -EBUSY when another process downloads it (then do without).
 */
int store_part_open(struct store *s, const char *digest, uint64_t *ret_size) MSB_MUST_CHECK;
void store_part_remove(struct store *s, const char *digest);

/** store_spool - unnamed file for what does not outlive its user; a descriptor */
int store_spool(struct store *s, struct msb_err *err) MSB_MUST_CHECK;

/* Images, by manifest digest. */

struct store_extent {
	int fd; /* index into store_image.fds */
	uint64_t offset;
	uint64_t len;
};

struct store_image {
	char digest[REF_DIGEST_LEN + 1];
	char config_digest[REF_DIGEST_LEN + 1];
	char os[32];
	char architecture[32];
	uint64_t created_s; /* when it came into this store */
	uint64_t size_bytes; /* of the compressed layers */
	uint32_t n_layers;
	struct store_layer *layers; /* bottom first, owned */
	char *manifest_json; /* owned, as the registry sent it */
	char *config_json; /* owned */
};

int store_image_get(const struct store *s, const char *digest, struct store_image *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void store_image_deinit(struct store_image *i);

/** store_image_begin - place for the merged metadata */
int store_image_begin(struct store *s, struct store_work **ret, int *ret_meta_fd,
	struct msb_err *err) MSB_MUST_CHECK;
int store_image_commit(struct store_work *w, const struct store_image *image, struct msb_err *err)
	MSB_MUST_CHECK;

/** store_image_each - call @fn with the digest of every image */
int store_image_each(const struct store *s, int (*fn)(void *arg, const char *digest), void *arg)
	MSB_MUST_CHECK;

/* The guest's disk: descriptors to open files and the extents that make one disk of them. */
struct store_disk {
	uint32_t n_fds;
	int fds[STORE_LAYERS_MAX + 1]; /* owned */
	uint32_t n_extents;
	struct store_extent extents[STORE_LAYERS_MAX + 2];
};

int store_disk_open(const struct store *s, const struct store_image *image, struct store_disk *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void store_disk_close(struct store_disk *d);

/**
 * store_discard - remove those of @n layers that no image has, and their parts
 *
 * For whoever has brought them for an image that was refused. Does nothing when another process
 * uses the store. The store can only be closed afterwards: it may have lost its lock.
 */
void store_discard(struct store *s, const char *const *digests, size_t n);

struct store_gc_report {
	uint64_t images;
	uint64_t layers;
	uint64_t bytes;
};

/**
 * store_gc - remove what nothing refers to
 * @in_use: digest of an image some sandbox uses? Called with the store locked; may be NULL
 */
int store_gc(const char *home, bool (*in_use)(void *arg, const char *digest), void *arg,
	struct store_gc_report *ret, struct msb_err *err) MSB_MUST_CHECK;
