/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-pull and msb-archive say while they work: JSON objects on standard output, one a line.
 *
 *	{"event":"resolve","ref","digest","from","layers","bytes"}
 *		the reference is this image, by this registry; compressed size of all layers
 *	{"event":"layer","digest","state","bytes","total"}
 *		state: "exists" (nothing to download), "waiting", "downloading", "retrying", "done";
 *		bytes: received of total, compressed
 *	{"event":"merge"}
 *		all layers are here
 *	{"event":"loaded","ref","digest"}
 *		msb-archive: this reference is now this image
 *	{"event":"warning","msg"}
 *	{"event":"done","digest","downloaded_layers","downloaded_bytes","layers"}
 *		last line of success
 *	{"event":"error","kind","msg","hint"}
 *		last line of a failure; kind by msb_kind_name()
 *
 * "downloading" of one layer comes at most ten times a second. Text is printable ASCII. Any thread.
 */
#pragma once

#include <pthread.h>

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"

struct report {
	pthread_mutex_t lock;
	int fd;
	bool quiet;
};

/* Progress of one layer, owned by the thread that downloads it. */
struct report_layer {
	const char *digest;
	uint64_t total;
	uint64_t last_ns;
};

enum layer_state { LAYER_EXISTS, LAYER_WAITING, LAYER_DOWNLOADING, LAYER_RETRYING, LAYER_DONE };

void report_init(struct report *r, int fd, bool quiet);
void report_resolve(struct report *r, const char *ref, const char *digest, const char *from,
	size_t layers, uint64_t bytes);
void report_layer(
	struct report *r, struct report_layer *layer, enum layer_state state, uint64_t bytes);
void report_merge(struct report *r);
void report_loaded(struct report *r, const struct image_ref *ref, const char *digest);
void report_warning(struct report *r, const char *msg);
void report_done(
	struct report *r, const char *digest, size_t downloaded, uint64_t bytes, size_t layers);
void report_error(struct report *r, const struct msb_err *err);
