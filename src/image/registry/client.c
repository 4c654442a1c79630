/* SPDX-License-Identifier: Apache-2.0 */
/* One repository at one registry: see client.h. */
#include "image/registry/client.h"

#include "base/json.h"
#include "base/str.h"

#include "image/registry/client-internal.h"
#include "image/registry/manifest.h"

/* A refused token is replaced once, and basic authentication may come before it. */
enum { AUTH_ROUNDS = 3 };

void client_place_of_host(const char *host, bool insecure, struct client_place *ret)
{
	*ret = (struct client_place){.insecure = insecure};
	(void)snprintf(ret->name, sizeof(ret->name), "%s", host);
	(void)snprintf(ret->host, sizeof(ret->host), "%s",
		streq(host, "docker.io") ? "registry-1.docker.io" : host);
}

/* Components of a prefix are those of a repository. */
static bool prefix_ok(const char *prefix)
{
	struct image_ref ref;
	char text[CLIENT_PREFIX_MAX + 16];

	return snprintf(text, sizeof(text), "localhost/%s", prefix) < (int)sizeof(text) &&
	       image_ref_parse(text, &ref, NULL) == 0 && streq(ref.path, prefix);
}

static bool host_ok(const char *host)
{
	struct image_ref ref;
	char text[REF_HOST_MAX + 16];

	/* A host without a dot or a port is a path to a reference, but fine as a mirror. */
	if (snprintf(text, sizeof(text), "%s%s/x", host, strchr(host, ':') ? "" : ":1") >=
		(int)sizeof(text))
		return false;
	return image_ref_parse(text, &ref, NULL) == 0 && streq(ref.path, "x");
}

int client_place_of_mirror(
	const char *text, bool insecure, struct client_place *ret, struct msb_err *err)
{
	struct client_place p = {.insecure = insecure};
	const char *at = text;
	char quoted[160];
	size_t len;
	bool ok;

	if (str_starts(at, "http://")) {
		p.insecure = p.plain = true;
		at += 7;
	} else if (str_starts(at, "https://")) {
		at += 8;
	}
	len = strcspn(at, "/");
	ok = snprintf(p.host, sizeof(p.host), "%.*s", (int)MIN(len, sizeof(p.host)), at) <
	     (int)sizeof(p.host);
	at += len;
	at += *at == '/';
	len = strlen(at);
	len -= len && at[len - 1] == '/';
	if (ok && len) {
		ok = snprintf(p.prefix, sizeof(p.prefix), "%.*s", (int)len, at) <
			     (int)sizeof(p.prefix) - 1 &&
		     prefix_ok(p.prefix);
		memcpy(p.prefix + strlen(p.prefix), "/", 2);
	}
	if (!ok || !host_ok(p.host))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"%s is no mirror: [http[s]://]HOST[:PORT][/PREFIX]",
			str_quote(quoted, sizeof(quoted), text, strlen(text)));
	memcpy(p.name, p.host, sizeof(p.name));
	*ret = p;
	return 0;
}

