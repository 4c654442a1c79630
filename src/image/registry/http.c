/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange at a time: see http.h.
 *
 * libcurl calls back in the thread of the exchange. Addresses are judged where they are certain: in
 * the callback that opens the socket, after the name was resolved. A connection that is used again
 * was judged when it was made, for the same origin, because a handle serves one of them only.
 */
#include "image/registry/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <strings.h>

#include "base/io.h"
#include "base/str.h"

enum { CA_FILE_MAX = 16 * 1024 * 1024, BUFFER = 256 * 1024 };

struct http {
	CURL *curl;
	const struct http_options *options;
	const struct http_request *req;
	struct http_response res;
	size_t header_bytes;
	bool proxied;
	bool begun;
	bool sink_said_no;
	bool forbidden; /* an address was refused */
	bool too_much; /* of headers */
	char error[CURL_ERROR_SIZE];
};

int http_global_init(struct msb_err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return msb_err_set(err, -EIO, MSB_FAIL, "cannot initialise libcurl");
	return 0;
}

/* What is trusted so far; without any certificates of its own a machine is fine, too. */
static int trusted(struct http_options *o, char **ret, size_t *ret_len, struct msb_err *err)
{
	const char *system = curl_version_info(CURLVERSION_NOW)->cainfo;
	int r = 0;

	if (o->ca_pem) {
		*ret = TAKE_PTR(o->ca_pem);
		*ret_len = o->ca_len;
		return 0;
	}
	if (system)
		r = io_read_file(AT_FDCWD, system, CA_FILE_MAX, ret, ret_len);
	return r < 0 && r != -ENOENT
		       ? msb_err_errno(err, r, "cannot read the certificates in %s", system)
		       : 0;
}

int http_options_ca(struct http_options *o, const char *path, struct msb_err *err)
{
	cleanup_free char *ours = NULL;
	cleanup_free char *theirs = NULL;
	size_t ours_len = 0;
	size_t theirs_len = 0;
	int r = io_read_file(AT_FDCWD, path, CA_FILE_MAX, &ours, &ours_len);

	if (r < 0)
		return msb_err_errno(err, r, "cannot read the certificates in %s", path);
	if (!strstr(ours, "-----BEGIN"))
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "%s has no certificate in PEM form", path);
	r = trusted(o, &theirs, &theirs_len, err);
	if (r < 0)
		return r;
	o->ca_pem = malloc(ours_len + theirs_len + 2);
	if (!o->ca_pem)
		return msb_err_errno(err, -ENOMEM, "reading certificates");
	memcpy(o->ca_pem, ours, ours_len);
	o->ca_pem[ours_len] = '\n';
	if (theirs_len)
		memcpy(o->ca_pem + ours_len + 1, theirs, theirs_len);
	o->ca_len = ours_len + 1 + theirs_len;
	return 0;
}

int http_options_copy(
	struct http_options *ret, const struct http_options *from, struct msb_err *err)
{
	*ret = *from;
	if (!from->ca_pem)
		return 0;
	ret->ca_pem = malloc(from->ca_len + 1);
	if (!ret->ca_pem)
		return msb_err_errno(err, -ENOMEM, "reading certificates");
	memcpy(ret->ca_pem, from->ca_pem, from->ca_len);
	return 0;
}

void http_options_deinit(struct http_options *o)
{
	free(o->ca_pem);
	o->ca_pem = NULL;
}

struct http *http_new(const struct http_options *options)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->options = options;
	buf_init(&h->res.error_body, HTTP_ERROR_BODY_MAX);
	h->curl = curl_easy_init();
	return h->curl ? h : http_free(h);
}

struct http *http_free(struct http *h)
{
	if (!h)
		return NULL;
	curl_easy_cleanup(h->curl);
	buf_deinit(&h->res.error_body);
	free(h);
	return NULL;
}

static bool is_success(const struct http *h)
{
	return h->res.status == 200 || h->res.status == 206;
}

