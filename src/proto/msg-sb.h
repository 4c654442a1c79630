/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the supervisor and its clients; included by msg.h, whose rules hold here. */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "proto/frame.h"

/* Phases of a start on the host's CLOCK_MONOTONIC, 0 where the engine does not know. */
struct msg_timing {
	uint64_t spawn_ns; /* supervisor started */
	uint64_t engine_ns; /* VMM process spawned */
	uint64_t vm_created_ns; /* kvm: machine built */
	uint64_t first_run_ns; /* kvm: first KVM_RUN */
	uint64_t hello_ns; /* the agent's HELLO arrived */
	uint64_t ready_ns; /* the agent's READY arrived */
	uint64_t guest_pid1_ns; /* guest clock at PID 1 */
	uint64_t guest_ready_ns;
	uint64_t guest_pid1_tsc; /* guest time stamp counter */
	uint64_t guest_ready_tsc;
};

struct msg_sb_ready {
	const char *engine; /* "kvm" or "qemu" */
	const char *kernel_release;
	struct msg_timing timing;
};

struct msg_sb_failed {
	uint32_t kind; /* enum msb_kind */
	uint32_t errno_;
	const char *msg;
	const char *hint;
	const char *console; /* last lines of the guest console, may be "" */
};

struct msg_sb_stopped {
	uint32_t reason; /* enum msg_stop_reason */
	const char *detail;
};

enum msg_stop_reason {
	STOP_REQUESTED = 0, /* a client or the owner asked */
	STOP_GUEST, /* the guest powered off by itself */
	STOP_MAX_DURATION,
	STOP_FAILED, /* see detail */
	STOP_IDLE, /* nobody used it for long enough */
	STOP_COMPLETED, /* its main process ended */
};

int msg_put_sb_ready(struct buf *out, const struct msg_sb_ready *m) MSB_MUST_CHECK;
int msg_get_sb_ready(const struct frame *f, struct msg_sb_ready *ret) MSB_MUST_CHECK;
int msg_put_sb_failed(struct buf *out, const struct msg_sb_failed *m) MSB_MUST_CHECK;
int msg_get_sb_failed(const struct frame *f, struct msg_sb_failed *ret) MSB_MUST_CHECK;
int msg_put_sb_stopped(struct buf *out, const struct msg_sb_stopped *m) MSB_MUST_CHECK;
int msg_get_sb_stopped(const struct frame *f, struct msg_sb_stopped *ret) MSB_MUST_CHECK;
