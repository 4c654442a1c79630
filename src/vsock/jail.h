/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jails of msb-vsock.
 *
 * The device works on what a hostile guest says and has base/jail.h's whole jail: no file, no way
 * to open a socket; connections are given to it. The process that connects needs the host's files
 * and the user's name; it hears eight bytes at a time, may open nothing but Unix sockets and paths
 * without any access (O_PATH), and write nowhere but to its one socket.
 */
#pragma once

#include "base/err.h"

#include "vsock/config.h"

/** vsock_jail_enter - everything but system calls */
int vsock_jail_enter(enum vsock_role role, struct msb_err *err) MSB_MUST_CHECK;

/** vsock_jail_lock - limits and system calls, once everything is set up */
int vsock_jail_lock(enum vsock_role role, struct msb_err *err) MSB_MUST_CHECK;
