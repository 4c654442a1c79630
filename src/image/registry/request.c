/* SPDX-License-Identifier: Apache-2.0 */
/* What msb-pull is asked to do: see request.h. */
#include "image/registry/request.h"

#include "base/str.h"

static int choice(const struct json *root, const char *key, const char *const *words, size_t n,
	int *ret, struct msb_err *err)
{
	const char *s = words[0];
	int r = json_opt_str(root, key, &s, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (streq(s, words[i])) {
			*ret = (int)i;
			return 0;
		}
	}
	return msb_err_set(err, -EINVAL, MSB_USAGE, "%s is none of the known words", key);
}

static int parse_host(const char *host, struct request *r, struct msb_err *err)
{
	char text[REF_HOST_MAX + 8];
	struct image_ref ref;

	/* docker.io and localhost:5000 are references' hosts; check them as such. */
	if (snprintf(text, sizeof(text), "%s/x", host) >= (int)sizeof(text) ||
		image_ref_parse(text, &ref, NULL) < 0 || !streq(ref.host, host))
		return msb_err_set(err, -EINVAL, MSB_USAGE, "'%.100s' is no registry", host);
	memcpy(r->ref.host, ref.host, sizeof(ref.host));
	return 0;
}

static int parse_target(struct request *r, struct msb_err *err)
{
	const char *text = NULL;
	int e = json_get_str(r->root, r->op == REQUEST_LOGIN ? "host" : "ref", &text, err);

	if (e < 0)
		return e;
	return r->op == REQUEST_LOGIN ? parse_host(text, r, err)
				      : image_ref_parse(text, &r->ref, err);
}

static int parse_auth(struct request *r, struct msb_err *err)
{
	static const char *const keys[] = {"username", "password"};
	const struct json *auth = NULL;
	int e = json_opt_object(r->root, "auth", &auth, err);

	if (e < 0 || !auth)
		return e;
	e = json_only(auth, keys, ARRAY_SIZE(keys), err);
	if (e == 0)
		e = json_get_str(auth, "username", &r->username, err);
	return e < 0 ? e : json_get_str(auth, "password", &r->password, err);
}

static int check_hosts(const struct request *r, struct msb_err *err)
{
	static const char *const keys[] = {"insecure", "mirrors", "ca_file"};
	const struct json *hosts = NULL;
	int e = json_opt_object(r->root, "hosts", &hosts, err);

	if (e < 0 || !hosts)
		return e;
	json_foreach (host, hosts) {
		const struct json *mirrors = NULL;
		const char *ca_file;
		bool insecure;

		e = json_only(host, keys, ARRAY_SIZE(keys), err);
		if (e == 0)
			e = json_opt_bool(host, "insecure", &insecure, err);
		if (e == 0)
			e = json_opt_array(host, "mirrors", &mirrors, err);
		if (e == 0)
			e = json_opt_str(host, "ca_file", &ca_file, err);
		if (e < 0)
			return msb_err_prefix(err, e, "hosts.%s", json_key(host));
	}
	return 0;
}

static int parse_limits(struct request *r, struct msb_err *err)
{
	static const char *const keys[] = {
		"parallel", "connect_s", "stall_s", "attempts", "first_wait_ms"};
	const struct json *limits = NULL;
	uint32_t wait_ms = (uint32_t)(retry_default.first_ns / NSEC_PER_MSEC);
	uint32_t attempts = retry_default.attempts;
	int e = json_opt_object(r->root, "limits", &limits, err);

	r->parallel = 4;
	r->connect_s = 15;
	r->stall_s = 30;
	if (e == 0 && limits) {
		e = json_only(limits, keys, ARRAY_SIZE(keys), err);
		if (e == 0)
			e = json_opt_u32(
				limits, "parallel", 1, REQUEST_PARALLEL_MAX, &r->parallel, err);
		if (e == 0)
			e = json_opt_u32(limits, "connect_s", 1, 600, &r->connect_s, err);
		if (e == 0)
			e = json_opt_u32(limits, "stall_s", 1, 600, &r->stall_s, err);
		if (e == 0)
			e = json_opt_u32(limits, "attempts", 1, 100, &attempts, err);
		if (e == 0)
			e = json_opt_u32(limits, "first_wait_ms", 0, 60000, &wait_ms, err);
	}
	r->retry = retry_default;
	r->retry.attempts = attempts;
	r->retry.first_ns = wait_ms * NSEC_PER_MSEC;
	return e;
}

static int parse_fields(struct request *r, struct msb_err *err)
{
	static const char *const keys[] = {"op", "home", "ref", "host", "policy", "quiet",
		"insecure", "ca_file", "auth", "hosts", "limits"};
	static const char *const ops[] = {"pull", "login"};
	static const char *const policies[] = {"if-missing", "always", "never"};
	int op = 0;
	int policy = 0;
	int e = json_only(r->root, keys, ARRAY_SIZE(keys), err);

	if (e == 0)
		e = choice(r->root, "op", ops, ARRAY_SIZE(ops), &op, err);
	if (e == 0)
		e = choice(r->root, "policy", policies, ARRAY_SIZE(policies), &policy, err);
	r->op = (enum request_op)op;
	r->policy = (enum request_policy)policy;
	if (e == 0)
		e = json_get_str(r->root, "home", &r->home, err);
	if (e == 0 && r->home[0] != '/')
		e = msb_err_set(err, -EINVAL, MSB_USAGE, "home is no absolute path");
	if (e == 0)
		e = parse_target(r, err);
	if (e == 0)
		e = json_opt_bool(r->root, "quiet", &r->quiet, err);
	if (e == 0)
		e = json_opt_bool(r->root, "insecure", &r->insecure, err);
	if (e == 0)
		e = json_opt_str(r->root, "ca_file", &r->ca_file, err);
	return e;
}

int request_parse(const char *text, size_t len, struct request *ret, struct msb_err *err)
{
	int r;

	*ret = (struct request){};
	r = json_parse(text, len, &ret->root, err);
	if (r == 0)
		r = parse_fields(ret, err);
	if (r == 0)
		r = parse_auth(ret, err);
	if (r == 0)
		r = check_hosts(ret, err);
	if (r == 0)
		r = parse_limits(ret, err);
	return r < 0 && err && err->kind != MSB_USAGE ? msb_err_prefix(err, r, "request") : r;
}

void request_deinit(struct request *r)
{
	json_free(r->root);
	*r = (struct request){};
}

static const struct json *find_host(const struct request *r, const char *host)
{
	const struct json *hosts = json_find(r->root, "hosts");

	return hosts ? json_find(hosts, host) : NULL;
}

bool request_insecure(const struct request *r, const char *host)
{
	const struct json *entry = find_host(r, host);
	bool insecure = streq(host, r->ref.host) && r->insecure;

	if (entry && json_opt_bool(entry, "insecure", &insecure, NULL) < 0)
		return false;
	return insecure || (streq(host, r->ref.host) && r->insecure);
}

const struct json *request_mirrors(const struct request *r, const char *host)
{
	const struct json *entry = find_host(r, host);
	const struct json *mirrors = entry ? json_find(entry, "mirrors") : NULL;

	return mirrors && json_type(mirrors) == JSON_ARRAY ? mirrors : NULL;
}

const char *request_host_ca(const struct request *r, const char *host)
{
	const struct json *entry = find_host(r, host);
	const char *file = NULL;

	return entry && json_opt_str(entry, "ca_file", &file, NULL) == 0 ? file : NULL;
}
