/* SPDX-License-Identifier: Apache-2.0 */
/* The process of msb-net of a machine. */
#pragma once

#include "engine/engine.h"
#include "net/config.h"

/**
 * net_start - start the process, if the machine has a network
 * @link: what the machine speaks
 * @err_fd: its stderr, borrowed
 * @ret_fd: the machine's end of the link; untouched without network
 *
 * The process is one of @vm's helpers from here on: engine_vm_deinit() ends it.
 */
int net_start(const struct engine_spec *spec, enum net_link link, int err_fd, struct engine_vm *vm,
	int *ret_fd, struct msb_err *err) MSB_MUST_CHECK;
