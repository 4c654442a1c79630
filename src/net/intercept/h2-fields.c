/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of HTTP/2: see h2-internal.h.
 *
 * nghttp2 has seen to their syntax: names are tokens in lower case, values have no control
 * characters, pseudo fields come first and once, and there are none that belong to one connection.
 * What is asked here is whether a request can be read in one way only, and for whom it is.
 */
#include "net/intercept/h2-internal.h"

enum { FIELD_EXTRA = 32, VALUES_ROOM = 8 * SECRET_VALUE_MAX };

static const struct h2_field *field(const struct h2_fields *f, size_t i)
{
	return (const struct h2_field *)(const void *)(f->list.base + f->list.head) + i;
}

struct h2_fields *h2_fields_new(void)
{
	struct h2_fields *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	buf_init(&f->text, (size_t)H2_HEAD_MAX + VALUES_ROOM);
	buf_init(&f->list, (size_t)H2_FIELDS_MAX * sizeof(struct h2_field));
	return f;
}

struct h2_fields *h2_fields_free(struct h2_fields *f)
{
	if (!f)
		return NULL;
	if (f->private && f->text.base)
		explicit_bzero(f->text.base, f->text.cap);
	buf_deinit(&f->text);
	buf_deinit(&f->list);
	free(f);
	return NULL;
}

size_t h2_fields_count(const struct h2_fields *f)
{
	return buf_len(&f->list) / sizeof(struct h2_field);
}

int h2_fields_add(struct h2_fields *f, size_t max, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len, bool no_index)
{
	const struct h2_field one = {.at = (uint32_t)buf_len(&f->text),
		.name_len = (uint32_t)name_len,
		.value_len = (uint32_t)value_len,
		.no_index = no_index};

	f->size += name_len + value_len + FIELD_EXTRA;
	if (f->too_large || f->size > max || h2_fields_count(f) == H2_FIELDS_MAX) {
		f->too_large = true;
		return 0;
	}
	if (buf_append(&f->text, name, name_len) < 0 ||
		buf_append(&f->text, value, value_len) < 0 ||
		buf_append(&f->list, &one, sizeof(one)) < 0)
		return -ENOMEM;
	return 0;
}

struct http_text h2_field_name(const struct h2_fields *f, size_t i)
{
	const struct h2_field *one = field(f, i);

	return (struct http_text){
		.at = (const char *)buf_data(&f->text) + one->at, .len = one->name_len};
}

struct http_text h2_field_value(const struct h2_fields *f, size_t i)
{
	const struct h2_field *one = field(f, i);

	return (struct http_text){.at = (const char *)buf_data(&f->text) + one->at + one->name_len,
		.len = one->value_len};
}

