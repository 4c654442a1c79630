/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of connections: see peek.h. */
#include "net/policy/peek.h"

#include <strings.h>

#include "base/str.h"

#include "net/policy/class.h"
#include "net/policy/rule.h"

enum {
	TLS_RECORD_HEADER = 5,
	TLS_RECORD_MAX = 16384,
	TLS_HANDSHAKE = 22,
	TLS_HANDSHAKE_HEADER = 4,
	TLS_CLIENT_HELLO = 1,
	TLS_RANDOM = 32,
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_ECH = 0xfe0d,
	METHOD_MAX = 24,
};

/* The one door to the bytes: what is left to read. */
struct view {
	const uint8_t *p;
	size_t len;
};

static bool take(struct view *v, size_t n, struct view *ret)
{
	if (n > v->len)
		return false;
	*ret = (struct view){v->p, n};
	v->p += n;
	v->len -= n;
	return true;
}

/* A big-endian number of @n bytes. */
static bool take_number(struct view *v, size_t n, size_t *ret)
{
	struct view bytes;
	size_t value = 0;

	if (!take(v, n, &bytes))
		return false;
	for (size_t i = 0; i < n; i++)
		value = value << 8 | bytes.p[i];
	*ret = value;
	return true;
}

/* What a length of @n bytes stands in front of. */
static bool take_vector(struct view *v, size_t n, struct view *ret)
{
	size_t len;

	return take_number(v, n, &len) && take(v, len, ret);
}

/* A host name or an IPv4 address. */
static bool read_host(const uint8_t *p, size_t len, char name[POLICY_NAME_MAX])
{
	char copy[POLICY_NAME_MAX];
	struct net_addr a;

	if (len < sizeof(copy) && !memchr(p, '\0', len)) {
		memcpy(copy, p, len);
		copy[len] = '\0';
		if (net_addr_parse(copy, &a) == 0 && a.family == NET_V4) {
			memcpy(name, copy, len + 1);
			return true;
		}
	}
	return policy_name_parse((const char *)p, len, name, NULL) == 0;
}

static bool read_server_name(struct view ext, struct peek *ret)
{
	struct view list;
	struct view name;
	size_t type;

	if (ret->named || !take_vector(&ext, 2, &list) || ext.len)
		return false;
	if (!take_number(&list, 1, &type) || type != 0 || !take_vector(&list, 2, &name) || list.len)
		return false;
	ret->named = read_host(name.p, name.len, ret->name);
	return ret->named;
}

static bool read_alpn(struct view ext, struct peek *ret)
{
	struct view list;
	struct view name;

	if (!take_vector(&ext, 2, &list) || ext.len)
		return false;
	while (list.len) {
		if (!take_vector(&list, 1, &name) || name.len == 0)
			return false;
		if (name.len == 2 && memcmp(name.p, "h2", 2) == 0)
			ret->h2 = true;
	}
	return true;
}

static bool read_extensions(struct view v, struct peek *ret)
{
	bool ok = true;

	while (ok && v.len) {
		struct view ext;
		size_t type;

		if (!take_number(&v, 2, &type) || !take_vector(&v, 2, &ext))
			return false;
		if (type == EXT_SERVER_NAME)
			ok = read_server_name(ext, ret);
		else if (type == EXT_ALPN)
			ok = read_alpn(ext, ret);
		else if (type == EXT_ECH)
			ret->hidden = true;
	}
	return ok;
}

static bool read_client_hello(struct view v, struct peek *ret)
{
	struct view skipped;
	struct view extensions;
	size_t version;

	if (!take_number(&v, 2, &version) || version >> 8 != 3 || !take(&v, TLS_RANDOM, &skipped) ||
		!take_vector(&v, 1, &skipped) || skipped.len > 32)
		return false;
	if (!take_vector(&v, 2, &skipped) || skipped.len < 2 || skipped.len % 2)
		return false;
	if (!take_vector(&v, 1, &skipped) || skipped.len < 1)
		return false;
	if (v.len == 0)
		return true;
	return take_vector(&v, 2, &extensions) && v.len == 0 && read_extensions(extensions, ret);
}

/*
 * Joins the records that the hello is spread over. Bytes behind it in the last record would be a
 * second handshake message: none may be there.
 */
static enum peek_kind join_records(struct view v, uint8_t *hello, size_t *ret_len)
{
	size_t len = 0;
	size_t want = TLS_HANDSHAKE_HEADER;

