/* SPDX-License-Identifier: Apache-2.0 */
/* From what happened to flows and lookups to the events that are told (net/event-msg.h). */
#pragma once

#include "net/dns/forward.h"
#include "net/events.h"
#include "net/flow/flow.h"

/* All of them: @e NULL tells nobody; @name is what is known of the remote, or NULL. */

/** tell_verdict - the policy has denied @q (logged, too), or allowed it by its first bytes */
void tell_verdict(struct net_events *e, const struct policy *p, const struct flow_query *q,
	const struct policy_verdict *v, const char *name);

/** tell_refused - something else than the policy denies @q; @why is a line for the log */
void tell_refused(
	struct net_events *e, const struct flow_query *q, const char *why, const char *name);

/** tell_flow - a flow began, failed or ended; the tags are rules of @p */
void tell_flow(struct net_events *e, const struct policy *p, const struct flow_event *ev,
	const char *name);

/** tell_lookup - a lookup is over; what was denied is logged, too */
void tell_lookup(struct net_events *e, const struct policy *p, const struct dns_event *d);
