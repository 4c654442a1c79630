/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: one process per sandbox, owner of its directory, its machine and its relay.
 *
 *	STARTING  the machine runs, the guest is not ready
 *	RUNNING	  the guest serves requests
 *	STOPPING  the guest was asked to end (SHUTDOWN), a timer runs
 *	KILLING	  the machine was switched off, its process is not reaped yet
 *	ENDED	  nothing is left but clients that take their last bytes
 *
 * Every way into the end is one call: sup_stop() for an end that somebody wanted, sup_fail() for
 * the others. Both lead to KILLING, from there the death of the machine's process leads to ENDED;
 * before a machine exists they lead there directly. The outcome (SB_STOPPED or SB_FAILED) is sent
 * when the directory of an ephemeral sandbox is gone and the machine is reaped; an orderly end that
 * leaves nothing to be had from the machine is told as soon as it is switched off.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

#include "engine/engine.h"
#include "sandbox/console.h"
#include "sandbox/exec-log.h"
#include "sandbox/ledger.h"
#include "sandbox/record.h"
#include "sandbox/relay.h"
#include "sandbox/spec.h"
#include "sandbox/state.h"
#include "sandbox/sup-share.h"
#include "sandbox/workload.h"

/* Descriptors that msb-sandbox inherits. */
enum {
	SUP_FD_SPEC = 3, /* memfd with the JSON of the spec */
	SUP_FD_OWNER = 4, /* the owner's connection, a non-blocking stream socket */
	SUP_FD_IMAGE = 5, /* the root device, only when the spec has no image path */
	SUP_FD_DIR = 6, /* an existing directory that is to be started ... */
	SUP_FD_LOCK = 7, /* ... and its lock, held */
	SUP_FD_SECRETS = 8, /* values of its secrets, for msb-tls alone; only when it has some */
};

enum sup_state { SUP_STARTING, SUP_RUNNING, SUP_STOPPING, SUP_KILLING, SUP_ENDED };

struct supervisor {
	struct loop loop;
	struct sandbox_spec spec;
	enum sup_state state;

	struct sandbox_dir dir;
	bool persisted; /* the directory has a spec.json that outlives this process */
	bool has_secrets; /* SUP_FD_SECRETS is there */
	bool adopted; /* the directory was there before */
	bool was_ready; /* the guest served requests */
	struct sandbox_record record; /* what state.json says */
	int record_fd; /* state.json, -1: none */
	struct sup_share shares[LIMIT_SHARES];
	struct msg_net net; /* of the guest */
	char *ca; /* owned: certificate that the guest is to trust; NULL: none */
	char *host_cas; /* owned: certificates of the host for the guest; NULL: none */
	struct sup_disk_note disk_notes[LIMIT_SHARES];
	int volume_locks[LIMIT_SHARES]; /* owned: volumes in use */
	uint32_t n_volume_locks;
	struct console console;
	struct exec_log log;
	struct ledger ledger;
	struct relay relay;
	struct workload workload;
	bool asked_main; /* it has its stop signal, everything else is asked when it ended */

	struct engine_vm vm;
	bool vm_alive; /* started and not reaped */
	struct loop_fd vm_src;
	struct loop_fd control_src;
	struct loop_fd console_src;
	int net_events_fd; /* what msb-net tells, -EBADF: nothing */
	struct loop_fd net_events_src;
	int tls_control_fd; /* for other secrets, -EBADF: nobody hears of them */
	struct sup_share_watch share_watches[ENGINE_HELPERS_MAX]; /* as vm.helpers */
	struct loop_timer policy_timer; /* patience with msb-net, which has got other rules */

	int signal_fd;
	struct loop_fd signal_src;
	int listen_fd;
	struct loop_fd listen_src;
	struct loop_timer listen_timer;

	struct loop_timer boot_timer;
	struct loop_timer duration_timer;
	struct loop_timer idle_timer;
	struct loop_timer end_timer; /* patience with the guest, later with its machine */
	struct loop_timer memory_timer; /* patience with a guest that gives or takes memory */
	uint32_t memory_mib; /* what it was asked to have; 0: nothing is under way */
	uint32_t memory_seen_mib; /* what it had when the patience began */
	uint64_t memory_deadline_ns;
	bool memory_settled; /* the guest had what state.json says */
	struct loop_timer tell_timer; /* patience with the clients at the end */

	bool told; /* the outcome was sent */
	bool all_told; /* and every client has it, or is gone */

	bool failed; /* outcome: @failure, else @reason and @detail */
	struct msb_err failure;
	enum msg_stop_reason reason;
	const char *detail;

	uint64_t config_ns; /* CONFIG was sent, with the time of day */
	struct msg_timing timing;
	char kernel_release[66];
};

/** sup_run - the whole life of a sandbox; @sup is zeroed memory. Return: exit status of the process
 */
int sup_run(struct supervisor *sup);
