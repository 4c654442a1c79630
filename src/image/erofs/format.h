/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On-disk structures of EROFS as far as we write them: uncompressed, 4 KiB blocks.
 *
 * Names follow the kernel's documentation of the format. All fields are little-endian, as is every
 * machine we build for.
 */
#pragma once

#include "base/base.h"

enum {
	EROFS_BLOCK = 4096,
	EROFS_SUPER_AT = 1024,
	EROFS_SLOT = 32, /* inode numbers count slots of this size from the start of the metadata */
	EROFS_NAME_MAX = 255,
	EROFS_XATTR_VALUE_MAX = 65535,
};

#define EROFS_MAGIC	    0xE0F5E1E2u
#define EROFS_COMPAT_CHKSUM 0x1u
#define EROFS_COMPAT_MTIME  0x2u

enum erofs_layout { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2 };

struct erofs_super {
	uint32_t magic;
	uint32_t checksum; /* crc32c of the rest of the block with this field zero */
	uint32_t feature_compat;
	uint8_t blkszbits;
	uint8_t extslots;
	uint16_t root_nid;
	uint64_t inos;
	uint64_t build_time;
	uint32_t build_time_nsec;
	uint32_t blocks;
	uint32_t meta_blkaddr;
	uint32_t xattr_blkaddr;
	uint8_t uuid[16];
	uint8_t volume_name[16];
	uint32_t feature_incompat;
	uint16_t available_compr_algs;
	uint16_t extra_devices;
	uint16_t devt_slotoff;
	uint8_t dirblkbits;
	uint8_t xattr_prefix_count;
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;
	uint8_t xattr_filter_reserved;
	uint8_t reserved[23];
};
_Static_assert(sizeof(struct erofs_super) == 128, "size given by the format");

/* Times of a compact inode are those of the superblock. */
struct erofs_inode_compact {
	uint16_t format; /* bit 0: extended; bits 1..3: enum erofs_layout */
	uint16_t xattr_icount;
	uint16_t mode;
	uint16_t nlink;
	uint32_t size;
	uint32_t reserved;
	uint32_t u; /* first block of the data, or device number */
	uint32_t ino;
	uint16_t uid;
	uint16_t gid;
	uint32_t reserved2;
};
_Static_assert(sizeof(struct erofs_inode_compact) == 32, "size given by the format");

struct erofs_inode_extended {
	uint16_t format;
	uint16_t xattr_icount;
	uint16_t mode;
	uint16_t reserved;
	uint64_t size;
	uint32_t u;
	uint32_t ino;
	uint32_t uid;
	uint32_t gid;
	uint64_t mtime;
	uint32_t mtime_nsec;
	uint32_t nlink;
	uint8_t reserved2[16];
};
_Static_assert(sizeof(struct erofs_inode_extended) == 64, "size given by the format");

struct erofs_dirent {
	uint64_t nid;
	uint16_t nameoff;
	uint8_t file_type;
	uint8_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_dirent) == 12, "size given by the format");

struct erofs_xattr_header {
	uint32_t name_filter;
	uint8_t shared_count;
	uint8_t reserved[7];
};
_Static_assert(sizeof(struct erofs_xattr_header) == 12, "size given by the format");

struct erofs_xattr_entry {
	uint8_t name_len;
	uint8_t name_index;
	uint16_t value_size;
};
_Static_assert(sizeof(struct erofs_xattr_entry) == 4, "size given by the format");

/** erofs_crc32c - CRC-32C without the final inversion, as the superblock wants it; start with ~0 */
uint32_t erofs_crc32c(uint32_t crc, const void *p, size_t len);
