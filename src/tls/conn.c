/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections: see conn.h.
 *
 * OpenSSL reads and writes the sockets itself. The hello of a client is looked at before OpenSSL
 * acts on it: SSL_CLIENT_HELLO_RETRY makes SSL_do_handshake() return, and the next call asks again.
 */
#include "tls/conn.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tls/pki-internal.h"

struct tls_server {
	SSL_CTX *ctx;
	struct tls_ca *ca;
};

struct tls_client {
	SSL_CTX *ctx;
};

enum stage { STAGE_HELLO, STAGE_ASKED, STAGE_ANSWERED, STAGE_REJECTED };

struct tls_conn {
	SSL *ssl;
	struct tls_server *server; /* NULL: a connection to a server */
	enum stage stage;
	enum tls_reject why;
	enum tls_protocol choice;
	uint32_t wants;
	struct tls_hello hello;
};

/* As they are on the wire: a length and a name. */
static const char *const protocols[TLS_PROTOCOLS] = {
	[TLS_PROTOCOL_HTTP1] = "\x08http/1.1",
	[TLS_PROTOCOL_HTTP2] = "\x02h2",
};
enum { OFFER_MAX = 16 };

/* Where systems keep whom they trust. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

static void read_name(SSL *ssl, struct tls_hello *h)
{
	const unsigned char *p;
	size_t len;
	size_t n;

	/* list length, kind 0, length of the name: one name, and nothing else */
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) || len < 5)
		return;
	n = (size_t)p[3] << 8 | p[4];
	if (p[2] != 0 || n + 5 != len || n >= sizeof(h->name) || memchr(p + 5, '\0', n))
		return;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = p[5 + i];

		h->name[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	h->name[n] = '\0';
}

/* Which one begins at @p; TLS_PROTOCOL_NONE: none that is known. */
static enum tls_protocol protocol_at(const unsigned char *p, size_t len)
{
	for (int i = TLS_PROTOCOL_HTTP1; i < TLS_PROTOCOLS; i++) {
		size_t n = strlen(protocols[i]);

		if (len >= n && memcmp(p, protocols[i], n) == 0)
			return (enum tls_protocol)i;
	}
	return TLS_PROTOCOL_NONE;
}

static bool offers(const struct tls_offer *o, enum tls_protocol what)
{
	return memchr(o->list, (int)what, o->n) != NULL;
}

