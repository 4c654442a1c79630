/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: images from registries, and logins there. */
#include "lib/api-pull.h"

#include "base/str.h"

#include "image/registry/creds.h"
#include "lib/api.h"
#include "lib/config.h"

_Static_assert((int)MSB_LAYER_HERE == (int)PULL_LAYER_EXISTS &&
		       (int)MSB_LAYER_WAITING == (int)PULL_LAYER_WAITING &&
		       (int)MSB_LAYER_DOWNLOADING == (int)PULL_LAYER_DOWNLOADING &&
		       (int)MSB_LAYER_RETRYING == (int)PULL_LAYER_RETRYING &&
		       (int)MSB_LAYER_DONE == (int)PULL_LAYER_DONE,
	"the same numbers");
_Static_assert(MSB_REFERENCE_SIZE > REF_TEXT_MAX && MSB_HOST_SIZE > REF_HOST_MAX, "names fit");

bool api_pull_event(const struct pull_event *e, struct msb_pull_event *ret)
{
	static const int types[] = {[PULL_RESOLVE] = MSB_PULL_RESOLVED,
		[PULL_LAYER] = MSB_PULL_LAYER,
		[PULL_MERGE] = MSB_PULL_MERGING,
		[PULL_WARNING] = MSB_PULL_WARNING};

	if ((size_t)e->type >= ARRAY_SIZE(types) || !types[e->type])
		return false;
	*ret = (struct msb_pull_event){
		.size = sizeof(*ret),
		.type = types[e->type],
		.state = (int)e->state,
		.digest = e->digest,
		.from = e->from,
		.text = e->err.msg,
		.layers = e->layers,
		.bytes = e->bytes,
		.total = e->total,
	};
	return true;
}

