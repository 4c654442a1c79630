/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication at a registry: what to do about "401 Unauthorized".
 *
 * The challenge names basic authentication, or a token server (realm) with the words to say there
 * (service, scope). The realm is the registry's choice and often another host: docker.io has
 * auth.docker.io. Credentials go there by design of the protocol, so it must be as secure as the
 * registry and not nearer to us. One token serves all threads; the first one to be refused gets a
 * new one while the others wait.
 */
#include "base/json.h"
#include "base/str.h"

#include "image/registry/client-internal.h"

enum { REPLY_MAX = 256 * 1024 };

struct reply {
	struct buf body;
	int error;
};

static int on_reply(void *arg, const void *p, size_t n)
{
	struct reply *r = arg;

	r->error = buf_append(&r->body, p, n);
	return r->error;
}

static void reply_deinit(struct reply *r)
{
	if (r->body.base)
		explicit_bzero(r->body.base, r->body.cap);
	buf_deinit(&r->body);
}

static const struct challenge *find(const struct http_response *res, enum challenge_scheme scheme)
{
	for (size_t i = 0; i < res->n_challenges; i++) {
		if (res->challenges[i].scheme == scheme)
			return &res->challenges[i];
	}
	return NULL;
}

static int need_login(const struct client *c, struct msb_err *err)
{
	if (!c->repository[0])
		return msb_err_set(err, -EACCES, MSB_PERMISSION,
			"%s refuses the user name or password", c->place.name);
	if (c->creds.source == CREDS_NONE)
		msb_err_set(err, -EACCES, MSB_PERMISSION, "%s/%s does not exist or needs a login",
			c->place.name, c->repository);
	else
		msb_err_set(err, -EACCES, MSB_PERMISSION,
			"%s refuses the credentials that it got for %s", c->place.name,
			c->repository);
	return msb_err_hint(err, -EACCES, "msb registry login %s", c->place.name);
}

/* It becomes a part of a header line. */
static bool token_ok(const char *token)
{
	size_t n = 0;

	while (token[n] > 0x20 && token[n] < 0x7f)
		n++;
	return n > 0 && n <= CLIENT_TOKEN_MAX && token[n] == '\0';
}

static int take_token(struct client *c, struct reply *reply, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const char *token = NULL;
	char *copy;
	int r = json_parse((const char *)buf_data(&reply->body), buf_len(&reply->body), &root, err);

	if (r == 0)
		r = json_opt_str(root, "token", &token, err);
	if (r == 0 && !token)
		r = json_get_str(root, "access_token", &token, err);
	if (r == 0 && !token_ok(token))
		r = msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "not a token");
	if (r < 0)
		return msb_err_prefix(err, r, "token server of %s", c->place.name);
	copy = token ? strdup(token) : NULL;
	if (!copy)
		return msb_err_errno(err, -ENOMEM, "reading a token");
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	c->token = copy;
	c->token_number++;
	return 0;
}

