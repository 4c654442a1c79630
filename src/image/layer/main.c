/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-layer: the worker that touches untrusted archives. See worker.h for its job and its
 * descriptors.
 *
 * First it gives up every right (jail.h), then it reads. Its system calls afterwards, besides those
 * of the C library:
 * #syscalls(layer:worker): read write pread64 pwrite64 ftruncate newfstatat fstat
 *
 * The main thread decompresses and parses; a second one computes the digest of the same bytes. They
 * share a ring of buffers, each owned by the decompressor until it is full and by both readers
 * until both are done.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/io.h"

#include "image/layer/decompress.h"
#include "image/layer/jail.h"
#include "image/layer/merge.h"
#include "image/layer/outer.h"
#include "image/layer/pack.h"
#include "image/layer/unpack.h"
#include "image/layer/worker.h"
#include "tls/sha256.h"

enum { INPUT_CHUNK = 1024 * 1024, RING = 8 };

/* A layer that grows so much from so little was made to fill a disk. */
enum { BOMB_RATIO = 250 };
#define BOMB_BYTES (8 * GIB)

/* Hands pieces of the tar stream to the digest's thread. */
struct digest {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct sha256 *sha;
	uint8_t *bufs[RING];
	size_t lens[RING];
	unsigned int head; /* next to fill */
	unsigned int tail; /* next to hash */
	bool done;
	int error;
};

struct job {
	struct unpack *unpack; /* of a layer */
	struct digest digest;
	struct outer *outer; /* of an archive, else NULL */
	uint64_t in; /* bytes, compressed */
	uint64_t out;
	struct msb_err err;
};

