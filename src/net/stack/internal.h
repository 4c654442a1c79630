/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the stack share; nobody else includes this.
 *
 * Way in: eth.c checks the frame and its virtio header, ip4.c and ip6.c fill a `struct pkt` whose
 * lengths are true, and tcp-in.c, udp.c, icmp.c take it from there. Way out: a transport writes its
 * header into a `struct out` and output.c adds the rest.
 *
 * Every public function is bracketed by stack_enter() and stack_leave(). What must go out is only
 * noted in between (the ready list); the outermost stack_leave() sends it, frees what has died and
 * arms the timer. So callbacks may call anything without the ground moving below the caller.
 */
#pragma once

#include "net/stack/ring.h"
#include "net/stack/stack.h"
#include "net/stack/tcp.h"
#include "net/stack/wire.h"

#define STACK_NEVER UINT64_MAX

enum {
	TABLE_SIZE = 1024, /* buckets; a power of two */
	FRAG_SETS = 64,
	FRAG_BYTES = 1024 * 1024, /* of all sets together */
	ICMP_ERRORS_PER_SEC = 1000,
};

/* One timer of one object, in the heap of the stack while it is set. */
struct stack_timer {
	uint64_t at;
	size_t slot; /* index in the heap plus one, 0: not set */
	void (*fn)(struct stack *s, struct stack_timer *t);
};

struct timer_heap {
	struct stack_timer **v;
	size_t n, cap;
	size_t promised; /* timers that exist, so setting one never allocates */
};

struct list {
	struct list *prev, *next;
};

/* Something with a tuple, in a hash table. */
struct entry {
	struct entry *next;
	struct net_tuple tuple;
	uint32_t hash;
};

struct table {
	struct entry *bucket[TABLE_SIZE];
};

/* A packet of the guest. All pointers are into the frame (or a reassembled one), all lengths true.
 */
struct pkt {
	struct net_addr src, dst;
	uint8_t proto;
	uint8_t hops; /* hop limit, TTL */
	bool csum_partial; /* the virtio header vouches for the transport checksum... */
	uint16_t csum_start,
		csum_offset; /* ...which must be this one, from the Ethernet header on */
	bool whole; /* nobody on the way may cut it up */
	const uint8_t *frame; /* Ethernet header; NULL for a reassembled packet */
	const uint8_t *l4;
	size_t l4_len;
};

/* A frame under construction: virtio, Ethernet, IP and transport headers in one buffer. */
enum { OUT_ROOM = VNET_LEN + ETH_LEN + IP6_LEN + 8 + 60 };

struct out {
	uint8_t b[OUT_ROOM];
	uint8_t *l4; /* where the transport header goes; zeroed */
	struct net_addr src, dst;
	uint8_t proto;
	uint8_t csum_offset; /* of the checksum in the transport header */
	uint16_t gso_size; /* not 0: body is cut into pieces of this size by whoever needs it */
	size_t l4_len; /* of the header at l4 */
	struct iovec body[3];
	int n_body;
};

struct frag_set {
	struct list link; /* by age */
	struct net_addr src, dst;
	uint32_t id;
	uint8_t proto;
	bool refused; /* overlapped: what else comes is dropped until the time is over */
	uint64_t deadline;
	uint8_t *data;
	uint32_t cap;
	uint32_t total; /* 0 until the last fragment came */
	uint32_t have;
	uint64_t *blocks; /* one bit per 8 bytes received */
};

struct stack_udp {
	struct entry entry;
	struct list link; /* by last use */
	struct stack *stack;
	const struct stack_udp_ops *ops;
	void *user;
	uint64_t last_ns;
	bool whole; /* the datagram that is being handed over */
	bool dead;
	struct stack_udp *next_dead;
};

