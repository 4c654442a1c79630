/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: images from registries, and logins there. */
#ifndef MSB_REGISTRY_H
#define MSB_REGISTRY_H

#include <msb/base.h>
#include <msb/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MSB_REFERENCE_SIZE 720 /* the longest reference of an image, NUL */
#define MSB_HOST_SIZE	   256 /* the longest name of a registry, NUL */

enum msb_pull_event_type {
	MSB_PULL_RESOLVED = 1, /* @digest is the image, @from says so: @layers of @bytes in all */
	MSB_PULL_LAYER, /* a layer is in another @state, or has more @bytes of its @total */
	MSB_PULL_MERGING, /* all layers are here, the image is put together */
	MSB_PULL_WARNING /* @text */
};

enum msb_layer_state {
	MSB_LAYER_HERE = 0, /* it was here before */
	MSB_LAYER_WAITING,
	MSB_LAYER_DOWNLOADING,
	MSB_LAYER_RETRYING, /* the connection was lost */
	MSB_LAYER_DONE
};

/* What happens while an image is pulled. Further types may come: leave them alone. */
struct msb_pull_event {
	size_t size; /* set by the library */
	int type; /* enum msb_pull_event_type */
	int state; /* enum msb_layer_state */
	/* Valid during the call; "" where they say nothing. Printable. */
	const char *digest;
	const char *from;
	const char *text;
	uint64_t layers;
	uint64_t bytes;
	uint64_t total;
};

/* Who looks on. Each function may be NULL; a negative errno ends the download and is returned. */
struct msb_pull_watch {
	size_t size; /* set by the caller: MSB_PULL_WATCH_INIT */
	int (*event)(void *arg, const struct msb_pull_event *e);
	/* Nothing more is known at the moment: the time to draw. Called at the beginning, too */
	int (*idle)(void *arg);
	void *arg;
};

/* clang-format off */
#define MSB_PULL_WATCH_INIT {sizeof(struct msb_pull_watch), NULL, NULL, NULL}
/* clang-format on */

struct msb_pull_options {
	size_t size; /* set by the caller: MSB_PULL_OPTIONS_INIT */
	int policy; /* enum msb_pull */
	int insecure; /* the registry needs no valid certificate, and may speak plain HTTP */
	int quiet; /* no events but warnings */
	const char *ca_file; /* trust the authorities in this PEM file, too; NULL: none */
	const struct msb_pull_watch *watch; /* NULL: nobody looks on */
};

/* clang-format off */
#define MSB_PULL_OPTIONS_INIT {sizeof(struct msb_pull_options), 0, 0, 0, NULL, NULL}
/* clang-format on */

struct msb_pull_result {
	size_t size; /* set by the caller: MSB_PULL_RESULT_INIT */
	int made; /* an image was put together: it was not here; always 0 with quiet */
	char digest[MSB_DIGEST_SIZE];
	char reference[MSB_REFERENCE_SIZE]; /* in the form of lists */
	uint64_t layers;
	uint64_t downloaded_layers;
	uint64_t downloaded_bytes;
	uint64_t took_ns;
};

/* clang-format off */
#define MSB_PULL_RESULT_INIT {sizeof(struct msb_pull_result), 0, "", "", 0, 0, 0, 0}
/* clang-format on */

/** msb_image_fetch - msb_image_pull() with all there is to choose and to see; @options: NULL: the
 * defaults; @ret: may be NULL */
MSB_API int msb_image_fetch(struct msb *m, const char *reference,
	const struct msb_pull_options *options, struct msb_pull_result *ret, struct msb_error *err);

/** msb_registry_host - the name under which the registry @text is kept, as in references; @ret:
 * MSB_HOST_SIZE bytes */
MSB_API int msb_registry_host(const char *text, char *ret, struct msb_error *err);

/**
 * msb_registry_login - try the credentials at the registry and, if they are good, keep them
 * @options: NULL: the defaults; of them @insecure and @ca_file count. -ECANCELED, see
 * msb_set_cancel()
 */
MSB_API int msb_registry_login(struct msb *m, const char *host, const char *username,
	const char *password, const struct msb_pull_options *options, struct msb_error *err);

/** msb_registry_logout - forget them; -ENOENT: there are none */
MSB_API int msb_registry_logout(struct msb *m, const char *host, struct msb_error *err);

/**
 * msb_registry_each - logins, own ones first
 * @fn: @username is NULL where only a helper of docker knows it; @source is "msb", "docker" or
 * "docker-helper". A negative errno ends the walk and is returned
 */
MSB_API int msb_registry_each(struct msb *m,
	int (*fn)(void *arg, const char *host, const char *username, const char *source), void *arg,
	struct msb_error *err);

#ifdef __cplusplus
}
#endif

#endif