static void *digest_thread(void *arg)
{
	struct digest *d = arg;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		unsigned int slot;

		while (d->tail == d->head && !d->done)
			pthread_cond_wait(&d->changed, &d->lock);
		if (d->tail == d->head)
			break;
		slot = d->tail % RING;
		pthread_mutex_unlock(&d->lock);
		int r = sha256_update(d->sha, d->bufs[slot], d->lens[slot]);

		pthread_mutex_lock(&d->lock);
		if (r < 0)
			d->error = r;
		d->tail++;
		pthread_cond_signal(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static int digest_start(struct digest *d)
{
	int r;

	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	d->sha = sha256_new();
	if (!d->sha)
		return -ENOMEM;
	for (size_t i = 0; i < RING; i++) {
		d->bufs[i] = malloc(DECOMPRESS_CHUNK);
		if (!d->bufs[i])
			return -ENOMEM;
	}
	r = pthread_create(&d->thread, NULL, digest_thread, d);
	return -r;
}

static void digest_put(struct digest *d, const void *p, size_t n)
{
	unsigned int slot;

	pthread_mutex_lock(&d->lock);
	while (d->head - d->tail == RING)
		pthread_cond_wait(&d->changed, &d->lock);
	slot = d->head % RING;
	pthread_mutex_unlock(&d->lock);
	memcpy(d->bufs[slot], p, n);
	d->lens[slot] = n;
	pthread_mutex_lock(&d->lock);
	d->head++;
	pthread_cond_signal(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static int digest_finish(struct digest *d, char hex[SHA256_HEX + 1])
{
	pthread_mutex_lock(&d->lock);
	d->done = true;
	pthread_cond_signal(&d->changed);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	return d->error < 0 ? d->error : sha256_hex(d->sha, hex);
}

static int on_tar(void *arg, const void *p, size_t n)
{
	struct job *j = arg;

	j->out += n;
	if (j->out > BOMB_BYTES && j->out / BOMB_RATIO > j->in)
		return msb_err_set(&j->err, -E2BIG, MSB_LIMIT,
			"%s grows beyond %llu GiB, %d times its compressed size",
			j->outer ? "archive" : "layer", (unsigned long long)(BOMB_BYTES / GIB),
			BOMB_RATIO);
	if (j->outer)
		return outer_feed(j->outer, p, n, &j->err);
	digest_put(&j->digest, p, n);
	return unpack_feed(j->unpack, p, n, &j->err);
}

static int stream(struct job *j, struct decompress *d, uint8_t *input)
{
	for (;;) {
		ssize_t got = read(STDIN_FILENO, input, INPUT_CHUNK);
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return msb_err_errno(&j->err, -errno, "cannot read the %s",
				j->outer ? "archive" : "layer");
		j->in += (uint64_t)got;
		r = got ? decompress_feed(d, input, (size_t)got) : decompress_finish(d);
		if (r < 0 && !j->err.msg[0])
			return msb_err_set(&j->err, r, MSB_PROTOCOL, "%s %s",
				j->outer ? "archive" : "layer",
				r == -ENODATA ? "ends in the middle"
					      : "is damaged: cannot decompress it");
		if (r < 0 || got == 0)
			return r;
	}
}

/* Everything allocated here lives until the process exits, which it does right after. */
static int unpack_layer(struct worker_result *res)
{
	static struct job j;
	struct unpack_stats stats;
	uint8_t *input = malloc(INPUT_CHUNK);
	struct decompress *d = decompress_new(on_tar, &j);
	int r = input && d
			? unpack_new(WORKER_FD_DATA, WORKER_FD_INDEX, WORKER_FD_RECIPE, &j.unpack)
			: -ENOMEM;

	if (r == 0)
		r = digest_start(&j.digest);
	if (r < 0)
		(void)msb_err_errno(&j.err, r, "cannot start");
	if (r == 0)
		r = layer_jail_lock(LAYER_UNPACK, &j.err);
	if (r == 0)
		r = stream(&j, d, input);
	if (r == 0)
		r = unpack_finish(j.unpack, &stats, &j.err);
	if (r == 0) {
		r = digest_finish(&j.digest, res->diff_id);
		if (r < 0)
			(void)msb_err_errno(&j.err, r, "cannot compute a digest");
	}
	if (r == 0) {
		(void)snprintf(
			res->compression, sizeof(res->compression), "%s", decompress_name(d));
		res->entries = stats.entries;
		res->data_bytes = stats.data_bytes;
		res->tar_bytes = stats.tar_bytes;
	}
	res->kind = j.err.kind;
	memcpy(res->text, j.err.msg, sizeof(res->text));
	return r;
}

static int pack(struct worker_result *res)
{
	struct msb_err err = {};
	int r = layer_jail_lock(LAYER_PACK, &err);

	if (r == 0)
		r = pack_layer(WORKER_FD_RECIPE, WORKER_FD_DATA, WORKER_FD_OUT, &err);
	res->kind = err.kind;
	memcpy(res->text, err.msg, sizeof(res->text));
	return r;
}

/* As in unpack_layer(), memory lives until the exit. */
static int read_archive(struct worker_result *res, enum layer_job job)
{
	static struct job j;
	uint8_t *input = malloc(INPUT_CHUNK);
	struct decompress *d = decompress_new(on_tar, &j);
	int r = input && d ? 0 : -ENOMEM;

	if (r == 0)
		r = outer_new(
			WORKER_FD_INDEX, job == LAYER_SPOOL ? WORKER_FD_DATA : -EBADF, &j.outer);
	if (r < 0)
		(void)msb_err_errno(&j.err, r, "cannot start");
	if (r == 0)
		r = layer_jail_lock(job, &j.err);
	if (r == 0)
		r = job == LAYER_SPOOL ? stream(&j, d, input)
				       : outer_scan(j.outer, STDIN_FILENO, &j.err);
	if (r == 0)
		r = outer_finish(j.outer, &j.err);
	res->kind = j.err.kind;
	memcpy(res->text, j.err.msg, sizeof(res->text));
	return r;
}

static int merge_one(struct merge *m, int fd, uint64_t blocks, struct msb_err *err)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot read a layer index");
	if (st.st_size == 0)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "empty layer index");
	/* Names and contents are used in place until the end. */
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return msb_err_errno(err, -errno, "cannot read a layer index");
	return merge_layer(m, p, (size_t)st.st_size, blocks, err);
}

static int merge_layers(struct worker_result *res)
{
	struct msb_err err = {};
	struct merge *m = NULL;
	uint32_t n = 0;
	int r = layer_jail_lock(LAYER_MERGE, &err);

	if (r == 0) {
		r = io_read_full(STDIN_FILENO, &n, sizeof(n));
		if (r == 0 && n > MERGE_LAYERS_MAX)
			r = -E2BIG;
		if (r == 0)
			r = merge_new(&m);
		if (r < 0)
			(void)msb_err_errno(&err, r, "cannot start");
	}
	for (uint32_t i = 0; i < n && r == 0; i++) {
		uint64_t blocks = 0;

		r = io_read_full(STDIN_FILENO, &blocks, sizeof(blocks));
		if (r == 0)
			r = merge_one(m, WORKER_FD_INDEX + (int)i, blocks, &err);
	}
	if (r == 0)
		r = merge_finish(m, WORKER_FD_DATA, &err);
	res->kind = err.kind;
	memcpy(res->text, err.msg, sizeof(res->text));
	return r;
}

static bool job_of_name(const char *name, enum layer_job *ret)
{
	static const char *const names[] = {
		[LAYER_UNPACK] = "unpack",
		[LAYER_MERGE] = "merge",
		[LAYER_PACK] = "pack",
		[LAYER_SCAN] = "scan",
		[LAYER_SPOOL] = "spool",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(name, names[i])) {
			*ret = (enum layer_job)i;
			return true;
		}
	}
	return false;
}

static int run(enum layer_job job, struct worker_result *res)
{
	switch (job) {
	case LAYER_UNPACK:
		return unpack_layer(res);
	case LAYER_MERGE:
		return merge_layers(res);
	case LAYER_PACK:
		return pack(res);
	case LAYER_SCAN:
	case LAYER_SPOOL:
		break;
	}
	return read_archive(res, job);
}

/* The exit is a direct one: there is nothing to flush, and memory goes faster with the process. */
int main(int argc, char **argv)
{
	struct worker_result res = {};
	struct msb_err err = {};
	enum layer_job job;

	if (argc != 2 || !job_of_name(argv[1], &job))
		return 2;
	res.error = layer_jail_enter(job, &err);
	if (res.error < 0) {
		res.kind = err.kind;
		memcpy(res.text, err.msg, sizeof(res.text));
	} else {
		res.error = run(job, &res);
	}
	if (io_write_full(WORKER_FD_RESULT, &res, sizeof(res)) < 0)
		_exit(1);
	_exit(res.error < 0 ? 1 : 0);
}
