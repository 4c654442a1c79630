/* SPDX-License-Identifier: Apache-2.0 */
/* Starting msb-fs, one process for each shared directory. */
#pragma once

#include "engine/engine.h"
#include "fs/config.h"

/* The ends of the sockets that whoever runs the machine gets; -1: none. */
struct share_fds {
	int fds[LIMIT_SHARES];
};

void share_fds_init(struct share_fds *f);
void share_fds_deinit(struct share_fds *f);

/**
 * shares_start - a process for each share of @spec, noted in @vm
 * @err_fd: stderr of the processes, borrowed
 *
 * Whatever was started before a failure ends with shares_end().
 */
int shares_start(const struct engine_spec *spec, enum fs_speech speech, int err_fd,
	struct engine_vm *vm, struct share_fds *ret, struct msb_err *err) MSB_MUST_CHECK;

/** shares_end - kill and reap them; the machine has ended */
void shares_end(struct engine_vm *vm);
