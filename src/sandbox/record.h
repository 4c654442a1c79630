/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json: what the supervisor of a sandbox last said about its life, and what that means now.
 *
 * The file appears by rename before the supervisor gives up its rights; from then on it is one
 * write of RECORD_BYTES at offset 0 into the descriptor that stays open, so that a jailed
 * supervisor needs no right to make files. Whoever reads it looks at the lock as well: a killed
 * supervisor cannot have said so.
 *
 *	lock	status in the file	means
 *	held	(none)			starting
 *	held	starting ... stopping	the same
 *	free	(none)			created, never started
 *	free	starting, running	crashed: the supervisor was killed
 *	free	stopping		stopped
 *	free	stopped, crashed	the same
 *
 * Trust: written by a process that talks to a hostile guest; strings are bounded and printable.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "sandbox/spec.h"

enum { RECORD_BYTES = 2048, RECORD_TEXT = 400 };

enum sandbox_status {
	SANDBOX_CREATED,
	SANDBOX_STARTING,
	SANDBOX_RUNNING,
	SANDBOX_STOPPING,
	SANDBOX_STOPPED,
	SANDBOX_CRASHED,
	SANDBOX_STATUS_COUNT
};

/** sandbox_status_name - "Running"; the words of JSON output and of the file */
const char *sandbox_status_name(enum sandbox_status status);

/* Why it ended. */
enum sandbox_reason {
	REASON_NONE, /* it has not */
	REASON_REQUESTED, /* somebody stopped it */
	REASON_COMPLETED, /* its main process ended */
	REASON_GUEST, /* the guest powered off */
	REASON_MAX_DURATION,
	REASON_IDLE,
	REASON_FAILED, /* the guest crashed or could not start: see detail */
	REASON_KILLED, /* the supervisor was killed */
	REASON_COUNT
};

const char *sandbox_reason_name(enum sandbox_reason reason);

/* What the machine has now; zeros: its supervisor has not said. */
struct sandbox_machine {
	uint32_t vcpus;
	uint32_t max_vcpus;
	uint32_t mem_mib;
	uint32_t max_mem_mib;
};

struct sandbox_record {
	enum sandbox_status status;
	enum sandbox_reason reason;
	pid_t pid; /* of the supervisor */
	char engine[8];
	struct sandbox_machine machine; /* while it runs; afterwards as it was last */
	uint64_t started_ns; /* CLOCK_REALTIME; 0: not yet */
	uint64_t ready_ns;
	uint64_t ended_ns;
	int exit_status; /* of the main process; -1: none, or still running */
	uint32_t n_ports; /* published, in the order of the description */
	uint16_t ports[LIMIT_PORTS]; /* of the host */
	char detail[RECORD_TEXT]; /* printable */
};

/** sandbox_record_write - the file's whole content, padded; 0 or a negative errno */
int sandbox_record_format(const struct sandbox_record *rec, char ret_text[RECORD_BYTES])
	MSB_MUST_CHECK;

/** sandbox_record_parse - strict; 0 or a negative errno */
int sandbox_record_parse(const char *text, size_t len, struct sandbox_record *ret) MSB_MUST_CHECK;

/** sandbox_record_read - as of now, by the table above; never fails: what cannot be read is as if
 * it was not there */
void sandbox_record_read(int dir_fd, struct sandbox_record *ret);

static inline bool sandbox_status_alive(enum sandbox_status status)
{
	return status == SANDBOX_STARTING || status == SANDBOX_RUNNING ||
	       status == SANDBOX_STOPPING;
}
