/* SPDX-License-Identifier: Apache-2.0 */
/* What msb-pull says: see pull-event.h. */
#include "lib/pull-event.h"

#include "base/json.h"

#include "lib/human.h"

/* Position of @word in @words, -EBADMSG if it is not there. */
static int choose(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (streq(words[i], word))
			return (int)i;
	}
	return -EBADMSG;
}

static int get_digest(const struct json *j, bool may_be_empty, struct pull_event *e)
{
	const char *digest;
	int r = json_get_str(j, "digest", &digest, NULL);

	if (r < 0)
		return r;
	if (may_be_empty && !digest[0])
		return 0;
	if (!image_digest_check(digest))
		return -EBADMSG;
	memcpy(e->digest, digest, sizeof(e->digest));
	return 0;
}

static int get_text(const struct json *j, const char *key, char *to, size_t size)
{
	const char *text;
	int r = json_get_str(j, key, &text, NULL);

	if (r == 0)
		(void)human_text(to, size, text);
	return r;
}

static int parse_resolve(const struct json *j, struct pull_event *e)
{
	int r = get_digest(j, false, e);

	if (r == 0)
		r = get_text(j, "from", e->from, sizeof(e->from));
	if (r == 0)
		r = json_get_u64(j, "layers", &e->layers, NULL);
	return r < 0 ? r : json_get_u64(j, "bytes", &e->bytes, NULL);
}

static int parse_layer(const struct json *j, struct pull_event *e)
{
	static const char *const states[] = {[PULL_LAYER_EXISTS] = "exists",
		[PULL_LAYER_WAITING] = "waiting",
		[PULL_LAYER_DOWNLOADING] = "downloading",
		[PULL_LAYER_RETRYING] = "retrying",
		[PULL_LAYER_DONE] = "done"};
	const char *state = "";
	int r = get_digest(j, false, e);
	int s;

	if (r == 0)
		r = json_get_str(j, "state", &state, NULL);
	s = choose(state, states, ARRAY_SIZE(states));
	if (r == 0 && s < 0)
		r = s;
	if (r < 0)
		return r;
	e->state = (enum pull_layer_state)s;
	r = json_get_u64(j, "bytes", &e->bytes, NULL);
	return r < 0 ? r : json_get_u64(j, "total", &e->total, NULL);
}

static int parse_done(const struct json *j, struct pull_event *e)
{
	int r = get_digest(j, true, e);

	if (r == 0)
		r = json_get_u64(j, "downloaded_layers", &e->downloaded_layers, NULL);
	if (r == 0)
		r = json_get_u64(j, "downloaded_bytes", &e->downloaded_bytes, NULL);
	return r < 0 ? r : json_get_u64(j, "layers", &e->layers, NULL);
}

static int parse_error(const struct json *j, struct pull_event *e)
{
	const char *kind;
	int r = json_get_str(j, "kind", &kind, NULL);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < MSB_KIND_COUNT; i++) {
		if (streq(msb_kind_name((enum msb_kind)i), kind))
			e->err.kind = (enum msb_kind)i;
	}
	r = get_text(j, "msg", e->err.msg, sizeof(e->err.msg));
	return r < 0 ? r : get_text(j, "hint", e->err.hint, sizeof(e->err.hint));
}

static int parse(const struct json *j, struct pull_event *e)
{
	static const char *const types[] = {[PULL_RESOLVE] = "resolve",
		[PULL_LAYER] = "layer",
		[PULL_MERGE] = "merge",
		[PULL_LOADED] = "loaded",
		[PULL_WARNING] = "warning",
		[PULL_DONE] = "done",
		[PULL_ERROR] = "error"};
	const char *name;
	int r = json_get_str(j, "event", &name, NULL);
	int type;

	if (r < 0)
		return r;
	type = choose(name, types, ARRAY_SIZE(types));
	if (type < 0)
		return type;
	e->type = (enum pull_event_type)type;
	switch (e->type) {
	case PULL_RESOLVE:
		return parse_resolve(j, e);
	case PULL_LAYER:
		return parse_layer(j, e);
	case PULL_MERGE:
		return 0;
	case PULL_LOADED:
		r = get_digest(j, false, e);
		return r < 0 ? r : get_text(j, "ref", e->ref, sizeof(e->ref));
	case PULL_WARNING:
		return get_text(j, "msg", e->err.msg, sizeof(e->err.msg));
	case PULL_DONE:
		return parse_done(j, e);
	case PULL_ERROR:
		return parse_error(j, e);
	}
	return -EBADMSG;
}

int pull_event_parse(const char *line, size_t len, struct pull_event *ret, struct msb_err *err)
{
	cleanup_json struct json *j = NULL;
	struct pull_event e = {.type = PULL_ERROR};
	int r = len > PULL_LINE_MAX ? -EBADMSG : json_parse(line, len, &j, NULL);

	if (r == -ENOMEM)
		return msb_err_errno(err, r, "reading what msb-pull says");
	if (r == 0)
		r = parse(j, &e);
	if (r < 0)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "msb-pull says what it must not");
	*ret = e;
	return 0;
}
