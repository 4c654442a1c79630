/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a pull looks: bars on a terminal, lines elsewhere. No I/O: the caller writes what is appended
 * to its buffer.
 *
 * PROGRESS_BARS: progress_draw() writes over what it drew before, one line for each layer, in the
 * size the terminal has now. Where not all layers fit, those that are being downloaded come first.
 * What is to stay on the screen is written between progress_clear() and the next draw.
 * PROGRESS_LINES: progress_event() appends a line for everything that happened once; nothing when
 * all of the image is here.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "msb/registry.h"

enum progress_style { PROGRESS_QUIET, PROGRESS_LINES, PROGRESS_BARS };

struct progress_layer {
	char digest[MSB_DIGEST_SIZE];
	int state; /* enum msb_layer_state */
	uint64_t bytes;
	uint64_t total;
};

struct progress {
	enum progress_style style;
	const char *ref; /* as the user wrote it, borrowed */
	bool resolved;
	bool announced; /* PROGRESS_LINES: the line of the image was written */
	bool merging;
	char from[MSB_HOST_SIZE];
	uint64_t n_expected; /* layers by the manifest */
	uint64_t bytes; /* of them */
	size_t n;
	size_t cap;
	struct progress_layer *layers; /* in the order they were told, owned */
	unsigned int drawn; /* lines on the screen, the cursor stands below */
};

void progress_init(struct progress *p, enum progress_style style, const char *ref);
void progress_deinit(struct progress *p);

/** progress_event - take note of @e; lines go to @out. 0, -ENOMEM or -ENOBUFS */
int progress_event(struct progress *p, const struct msb_pull_event *e, struct buf *out)
	MSB_MUST_CHECK;

/** progress_draw - the bars, over those drawn before; nothing in other styles */
int progress_draw(struct progress *p, unsigned int rows, unsigned int columns, struct buf *out)
	MSB_MUST_CHECK;

/** progress_clear - remove the bars; the cursor stands where they began */
int progress_clear(struct progress *p, struct buf *out) MSB_MUST_CHECK;

/** progress_forget - the bars were overwritten by somebody else: draw new ones below */
void progress_forget(struct progress *p);
