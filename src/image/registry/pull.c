/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling an image: see pull.h. */
#include "image/registry/pull.h"

#include <sys/random.h>

#include "base/io.h"

#include "image/assemble.h"
#include "image/confine.h"
#include "image/registry/pull-internal.h"

struct client_conn *pull_conn(struct pull *p, struct pull_conns *c, size_t place)
{
	if (!c->conns[place])
		c->conns[place] = client_connect(p->places[place]);
	return c->conns[place];
}

void pull_conns_deinit(struct pull_conns *c)
{
	for (size_t i = 0; i < PLACES_MAX; i++)
		c->conns[i] = client_disconnect(c->conns[i]);
}

uint64_t pull_seed(void)
{
	uint64_t seed = clock_mono_ns();

	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
	return seed;
}

bool pull_wait(struct pull *p, uint64_t ns)
{
	uint64_t deadline = clock_mono_ns() + ns;
	const struct timespec ts = {.tv_sec = (time_t)(deadline / NSEC_PER_SEC),
		.tv_nsec = (long)(deadline % NSEC_PER_SEC)};
	bool cancelled;

	pthread_mutex_lock(&p->lock);
	while (!atomic_load(&p->cancel) && clock_mono_ns() < deadline)
		(void)pthread_cond_timedwait(&p->changed, &p->lock, &ts);
	cancelled = atomic_load(&p->cancel);
	pthread_mutex_unlock(&p->lock);
	return !cancelled;
}

/* The first failure is the one to tell; the others are its consequences. */
static void fail(struct pull *p, int r, const struct msb_err *err)
{
	pthread_mutex_lock(&p->lock);
	if (p->error == 0) {
		p->error = r;
		*p->err = *err;
	}
	atomic_store(&p->cancel, true);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static int init_sync(struct pull *p)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r == 0)
		r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (r == 0)
		r = pthread_cond_init(&p->changed, &attr);
	pthread_mutex_init(&p->lock, NULL);
	return -r;
}

static int add_place(
	struct pull *p, const struct client_place *place, struct creds *creds, struct msb_err *err)
{
	struct http_options *http = &p->place_http[p->n_places];
	const char *ca_file = request_host_ca(p->req, place->name);
	struct client *c = NULL;
	int r = http_options_copy(http, &p->http, err);

	if (r == 0 && ca_file)
		r = http_options_ca(http, ca_file, err);
	if (r == 0)
		r = client_new(place, p->req->ref.path, creds, http, &c, err);
	if (r < 0)
		return r;
	p->places[p->n_places++] = c;
	return 0;
}

static int copy_auth(const struct request *req, struct creds *ret)
{
	ret->username = strdup(req->username);
	ret->secret = strdup(req->password);
	ret->source = CREDS_REQUEST;
	if (ret->username && ret->secret)
		return 0;
	creds_deinit(ret);
	return -ENOMEM;
}

/* Broken credentials are no reason not to try without: most images are public. */
static int find_creds(
	struct pull *p, const char *name, bool own, struct creds *ret, struct msb_err *err)
{
	struct msb_err why = {};

	*ret = (struct creds){.source = CREDS_NONE};
	if (own && p->req->username) {
		if (copy_auth(p->req, ret) < 0)
			return msb_err_errno(err, -ENOMEM, "reading credentials");
		return 0;
	}
	if (creds_get(p->req->home, name, ret, &why) < 0)
		report_warning(p->report, why.msg);
	return 0;
}

