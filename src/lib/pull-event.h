/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-pull and msb-archive say, read as the words of strangers: they have talked with
 * registries or read archives.
 *
 * The protocol is src/image/registry/report.h. A line is one event or refused; numbers and digests
 * are checked, text is cut and made fit for a terminal.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"

enum { PULL_LINE_MAX = 8192 };

enum pull_event_type {
	PULL_RESOLVE,
	PULL_LAYER,
	PULL_MERGE,
	PULL_LOADED,
	PULL_WARNING,
	PULL_DONE,
	PULL_ERROR,
};

enum pull_layer_state {
	PULL_LAYER_EXISTS,
	PULL_LAYER_WAITING,
	PULL_LAYER_DOWNLOADING,
	PULL_LAYER_RETRYING,
	PULL_LAYER_DONE,
};

struct pull_event {
	enum pull_event_type type;
	char digest[REF_DIGEST_LEN +
		    1]; /* resolve, loaded, done: of the image; layer: of the layer */
	char from[REF_HOST_MAX + 1]; /* resolve */
	char ref[REF_TEXT_MAX + 1]; /* loaded */
	uint64_t layers; /* resolve, done */
	uint64_t bytes; /* resolve: of all layers; layer: so far */
	uint64_t total; /* layer */
	enum pull_layer_state state; /* layer */
	uint64_t downloaded_layers; /* done */
	uint64_t downloaded_bytes; /* done */
	struct msb_err err; /* error; warning: only msg */
};

/** pull_event_parse - one line without its end; 0, -EBADMSG or -ENOMEM with a message */
int pull_event_parse(const char *line, size_t len, struct pull_event *ret, struct msb_err *err)
	MSB_MUST_CHECK;
