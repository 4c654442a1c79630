/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, device side (virtio 1.2, 2.7).
 *
 * A queue is a function of guest RAM and a small private state: no KVM, no threads, no file
 * descriptors, so it runs under a fuzzer as it runs under a guest. The addresses of the three rings
 * are translated once, when the driver declares the queue ready, and the device works on that
 * private copy; whatever the driver writes into registers later changes nothing here.
 *
 * Every descriptor is read once, into locals, and a chain is handed out only when all of it was
 * validated: at most queue-size descriptors (which makes loops impossible), each one inside plain
 * RAM, readable ones before writable ones, one level of indirection, a total below the cap. A
 * driver that breaks a rule breaks the queue: it stays silent until the device is reset.
 *
 * Not thread-safe: the owner (struct virtio_dev) serialises with its lock.
 */
#pragma once

#include <sys/uio.h>

#include "base/base.h"

#include "vmm/mem.h"

enum {
	VIRTQ_SIZE_MAX =
		1024, /* what drivers make of QEMU's virtio-mmio, whatever was configured */
	VIRTQ_BYTES_MAX = 1 << 30, /* payload of one chain */
};

/* Positive results of virtq_pop(). */
enum {
	VIRTQ_EMPTY = 1, /* nothing to do (or the queue is not live) */
	VIRTQ_NO_SPACE, /* the next chain needs more iovecs than are left; nothing was consumed */
};

/* What the driver wrote into the transport's registers; means nothing until ready. */
struct virtq_setup {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t size;
	bool ready;
};

struct virtq {
	const struct gmem *mem;
	uint16_t size_max; /* power of two, what the device offers */
	struct virtq_setup setup;

	/* The frozen copy, valid while setup.ready. */
	uint16_t size;
	const uint8_t *desc;
	const uint8_t *avail;
	uint8_t *used;

	bool live; /* ready and the driver said DRIVER_OK */
	bool broken; /* a rule was broken: nothing moves until reset */
	bool event_idx;
	bool indirect;
	const char *fault; /* static text: which rule */

	uint16_t next_avail; /* next entry of the avail ring to look at */
	uint16_t avail_seen; /* avail index as last read */
	uint16_t next_used; /* next entry of the used ring to fill */
	uint16_t published; /* used index as last published */
	uint16_t in_flight; /* chains popped and not yet pushed */
	uint16_t signalled; /* used index at the last interrupt decision */
	bool signalled_valid;
};

/* A validated chain. The iovecs are the caller's: n_out readable ones, then n_in writable ones. */
struct virtq_chain {
	uint16_t head;
	uint16_t n_out;
	uint16_t n_in;
	uint32_t out_len;
	uint32_t in_len;
	struct iovec *iov;
};

/** virtq_init - a queue of at most @size_max (power of two, <= VIRTQ_SIZE_MAX) entries */
void virtq_init(struct virtq *vq, const struct gmem *mem, uint16_t size_max);

/** virtq_reset - back to the state after virtq_init() */
void virtq_reset(struct virtq *vq);

/**
 * virtq_enable - check what the driver set up, freeze it and mark the queue ready
 *
 * Return: 0, -EINVAL (size or alignment) or -EFAULT (a ring is not inside plain RAM).
 */
int virtq_enable(struct virtq *vq, bool event_idx, bool indirect) MSB_MUST_CHECK;

/**
 * virtq_break - a rule was broken that only the device can see; @why is static text
 *
 * Return: -EPROTO.
 */
int virtq_break(struct virtq *vq, const char *why);

/** virtq_disable - the driver takes the queue back; nothing of its memory is touched any more */
void virtq_disable(struct virtq *vq);

/**
 * virtq_pop - take the next chain
 * @iov: receives the buffers
 * @iov_max: room in @iov; vq->size entries always suffice
 * @ret: written on success only
 *
 * Return: 0, VIRTQ_EMPTY, VIRTQ_NO_SPACE, or -EPROTO: the driver broke a rule and the queue is
 * broken.
 */
int virtq_pop(struct virtq *vq, struct iovec *iov, size_t iov_max, struct virtq_chain *ret)
	MSB_MUST_CHECK;

/** virtq_next - virtq_pop() that asks for a kick before it says VIRTQ_EMPTY */
int virtq_next(struct virtq *vq, struct iovec *iov, size_t iov_max, struct virtq_chain *ret)
	MSB_MUST_CHECK;

/**
 * virtq_unpop - put back the chain popped last, as if it had never been taken
 *
 * Only for the newest chain, before anything popped later was pushed. It is validated anew next
 * time: remember nothing of it but numbers.
 */
void virtq_unpop(struct virtq *vq);

/**
 * virtq_push - return a chain to the driver
 * @written: bytes written from the start of the writable part, <= chain->in_len
 *
 * The driver does not see it before virtq_publish().
 */
void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);

/** virtq_publish - show the driver what was pushed; true when it wants an interrupt for that */
bool virtq_publish(struct virtq *vq) MSB_MUST_CHECK;

/** virtq_notify_off - the driver need not kick: we look at the ring anyway */
void virtq_notify_off(struct virtq *vq);

/**
 * virtq_notify_on - ask for a kick with the next buffer
 *
 * Return: true when buffers are there already and may not be announced: look again.
 */
bool virtq_notify_on(struct virtq *vq) MSB_MUST_CHECK;

/** virtq_has_work - are there buffers to pop (or is there something wrong to find)? */
bool virtq_has_work(struct virtq *vq);

/* Access to the payload of a chain. Offsets count from the start of the readable or writable part.
 */

/** chain_read - copy @len readable bytes at @off once; false when the chain is too short */
bool chain_read(const struct virtq_chain *c, size_t off, void *to, size_t len) MSB_MUST_CHECK;

/** chain_write - copy into the writable part; false when the chain is too short */
bool chain_write(const struct virtq_chain *c, size_t off, const void *from, size_t len)
	MSB_MUST_CHECK;

/**
 * iov_window - narrow iovecs in place to @len bytes starting at @off
 *
 * Return: how many iovecs from *@iov on are left; less than @len bytes if there were no more.
 */
size_t iov_window(struct iovec **iov, size_t n, size_t off, size_t len);
