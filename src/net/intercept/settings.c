/* SPDX-License-Identifier: Apache-2.0 */
/* Stored form of the interception of TLS: see settings.h. */
#include "net/intercept/settings.h"

#include "net/policy/pattern.h"

static void put_list(struct json_out *o, const char *key, const char *const *items, uint32_t n)
{
	json_begin_array(o, key);
	for (uint32_t i = 0; i < n; i++)
		json_put_str(o, NULL, items[i]);
	json_end_array(o);
}

void tls_settings_to_json(const struct tls_settings *s, struct json_out *o, const char *key)
{
	json_begin_object(o, key);
	json_put_bool(o, "allow_quic", s->allow_quic);
	json_begin_array(o, "ports");
	for (uint32_t i = 0; i < s->n_ports; i++)
		json_put_u64(o, NULL, s->ports[i]);
	json_end_array(o);
	put_list(o, "bypass", s->bypass, s->n_bypass);
	put_list(o, "no_verify", s->no_verify, s->n_no_verify);
	put_list(o, "upstream_ca", s->upstream_ca, s->n_upstream_ca);
	if (s->n_ca_for)
		json_begin_array(o, "upstream_ca_for");
	for (uint32_t i = 0; i < s->n_ca_for; i++) {
		json_begin_object(o, NULL);
		json_put_str(o, "hosts", s->ca_for[i].pattern);
		json_put_str(o, "file", s->ca_for[i].file);
		json_end_object(o);
	}
	if (s->n_ca_for)
		json_end_array(o);
	if (s->ca_cert)
		json_put_str(o, "ca_cert", s->ca_cert);
	if (s->ca_key)
		json_put_str(o, "ca_key", s->ca_key);
	json_end_object(o);
}

static int get_list(const struct json *obj, const char *key, const char **items, uint32_t max,
	uint32_t *ret_n, struct msb_err *err)
{
	const struct json *list;
	int r = json_get_array(obj, key, &list, err);

	if (r < 0)
		return r;
	if (json_len(list) > max)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "%s: more than %" PRIu32, key, max);
	json_foreach (item, list) {
		r = json_to_str(item, key, &items[*ret_n], err);
		if (r < 0)
			return r;
		(*ret_n)++;
	}
	return 0;
}

static int get_ports(const struct json *obj, struct tls_settings *s, struct msb_err *err)
{
	const struct json *list;
	int r = json_get_array(obj, "ports", &list, err);

	if (r < 0)
		return r;
	if (json_len(list) > TLS_PORTS_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "ports: more than %d", TLS_PORTS_MAX);
	json_foreach (item, list) {
		int64_t port;

		r = json_to_int(item, "ports", 1, UINT16_MAX, &port, err);
		if (r < 0)
			return r;
		s->ports[s->n_ports++] = (uint16_t)port;
	}
	return 0;
}

static int get_ca_for(const struct json *obj, struct tls_settings *s, struct msb_err *err)
{
	static const char *const keys[] = {"hosts", "file"};
	const struct json *list = NULL;
	int r = json_find(obj, "upstream_ca_for")
			? json_get_array(obj, "upstream_ca_for", &list, err)
			: 0;

	if (r < 0 || !list)
		return r;
	if (json_len(list) > TLS_FILES_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "upstream_ca_for: more than %d", TLS_FILES_MAX);
	json_foreach (item, list) {
		struct tls_ca_for *c = &s->ca_for[s->n_ca_for];

		r = json_only(item, keys, ARRAY_SIZE(keys), err);
		if (r == 0)
			r = json_get_str(item, "hosts", &c->pattern, err);
		if (r == 0)
			r = json_get_str(item, "file", &c->file, err);
		if (r < 0)
			return msb_err_prefix(err, r, "upstream_ca_for");
		s->n_ca_for++;
	}
	return 0;
}

int tls_settings_from_json(const struct json *obj, struct tls_settings *ret, struct msb_err *err)
{
	static const char *const keys[] = {"allow_quic", "ports", "bypass", "no_verify",
		"upstream_ca", "upstream_ca_for", "ca_cert", "ca_key"};
	struct tls_settings s = {.on = true};
	int r = json_only(obj, keys, ARRAY_SIZE(keys), err);

	if (r == 0)
		r = json_get_bool(obj, "allow_quic", &s.allow_quic, err);
	if (r == 0)
		r = get_ports(obj, &s, err);
	if (r == 0)
		r = get_list(obj, "bypass", s.bypass, TLS_NAMES_MAX, &s.n_bypass, err);
	if (r == 0)
		r = get_list(obj, "no_verify", s.no_verify, TLS_NAMES_MAX, &s.n_no_verify, err);
	if (r == 0)
		r = get_list(
			obj, "upstream_ca", s.upstream_ca, TLS_FILES_MAX, &s.n_upstream_ca, err);
	if (r == 0)
		r = get_ca_for(obj, &s, err);
	if (r == 0)
		r = json_opt_str(obj, "ca_cert", &s.ca_cert, err);
	if (r == 0)
		r = json_opt_str(obj, "ca_key", &s.ca_key, err);
	if (r == 0)
		r = tls_settings_check(&s, err);
	if (r == 0)
		*ret = s;
	return r;
}

static int check_ca_for(const struct tls_settings *s, struct msb_err *err)
{
	struct name_pattern p;

	for (uint32_t i = 0; i < s->n_ca_for; i++) {
		int r = name_pattern_parse(s->ca_for[i].pattern, &p, err);

		if (r < 0)
			return r;
		if (s->ca_for[i].file[0] != '/')
			return msb_err_usage(err, "%.100s: not absolute", s->ca_for[i].file);
	}
	return 0;
}

static int check_names(const char *const *names, uint32_t n, struct msb_err *err)
{
	struct name_pattern p;
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = name_pattern_parse(names[i], &p, err);
	return r;
}

int tls_settings_check(const struct tls_settings *s, struct msb_err *err)
{
	int r;

	if (!s->ca_cert != !s->ca_key) {
		r = msb_err_usage(err, "a certificate authority is a certificate and its key");
		return msb_err_hint(
			err, r, "give --tls-intercept-ca-cert and --tls-intercept-ca-key");
	}
	for (uint32_t i = 0; i < s->n_upstream_ca; i++) {
		if (s->upstream_ca[i][0] != '/')
			return msb_err_usage(err, "%.100s: not absolute", s->upstream_ca[i]);
	}
	if ((s->ca_cert && s->ca_cert[0] != '/') || (s->ca_key && s->ca_key[0] != '/'))
		return msb_err_usage(err, "%.100s: not absolute", s->ca_cert);
	r = check_ca_for(s, err);
	if (r == 0)
		r = check_names(s->bypass, s->n_bypass, err);
	return r == 0 ? check_names(s->no_verify, s->n_no_verify, err) : r;
}