/* OAuth 2: the identity token is exchanged by a form. */
static int make_form(
	const struct client *c, const struct challenge *ch, const char *scope, struct buf *form)
{
	const char *const fields[][2] = {
		{"grant_type", "refresh_token"},
		{"client_id", "msb"},
		{"service", ch->service},
		{"scope", scope},
		{"refresh_token", c->creds.secret},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		int r = buf_printf(form, "%s%s=", i ? "&" : "", fields[i][0]);

		if (r == 0)
			r = http_escape(form, fields[i][1]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_realm(const struct client *c, const struct challenge *ch, const char *scope,
	struct http_url *ret, struct msb_err *err)
{
	char quoted[128];
	int r = http_url_parse(ch->realm, NULL, ret);

	if (r == 0 && streq(ret->scheme, "http") && !client_allows_http(c))
		r = -EPERM;
	if (r == 0 && !c->creds.identity_token) {
		if (ch->service[0])
			r = http_url_add_query(ret, "service", ch->service);
		if (r == 0 && scope[0])
			r = http_url_add_query(ret, "scope", scope);
	}
	if (r < 0)
		return msb_err_set(err, r, MSB_PROTOCOL, "%s names the token server %s%s",
			c->place.name,
			str_quote(quoted, sizeof(quoted), ch->realm, strlen(ch->realm)),
			r == -EPERM ? ", which is not secure" : "");
	return 0;
}

static enum client_outcome ask_for_token(struct client_conn *conn, const struct http_url *realm,
	const char *form, struct reply *reply, struct msb_err *err)
{
	struct client *c = conn->client;
	struct http_request req = {
		.url = realm->text,
		.accept = "application/json",
		.username = form ? NULL : c->creds.username,
		.password = form ? NULL : c->creds.secret,
		.form = form,
		.verify = !c->place.insecure,
		.guard = true,
		.origin = c->reach,
		.body = on_reply,
		.arg = reply,
	};
	const struct http_response *res = NULL;
	enum http_outcome outcome = client_follow(conn, conn->foreign, &req, &res, err);

	if (reply->error < 0) {
		msb_err_set(err, reply->error, MSB_PROTOCOL,
			"token server of %s: too long an answer", c->place.name);
		return CLIENT_ELSEWHERE;
	}
	if (outcome != HTTP_DONE)
		return client_lost(outcome);
	if (res->status == 200)
		return CLIENT_OK;
	if (res->status >= 500 || res->status == 429) {
		msb_err_set(err, -EIO, MSB_FAIL, "token server of %s answers with status %u",
			c->place.name, res->status);
		return CLIENT_AGAIN;
	}
	(void)need_login(c, err);
	return CLIENT_ELSEWHERE;
}

static enum client_outcome get_token(
	struct client_conn *conn, const struct challenge *ch, struct msb_err *err)
{
	struct client *c = conn->client;
	struct reply reply = {};
	enum client_outcome outcome = CLIENT_ELSEWHERE;
	char scope[CHALLENGE_SCOPE_MAX + 1];
	struct http_url realm;
	struct buf form;
	int r;

	if (ch->scope[0])
		(void)snprintf(scope, sizeof(scope), "%s", ch->scope);
	else if (c->repository[0])
		(void)snprintf(scope, sizeof(scope), "repository:%s:pull", c->repository);
	else
		scope[0] = '\0';
	buf_init(&form, 4 * CREDS_FIELD_MAX);
	buf_init(&reply.body, REPLY_MAX);
	r = make_realm(c, ch, scope, &realm, err);
	if (r == 0 && c->creds.identity_token) {
		r = make_form(c, ch, scope, &form);
		if (r < 0)
			msb_err_errno(err, r, "cannot ask for a token");
	}
	if (r == 0)
		outcome = ask_for_token(conn, &realm,
			c->creds.identity_token ? buf_cstr(&form) : NULL, &reply, err);
	if (r == 0 && outcome == CLIENT_OK && take_token(c, &reply, err) < 0)
		outcome = CLIENT_ELSEWHERE;
	if (form.base)
		explicit_bzero(form.base, form.cap);
	buf_deinit(&form);
	reply_deinit(&reply);
	return outcome;
}

static enum client_outcome authenticate_locked(struct client_conn *conn,
	const struct http_response *res, unsigned int seen, bool seen_basic, struct msb_err *err)
{
	struct client *c = conn->client;
	const struct challenge *bearer = find(res, CHALLENGE_BEARER);
	const struct challenge *basic = find(res, CHALLENGE_BASIC);

	if (bearer)
		return c->token_number == seen ? get_token(conn, bearer, err) : CLIENT_OK;
	if (basic && c->creds.username && !seen_basic) {
		c->basic = true;
		return CLIENT_OK;
	}
	if (basic || (!res->n_challenges && !res->bad_challenge))
		(void)need_login(c, err);
	else
		msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"%s asks for a kind of authentication that is not supported",
			c->place.name);
	return CLIENT_ELSEWHERE;
}

enum client_outcome client_authenticate(struct client_conn *conn, const struct http_response *res,
	unsigned int seen, bool seen_basic, struct msb_err *err)
{
	enum client_outcome outcome;

	pthread_mutex_lock(&conn->client->lock);
	outcome = authenticate_locked(conn, res, seen, seen_basic, err);
	pthread_mutex_unlock(&conn->client->lock);
	return outcome;
}
