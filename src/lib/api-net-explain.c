/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmsb: what a sandbox's policy says to a connection.
 *
 * The description is taken as it is, so that one that does not run can be asked about, too. A name
 * is looked up as the host does it, which is not always what the guest would be told.
 */
#include <netdb.h>
#include <netinet/in.h>

#include "base/json.h"

#include "lib/api.h"
#include "msb/net.h"
#include "net/config.h"
#include "net/policy/class.h"
#include "net/policy/explain.h"
#include "net/policy/rule.h"
#include "sandbox/info.h"

enum { TEXT_MAX = 1 << 20 };

struct msb_verdict {
	bool allowed;
	struct buf text;
	struct buf json;
};

/* The addresses to judge: the target itself, what the user says, the gateway, or what the host
 * finds. */
struct question {
	struct explain_target target;
	struct net_addr addrs[EXPLAIN_ADDRS_MAX];
	size_t n_addrs;
};

static int look_up(struct question *q, struct msb_err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int r = getaddrinfo(q->target.host, NULL, &hints, &list);

	if (r != 0) {
		r = msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "'%.100s' has no address here: %s",
			q->target.host, gai_strerror(r));
		return msb_err_hint(err, r, "say with --address which one it shall be");
	}
	for (const struct addrinfo *i = list; i && q->n_addrs < EXPLAIN_ADDRS_MAX; i = i->ai_next) {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;

		if (i->ai_family == AF_INET && i->ai_addrlen >= sizeof(in)) {
			memcpy(&in, i->ai_addr, sizeof(in));
			q->addrs[q->n_addrs++] = net_addr_v4((const uint8_t *)&in.sin_addr);
		} else if (i->ai_family == AF_INET6 && i->ai_addrlen >= sizeof(in6)) {
			memcpy(&in6, i->ai_addr, sizeof(in6));
			q->addrs[q->n_addrs++] = net_addr_v6(in6.sin6_addr.s6_addr);
		}
	}
	freeaddrinfo(list);
	return 0;
}

static int find_addresses(
	struct question *q, const char *address, const struct policy *p, struct msb_err *err)
{
	struct policy_verdict v;

	q->n_addrs = 1;
	if (address) {
		if (net_addr_parse(address, &q->addrs[0]) < 0)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"option --address: '%.60s' is no address", address);
		return 0;
	}
	if (q->target.is_address) {
		q->addrs[0] = q->target.addr;
		return 0;
	}
	if (streq(q->target.host, POLICY_HOST_ALIAS)) {
		q->addrs[0] = p->gateway4;
		return 0;
	}
	policy_decide_name(p, q->target.host, POLICY_UDP, &v);
	/* Nobody asks for it: the verdict is known without an address. */
	if (v.action != POLICY_ALLOW)
		return 0;
	q->n_addrs = 0;
	return look_up(q, err);
}

static void put_verdict(
	struct json_out *o, const char *key, const struct policy *p, const struct policy_verdict *v)
{
	char rule[POLICY_RULE_TEXT];

	json_begin_object(o, key);
	json_put_bool(o, "allowed", v->action == POLICY_ALLOW);
	if (v->rule >= 0) {
		json_put_int(o, "rule_number", v->rule + 1);
		json_put_str(o, "rule", policy_rule_text(&p->rules[v->rule], rule, sizeof(rule)));
	} else {
		json_put_null(o, "rule_number");
		json_put_null(o, "rule");
	}
	json_put_str(o, "text", v->text);
	json_end_object(o);
}

static void put_answer(struct json_out *o, const struct policy *p, const struct net_addr *addr,
	const struct explain_answer *a)
{
	char text[NET_ADDR_TEXT];

	json_begin_object(o, NULL);
	json_put_str(o, "address", net_addr_text(addr, text));
	json_put_bool(o, "allowed", a->allowed);
	if (a->rebind)
		json_put_bool(o, "rebinding", true);
	else
		put_verdict(o, "connection", p, &a->flow);
	json_end_object(o);
}

static int put_json(struct msb_verdict *v, const struct question *q, const struct policy *p,
	bool rebind_protection)
{
	struct explain_answer a = {0};
	struct json_out o;

	json_out_init(&o, &v->json, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "host", q->target.host);
	json_put_int(&o, "port", q->target.port);
	json_put_str(&o, "protocol", policy_proto_name(q->target.proto));
	json_begin_array(&o, "addresses");
	for (size_t i = 0; i < q->n_addrs; i++) {
		explain(p, rebind_protection, &q->target, &q->addrs[i], &a);
		if (!a.looked_up || a.lookup.action == POLICY_ALLOW)
			put_answer(&o, p, &q->addrs[i], &a);
	}
	json_end_array(&o);
	if (a.looked_up)
		put_verdict(&o, "lookup", p, &a.lookup);
	json_put_bool(&o, "allowed", v->allowed);
	json_end_object(&o);
	return json_out_end(&o);
}

