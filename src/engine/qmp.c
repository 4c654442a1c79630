/* SPDX-License-Identifier: Apache-2.0 */
/* QMP messages: see qmp.h. */
#include "engine/qmp.h"

#include "base/json.h"

/* Names and reasons are ASCII; whatever else a text holds is shown as a question mark. */
static void take_text(const struct json *obj, const char *key, char *to, size_t size)
{
	const struct json *v = obj ? json_find(obj, key) : NULL;
	size_t len = 0;
	const char *s = v ? json_bytes(v, &len) : NULL;

	to[0] = '\0';
	if (!s)
		return;
	len = MIN(len, size - 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		to[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	to[len] = '\0';
}

static bool is_false(const struct json *obj, const char *key)
{
	const struct json *v = obj ? json_find(obj, key) : NULL;
	bool b = true;

	return v && json_to_bool(v, key, &b, NULL) == 0 && !b;
}

static uint64_t number(const struct json *obj, const char *key)
{
	uint64_t n = 0;

	return obj && json_find(obj, key) && json_get_u64(obj, key, &n, NULL) == 0 ? n : 0;
}

int qmp_parse(const char *line, size_t len, struct qmp_msg *ret)
{
	static const char *const kinds[] = {
		[QMP_GREETING] = "QMP",
		[QMP_RETURN] = "return",
		[QMP_ERROR] = "error",
		[QMP_EVENT] = "event",
	};
	cleanup_json struct json *root = NULL;
	struct qmp_msg msg = {};
	unsigned int found = 0;
	int r;

	r = json_parse(line, len, &root, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	/* Each message is of exactly one kind. */
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (json_find(root, kinds[i])) {
			msg.type = (enum qmp_type)i;
			found++;
		}
	}
	if (found != 1)
		return -EBADMSG;
	if (msg.type == QMP_EVENT) {
		take_text(root, "event", msg.event, sizeof(msg.event));
		take_text(json_find(root, "data"), "reason", msg.reason, sizeof(msg.reason));
		msg.closed = is_false(json_find(root, "data"), "open");
		msg.actual = number(json_find(root, "data"), "actual");
		if (msg.event[0] == '\0')
			return -EBADMSG;
	}
	if (msg.type == QMP_ERROR)
		take_text(json_find(root, "error"), "desc", msg.desc, sizeof(msg.desc));
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
