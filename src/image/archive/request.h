/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-archive is asked to do: one JSON object on its standard input, up to the end of file.
 *
 *	op	"load", "save" or "load-snapshot" (snapshot.h)
 *	home	$MSB_HOME, absolute
 *	tag	load: another reference for the first image
 *	refs	save: references of the images
 *	format	save: "docker" (default) or "oci"
 *
 * The archive is descriptor ARCHIVE_FD: load reads a regular file, a stream or a directory (an OCI
 * layout), save writes. What comes back: lines on standard output as by image/registry/report.h,
 * the events "loaded" and "error".
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"

#include "image/ref.h"

enum { ARCHIVE_FD = 3, ARCHIVE_REQUEST_MAX = 256 * 1024, ARCHIVE_REFS_MAX = 256 };

enum archive_op { ARCHIVE_LOAD, ARCHIVE_SAVE, ARCHIVE_LOAD_SNAPSHOT };
enum archive_format { ARCHIVE_DOCKER, ARCHIVE_OCI };

struct archive_request {
	enum archive_op op;
	enum archive_format format;
	const char *home;
	struct image_ref tag; /* tag.path "": none */
	size_t n_refs;
	struct image_ref *refs; /* owned */
	struct json *root; /* owns all text */
};

/** archive_request_parse - @ret: archive_request_deinit(), also after a failure */
int archive_request_parse(const char *text, size_t len, struct archive_request *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void archive_request_deinit(struct archive_request *r);
