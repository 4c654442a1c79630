/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection of the guest as its handler drives it; the rules of net/stack/stack.h apply.
 *
 * Two byte streams with one bounded buffer each. Towards the guest: reserve, write into the buffer,
 * commit; the bytes stay there until the guest has acknowledged them. From the guest: peek,
 * consume; what is not consumed fills the buffer and closes the window, so a slow sink slows the
 * guest down.
 */
#pragma once

#include "net/stack/stack.h"

/* Per connection; `connected` and `writable` may be NULL, the others not. */
struct stack_tcp_ops {
	/* The handshake with the guest is complete, in either direction. */
	void (*connected)(struct stack_tcp *c, void *user);
	/* New bytes or the end of the guest's stream: stack_tcp_peek(), stack_tcp_consume(). */
	void (*readable)(struct stack_tcp *c, void *user);
	/* There is space again after stack_tcp_reserve() found none. */
	void (*writable)(struct stack_tcp *c, void *user);
	void (*closed)(struct stack_tcp *c, void *user, enum stack_end why);
};

/** stack_tcp_handle - who is told about @c; may be changed at any time (a peek that decides hands
 * over so) */
void stack_tcp_handle(struct stack_tcp *c, const struct stack_tcp_ops *ops, void *user);

/** stack_tcp_accept - answer the guest's SYN; bytes may be reserved and committed from now on */
void stack_tcp_accept(struct stack_tcp *c);

/** stack_tcp_refuse - answer the guest's SYN as @how says; ends the handle without `closed` */
void stack_tcp_refuse(struct stack_tcp *c, enum stack_refusal how);

/**
 * stack_tcp_connect - open a connection to the guest, as if @t->remote called @t->guest
 *
 * Return: the handle; NULL when a limit is reached, the tuple is in use or memory is gone (errno
 * says which: EAGAIN, EADDRINUSE, ENOMEM). `connected` or `closed` follows.
 */
struct stack_tcp *stack_tcp_connect(struct stack *s, const struct net_tuple *t,
	const struct stack_tcp_ops *ops, void *user) MSB_MUST_CHECK;

/**
 * stack_tcp_peek - bytes from the guest that wait to be consumed
 * @iov: STACK_TCP_IOV elements, filled; valid until the next call on @c or until the callback
 * returns
 *
 * Inside `readable` they include the frame that just arrived, without a copy: what is consumed
 * there is never stored. Return: bytes in @iov, 0 for none.
 */
#define STACK_TCP_IOV 3
size_t stack_tcp_peek(struct stack_tcp *c, struct iovec *iov, int *ret_n);

/** stack_tcp_consume - drop @n (at most what peek returned) bytes from the head; reopens the window
 * to the guest */
void stack_tcp_consume(struct stack_tcp *c, size_t n);

/** stack_tcp_eof - the guest has ended its direction and everything was consumed */
bool stack_tcp_eof(const struct stack_tcp *c);

/**
 * stack_tcp_reserve - free space of the buffer towards the guest
 * @iov: two elements, filled
 *
 * Return: bytes of space, 0 when there is none (then `writable` follows) or nothing more may be
 * sent.
 */
size_t stack_tcp_reserve(struct stack_tcp *c, struct iovec *iov, int *ret_n);

/** stack_tcp_commit - the first @n reserved bytes were written; they are sent as the guest takes
 * them */
void stack_tcp_commit(struct stack_tcp *c, size_t n);

/** stack_tcp_write - reserve and copy and commit; bytes taken, less than @n when the buffer is full
 */
size_t stack_tcp_write(struct stack_tcp *c, const void *p, size_t n);

/** stack_tcp_shutdown - end our direction after the bytes committed; the guest may go on sending */
void stack_tcp_shutdown(struct stack_tcp *c);

/** stack_tcp_abort - reset the connection now; ends the handle without `closed` */
void stack_tcp_abort(struct stack_tcp *c);

const struct net_tuple *stack_tcp_tuple(const struct stack_tcp *c);
