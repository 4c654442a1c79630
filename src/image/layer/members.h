/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table of an image archive: which member lies where.
 *
 * Written by the jailed process that reads the archive (a tar of layers and manifests, not a layer
 * itself), read by the one that loads images; the reader treats it as hostile. A file of records,
 * each a u32 length and a payload in the encoding of proto/wire.h, behind a magic.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#include "image/layer/tar.h"

enum {
	MEMBERS_MAX = 100 * 1000,
	MEMBERS_BYTES_MAX = 16 * 1024 * 1024, /* of the table */
	MEMBERS_LINKS_MAX = 8, /* links to follow */
};

enum member_kind { MEMBER_FILE, MEMBER_SYMLINK, MEMBER_HARDLINK, MEMBER_KIND_COUNT };

struct member {
	const char *name; /* clean as in index_clean_path() */
	const char *link; /* symbolic link: as it stands; hard link: clean; else "" */
	enum member_kind kind;
	uint64_t offset; /* of the contents in the archive or the spool */
	uint64_t size;
};

struct members_out {
	int fd;
	struct buf buf;
	size_t n;
	uint64_t bytes; /* written before the buffer */
};

int members_out_init(struct members_out *o, int fd) MSB_MUST_CHECK;
void members_out_deinit(struct members_out *o);

/** members_put - append; -E2BIG over a cap */
int members_put(struct members_out *o, const struct member *m) MSB_MUST_CHECK;
int members_out_finish(struct members_out *o) MSB_MUST_CHECK;

/* The table in memory, by name. */
struct members {
	struct member *items; /* owned; sorted by name, which is unique */
	size_t n;
};

/**
 * members_parse - check and sort a table
 * @p: @len bytes, referenced by what comes out
 * @limit: bytes that contents may lie in
 */
int members_parse(const void *p, size_t len, uint64_t limit, struct members *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void members_deinit(struct members *m);

/** members_find - the file behind @name, through links inside the archive; NULL if there is none */
const struct member *members_find(const struct members *m, const char *name);
