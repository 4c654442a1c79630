/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer: registry to store. See pull-internal.h.
 *
 * Bytes arrive in order, whatever happens on the way: first those of an earlier, interrupted
 * download (the part), then the network's. Each byte goes to the digest, to the part and to the
 * worker that unpacks it, once. When a connection is lost the next one continues at the same byte,
 * by a range if the server has them, else by skipping; the worker does not notice.
 *
 * Nothing is believed before the end: then the digest must be the manifest's, and the digest of the
 * unpacked archive the configuration's. Bytes of an earlier download may be bad (a crash of the
 * machine can leave zeroes), so a mismatch with them in play costs the part and another round.
 * After any verdict against the content the part is gone: it cannot spoil the next pull.
 */
#include <fcntl.h>

#include "base/io.h"

#include "image/layer/job.h"
#include "image/registry/pull-internal.h"
#include "tls/sha256.h"

enum {
	CHUNK = 256 * 1024, /* from the network to the worker */
	PROGRESS = 256 * 1024, /* what an attempt must bring to earn further ones */
	/* The worker has refused the layer: finish the download to know whose fault it is? */
	POST_MORTEM_MAX = 16 * 1024 * 1024,
};

enum verdict {
	VERDICT_GOOD,
	VERDICT_BAD_CONTENT, /* not what was promised, or not a layer */
	VERDICT_BAD_PLACE, /* this place does not have it, or lies about it */
	VERDICT_LATER, /* the network; what came is worth keeping */
	VERDICT_LOCAL, /* our own machine failed, or we were cancelled */
};

struct stream {
	struct pull *p;
	const struct descriptor *desc;
	const char *diff_id;
	struct report_layer progress;
	struct msb_err *err;

	struct store_work *work;
	struct store_files files;
	int part_fd; /* -EBADF: another process has it */
	struct layer_job job;
	struct sha256 *sha;

	uint64_t offset; /* bytes that went all ways */
	uint64_t resumed; /* of them from the part */
	uint64_t skip; /* bytes of the response that we have already */
	uint8_t *chunk;
	size_t chunk_len;
	bool worker_gone;
	enum verdict verdict; /* of a callback that said no */
};

static int say(struct stream *s, enum verdict verdict, int r)
{
	s->verdict = verdict;
	return r;
}

static int local_failure(struct stream *s, int r, const char *what)
{
	return say(s, VERDICT_LOCAL, msb_err_errno(s->err, r, "%s", what));
}

/* To the digest and the worker. */
static int consume(struct stream *s, const uint8_t *p, size_t n)
{
	int r = sha256_update(s->sha, p, n);

	if (r < 0)
		return local_failure(s, r, "cannot compute a digest");
	s->offset += n;
	if (s->worker_gone)
		return 0;
	r = io_write_full(s->job.in_fd, p, n);
	if (r == -EPIPE) {
		s->worker_gone = true;
		if (s->desc->size - s->offset > POST_MORTEM_MAX)
			return say(s, VERDICT_BAD_CONTENT, -EBADMSG);
		r = 0;
	}
	return r < 0 ? local_failure(s, r, "cannot unpack a layer") : 0;
}

static int flush_chunk(struct stream *s)
{
	size_t n = s->chunk_len;
	int r = 0;

	s->chunk_len = 0;
	if (n && s->part_fd >= 0)
		r = io_write_full(s->part_fd, s->chunk, n);
	if (r < 0)
		return local_failure(s, r, "cannot keep a download");
	return n ? consume(s, s->chunk, n) : 0;
}

static int on_begin(void *arg, uint64_t offset, bool has_length, uint64_t length)
{
	struct stream *s = arg;

	if (has_length && (length > s->desc->size || offset + length != s->desc->size)) {
		msb_err_set(s->err, -EPROTO, MSB_PROTOCOL,
			"layer %.19s has %" PRIu64 " bytes by the registry and %" PRIu64
			" by the manifest",
			s->desc->digest, offset + length, s->desc->size);
		return say(s, VERDICT_BAD_PLACE, -EPROTO);
	}
	s->skip = s->offset - offset;
	return 0;
}

static int on_data(void *arg, const void *p, size_t n)
{
	const uint8_t *at = p;
	struct stream *s = arg;
	uint64_t old = MIN((uint64_t)n, s->skip);

	s->skip -= old;
	at += old;
	n -= (size_t)old;
	if (n > s->desc->size - s->offset - s->chunk_len) {
		msb_err_set(s->err, -EPROTO, MSB_PROTOCOL,
			"layer %.19s is longer than the %" PRIu64 " bytes that the manifest says",
			s->desc->digest, s->desc->size);
		return say(s, VERDICT_BAD_CONTENT, -EPROTO);
	}
	while (n) {
		size_t part = MIN(n, CHUNK - s->chunk_len);
		int r = 0;

		memcpy(s->chunk + s->chunk_len, at, part);
		s->chunk_len += part;
		at += part;
		n -= part;
		if (s->chunk_len == CHUNK)
			r = flush_chunk(s);
		if (r < 0)
			return r;
	}
	report_layer(s->p->report, &s->progress, LAYER_DOWNLOADING, s->offset + s->chunk_len);
	return 0;
}