static int add_mirrors(struct pull *p, struct msb_err *err)
{
	const struct json *mirrors = request_mirrors(p->req, p->req->ref.host);

	for (const struct json *m = mirrors ? json_first(mirrors) : NULL; m; m = json_next(m)) {
		struct client_place place = {};
		struct creds creds = {};
		const char *text = NULL;
		int r = json_to_str(m, "mirror", &text, err);

		if (r == 0 && p->n_places == PLACES_MAX - 1)
			r = msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d mirrors of %s",
				PLACES_MAX - 1, p->req->ref.host);
		if (r == 0)
			r = client_place_of_mirror(text, false, &place, err);
		if (r < 0)
			return r;
		place.insecure |= request_insecure(p->req, place.host);
		r = find_creds(p, place.name, false, &creds, err);
		if (r == 0)
			r = add_place(p, &place, &creds, err);
		creds_deinit(&creds);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_places(struct pull *p, struct msb_err *err)
{
	const char *host = p->req->ref.host;
	struct client_place place;
	struct creds creds;
	int r = add_mirrors(p, err);

	if (r < 0)
		return r;
	client_place_of_host(host, request_insecure(p->req, host), &place);
	r = find_creds(p, host, true, &creds, err);
	if (r == 0)
		r = add_place(p, &place, &creds, err);
	creds_deinit(&creds);
	return r;
}

static int pull_init(
	struct pull *p, const struct request *req, struct report *report, struct msb_err *err)
{
	int r;

	p->req = req;
	p->report = report;
	p->err = err;
	p->http.connect_s = req->connect_s;
	p->http.stall_s = req->stall_s;
	p->http.cancel = &p->cancel;
	buf_init(&p->manifest_text, MANIFEST_MAX);
	buf_init(&p->config_text, MANIFEST_MAX);
	r = init_sync(p);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	return req->ca_file ? http_options_ca(&p->http, req->ca_file, err) : 0;
}

static void pull_deinit(struct pull *p)
{
	for (size_t i = 0; i < p->n_places; i++)
		client_free(p->places[i]);
	for (size_t i = 0; i < PLACES_MAX; i++)
		http_options_deinit(&p->place_http[i]);
	http_options_deinit(&p->http);
	manifest_deinit(&p->manifest);
	image_config_deinit(&p->config);
	buf_deinit(&p->manifest_text);
	buf_deinit(&p->config_text);
	store_close(p->store);
	free(p->todo);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

static bool is_queued(const struct pull *p, const char *digest)
{
	for (size_t i = 0; i < p->n_todo; i++) {
		if (streq(p->manifest.layers[p->todo[i]].digest, digest))
			return true;
	}
	return false;
}

/* What the store does not have. The same layer may stand in an image twice. */
static int find_todo(struct pull *p, struct msb_err *err)
{
	p->todo = calloc(MAX(p->manifest.n_layers, (size_t)1), sizeof(p->todo[0]));
	if (!p->todo)
		return msb_err_errno(err, -ENOMEM, "cannot download an image");
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		const struct descriptor *d = &p->manifest.layers[i];
		struct report_layer progress = {.digest = d->digest, .total = d->size};
		struct store_layer have;
		int r;

		if (is_queued(p, d->digest))
			continue;
		r = store_layer_get(p->store, d->digest, &have, err);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && !streq(have.diff_id, p->config.diff_ids[i]))
			return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
				"layer %.19s unpacks to %.19s, the image configuration says %.19s",
				d->digest, have.diff_id, p->config.diff_ids[i]);
		report_layer(p->report, &progress, r == 0 ? LAYER_EXISTS : LAYER_WAITING, 0);
		if (r == -ENOENT)
			p->todo[p->n_todo++] = (uint32_t)i;
		else
			store_part_remove(p->store, d->digest); /* of a pull that was killed late */
	}
	return 0;
}

static void *layer_thread(void *arg)
{
	struct pull_conns conns = {};
	struct pull *p = arg;

	while (!atomic_load(&p->cancel)) {
		size_t i = atomic_fetch_add(&p->next, 1);
		struct msb_err err = {};
		int r;

		if (i >= p->n_todo)
			break;
		r = pull_layer(p, &conns, p->todo[i], &err);
		if (r < 0)
			fail(p, r, &err);
	}
	pull_conns_deinit(&conns);
	return NULL;
}

static int get_layers(struct pull *p, struct msb_err *err)
{
	size_t n = MIN((size_t)p->req->parallel, p->n_todo);
	pthread_t threads[REQUEST_PARALLEL_MAX];
	size_t started = 0;
	int r = 0;

	while (started < n && r == 0) {
		r = -pthread_create(&threads[started], NULL, layer_thread, p);
		started += r == 0;
	}
	/* Fewer threads than wanted do the same work; none do nothing. */
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	if (p->error < 0)
		return p->error;
	return n && !started ? msb_err_errno(err, r, "cannot start a thread") : 0;
}

static int image_layers(struct pull *p, struct store_image *image, struct msb_err *err)
{
	image->layers = calloc(MAX(p->manifest.n_layers, (size_t)1), sizeof(image->layers[0]));
	if (!image->layers)
		return msb_err_errno(err, -ENOMEM, "cannot put an image together");
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		int r = store_layer_get(
			p->store, p->manifest.layers[i].digest, &image->layers[i], err);

		if (r < 0)
			return r;
		image->size_bytes += p->manifest.layers[i].size;
		image->n_layers++;
	}
	return 0;
}

static int make_image(struct pull *p, struct msb_err *err)
{
	struct store_image image = {
		.manifest_json = (char *)(uintptr_t)buf_cstr(&p->manifest_text),
		.config_json = (char *)(uintptr_t)buf_cstr(&p->config_text),
	};
	int r;

	report_merge(p->report);
	if (!image.manifest_json || !image.config_json)
		return msb_err_errno(err, -ENOMEM, "cannot put an image together");
	memcpy(image.digest, p->digest, sizeof(image.digest));
	memcpy(image.config_digest, p->manifest.config.digest, sizeof(image.config_digest));
	r = image_layers(p, &image, err);
	if (r == 0)
		r = image_assemble(p->store, p->layer_program, &image, err);
	free(image.layers);
	return r;
}

