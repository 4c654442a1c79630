/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say what a sandbox may reach: see net-args.h. */
#include "lib/net-args.h"

#include "net/policy/class.h"

int run_parse_nameserver(void *target, const char *value, struct msb_err *err)
{
	return dns_settings_add(target, value, err);
}

int run_parse_port(void *target, const char *value, struct msb_err *err)
{
	struct net_port p;
	int r = net_port_parse(value, &p, err);

	return r < 0 ? r : net_ports_add(target, &p, err);
}

int run_net_apply(const struct run_net *n, struct policy *policy, struct dns_settings *dns,
	struct msb_err *err)
{
	struct dns_settings s = n->servers;
	int r = run_limits_check(&n->limits, err);

	if (r == 0)
		r = net_proxy_check(&n->proxy, err);

	if (r < 0)
		return r;
	s.timeout_ms = n->timeout_ms ? n->timeout_ms : DNS_TIMEOUT_MS;
	s.rebind_protection = !n->no_rebind_protection;
	*dns = s;
	return policy_choice_build(&n->choice, policy, err);
}

void run_net_deinit(struct run_net *n)
{
	run_tls_deinit(&n->tls);
	run_secrets_deinit(&n->secrets);
	policy_choice_deinit(&n->choice);
}