	while (len < want) {
		struct view part;
		size_t type;
		size_t version;
		size_t n;

		if (!take_number(&v, 1, &type))
			return PEEK_MORE;
		if (type != TLS_HANDSHAKE)
			return PEEK_BAD;
		if (!take_number(&v, 2, &version) || !take_number(&v, 2, &n))
			return PEEK_MORE;
		if (version >> 8 != 3 || n == 0 || n > TLS_RECORD_MAX)
			return PEEK_BAD;
		if (n > POLICY_PEEK_MAX - len)
			return PEEK_BAD;
		if (!take(&v, n, &part))
			return PEEK_MORE;
		memcpy(hello + len, part.p, part.len);
		len += part.len;
		if (len >= TLS_HANDSHAKE_HEADER) {
			want = TLS_HANDSHAKE_HEADER +
			       ((size_t)hello[1] << 16 | (size_t)hello[2] << 8 | hello[3]);
			if (hello[0] != TLS_CLIENT_HELLO || want > POLICY_PEEK_MAX)
				return PEEK_BAD;
		}
	}
	*ret_len = len;
	return len == want ? PEEK_TLS : PEEK_BAD;
}

static void peek_tls(struct view v, struct peek *ret)
{
	uint8_t hello[POLICY_PEEK_MAX];
	size_t len = 0;

	ret->kind = join_records(v, hello, &len);
	if (ret->kind != PEEK_TLS)
		return;
	v = (struct view){hello + TLS_HANDSHAKE_HEADER, len - TLS_HANDSHAKE_HEADER};
	if (!read_client_hello(v, ret))
		*ret = (struct peek){.kind = PEEK_BAD};
}

static bool is_token_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct view v)
{
	for (size_t i = 0; i < v.len; i++) {
		if (!is_token_char(v.p[i]))
			return false;
	}
	return v.len > 0;
}

/*
 * No request as clients write it, but perhaps one to a server that is not strict: behind empty
 * lines or spaces, or with a method of other characters. Such a request would be taken for another
 * protocol, which says no name, so its first line has to be seen.
 */
static enum peek_kind looks_like_odd_http(struct view v)
{
	const uint8_t *end;
	size_t n = 0;

	if (v.p[0] == '\r' || v.p[0] == '\n' || v.p[0] == ' ' || v.p[0] == '\t')
		return PEEK_BAD;
	while (n < v.len && is_token_char(v.p[n]))
		n++;
	if (n < v.len && (n == 0 || (v.p[n] != ' ' && v.p[n] != '\t')))
		return PEEK_OTHER;
	end = memchr(v.p, '\n', v.len);
	if (memchr(v.p, '\0', end ? (size_t)(end - v.p) : v.len))
		return PEEK_OTHER;
	if (!end)
		return PEEK_MORE;
	return memmem(v.p, (size_t)(end - v.p), "HTTP/", 5) ? PEEK_BAD : PEEK_OTHER;
}

/*
 * Upper-case letters and a space, as far as there are bytes. That is HTTP/2 without TLS, too, whose
 * first line is then found to be of no request: the names in it are for another reader than this.
 */
static enum peek_kind looks_like_http(struct view v)
{
	size_t n = 0;

	while (n < v.len && n < METHOD_MAX && v.p[n] >= 'A' && v.p[n] <= 'Z')
		n++;
	if (n == v.len && n < METHOD_MAX)
		return PEEK_MORE;
	return n && n < METHOD_MAX && v.p[n] == ' ' ? PEEK_HTTP : looks_like_odd_http(v);
}

