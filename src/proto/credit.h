/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow control of one direction of a stream, the same arithmetic at the agent, the supervisor and
 * the clients.
 *
 * The sender may have LIMIT_STREAM_WINDOW bytes of DATA on their way. The receiver returns bytes
 * with CREDIT once it has passed them on, a quarter of the window at a time so that the returns
 * cost little and the sender never runs dry while the receiver keeps up. Both sides detect a peer
 * that breaks the rule; -EPROTO ends the connection.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"

enum { CREDIT_BATCH = LIMIT_STREAM_WINDOW / 4 };

/* Sending side: what may still be sent. */
struct credit_tx {
	uint32_t avail;
};

static inline void credit_tx_init(struct credit_tx *c)
{
	c->avail = LIMIT_STREAM_WINDOW;
}

/** credit_tx_take - @n bytes of DATA go out; the caller checked that @n <= avail */
static inline void credit_tx_take(struct credit_tx *c, size_t n)
{
	assert(n <= c->avail);
	c->avail -= (uint32_t)n;
}

/** credit_tx_return - a CREDIT of @n came in; -EPROTO when it returns more than was sent */
static inline int MSB_MUST_CHECK credit_tx_return(struct credit_tx *c, uint32_t n)
{
	if (n > LIMIT_STREAM_WINDOW - c->avail)
		return -EPROTO;
	c->avail += n;
	return 0;
}

/* Receiving side: window + held + owed == LIMIT_STREAM_WINDOW. */
struct credit_rx {
	uint32_t window; /* bytes the peer may still send */
	uint32_t held; /* received, not yet passed on */
	uint32_t owed; /* passed on, not yet returned to the peer */
};

static inline void credit_rx_init(struct credit_rx *c)
{
	*c = (struct credit_rx){.window = LIMIT_STREAM_WINDOW};
}

/** credit_rx_data - DATA of @n bytes came in; -EPROTO when the peer had no credit for it */
static inline int MSB_MUST_CHECK credit_rx_data(struct credit_rx *c, uint32_t n)
{
	if (n > c->window)
		return -EPROTO;
	c->window -= n;
	c->held += n;
	return 0;
}

/**
 * credit_rx_passed - @n held bytes were passed on (or dropped)
 *
 * Return: how much to return to the peer with one CREDIT frame now; 0: nothing yet. The caller must
 * send it.
 */
static inline uint32_t MSB_MUST_CHECK credit_rx_passed(struct credit_rx *c, size_t n)
{
	uint32_t due;

	assert(n <= c->held);
	c->held -= (uint32_t)n;
	c->owed += (uint32_t)n;
	if (c->owed < CREDIT_BATCH)
		return 0;
	due = c->owed;
	c->owed = 0;
	c->window += due;
	return due;
}
