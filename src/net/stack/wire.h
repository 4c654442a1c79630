/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of packets: big-endian access at any alignment, checksums, the numbers of the protocols.
 *
 * Nothing here checks a length; whoever parses has done so.
 */
#pragma once

#include <sys/uio.h>

#include "base/base.h"

enum {
	VNET_LEN = 12, /* struct virtio_net_hdr_v1 */
	VNET_NEEDS_CSUM = 1, /* flags */
	VNET_GSO_NONE = 0,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	VNET_GSO_ECN = 0x80,

	ETH_LEN = 14,
	ETH_IP4 = 0x0800,
	ETH_ARP = 0x0806,
	ETH_IP6 = 0x86dd,

	IP4_LEN = 20,
	IP6_LEN = 40,
	IP_MAX = 65535, /* largest packet, and largest payload of IPv6 */
	IP_ICMP = 1,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_ICMP6 = 58,

	TCP_LEN = 20,
	UDP_LEN = 8,
	ICMP_LEN = 8,

	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
};

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* virtio headers are little-endian. */
static inline uint16_t get16le(const uint8_t *p)
{
	return (uint16_t)(p[1] << 8 | p[0]);
}

static inline void put16le(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

/* Sequence numbers live on a circle: how far is @a after @b (negative: before). */
static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/** csum_add - add @n bytes to the running sum; only the last piece of a packet may be odd */
uint64_t csum_add(uint64_t sum, const void *p, size_t n);

/** csum_iov - the same over pieces of any length */
uint64_t csum_iov(uint64_t sum, const struct iovec *iov, int n);

/** csum_fold - the sum in 16 bits, not yet inverted, as it is stored in a packet */
uint16_t csum_fold(uint64_t sum);
