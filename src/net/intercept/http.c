/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 in pieces: see http.h. */
#include "net/intercept/http.h"

#include "base/str.h"

enum state {
	HEAD,
	BODY,
	CHUNK_SIZE,
	CHUNK_DATA,
	CHUNK_CRLF,
	TRAILER,
	END,
	RAW,
	BROKEN,
};

enum { CHUNK_LINE_MAX = 18, LENGTH_DIGITS_MAX = 18, TRAILER_MAX = 8 * 1024, STATUS_DIGITS = 3 };

struct cursor {
	const char *p, *end;
};

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_visible(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f;
}

/* Beyond ASCII a target has to be written with %, and readers differ about what is not. */
static bool is_target_char(char c)
{
	return is_visible(c) && (unsigned char)c < 0x80;
}

static bool is_value_char(char c)
{
	return is_visible(c) || c == ' ' || c == '\t';
}

static struct http_text take(struct cursor *c, bool (*is)(char))
{
	struct http_text t = {.at = c->p};

	while (c->p < c->end && is(*c->p))
		c->p++;
	t.len = (size_t)(c->p - t.at);
	return t;
}

static bool skip(struct cursor *c, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, text, n) != 0)
		return false;
	c->p += n;
	return true;
}

static bool take_version(struct cursor *c, struct http_head *h)
{
	if (skip(c, "HTTP/1.1"))
		h->minor = true;
	else if (skip(c, "HTTP/1.0"))
		h->minor = false;
	else
		return false;
	return true;
}

static const char *request_line(struct cursor *c, struct http_head *h)
{
	h->method = take(c, is_token_char);
	if (h->method.len == 0 || !skip(c, " "))
		return "no method";
	h->target = take(c, is_target_char);
	if (h->target.len == 0 || !skip(c, " "))
		return "no target";
	return take_version(c, h) && skip(c, "\r\n") ? NULL : "not HTTP/1.1";
}

static const char *status_line(struct cursor *c, struct http_head *h)
{
	if (!take_version(c, h) || !skip(c, " "))
		return "not HTTP/1.1";
	h->status = 0;
	for (int i = 0; i < STATUS_DIGITS; i++) {
		if (c->p >= c->end || *c->p < '0' || *c->p > '9')
			return "no status";
		h->status = h->status * 10 + (unsigned int)(*c->p++ - '0');
	}
	if (skip(c, " "))
		(void)take(c, is_value_char);
	return h->status >= 100 && skip(c, "\r\n") ? NULL : "no status";
}

static const char *take_field(struct cursor *c, struct http_field *f)
{
	f->name = take(c, is_token_char);
	if (f->name.len == 0)
		return "a field without a name";
	if (!skip(c, ":"))
		return "no colon after the name of a field";
	f->value = take(c, is_value_char);
	if (!skip(c, "\r\n"))
		return "a control character in a field";
	while (f->value.len && (f->value.at[0] == ' ' || f->value.at[0] == '\t')) {
		f->value.at++;
		f->value.len--;
	}
	while (f->value.len &&
		(f->value.at[f->value.len - 1] == ' ' || f->value.at[f->value.len - 1] == '\t'))
		f->value.len--;
	return NULL;
}

static const char *take_fields(struct cursor *c, struct http_head *h)
{
	h->n_fields = 0;
	while (!skip(c, "\r\n")) {
		const char *why;

		if (h->n_fields == HTTP_FIELDS_MAX)
			return "too many fields";
		why = take_field(c, &h->fields[h->n_fields]);
		if (why)
			return why;
		h->n_fields++;
	}
	return NULL;
}

bool http_is(const struct http_text *t, const char *word)
{
	return t->len == strlen(word) && strncasecmp(t->at, word, t->len) == 0;
}

bool http_is_host(struct http_text t, const char *host, uint16_t port)
{
	size_t n = strlen(host);
	bool v6 = strchr(host, ':') != NULL;
	char with_port[8];

	if (v6 && t.len >= 2 && t.at[0] == '[') {
		if (t.len < n + 2 || t.at[n + 1] != ']' || strncasecmp(t.at + 1, host, n) != 0)
			return false;
		n += 2;
	} else if (t.len < n || strncasecmp(t.at, host, n) != 0) {
		return false;
	}
	t.at += n;
	t.len -= n;
	(void)snprintf(with_port, sizeof(with_port), ":%u", port);
	return t.len == 0 || http_is(&t, with_port);
}

