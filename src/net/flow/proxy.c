/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talks with proxies: see proxy.h.
 *
 *	SOCKS4(a)	REQUEST -> 8 bytes -> done
 *	SOCKS5		METHODS -> 2 bytes -> (LOGIN -> 2 bytes ->) REQUEST -> 5 bytes, then the
 *rest by the kind of address -> done
 *	HTTP		REQUEST -> status line and fields up to the empty line -> done
 */
#include "net/flow/proxy.h"

#include "net/policy/class.h"

enum step { METHODS, LOGIN, REQUEST, REQUEST_REST };
enum { V4_LEN = 4, V6_LEN = 16, SOCKS5_HEAD = 5, SOCKS4_LEN = 8, STATUS_LEN = 12 };

static void put(struct proxy_talk *t, const void *p, size_t n)
{
	/* The longest request: user and password of 255 bytes each, in base64, and a name. */
	assert(n <= sizeof(t->out) - t->n_out);
	memcpy(t->out + t->n_out, p, n);
	t->n_out += n;
}

static void put_text(struct proxy_talk *t, const char *s)
{
	put(t, s, strlen(s));
}

static void put_u8(struct proxy_talk *t, uint8_t v)
{
	put(t, &v, 1);
}

static void put_u16(struct proxy_talk *t, uint16_t v)
{
	put_u8(t, (uint8_t)(v >> 8));
	put_u8(t, (uint8_t)v);
}

/* 0.0.0.1 says that a name follows. */
static int socks4_request(struct proxy_talk *t)
{
	static const uint8_t named[V4_LEN] = {0, 0, 0, 1};

	if (!t->name[0] && t->to.addr.family != NET_V4)
		return -EAFNOSUPPORT;
	put_u8(t, 4);
	put_u8(t, 1);
	put_u16(t, t->to.port);
	put(t, t->name[0] ? named : t->to.addr.b, V4_LEN);
	put(t, t->proxy->user, strlen(t->proxy->user) + 1);
	if (t->name[0])
		put(t, t->name, strlen(t->name) + 1);
	t->step = REQUEST;
	return 0;
}

static void socks5_methods(struct proxy_talk *t)
{
	put_u8(t, 5);
	put_u8(t, t->proxy->user[0] ? 2 : 1);
	put_u8(t, 0);
	if (t->proxy->user[0])
		put_u8(t, 2);
	t->step = METHODS;
}

static void socks5_login(struct proxy_talk *t)
{
	put_u8(t, 1);
	put_u8(t, (uint8_t)strlen(t->proxy->user));
	put_text(t, t->proxy->user);
	put_u8(t, (uint8_t)strlen(t->proxy->password));
	put_text(t, t->proxy->password);
	t->step = LOGIN;
}

static void socks5_request(struct proxy_talk *t)
{
	static const uint8_t head[] = {5, 1, 0};

	put(t, head, sizeof(head));
	if (t->name[0]) {
		put_u8(t, 3);
		put_u8(t, (uint8_t)strlen(t->name));
		put_text(t, t->name);
	} else {
		put_u8(t, t->to.addr.family == NET_V4 ? 1 : 4);
		put(t, t->to.addr.b, net_addr_len(&t->to.addr));
	}
	put_u16(t, t->to.port);
	t->step = REQUEST;
}

static void put_base64(struct proxy_talk *t, const char *text, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		size_t have = MIN(n - i, (size_t)3);
		uint32_t v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (k < have ? (uint8_t)text[i + k] : 0);
		put_u8(t, (uint8_t)digits[v >> 18]);
		put_u8(t, (uint8_t)digits[v >> 12 & 63]);
		put_u8(t, have > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
		put_u8(t, have > 2 ? (uint8_t)digits[v & 63] : '=');
	}
}

