/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a command: see env.h. */
#include "env.h"

#include "agent/init/trust.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* For programs that bring their own authorities, or look for them elsewhere. */
static const char *const trust_env[] = {
	"SSL_CERT_FILE=" TRUST_BUNDLE,
	"CURL_CA_BUNDLE=" TRUST_BUNDLE,
	"REQUESTS_CA_BUNDLE=" TRUST_BUNDLE,
	"PIP_CERT=" TRUST_BUNDLE,
	"GIT_SSL_CAINFO=" TRUST_BUNDLE,
	"CARGO_HTTP_CAINFO=" TRUST_BUNDLE,
	"AWS_CA_BUNDLE=" TRUST_BUNDLE,
	"NODE_EXTRA_CA_CERTS=" TRUST_CA,
	"DENO_CERT=" TRUST_CA,
};

enum { DEFAULTS_MAX = 5 + ARRAY_SIZE(trust_env) };

/* @s is NAME=VALUE, borrowed: exec only reads it. */
static void env_put(struct env *e, const char *s)
{
	size_t name = (size_t)(strchrnul(s, '=') - s) + 1;

	for (uint32_t i = 0; i < e->n; i++) {
		if (strncmp(e->v[i], s, name) == 0) {
			e->v[i] = (char *)(uintptr_t)s;
			return;
		}
	}
	e->v[e->n++] = (char *)(uintptr_t)s;
}

static void env_put_list(struct env *e, const struct msg_strv *list)
{
	struct msg_strv v = *list;
	const char *s;

	while ((s = msg_strv_next(&v)))
		env_put(e, s);
}

int env_build(struct env *ret, const struct user *user, bool pty, const struct msg_config *config,
	const struct msg_strv *request)
{
	struct env e = {};

	e.v = calloc(DEFAULTS_MAX + (size_t)config->env.count + request->count + 1, sizeof(e.v[0]));
	e.own = malloc(sizeof(*e.own));
	if (!e.v || !e.own) {
		env_deinit(&e);
		return -ENOMEM;
	}
	env_put(&e, "PATH=" DEFAULT_PATH);
	(void)snprintf(e.own->home, sizeof(e.own->home), "HOME=%s", user->home);
	env_put(&e, e.own->home);
	if (user->name[0]) {
		(void)snprintf(e.own->user, sizeof(e.own->user), "USER=%s", user->name);
		env_put(&e, e.own->user);
	}
	if (config->hostname && config->hostname[0]) {
		(void)snprintf(
			e.own->host, sizeof(e.own->host), "HOSTNAME=%.64s", config->hostname);
		env_put(&e, e.own->host);
	}
	if (pty)
		env_put(&e, "TERM=xterm");
	for (size_t i = 0; config->ca && config->ca[0] && i < ARRAY_SIZE(trust_env); i++)
		env_put(&e, trust_env[i]);
	env_put_list(&e, &config->env);
	env_put_list(&e, request);
	*ret = e;
	return 0;
}

void env_deinit(struct env *e)
{
	free(e->v);
	free(e->own);
	*e = (struct env){};
}

const char *env_get(const struct env *e, const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < e->n; i++) {
		if (strncmp(e->v[i], name, len) == 0 && e->v[i][len] == '=')
			return e->v[i] + len + 1;
	}
	return NULL;
}
