/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a sandbox on its way to msb-net, to the machine and to its agent. */
#pragma once

#include "engine/engine.h"
#include "net/config.h"
#include "sandbox/spec.h"

struct sup_net {
	int config_fd; /* owned, until msb-net runs; -EBADF without network */
	char path[PATH_MAX];
};

/**
 * sup_net_open - describe the network in @es, if @spec wants one; strings live in @n
 * @ret: for the agent, but for the size of its packets, which is the engine's
 */
int sup_net_open(struct sup_net *n, const struct sandbox_spec *spec, struct engine_spec *es,
	struct msg_net *ret, struct msb_err *err) MSB_MUST_CHECK;

void sup_net_deinit(struct sup_net *n);
