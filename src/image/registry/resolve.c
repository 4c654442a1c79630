/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference to manifest and configuration: see pull-internal.h.
 *
 * A tag is asked for once; from its answer on everything goes by digest, so that a tag that moves
 * meanwhile changes nothing. What the registry calls the digest in a header is not used: the
 * digest of a document is what we compute.
 */
#include "image/registry/pull-internal.h"
#include "tls/sha256.h"

enum { INDEX_DEPTH_MAX = 2, DIGEST_PREFIX = 7 };

static int digest_of(const struct buf *text, char ret[REF_DIGEST_LEN + 1])
{
	cleanup_with(sha256_free_p) struct sha256 *s = sha256_new();
	int r = s ? sha256_update(s, buf_data(text), buf_len(text)) : -ENOMEM;

	memcpy(ret, "sha256:", DIGEST_PREFIX);
	return r < 0 ? r : sha256_hex(s, ret + DIGEST_PREFIX);
}

/* Compares with @wanted unless that is empty. */
static int check_digest(const struct buf *text, const char *wanted, const char *what,
	char ret[REF_DIGEST_LEN + 1], struct msb_err *err)
{
	int r = digest_of(text, ret);

	if (r < 0)
		return msb_err_errno(err, r, "cannot compute a digest");
	if (wanted[0] && !streq(wanted, ret))
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"%s has the wrong digest: %.19s instead of %.19s", what, ret, wanted);
	return 0;
}

/* One document, with patience. */
static enum client_outcome get_manifest(struct pull *p, struct client_conn *conn,
	const char *reference, struct buf *text, char type[HTTP_TYPE_MAX + 1], struct msb_err *err)
{
	struct client_failure failure;
	struct retry retry;
	uint64_t wait;

	retry_init(&retry, &p->req->retry, pull_seed());
	for (;;) {
		enum client_outcome outcome =
			client_get_manifest(conn, reference, text, type, &failure, err);

		if (outcome != CLIENT_AGAIN)
			return outcome;
		if (!retry_again(&retry, false, failure.after_ns, &wait))
			return CLIENT_ELSEWHERE;
		if (!pull_wait(p, wait))
			return CLIENT_STOP;
	}
}

/*
 * Walks from the reference through indexes to an image manifest.
 *
 * Return: 0, or a failure after which another place may be asked.
 */
static int walk(struct pull *p, struct client_conn *conn, struct msb_err *err)
{
	const struct image_ref *ref = &p->req->ref;
	char wanted[REF_DIGEST_LEN + 1];
	char reference[REF_TAG_MAX + 1];

	memcpy(wanted, ref->digest, sizeof(wanted));
	(void)snprintf(reference, sizeof(reference), "%s", ref->digest[0] ? ref->digest : ref->tag);
	for (unsigned int depth = 0;; depth++) {
		const struct manifest_entry *e = NULL;
		char type[HTTP_TYPE_MAX + 1];
		int r;

		manifest_deinit(&p->manifest);
		if (get_manifest(p, conn, reference, &p->manifest_text, type, err) != CLIENT_OK)
			return -EIO;
		r = check_digest(&p->manifest_text, wanted, "manifest", p->digest, err);
		if (r == 0)
			r = manifest_parse((const char *)buf_data(&p->manifest_text),
				buf_len(&p->manifest_text), type, &p->manifest, err);
		if (r < 0 || p->manifest.kind == MANIFEST_IMAGE)
			return r;
		if (depth == INDEX_DEPTH_MAX)
			return msb_err_set(err, -E2BIG, MSB_LIMIT,
				"indexes nested deeper than %d levels", INDEX_DEPTH_MAX);
		r = manifest_choose(&p->manifest, host_architecture(), &e, err);
		if (r < 0)
			return r;
		memcpy(wanted, e->desc.digest, sizeof(wanted));
		memcpy(reference, wanted, sizeof(wanted));
	}
}

int pull_resolve(struct pull *p, struct pull_conns *conns, struct msb_err *err)
{
	int r = -ENOENT;

	for (size_t i = 0; i < p->n_places; i++) {
		struct client_conn *conn = pull_conn(p, conns, i);
		struct client *best = p->places[i];

		if (!conn)
			return msb_err_errno(err, -ENOMEM, "cannot connect");
		r = walk(p, conn, err);
		if (atomic_load(&p->cancel))
			return -ECANCELED;
		if (r < 0) {
			if (i + 1 < p->n_places)
				report_warning(p->report, err->msg);
			continue;
		}
		/* Who knew the image has its layers most likely: ask there first. */
		memmove(p->places + 1, p->places, i * sizeof(p->places[0]));
		p->places[0] = best;
		memmove(conns->conns + 1, conns->conns, i * sizeof(conns->conns[0]));
		conns->conns[0] = conn;
		return 0;
	}
	return r;
}

struct config_sink {
	struct buf *text;
	uint64_t size;
	int error;
};

static int config_begin(void *arg, uint64_t offset, bool has_length, uint64_t length)
{
	struct config_sink *s = arg;

	(void)offset;
	buf_consume(s->text, buf_len(s->text));
	s->error = has_length && length != s->size ? -EPROTO : 0;
	return s->error;
}

static int config_data(void *arg, const void *p, size_t n)
{
	struct config_sink *s = arg;

	s->error = buf_append(s->text, p, n);
	return s->error;
}

static int get_config(struct pull *p, struct client_conn *conn, struct msb_err *err)
{
	struct config_sink s = {.text = &p->config_text, .size = p->manifest.config.size};
	const struct client_sink sink = {.begin = config_begin, .data = config_data, .arg = &s};
	struct client_failure failure;
	struct retry retry;
	uint64_t wait;

	retry_init(&retry, &p->req->retry, pull_seed());
	for (;;) {
		enum client_outcome outcome =
			client_get_blob(conn, p->manifest.config.digest, 0, &sink, &failure, err);

		if (s.error < 0)
			return msb_err_set(err, s.error, MSB_PROTOCOL,
				"image configuration has another size than the manifest says");
		if (outcome == CLIENT_OK)
			return 0;
		if (outcome != CLIENT_AGAIN ||
			!retry_again(&retry, false, failure.after_ns, &wait) || !pull_wait(p, wait))
			return -EIO;
	}
}

static int check_config(struct pull *p, struct msb_err *err)
{
	const struct platform *pl = &p->config.platform;
	char digest[REF_DIGEST_LEN + 1];
	int r = check_digest(
		&p->config_text, p->manifest.config.digest, "image configuration", digest, err);

	if (r == 0)
		r = image_config_parse((const char *)buf_data(&p->config_text),
			buf_len(&p->config_text), &p->config, err);
	if (r < 0)
		return r;
	if ((pl->os[0] && !streq(pl->os, "linux")) ||
		(pl->architecture[0] && !streq(pl->architecture, host_architecture())))
		return msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
			"image is made for another machine than linux/%s", host_architecture());
	if (p->config.n_diff_ids != p->manifest.n_layers)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"image has %zu layers but a configuration for %zu", p->manifest.n_layers,
			p->config.n_diff_ids);
	return 0;
}

int pull_config(struct pull *p, struct pull_conns *conns, struct msb_err *err)
{
	int r = -ENOENT;

	for (size_t i = 0; i < p->n_places; i++) {
		struct client_conn *conn = pull_conn(p, conns, i);

		if (!conn)
			return msb_err_errno(err, -ENOMEM, "cannot connect");
		image_config_deinit(&p->config);
		r = get_config(p, conn, err);
		if (r == 0)
			r = check_config(p, err);
		if (r == 0 || atomic_load(&p->cancel))
			return r;
	}
	return r;
}
