/* SPDX-License-Identifier: Apache-2.0 */
/* Whom msb-tls trusts to be a server: see upstream.h. */
#include "net/intercept/upstream.h"

static int add_no_verify(struct upstream *u, const char *text, struct msb_err *err)
{
	struct upstream_rule *rule = &u->rules[u->n];
	int r = name_pattern_parse(text, &rule->pattern, err);

	u->n += r == 0;
	return r;
}

/* One rule for all files of the pattern of file number @first; nothing if there is one already. */
static int add_files(
	struct upstream *u, const struct tls_settings *t, uint32_t first, struct msb_err *err)
{
	const char *files[2 * TLS_FILES_MAX];
	struct upstream_rule *rule = &u->rules[u->n];
	uint32_t n = t->n_upstream_ca;
	int r = name_pattern_parse(t->ca_for[first].pattern, &rule->pattern, err);

	for (uint32_t i = 0; r == 0 && i < first; i++) {
		if (streq(t->ca_for[i].pattern, t->ca_for[first].pattern))
			return 0;
	}
	memcpy(files, t->upstream_ca, n * sizeof(files[0]));
	for (uint32_t i = first; i < t->n_ca_for; i++) {
		if (streq(t->ca_for[i].pattern, t->ca_for[first].pattern))
			files[n++] = t->ca_for[i].file;
	}
	if (r == 0)
		r = tls_client_new(files, n, &rule->client, err);
	u->n += r == 0;
	return r;
}

int upstream_init(struct upstream *u, const struct tls_settings *t, struct msb_err *err)
{
	int r;

	*u = (struct upstream){.n = 0};
	r = tls_client_new(t->upstream_ca, t->n_upstream_ca, &u->client, err);
	/* First: of equal patterns the first one counts. */
	for (uint32_t i = 0; i < t->n_ca_for && r == 0; i++)
		r = add_files(u, t, i, err);
	for (uint32_t i = 0; i < t->n_no_verify && r == 0; i++)
		r = add_no_verify(u, t->no_verify[i], err);
	return r;
}

void upstream_deinit(struct upstream *u)
{
	for (uint32_t i = 0; i < u->n; i++)
		u->rules[i].client = tls_client_free(u->rules[i].client);
	u->n = 0;
	u->client = tls_client_free(u->client);
}

/* NAME before *.SUFFIX, and a long suffix before a short one. */
static size_t rank(const struct name_pattern *p)
{
	return 2 * strlen(p->name) + !p->below;
}

struct tls_client *upstream_find(const struct upstream *u, const char *host, bool *ret_verify)
{
	const struct upstream_rule *best = NULL;

	for (uint32_t i = 0; i < u->n; i++) {
		const struct upstream_rule *rule = &u->rules[i];

		if (name_pattern_matches(&rule->pattern, host) &&
			(!best || rank(&rule->pattern) > rank(&best->pattern)))
			best = rule;
	}
	*ret_verify = !best || best->client;
	return best && best->client ? best->client : u->client;
}
