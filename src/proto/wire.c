/* SPDX-License-Identifier: Apache-2.0 */
/* Cursor over message payloads: see wire.h. */
#include "proto/wire.h"

void wire_in_init(struct wire_in *in, const void *p, size_t len)
{
	const uint8_t *at = len ? p : (const uint8_t *)"";

	*in = (struct wire_in){.at = at, .end = at + len};
}

/* The next @n bytes, NULL (and a bad cursor) when there are fewer. */
static const uint8_t *wire_take(struct wire_in *in, size_t n)
{
	const uint8_t *p = in->at;

	if (in->bad || n > (size_t)(in->end - in->at)) {
		in->bad = true;
		return NULL;
	}
	in->at += n;
	return p;
}

#define WIRE_GET(name, type)                      \
	type name(struct wire_in *in)             \
	{                                         \
		type v = 0;                       \
		const uint8_t *p;                 \
                                                  \
		p = wire_take(in, sizeof(v));     \
		if (p)                            \
			memcpy(&v, p, sizeof(v)); \
		return v;                         \
	}

WIRE_GET(wire_u8, uint8_t)
WIRE_GET(wire_u16, uint16_t)
WIRE_GET(wire_u32, uint32_t)
WIRE_GET(wire_u64, uint64_t)

const char *wire_str(struct wire_in *in, size_t max)
{
	size_t len = wire_u32(in);
	const uint8_t *p;

	/* The length is checked first: adding the NUL cannot overflow then. */
	if (in->bad || len > max || len >= (size_t)(in->end - in->at)) {
		in->bad = true;
		return "";
	}
	p = wire_take(in, len + 1);
	if (!p || memchr(p, '\0', len + 1) != p + len) {
		in->bad = true;
		return "";
	}
	return (const char *)p;
}

const void *wire_bytes(struct wire_in *in, size_t max, size_t *ret_len)
{
	size_t len = wire_u32(in);
	const uint8_t *p;

	if (len > max)
		in->bad = true;
	p = wire_take(in, len);
	*ret_len = p ? len : 0;
	return p ? p : (const uint8_t *)"";
}

uint32_t wire_count(struct wire_in *in, uint32_t max)
{
	uint32_t n = wire_u32(in);

	if (n > max)
		in->bad = true;
	return in->bad ? 0 : n;
}

int wire_end(const struct wire_in *in)
{
	return in->bad || in->at != in->end ? -EBADMSG : 0;
}

void wire_out_init(struct wire_out *out, struct buf *buf)
{
	*out = (struct wire_out){.buf = buf};
}

static void wire_put(struct wire_out *out, const void *p, size_t n)
{
	if (out->error == 0)
		out->error = buf_append(out->buf, p, n);
}

void wire_put_u8(struct wire_out *out, uint8_t v)
{
	wire_put(out, &v, sizeof(v));
}

void wire_put_u16(struct wire_out *out, uint16_t v)
{
	wire_put(out, &v, sizeof(v));
}

void wire_put_u32(struct wire_out *out, uint32_t v)
{
	wire_put(out, &v, sizeof(v));
}

void wire_put_u64(struct wire_out *out, uint64_t v)
{
	wire_put(out, &v, sizeof(v));
}

void wire_put_str(struct wire_out *out, const char *s)
{
	size_t len;

	if (!s)
		s = "";
	len = strlen(s);
	if (len >= UINT32_MAX) {
		if (out->error == 0)
			out->error = -EINVAL;
		return;
	}
	wire_put_u32(out, (uint32_t)len);
	wire_put(out, s, len + 1);
}

void wire_put_bytes(struct wire_out *out, const void *p, size_t len)
{
	if (len > UINT32_MAX) {
		if (out->error == 0)
			out->error = -EINVAL;
		return;
	}
	wire_put_u32(out, (uint32_t)len);
	wire_put(out, p, len);
}
