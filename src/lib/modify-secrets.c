/* SPDX-License-Identifier: Apache-2.0 */
/* Other secrets for a sandbox: whom they are for, where they go, and their values on the way. */
#include <sys/mman.h>

#include "base/str.h"

#include "lib/modify-internal.h"

static const struct secret_rule *find_secret(const struct secret_settings *s, const char *name)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (streq(s->rules[i].name, name))
			return &s->rules[i];
	}
	return NULL;
}

/* A secret as people see it: whom it is for, and where it goes if that was said. */
static const char *secret_text(const struct secret_rule *r, char text[VALUE_MAX])
{
	size_t n = 0;

	if (!r)
		return NULL;
	for (uint32_t i = 0; i < r->n_hosts && n < VALUE_MAX; i++)
		n += (size_t)snprintf(text + n, VALUE_MAX - n, "%s%s", i ? "," : "@", r->hosts[i]);
	for (uint32_t i = 0, before = 0; i < SECRET_PARTS && n < VALUE_MAX; i++) {
		if (r->inject & 1u << i)
			n += (size_t)snprintf(text + n, VALUE_MAX - n, "%s%s",
				before++ ? "," : " in ", secret_part_names[i]);
	}
	return text;
}

/* Where the options want it to go; 0: they say nothing. */
static uint32_t inject_of(const struct change *c, const char *name)
{
	const struct run_secrets *s = &c->args->secrets;
	uint32_t inject = 0;

	for (uint32_t i = 0; i < s->n_inject; i++) {
		if (streq(s->inject[i].name, name))
			inject |= s->inject[i].inject;
	}
	return inject;
}

static void note_secret(struct change *c, const char *name, const struct secret_rule *old,
	const struct secret_rule *new)
{
	/* What reads no TLS puts nothing in. */
	bool live = c->spec->net.tls.on;
	char field[SECRET_NAME_MAX + 16];
	char text[2][VALUE_MAX];

	(void)snprintf(field, sizeof(field), "secret %s", name);
	change_note(c, field, secret_text(old, text[0]), secret_text(new, text[1]), live);
	c->secrets_live |= live;
	/* Commands have a placeholder of it, or none. */
	c->live.defaults |= !old != !new;
}

static bool has_host(const struct secret_rule *r, const char *host)
{
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		if (streq(r->hosts[i], host))
			return true;
	}
	return false;
}

/* @given on top of what there is; NULL: what there is stays. */
static int put_secret(struct change *c, const struct secret_rule *old,
	const struct secret_rule *given, struct msb_err *err)
{
	bool gone = old && change_in_list(&c->args->secrets_rm, old->name);
	uint32_t inject = inject_of(c, old ? old->name : given->name);
	struct secret_rule *to = &c->secrets.rules[c->secrets.n];

	if (gone && !given) {
		note_secret(c, old->name, old, NULL);
		return 0;
	}
	if (c->secrets.n == SECRETS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d secrets", SECRETS_MAX);
	c->secrets.n++;
	*to = old ? *old : *given;
	if (inject)
		to->inject = inject;
	if (given) {
		to->value = given->value;
		to->inlined = given->inlined;
	}
	if (gone)
		to->n_hosts = 0;
	for (uint32_t i = 0; given && i < given->n_hosts; i++) {
		if (has_host(to, given->hosts[i]))
			continue;
		if (to->n_hosts == SECRET_HOSTS_MAX)
			return msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d hosts for %s",
				SECRET_HOSTS_MAX, to->name);
		to->hosts[to->n_hosts++] = given->hosts[i];
	}
	if (given || inject)
		note_secret(c, to->name, old, to);
	return 0;
}

