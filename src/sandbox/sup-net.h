/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a sandbox on its way to msb-net, to the machine and to its agent. */
#pragma once

#include "engine/engine.h"
#include "net/config.h"
#include "sandbox/spec.h"
#include "sandbox/sup-port.h"

struct supervisor;

struct sup_net {
	int config_fd; /* owned, until msb-net runs; -EBADF without network */
	struct sup_ports ports; /* the same */
	int events_fd; /* the same: where it tells what it denies */
	int tls_config_fd; /* the same: of msb-tls */
	int tls_control_fd; /* the same: where it hears of other secrets */
	int secrets_fd; /* the same: what it alone reads */
	char path[PATH_MAX];
	char tls_path[PATH_MAX];
};

/**
 * sup_net_open - describe the network in @es, if the sandbox wants one; strings live in @n
 *
 * What is for the agent is in @sup->net then, but for the size of packets, which is the engine's.
 */
int sup_net_open(struct supervisor *sup, struct sup_net *n, struct engine_spec *es,
	struct msb_err *err) MSB_MUST_CHECK;

void sup_net_deinit(struct sup_net *n);

/** sup_net_watch - what msb-net tells goes into the log; 0 or a negative errno */
int sup_net_watch(struct supervisor *sup) MSB_MUST_CHECK;

/** sup_net_lost - @r of a ledger's function: is there anything to complain of? */
void sup_net_lost(struct supervisor *sup, int r);

/**
 * sup_net_policy - other rules, as JSON, for new flows and open ones
 *
 * 0 when msb-net has them before it: relay_policy_done() follows when they hold. -ENETDOWN without
 * a network, or another negative errno.
 */
int sup_net_policy(struct supervisor *sup, const void *text, size_t len) MSB_MUST_CHECK;

/** sup_net_listen - what was told until now is heard */
void sup_net_listen(struct supervisor *sup);

/** sup_net_unwatch - after its last lines */
void sup_net_unwatch(struct supervisor *sup);