static void read_protocols(SSL *ssl, struct tls_hello *h)
{
	const unsigned char *p;
	size_t len;

	if (!SSL_client_hello_get0_ext(
		    ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &len))
		return;
	h->alpn = true;
	for (size_t at = 2; at < len; at += 1u + p[at]) {
		enum tls_protocol one = protocol_at(p + at, len - at);

		if (one && !offers(&h->offer, one))
			h->offer.list[h->offer.n++] = (uint8_t)one;
	}
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	static const int alerts[] = {
		[TLS_REJECT_NO_PROTOCOL] = SSL_AD_NO_APPLICATION_PROTOCOL,
		[TLS_REJECT_DENIED] = SSL_AD_ACCESS_DENIED,
		[TLS_REJECT_UPSTREAM] = SSL_AD_HANDSHAKE_FAILURE,
	};
	struct tls_conn *c = SSL_get_app_data(ssl);

	(void)arg;
	switch (c->stage) {
	case STAGE_HELLO:
		read_name(ssl, &c->hello);
		read_protocols(ssl, &c->hello);
		c->stage = STAGE_ASKED;
		return SSL_CLIENT_HELLO_RETRY;
	case STAGE_ASKED:
		return SSL_CLIENT_HELLO_RETRY;
	case STAGE_ANSWERED:
		return SSL_CLIENT_HELLO_SUCCESS;
	case STAGE_REJECTED:
		break;
	}
	*alert = alerts[c->why];
	return SSL_CLIENT_HELLO_ERROR;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
	const unsigned char *in, unsigned int inlen, void *arg)
{
	const struct tls_conn *c = SSL_get_app_data(ssl);

	(void)in;
	(void)inlen;
	(void)arg;
	if (!offers(&c->hello.offer, c->choice))
		return SSL_TLSEXT_ERR_NOACK;
	*out = (const unsigned char *)protocols[c->choice] + 1;
	*outlen = (unsigned char)protocols[c->choice][0];
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		return NULL;
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_options(
		ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(ctx, 0);
	return ctx;
}

int tls_server_new(struct tls_ca *ca, struct tls_server **ret, struct msb_err *err)
{
	struct tls_server *s = calloc(1, sizeof(*s));

	if (!s)
		return msb_err_errno(err, -ENOMEM, "TLS");
	s->ca = ca;
	s->ctx = new_context(TLS_server_method());
	if (!s->ctx) {
		free(s);
		return tls_fail(err, -EIO, "TLS");
	}
	SSL_CTX_set_client_hello_cb(s->ctx, on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, NULL);
	*ret = s;
	return 0;
}

struct tls_server *tls_server_free(struct tls_server *s)
{
	if (s)
		SSL_CTX_free(s->ctx);
	free(s);
	return NULL;
}

int tls_client_new(
	const char *const *extra, size_t n_extra, struct tls_client **ret, struct msb_err *err)
{
	struct tls_client *c = calloc(1, sizeof(*c));

	if (!c)
		return msb_err_errno(err, -ENOMEM, "TLS");
	c->ctx = new_context(TLS_client_method());
	if (!c->ctx) {
		free(c);
		return tls_fail(err, -EIO, "TLS");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
		if (access(bundles[i], R_OK) == 0 &&
			SSL_CTX_load_verify_file(c->ctx, bundles[i]) == 1)
			break;
	}
	ERR_clear_error();
	for (size_t i = 0; i < n_extra; i++) {
		if (SSL_CTX_load_verify_file(c->ctx, extra[i]) == 1)
			continue;
		(void)tls_client_free(c);
		return tls_fail(err, -EINVAL, extra[i]);
	}
	*ret = c;
	return 0;
}

struct tls_client *tls_client_free(struct tls_client *c)
{
	if (c)
		SSL_CTX_free(c->ctx);
	free(c);
	return NULL;
}

static struct tls_conn *new_conn(SSL_CTX *ctx, int fd)
{
	struct tls_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ssl = SSL_new(ctx);
	/* The second one allocates, too; without it a hello would find nobody. */
	if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1 || SSL_set_app_data(c->ssl, c) != 1) {
		ERR_clear_error();
		return tls_conn_free(c);
	}
	return c;
}

int tls_accept(struct tls_server *s, int fd, struct tls_conn **ret)
{
	struct tls_conn *c = new_conn(s->ctx, fd);

	if (!c)
		return -ENOMEM;
	c->server = s;
	SSL_set_accept_state(c->ssl);
	*ret = c;
	return 0;
}

static bool expect(SSL *ssl, const char *name)
{
	uint8_t b[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, name, b) == 1 || inet_pton(AF_INET6, name, b) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* SSL_set_tlsext_host_name() without its cast, which clang objects to; it copies. */
	return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		       (void *)(uintptr_t)name) == 1 &&
	       SSL_set1_host(ssl, name) == 1;
}

static bool set_offer(SSL *ssl, const struct tls_offer *o)
{
	unsigned char list[OFFER_MAX];
	unsigned int len = 0;

	for (uint8_t i = 0; i < o->n; i++) {
		size_t n = strlen(protocols[o->list[i]]);

		memcpy(list + len, protocols[o->list[i]], n);
		len += (unsigned int)n;
	}
	return len == 0 || SSL_set_alpn_protos(ssl, list, len) == 0;
}