/* What an earlier download left. */
static int replay_part(struct stream *s, uint64_t have)
{
	while (s->offset < have) {
		ssize_t got = pread(s->part_fd, s->chunk,
			(size_t)MIN((uint64_t)CHUNK, have - s->offset), (off_t)s->offset);
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return local_failure(s, got < 0 ? -errno : -EIO, "cannot read a download");
		r = consume(s, s->chunk, (size_t)got);
		if (r < 0)
			return r;
	}
	s->resumed = have;
	return 0;
}

static int open_part(struct stream *s, uint64_t *ret_have)
{
	uint64_t have = 0;
	int fd = store_part_open(s->p->store, s->desc->digest, &have);

	*ret_have = 0;
	if (fd == -EBUSY)
		return 0;
	if (fd < 0)
		return local_failure(s, fd, "cannot keep a download");
	s->part_fd = fd;
	if (have > s->desc->size) {
		if (ftruncate(fd, 0) < 0)
			return local_failure(s, -errno, "cannot keep a download");
		have = 0;
	}
	*ret_have = have;
	return 0;
}

static void drop_part(struct stream *s)
{
	if (s->part_fd >= 0)
		store_part_remove(s->p->store, s->desc->digest);
	s->part_fd = fd_close(s->part_fd);
}

static int stream_begin(struct stream *s, uint64_t *ret_have)
{
	int r;

	s->chunk = malloc(CHUNK);
	s->sha = sha256_new();
	if (!s->chunk || !s->sha)
		return local_failure(s, -ENOMEM, "cannot download a layer");
	r = store_layer_begin(s->p->store, &s->work, &s->files, s->err);
	if (r == 0)
		r = layer_unpack_start(s->p->layer_program, &s->files, &s->job, s->err);
	if (r < 0)
		return say(s, VERDICT_LOCAL, r);
	return open_part(s, ret_have);
}

static void stream_end(struct stream *s)
{
	layer_job_abort(&s->job);
	store_work_free(s->work);
	store_files_close(&s->files);
	fd_close(s->part_fd);
	sha256_free(s->sha);
	free(s->chunk);
}

/* One place, with patience, until all bytes are here. */
static enum verdict download_from(struct stream *s, struct client_conn *conn)
{
	const struct client_sink sink = {.begin = on_begin, .data = on_data, .arg = s};
	uint64_t best = s->offset;
	struct retry retry;

	retry_init(&retry, &s->p->req->retry, pull_seed());
	while (s->offset < s->desc->size) {
		struct client_failure failure;
		enum client_outcome outcome;
		uint64_t wait;

		s->verdict = VERDICT_GOOD;
		outcome =
			client_get_blob(conn, s->desc->digest, s->offset, &sink, &failure, s->err);
		if (s->verdict != VERDICT_GOOD)
			return s->verdict;
		if (flush_chunk(s) < 0)
			return s->verdict;
		if (s->offset == s->desc->size)
			break;
		if (outcome == CLIENT_STOP)
			return VERDICT_LOCAL;
		if (outcome == CLIENT_ELSEWHERE)
			return VERDICT_BAD_PLACE;
		if (outcome == CLIENT_OK)
			msb_err_set(s->err, -ENODATA, MSB_PROTOCOL,
				"layer %.19s ends after %" PRIu64 " of %" PRIu64 " bytes",
				s->desc->digest, s->offset, s->desc->size);
		if (!retry_again(&retry, s->offset >= best + PROGRESS, failure.after_ns, &wait))
			return VERDICT_LATER;
		best = MAX(best, s->offset);
		report_layer(s->p->report, &s->progress, LAYER_RETRYING, s->offset);
		if (!pull_wait(s->p, wait))
			return VERDICT_LOCAL;
	}
	return VERDICT_GOOD;
}

static enum verdict download(struct stream *s, struct pull_conns *conns, size_t first_place)
{
	enum verdict verdict = VERDICT_BAD_PLACE;

	if (s->offset == s->desc->size)
		return VERDICT_GOOD;
	for (size_t i = first_place; i < s->p->n_places; i++) {
		struct client_conn *conn = pull_conn(s->p, conns, i);

		if (!conn) {
			(void)local_failure(s, -ENOMEM, "cannot connect");
			return VERDICT_LOCAL;
		}
		verdict = download_from(s, conn);
		if (verdict != VERDICT_BAD_PLACE && verdict != VERDICT_LATER)
			break;
	}
	return verdict;
}

