/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes of several tenants: see tenant.h. */
#include "lib/tenant.h"

#include "base/str.h"

#include "lib/config.h"

/* As many as a sandbox has when nobody says how many. */
enum { TENANT_CONNECTIONS = 256 };

const char *const tenant_profiles[] = {
	[TENANT_SINGLE] = "single-tenant", [TENANT_MULTI] = "multi-tenant", NULL};

/* Does the configuration say it of all? */
static int configured(const char *home, bool *ret, struct msb_err *err)
{
	struct config config;
	char number[OPT_NUMBER];
	const char *text = NULL;
	int r = config_load(home, &config, err);

	*ret = false;
	if (r < 0)
		return r;
	r = config_text(&config, "deployment_profile", number, &text, err);
	if (r == 0)
		*ret = text && streq(text, tenant_profiles[TENANT_MULTI]);
	config_deinit(&config);
	return r;
}

static int check(const struct run_net *n, const struct vsock_routes *vsocks, struct msb_err *err)
{
	const struct {
		bool given;
		const char *option;
	} open[] = {
		{n->ports.n > 0, "port"},
		{vsocks->n > 0, "vsock"},
		{n->servers.n_servers > 0, "dns-nameserver"},
		{n->tls.trust_host_cas, "trust-host-cas"},
		{n->no_rebind_protection, "no-dns-rebind-protection"},
		{n->pools.v4.family != NET_NONE, "net-ipv4-pool"},
		{n->pools.v6.family != NET_NONE, "net-ipv6-pool"},
		{n->max_connections > TENANT_CONNECTIONS, "max-connections"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		if (!open[i].given)
			continue;
		return msb_err_hint(err,
			msb_err_set(err, -EPERM, MSB_USAGE,
				"option --%s: not with the deployment profile multi-tenant",
				open[i].option),
			"leave it out%s",
			streq(open[i].option, "max-connections") ? ", or ask for 256 at most" : "");
	}
	return 0;
}

int tenant_apply(const char *home, int profile, const struct run_net *n,
	const struct vsock_routes *vsocks, struct policy *policy, struct msb_err *err)
{
	bool all = false;
	int r = profile == TENANT_MULTI ? 0 : configured(home, &all, err);

	if (r < 0 || (profile != TENANT_MULTI && !all))
		return r;
	policy->public_only = true;
	return check(n, vsocks, err);
}
