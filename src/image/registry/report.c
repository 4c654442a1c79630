/* SPDX-License-Identifier: Apache-2.0 */
/* What msb-pull says while it works: see report.h. */
#include "image/registry/report.h"

#include "base/io.h"
#include "base/json.h"

enum { LINE_MAX_BYTES = 4096 };

#define INTERVAL_NS (100 * NSEC_PER_MSEC)

/* One line under construction. */
struct line {
	struct buf buf;
	struct json_out out;
};

void report_init(struct report *r, int fd, bool quiet)
{
	pthread_mutex_init(&r->lock, NULL);
	r->fd = fd;
	r->quiet = quiet;
}

static void line_begin(struct line *l, const char *event)
{
	buf_init(&l->buf, LINE_MAX_BYTES);
	json_out_init(&l->out, &l->buf, JSON_COMPACT);
	json_begin_object(&l->out, NULL);
	json_put_str(&l->out, "event", event);
}

/* Nobody to tell is no reason to stop. A line is written whole or not at all. */
static void line_end(struct report *r, struct line *l)
{
	json_end_object(&l->out);
	if (json_out_end(&l->out) == 0 && buf_append(&l->buf, "\n", 1) == 0) {
		pthread_mutex_lock(&r->lock);
		(void)!io_write_full(r->fd, buf_data(&l->buf), buf_len(&l->buf));
		pthread_mutex_unlock(&r->lock);
	}
	buf_deinit(&l->buf);
}

/* Messages quote foreign text, which is escaped where it enters; this is the last check. */
static void put_text(struct line *l, const char *key, const char *text)
{
	char copy[sizeof(((struct msb_err *)0)->msg)];
	size_t n = 0;

	for (; text[n] && n < sizeof(copy) - 1; n++)
		copy[n] = (char)(text[n] < 0x20 || text[n] > 0x7e ? '?' : text[n]);
	json_put_strn(&l->out, key, copy, n);
}

void report_resolve(struct report *r, const char *ref, const char *digest, const char *from,
	size_t layers, uint64_t bytes)
{
	struct line l;

	if (r->quiet)
		return;
	line_begin(&l, "resolve");
	json_put_str(&l.out, "ref", ref);
	json_put_str(&l.out, "digest", digest);
	json_put_str(&l.out, "from", from);
	json_put_u64(&l.out, "layers", layers);
	json_put_u64(&l.out, "bytes", bytes);
	line_end(r, &l);
}

void report_layer(
	struct report *r, struct report_layer *layer, enum layer_state state, uint64_t bytes)
{
	static const char *const names[] = {"exists", "waiting", "downloading", "retrying", "done"};
	uint64_t now = clock_mono_ns();
	struct line l;

	if (r->quiet || (state == LAYER_DOWNLOADING && layer->last_ns &&
				now < layer->last_ns + INTERVAL_NS))
		return;
	layer->last_ns = now;
	line_begin(&l, "layer");
	json_put_str(&l.out, "digest", layer->digest);
	json_put_str(&l.out, "state", names[state]);
	json_put_u64(&l.out, "bytes", bytes);
	json_put_u64(&l.out, "total", layer->total);
	line_end(r, &l);
}

void report_merge(struct report *r)
{
	struct line l;

	if (r->quiet)
		return;
	line_begin(&l, "merge");
	line_end(r, &l);
}

void report_loaded(struct report *r, const struct image_ref *ref, const char *digest)
{
	char text[REF_TEXT_MAX + 1];
	struct line l;

	image_ref_short(ref, text);
	line_begin(&l, "loaded");
	json_put_str(&l.out, "ref", text);
	json_put_str(&l.out, "digest", digest);
	line_end(r, &l);
}

void report_warning(struct report *r, const char *msg)
{
	struct line l;

	line_begin(&l, "warning");
	put_text(&l, "msg", msg);
	line_end(r, &l);
}

void report_done(
	struct report *r, const char *digest, size_t downloaded, uint64_t bytes, size_t layers)
{
	struct line l;

	line_begin(&l, "done");
	json_put_str(&l.out, "digest", digest);
	json_put_u64(&l.out, "downloaded_layers", downloaded);
	json_put_u64(&l.out, "downloaded_bytes", bytes);
	json_put_u64(&l.out, "layers", layers);
	line_end(r, &l);
}

void report_error(struct report *r, const struct msb_err *err)
{
	struct line l;

	line_begin(&l, "error");
	json_put_str(&l.out, "kind", msb_kind_name(err->kind));
	put_text(&l, "msg", err->msg);
	put_text(&l, "hint", err->hint);
	line_end(r, &l);
}
