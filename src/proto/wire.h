/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursor over message payloads: the one checked door to bytes of the other side.
 *
 * Integers are little-endian, strings and byte runs carry a u32 length. Both cursors are sticky:
 * after the first failure every further call does nothing and returns zero values, so a decoder
 * reads all its fields and checks once at the end. Strings point into the payload and are
 * NUL-terminated on the wire; an inner NUL is a decoding failure.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

struct wire_in {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

void wire_in_init(struct wire_in *in, const void *p, size_t len);
uint8_t wire_u8(struct wire_in *in);
uint16_t wire_u16(struct wire_in *in);
uint32_t wire_u32(struct wire_in *in);
uint64_t wire_u64(struct wire_in *in);

/** wire_str - string of at most @max bytes, "" on failure; lives as long as the payload */
const char *wire_str(struct wire_in *in, size_t max);

/** wire_bytes - byte run of at most @max bytes */
const void *wire_bytes(struct wire_in *in, size_t max, size_t *ret_len);

/** wire_count - u32 element count of at most @max */
uint32_t wire_count(struct wire_in *in, uint32_t max);

/** wire_end - 0 when everything was read and nothing failed, else -EBADMSG */
int wire_end(const struct wire_in *in) MSB_MUST_CHECK;

struct wire_out {
	struct buf *buf;
	int error; /* first failure: -ENOBUFS, -ENOMEM, -EINVAL */
};

void wire_out_init(struct wire_out *out, struct buf *buf);
void wire_put_u8(struct wire_out *out, uint8_t v);
void wire_put_u16(struct wire_out *out, uint16_t v);
void wire_put_u32(struct wire_out *out, uint32_t v);
void wire_put_u64(struct wire_out *out, uint64_t v);
void wire_put_str(struct wire_out *out, const char *s); /* NULL is sent as "" */
void wire_put_bytes(struct wire_out *out, const void *p, size_t len);
