/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of messages: see msg.h. */
#pragma once

#include "base/base.h"

struct msg_tmpfs {
	const char *path;
	uint64_t size_bytes; /* 0: the kernel's default */
	const char *options; /* extra mount options, comma-separated, may be "" */
};

struct msg_rlimit {
	uint32_t resource; /* RLIMIT_* of Linux */
	uint64_t soft; /* UINT64_MAX: unlimited */
	uint64_t hard;
};

/* The network device and who is at its other end. Addresses are numbers of 32 and 2 x 64 bits. */
struct msg_net {
	uint32_t mtu; /* 0: no network */
	uint32_t ip4;
	uint32_t gateway4; /* also answers questions about names */
	uint32_t prefix4;
	uint64_t ip6[2]; /* zero: none */
	uint64_t gateway6[2];
	uint32_t prefix6;
};

/* A virtio-fs device or a disk to mount. */
struct msg_share {
	const char *tag; /* of the device; path in /dev: a disk */
	const char *path;
	const char *only; /* the share holds a file of this name that belongs at @path; "": none.
			   * Of a disk the type of its file system, "" probes */
	const char *options; /* of the mount, comma-separated, may be "" */
};

/* What STAT says, and LIST of every entry. */
struct msg_stat {
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint32_t mode; /* with the file type bits of Linux */
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint64_t rdev;
	int64_t mtime_s;
	uint32_t mtime_ns;
};
