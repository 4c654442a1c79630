/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the two halves of the relay: relay.c (guest side) and relay-client.c. */
#pragma once

#include "sandbox/relay.h"

struct relay_client {
	struct relay *relay;
	struct relay_client *next;
	int fd; /* owned */
	int given_fd; /* owned: the last descriptor that came, for the frame it came with */
	struct loop_fd src;
	struct buf in;
	struct buf out;
	size_t read_size; /* grows with what the client sends */
	struct relay_stream *streams;
	unsigned int n_streams;
	bool owner;
	bool blocked; /* not read until the queue to the guest has room */
	bool waits; /* not read until relay_release() */
	bool doomed; /* to be dropped with the next flush */
};

/* relay.c */

/* The queue to the guest takes no more frames of clients for now. */
bool relay_guest_full(struct relay *r);
void relay_flush_guest(struct relay *r);
uint32_t relay_stream_id(const struct relay *r, const struct relay_stream *s);
struct relay_stream *relay_stream_new(struct relay *r);
/* @s has no client any more and keeps running. */
void relay_stream_detach(struct relay *r, struct relay_stream *s);
void relay_stream_free(struct relay *r, struct relay_stream *s);
/* While a stream of this @request is open, the sandbox is not idle. */
bool relay_is_use(uint8_t request);

/* relay-client.c */

/* Appends a frame for @c, or dooms it. */
void relay_client_put(struct relay_client *c, uint8_t type, uint8_t flags, uint32_t stream,
	const void *payload, size_t len);
void relay_client_drop(struct relay_client *c);
/* Writes what waits for any client, drops the doomed. */
void relay_flush_clients(struct relay *r);
/* The queue to the guest has room again. */
void relay_unblock_clients(struct relay *r);
void relay_client_remove_stream(struct relay_client *c, struct relay_stream *s);