/* What is not in the head. A peer that is a proxy says nothing about the server. */
static void complete(struct http *h)
{
	curl_off_t length = -1;
	const char *ip = NULL;

	h->res.proxied = h->proxied;
	if (curl_easy_getinfo(h->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
		length >= 0) {
		h->res.has_length = true;
		h->res.length = (uint64_t)length;
	}
	if (curl_easy_getinfo(h->curl, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip && ip[0])
		h->res.peer = net_reach_of_literal(ip);
}

static int begin_body(struct http *h)
{
	if (h->begun)
		return 0;
	h->begun = true;
	complete(h);
	if (is_success(h) && h->req->begin && h->req->begin(h->req->arg, &h->res) < 0) {
		h->sink_said_no = true;
		return -ECANCELED;
	}
	return 0;
}

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
	struct http *h = arg;

	(void)one;
	if (begin_body(h) < 0)
		return 0;
	if (!is_success(h)) {
		/* Enough for a message; the rest does not matter. */
		size_t room = MIN(n, buf_space(&h->res.error_body));

		return room == 0 || buf_append(&h->res.error_body, p, room) == 0 ? n : 0;
	}
	if (h->req->body && h->req->body(h->req->arg, p, n) < 0) {
		h->sink_said_no = true;
		return 0;
	}
	return n;
}

static void response_reset(struct http_response *res)
{
	struct buf keep = res->error_body;

	buf_consume(&keep, buf_len(&keep));
	*res = (struct http_response){.error_body = keep, .peer = NET_NOWHERE};
}

/* "HTTP/1.1 401 Unauthorized": a new response begins, after a 100 Continue for example. */
static void take_status(struct http *h, const char *line, size_t n)
{
	const char *space = memchr(line, ' ', n);

	response_reset(&h->res);
	if (!space || (size_t)(line + n - space) < 4)
		return;
	for (int i = 1; i <= 3; i++) {
		if (space[i] < '0' || space[i] > '9')
			return;
	}
	h->res.status =
		(unsigned int)((space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0'));
}

static void copy_printable(char *to, size_t size, const char *from, size_t n)
{
	size_t len = 0;

	/* Too long, or with bytes that do not belong there: as if it were not there. */
	if (n < size) {
		while (len < n && from[len] >= 0x20 && from[len] < 0x7f)
			len++;
	}
	if (len != n)
		len = 0;
	memcpy(to, from, len);
	to[len] = '\0';
}

static void take_challenges(struct http_response *res, const char *value, size_t n)
{
	size_t room = CHALLENGES_MAX - res->n_challenges;
	int got = challenge_parse(value, n, res->challenges + res->n_challenges, room);

	if (got < 0)
		res->bad_challenge = true;
	else
		res->n_challenges += (size_t)got;
}

static void take_header(
	struct http_response *res, const char *name, size_t name_len, const char *value, size_t n)
{
	static const char *const names[] = {
		"www-authenticate", "location", "content-type", "content-range", "retry-after"};
	size_t which = 0;

	while (which < ARRAY_SIZE(names) && (strlen(names[which]) != name_len ||
						    strncasecmp(name, names[which], name_len) != 0))
		which++;
	switch (which) {
	case 0:
		take_challenges(res, value, n);
		break;
	case 1:
		copy_printable(res->location, sizeof(res->location), value, n);
		break;
	case 2:
		copy_printable(res->content_type, sizeof(res->content_type), value, n);
		break;
	case 3:
		res->has_range = content_range_parse(value, n, &res->range) == 0;
		break;
	case 4:
		res->has_retry_after = retry_after_parse(value, n, &res->retry_after_s) == 0;
		break;
	default:
		break;
	}
}

static size_t on_header(char *line, size_t one, size_t n, void *arg)
{
	struct http *h = arg;
	const char *colon;
	const char *end = line + n;

	(void)one;
	h->header_bytes += n;
	if (h->header_bytes > HTTP_HEADERS_MAX) {
		h->too_much = true;
		return 0;
	}
	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		take_status(h, line, n);
		return n;
	}
	colon = memchr(line, ':', n);
	if (!colon || h->begun)
		return n;
	while (end > colon + 1 &&
		(end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *value = colon + 1;; value++) {
		if (value == end || (*value != ' ' && *value != '\t')) {
			take_header(&h->res, line, (size_t)(colon - line), value,
				(size_t)(end - value));
			return n;
		}
	}
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http *h = arg;

	(void)purpose;
	if (!h->proxied && h->req->guard &&
		!net_may_send_us(h->req->origin, net_reach_of(&address->addr))) {
		h->forbidden = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct http *h = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return h->options->cancel && atomic_load(h->options->cancel) ? 1 : 0;
}

static void set_limits(CURL *c, const struct http_options *o)
{
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)o->connect_s);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_SPEED_MIN);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)o->stall_s);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)BUFFER);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	/* Parallel layers are parallel connections; one stream of HTTP/2 would be slower. */
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "msb");
}

static void set_callbacks(struct http *h)
{
	CURL *c = h->curl;

	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->error);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, h);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
}

