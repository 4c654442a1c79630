/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what outlives sandboxes: images, named volumes, snapshots. */
#ifndef MSB_STORE_H
#define MSB_STORE_H

#include <msb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MSB_DIGEST_SIZE 72 /* "sha256:", 64 digits, NUL */

/* Things of one kind with their properties. Which getters are about what stands beside them; the
 * others return "" or 0. */
struct msb_items;

/** msb_items_free - NULL is fine. Return: NULL */
MSB_API struct msb_items *msb_items_free(struct msb_items *l);
MSB_API size_t msb_items_size(const struct msb_items *l);
/** msb_items_name - reference of an image ("" if it has none), name of a volume or a snapshot */
MSB_API const char *msb_items_name(const struct msb_items *l, size_t i);
/** msb_items_digest - of an image's or a snapshot's manifest */
MSB_API const char *msb_items_digest(const struct msb_items *l, size_t i);
/** msb_items_kind - of a volume: "dir" or "disk"; of a snapshot: "image" if it was made with one of
 * the store, "base" if with that of the installation */
MSB_API const char *msb_items_kind(const struct msb_items *l, size_t i);
/** msb_items_image - of a snapshot: the image it was made with */
MSB_API const char *msb_items_image(const struct msb_items *l, size_t i);
/** msb_items_bytes - size of a volume (0: no limit), of a snapshot's disk, or of the layers of an
 * image with details as they are downloaded */
MSB_API uint64_t msb_items_bytes(const struct msb_items *l, size_t i);
/** msb_items_used - space that a snapshot's disk takes here, with blocks that it shares */
MSB_API uint64_t msb_items_used(const struct msb_items *l, size_t i);
/** msb_items_created_ns - of a volume or a snapshot, since 1970; of an image with details: when it
 * came */
MSB_API uint64_t msb_items_created_ns(const struct msb_items *l, size_t i);
/** msb_items_problem - why there is no more to say about it than its name; "": all is well */
MSB_API const char *msb_items_problem(const struct msb_items *l, size_t i);
/** msb_items_json - of images and snapshots with details: one object, as in what ls or inspect of
 * msb print with --format json */
MSB_API const char *msb_items_json(const struct msb_items *l, size_t i);

enum msb_pull { MSB_PULL_MISSING = 0, MSB_PULL_ALWAYS, MSB_PULL_NEVER };

/**
 * msb_image_pull - get an image from its registry, with the settings of config.json and the logins
 * of msb registry login
 * @progress: called now and then with the bytes that are here and the bytes of all layers, 0 while
 * that is unknown; may be NULL
 * @ret_digest: MSB_DIGEST_SIZE bytes; may be NULL
 */
MSB_API int msb_image_pull(struct msb *m, const char *reference, enum msb_pull policy,
	void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg, char *ret_digest,
	struct msb_error *err);

/** msb_image_list - @ret: msb_items_free() */
MSB_API int msb_image_list(struct msb *m, struct msb_items **ret, struct msb_error *err);

/** msb_image_details - the same with sizes, times and JSON; without names by a digest that say
 * nothing new beside a tag of the same image. A damaged one has its problem. @ret: msb_items_free()
 */
MSB_API int msb_image_details(struct msb *m, struct msb_items **ret, struct msb_error *err);

/** msb_image_inspect - one with details; its JSON is all about it. @ret: msb_items_free() */
MSB_API int msb_image_inspect(
	struct msb *m, const char *reference, struct msb_items **ret, struct msb_error *err);

/** msb_image_json - all about one, by reference or by the beginning of its digest, as msb image
 * inspect --format json prints it, for free() */
MSB_API int msb_image_json(struct msb *m, const char *reference, char **ret, struct msb_error *err);

/** msb_image_remove - by reference or by the beginning of its digest; -EBUSY (MSB_E_BUSY) if a
 * sandbox or a snapshot needs it, unless @force: then it stays until they are gone */
MSB_API int msb_image_remove(
	struct msb *m, const char *reference, int force, struct msb_error *err);