/* The next line without its CR LF: PEEK_HTTP, PEEK_MORE or PEEK_BAD. */
static enum peek_kind take_line(struct view *v, struct view *line)
{
	for (size_t i = 0; i < v->len; i++) {
		uint8_t c = v->p[i];

		if (c == '\r') {
			struct view end;

			if (i + 1 == v->len)
				return PEEK_MORE;
			if (v->p[i + 1] != '\n')
				return PEEK_BAD;
			(void)!take(v, i, line);
			(void)!take(v, 2, &end);
			return PEEK_HTTP;
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return PEEK_BAD;
	}
	return PEEK_MORE;
}

/* host[:port] or [address][:port] */
static bool read_authority(struct view v, char name[POLICY_NAME_MAX])
{
	const uint8_t *colon;
	size_t host;
	char copy[NET_ADDR_TEXT];
	struct net_addr a;

	if (v.len && v.p[0] == '[') {
		const uint8_t *end = memchr(v.p, ']', v.len);

		if (!end || (size_t)(end - v.p) > sizeof(copy))
			return false;
		host = (size_t)(end - v.p) + 1;
		memcpy(copy, v.p + 1, host - 2);
		copy[host - 2] = '\0';
		if (strlen(copy) != host - 2 || net_addr_parse(copy, &a) < 0 || a.family != NET_V6)
			return false;
		memcpy(name, v.p, host);
		name[host] = '\0';
	} else {
		colon = memchr(v.p, ':', v.len);
		host = colon ? (size_t)(colon - v.p) : v.len;
		if (!read_host(v.p, host, name))
			return false;
	}
	if (host == v.len)
		return true;
	if (v.p[host] != ':' || v.len - host > sizeof(":65535") - 1)
		return false;
	for (size_t i = host + 1; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
	}
	return true;
}

/* http://host/..., the form for proxies, or host:port behind CONNECT; other targets name nobody. */
static bool read_target(struct view method, struct view target, struct peek *ret)
{
	bool connect = method.len == 7 && memcmp(method.p, "CONNECT", 7) == 0;
	struct view authority = target;
	size_t scheme;

	if (target.len == 0)
		return false;
	if (!connect) {
		if (target.p[0] == '/' || (target.len == 1 && target.p[0] == '*'))
			return true;
		if (target.len > 8 && strncasecmp((const char *)target.p, "https://", 8) == 0)
			scheme = 8;
		else if (target.len > 7 && strncasecmp((const char *)target.p, "http://", 7) == 0)
			scheme = 7;
		else
			return false;
		authority.p += scheme;
		authority.len -= scheme;
		for (size_t i = 0; i < authority.len; i++) {
			if (strchr("/?#", authority.p[i]))
				authority.len = i;
		}
	}
	ret->named = read_authority(authority, ret->name);
	return ret->named;
}

static bool read_request_line(struct view line, struct peek *ret)
{
	const uint8_t *first = memchr(line.p, ' ', line.len);
	struct view method;
	struct view target;
	struct view space;
	const uint8_t *second;

	if (!first || !take(&line, (size_t)(first - line.p), &method) || !take(&line, 1, &space))
		return false;
	second = memchr(line.p, ' ', line.len);
	if (!second || !take(&line, (size_t)(second - line.p), &target) || !take(&line, 1, &space))
		return false;
	if (line.len != 8 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
		(line.p[7] != '0' && line.p[7] != '1'))
		return false;
	return read_target(method, target, ret);
}

static struct view trim(struct view v)
{
	while (v.len && (v.p[0] == ' ' || v.p[0] == '\t')) {
		v.p++;
		v.len--;
	}
	while (v.len && (v.p[v.len - 1] == ' ' || v.p[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/* One field. There is at most one Host, and it says what the target says, if that says anything. */
static bool read_field(struct view line, bool *host_seen, struct peek *ret)
{
	const uint8_t *colon = memchr(line.p, ':', line.len);
	char name[POLICY_NAME_MAX];
	struct view key;

	if (!colon || !take(&line, (size_t)(colon - line.p), &key) || !is_token(key))
		return false;
	if (key.len != 4 || strncasecmp((const char *)key.p, "host", 4) != 0)
		return true;
	if (*host_seen)
		return false;
	*host_seen = true;
	line.p++;
	line.len--;
	line = trim(line);
	if (line.len == 0)
		return !ret->named;
	if (!read_authority(line, name) || (ret->named && !streq(name, ret->name)))
		return false;
	memcpy(ret->name, name, sizeof(name));
	ret->named = true;
	return true;
}

static void peek_http(struct view v, struct peek *ret)
{
	bool host_seen = false;
	struct view line;
	struct peek p = {.kind = PEEK_HTTP};
	enum peek_kind k = take_line(&v, &line);

	if (k == PEEK_HTTP && !read_request_line(line, &p))
		k = PEEK_BAD;
	while (k == PEEK_HTTP) {
		k = take_line(&v, &line);
		if (k == PEEK_HTTP && line.len == 0) {
			*ret = p;
			return;
		}
		if (k == PEEK_HTTP && !read_field(line, &host_seen, &p))
			k = PEEK_BAD;
	}
	*ret = (struct peek){.kind = k};
}

void peek_bytes(const uint8_t *data, size_t len, struct peek *ret)
{
	struct view v = {data, MIN(len, (size_t)POLICY_PEEK_MAX)};

	*ret = (struct peek){.kind = PEEK_MORE};
	if (len == 0)
		return;
	if (data[0] == TLS_HANDSHAKE) {
		if (len > 1 && data[1] != 3)
			ret->kind = PEEK_OTHER;
		else
			peek_tls(v, ret);
	} else {
		ret->kind = looks_like_http(v);
		if (ret->kind == PEEK_HTTP)
			peek_http(v, ret);
	}
	if (ret->kind == PEEK_MORE && len >= POLICY_PEEK_MAX)
		ret->kind = PEEK_BAD;
}
