/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a command: see env.h. */
#include "env.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { DEFAULTS_MAX = 4 };

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

int env_build(struct env *ret, const struct user *user, bool pty, const struct msg_strv *config,
	const struct msg_strv *request)
{
	struct env e = {};
	char *user_var;

	e.v = calloc(DEFAULTS_MAX + (size_t)config->count + request->count + 1, sizeof(e.v[0]));
	e.home =
		malloc(strlen("HOME=") + sizeof(user->home) + strlen("USER=") + sizeof(user->name));
	if (!e.v || !e.home) {
		env_deinit(&e);
		return -ENOMEM;
	}
	env_put(&e, "PATH=" DEFAULT_PATH);
	(void)snprintf(e.home, strlen("HOME=") + sizeof(user->home), "HOME=%s", user->home);
	env_put(&e, e.home);
	if (user->name[0]) {
		user_var = e.home + strlen("HOME=") + sizeof(user->home);
		(void)snprintf(
			user_var, strlen("USER=") + sizeof(user->name), "USER=%s", user->name);
		env_put(&e, user_var);
	}
	if (pty)
		env_put(&e, "TERM=xterm");
	env_put_list(&e, config);
	env_put_list(&e, request);
	*ret = e;
	return 0;
}

void env_deinit(struct env *e)
{
	free(e->v);
	free(e->home);
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
