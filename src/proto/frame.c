/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: see frame.h. */
#include "proto/frame.h"

enum frame_place { PLACE_UNKNOWN = 0, PLACE_CONTROL, PLACE_STREAM };

struct frame_info {
	const char *name;
	uint8_t place; /* enum frame_place: stream 0, or any other */
	bool terminal;
};

static const struct frame_info infos[] = {
	[FRAME_HELLO] = {"HELLO", PLACE_CONTROL},
	[FRAME_READY] = {"READY", PLACE_CONTROL},
	[FRAME_BOOT_FAILED] = {"BOOT_FAILED", PLACE_CONTROL},
	[FRAME_BYE] = {"BYE", PLACE_CONTROL},
	[FRAME_CONFIG] = {"CONFIG", PLACE_CONTROL},
	[FRAME_CLOCK] = {"CLOCK", PLACE_CONTROL},
	[FRAME_TRUST] = {"TRUST", PLACE_CONTROL},
	[FRAME_SHUTDOWN] = {"SHUTDOWN", PLACE_CONTROL},
	[FRAME_EXEC] = {"EXEC", PLACE_STREAM},
	[FRAME_FS] = {"FS", PLACE_STREAM},
	[FRAME_PING] = {"PING", PLACE_STREAM},
	[FRAME_METRICS] = {"METRICS", PLACE_STREAM},
	[FRAME_FREEZE] = {"FREEZE", PLACE_STREAM},
	[FRAME_MODIFY] = {"MODIFY", PLACE_STREAM},
	[FRAME_DATA] = {"DATA", PLACE_STREAM},
	[FRAME_CREDIT] = {"CREDIT", PLACE_STREAM},
	[FRAME_RESIZE] = {"RESIZE", PLACE_STREAM},
	[FRAME_SIGNAL] = {"SIGNAL", PLACE_STREAM},
	[FRAME_CANCEL] = {"CANCEL", PLACE_STREAM},
	[FRAME_STARTED] = {"STARTED", PLACE_STREAM},
	[FRAME_FROZEN] = {"FROZEN", PLACE_STREAM},
	[FRAME_DETACH] = {"DETACH", PLACE_STREAM},
	[FRAME_EXITED] = {"EXITED", PLACE_STREAM, true},
	[FRAME_FAILED] = {"FAILED", PLACE_STREAM, true},
	[FRAME_FS_DONE] = {"FS_DONE", PLACE_STREAM, true},
	[FRAME_PONG] = {"PONG", PLACE_STREAM, true},
	[FRAME_METRICS_DONE] = {"METRICS_DONE", PLACE_STREAM, true},
	[FRAME_THAWED] = {"THAWED", PLACE_STREAM, true},
	[FRAME_MODIFIED] = {"MODIFIED", PLACE_STREAM, true},
	[FRAME_SB_READY] = {"SB_READY", PLACE_CONTROL},
	[FRAME_SB_FAILED] = {"SB_FAILED", PLACE_CONTROL},
	[FRAME_SB_STOP] = {"SB_STOP", PLACE_CONTROL},
	[FRAME_SB_STOPPED] = {"SB_STOPPED", PLACE_CONTROL},
	[FRAME_SB_TOUCH] = {"SB_TOUCH", PLACE_CONTROL},
	[FRAME_SB_SIGNAL] = {"SB_SIGNAL", PLACE_STREAM},
	[FRAME_SB_PREPARED] = {"SB_PREPARED", PLACE_STREAM},
	[FRAME_SB_MEMORY] = {"SB_MEMORY", PLACE_STREAM},
	[FRAME_SB_POLICY] = {"SB_POLICY", PLACE_STREAM},
	[FRAME_SB_SECRETS] = {"SB_SECRETS", PLACE_STREAM},
};

/* The header as it stands on the wire. */
struct frame_header {
	uint32_t len;
	uint32_t stream;
	uint8_t type;
	uint8_t flags;
	uint16_t zero;
};
_Static_assert(sizeof(struct frame_header) == FRAME_HEADER, "header has no padding");

static bool frame_header_valid(const struct frame_header *h)
{
	const struct frame_info *info;

	if (h->type >= ARRAY_SIZE(infos) || h->zero != 0 || h->len > LIMIT_FRAME_PAYLOAD)
		return false;
	info = &infos[h->type];
	if (info->place == PLACE_UNKNOWN || (info->place == PLACE_CONTROL) != (h->stream == 0))
		return false;
	if (h->type != FRAME_DATA)
		return h->flags == 0;
	return (h->flags & ~(FRAME_CHANNEL | FRAME_EOF)) == 0 &&
	       (h->flags & FRAME_CHANNEL) != FRAME_CHANNEL;
}

int frame_decode(const struct buf *in, struct frame *ret)
{
	const uint8_t *p = buf_data(in);
	struct frame_header h;

	if (buf_len(in) < FRAME_HEADER)
		return -EAGAIN;
	memcpy(&h, p, sizeof(h));
	if (!frame_header_valid(&h))
		return -EBADMSG;
	if (buf_len(in) - FRAME_HEADER < h.len)
		return -EAGAIN;
	*ret = (struct frame){
		.len = h.len,
		.stream = h.stream,
		.type = h.type,
		.flags = h.flags,
		.payload = p + FRAME_HEADER,
	};
	return 0;
}

static int frame_put_header(
	struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, size_t len)
{
	const struct frame_header h = {
		.len = (uint32_t)len, .stream = stream, .type = type, .flags = flags};

	if (len > LIMIT_FRAME_PAYLOAD)
		return -EMSGSIZE;
	/* Sending what the peer must reject would be our own bug. */
	assert(frame_header_valid(&h));
	return buf_append(out, &h, sizeof(h));
}

int frame_put(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
	size_t len)
{
	size_t mark = buf_len(out);
	int r = frame_put_header(out, type, flags, stream, len);

	if (r == 0)
		r = buf_append(out, payload, len);
	if (r < 0)
		out->tail = out->head + mark;
	return r;
}

int frame_begin(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, size_t *ret_mark)
{
	/* Relative to the first readable byte: appending may move the content. */
	size_t mark = buf_len(out);
	int r = frame_put_header(out, type, flags, stream, 0);

	if (r == 0)
		*ret_mark = mark;
	return r;
}

int frame_finish(struct buf *out, size_t mark, int error)
{
	size_t len = buf_len(out) - mark - FRAME_HEADER;
	uint32_t wire_len = (uint32_t)len;

	if (error == 0 && len > LIMIT_FRAME_PAYLOAD)
		error = -EMSGSIZE;
	if (error < 0)
		out->tail = out->head + mark;
	else
		memcpy(out->base + out->head + mark, &wire_len, sizeof(wire_len));
	return error;
}

bool frame_is_terminal(uint8_t type)
{
	return type < ARRAY_SIZE(infos) && infos[type].terminal;
}

const char *frame_type_name(uint8_t type)
{
	return type < ARRAY_SIZE(infos) && infos[type].name ? infos[type].name : "?";
}