const struct http_field *http_find(const struct http_head *h, const char *name, uint32_t from)
{
	for (uint32_t i = from; i < h->n_fields; i++) {
		if (http_is(&h->fields[i].name, name))
			return &h->fields[i];
	}
	return NULL;
}

static const struct http_field *only(const struct http_head *h, const char *name, bool *ret_twice)
{
	const struct http_field *f = http_find(h, name, 0);

	*ret_twice = f && http_find(h, name, (uint32_t)(f - h->fields) + 1);
	return f;
}

bool http_has_word(const struct http_head *h, const char *name, const char *word)
{
	for (const struct http_field *f = http_find(h, name, 0); f;
		f = http_find(h, name, (uint32_t)(f - h->fields) + 1)) {
		const char *end = f->value.at + f->value.len;
		const char *p = f->value.at;

		while (p < end) {
			struct http_text t = {.at = p};

			while (p < end && *p != ',')
				p++;
			t.len = (size_t)(p - t.at);
			p++;
			while (t.len && (t.at[0] == ' ' || t.at[0] == '\t')) {
				t.at++;
				t.len--;
			}
			while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
				t.len--;
			if (http_is(&t, word))
				return true;
		}
	}
	return false;
}

static bool take_length(const struct http_text *t, uint64_t *ret)
{
	uint64_t n = 0;

	if (t->len == 0 || t->len > LENGTH_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < t->len; i++) {
		if (t->at[i] < '0' || t->at[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(t->at[i] - '0');
	}
	*ret = n;
	return true;
}

/* Where the message ends. */
static const char *framing(struct http_stream *s)
{
	const struct http_head *h = &s->head;
	bool two_codings;
	bool two_lengths;
	const struct http_field *coding = only(h, "Transfer-Encoding", &two_codings);
	const struct http_field *length = only(h, "Content-Length", &two_lengths);
	uint64_t n = 0;

	if (two_codings || two_lengths || (coding && length))
		return "its end is not clear: Content-Length and Transfer-Encoding";
	if (coding && (!h->minor || !http_is(&coding->value, "chunked")))
		return "a coding other than chunked";
	if (length && !take_length(&length->value, &n))
		return "a bad Content-Length";
	s->until_end = false;
	s->last_chunk = false;
	s->left = n;
	s->state = n ? BODY : END;
	if (s->side == HTTP_RESPONSE &&
		(h->status < 200 || h->status == 204 || h->status == 304 || s->no_body)) {
		if ((h->status < 200 || h->status == 204) && coding)
			return "a coding of nothing";
		s->state = END;
	} else if (coding) {
		s->state = CHUNK_SIZE;
	} else if (s->side == HTTP_RESPONSE && !length) {
		s->until_end = true;
		s->state = RAW;
	}
	return NULL;
}

static enum http_piece bad(struct http_stream *s, const char *why)
{
	s->state = BROKEN;
	s->why = why;
	return HTTP_BAD;
}

/* The length of the head with its empty line, 0: it is not all there. */
static size_t head_length(const char *in, size_t len)
{
	const char *end = memmem(in, len, "\r\n\r\n", 4);

	return end ? (size_t)(end - in) + 4 : 0;
}

static enum http_piece next_head(struct http_stream *s, const char *in, size_t len, size_t *ret_n)
{
	size_t n = head_length(in, MIN(len, (size_t)HTTP_HEAD_MAX));
	struct cursor c = {.p = in, .end = in + n};
	const char *why;

	if (n == 0)
		return len >= HTTP_HEAD_MAX ? bad(s, "its head is too long") : HTTP_MORE;
	why = s->side == HTTP_REQUEST ? request_line(&c, &s->head) : status_line(&c, &s->head);
	if (!why)
		why = take_fields(&c, &s->head);
	if (!why && c.p != c.end)
		why = "its head has two ends";
	if (!why)
		why = framing(s);
	if (why)
		return bad(s, why);
	*ret_n = n;
	return HTTP_HEAD;
}

static enum http_piece next_size(struct http_stream *s, const char *in, size_t len, size_t *ret_n)
{
	size_t i = 0;

	s->left = 0;
	while (i < len && i < CHUNK_LINE_MAX && str_hex_value(in[i]) >= 0)
		s->left = s->left << 4 | (uint64_t)str_hex_value(in[i++]);
	/* Fifteen digits leave room for sums. */
	if (i >= CHUNK_LINE_MAX - 2)
		return bad(s, "a chunk is too long");
	if (i == len)
		return HTTP_MORE;
	if (i == 0 || in[i] != '\r')
		return bad(s, "a bad length of a chunk");
	if (i + 1 == len)
		return HTTP_MORE;
	if (in[i + 1] != '\n')
		return bad(s, "a bad length of a chunk");
	s->last_chunk = s->left == 0;
	s->state = s->left ? CHUNK_DATA : TRAILER;
	*ret_n = i + 2;
	return HTTP_FRAME;
}

/* What decides about a message comes before it; some readers would take it from here all the same.
 */
static bool is_no_trailer(const struct http_text *name)
{
	static const char *const names[] = {
		"Connection", "Content-Length", "Host", "Transfer-Encoding", "Upgrade"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (http_is(name, names[i]))
			return true;
	}
	return false;
}

/* Fields behind the last chunk: forwarded, never acted on. */
static enum http_piece next_trailer(
	struct http_stream *s, const char *in, size_t len, size_t *ret_n)
{
	struct cursor c = {.p = in};
	size_t n = 0;

	if (len >= 2 && memcmp(in, "\r\n", 2) == 0)
		n = 2;
	else if (len >= 2)
		n = head_length(in, MIN(len, (size_t)TRAILER_MAX));
	if (n == 0)
		return len >= TRAILER_MAX ? bad(s, "its trailer is too long") : HTTP_MORE;
	c.end = in + n;
	while (!skip(&c, "\r\n")) {
		struct http_field f;
		const char *why = take_field(&c, &f);

		if (!why && is_no_trailer(&f.name))
			why = "a field of the head behind the body";
		if (why)
			return bad(s, why);
	}
	s->state = END;
	*ret_n = n;
	return HTTP_FRAME;
}

static enum http_piece next_data(struct http_stream *s, size_t len, enum state then, size_t *ret_n)
{
	size_t n = (size_t)MIN((uint64_t)len, s->left);

	s->left -= n;
	if (s->left == 0)
		s->state = (uint8_t)then;
	*ret_n = n;
	return HTTP_DATA;
}

enum http_piece http_next(struct http_stream *s, const void *bytes, size_t len, size_t *ret_n)
{
	const char *in = bytes;

	*ret_n = 0;
	if (s->state == BROKEN)
		return HTTP_BAD;
	if (s->state == END) {
		s->state = HEAD;
		return HTTP_END;
	}
	if (len == 0)
		return HTTP_MORE;
	switch ((enum state)s->state) {
	case HEAD:
		return next_head(s, in, len, ret_n);
	case BODY:
		return next_data(s, len, END, ret_n);
	case CHUNK_SIZE:
		return next_size(s, in, len, ret_n);
	case CHUNK_DATA:
		return next_data(s, len, CHUNK_CRLF, ret_n);
	case CHUNK_CRLF:
		if (len < 2)
			return HTTP_MORE;
		if (memcmp(in, "\r\n", 2) != 0)
			return bad(s, "a chunk is longer than it says");
		s->state = CHUNK_SIZE;
		*ret_n = 2;
		return HTTP_FRAME;
	case TRAILER:
		return next_trailer(s, in, len, ret_n);
	case RAW:
	case END:
	case BROKEN:
	default:
		break;
	}
	*ret_n = len;
	return HTTP_RAW;
}

void http_init(struct http_stream *s, enum http_side side)
{
	*s = (struct http_stream){.side = side, .state = HEAD};
}

void http_raw(struct http_stream *s)
{
	s->until_end = false;
	s->state = RAW;
}

bool http_idle(const struct http_stream *s)
{
	return s->state == HEAD;
}