int tls_connect(struct tls_client *client, int fd, const char *name, const struct tls_offer *offer,
	bool verify, struct tls_conn **ret)
{
	struct tls_conn *c = new_conn(client->ctx, fd);

	if (!c)
		return -ENOMEM;
	if (!expect(c->ssl, name) || !set_offer(c->ssl, offer)) {
		ERR_clear_error();
		(void)tls_conn_free(c);
		return -ENOMEM;
	}
	SSL_set_verify(c->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_set_connect_state(c->ssl);
	*ret = c;
	return 0;
}

struct tls_conn *tls_conn_free(struct tls_conn *c)
{
	if (c)
		SSL_free(c->ssl);
	free(c);
	return NULL;
}

/* What a call to OpenSSL came to. Its end of the file is -EPIPE, an orderly one 0. */
static int outcome(struct tls_conn *c, int ret)
{
	int e = errno;

	switch (SSL_get_error(c->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		c->wants = EPOLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		c->wants = EPOLLOUT;
		return -EAGAIN;
	case SSL_ERROR_WANT_CLIENT_HELLO_CB:
		return -EINPROGRESS;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return e ? -e : -EPIPE;
	default:
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
			       ? -EPIPE
			       : -EPROTO;
	}
}

static int explain(struct tls_conn *c, int r, struct msb_err *err)
{
	long verdict = SSL_get_verify_result(c->ssl);

	if (!c->server && verdict != X509_V_OK && (SSL_get_verify_mode(c->ssl) & SSL_VERIFY_PEER)) {
		ERR_clear_error();
		return msb_err_set(err, r, MSB_FAIL, "its certificate is not trusted: %s",
			X509_verify_cert_error_string(verdict));
	}
	if (r == -EPROTO)
		return tls_fail(err, r, "TLS");
	ERR_clear_error();
	return msb_err_errno(err, r, "TLS");
}

int tls_handshake(struct tls_conn *c, struct msb_err *err)
{
	int ret;
	int r;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(c->ssl);
	if (ret == 1)
		return 0;
	r = outcome(c, ret);
	if (r == -EAGAIN || r == -EINPROGRESS)
		return r;
	return explain(c, r < 0 ? r : -EPIPE, err);
}

const struct tls_hello *tls_conn_hello(const struct tls_conn *c)
{
	return &c->hello;
}

int tls_conn_answer(struct tls_conn *c, const char *name, enum tls_protocol choice)
{
	const struct tls_leaf *leaf = tls_ca_leaf(c->server->ca, name);

	if (!leaf)
		return -EINVAL;
	if (SSL_use_certificate(c->ssl, leaf->cert) != 1 ||
		SSL_use_PrivateKey(c->ssl, c->server->ca->leaf_key) != 1 ||
		SSL_add1_chain_cert(c->ssl, c->server->ca->cert) != 1) {
		ERR_clear_error();
		return -ENOMEM;
	}
	c->choice = choice;
	c->stage = STAGE_ANSWERED;
	return 0;
}

void tls_conn_reject(struct tls_conn *c, enum tls_reject why)
{
	c->why = why;
	c->stage = STAGE_REJECTED;
}

enum tls_protocol tls_conn_protocol(const struct tls_conn *c)
{
	const unsigned char *p = NULL;
	unsigned int len = 0;

	SSL_get0_alpn_selected(c->ssl, &p, &len);
	for (int i = TLS_PROTOCOL_HTTP1; i < TLS_PROTOCOLS; i++) {
		if (len == strlen(protocols[i] + 1) && memcmp(p, protocols[i] + 1, len) == 0)
			return (enum tls_protocol)i;
	}
	return TLS_PROTOCOL_NONE;
}

uint32_t tls_wants(const struct tls_conn *c)
{
	return c->wants;
}

bool tls_pending(const struct tls_conn *c)
{
	return SSL_pending(c->ssl) > 0;
}

ssize_t tls_read(struct tls_conn *c, void *p, size_t n)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_read(c->ssl, p, (int)MIN(n, (size_t)INT_MAX));
	if (r > 0)
		return r;
	r = outcome(c, r);
	ERR_clear_error();
	return r;
}

ssize_t tls_write(struct tls_conn *c, const void *p, size_t n)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write(c->ssl, p, (int)MIN(n, (size_t)INT_MAX));
	if (r > 0)
		return r;
	r = outcome(c, r);
	ERR_clear_error();
	return r == 0 ? -EPIPE : r;
}

int tls_end(struct tls_conn *c)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_shutdown(c->ssl);
	if (r >= 0)
		return 0;
	r = outcome(c, r);
	ERR_clear_error();
	return r;
}
