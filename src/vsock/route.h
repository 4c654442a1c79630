/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host that a guest may reach, as they are written and kept. */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"

enum { VSOCK_PATH_SIZE = 108 }; /* of a Unix socket's address */

struct vsock_route {
	uint32_t port; /* that the guest connects to */
	char path[VSOCK_PATH_SIZE]; /* absolute; no part of it is a symbolic link when it is used */
};

struct vsock_routes {
	uint32_t n;
	struct vsock_route list[LIMIT_VSOCKS];
};

/** vsock_route_parse - PATH:PORT[/stream]; the path may be relative still */
int vsock_route_parse(const char *text, struct vsock_route *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** vsock_route_check - a port that there can be, an absolute path */
int vsock_route_check(const struct vsock_route *r, struct msb_err *err) MSB_MUST_CHECK;

/** vsock_routes_add - one more, of another port than the others */
int vsock_routes_add(struct vsock_routes *to, const struct vsock_route *r, struct msb_err *err)
	MSB_MUST_CHECK;
