/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How msb-vsock is started: two processes that share a socket.
 *
 *	msb-vsock link|vhost PORT...	the device: packets of the guest, and sockets that it is
 *given msb-vsock dial PATH...		connects the socket of a path when it is asked to
 *
 * Ports and paths are in the same order. `link` speaks with msb-vmm (proto/vsocklink.h), `vhost`
 * with QEMU; both at VSOCK_FD_MACHINE. VSOCK_FD_DIAL is a SOCK_SEQPACKET socket (dial.h).
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "vsock/route.h"

enum { VSOCK_FD_MACHINE = 3, VSOCK_FD_DIAL };

enum vsock_role { VSOCK_LINK, VSOCK_VHOST, VSOCK_DIAL };

struct vsock_config {
	enum vsock_role role;
	uint32_t n;
	uint32_t ports[LIMIT_VSOCKS];
	char *const *paths; /* borrowed, of VSOCK_DIAL */
};

/** vsock_config_parse - the words of a command line */
int vsock_config_parse(int argc, char *const *argv, struct vsock_config *ret, struct msb_err *err)
	MSB_MUST_CHECK;