/* Is the image behind @digest whole? */
static int have_image(struct pull *p, const char *digest, struct msb_err *err)
{
	cleanup_with(store_image_deinit) struct store_image image = {};

	return store_image_get(p->store, digest, &image, err);
}

static int done(struct pull *p, struct msb_err *err)
{
	int r = store_ref_set(p->store, &p->req->ref, p->digest, err);

	if (r < 0)
		return r;
	report_done(p->report, p->digest, p->n_todo, atomic_load(&p->downloaded_bytes),
		p->manifest.n_layers);
	return 0;
}

static void tell_resolved(struct pull *p)
{
	char ref[REF_TEXT_MAX + 1];
	uint64_t bytes = 0;

	for (size_t i = 0; i < p->manifest.n_layers; i++)
		bytes += p->manifest.layers[i].size;
	image_ref_print(&p->req->ref, ref);
	report_resolve(p->report, ref, p->digest, client_get_place(p->places[0])->name,
		p->manifest.n_layers, bytes);
}

/*
 * A refused image leaves nothing, not even layers that were fine by themselves: it could fill the
 * disk with them. After other failures, what has come is worth keeping for the next pull.
 */
static void discard_refused(struct pull *p, const struct msb_err *err)
{
	cleanup_free const char **digests = NULL;

	if (!p->n_todo || (err->kind != MSB_PROTOCOL && err->kind != MSB_LIMIT))
		return;
	digests = calloc(p->n_todo, sizeof(digests[0]));
	for (size_t i = 0; digests && i < p->n_todo; i++)
		digests[i] = p->manifest.layers[p->todo[i]].digest;
	if (digests)
		store_discard(p->store, digests, p->n_todo);
}

static int from_registry(struct pull *p, struct msb_err *err)
{
	struct pull_conns conns = {};
	int r = add_places(p, err);

	if (r == 0)
		r = image_confine(p->req->home, p->layer_program, CONFINE_NETWORK, -EBADF, err);
	if (r == 0)
		r = pull_resolve(p, &conns, err);
	if (r == 0) {
		tell_resolved(p);
		r = have_image(p, p->digest, err);
		if (r == 0) {
			pull_conns_deinit(&conns);
			return done(p, err);
		}
		if (r == -ENOENT)
			r = pull_config(p, &conns, err);
	}
	pull_conns_deinit(&conns);
	if (r == 0)
		r = find_todo(p, err);
	if (r == 0)
		r = get_layers(p, err);
	if (r == 0)
		r = make_image(p, err);
	if (r == 0)
		return done(p, err);
	discard_refused(p, err);
	return r;
}

/* Return: 1 when the image is here and told, 0 when it must come from the registry. */
static int from_store(struct pull *p, struct msb_err *err)
{
	int r = store_ref_get(p->store, &p->req->ref, p->digest, err);

	if (r == 0)
		r = have_image(p, p->digest, err);
	if (r == 0) {
		report_done(p->report, p->digest, 0, 0, 0);
		return 1;
	}
	if (r == -ENOENT && p->req->policy == POLICY_IF_MISSING)
		return 0;
	return r == -ENOENT ? msb_err_hint(err, r, "msb pull it first, or use another pull policy")
			    : r;
}

static int pull_image(struct pull *p, struct msb_err *err)
{
	int r = store_open(p->req->home, &p->store, err);

	if (r == 0 && p->req->policy != POLICY_ALWAYS)
		r = from_store(p, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return from_registry(p, err);
}

/* Do the credentials work? Nothing is stored. */
static int try_login(struct pull *p, struct msb_err *err)
{
	struct pull_conns conns = {};
	struct client_failure failure;
	struct client_conn *conn;
	int r = add_places(p, err);

	if (r == 0)
		r = image_confine(p->req->home, p->layer_program, CONFINE_NETWORK, -EBADF, err);
	if (r < 0)
		return r;
	conn = pull_conn(p, &conns, p->n_places - 1);
	if (!conn)
		return msb_err_errno(err, -ENOMEM, "cannot connect");
	r = client_check(conn, &failure, err) == CLIENT_OK ? 0 : -EACCES;
	pull_conns_deinit(&conns);
	if (r == 0)
		report_done(p->report, "", 0, 0, 0);
	return r;
}

int pull_run(const struct request *req, const char *layer_program, struct report *report,
	struct msb_err *err)
{
	struct pull p = {.layer_program = layer_program};
	int r = pull_init(&p, req, report, err);

	if (r == 0)
		r = req->op == REQUEST_LOGIN ? try_login(&p, err) : pull_image(&p, err);
	pull_deinit(&p);
	return r;
}
