/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.json: what a snapshot is of.
 *
 * The text is the identity: its digest is that of the snapshot, and it carries the digest of the
 * disk. It may come from anybody (msb snapshot load): reading is strict, what this version does not
 * know is an error, and every text is bounded and printable or quoted by whoever shows it.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

#define SNAPSHOT_MANIFEST "snapshot.json"
#define SNAPSHOT_DISK	  "upper.ext4"

enum { SNAPSHOT_SCHEMA = 1, SNAPSHOT_MANIFEST_MAX = 1024 * 1024 };

/* What the root disk lies above. */
enum snapshot_image {
	SNAPSHOT_OCI, /* an image of the store; digest of its manifest */
	SNAPSHOT_BASE, /* that of the installation; digest of its file */
};

struct snapshot_manifest {
	uint64_t created_ns; /* CLOCK_REALTIME */
	const char *parent; /* digest of the snapshot that the sandbox was made from, or "" */
	enum snapshot_image image;
	const char *reference; /* as the user wrote it, for people and for pulling */
	const char *image_digest;
	const char *sandbox; /* its name */
	uint32_t cpus;
	uint32_t memory_mib;
	bool flat; /* the disk holds a copy of the image and is the root itself */
	uint64_t size_bytes; /* of the disk */
	const char *disk_digest; /* as by sparse_digest() */
	const struct json *labels; /* an object of strings, or NULL */
	struct json *doc; /* private: owner of all text that was read */
};

/** snapshot_manifest_put - append the text; @labels: "KEY" or "KEY=VALUE" each, instead of
 * m->labels */
int snapshot_manifest_put(const struct snapshot_manifest *m, const char *const *labels,
	size_t n_labels, struct buf *out) MSB_MUST_CHECK;

/** snapshot_manifest_parse - @ret: snapshot_manifest_deinit(), also after a failure */
int snapshot_manifest_parse(const char *text, size_t len, struct snapshot_manifest *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void snapshot_manifest_deinit(struct snapshot_manifest *m);