static void http_request(struct proxy_talk *t)
{
	char login[2 * NET_PROXY_WORD + 2];
	char addr[NET_ADDR_TEXT];
	char target[320];
	bool v6 = !t->name[0] && t->to.addr.family == NET_V6;
	const char *host = t->name[0] ? t->name : net_addr_text(&t->to.addr, addr);
	int n = snprintf(target, sizeof(target), "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
		t->to.port);

	assert(n > 0 && (size_t)n < sizeof(target));
	put_text(t, "CONNECT ");
	put_text(t, target);
	put_text(t, " HTTP/1.1\r\nHost: ");
	put_text(t, target);
	put_text(t, "\r\n");
	if (t->proxy->user[0]) {
		n = snprintf(login, sizeof(login), "%s:%s", t->proxy->user, t->proxy->password);
		put_text(t, "Proxy-Authorization: Basic ");
		put_base64(t, login, (size_t)n);
		put_text(t, "\r\n");
		explicit_bzero(login, sizeof(login));
	}
	put_text(t, "\r\n");
	t->step = REQUEST;
}

int proxy_talk_begin(struct proxy_talk *t, const struct net_proxy *proxy, const struct net_peer *to,
	const char *name)
{
	*t = (struct proxy_talk){.proxy = proxy, .to = *to};
	if (name && proxy->kind != NET_PROXY_SOCKS4 && strlen(name) < sizeof(t->name))
		memcpy(t->name, name, strlen(name) + 1);
	switch (proxy->kind) {
	case NET_PROXY_SOCKS4:
	case NET_PROXY_SOCKS4A:
		return socks4_request(t);
	case NET_PROXY_SOCKS5:
		socks5_methods(t);
		return 0;
	case NET_PROXY_HTTP:
		http_request(t);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

void proxy_talk_sent(struct proxy_talk *t, size_t n)
{
	t->n_out -= n;
	memmove(t->out, t->out + n, t->n_out);
	explicit_bzero(t->out + t->n_out, n);
}

/* Takes bytes until there are @want. Return: are there? */
static bool gather(struct proxy_talk *t, const uint8_t **p, const uint8_t *end, size_t want)
{
	size_t n;

	assert(want <= sizeof(t->in));
	n = MIN(want - t->n_in, (size_t)(end - *p));
	memcpy(t->in + t->n_in, *p, n);
	t->n_in += n;
	*p += n;
	return t->n_in == want;
}

static int socks4_answer(struct proxy_talk *t, const uint8_t **p, const uint8_t *end)
{
	if (!gather(t, p, end, SOCKS4_LEN))
		return 0;
	if (t->in[0] != 0)
		return -EPROTO;
	return t->in[1] == 90 ? 1 : t->in[1] == 92 || t->in[1] == 93 ? -EACCES : -ECONNREFUSED;
}

static int socks5_error(uint8_t code)
{
	static const int errors[] = {0, -ECONNREFUSED, -EACCES, -ENETUNREACH, -EHOSTUNREACH,
		-ECONNREFUSED, -ETIMEDOUT, -EPROTO, -EPROTO};

	return code < ARRAY_SIZE(errors) ? errors[code] : -EPROTO;
}

static int socks5_method(struct proxy_talk *t)
{
	if (t->in[0] != 5)
		return -EPROTO;
	if (t->in[1] == 2 && t->proxy->user[0])
		socks5_login(t);
	else if (t->in[1] == 0)
		socks5_request(t);
	else
		return t->in[1] == 0xff ? -EACCES : -EPROTO;
	t->n_in = 0;
	return 0;
}

/* Of the address only its length matters. */
static int socks5_reply(struct proxy_talk *t)
{
	if (t->in[0] != 5 || t->in[2] != 0)
		return -EPROTO;
	if (t->in[1] != 0)
		return socks5_error(t->in[1]);
	switch (t->in[3]) {
	case 1:
		t->seen = V4_LEN + 2 - 1;
		break;
	case 3:
		t->seen = (size_t)t->in[4] + 2;
		break;
	case 4:
		t->seen = V6_LEN + 2 - 1;
		break;
	default:
		return -EPROTO;
	}
	t->step = REQUEST_REST;
	return 0;
}

static int socks5_answer(struct proxy_talk *t, const uint8_t **p, const uint8_t *end)
{
	int r = 0;

	/* What comes before the next question is asked is no answer to it. */
	while (r == 0 && !t->n_out) {
		size_t n;

		switch ((enum step)t->step) {
		case METHODS:
			if (!gather(t, p, end, 2))
				return 0;
			r = socks5_method(t);
			break;
		case LOGIN:
			if (!gather(t, p, end, 2))
				return 0;
			if (t->in[0] != 1 || t->in[1] != 0)
				return t->in[0] == 1 ? -EACCES : -EPROTO;
			socks5_request(t);
			t->n_in = 0;
			break;
		case REQUEST:
			if (!gather(t, p, end, SOCKS5_HEAD))
				return 0;
			r = socks5_reply(t);
			break;
		case REQUEST_REST:
			n = MIN(t->seen, (size_t)(end - *p));
			*p += n;
			t->seen -= n;
			return t->seen == 0;
		}
	}
	return r;
}

static int http_error(unsigned int status)
{
	switch (status) {
	case 401:
	case 403:
	case 407:
		return -EACCES;
	case 502:
	case 503:
		return -EHOSTUNREACH;
	case 504:
		return -ETIMEDOUT;
	default:
		return -ECONNREFUSED;
	}
}

/* "HTTP/1.x NNN", three digits with a space or the end of the line behind. */
static int http_status(const struct proxy_talk *t)
{
	const uint8_t *b = t->in;
	unsigned int status = 0;

	if (memcmp(b, "HTTP/1.", 7) != 0 || (b[7] != '0' && b[7] != '1') || b[8] != ' ')
		return -EPROTO;
	for (size_t i = 9; i < STATUS_LEN; i++) {
		if (b[i] < '0' || b[i] > '9')
			return -EPROTO;
		status = status * 10 + (unsigned int)(b[i] - '0');
	}
	return status >= 200 && status <= 299 ? 0 : http_error(status);
}

/* Up to the empty line. in[31] counts how much of the end of the head has been seen. */
static int http_answer(struct proxy_talk *t, const uint8_t **p, const uint8_t *end)
{
	static const char last[] = "\r\n\r\n";
	uint8_t *matched = &t->in[sizeof(t->in) - 1];

	for (; *p < end; (*p)++) {
		uint8_t c = **p;

		if (t->seen < STATUS_LEN)
			t->in[t->seen] = c;
		if (++t->seen == STATUS_LEN && http_status(t) < 0)
			return http_status(t);
		if (t->seen == STATUS_LEN + 1 && c != ' ' && c != '\r')
			return -EPROTO;
		if (t->seen > PROXY_HEAD_MAX || c == '\0')
			return -EPROTO;
		*matched = c == (uint8_t)last[*matched] ? (uint8_t)(*matched + 1) : c == '\r';
		if (*matched == sizeof(last) - 1) {
			(*p)++;
			return t->seen > STATUS_LEN ? 1 : -EPROTO;
		}
	}
	return 0;
}

int proxy_talk_take(struct proxy_talk *t, const uint8_t *p, size_t n, size_t *ret_used)
{
	const uint8_t *at = p;
	int r;

	/* Who answers before the question is over answers another one. */
	if (t->n_out)
		return -EPROTO;
	switch (t->proxy->kind) {
	case NET_PROXY_SOCKS4:
	case NET_PROXY_SOCKS4A:
		r = socks4_answer(t, &at, p + n);
		break;
	case NET_PROXY_SOCKS5:
		r = socks5_answer(t, &at, p + n);
		break;
	default:
		r = http_answer(t, &at, p + n);
		break;
	}
	*ret_used = (size_t)(at - p);
	return r;
}
