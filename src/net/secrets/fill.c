/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in requests: see secret.h.
 *
 * Every part of a request goes through fill(): what it copies, puts in and stops. A value is put in
 * only for what was written plainly, or with %XX where that is how the part is written; hidden in
 * another way it is no wish for a value, but still stops a request to another host.
 */
#include "net/secrets/secret-internal.h"

enum { BASIC_MAX = 24 * 1024, BASIC_VALUES = 8, VALUE_ROOM = SECRET_ROOM - SECRET_CARRY };

struct part {
	const struct secrets *secrets;
	const struct secret_place *place;
	uint32_t inject; /* which of SECRET_IN_* it is; 0: none */
	bool escape; /* it is percent-encoded */
	const char *why; /* no value is put in here */
	size_t *growth; /* NULL: only @out bounds it */
	struct buf *out; /* NULL: only look */
};

static const char foreign[] = "a placeholder on its way to a host that its secret is not for";

static bool is_for(const struct secret *s, const struct secret_place *place)
{
	return place->tls && place->pinned && name_pattern_any(s->hosts, s->n_hosts, place->host);
}

static int append(struct buf *out, const void *p, size_t n)
{
	int r = buf_append(out, p, n);

	return r == -ENOBUFS ? -E2BIG : r;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

static int append_escaped(struct buf *out, const char *t, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		uint8_t c = (uint8_t)t[i];
		char code[3] = {'%', digits[c >> 4], digits[c & 15]};

		r = is_unreserved(t[i]) ? append(out, &t[i], 1) : append(out, code, sizeof(code));
	}
	return r;
}

static int put_value(const struct part *p, const struct secret_found *f)
{
	size_t before = buf_len(p->out);
	const struct secret *s = f->secret;
	int r = p->escape ? append_escaped(p->out, s->value, s->value_len)
			  : append(p->out, s->value, s->value_len);
	size_t put = buf_len(p->out) - before;

	if (r == 0 && p->growth && put > f->len) {
		*p->growth += put - f->len;
		r = *p->growth > SECRET_GROWTH_MAX ? -E2BIG : 0;
	}
	return r;
}

/* 1: it stays as it is, 0: a value belongs there, -EACCES. */
static int judge(const struct part *p, const struct secret_found *f, struct secret_verdict *ret)
{
	bool ok = is_for(f->secret, p->place);

	if (ok && (f->secret->inject & p->inject)) {
		if (!p->out || (f->how & ~(p->escape ? SECRET_BY_PERCENT : 0u)))
			return 1;
		ret->name = f->secret->name;
		return 0;
	}
	if (p->secrets->violation == SECRET_PASSTHROUGH)
		return 1;
	*ret = (struct secret_verdict){.name = f->secret->name, .why = ok ? p->why : foreign};
	return -EACCES;
}

/* How many bytes from @done on can be copied with room for a value left; @last: they must fit. */
static size_t limit(const struct part *p, size_t done, size_t stop, bool last)
{
	size_t space = p->out && !last ? buf_space(p->out) : SIZE_MAX;

	if (space < VALUE_ROOM)
		return done;
	return stop - done > space - VALUE_ROOM ? done + space - VALUE_ROOM : stop;
}

/*
 * Everything that begins before byte @stop of @n; @last: nothing comes behind them.
 * *@ret_used: how much was done. Return: 1: the rest depends on what follows, 0: all was done, or
 * as much as there is room for, negative: as in secret.h.
 */
static int fill(const struct part *p, const char *t, size_t n, size_t stop, bool last,
	size_t *ret_used, struct secret_verdict *ret)
{
	size_t end = limit(p, 0, stop, last);
	size_t done = 0;
	bool more = false;
	size_t i = 0;
	int r = 0;

	while (r == 0 && !more) {
		struct secret_found f;
		enum secret_match m;

		i += secret_skip(t + i, i < end ? end - i : 0);
		if (i >= end)
			break;
		m = secret_match(p->secrets, t + i, n - i, last, &f);
		if (m == SECRET_MATCH_NONE) {
			i++;
			continue;
		}
		more = m == SECRET_MATCH_MORE;
		/* Who only looks has let it pass before more is known. */
		if (more && (p->out || !f.secret))
			break;
		r = judge(p, &f, ret);
		if (more) {
			r = MIN(r, 0);
		} else if (r == 1) {
			i += f.len;
			r = 0;
		} else if (r == 0) {
			r = append(p->out, t + done, i - done);
			if (r == 0)
				r = put_value(p, &f);
			done = i += f.len;
			end = limit(p, done, MAX(stop, done), last);
		}
	}
	if (r == 0 && p->out)
		r = append(p->out, t + done, i - done);
	*ret_used = i;
	return r == 0 && more ? 1 : r;
}

/* A part that is all there. */
static int fill_all(const struct part *p, struct http_text t, struct secret_verdict *ret)
{
	size_t used;

	return fill(p, t.at, t.len, t.len, true, &used, ret);
}