/* What is said of secrets has to be about some. */
static int check_secrets(const struct change *c, struct msb_err *err)
{
	const struct run_secrets *s = &c->args->secrets;
	const struct secret_settings *old = &c->spec->net.secrets;
	const struct opt_list *gone = &c->args->secrets_rm;

	for (size_t i = 0; i < gone->n; i++) {
		if (!find_secret(old, gone->items[i]))
			return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "there is no secret '%s'",
				gone->items[i]);
	}
	for (uint32_t i = 0; i < s->n_inject; i++) {
		const char *name = s->inject[i].name;

		if (!find_secret(&s->settings, name) &&
			(!find_secret(old, name) || change_in_list(gone, name)))
			return msb_err_set(
				err, -ENOENT, MSB_NOT_FOUND, "there is no secret '%s'", name);
	}
	if (s->settings.n && !c->spec->net.policy)
		return msb_err_usage(err, "there is no network that a secret could be used in");
	return 0;
}

int change_secrets(struct change *c, struct msb_err *err)
{
	const struct secret_settings *old = &c->spec->net.secrets;
	const struct secret_settings *given = &c->args->secrets.settings;
	int r = check_secrets(c, err);

	if (!given->n && !c->args->secrets_rm.n && !c->args->secrets.n_inject)
		return 0;
	c->secrets.violation = old->violation;
	for (uint32_t i = 0; i < old->n && r == 0; i++)
		r = put_secret(c, &old->rules[i], find_secret(given, old->rules[i].name), err);
	for (uint32_t i = 0; i < given->n && r == 0; i++) {
		if (!find_secret(old, given->rules[i].name))
			r = put_secret(c, NULL, &given->rules[i], err);
	}
	if (r < 0)
		return r;
	c->old_secrets = *old;
	c->spec->net.secrets = c->secrets;
	c->spec->net.tls.on |= c->secrets.n > 0;
	return 0;
}

/* The values of @s in a file in memory; those that stay are not known here. */
static int gather(
	const struct change *c, const struct secret_settings *s, int *ret_fd, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-secrets", MFD_CLOEXEC);
	int r = fd < 0 ? msb_err_errno(err, -errno, "secrets") : 0;

	for (uint32_t i = 0; i < s->n && r == 0; i++) {
		if (find_secret(&c->args->secrets.settings, s->rules[i].name))
			r = sandbox_secret_write(fd, &s->rules[i], err);
		else
			r = secret_value_keep(fd, err);
	}
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int change_apply_secrets(const struct change *c, const struct place *p, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	int r;

	if (!c->secrets_live || !p->running || (c->waits && c->how == MODIFY_RESTART))
		return 0;
	r = gather(c, &c->secrets, &fd, err);
	if (r == 0)
		r = life_secrets(p->home, p->name, &c->secrets, TAKE_FD(fd), err);
	return r < 0 && err->errno_ == ENETDOWN
		       ? msb_err_hint(err, r,
				 "it was started without interception of TLS: give "
				 "--restart")
		       : r;
}

/*
 * A start takes the values of secrets from the environment: what is missing there is found out
 * before anything is stopped, and a value that was given here would be lost.
 */
int change_check_values(const struct change *c, const struct place *p, struct msb_err *err)
{
	const struct secret_settings *given = &c->args->secrets.settings;
	bool restarts = p->running && c->waits && c->how == MODIFY_RESTART;
	bool now = p->running && c->secrets_live && !restarts;
	int r = 0;

	for (uint32_t i = 0; i < given->n && !now && r == 0; i++) {
		if (given->rules[i].value)
			r = msb_err_hint(err,
				msb_err_usage(err, "secret %s: its value is not stored",
					given->rules[i].name),
				"write %s@HOST, and set the variable when it is started",
				given->rules[i].name);
	}
	for (uint32_t i = 0; i < c->spec->net.secrets.n && restarts && r == 0; i++) {
		const char *name = c->spec->net.secrets.rules[i].name;
		const char *value = getenv(name);

		if (!value || !value[0])
			r = msb_err_hint(err,
				msb_err_usage(err, "secret %s: the environment has no value for it",
					name),
				"set the variable %s, and export it", name);
	}
	return r;
}