static void set_tls(struct http *h)
{
	struct curl_blob blob = {
		.data = h->options->ca_pem, .len = h->options->ca_len, .flags = CURL_BLOB_NOCOPY};

	curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYPEER, h->req->verify ? 1L : 0L);
	curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYHOST, h->req->verify ? 2L : 0L);
	curl_easy_setopt(h->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (h->options->ca_pem)
		curl_easy_setopt(h->curl, CURLOPT_CAINFO_BLOB, &blob);
}

/* @proxy decides that connection goes to it; libcurl looks into no environment of its own. */
static void set_proxy(struct http *h, const struct http_url *url)
{
	const char *proxy = net_proxy(url->scheme, url->host, url->port, getenv);

	h->proxied = proxy != NULL;
	curl_easy_setopt(h->curl, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(h->curl, CURLOPT_NOPROXY, "");
	curl_easy_setopt(h->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_authentication(CURL *c, const struct http_request *req)
{
	if (req->bearer) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, req->bearer);
	} else if (req->username) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERNAME, req->username);
		curl_easy_setopt(c, CURLOPT_PASSWORD, req->password);
	}
}

static int set_headers(const struct http_request *req, struct curl_slist **ret)
{
	char line[1024];
	struct curl_slist *more;

	if (!req->accept)
		return 0;
	if (snprintf(line, sizeof(line), "Accept: %s", req->accept) >= (int)sizeof(line))
		return -ENAMETOOLONG;
	more = curl_slist_append(*ret, line);
	if (!more)
		return -ENOMEM;
	*ret = more;
	return 0;
}

static enum http_outcome outcome_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK:
		return HTTP_DONE;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return HTTP_UNREACHED;
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return HTTP_PASSING;
	case CURLE_SSL_CONNECT_ERROR:
		return HTTP_NO_TLS;
	case CURLE_ABORTED_BY_CALLBACK:
		return HTTP_CANCELLED;
	default:
		return HTTP_REFUSED;
	}
}

/* libcurl's text may quote the server. */
static void copy_text(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; from[n] && n < size - 1; n++)
		to[n] = (char)(from[n] < 0x20 || from[n] > 0x7e ? '?' : from[n]);
	to[n] = '\0';
}

static void explain(
	const struct http *h, CURLcode code, const struct http_url *url, struct msb_err *err)
{
	char detail[CURL_ERROR_SIZE];
	char where[sizeof(url->host) + 8];

	(void)snprintf(where, sizeof(where), "%s:%u", url->host, url->port);
	if (url->port == (streq(url->scheme, "https") ? 443 : 80))
		(void)snprintf(where, sizeof(where), "%s", url->host);
	copy_text(detail, sizeof(detail), h->error[0] ? h->error : curl_easy_strerror(code));
	if (h->forbidden)
		msb_err_set(err, -EPERM, MSB_PROTOCOL,
			"the registry sends us to %s, an address inside this network", where);
	else if (h->too_much)
		msb_err_set(err, -E2BIG, MSB_LIMIT, "%s: too many headers", where);
	else
		msb_err_set(err, -EIO, code == CURLE_OPERATION_TIMEDOUT ? MSB_TIMEOUT : MSB_FAIL,
			"%s: %s", where, detail);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		(void)msb_err_hint(err, -EIO,
			"give the certificate of its authority with --ca-certs, or "
			"registries.ca_certs "
			"in the configuration");
	else if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT)
		(void)msb_err_hint(err, -EIO,
			"without a way there, a mirror can stand in: registries.hosts.HOST.mirrors "
			"in the configuration, or 'msb load' brings images from a file");
}

static enum http_outcome perform(struct http *h, const struct http_url *url, struct msb_err *err)
{
	CURLcode code = curl_easy_perform(h->curl);
	enum http_outcome outcome;

	complete(h);
	/* A success without a body has not begun yet. */
	if (code == CURLE_OK && begin_body(h) < 0)
		code = CURLE_WRITE_ERROR;
	outcome = h->forbidden || h->too_much ? HTTP_REFUSED : outcome_of(code);
	if (outcome != HTTP_DONE && outcome != HTTP_CANCELLED && !h->sink_said_no)
		explain(h, code, url, err);
	return outcome;
}