/* The verdict on complete content, and its publication. */
static enum verdict finish(struct stream *s)
{
	char digest[REF_DIGEST_LEN + 1] = "sha256:";
	struct layer_facts facts;
	struct store_layer layer = {};
	int r = sha256_hex(s->sha, digest + strlen(digest));

	if (r < 0) {
		(void)local_failure(s, r, "cannot compute a digest");
		return VERDICT_LOCAL;
	}
	if (!streq(digest, s->desc->digest)) {
		msb_err_set(s->err, -EBADMSG, MSB_PROTOCOL,
			"layer %.19s has the wrong digest: its content is %.19s", s->desc->digest,
			digest);
		return VERDICT_BAD_CONTENT;
	}
	r = layer_unpack_finish(&s->job, &facts, s->err);
	if (r < 0) {
		bool local = r == -ENOSPC || r == -EDQUOT || r == -ENOMEM;

		(void)msb_err_prefix(s->err, r, "layer %.19s", s->desc->digest);
		return local ? VERDICT_LOCAL : VERDICT_BAD_CONTENT;
	}
	if (!streq(facts.diff_id, s->diff_id)) {
		msb_err_set(s->err, -EBADMSG, MSB_PROTOCOL,
			"layer %.19s unpacks to %.19s, the image configuration says %.19s",
			s->desc->digest, facts.diff_id, s->diff_id);
		return VERDICT_BAD_CONTENT;
	}
	layer.blob_bytes = s->desc->size;
	layer.data_bytes = facts.data_bytes;
	layer.tar_bytes = facts.tar_bytes;
	layer.entries = facts.entries;
	(void)snprintf(layer.digest, sizeof(layer.digest), "%s", digest);
	(void)snprintf(layer.diff_id, sizeof(layer.diff_id), "%s", facts.diff_id);
	(void)snprintf(layer.media_type, sizeof(layer.media_type), "%s", s->desc->media_type);
	(void)snprintf(layer.compression, sizeof(layer.compression), "%s", facts.compression);
	return store_layer_commit(s->work, &layer, s->err) < 0 ? VERDICT_LOCAL : VERDICT_GOOD;
}

/* The worker ended before its input did: its reason is the one to tell. */
static void tell_workers_reason(struct stream *s)
{
	struct layer_facts facts;
	int r = layer_unpack_finish(&s->job, &facts, s->err);

	if (r == 0)
		r = msb_err_set(s->err, -EBADMSG, MSB_PROTOCOL, "archive ends before its data");
	(void)msb_err_prefix(s->err, r, "layer %.19s", s->desc->digest);
}

/* One round from the first byte to the verdict. */
static enum verdict fetch(struct pull *p, struct pull_conns *conns, size_t layer,
	size_t first_place, bool *ret_resumed, struct msb_err *err)
{
	struct stream s = {
		.p = p,
		.desc = &p->manifest.layers[layer],
		.diff_id = p->config.diff_ids[layer],
		.progress = {.digest = p->manifest.layers[layer].digest,
			.total = p->manifest.layers[layer].size},
		.err = err,
		.files = STORE_FILES_NONE,
		.part_fd = -EBADF,
	};
	enum verdict verdict = VERDICT_LOCAL;
	uint64_t have = 0;

	if (stream_begin(&s, &have) == 0) {
		verdict = replay_part(&s, have) < 0 ? s.verdict : download(&s, conns, first_place);
		if (s.worker_gone && verdict == VERDICT_BAD_CONTENT)
			tell_workers_reason(&s);
		if (verdict == VERDICT_GOOD)
			verdict = finish(&s);
	}
	atomic_fetch_add(&p->downloaded_bytes, s.offset - s.resumed);
	*ret_resumed = s.resumed > 0;
	if (verdict == VERDICT_GOOD || verdict == VERDICT_BAD_CONTENT)
		drop_part(&s);
	if (verdict == VERDICT_GOOD)
		report_layer(p->report, &s.progress, LAYER_DONE, s.desc->size);
	stream_end(&s);
	return verdict;
}

int pull_layer(struct pull *p, struct pull_conns *conns, size_t i, struct msb_err *err)
{
	size_t place = 0;

	for (;;) {
		bool resumed = false;
		enum verdict verdict = fetch(p, conns, i, place, &resumed, err);

		if (verdict == VERDICT_GOOD)
			return 0;
		if (verdict != VERDICT_BAD_CONTENT)
			return -EIO;
		/* Bytes of earlier must not condemn a place; a bad place not the others. */
		if (!resumed)
			place++;
		if (place == p->n_places)
			return -EBADMSG;
		report_warning(p->report, err->msg);
	}
}
