/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of a layer as it streams in: gzip (any number of members), zstd (any number of
 * frames), or none.
 *
 * The format is recognised by its first bytes, as the media types of registries cannot be trusted
 * to say it.
 */
#pragma once

#include "base/base.h"

enum { DECOMPRESS_CHUNK = 256 * 1024, DECOMPRESS_WINDOW_LOG_MAX = 27 };

struct decompress;

/** decompress_new - @sink gets the output, in pieces of at most DECOMPRESS_CHUNK; its negative
 * result stops everything */
struct decompress *decompress_new(int (*sink)(void *arg, const void *p, size_t n), void *arg);
struct decompress *decompress_free(struct decompress *d);
DEFINE_CLEANUP(struct decompress *, decompress_free);

/** decompress_feed - next bytes; 0, -EBADMSG (damaged), -ENOMEM, or what the sink returned */
int decompress_feed(struct decompress *d, const void *p, size_t n) MSB_MUST_CHECK;

/** decompress_finish - the stream has ended; -ENODATA when it ended too early */
int decompress_finish(struct decompress *d) MSB_MUST_CHECK;

/** decompress_name - "gzip", "zstd", "none" or "" while too little was seen */
const char *decompress_name(const struct decompress *d);
