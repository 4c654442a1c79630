/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandboxes of several tenants on one host: what they may not reach.
 *
 * Whoever starts a sandbox for somebody else (a service that takes orders) does not want the order
 * to open the service's own network. With the profile multi-tenant no rule, profile or default
 * reaches anything but public addresses and the gateway's name server, and options that would lead
 * around that are refused. The file config.json says it for every sandbox of an installation.
 */
#pragma once

#include "lib/net-args.h"
#include "vsock/route.h"

enum { TENANT_SINGLE, TENANT_MULTI };

extern const char *const tenant_profiles[];

/**
 * tenant_apply - make @policy and @n those of one tenant among others, if that is asked for
 * @home: where config.json is; it has the last word
 * @profile: of the options
 */
int tenant_apply(const char *home, int profile, const struct run_net *n,
	const struct vsock_routes *vsocks, struct policy *policy, struct msb_err *err)
	MSB_MUST_CHECK;
