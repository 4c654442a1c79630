/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of a pull.
 *
 * The main thread resolves, then layer threads run, then the main thread again. While they run,
 * everything here is constant except what stands under "shared".
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "image/registry/client.h"
#include "image/registry/manifest.h"
#include "image/registry/pull.h"
#include "image/store/store.h"

enum { PLACES_MAX = 9 }; /* mirrors and the registry itself */

struct pull {
	const struct request *req;
	struct report *report;
	const char *layer_program;
	struct store *store;
	struct http_options http;
	struct http_options place_http[PLACES_MAX]; /* with the authorities of that place */

	/* Where to ask, best first. */
	size_t n_places;
	struct client *places[PLACES_MAX];

	/* What was found out. */
	char digest[REF_DIGEST_LEN + 1]; /* of the image manifest */
	struct buf manifest_text;
	struct manifest manifest;
	struct buf config_text;
	struct image_config config;

	/* Layers to download, indexes into manifest.layers. */
	size_t n_todo;
	uint32_t *todo;

	/* shared */
	atomic_bool cancel;
	atomic_size_t next; /* of todo */
	atomic_uint_fast64_t downloaded_bytes;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* cancel became true */
	struct msb_err *err; /* first failure, under lock */
	int error;
};

/* Connections of one thread, made when needed. */
struct pull_conns {
	struct client_conn *conns[PLACES_MAX];
};

struct client_conn *pull_conn(struct pull *p, struct pull_conns *c, size_t place);
void pull_conns_deinit(struct pull_conns *c);

/** pull_wait - sleep, but not longer than the pull lives; false when it was cancelled */
bool pull_wait(struct pull *p, uint64_t ns);

/** pull_seed - for the jitter of one retry */
uint64_t pull_seed(void);

/** pull_resolve - reference to manifest and configuration, verified */
int pull_resolve(struct pull *p, struct pull_conns *conns, struct msb_err *err) MSB_MUST_CHECK;
int pull_config(struct pull *p, struct pull_conns *conns, struct msb_err *err) MSB_MUST_CHECK;

/** pull_layer - download layer @i of the manifest into the store */
int pull_layer(struct pull *p, struct pull_conns *conns, size_t i, struct msb_err *err)
	MSB_MUST_CHECK;
