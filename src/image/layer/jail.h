/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-layer: base/jail.h with this program's limits and filter.
 *
 * A taken-over worker can write garbage into the two files it was given, up to a limit, burn
 * memory up to another, and die.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

/* In the order of worker.h. */
enum layer_job { LAYER_UNPACK, LAYER_MERGE, LAYER_PACK, LAYER_SCAN, LAYER_SPOOL };

/**
 * layer_jail_enter - give up files, network, identity and every descriptor that is not of the job
 *
 * Context: one thread, before anything is read.
 */
int layer_jail_enter(enum layer_job job, struct msb_err *err) MSB_MUST_CHECK;

/**
 * layer_jail_lock - from now on all threads make the few system calls of the job or the process
 * dies
 *
 * Context: all threads exist, nothing of the layer was read.
 */
int layer_jail_lock(enum layer_job job, struct msb_err *err) MSB_MUST_CHECK;