struct stack {
	struct stack_config cfg;
	const struct stack_ops *ops;
	void *ctx;
	struct stack_stats stats;
	struct ring_budget budget;
	unsigned int depth; /* of stack_enter() */
	uint64_t now; /* of the outermost entry */
	uint64_t armed; /* what ops->arm was last told */
	bool blocked; /* the link has no room */
	bool more; /* frames of the guest wait: stack_release() */
	struct timer_heap heap;
	struct list ready; /* connections that have something to send */
	struct list starved; /* connections that wait for budget */
	unsigned int n_linger; /* connections without a handle that have a last word */
	struct stack_tcp *dead_tcp;
	struct stack_udp *dead_udp;
	struct table tcp, udp;
	struct list udp_used; /* oldest first */
	struct stack_timer udp_timer;
	struct list frags; /* oldest first */
	unsigned int n_frags;
	size_t frag_bytes;
	struct stack_timer frag_timer;
	struct stack_timer starved_timer;
	uint16_t ip_id;
	uint64_t rate_second; /* window of the limits below */
	unsigned int rate_icmp, rate_challenge;
};

/* stack.c */
void stack_enter(struct stack *s);
void stack_leave(struct stack *s);
uint64_t stack_mix(const struct stack *s, uint64_t v);
/* Is one more of these allowed in this second? */
bool stack_rate(struct stack *s, unsigned int *counter, unsigned int max);

static inline void list_init(struct list *l)
{
	l->prev = l;
	l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *l, struct list *e)
{
	e->prev = l->prev;
	e->next = l;
	l->prev->next = e;
	l->prev = e;
}

static inline void list_del(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

/* timer.c */
bool timer_promise(struct timer_heap *h) MSB_MUST_CHECK;
void timer_release(struct timer_heap *h);
void timer_set(struct timer_heap *h, struct stack_timer *t, uint64_t at);
void timer_del(struct timer_heap *h, struct stack_timer *t);
struct stack_timer *timer_first(const struct timer_heap *h);
void timer_heap_deinit(struct timer_heap *h);

/* table.c */
struct entry *table_find(const struct stack *s, const struct table *t, const struct net_tuple *k);
void table_add(const struct stack *s, struct table *t, struct entry *e);
void table_del(struct table *t, struct entry *e);

/* eth.c, ip4.c, ip6.c, frag.c: the way in */
void arp_input(struct stack *s, const uint8_t *eth, size_t len);
void ip4_input(struct stack *s, struct pkt *p, const uint8_t *ip, size_t len);
void ip6_input(struct stack *s, struct pkt *p, const uint8_t *ip, size_t len);
void transport_input(struct stack *s, struct pkt *p);
/* 127.0.0.1, from where the guest may only answer */
bool addr_loopback4(const struct net_addr *a);
/* Takes one fragment of @len bytes at @offset of the payload; calls transport_input() when whole.
 */
void frag_input(struct stack *s, const struct pkt *p, uint32_t id, uint32_t offset, bool more,
	const uint8_t *data, size_t len);
void frag_deinit(struct stack *s);
void frag_tick(struct stack *s, struct stack_timer *t);

/* output.c */
void out_begin(
	struct out *o, const struct net_addr *src, const struct net_addr *dst, uint8_t proto);
/* 0, or -EAGAIN when the link is full. Frames beyond the MTU without gso_size become fragments. */
int out_send(struct stack *s, struct out *o);
/* Put a finished frame of which output.c has made nothing on the link. */
int out_frame(struct stack *s, const struct iovec *iov, int n);
uint64_t pseudo_sum(
	const struct net_addr *src, const struct net_addr *dst, uint8_t proto, size_t len);

/* icmp.c */
struct quote { /* start of the guest's packet that an error is about */
	const struct net_tuple *tuple;
	uint8_t proto;
	uint8_t l4[8];
};

void icmp4_input(struct stack *s, const struct pkt *p);
void icmp6_input(struct stack *s, const struct pkt *p);
void icmp_refuse(struct stack *s, const struct quote *q, enum stack_refusal how);
void icmp_too_big(struct stack *s, const struct quote *q, uint16_t mtu);
bool addr_multicast(const struct net_addr *a);

/* udp.c */
void udp_input(struct stack *s, const struct pkt *p);
/* The guest says that nobody takes the datagrams of this flow. */
void udp_refused(struct stack *s, const struct net_tuple *t);
void udp_tick(struct stack *s, struct stack_timer *t);
void udp_deinit(struct stack *s);
void udp_reap(struct stack *s);

/* tcp.c */
void tcp_input(struct stack *s, const struct pkt *p);
void tcp_deinit(struct stack *s);
void tcp_reap(struct stack *s);
void tcp_flush(struct stack *s);
void tcp_starved(struct stack *s, struct stack_timer *t);
