/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-vmm and msb-net say to each other: Ethernet frames, one per packet of a SOCK_SEQPACKET
 * socket, each behind a struct virtio_net_hdr_v1.
 *
 * With the header come checksums that are still to be computed and segments that are still to be
 * cut: a frame may be as long as an IP packet can be. Both directions are alike. What the header of
 * a frame from the guest says is the guest's word; msb-vmm does not look at it.
 *
 * QEMU has no way to pass the header through a socket that it inherits: there a packet of a
 * SOCK_DGRAM socket is a bare frame.
 */
#pragma once

#include "base/base.h"

enum {
	NETFRAME_HEADER = 12, /* struct virtio_net_hdr_v1 */
	NETFRAME_ETH = 14,
	NETFRAME_MAX = NETFRAME_HEADER + NETFRAME_ETH + 4 + 65535, /* with a VLAN tag */
	NETFRAME_SOCKET_BUFFER = 4 << 20,
};