static int on_event(void *arg, const struct pull_event *e, struct msb_err *err)
{
	const struct api_watching *w = arg;
	struct msb_pull_event told;
	int r = api_pull_event(e, &told) ? w->watch.event(w->watch.arg, &told) : 0;

	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

static int on_idle(void *arg, struct msb_err *err)
{
	const struct api_watching *w = arg;
	int r = w->watch.idle(w->watch.arg);

	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

void api_watching_init(
	struct api_watching *w, const struct msb_pull_watch *watch, const struct cancel *cancel)
{
	*w = (struct api_watching){.watch = MSB_PULL_WATCH_INIT};
	if (watch)
		memcpy(&w->watch, watch, MIN(watch->size, sizeof(w->watch)));
	w->inner = (struct pull_watch){.event = w->watch.event ? on_event : NULL,
		.idle = w->watch.idle ? on_idle : NULL,
		.arg = w,
		.cancel = cancel};
}

void api_pull_result(
	const struct pull_result *from, const struct image_ref *ref, struct msb_pull_result *ret)
{
	struct msb_pull_result x = {.size = ret->size,
		.made = from->made,
		.layers = from->layers,
		.downloaded_layers = from->downloaded_layers,
		.downloaded_bytes = from->downloaded_bytes,
		.took_ns = from->took_ns};

	memcpy(x.digest, from->digest, sizeof(x.digest));
	image_ref_short(ref, x.reference);
	memcpy(ret, &x, MIN(ret->size, sizeof(x)));
}

static int pull(struct msb *m, const char *reference, struct pull_opts *opts,
	struct msb_pull_result *ret, struct msb_err *err)
{
	struct pull_result result = {.layers = 0};
	struct config config = {.root = NULL};
	struct image_ref ref;
	int r = image_ref_parse(reference, &ref, err);

	opts->config = &config;
	if (r == 0)
		r = config_load(m->home, &config, err);
	if (r == 0)
		r = pull_image(opts, reference, &ref, &result, err);
	config_deinit(&config);
	opts->config = NULL;
	if (r == 0)
		api_pull_result(&result, &ref, ret);
	return r;
}

/* What the caller chose, of the members that it knows. */
static int choose(const struct msb *m, const struct msb_pull_options *options,
	struct pull_opts *ret, const struct msb_pull_watch **ret_watch, struct msb_err *err)
{
	static const enum pull_policy policies[] = {[MSB_PULL_MISSING] = PULL_IF_MISSING,
		[MSB_PULL_ALWAYS] = PULL_ALWAYS,
		[MSB_PULL_NEVER] = PULL_NEVER};
	struct msb_pull_options o = MSB_PULL_OPTIONS_INIT;

	if (options)
		memcpy(&o, options, MIN(options->size, sizeof(o)));
	if ((unsigned int)o.policy >= ARRAY_SIZE(policies))
		return msb_err_usage(err, "no such policy");
	*ret = (struct pull_opts){.home = m->home,
		.lib_dir = api_lib_dir(m, err),
		.policy = policies[o.policy],
		.insecure = o.insecure != 0,
		.ca_file = o.ca_file,
		.quiet = o.quiet != 0};
	*ret_watch = o.watch;
	return ret->lib_dir ? 0 : -ENOENT;
}

int msb_image_fetch(struct msb *m, const char *reference, const struct msb_pull_options *options,
	struct msb_pull_result *ret, struct msb_error *error)
{
	struct msb_pull_result ignored = MSB_PULL_RESULT_INIT;
	const struct msb_pull_watch *watch = NULL;
	struct msb_err err = {0};
	struct pull_opts opts;
	struct api_watching w;
	struct api_cancel c;
	const struct cancel *cancel = api_cancel_begin(&c, m);
	int r = choose(m, options, &opts, &watch, &err);

	api_watching_init(&w, watch, cancel);
	opts.watch = &w.inner;
	if (r == 0)
		r = pull(m, reference, &opts, ret ? ret : &ignored, &err);
	return api_cancel_end(&c, error, &err, r);
}

/* All layers as one number. */

struct onlooker {
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	char digest[16][REF_DIGEST_LEN + 1]; /* layers on their way */
	uint64_t here[16];
	uint64_t finished;
	uint64_t total;
};

/* Layers come four at a time; what one has got so far is forgotten when it is whole. */
static uint64_t *slot_of(struct onlooker *o, const char *digest)
{
	size_t free_slot = ARRAY_SIZE(o->here);

	for (size_t i = 0; i < ARRAY_SIZE(o->here); i++) {
		if (streq(o->digest[i], digest))
			return &o->here[i];
		if (!o->digest[i][0])
			free_slot = i;
	}
	if (free_slot == ARRAY_SIZE(o->here))
		return NULL;
	(void)snprintf(o->digest[free_slot], sizeof(o->digest[0]), "%s", digest);
	o->here[free_slot] = 0;
	return &o->here[free_slot];
}

static void on_layer(struct onlooker *o, const struct msb_pull_event *e)
{
	uint64_t *here = slot_of(o, e->digest);

	if (!here)
		return;
	*here = e->bytes;
	if (e->state != MSB_LAYER_DONE && e->state != MSB_LAYER_HERE)
		return;
	o->finished += e->total ? e->total : e->bytes;
	*here = 0;
	o->digest[here - o->here][0] = '\0';
}

static int on_progress(void *arg, const struct msb_pull_event *e)
{
	struct onlooker *o = arg;
	uint64_t done;

	if (e->type == MSB_PULL_RESOLVED)
		o->total = e->bytes;
	else if (e->type == MSB_PULL_LAYER)
		on_layer(o, e);
	else
		return 0;
	done = o->finished;
	for (size_t i = 0; i < ARRAY_SIZE(o->here); i++)
		done += o->here[i];
	o->progress(o->arg, o->total ? MIN(done, o->total) : done, o->total);
	return 0;
}

int msb_image_pull(struct msb *m, const char *reference, enum msb_pull policy,
	void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg, char *ret_digest,
	struct msb_error *error)
{
	struct msb_pull_options options = MSB_PULL_OPTIONS_INIT;
	struct msb_pull_result result = MSB_PULL_RESULT_INIT;
	struct msb_pull_watch watch = MSB_PULL_WATCH_INIT;
	struct onlooker o = {.progress = progress, .arg = arg};
	int r;

	watch.event = on_progress;
	watch.arg = &o;
	options.policy = (int)policy;
	options.quiet = !progress;
	options.watch = progress ? &watch : NULL;
	r = msb_image_fetch(m, reference, &options, &result, error);
	if (r == 0 && ret_digest)
		memcpy(ret_digest, result.digest, MSB_DIGEST_SIZE);
	return r;
}

/* Logins. */

/* As in image names: docker.io, ghcr.io, localhost:5000. */
static int parse_host(const char *word, char ret[REF_HOST_MAX + 1], struct msb_err *err)
{
	char text[REF_HOST_MAX + 8];
	struct image_ref ref;
	int n = snprintf(text, sizeof(text), "%s/x", word);
	int r;

	if (n > 0 && (size_t)n < sizeof(text) && image_ref_parse(text, &ref, NULL) == 0 &&
		(streq(ref.path, "x") || streq(ref.path, "library/x"))) {
		memcpy(ret, ref.host, sizeof(ref.host));
		return 0;
	}
	r = msb_err_set(err, -EINVAL, MSB_USAGE, "'%.100s' is no registry", word);
	return msb_err_hint(err, r, "write HOST[:PORT], as in image names, for example ghcr.io");
}

int msb_registry_host(const char *text, char *ret, struct msb_error *error)
{
	char host[REF_HOST_MAX + 1];
	struct msb_err err = {0};
	int r = parse_host(text, host, &err);

	if (r == 0)
		memcpy(ret, host, sizeof(host));
	return api_result(error, &err, r);
}

static int check_words(const char *username, const char *password, struct msb_err *err)
{
	if (!username[0])
		return msb_err_usage(err, "the user name is empty");
	return password[0] ? 0 : msb_err_usage(err, "the password is empty");
}

int msb_registry_login(struct msb *m, const char *host, const char *username, const char *password,
	const struct msb_pull_options *options, struct msb_error *error)
{
	const struct msb_pull_watch *watch = NULL;
	struct config config = {.root = NULL};
	char name[REF_HOST_MAX + 1];
	struct msb_err err = {0};
	struct pull_opts opts;
	struct api_watching w;
	struct api_cancel c;
	const struct cancel *cancel = api_cancel_begin(&c, m);
	int r = parse_host(host, name, &err);

	if (r == 0)
		r = check_words(username, password, &err);
	if (r == 0)
		r = choose(m, options, &opts, &watch, &err);
	if (r == 0)
		r = config_load(m->home, &config, &err);
	if (r == 0) {
		api_watching_init(&w, watch, cancel);
		opts.config = &config;
		opts.quiet = true;
		opts.watch = &w.inner;
		r = pull_login(&opts, name, username, password, &err);
	}
	config_deinit(&config);
	if (r == 0)
		r = creds_set(m->home, name, username, password, &err);
	return api_cancel_end(&c, error, &err, r);
}

int msb_registry_logout(struct msb *m, const char *host, struct msb_error *error)
{
	char name[REF_HOST_MAX + 1];
	struct msb_err err = {0};
	int r = parse_host(host, name, &err);

	if (r == 0)
		r = creds_remove(m->home, name, &err);
	return api_result(error, &err, r);
}

struct walk {
	int (*fn)(void *arg, const char *host, const char *username, const char *source);
	void *arg;
};

static int on_login(void *arg, const char *host, const char *username, enum creds_source source)
{
	static const char *const names[] = {[CREDS_NONE] = "-",
		[CREDS_REQUEST] = "-",
		[CREDS_OWN] = "msb",
		[CREDS_DOCKER_FILE] = "docker",
		[CREDS_DOCKER_HELPER] = "docker-helper"};
	const struct walk *w = arg;

	return w->fn(w->arg, host, username, names[source]);
}

int msb_registry_each(struct msb *m,
	int (*fn)(void *arg, const char *host, const char *username, const char *source), void *arg,
	struct msb_error *error)
{
	struct walk w = {.fn = fn, .arg = arg};
	struct msb_err err = {0};

	return api_result(error, &err, creds_each(m->home, on_login, &w, &err));
}