/* Who is told how removing images goes. Each function may be NULL. */
struct msb_image_removal {
	size_t size; /* set by the caller: MSB_IMAGE_REMOVAL_INIT */
	/* @result: 0, or a negative errno: it was not removed, @err says why */
	void (*removed)(void *arg, const char *reference, int result, const struct msb_error *err);
	/* It has no name any more, but its files stay: @user needs them, a @what ("sandbox",
	 * "snapshot", or "directory" that cannot be read) */
	void (*kept)(void *arg, const char *reference, const char *what, const char *user);
	void *arg;
};

/* clang-format off */
#define MSB_IMAGE_REMOVAL_INIT {sizeof(struct msb_image_removal), NULL, NULL, NULL}
/* clang-format on */

/**
 * msb_image_remove_all - msb_image_remove() of several at once, which looks only once for what
 * nobody needs any more
 * @references: ends with NULL; all are tried
 * @told: may be NULL
 *
 * Return: 0, also if some were not removed; -EBUSY: the store is in use by somebody, files that
 * nobody needs go with the next removal or msb_image_prune(); or what else went wrong with them.
 */
MSB_API int msb_image_remove_all(struct msb *m, const char *const *references, int force,
	const struct msb_image_removal *told, struct msb_error *err);

struct msb_image_pruned {
	size_t size; /* set by the caller: MSB_IMAGE_PRUNED_INIT */
	uint64_t images;
	uint64_t layers;
	uint64_t bytes; /* that are free now */
};

/* clang-format off */
#define MSB_IMAGE_PRUNED_INIT {sizeof(struct msb_image_pruned), 0, 0, 0}
/* clang-format on */

/**
 * msb_image_prune - remove all that neither sandboxes nor snapshots need
 * @doubt: called with what cannot be read (a "sandbox", a "snapshot", or a "directory" without a
 * name) and may need any image: then every image stays, and only what belongs to none goes. May be
 * NULL
 * @ret: may be NULL
 */
MSB_API int msb_image_prune(struct msb *m,
	void (*doubt)(void *arg, const char *what, const char *name, const char *why), void *arg,
	struct msb_image_pruned *ret, struct msb_error *err);

/**
 * msb_image_load - images out of an archive of docker save, podman save, skopeo or msb save
 * @fd: of the archive, or of a directory with an OCI image layout
 * @tag: further reference of the first image; NULL: none
 * @loaded: told of each reference, may end it with a negative errno; may be NULL
 */
MSB_API int msb_image_load(struct msb *m, int fd, const char *tag,
	int (*loaded)(void *arg, const char *reference), void *arg, struct msb_error *err);

/** msb_image_save - an archive to @fd; @references ends with NULL, @format is "docker" or "oci" */
MSB_API int msb_image_save(struct msb *m, const char *const *references, const char *format, int fd,
	struct msb_error *err);

/** msb_volume_create - @kind: "dir" or "disk"; @bytes: its size, for a directory 0 is no limit */
MSB_API int msb_volume_create(
	struct msb *m, const char *name, const char *kind, uint64_t bytes, struct msb_error *err);

/** msb_volume_create_any - one with a name that nobody has; @ret_name: MSB_NAME_SIZE bytes */
MSB_API int msb_volume_create_any(
	struct msb *m, const char *kind, uint64_t bytes, char *ret_name, struct msb_error *err);

/** msb_volume_inspect - one of them; @ret: msb_items_free() */
MSB_API int msb_volume_inspect(
	struct msb *m, const char *name, struct msb_items **ret, struct msb_error *err);

/** msb_volume_path - its directory or its image on the host, for free() */
MSB_API int msb_volume_path(struct msb *m, const char *name, char **ret, struct msb_error *err);

/** msb_volume_list - @ret: msb_items_free() */
MSB_API int msb_volume_list(struct msb *m, struct msb_items **ret, struct msb_error *err);

/** msb_volume_used - bytes that it takes on the host */
MSB_API int msb_volume_used(struct msb *m, const char *name, uint64_t *ret, struct msb_error *err);

/** msb_volume_remove - with what it holds; -EWOULDBLOCK (MSB_E_BUSY) while a sandbox runs with it
 */
MSB_API int msb_volume_remove(struct msb *m, const char *name, struct msb_error *err);

