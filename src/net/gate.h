/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the policy's answer to what becomes of a flow.
 *
 * Every flow of the guest passes here before anything is opened for it.
 */
#pragma once

#include "net/config.h"
#include "net/flow/flow.h"

/** net_gate_decide - flow_ops.decide: fill @v for @q */
void net_gate_decide(
	const struct net_config *c, const struct flow_query *q, struct flow_verdict *v);