int secrets_none(
	const struct secrets *s, struct http_text t, const char *why, struct secret_verdict *ret)
{
	static const struct secret_place anywhere = {.host = ""};
	struct secret_verdict v = {.name = NULL};
	const struct part p = {.secrets = s, .place = &anywhere, .why = why};
	int r = fill_all(&p, t, &v);

	if (r == -EACCES)
		*ret = (struct secret_verdict){.name = v.name, .why = why};
	return r;
}

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool decode64(const char *t, size_t n, char *to, size_t *ret_n)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t used = 0;

	while (n > 0 && t[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		const char *d = t[i] ? strchr(digits64, t[i]) : NULL;

		if (!d)
			return false;
		bits = bits << 6 | (uint32_t)(d - digits64);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		to[used++] = (char)(bits >> have & 0xff);
	}
	*ret_n = used;
	return true;
}

static int encode64(const uint8_t *t, size_t n, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i += 3) {
		uint32_t v = (uint32_t)t[i] << 16 | (uint32_t)(i + 1 < n ? t[i + 1] : 0) << 8 |
			     (i + 2 < n ? t[i + 2] : 0);
		char four[4] = {digits64[v >> 18], digits64[v >> 12 & 63],
			i + 1 < n ? digits64[v >> 6 & 63] : '=',
			i + 2 < n ? digits64[v & 63] : '='};

		r = append(out, four, sizeof(four));
	}
	return r;
}

static void wipe(struct buf *b)
{
	if (b->base)
		explicit_bzero(b->base, b->cap);
	buf_deinit(b);
}

/* The Base64 @t of a name and a password. Return: 1: nothing is put in. */
static int fill_basic(const struct secrets *s, const struct secret_place *place, struct http_text t,
	struct buf *out, struct secret_verdict *ret)
{
	cleanup_free char *plain = malloc(t.len + 1);
	struct secret_verdict v = {.name = NULL};
	struct part p = {.secrets = s,
		.place = place,
		.inject = SECRET_IN_BASIC,
		.why = "a placeholder in a Basic authorization, where its value is not put in"};
	struct http_text text = {.at = plain};
	struct buf filled;
	int r;

	if (!plain)
		return -ENOMEM;
	if (!decode64(t.at, t.len, plain, &text.len) || secret_skip(plain, text.len) == text.len)
		return 1;
	buf_init(&filled, text.len + SECRET_ROOM + (size_t)BASIC_VALUES * SECRET_VALUE_MAX);
	/* All of it at once: growing would leave copies behind. */
	r = buf_reserve(&filled, filled.max) ? 0 : -ENOMEM;
	p.out = &filled;
	if (r == 0)
		r = fill_all(&p, text, &v);
	if (r == 0 && v.name)
		r = encode64(buf_data(&filled), buf_len(&filled), out);
	else if (r == 0)
		r = 1;
	if (v.name)
		*ret = v;
	wipe(&filled);
	return r;
}

static bool is_basic(const struct http_field *f, size_t *ret_skip)
{
	static const char word[] = "Basic ";
	size_t skip = sizeof(word) - 1;

	if ((!http_is(&f->name, "Authorization") && !http_is(&f->name, "Proxy-Authorization")) ||
		f->value.len < skip || f->value.len > BASIC_MAX ||
		strncasecmp(f->value.at, word, skip) != 0)
		return false;
	while (skip < f->value.len && f->value.at[skip] == ' ')
		skip++;
	*ret_skip = skip;
	return true;
}

static struct http_text text_from(struct http_text t, size_t skip)
{
	return (struct http_text){.at = t.at + skip, .len = t.len - skip};
}

int secrets_field(const struct secrets *s, const struct secret_place *place,
	const struct http_field *f, struct buf *out, struct secret_verdict *ret)
{
	const struct part p = {.secrets = s,
		.place = place,
		.inject = SECRET_IN_HEADERS,
		.why = "a placeholder in a field, where its value is not put in",
		.out = out};
	size_t before = buf_len(out);
	size_t skip = 0;
	int r = secrets_none(s, f->name, "a placeholder in the name of a field", ret);

	if (r == 0 && is_basic(f, &skip)) {
		r = append(out, f->value.at, skip);
		if (r == 0)
			r = fill_basic(s, place, text_from(f->value, skip), out, ret);
		if (r <= 0)
			return r;
		out->tail = out->head + before;
		r = 0;
	}
	return r == 0 ? fill_all(&p, f->value, ret) : r;
}

int secrets_target(const struct secrets *s, const struct secret_place *place,
	struct http_text target, struct buf *out, struct secret_verdict *ret)
{
	const struct part p = {.secrets = s,
		.place = place,
		.inject = SECRET_IN_QUERY,
		.escape = true,
		.why = "a placeholder in a query, where its value is not put in",
		.out = out};
	const char *query = memchr(target.at, '?', target.len);
	struct http_text path = {
		.at = target.at, .len = query ? (size_t)(query - target.at) : target.len};
	int r = secrets_none(s, path, "a placeholder in a path, where no value is put in", ret);