int client_new(const struct client_place *place, const char *repository, struct creds *creds,
	const struct http_options *options, struct client **ret, struct msb_err *err)
{
	size_t size = strlen(place->prefix) + strlen(repository) + 1;
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return msb_err_errno(err, -ENOMEM, "cannot prepare a download");
	c->repository = malloc(size);
	if (!c->repository) {
		free(c);
		return msb_err_errno(err, -ENOMEM, "cannot prepare a download");
	}
	(void)snprintf(c->repository, size, "%s%s", place->prefix, repository);
	c->place = *place;
	c->scheme = place->plain ? SCHEME_HTTP : SCHEME_UNKNOWN;
	c->options = options;
	c->creds = *creds;
	*creds = (struct creds){.source = CREDS_NONE};
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

struct client *client_free(struct client *c)
{
	if (!c)
		return NULL;
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	free(c->repository);
	creds_deinit(&c->creds);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

const struct client_place *client_get_place(const struct client *c)
{
	return &c->place;
}

struct client_conn *client_connect(struct client *c)
{
	struct client_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->client = c;
	conn->own = http_new(c->options);
	conn->foreign = http_new(c->options);
	return conn->own && conn->foreign ? conn : client_disconnect(conn);
}

struct client_conn *client_disconnect(struct client_conn *conn)
{
	if (!conn)
		return NULL;
	http_free(conn->own);
	http_free(conn->foreign);
	free(conn);
	return NULL;
}

bool client_allows_http(const struct client *c)
{
	return c->place.insecure || net_is_loopback(c->place.host);
}

enum client_outcome client_lost(enum http_outcome outcome)
{
	switch (outcome) {
	case HTTP_DONE:
		return CLIENT_OK;
	case HTTP_PASSING:
	case HTTP_UNREACHED:
	case HTTP_NO_TLS: /* the connection may have been lost in the middle of it */
		return CLIENT_AGAIN;
	case HTTP_REFUSED:
		return CLIENT_ELSEWHERE;
	case HTTP_CANCELLED:
		break;
	}
	return CLIENT_STOP;
}

static bool is_redirect(unsigned int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static enum http_outcome bad_redirect(
	const struct client *c, const char *location, const char *why, struct msb_err *err)
{
	char quoted[160];

	msb_err_set(err, -EPROTO, MSB_PROTOCOL, "%s redirects to %s: %s", c->place.name,
		str_quote(quoted, sizeof(quoted), location, strlen(location)), why);
	return HTTP_REFUSED;
}

/* A registry behind a proxy counts as public: nobody can tell. */
static enum net_reach learn_reach(struct client *c, const struct http_response *res)
{
	enum net_reach reach = res->proxied ? NET_PUBLIC : res->peer;

	pthread_mutex_lock(&c->lock);
	c->reach = reach;
	pthread_mutex_unlock(&c->lock);
	return reach;
}

/* The first response that comes settles how the registry is spoken to. */
static void learn_scheme(struct client *c, enum client_scheme scheme)
{
	pthread_mutex_lock(&c->lock);
	c->scheme = scheme;
	c->answered = true;
	pthread_mutex_unlock(&c->lock);
}

/*
 * A registry that was there may come back. One that never was is a wrong name or a host without a
 * network, and its user wants to know at once.
 */
static bool is_nowhere(struct client *c, enum http_outcome outcome)
{
	bool answered;

	pthread_mutex_lock(&c->lock);
	answered = c->answered;
	pthread_mutex_unlock(&c->lock);
	return outcome == HTTP_UNREACHED && !answered;
}

enum http_outcome client_follow(struct client_conn *conn, struct http *first,
	struct http_request *req, const struct http_response **res, struct msb_err *err)
{
	struct client *c = conn->client;
	struct http *h = first;
	struct http_url start;
	struct http_url at;
	struct http_url next;

	if (http_url_parse(req->url, NULL, &start) < 0)
		return bad_redirect(c, req->url, "no URL", err);
	at = start;
	for (unsigned int n = 0;; n++) {
		enum http_outcome outcome;

		req->url = at.text;
		outcome = http_exchange(h, req, res, err);
		if (outcome == HTTP_DONE && h == conn->own)
			req->origin = learn_reach(c, *res);
		if (outcome != HTTP_DONE || !is_redirect((*res)->status))
			return outcome;
		if (n == CLIENT_REDIRECTS_MAX)
			return bad_redirect(c, (*res)->location, "too many redirects", err);
		if (http_url_parse((*res)->location, &at, &next) < 0)
			return bad_redirect(c, (*res)->location, "no URL for us", err);
		if (streq(next.scheme, "http") && !client_allows_http(c))
			return bad_redirect(c, (*res)->location, "not secure", err);
		at = next;
		/* The form was for the first place only. */
		req->form = NULL;
		if (streq(at.origin, start.origin) && h == first)
			continue;
		h = conn->foreign;
		req->guard = true;
		req->bearer = NULL;
		req->username = NULL;
		req->password = NULL;
		req->verify = true;
	}
}

/* Message of the registry's error document, if it has one, ready for printing. */
static void server_words(const struct http_response *res, char *ret, size_t size)
{
	cleanup_json struct json *root = NULL;
	const struct json *message;
	const struct json *errors;
	const char *text = NULL;
	size_t len = 0;
	char quoted[200];

	ret[0] = '\0';
	if (json_parse((const char *)buf_data(&res->error_body), buf_len(&res->error_body), &root,
		    NULL) < 0)
		return;
	errors = json_find(root, "errors");
	errors = errors ? json_first(errors) : NULL;
	message = errors ? json_find(errors, "message") : NULL;
	text = message ? json_bytes(message, &len) : NULL;
	if (!text || !len)
		return;
	str_quote(quoted, sizeof(quoted), text, len);
	(void)snprintf(ret, size, ": %.*s", (int)strlen(quoted) - 2, quoted + 1);
}

/* A complete response that is not what we asked for. */
static enum client_outcome judge(const struct client *c, const struct http_response *res,
	const char *what, struct client_failure *failure, struct msb_err *err)
{
	char words[240];

	failure->status = res->status;
	if (res->has_retry_after && res->retry_after_s < UINT32_MAX)
		failure->after_ns = res->retry_after_s * NSEC_PER_SEC;
	server_words(res, words, sizeof(words));
	if (res->status == 404) {
		msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "%s has no %s of %s%s", c->place.name,
			what, c->repository, words);
		return CLIENT_ELSEWHERE;
	}
	if (res->status == 401 || res->status == 403) {
		msb_err_set(err, -EACCES, MSB_PERMISSION, "%s denies access to %s%s", c->place.name,
			c->repository, words);
		(void)msb_err_hint(err, -EACCES, "msb registry login %s", c->place.name);
		return CLIENT_ELSEWHERE;
	}
	if (res->status == 429) {
		msb_err_set(
			err, -EDQUOT, MSB_LIMIT, "%s: too many requests%s", c->place.name, words);
		(void)msb_err_hint(err, -EDQUOT, "wait, or msb registry login %s", c->place.name);
		return CLIENT_AGAIN;
	}
	msb_err_set(err, -EIO, MSB_FAIL, "%s answers with status %u for the %s of %s%s",
		c->place.name, res->status, what, c->repository, words);
	return res->status >= 500 || res->status == 408 ? CLIENT_AGAIN : CLIENT_ELSEWHERE;
}

static const char *scheme_text(enum client_scheme scheme)
{
	return scheme == SCHEME_HTTP ? "http" : "https";
}

/* What of the shared state one request is made with. */
struct session {
	enum client_scheme scheme;
	unsigned int token_number;
	char *token;
	bool basic;
};

static int session_begin(struct client *c, struct session *s)
{
	int r = 0;

	pthread_mutex_lock(&c->lock);
	*s = (struct session){
		.scheme = c->scheme, .token_number = c->token_number, .basic = c->basic};
	if (c->token) {
		s->token = strdup(c->token);
		r = s->token ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void session_end(struct session *s)
{
	if (s->token)
		explicit_bzero(s->token, strlen(s->token));
	free(s->token);
}

/*
 * One request to the registry by the scheme it speaks. A port that does not speak TLS gets a second
 * chance where plain HTTP is allowed.
 */
static enum http_outcome exchange(struct client_conn *conn, const char *path,
	const struct session *s, const struct http_request *template,
	const struct http_response **res, struct msb_err *err)
{
	struct client *c = conn->client;
	enum client_scheme scheme = s->scheme == SCHEME_UNKNOWN ? SCHEME_HTTPS : s->scheme;
	enum http_outcome outcome;
	char url[HTTP_URL_MAX + 1];

	for (;;) {
		struct http_request req = *template;

		(void)snprintf(url, sizeof(url), "%s://%s/v2/%s", scheme_text(scheme),
			c->place.host, path);
		req.url = url;
		req.verify = !c->place.insecure;
		req.bearer = s->token;
		if (s->basic) {
			req.username = c->creds.username;
			req.password = c->creds.secret;
		}
		outcome = client_follow(conn, conn->own, &req, res, err);
		if (outcome == HTTP_DONE)
			learn_scheme(c, scheme);
		if (!(outcome == HTTP_NO_TLS || outcome == HTTP_PASSING ||
			    outcome == HTTP_UNREACHED) ||
			(*res)->status != 0 || s->scheme != SCHEME_UNKNOWN ||
			scheme == SCHEME_HTTP || !client_allows_http(c))
			return outcome;
		scheme = SCHEME_HTTP;
	}
}

static enum client_outcome request(struct client_conn *conn, const char *path, const char *what,
	const struct http_request *template, const struct http_response **res,
	struct client_failure *failure, struct msb_err *err)
{
	struct client *c = conn->client;

	*failure = (struct client_failure){};
	for (unsigned int round = 0;; round++) {
		struct session s;
		enum http_outcome outcome;
		enum client_outcome auth;

		if (session_begin(c, &s) < 0) {
			msb_err_errno(err, -ENOMEM, "cannot make a request");
			return CLIENT_STOP;
		}
		outcome = exchange(conn, path, &s, template, res, err);
		session_end(&s);
		if (outcome != HTTP_DONE)
			return is_nowhere(c, outcome) ? CLIENT_ELSEWHERE : client_lost(outcome);
		if ((*res)->status == 200 || (*res)->status == 206)
			return CLIENT_OK;
		if ((*res)->status != 401 || round == AUTH_ROUNDS)
			return judge(c, *res, what, failure, err);
		auth = client_authenticate(conn, *res, s.token_number, s.basic, err);
		if (auth != CLIENT_OK)
			return auth;
	}
}

struct manifest_sink {
	struct buf *body;
	int error;
};

static int manifest_begin(void *arg, const struct http_response *res)
{
	struct manifest_sink *s = arg;

	s->error = res->has_length && res->length > MANIFEST_MAX ? -E2BIG : 0;
	return s->error;
}

static int manifest_data(void *arg, const void *p, size_t n)
{
	struct manifest_sink *s = arg;

	s->error = buf_append(s->body, p, n);
	return s->error;
}

enum client_outcome client_get_manifest(struct client_conn *conn, const char *reference,
	struct buf *body, char ret_type[HTTP_TYPE_MAX + 1], struct client_failure *ret,
	struct msb_err *err)
{
	struct manifest_sink sink = {.body = body};
	struct http_request req = {
		.accept = MANIFEST_ACCEPT,
		.begin = manifest_begin,
		.body = manifest_data,
		.arg = &sink,
	};
	const struct http_response *res = NULL;
	enum client_outcome outcome;
	char path[REF_PATH_MAX + CLIENT_PREFIX_MAX + REF_TAG_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/manifests/%s", conn->client->repository, reference);
	buf_consume(body, buf_len(body));
	outcome = request(conn, path, "manifest", &req, &res, ret, err);
	if (sink.error < 0) {
		msb_err_set(err, sink.error, sink.error == -ENOMEM ? MSB_NO_MEMORY : MSB_LIMIT,
			"manifest from %s is larger than %d bytes", conn->client->place.name,
			MANIFEST_MAX);
		return CLIENT_ELSEWHERE;
	}
	if (outcome == CLIENT_OK)
		memcpy(ret_type, res->content_type, sizeof(res->content_type));
	return outcome;
}

struct blob_sink {
	const struct client_sink *to;
	struct client_conn *conn;
	uint64_t from;
	bool lied;
};

/* A part of the blob says which; it must be the one we asked for. */
static int blob_begin(void *arg, const struct http_response *res)
{
	struct blob_sink *s = arg;
	uint64_t offset = 0;

	if (res->status == 206) {
		s->lied = !res->has_range || !res->range.has_range || res->range.first != s->from;
		if (s->lied)
			return -EPROTO;
		offset = s->from;
	}
	return s->to->begin(s->to->arg, offset, res->has_length, res->length);
}

static int blob_data(void *arg, const void *p, size_t n)
{
	struct blob_sink *s = arg;

	return s->to->data(s->to->arg, p, n);
}

enum client_outcome client_get_blob(struct client_conn *conn, const char *digest, uint64_t from,
	const struct client_sink *sink, struct client_failure *ret, struct msb_err *err)
{
	struct blob_sink s = {.to = sink, .conn = conn, .from = from};
	struct http_request req = {.from = from, .begin = blob_begin, .body = blob_data, .arg = &s};
	const struct http_response *res = NULL;
	enum client_outcome outcome;
	char path[REF_PATH_MAX + CLIENT_PREFIX_MAX + REF_DIGEST_LEN + 64];

	(void)snprintf(path, sizeof(path), "%s/blobs/%s", conn->client->repository, digest);
	outcome = request(conn, path, "blob", &req, &res, ret, err);
	if (s.lied) {
		msb_err_set(err, -EPROTO, MSB_PROTOCOL,
			"%s sends another part of %.19s than the one asked for",
			conn->client->place.name, digest);
		return CLIENT_ELSEWHERE;
	}
	return outcome;
}

enum client_outcome client_check(
	struct client_conn *conn, struct client_failure *ret, struct msb_err *err)
{
	const struct http_request req = {};
	const struct http_response *res = NULL;

	return request(conn, "", "interface", &req, &res, ret, err);
}