enum http_outcome http_exchange(struct http *h, const struct http_request *req,
	const struct http_response **res, struct msb_err *err)
{
	struct curl_slist *headers = NULL;
	struct http_url url;
	enum http_outcome outcome = HTTP_REFUSED;
	char range[32];
	int r;

	*res = &h->res;
	response_reset(&h->res);
	h->req = req;
	h->header_bytes = 0;
	h->begun = h->sink_said_no = h->forbidden = h->too_much = false;
	h->error[0] = '\0';
	r = http_url_parse(req->url, NULL, &url);
	if (r < 0) {
		msb_err_set(err, r, MSB_PROTOCOL, "bad URL");
		return HTTP_REFUSED;
	}
	if (req->guard && !net_may_send_us(req->origin, net_reach_of_literal(url.host))) {
		h->forbidden = true;
		explain(h, CURLE_OK, &url, err);
		return HTTP_REFUSED;
	}
	curl_easy_reset(h->curl);
	set_limits(h->curl, h->options);
	set_callbacks(h);
	set_tls(h);
	set_proxy(h, &url);
	set_authentication(h->curl, req);
	curl_easy_setopt(h->curl, CURLOPT_URL, url.text);
	if (req->form)
		curl_easy_setopt(h->curl, CURLOPT_COPYPOSTFIELDS, req->form);
	if (req->from) {
		(void)snprintf(range, sizeof(range), "%" PRIu64 "-", req->from);
		curl_easy_setopt(h->curl, CURLOPT_RANGE, range);
	}
	r = set_headers(req, &headers);
	if (r == 0) {
		curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
		outcome = perform(h, &url, err);
	} else {
		msb_err_errno(err, r, "cannot make a request");
	}
	/* Secrets of this exchange do not wait for the next one. */
	curl_easy_reset(h->curl);
	curl_slist_free_all(headers);
	return outcome;
}

static int url_part(CURLU *u, CURLUPart part, unsigned int flags, char *to, size_t size)
{
	char *s = NULL;
	int r = -EINVAL;

	if (curl_url_get(u, part, &s, flags) == CURLUE_OK)
		r = str_copy(to, size, s) < 0 ? -EINVAL : 0;
	curl_free(s);
	return r;
}

static int url_fill(CURLU *u, struct http_url *ret)
{
	char port[8];
	char *user = NULL;
	uint32_t n;
	int r = url_part(u, CURLUPART_SCHEME, 0, ret->scheme, sizeof(ret->scheme));

	if (r == 0 && !streq(ret->scheme, "http") && !streq(ret->scheme, "https"))
		r = -EINVAL;
	if (r == 0)
		r = url_part(u, CURLUPART_HOST, 0, ret->host, sizeof(ret->host));
	if (r == 0)
		r = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port));
	if (r == 0)
		r = str_to_u32(port, 1, UINT16_MAX, &n);
	if (r < 0)
		return -EINVAL;
	ret->port = (uint16_t)n;
	if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK) {
		curl_free(user);
		return -EINVAL;
	}
	if (curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK)
		return -EINVAL;
	(void)snprintf(ret->origin, sizeof(ret->origin), "%s://%s:%u", ret->scheme, ret->host, n);
	return url_part(u, CURLUPART_URL, 0, ret->text, sizeof(ret->text));
}

int http_url_parse(const char *text, const struct http_url *base, struct http_url *ret)
{
	CURLU *u = curl_url();
	struct http_url url;
	int r = u ? 0 : -ENOMEM;

	for (const char *c = text; *c; c++) {
		if (*c <= 0x20 || *c > 0x7e)
			r = -EINVAL;
	}
	if (r == 0 && base && curl_url_set(u, CURLUPART_URL, base->text, 0) != CURLUE_OK)
		r = -EINVAL;
	if (r == 0 && curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK)
		r = -EINVAL;
	if (r == 0)
		r = url_fill(u, &url);
	if (r == 0)
		*ret = url;
	curl_url_cleanup(u);
	return r;
}

int http_url_add_query(struct http_url *url, const char *name, const char *value)
{
	CURLU *u = curl_url();
	cleanup_free char *pair = NULL;
	size_t size = strlen(name) + strlen(value) + 2;
	int r = u ? 0 : -ENOMEM;

	pair = malloc(size);
	if (!pair)
		r = -ENOMEM;
	else
		(void)snprintf(pair, size, "%s=%s", name, value);
	if (r == 0 && (curl_url_set(u, CURLUPART_URL, url->text, 0) != CURLUE_OK ||
			      curl_url_set(u, CURLUPART_QUERY, pair,
				      CURLU_APPENDQUERY | CURLU_URLENCODE) != CURLUE_OK))
		r = -EINVAL;
	if (r == 0)
		r = url_fill(u, url);
	curl_url_cleanup(u);
	return r;
}

int http_escape(struct buf *out, const char *value)
{
	char *s = curl_easy_escape(NULL, value, (int)strlen(value));
	int r = s ? buf_append(out, s, strlen(s)) : -ENOMEM;

	if (s)
		explicit_bzero(s, strlen(s));
	curl_free(s);
	return r;
}
