/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-vmm and msb-vsock say to each other: packets of a virtual socket device, one per packet
 * of a SOCK_SEQPACKET socket, each a struct virtio_vsock_hdr and its payload.
 *
 * What the guest says is passed on as it is; msb-vmm looks at the length of the whole packet only.
 * What is for the guest msb-vmm cuts to the size of the guest's buffers, which a stream of bytes
 * allows.
 */
#pragma once

#include "base/base.h"

enum {
	VSOCKLINK_HEADER = 44, /* struct virtio_vsock_hdr */
	VSOCKLINK_FROM_GUEST_MAX = 64 * 1024, /* payload */
	VSOCKLINK_TO_GUEST_MAX = 16 * 1024, /* the same */
	VSOCKLINK_CID_GUEST = 3,
	VSOCKLINK_SOCKET_BUFFER = 512 * 1024,
};
