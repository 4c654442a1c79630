/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the interception of TLS: see tls-args.h. */
#include "lib/tls-args.h"

#include "base/str.h"

static int add_path(struct run_tls *t, const char *option, const char *path, const char **ret,
	struct msb_err *err)
{
	char *real = realpath(path, NULL);

	if (!real)
		return msb_err_errno(err, -errno, "option --%s: %s", option, path);
	t->paths[t->n_paths++] = real;
	*ret = real;
	return 0;
}

static int add_ports(const struct opt_list *l, struct tls_settings *s, struct msb_err *err)
{
	if (l->n > TLS_PORTS_MAX)
		return msb_err_usage(
			err, "option --tls-intercept-port: more than %d ports", TLS_PORTS_MAX);
	for (size_t i = 0; i < l->n; i++) {
		uint32_t port;

		if (str_to_u32(l->items[i], 1, UINT16_MAX, &port) < 0)
			return msb_err_usage(err,
				"option --tls-intercept-port: '%.40s' is not a port", l->items[i]);
		s->ports[s->n_ports++] = (uint16_t)port;
	}
	return 0;
}

static int add_names(const char *option, const struct opt_list *l, const char **names,
	uint32_t *ret_n, struct msb_err *err)
{
	if (l->n > TLS_NAMES_MAX)
		return msb_err_usage(err, "option --%s: more than %d names", option, TLS_NAMES_MAX);
	for (size_t i = 0; i < l->n; i++)
		names[(*ret_n)++] = l->items[i];
	return 0;
}

/* PATTERN=FILE: no name of a host has a '='. */
static int add_files_for(struct run_tls *t, struct tls_settings *s, struct msb_err *err)
{
	static const char option[] = "tls-upstream-ca-cert-for";
	int r = 0;

	if (t->upstream_ca_for.n > TLS_FILES_MAX)
		return msb_err_usage(err, "option --%s: more than %d files", option, TLS_FILES_MAX);
	for (size_t i = 0; i < t->upstream_ca_for.n && r == 0; i++) {
		const char *text = t->upstream_ca_for.items[i];
		const char *file = strchr(text, '=');
		struct tls_ca_for *c = &s->ca_for[s->n_ca_for];
		char *pattern;

		if (!file || file == text)
			return msb_err_usage(err,
				"option --%s: '%.100s' is not a host, '=' and a file", option,
				text);
		pattern = strndup(text, (size_t)(file - text));
		if (!pattern)
			return msb_err_errno(err, -ENOMEM, "option --%s", option);
		t->patterns[t->n_patterns++] = pattern;
		c->pattern = pattern;
		r = add_path(t, option, file + 1, &c->file, err);
		s->n_ca_for += r == 0;
	}
	return r;
}

static int add_files(struct run_tls *t, struct tls_settings *s, struct msb_err *err)
{
	int r = 0;

	if (t->upstream_ca.n > TLS_FILES_MAX)
		return msb_err_usage(
			err, "option --tls-upstream-ca-cert: more than %d files", TLS_FILES_MAX);
	for (size_t i = 0; i < t->upstream_ca.n && r == 0; i++)
		r = add_path(t, "tls-upstream-ca-cert", t->upstream_ca.items[i],
			&s->upstream_ca[s->n_upstream_ca++], err);
	if (r == 0)
		r = add_files_for(t, s, err);
	if (r == 0 && t->ca_cert)
		r = add_path(t, "tls-intercept-ca-cert", t->ca_cert, &s->ca_cert, err);
	if (r == 0 && t->ca_key)
		r = add_path(t, "tls-intercept-ca-key", t->ca_key, &s->ca_key, err);
	return r;
}

int run_tls_apply(struct run_tls *t, struct tls_settings *ret, struct msb_err *err)
{
	struct tls_settings s = {.on = t->intercept || t->allow_quic || t->ports.n || t->bypass.n ||
				       t->no_verify.n || t->upstream_ca.n || t->upstream_ca_for.n ||
				       t->ca_cert || t->ca_key,
		.allow_quic = t->allow_quic};
	int r = add_ports(&t->ports, &s, err);

	if (r == 0)
		r = add_names("tls-bypass", &t->bypass, s.bypass, &s.n_bypass, err);
	if (r == 0)
		r = add_names("tls-no-verify-upstream-for", &t->no_verify, s.no_verify,
			&s.n_no_verify, err);
	if (r == 0)
		r = add_files(t, &s, err);
	if (r == 0)
		r = tls_settings_check(&s, err);
	if (r == 0)
		*ret = s;
	return r;
}

void run_tls_deinit(struct run_tls *t)
{
	while (t->n_paths > 0)
		free(t->paths[--t->n_paths]);
	while (t->n_patterns > 0)
		free(t->patterns[--t->n_patterns]);
}
