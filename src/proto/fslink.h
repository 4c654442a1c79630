/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-vmm and msb-fs say to each other: FUSE messages on a SOCK_SEQPACKET socket.
 *
 * Each message from the VMM is a struct fslink_head and one FUSE request; each message back is one
 * FUSE reply. Replies come in the order of their requests. A request with room for at least the
 * head of a reply always gets exactly one, of at most that many bytes, whatever the request is; a
 * request with less room never gets any. So both sides agree about who answers what, even when the
 * guest changes a request while it is being sent.
 */
#pragma once

#include "base/base.h"

enum {
	FSLINK_REPLY_MIN = 16, /* head of a FUSE reply */
	FSLINK_DATA_MAX = 128 * 1024, /* payload of one FUSE message */
	FSLINK_MESSAGE_MAX = FSLINK_DATA_MAX + 4096,
	FSLINK_SOCKET_BUFFER = 2 * FSLINK_MESSAGE_MAX,
};

struct fslink_head {
	uint32_t room; /* for the reply */
	uint32_t zero;
};
