/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of msb-vsock of a machine. */
#pragma once

#include "engine/engine.h"
#include "vsock/config.h"

/**
 * vsock_start - start both, if the machine is to reach sockets of the host
 * @role: VSOCK_LINK or VSOCK_VHOST: what the machine speaks
 * @err_fd: their stderr, borrowed
 * @ret_fd: the machine's end of the link; untouched without such sockets
 *
 * The processes are @vm's helpers from here on: engine_vm_deinit() ends them.
 */
int vsock_start(const struct engine_spec *spec, enum vsock_role role, int err_fd,
	struct engine_vm *vm, int *ret_fd, struct msb_err *err) MSB_MUST_CHECK;