nghttp2_nv *h2_fields_nv(const struct h2_fields *f)
{
	size_t n = h2_fields_count(f);
	nghttp2_nv *nv = calloc(n + 1, sizeof(*nv));

	for (size_t i = 0; nv && i < n; i++) {
		const struct h2_field *one = field(f, i);
		uint8_t *at = f->text.base + f->text.head + one->at;

		nv[i] = (nghttp2_nv){.name = at,
			.namelen = one->name_len,
			.value = at + one->name_len,
			.valuelen = one->value_len,
			.flags = one->no_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
	}
	return nv;
}

size_t h2_nv_size(const nghttp2_nv *nv, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += nv[i].namelen + nv[i].valuelen;
	return size;
}

/* The parts of a request that say where it goes. */
enum part { METHOD, SCHEME, PATH, AUTHORITY, HOST, PARTS };

static const char *const parts[PARTS] = {
	[METHOD] = ":method",
	[SCHEME] = ":scheme",
	[PATH] = ":path",
	[AUTHORITY] = ":authority",
	[HOST] = "host",
};

/* Each at most once. */
static const char *take_parts(const struct h2_fields *f, struct http_text got[PARTS])
{
	for (size_t i = 0; i < h2_fields_count(f); i++) {
		struct http_text name = h2_field_name(f, i);
		size_t p = 0;

		while (p < PARTS && !http_is(&name, parts[p]))
			p++;
		if (p == PARTS && name.len && name.at[0] == ':')
			return "a pseudo field that is not known";
		if (p == PARTS)
			continue;
		if (got[p].at)
			return "two fields that say where it goes";
		got[p] = h2_field_value(f, i);
	}
	return NULL;
}

static bool is_path(const struct http_text *path, const struct http_text *method)
{
	for (size_t i = 0; i < path->len; i++) {
		if ((unsigned char)path->at[i] <= ' ' || path->at[i] == 0x7f || path->at[i] == '#')
			return false;
	}
	if (path->len == 1 && path->at[0] == '*')
		return method->len == 7 && memcmp(method->at, "OPTIONS", 7) == 0;
	return path->len && path->at[0] == '/';
}

static bool same(const struct http_text *a, const struct http_text *b)
{
	return a->len == b->len && strncasecmp(a->at, b->at, a->len) == 0;
}

static void copy_text(char *to, size_t size, const char *from, size_t len)
{
	(void)snprintf(to, size, "%.*s", (int)MIN(len, size - 1), from);
}

const char *h2_fields_request(const struct h2_fields *f, const struct h2_rules *rules,
	struct exchange_request *r, unsigned int *ret_refusal)
{
	struct http_text got[PARTS] = {{.at = NULL}};
	const char *why = take_parts(f, got);
	const char *query;

	*ret_refusal = 400;
	if (why)
		return why;
	if (got[METHOD].at && http_is(&got[METHOD], "CONNECT")) {
		*ret_refusal = 405;
		return "CONNECT within an intercepted connection";
	}
	if (!got[METHOD].at ||
		!nghttp2_check_method((const uint8_t *)got[METHOD].at, got[METHOD].len))
		return "no method";
	if (!got[SCHEME].at || !http_is(&got[SCHEME], "https"))
		return "its scheme is not https";
	if (!got[PATH].at || !is_path(&got[PATH], &got[METHOD]))
		return "its target is no path";
	if (!got[AUTHORITY].at)
		return "no :authority";
	*ret_refusal = 421;
	if (!http_is_host(got[AUTHORITY], rules->host, rules->port))
		return "its :authority is another one than the connection's";
	if (got[HOST].at && !same(&got[HOST], &got[AUTHORITY]))
		return "its Host is another one than its :authority";
	query = memchr(got[PATH].at, '?', got[PATH].len);
	copy_text(r->method, sizeof(r->method), got[METHOD].at, got[METHOD].len);
	copy_text(r->path, sizeof(r->path), got[PATH].at,
		query ? (size_t)(query - got[PATH].at) : got[PATH].len);
	return NULL;
}

bool h2_fields_find(const struct h2_fields *f, const char *name, struct http_text *ret)
{
	for (size_t i = 0; i < h2_fields_count(f); i++) {
		struct http_text t = h2_field_name(f, i);

		if (!http_is(&t, name))
			continue;
		*ret = h2_field_value(f, i);
		return true;
	}
	return false;
}

unsigned int h2_fields_status(const struct h2_fields *f)
{
	unsigned int status = 0;

	for (size_t i = 0; i < h2_fields_count(f); i++) {
		struct http_text name = h2_field_name(f, i);
		struct http_text value = h2_field_value(f, i);

		if (!http_is(&name, ":status"))
			continue;
		if (status || value.len != 3)
			return 0;
		for (size_t d = 0; d < value.len; d++) {
			if (value.at[d] < '0' || value.at[d] > '9')
				return 0;
			status = status * 10 + (unsigned int)(value.at[d] - '0');
		}
	}
	return status;
}

static int plain(const struct secrets *s, struct http_text value, struct buf *out,
	struct secret_verdict *ret)
{
	int r = secrets_none(s, value, "a placeholder where a request says what it is", ret);

	return r == 0 && buf_append(out, value.at, value.len) < 0 ? -ENOMEM : r;
}

/* One field; of the pseudo fields only the path may have a value in it. */
static int fill_one(struct h2_fields *to, const struct h2_rules *rules, const struct http_field *f,
	bool no_index, struct secret_verdict *ret_v)
{
	struct h2_field one = {
		.at = (uint32_t)buf_len(&to->text), .name_len = (uint32_t)f->name.len};
	struct secret_verdict v = {.name = NULL};
	int r = buf_append(&to->text, f->name.at, f->name.len) < 0 ? -ENOMEM : 0;

	if (r == 0 && http_is(&f->name, parts[PATH]))
		r = secrets_target(rules->secrets, &rules->place, f->value, &to->text, &v);
	else if (r == 0 && f->name.len && f->name.at[0] == ':')
		r = plain(rules->secrets, f->value, &to->text, &v);
	else if (r == 0)
		r = secrets_field(rules->secrets, &rules->place, f, &to->text, &v);
	if (v.name)
		*ret_v = v;
	if (r < 0)
		return r;
	one.value_len = (uint32_t)(buf_len(&to->text) - one.at) - one.name_len;
	one.no_index = no_index || v.name;
	return buf_append(&to->list, &one, sizeof(one)) < 0 ? -ENOMEM : 0;
}

int h2_fields_fill(const struct h2_fields *f, const struct h2_rules *rules, bool length,
	struct h2_fields **ret, struct secret_verdict *ret_v)
{
	struct h2_fields *to = h2_fields_new();
	int r = to ? 0 : -ENOMEM;

	*ret_v = (struct secret_verdict){.name = NULL};
	if (r == 0) {
		/* All of it at once: growing would leave copies behind. */
		buf_init(&to->text, buf_len(&f->text) + VALUES_ROOM);
		r = buf_reserve(&to->text, to->text.max) ? 0 : -ENOMEM;
		to->private = true;
	}
	for (size_t i = 0; r == 0 && i < h2_fields_count(f); i++) {
		const struct http_field one = {
			.name = h2_field_name(f, i), .value = h2_field_value(f, i)};

		if (!length && http_is(&one.name, "content-length"))
			continue;
		r = fill_one(to, rules, &one, field(f, i)->no_index, ret_v);
	}
	if (r < 0)
		(void)h2_fields_free(to);
	else
		*ret = to;
	return r;
}
