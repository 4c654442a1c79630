/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection inside the stack; shared by tcp.c (handles), tcp-in.c and tcp-out.c.
 *
 * States, and what may happen in them:
 *
 *   WANTED    a SYN came, the owner has not decided. Nothing was sent. -> SYN_RCVD, LINGER
 *   SYN_SENT  we call the guest. -> OPEN, gone
 *   SYN_RCVD  accepted; SYN-ACK sent or due. Bytes may be committed, none is sent. -> OPEN, LINGER,
 * gone OPEN      both streams run; each ends by itself: fin_in, and fin_out then fin_acked. ->
 * LINGER, gone LINGER    no handle any more; a last ACK or RST waits for the link. -> gone
 *
 * Our stream is the bytes of `tx`, whose first one has the number snd_una, followed by the FIN once
 * fin_out is set. Everything up to snd_nxt is in flight. There is no TIME_WAIT: the link does not
 * duplicate, and a tuple without a connection answers with RST.
 *
 * Bytes of the guest are taken in order only. What comes early is dropped and acknowledged at once,
 * what comes again is cut off in front: the first copy of a byte is the one that counts.
 */
#pragma once

#include "net/stack/internal.h"

enum tcp_state { TCP_WANTED, TCP_SYN_SENT, TCP_SYN_RCVD, TCP_OPEN, TCP_LINGER };

struct stack_tcp {
	struct entry entry;
	struct list ready; /* in stack.ready while something is to be sent */
	struct list starved; /* in stack.starved while there is no budget for a buffer */
	struct stack_timer timer; /* fires at the earliest of the deadlines below, or before it */
	struct stack *stack;
	struct stack_tcp *next_dead;
	const struct stack_tcp_ops *ops; /* NULL: no handler yet, or none any more */
	void *user;
	enum tcp_state state;

	bool dead; /* out of the table, freed soon */
	bool counted; /* in stats.tcp_now */
	bool need_ack, need_rst, need_syn, need_probe;
	bool resend; /* three duplicate ACKs: one segment from snd_una */
	bool fin_in; /* the guest's FIN was taken */
	bool fin_out; /* ours follows the bytes of tx */
	bool fin_acked;
	bool want_space; /* the owner waits for `writable` */

	uint32_t iss, irs;
	uint32_t snd_una, snd_nxt, snd_max;
	uint32_t snd_wnd, snd_wnd_max;
	uint32_t snd_wl1, snd_wl2; /* seq and ack of the last window update */
	uint32_t rcv_nxt;
	uint32_t rcv_edge; /* first byte beyond what was advertised; never goes back */
	uint32_t rcv_acked; /* rcv_nxt of the last ACK we sent */
	uint16_t mss;
	uint8_t snd_scale, rcv_scale;

	/* Requests in a row that bytes of ours followed soon: from `answers_wanted` on these carry
	 * the acknowledgement, until one is late. */
	bool asked; /* bytes came and none was sent since */
	uint8_t answers, answers_wanted;

	struct ring tx, rx;
	const uint8_t *cur; /* bytes of the frame being processed, behind those of rx */
	uint32_t cur_len;

	uint64_t rto_at, ack_at, trim_at; /* STACK_NEVER: off */
	uint64_t last_rx, last_use;
	unsigned int backoff, dupacks, probes;
	uint64_t rtt_start; /* 0: no byte is being timed */
	uint32_t rtt_seq;
	uint64_t srtt, rttvar;
};

/* A segment as it came, its numbers in host order. */
struct seg {
	const struct pkt *pkt;
	uint32_t seq, ack, wnd;
	uint8_t flags;
	const uint8_t *data;
	uint32_t len;
	uint16_t mss; /* options of a SYN; 0: none */
	int scale; /* -1: none */
};

/* tcp.c */
struct stack_tcp *tcp_new(struct stack *s, const struct net_tuple *t);
/* No handle any more: free the buffers; send what need_ack and need_rst say, then go. */
void tcp_linger(struct stack_tcp *c);
/* Out of the table at once. */
void tcp_bury(struct stack_tcp *c);
/* tcp_bury() and `closed`, or tcp_linger() and `closed` where something is to be said. */
void tcp_end(struct stack_tcp *c, enum stack_end why);
/* End it if both directions have ended; true if so. Only where callbacks are allowed. */
bool tcp_finish(struct stack_tcp *c);
bool tcp_finished(const struct stack_tcp *c);
void tcp_make_ready(struct stack_tcp *c);
/* Has the handle ended in a callback? */
static inline bool tcp_gone(const struct stack_tcp *c)
{
	return c->dead || c->state == TCP_LINGER;
}

/* tcp-in.c */
enum { ANSWERS_WANTED = 3, ANSWERS_WANTED_MAX = 192 };
#define DELAYED_ACK_NS (5 * NSEC_PER_MSEC)

/* tcp-out.c */
uint32_t tcp_inflight(const struct stack_tcp *c);
/* The largest window that @c may have now. */
uint32_t tcp_window(const struct stack_tcp *c);
/* Right edge of the window that could be advertised now. */
uint32_t tcp_edge(const struct stack_tcp *c);
/* RST for a segment without a connection. */
void tcp_reset_reply(struct stack *s, const struct seg *g);
void tcp_rearm(struct stack_tcp *c);
void tcp_rto_start(struct stack_tcp *c);
void tcp_timer(struct stack *s, struct stack_timer *t);
