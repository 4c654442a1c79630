/* SPDX-License-Identifier: Apache-2.0 */
/* msb net explain: what a sandbox's policy says to a connection. */
#include <netdb.h>
#include <netinet/in.h>

#include "cli/cli.h"
#include "net/config.h"
#include "net/policy/class.h"
#include "net/policy/explain.h"
#include "net/policy/rule.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

enum format { FORMAT_TEXT, FORMAT_JSON };

struct explain_args {
	struct cli_common common;
	int format;
	const char *address;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct explain_args, field)

static const struct opt opts[] = {
	{.name = "address",
		.type = OPT_STRING,
		AT(address),
		.arg = "ADDRESS",
		.help = "Take this to be the name's address, instead of looking it up from here"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
	{.name = "TARGET",
		.help = "HOST:PORT, HOST:PORT/udp, or a URL of http or https",
		.required = true},
};

static const struct opt_example examples[] = {
	{"May it install packages?", "msb net explain dev https://pypi.org/"},
	{"May it ask the cloud who it is?", "msb net explain dev 169.254.169.254:80"},
	{"For programs", "msb net explain --format json dev db.example:5432"},
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

static int find_addresses(struct question *q, const struct explain_args *a, const struct policy *p,
	struct msb_err *err)
{
	struct policy_verdict v;

	q->n_addrs = 1;
	if (a->address) {
		if (net_addr_parse(a->address, &q->addrs[0]) < 0)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"option --address: '%.60s' is no address", a->address);
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

static int print_json(
	const struct question *q, const struct policy *p, bool rebind_protection, bool *allowed)
{
	struct explain_answer a = {0};
	struct json_out o;
	struct buf out;
	int r;

	buf_init(&out, CLI_TEXT_MAX);
	json_out_init(&o, &out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "host", q->target.host);
	json_put_int(&o, "port", q->target.port);
	json_put_str(&o, "protocol", policy_proto_name(q->target.proto));
	json_begin_array(&o, "addresses");
	for (size_t i = 0; i < q->n_addrs; i++) {
		explain(p, rebind_protection, &q->target, &q->addrs[i], &a);
		*allowed = *allowed && a.allowed;
		if (!a.looked_up || a.lookup.action == POLICY_ALLOW)
			put_answer(&o, p, &q->addrs[i], &a);
	}
	json_end_array(&o);
	if (a.looked_up)
		put_verdict(&o, "lookup", p, &a.lookup);
	json_put_bool(&o, "allowed", *allowed);
	json_end_object(&o);
	r = cli_print_json(&o, &out);
	buf_deinit(&out);
	return r;
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

static int print_text(
	const struct question *q, const struct policy *p, bool rebind_protection, bool *allowed)
{
	struct explain_answer a;
	struct buf out;
	int r = 0;

	buf_init(&out, CLI_TEXT_MAX);
	for (size_t i = 0; i < q->n_addrs && r == 0; i++) {
		explain(p, rebind_protection, &q->target, &q->addrs[i], &a);
		*allowed = *allowed && a.allowed;
		r = put_text(&out, &q->addrs[i], &a, i == 0);
	}
	r = r < 0 ? CLI_EXIT_FAILED : cli_print(&out);
	buf_deinit(&out);
	return r;
}

/* Allowed is what every address is allowed. */
static int print_answers(
	int format, const struct question *q, const struct policy *p, bool rebind_protection)
{
	bool allowed = q->n_addrs > 0;
	int r = format == FORMAT_JSON ? print_json(q, p, rebind_protection, &allowed)
				      : print_text(q, p, rebind_protection, &allowed);

	return r ? r : !allowed;
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

static int run_explain(void *args, const struct opt_words *words)
{
	const struct explain_args *a = args;
	const char *const *word = words->operands.items;
	struct sandbox_info info;
	struct msb_err err = {0};
	struct policy policy;
	struct question q = {0};
	char home[PATH_MAX];
	int r;

	if (explain_target_parse(word[1], &q.target, &err) < 0 ||
		sandbox_home_default(home, sizeof(home), &err) < 0 ||
		sandbox_info_get(home, word[0], &info, &err) < 0)
		return cli_fail(&err);
	r = get_policy(&info, &policy, &err);
	if (r == 0)
		r = find_addresses(&q, a, &policy, &err);
	r = r < 0 ? cli_fail(&err)
		  : print_answers(a->format, &q, &policy, info.spec.net.dns.rebind_protection);
	policy_deinit(&policy);
	sandbox_info_deinit(&info);
	return r;
}

const struct cli_command cmd_net_explain = {
	.table = {.name = "net explain",
		.summary = "Say whether a sandbox may connect, and by which rule",
		.description = "Takes the policy of the sandbox, running or not, through the steps "
			       "of a connection: the lookup of the name, its addresses, the "
			       "connection to each. A connection to a name is taken to say that "
			       "name, as TLS and HTTP do.",
		.group = "Network",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples),
		.exit_status = "0 if the connection is allowed, 1 if it is denied."},
	.args_size = sizeof(struct explain_args),
	.run = run_explain,
};
