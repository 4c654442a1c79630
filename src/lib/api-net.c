/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: ledgers, and the authority of intercepted connections. */
#include "base/json.h"
#include "base/opt.h"
#include "base/str.h"

#include "lib/api.h"
#include "msb/net.h"
#include "net/intercept/config.h"
#include "sandbox/authority.h"
#include "sandbox/info.h"
#include "sandbox/ledger-verify.h"
#include "sandbox/state.h"

static void put_check(struct msb_ledger_check *to, const struct ledger_verdict *v, bool running)
{
	struct msb_ledger_check x = {
		.size = to->size,
		.whole = !v->broken,
		.running = running,
		.lines = v->lines,
		.first = v->first_seq,
		.last = v->last.seq,
		.lost = v->lost,
		.torn = v->torn,
		.ended = v->ended,
	};

	_Static_assert(sizeof(x.file) == sizeof(v->file) && sizeof(x.reason) == sizeof(v->why) &&
			       sizeof(x.hash) >= sizeof(v->last.hash),
		"texts fit");
	memcpy(x.hash, v->last.hash, sizeof(v->last.hash));
	if (v->broken) {
		x.line = v->line;
		memcpy(x.file, v->file, sizeof(x.file));
		memcpy(x.reason, v->why, sizeof(x.reason));
	}
	memcpy(to, &x, MIN(to->size, sizeof(x)));
}

int msb_net_verify(
	struct msb *m, const char *name, struct msb_ledger_check *ret, struct msb_error *error)
{
	cleanup_fd int dir_fd = -EBADF;
	struct ledger_verdict v;
	struct msb_err err = {0};
	bool running;
	int r = sandbox_dir_find(m->home, name, &dir_fd, &err);

	if (r < 0)
		return api_fail(error, &err, r);
	/* Asked first: while it runs the end is not there yet. */
	running = sandbox_dir_alive(dir_fd);
	r = ledger_verify(dir_fd, &v);
	if (r == -ENOENT)
		(void)msb_err_set(&err, r, MSB_NOT_FOUND,
			"sandbox '%s' has no ledger: it never ran with a network", name);
	else if (r < 0)
		(void)msb_err_errno(&err, r, "reading the ledger");
	else
		put_check(ret, &v, running);
	return api_result(error, &err, r);
}

struct msb_authority {
	char dir[PATH_MAX];
	char cert[PATH_MAX];
	const char *subject; /* in @doc, as are those that follow */
	const char *fingerprint;
	const char *pem;
	uint64_t not_before_s;
	uint64_t not_after_s;
	struct json *doc;
	struct opt_list behind; /* owned names */
};

static int understand(struct msb_authority *a, const struct buf *text, struct msb_err *err)
{
	int r = json_parse((const char *)buf_data(text), buf_len(text), &a->doc, err);

	if (r == 0)
		r = json_get_str(a->doc, "subject", &a->subject, err);
	if (r == 0)
		r = json_get_str(a->doc, "fingerprint", &a->fingerprint, err);
	if (r == 0)
		r = json_get_str(a->doc, "pem", &a->pem, err);
	if (r == 0)
		r = json_get_u64(a->doc, "not_before", &a->not_before_s, err);
	if (r == 0)
		r = json_get_u64(a->doc, "not_after", &a->not_after_s, err);
	return r < 0 ? msb_err_prefix(err, r, "what msb-tls says") : 0;
}

static int ask(struct msb_authority *a, const struct msb *m, const char *word, struct msb_err *err)
{
	const char *lib_dir = api_lib_dir(m, err);
	char program[PATH_MAX];
	struct buf text;
	int r = lib_dir ? snprintf(program, sizeof(program), "%s/msb-tls", lib_dir) : -ENOENT;

	if (!lib_dir)
		return r;
	if (r < 0 || (size_t)r >= sizeof(program))
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_USAGE, "the program directory's path is too long");
	r = authority_path(a->dir, m->home, "", err);
	if (r == 0)
		r = authority_path(a->cert, m->home, AUTHORITY_CERT, err);
	if (r < 0)
		return r;
	buf_init(&text, AUTHORITY_TEXT_MAX);
	r = authority_ask(program, word, a->dir, &text, err);
	if (r == 0)
		r = understand(a, &text, err);
	buf_deinit(&text);
	return r;
}

/* Sandboxes have read it when they started. What cannot be found out is left out. */
static void find_behind(struct msb_authority *a, const char *home)
{
	struct sandbox_list list;

	if (sandbox_list_get(home, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		const struct sandbox_info *s = &list.items[i];
		char *name;

		if (!s->readable || !s->spec.net.tls.on || s->spec.net.tls.ca_cert ||
			!sandbox_status_alive(s->record.status))
			continue;
		name = strdup(s->name);
		if (!name || opt_list_add(&a->behind, name) < 0)
			free(name);
	}
	sandbox_list_deinit(&list);
}

int msb_net_ca(struct msb *m, int rotate, struct msb_authority **ret, struct msb_error *error)
{
	struct msb_authority *a = calloc(1, sizeof(*a));
	struct msb_err err = {0};
	int r = a ? ask(a, m, rotate ? INTERCEPT_ROTATE_CA : INTERCEPT_SHOW_CA, &err) : -ENOMEM;

	if (r == 0 && rotate)
		find_behind(a, m->home);
	if (r < 0)
		a = msb_authority_free(a);
	*ret = a;
	return api_result(error, &err, r);
}

struct msb_authority *msb_authority_free(struct msb_authority *a)
{
	if (!a)
		return NULL;
	for (size_t i = 0; i < a->behind.n; i++)
		free((char *)(uintptr_t)a->behind.items[i]);
	free(a->behind.items);
	(void)json_free(a->doc);
	free(a);
	return NULL;
}

const char *msb_authority_path(const struct msb_authority *a)
{
	return a->cert;
}

const char *msb_authority_subject(const struct msb_authority *a)
{
	return a->subject;
}

const char *msb_authority_fingerprint(const struct msb_authority *a)
{
	return a->fingerprint;
}

const char *msb_authority_pem(const struct msb_authority *a)
{
	return a->pem;
}

uint64_t msb_authority_not_before_ns(const struct msb_authority *a)
{
	return MIN(a->not_before_s, UINT64_MAX / NSEC_PER_SEC) * NSEC_PER_SEC;
}

uint64_t msb_authority_not_after_ns(const struct msb_authority *a)
{
	return MIN(a->not_after_s, UINT64_MAX / NSEC_PER_SEC) * NSEC_PER_SEC;
}

const char *msb_authority_behind(const struct msb_authority *a, size_t n)
{
	return n < a->behind.n ? a->behind.items[n] : NULL;
}
