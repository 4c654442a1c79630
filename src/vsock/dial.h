/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that connects: `msb-vsock dial PATH...`.
 *
 * It is the only one that touches the host's file system for the guest, and all it is ever asked is
 * the number of one of its paths. A guest may be able to write where a path leads (a shared
 * directory): no symbolic link anywhere in the path is followed, and what is there must be a
 * socket, so that what is connected to is what lies under this very name.
 *
 * It works as the user who runs the sandbox, without any capability: of root it has the name and
 * not the right to ignore permissions.
 */
#pragma once

#include "base/base.h"

/* SOCK_SEQPACKET; requests and answers may come in different orders. */
struct dial_request {
	uint32_t route;
	uint32_t token;
};

struct dial_answer {
	uint32_t token;
	int32_t error; /* 0: a connected, non-blocking socket comes with it; or a negative errno */
};

/** dial_run - serve @fd until the other side closes it: 0; or a negative errno */
int dial_run(int fd, char *const *paths, uint32_t n) MSB_MUST_CHECK;

/** dial_path - a connected, non-blocking socket, or a negative errno */
int dial_path(const char *path) MSB_MUST_CHECK;
