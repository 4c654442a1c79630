/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the policy's answer to what becomes of a flow.
 *
 * Every flow of the guest passes here before anything is opened for it, and where a rule about
 * names decides, its first bytes do, too.
 */
#pragma once

#include "net/config.h"
#include "net/events.h"
#include "net/flow/flow.h"
#include "net/names.h"

struct net_gate {
	const struct net_config *config;
	struct names *names; /* answers questions about names; NULL: nobody does */
	struct net_events *events; /* hears of what happens; NULL: nobody does */
};

/** net_gate_decide - flow_ops.decide: fill @v for @q */
void net_gate_decide(const struct net_gate *g, const struct flow_query *q, struct flow_verdict *v);

/** net_gate_inspect - flow_ops.inspect */
enum flow_action net_gate_inspect(const struct net_gate *g, const struct flow_query *q,
	const void *data, size_t len, bool last, uint32_t *tag);

/** net_gate_event - flow_ops.event */
void net_gate_event(const struct net_gate *g, const struct flow_event *e);