static int put_text(
	struct buf *out, const struct net_addr *addr, const struct explain_answer *a, bool first)
{
	char text[NET_ADDR_TEXT];
	int r = 0;

	if (a->looked_up && first)
		r = buf_printf(out, "%s\n", a->lookup.text);
	if (r == 0 && a->rebind)
		return buf_printf(out,
			"answer %s (%s): denied, no public name has such an address\n",
			net_addr_text(addr, text), net_class_name(net_addr_class(addr)));
	if (r == 0 && a->flow.text[0])
		r = buf_printf(out, "%s\n", a->flow.text);
	return r;
}

/* Allowed is what every address is allowed. */
static int judge(struct msb_verdict *v, const struct question *q, const struct policy *p,
	bool rebind_protection)
{
	struct explain_answer a;
	int r = 0;

	v->allowed = q->n_addrs > 0;
	for (size_t i = 0; i < q->n_addrs && r == 0; i++) {
		explain(p, rebind_protection, &q->target, &q->addrs[i], &a);
		v->allowed = v->allowed && a.allowed;
		r = put_text(&v->text, &q->addrs[i], &a, i == 0);
	}
	if (r == 0)
		r = put_json(v, q, p, rebind_protection);
	return r == 0 && (!buf_cstr(&v->text) || !buf_cstr(&v->json)) ? -ENOMEM : r;
}

/* The policy that the description holds; a sandbox without a network may nothing. */
static int get_policy(const struct sandbox_info *info, struct policy *ret, struct msb_err *err)
{
	struct net_config ends;
	int r = 0;

	policy_init_none(ret);
	if (!info->readable)
		return msb_err_set(err, -EBADMSG, MSB_IO, "%s", info->spec_err.msg);
	if (info->spec.net.policy)
		r = policy_copy(ret, info->spec.net.policy);
	if (r < 0)
		return msb_err_errno(err, r, "reading the policy");
	net_config_init(&ends, 0, true);
	net_config_pools(&ends, &info->spec.net.pools);
	ret->gateway4 = ends.gateway4;
	ret->gateway6 = ends.gateway6;
	net_config_deinit(&ends);
	return 0;
}

static int explain_to(struct msb_verdict *v, const struct sandbox_info *info, struct question *q,
	const char *address, struct msb_err *err)
{
	struct policy policy;
	int r = get_policy(info, &policy, err);

	if (r == 0)
		r = find_addresses(q, address, &policy, err);
	if (r == 0) {
		r = judge(v, q, &policy, info->spec.net.dns.rebind_protection);
		if (r < 0)
			(void)msb_err_errno(err, r, "writing the answer");
	}
	policy_deinit(&policy);
	return r;
}

int msb_net_explain(struct msb *m, const char *name, const char *target, const char *address,
	struct msb_verdict **ret, struct msb_error *error)
{
	struct msb_verdict *v = calloc(1, sizeof(*v));
	struct question q = {.n_addrs = 0};
	struct sandbox_info info;
	struct msb_err err = {0};
	int r = v ? explain_target_parse(target, &q.target, &err) : -ENOMEM;

	*ret = NULL;
	if (v) {
		buf_init(&v->text, TEXT_MAX);
		buf_init(&v->json, TEXT_MAX);
	}
	if (r == 0)
		r = sandbox_info_get(m->home, name, &info, &err);
	if (r == 0) {
		r = explain_to(v, &info, &q, address, &err);
		sandbox_info_deinit(&info);
	}
	if (r < 0)
		v = msb_verdict_free(v);
	*ret = v;
	return api_result(error, &err, r);
}

struct msb_verdict *msb_verdict_free(struct msb_verdict *v)
{
	if (!v)
		return NULL;
	buf_deinit(&v->text);
	buf_deinit(&v->json);
	free(v);
	return NULL;
}

int msb_verdict_allowed(const struct msb_verdict *v)
{
	return v->allowed;
}

/* Both end with NUL, see judge(). */
const char *msb_verdict_text(const struct msb_verdict *v)
{
	return (const char *)buf_data(&v->text);
}

const char *msb_verdict_json(const struct msb_verdict *v)
{
	return (const char *)buf_data(&v->json);
}