/** msb_volume_users - sandboxes that have it, running or not, and, with the kind "unknown", those
 * whose descriptions cannot be read: they may have it. @ret: msb_items_free() */
MSB_API int msb_volume_users(
	struct msb *m, const char *name, struct msb_items **ret, struct msb_error *err);

/** msb_volume_prune - remove those that no sandbox has; @removed is told of each, may be NULL */
MSB_API int msb_volume_prune(struct msb *m, void (*removed)(void *arg, const char *name), void *arg,
	struct msb_error *err);

/** msb_snapshot_create - of the root disk of @sandbox, running (it is consistent) or stopped */
MSB_API int msb_snapshot_create(
	struct msb *m, const char *sandbox, const char *name, int replace, struct msb_error *err);

struct msb_snapshot_options {
	size_t size; /* set by the caller: MSB_SNAPSHOT_OPTIONS_INIT */
	int replace; /* one of that name */
	int reserved;
	const char *directory; /* that gets it; NULL: that of all snapshots */
	const char *const *labels; /* KEY or KEY=VALUE each, ends with NULL; NULL: none */
};

/* clang-format off */
#define MSB_SNAPSHOT_OPTIONS_INIT {sizeof(struct msb_snapshot_options), 0, 0, NULL, NULL}
/* clang-format on */

/**
 * msb_snapshot_make - msb_snapshot_create() with all there is to choose
 * @options: NULL: the defaults
 * @ret_digest: MSB_DIGEST_SIZE bytes, of its manifest; may be NULL
 * @ret_path: its directory, for free(); may be NULL
 */
MSB_API int msb_snapshot_make(struct msb *m, const char *sandbox, const char *name,
	const struct msb_snapshot_options *options, char *ret_digest, char **ret_path,
	struct msb_error *err);

/** msb_snapshot_list - @ret: msb_items_free(). Damaged ones are left out */
MSB_API int msb_snapshot_list(struct msb *m, struct msb_items **ret, struct msb_error *err);

/** msb_snapshot_details - the same with JSON; damaged ones come last, with their problems. @ret:
 * msb_items_free() */
MSB_API int msb_snapshot_details(struct msb *m, struct msb_items **ret, struct msb_error *err);

/**
 * msb_snapshot_inspect - one with details, by its name, the beginning of its digest, or the path of
 * its directory
 * @verify: compare its disk first, as msb_snapshot_verify() does
 * @ret: msb_items_free()
 */
MSB_API int msb_snapshot_inspect(
	struct msb *m, const char *name, int verify, struct msb_items **ret, struct msb_error *err);

MSB_API int msb_snapshot_remove(struct msb *m, const char *name, struct msb_error *err);

/** msb_snapshot_discard - the same, but -EBUSY (MSB_E_BUSY) if others were made of sandboxes that
 * began from it; @force: remove it in spite of them, and also if it is damaged */
MSB_API int msb_snapshot_discard(struct msb *m, const char *name, int force, struct msb_error *err);

/** msb_snapshot_json - all about one, as msb snapshot inspect --format json prints it, for free()
 */
MSB_API int msb_snapshot_json(struct msb *m, const char *name, char **ret, struct msb_error *err);

/** msb_snapshot_verify - -EBADMSG if its disk is not what was saved */
MSB_API int msb_snapshot_verify(struct msb *m, const char *name, struct msb_error *err);

/** msb_snapshot_save - as an archive to @fd */
MSB_API int msb_snapshot_save(struct msb *m, const char *name, int fd, struct msb_error *err);

/** msb_snapshot_load - out of an archive; @ret_name: MSB_NAME_SIZE bytes, may be NULL */
MSB_API int msb_snapshot_load(
	struct msb *m, int fd, int replace, char *ret_name, struct msb_error *err);

/** msb_snapshot_import - msb_snapshot_load() with all there is to choose (labels are those in the
 * archive) and to know; @options: NULL: the defaults. @ret: it, with details; msb_items_free() */
MSB_API int msb_snapshot_import(struct msb *m, int fd, const struct msb_snapshot_options *options,
	struct msb_items **ret, struct msb_error *err);

#ifdef __cplusplus
}
#endif

#endif
