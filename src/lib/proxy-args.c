/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say through which proxy a sandbox connects: see proxy-args.h. */
#include "lib/proxy-args.h"

#include "base/str.h"

int run_parse_proxy(void *target, const char *value, struct msb_err *err)
{
	return net_proxy_parse(target, value, err);
}

int run_parse_proxy_user(void *target, const char *value, struct msb_err *err)
{
	struct net_proxy *p = target;

	if (!value[0] || str_copy(p->user, sizeof(p->user), value) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a user name of a proxy has 1 to %u bytes", (unsigned int)NET_PROXY_WORD);
	return 0;
}

int run_parse_proxy_env(void *target, const char *value, struct msb_err *err)
{
	struct net_proxy *p = target;

	if (!value[0] || strchr(value, '=') ||
		str_copy(p->password_env, sizeof(p->password_env), value) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the name of an environment variable is wanted, not the password");
	return 0;
}
