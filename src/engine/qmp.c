/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QMP messages: see qmp.h.
 *
 * The parser walks the JSON text once, without building a tree. It knows at each object in which of
 * the few interesting places it is (enum place), and copies the strings it looks for.
 */
#include "engine/qmp.h"

enum place { PLACE_TOP, PLACE_DATA, PLACE_ERROR, PLACE_OTHER };

struct scan {
	const char *at;
	const char *end;
	unsigned int depth;
	unsigned int seen; /* bit set of enum qmp_type: keys found at the top */
	struct qmp_msg *msg;
};

/* A string value or key: where its decoded form goes. */
struct text {
	char *to; /* NULL: nobody wants it */
	size_t size;
	size_t len;
};

static bool scan_value(struct scan *s, enum place place, struct text *want);

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* Names and reasons are ASCII; whatever else a text holds is shown as a question mark. */
static void text_put(struct text *t, unsigned int c)
{
	if (!t->to || t->len + 1 >= t->size)
		return;
	t->to[t->len++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	t->to[t->len] = '\0';
}

static bool scan_hex4(struct scan *s, unsigned int *ret)
{
	unsigned int v = 0;

	if (s->end - s->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *s->at++;

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= (unsigned int)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v |= (unsigned int)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v |= (unsigned int)(c - 'A' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

static bool scan_escape(struct scan *s, struct text *t)
{
	static const char plain[] = "\"\\/bfnrt";
	unsigned int v;
	char c;

	if (s->at == s->end)
		return false;
	c = *s->at++;
	if (c == 'u') {
		if (!scan_hex4(s, &v))
			return false;
		text_put(t, v);
		return true;
	}
	if (c == '\0' || !strchr(plain, c))
		return false;
	text_put(t, c == '"' || c == '\\' || c == '/' ? (unsigned char)c : ' ');
	return true;
}

static bool scan_string(struct scan *s, struct text *t)
{
	if (!take(s, '"'))
		return false;
	t->len = 0;
	if (t->to)
		t->to[0] = '\0';
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at++;

		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c != '\\')
			text_put(t, c);
		else if (!scan_escape(s, t))
			return false;
	}
	return false;
}

static size_t scan_digits(struct scan *s)
{
	size_t n = 0;

	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; n++)
		s->at++;
	return n;
}

static bool scan_number(struct scan *s)
{
	const char *first;

	if (s->at < s->end && *s->at == '-')
		s->at++;
	first = s->at;
	if (!scan_digits(s) || (*first == '0' && s->at - first > 1))
		return false;
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		if (!scan_digits(s))
			return false;
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* What the value of @key at @place means to us. Return: the place inside of it. */
static enum place key_meaning(struct scan *s, enum place place, const char *key, struct text *want)
{
	static const char *const top[] = {
		[QMP_GREETING] = "QMP",
		[QMP_RETURN] = "return",
		[QMP_ERROR] = "error",
		[QMP_EVENT] = "event",
	};

	if (place == PLACE_DATA && streq(key, "reason"))
		*want = (struct text){s->msg->reason, sizeof(s->msg->reason), 0};
	if (place == PLACE_ERROR && streq(key, "desc"))
		*want = (struct text){s->msg->desc, sizeof(s->msg->desc), 0};
	if (place != PLACE_TOP)
		return PLACE_OTHER;
	for (unsigned int i = 0; i < ARRAY_SIZE(top); i++) {
		if (streq(key, top[i]))
			s->seen |= 1u << i;
	}
	if (streq(key, "event"))
		*want = (struct text){s->msg->event, sizeof(s->msg->event), 0};
	if (streq(key, "data"))
		return PLACE_DATA;
	return streq(key, "error") ? PLACE_ERROR : PLACE_OTHER;
}

static bool scan_object(struct scan *s, enum place place)
{
	if (take(s, '}'))
		return true;
	do {
		char key[16];
		struct text key_text = {key, sizeof(key), 0};
		struct text want = {NULL, 0, 0};
		enum place inside;

		if (!scan_string(s, &key_text) || !take(s, ':'))
			return false;
		inside = key_meaning(s, place, key, &want);
		if (!scan_value(s, inside, &want))
			return false;
	} while (take(s, ','));
	return take(s, '}');
}

static bool scan_array(struct scan *s)
{
	struct text nobody = {NULL, 0, 0};

	if (take(s, ']'))
		return true;
	do {
		if (!scan_value(s, PLACE_OTHER, &nobody))
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

static bool scan_value(struct scan *s, enum place place, struct text *want)
{
	bool ok;

	skip_space(s);
	if (s->at == s->end)
		return false;
	switch (*s->at) {
	case '"':
		return scan_string(s, want);
	case '{':
	case '[':
		if (s->depth == QMP_DEPTH_MAX)
			return false;
		s->depth++;
		ok = *s->at++ == '{' ? scan_object(s, place) : scan_array(s);
		s->depth--;
		return ok;
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

int qmp_parse(const char *line, size_t len, struct qmp_msg *ret)
{
	struct text nobody = {NULL, 0, 0};
	struct qmp_msg msg = {};
	struct scan s = {.at = line, .end = line + len, .msg = &msg};

	skip_space(&s);
	if (s.at == s.end || *s.at != '{' || !scan_value(&s, PLACE_TOP, &nobody))
		return -EBADMSG;
	skip_space(&s);
	/* Each message is of exactly one kind. */
	if (s.at != s.end || __builtin_popcount(s.seen) != 1)
		return -EBADMSG;
	msg.type = (enum qmp_type)__builtin_ctz(s.seen);
	if (msg.type == QMP_EVENT && msg.event[0] == '\0')
		return -EBADMSG;
	*ret = msg;
	return 0;
}

void qmp_init(struct qmp *q)
{
	buf_init(&q->in, QMP_LINE_MAX);
}

void qmp_deinit(struct qmp *q)
{
	buf_deinit(&q->in);
}

int qmp_fill(struct qmp *q, int fd)
{
	ssize_t n = buf_read_fd(&q->in, fd, QMP_LINE_MAX / 4);

	if (n == -ENOBUFS)
		return -EBADMSG; /* a line longer than any that we know */
	if (n < 0)
		return (int)n;
	return n == 0 ? -ENODATA : 0;
}

int qmp_next(struct qmp *q, struct qmp_msg *ret)
{
	const char *line = (const char *)buf_data(&q->in);
	const char *end = memchr(line, '\n', buf_len(&q->in));
	size_t len;
	int r;

	if (!end)
		return -EAGAIN;
	len = (size_t)(end - line);
	r = qmp_parse(line, len > 0 && line[len - 1] == '\r' ? len - 1 : len, ret);
	buf_consume(&q->in, len + 1);
	return r;
}
