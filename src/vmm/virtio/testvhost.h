/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile QEMU with a hostile guest for fuzz targets of vhost-user devices: messages of any
 * content, in any order, and rings in memory that the input fills.
 */
#pragma once

#include "vmm/virtio/vhost-user.h"

enum { TESTVHOST_MEMORY = 64 * 1024 };

struct testvhost_input {
	const uint8_t *at;
	size_t left;
};

struct testvhost {
	struct vhost_user *user;
	int memory; /* owned */
	uint8_t *mem; /* TESTVHOST_MEMORY bytes: what the guest sees */
};

/** testvhost_take - @n bytes of the input; what is missing is 0 */
uint64_t testvhost_take(struct testvhost_input *in, size_t n);

/** testvhost_init - as QEMU begins: memory, and a small running queue for each of @user's */
void testvhost_init(struct testvhost *t, struct vhost_user *user);
/** testvhost_deinit - before or after @user's end */
void testvhost_deinit(struct testvhost *t);

/** testvhost_message - QEMU says something */
void testvhost_message(struct testvhost *t, struct testvhost_input *in);

/** testvhost_fill - the guest writes anywhere */
void testvhost_fill(struct testvhost *t, struct testvhost_input *in);

/** testvhost_offer - a chain of one readable piece of at least @least bytes and a writable one at
 * the head of queue @i */
void testvhost_offer(
	struct testvhost *t, unsigned int i, uint32_t least, struct testvhost_input *in);

/** testvhost_room - a writable piece alone at the head of queue @i */
void testvhost_room(struct testvhost *t, unsigned int i, struct testvhost_input *in);
