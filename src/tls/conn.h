/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections over sockets that do not block: as the server that a client asks for, and as the
 * client of a server.
 *
 * Both ends speak TLS 1.2 or 1.3, without renegotiation, compression or resumption. A connection
 * of a client stops in its handshake when the ClientHello is there, so that its server can be asked
 * first; tls_conn_answer() lets it go on.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "tls/pki.h"

struct tls_server; /* how clients are answered */
struct tls_client; /* how servers are asked */
struct tls_conn;

enum { TLS_NAME_MAX = 256 };

/* What ALPN may agree upon; nothing else is offered to anybody. */
enum tls_protocol { TLS_PROTOCOL_NONE, TLS_PROTOCOL_HTTP1, TLS_PROTOCOL_HTTP2, TLS_PROTOCOLS };

/* Of the above, in the order of the client's preference. */
struct tls_offer {
	uint8_t n;
	uint8_t list[TLS_PROTOCOLS]; /* enum tls_protocol */
};

/* What a client's hello says. */
struct tls_hello {
	char name[TLS_NAME_MAX]; /* "": none */
	bool alpn; /* it names protocols... */
	struct tls_offer offer; /* ...and these of them are known */
};

/** tls_server_new - @ca is borrowed */
int tls_server_new(struct tls_ca *ca, struct tls_server **ret, struct msb_err *err) MSB_MUST_CHECK;
struct tls_server *tls_server_free(struct tls_server *s);

/**
 * tls_client_new - trusts the authorities of the host, and those of the files @extra
 *
 * Reads files. A host without authorities is none's fault: then only the others are trusted.
 */
int tls_client_new(const char *const *extra, size_t n_extra, struct tls_client **ret,
	struct msb_err *err) MSB_MUST_CHECK;
struct tls_client *tls_client_free(struct tls_client *c);

/** tls_accept - a connection from a client; @fd is borrowed; 0 or -ENOMEM */
int tls_accept(struct tls_server *s, int fd, struct tls_conn **ret) MSB_MUST_CHECK;

/**
 * tls_connect - a connection to a server
 * @name: whom its certificate must name; a host name, or an address as text
 * @offer: what is offered by ALPN; nothing at all if it is empty
 * @verify: false: any certificate will do
 */
int tls_connect(struct tls_client *c, int fd, const char *name, const struct tls_offer *offer,
	bool verify, struct tls_conn **ret) MSB_MUST_CHECK;

/** tls_conn_free - closes nothing and says nothing; NULL is fine; returns NULL */
struct tls_conn *tls_conn_free(struct tls_conn *c);

/**
 * tls_handshake - as far as it goes
 *
 * Return: 0: done. -EAGAIN: see tls_wants(). -EINPROGRESS: the hello is there, now
 * tls_conn_answer() or tls_conn_reject(). Another negative errno with the reason in @err.
 */
int tls_handshake(struct tls_conn *c, struct msb_err *err) MSB_MUST_CHECK;

/** tls_conn_hello - what was said, after -EINPROGRESS */
const struct tls_hello *tls_conn_hello(const struct tls_conn *c);

/**
 * tls_conn_answer - go on as the server @name
 * @choice: by ALPN, if the client has offered it
 */
int tls_conn_answer(struct tls_conn *c, const char *name, enum tls_protocol choice) MSB_MUST_CHECK;

/* Why a handshake is ended. */
enum tls_reject { TLS_REJECT_NO_PROTOCOL, TLS_REJECT_DENIED, TLS_REJECT_UPSTREAM };

/** tls_conn_reject - end the handshake with an alert; tls_handshake() sends it and then fails */
void tls_conn_reject(struct tls_conn *c, enum tls_reject why);

/** tls_conn_protocol - what was agreed upon by ALPN */
enum tls_protocol tls_conn_protocol(const struct tls_conn *c);

/** tls_wants - EPOLLIN or EPOLLOUT: what the last -EAGAIN waits for */
uint32_t tls_wants(const struct tls_conn *c);

/** tls_pending - are there bytes to read that the socket does not tell of? */
bool tls_pending(const struct tls_conn *c);

/** tls_read - bytes, 0: orderly end, -EAGAIN, -EPIPE: the end is no orderly one, other errors */
ssize_t tls_read(struct tls_conn *c, void *p, size_t n) MSB_MUST_CHECK;

/** tls_write - bytes, perhaps fewer than @n; after -EAGAIN the same bytes must come again */
ssize_t tls_write(struct tls_conn *c, const void *p, size_t n) MSB_MUST_CHECK;

/** tls_end - say that no more bytes will come: 0, -EAGAIN or an error */
int tls_end(struct tls_conn *c) MSB_MUST_CHECK;