	if (r == 0)
		r = append(out, path.at, path.len);
	return r == 0 ? fill_all(&p, text_from(target, path.len), ret) : r;
}

void secrets_undo(struct buf *out, size_t before)
{
	size_t n = buf_len(out) - before;

	if (n == 0)
		return;
	out->tail -= n;
	explicit_bzero(out->base + out->tail, n);
}

static int fill_head(const struct secrets *s, const struct secret_place *place, const char *raw,
	size_t n, const struct http_head *h, const char *length, struct buf *out,
	struct secret_verdict *ret)
{
	const char *done = h->target.at + h->target.len;
	int r = secrets_none(s, h->method, "a placeholder as the method", ret);

	if (r == 0)
		r = append(out, raw, (size_t)(h->target.at - raw));
	if (r == 0)
		r = secrets_target(s, place, h->target, out, ret);
	for (uint32_t i = 0; i < h->n_fields && r == 0; i++) {
		const struct http_field *f = &h->fields[i];
		bool expect = length && http_is(&f->name, "Expect");

		r = append(out, done, (size_t)((expect ? f->name.at : f->value.at) - done));
		done = f->value.at + f->value.len;
		if (expect)
			done = (const char *)memchr(done, '\n', (size_t)(raw + n - done)) + 1;
		else if (r == 0 && length && http_is(&f->name, "Content-Length"))
			r = append(out, length, strlen(length));
		else if (r == 0)
			r = secrets_field(s, place, f, out, ret);
	}
	return r == 0 ? append(out, done, (size_t)(raw + n - done)) : r;
}

int secrets_head(const struct secrets *s, const struct secret_place *place, const char *raw,
	size_t n, const struct http_head *h, const char *length, struct buf *out,
	struct secret_verdict *ret)
{
	size_t before = buf_len(out);
	int r;

	*ret = (struct secret_verdict){.name = NULL};
	r = fill_head(s, place, raw, n, h, length, out, ret);
	if (r < 0)
		secrets_undo(out, before);
	return r;
}

bool secrets_in_bodies(const struct secrets *s, const struct secret_place *place)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if ((s->list[i].inject & SECRET_IN_BODY) && is_for(&s->list[i], place))
			return true;
	}
	return false;
}

bool secrets_is_form(const struct http_head *h)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const struct http_field *f = http_find(h, "Content-Type", 0);
	size_t n = sizeof(form) - 1;

	return f && f->value.len >= n && strncasecmp(f->value.at, form, n) == 0 &&
	       (f->value.len == n || strchr("; \t", f->value.at[n]));
}

void secret_body_init(
	struct secret_body *b, const struct secrets *s, const struct secret_place *place, bool form)
{
	b->secrets = s;
	b->place = place;
	b->form = form;
	b->growth = 0;
	b->n = 0;
}

static struct part part_of(struct secret_body *b, struct buf *out)
{
	return (struct part){.secrets = b->secrets,
		.place = b->place,
		.inject = SECRET_IN_BODY,
		.escape = b->form,
		.why = "a placeholder in a body, where its value is not put in",
		.growth = &b->growth,
		.out = out};
}

static void keep(struct secret_body *b, const char *t, size_t n)
{
	memmove(b->carry, t, n);
	b->n = n;
}

/* What waits, with what comes behind it. */
static int feed_carry(struct secret_body *b, const struct part *part, const char *p, size_t n,
	size_t *ret_used, struct secret_verdict *ret)
{
	char both[2 * SECRET_CARRY];
	size_t more = MIN(n, (size_t)SECRET_CARRY);
	size_t len = b->n + more;
	size_t used;
	int r;

	memcpy(both, b->carry, b->n);
	memcpy(both + b->n, p, more);
	r = fill(part, both, len, b->n, false, &used, ret);
	if (r < 0)
		return r;
	if (r == 1) {
		/* More than all bytes that were given. */
		*ret_used = n;
		keep(b, both + used, len - used);
	} else if (used >= b->n) {
		*ret_used = used - b->n;
		b->n = 0;
	} else {
		keep(b, both + used, b->n - used);
	}
	return 0;
}

int secret_body_feed(struct secret_body *b, const void *p, size_t n, struct buf *out,
	size_t *ret_used, struct secret_verdict *ret)
{
	const struct part part = part_of(b, out);
	const char *t = p;
	size_t used = 0;
	size_t more;
	int r = 0;

	*ret_used = 0;
	if (b->n > 0 && n > 0)
		r = feed_carry(b, &part, t, n, &used, ret);
	if (r == 0 && b->n == 0) {
		r = fill(&part, t + used, n - used, n - used, false, &more, ret);
		used += more;
	}
	if (r == 1) {
		keep(b, t + used, n - used);
		used = n;
	}
	*ret_used = used;
	return MIN(r, 0);
}

int secret_body_end(struct secret_body *b, struct buf *out, struct secret_verdict *ret)
{
	const struct part part = part_of(b, out);
	int r = fill_all(&part, (struct http_text){.at = b->carry, .len = b->n}, ret);

	b->n = 0;
	return r;
}
