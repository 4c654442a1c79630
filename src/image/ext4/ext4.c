/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes empty ext4 file systems: see ext4.h.
 *
 * Layout, in blocks of 4 KiB and groups of 32768 of them: superblock and group descriptors at the
 * start of group 0, copies of both in groups 1 and the powers of 3, 5 and 7. Sixteen groups make a
 * flexible group, whose first group holds the bitmaps and inode tables of all of them. Group 0
 * continues with the root directory, lost+found and the journal.
 *
 * Groups without metadata of others are marked as not initialised, so that nobody reads their
 * bitmaps; inode tables are marked as zeroed, which a hole is.
 *
 * Numbers on disk are little-endian, those of the journal big-endian.
 */
#include "image/ext4/ext4.h"

#include <endian.h>

enum {
	GROUP_BLOCKS = 32768,
	GROUP_INODES = 8192,
	INODE_SIZE = 256,
	TABLE_BLOCKS = GROUP_INODES * INODE_SIZE / EXT4_BLOCK,
	DESC_SIZE = 32,
	FLEX_LOG = 4,
	FLEX = 1 << FLEX_LOG,
	SUPER_AT = 1024,
	SUPER_SIZE = 1024,
	/* A last group smaller than this beside its metadata is left out. */
	GROUP_WORTH = 64,

	INO_ROOT = 2,
	INO_JOURNAL = 8,
	INO_FIRST = 11, /* lost+found */

	JOURNAL_SMALL = 1024, /* the least the kernel takes */
	JOURNAL_BLOCKS = 4096,
};

enum {
	COMPAT_JOURNAL = 0x4,
	COMPAT_EXT_ATTR = 0x8,
	COMPAT_DIR_INDEX = 0x20,
	INCOMPAT_FILETYPE = 0x2,
	INCOMPAT_EXTENTS = 0x40,
	INCOMPAT_FLEX_BG = 0x200,
	RO_SPARSE_SUPER = 0x1,
	RO_LARGE_FILE = 0x2,
	RO_HUGE_FILE = 0x8,
	RO_GDT_CSUM = 0x10,
	RO_DIR_NLINK = 0x20,
	RO_EXTRA_ISIZE = 0x40,

	BG_INODE_UNINIT = 0x1,
	BG_BLOCK_UNINIT = 0x2,
	BG_INODE_ZEROED = 0x4,

	INODE_EXTENTS = 0x80000,
};

struct fs {
	const struct ext4_opts *opts;
	int fd;
	uint32_t blocks;
	uint32_t groups;
	uint32_t gdt_blocks;
	uint32_t root_block; /* lost+found follows, then the journal */
	uint32_t journal_blocks;
	uint32_t free_blocks;
	uint8_t *head; /* superblock and descriptors as they lie in group 0 */
};

static void put16(uint8_t *p, uint32_t v)
{
	uint16_t le = htole16((uint16_t)v);

	memcpy(p, &le, sizeof(le));
}

static void put32(uint8_t *p, uint64_t v)
{
	uint32_t le = htole32((uint32_t)v);

	memcpy(p, &le, sizeof(le));
}

static void put32_be(uint8_t *p, uint32_t v)
{
	uint32_t be = htobe32(v);

	memcpy(p, &be, sizeof(be));
}

static bool power_of(uint32_t n, uint32_t base)
{
	while (n % base == 0)
		n /= base;
	return n == 1;
}

static bool has_super(uint32_t group)
{
	return group <= 1 ||
	       (group % 2 && (power_of(group, 3) || power_of(group, 5) || power_of(group, 7)));
}

/* Blocks at the start of @group that superblock and descriptors take. */
static uint32_t super_blocks(const struct fs *f, uint32_t group)
{
	return has_super(group) ? 1 + f->gdt_blocks : 0;
}

static uint32_t flex_first(uint32_t group)
{
	return group & ~(uint32_t)(FLEX - 1);
}

/* Groups whose metadata is in @group. */
static uint32_t flex_groups(const struct fs *f, uint32_t group)
{
	return group % FLEX ? 0 : MIN((uint32_t)FLEX, f->groups - group);
}

static uint32_t meta_start(const struct fs *f, uint32_t group)
{
	uint32_t first = flex_first(group);

	return first * GROUP_BLOCKS + super_blocks(f, first);
}

static uint32_t block_bitmap(const struct fs *f, uint32_t group)
{
	return meta_start(f, group) + group % FLEX;
}

static uint32_t inode_bitmap(const struct fs *f, uint32_t group)
{
	return block_bitmap(f, group) + flex_groups(f, flex_first(group));
}

static uint32_t inode_table(const struct fs *f, uint32_t group)
{
	return meta_start(f, group) + 2 * flex_groups(f, flex_first(group)) +
	       group % FLEX * TABLE_BLOCKS;
}

static uint32_t group_blocks(const struct fs *f, uint32_t group)
{
	return MIN((uint32_t)GROUP_BLOCKS, f->blocks - group * GROUP_BLOCKS);
}

/* Blocks in use at the start of @group. */
static uint32_t used_blocks(const struct fs *f, uint32_t group)
{
	uint32_t n = super_blocks(f, group) + flex_groups(f, group) * (2 + TABLE_BLOCKS);

	return group == 0 ? n + 2 + f->journal_blocks : n;
}

static void lay_out(struct fs *f)
{
	f->blocks = (uint32_t)(f->opts->size_bytes / EXT4_BLOCK);
	for (;;) {
		uint32_t last;

		f->groups = (f->blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
		f->gdt_blocks = (f->groups * DESC_SIZE + EXT4_BLOCK - 1) / EXT4_BLOCK;
		last = f->groups - 1;
		if (last == 0 || group_blocks(f, last) >= used_blocks(f, last) + GROUP_WORTH)
			break;
		f->blocks = last * GROUP_BLOCKS;
	}
	if (f->opts->journal)
		f->journal_blocks = f->blocks < GROUP_BLOCKS ? JOURNAL_SMALL : JOURNAL_BLOCKS;
	f->root_block = super_blocks(f, 0) + flex_groups(f, 0) * (2 + TABLE_BLOCKS);
	for (uint32_t g = 0; g < f->groups; g++)
		f->free_blocks += group_blocks(f, g) - used_blocks(f, g);
}

/* CRC-16 with the reflected polynomial 0xa001. */
static uint16_t crc16(uint16_t crc, const uint8_t *p, size_t n)
{
	while (n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
	}
	return crc;
}

static uint16_t desc_checksum(const struct fs *f, uint32_t group, const uint8_t *desc)
{
	uint8_t number[4];
	uint16_t crc = crc16(0xffff, f->opts->uuid, sizeof(f->opts->uuid));

	put32(number, group);
	return crc16(crc16(crc, number, sizeof(number)), desc, DESC_SIZE - 2);
}

/* Does the bitmap of @group say more than its descriptor? */
static bool needs_block_bitmap(const struct fs *f, uint32_t group)
{
	return group % FLEX == 0 || group == f->groups - 1;
}

static void put_desc(const struct fs *f, uint32_t group)
{
	uint8_t *d = f->head + EXT4_BLOCK + (size_t)group * DESC_SIZE;
	uint32_t used = group == 0 ? INO_FIRST : 0;
	uint32_t flags = BG_INODE_ZEROED;

	if (group > 0)
		flags |= BG_INODE_UNINIT;
	if (!needs_block_bitmap(f, group))
		flags |= BG_BLOCK_UNINIT;
	put32(d, block_bitmap(f, group));
	put32(d + 4, inode_bitmap(f, group));
	put32(d + 8, inode_table(f, group));
	put16(d + 12, group_blocks(f, group) - used_blocks(f, group));
	put16(d + 14, GROUP_INODES - used);
	put16(d + 16, group == 0 ? 2 : 0); /* directories */
	put16(d + 18, flags);
	put16(d + 28, GROUP_INODES - used); /* never used */
	put16(d + 30, desc_checksum(f, group, d));
}

/* The tree of a file that is one extent. */
static void put_extent(uint8_t *to, uint32_t block, uint32_t n)
{
	put16(to, 0xf30a);
	put16(to + 2, 1); /* entries */
	put16(to + 4, 4); /* room */
	put16(to + 16, n);
	put32(to + 20, block);
}

static void put_super(const struct fs *f)
{
	const struct ext4_opts *o = f->opts;
	uint8_t *s = f->head + SUPER_AT;

	put32(s + 0x00, (uint64_t)f->groups * GROUP_INODES);
	put32(s + 0x04, f->blocks);
	put32(s + 0x0c, f->free_blocks);
	put32(s + 0x10, (uint64_t)f->groups * GROUP_INODES - INO_FIRST);
	put32(s + 0x18, 2); /* 1 KiB << 2 */
	put32(s + 0x1c, 2);
	put32(s + 0x20, GROUP_BLOCKS);
	put32(s + 0x24, GROUP_BLOCKS);
	put32(s + 0x28, GROUP_INODES);
	put32(s + 0x30, o->now_s);
	put16(s + 0x36, 0xffff); /* no check after so many mounts */
	put16(s + 0x38, 0xef53);
	put16(s + 0x3a, 1); /* clean */
	put16(s + 0x3c, 2); /* errors: read-only */
	put32(s + 0x40, o->now_s);
	put32(s + 0x4c, 1); /* dynamic inode size */
	put32(s + 0x54, INO_FIRST);
	put16(s + 0x58, INODE_SIZE);
	put32(s + 0x5c,
		COMPAT_EXT_ATTR | COMPAT_DIR_INDEX | (f->journal_blocks ? COMPAT_JOURNAL : 0));
	put32(s + 0x60, INCOMPAT_FILETYPE | INCOMPAT_EXTENTS | INCOMPAT_FLEX_BG);
	put32(s + 0x64, RO_SPARSE_SUPER | RO_LARGE_FILE | RO_HUGE_FILE | RO_GDT_CSUM |
				RO_DIR_NLINK | RO_EXTRA_ISIZE);
	memcpy(s + 0x68, o->uuid, sizeof(o->uuid));
	memcpy(s + 0xec, o->uuid, sizeof(o->uuid)); /* seed of directory hashes */
	s[0xfc] = 1; /* half MD4 */
	put32(s + 0x108, o->now_s);
	put16(s + 0x15c, 32);
	put16(s + 0x15e, 32);
	put32(s + 0x160, 1); /* signed hash */
	s[0x174] = FLEX_LOG;
	if (!f->journal_blocks)
		return;
	put32(s + 0xe0, INO_JOURNAL);
	/* Where the journal is, should its inode be damaged. */
	s[0xfd] = 1;
	put_extent(s + 0x10c, f->root_block + 2, f->journal_blocks);
	put32(s + 0x10c + 64, (uint64_t)f->journal_blocks * EXT4_BLOCK);
}

static int put_at(const struct fs *f, uint32_t block, const void *p, size_t n)
{
	const uint8_t *from = p;
	off_t at = (off_t)block * EXT4_BLOCK;

	while (n > 0) {
		ssize_t put = pwrite(f->fd, from, n, at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		from += put;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Sets bits [@from, @to). */
static void set_bits(uint8_t *map, uint32_t from, uint32_t to)
{
	for (; from < to && from % 8; from++)
		map[from / 8] |= (uint8_t)(1 << from % 8);
	for (; from + 8 <= to; from += 8)
		map[from / 8] = 0xff;
	for (; from < to; from++)
		map[from / 8] |= (uint8_t)(1 << from % 8);
}

static int write_bitmaps(const struct fs *f)
{
	uint8_t map[EXT4_BLOCK] = {0};
	int r;

	set_bits(map, 0, INO_FIRST);
	set_bits(map, GROUP_INODES, EXT4_BLOCK * 8);
	r = put_at(f, inode_bitmap(f, 0), map, sizeof(map));
	for (uint32_t g = 0; g < f->groups && r == 0; g++) {
		if (!needs_block_bitmap(f, g))
			continue;
		memset(map, 0, sizeof(map));
		set_bits(map, 0, used_blocks(f, g));
		set_bits(map, group_blocks(f, g), EXT4_BLOCK * 8);
		r = put_at(f, block_bitmap(f, g), map, sizeof(map));
	}
	return r;
}

static void put_inode(const struct fs *f, uint8_t *table, uint32_t ino, uint32_t mode,
	uint32_t links, uint32_t block, uint32_t n)
{
	uint8_t *i = table + (size_t)(ino - 1) * INODE_SIZE;

	put16(i, mode);
	put32(i + 4, (uint64_t)n * EXT4_BLOCK);
	for (unsigned int at = 8; at <= 16; at += 4)
		put32(i + at, f->opts->now_s);
	put16(i + 26, links);
	put32(i + 28, (uint64_t)n * (EXT4_BLOCK / 512));
	put32(i + 32, INODE_EXTENTS);
	put_extent(i + 40, block, n);
	put16(i + 128, 32); /* extra size */
	put32(i + 144, f->opts->now_s); /* made */
}

static int write_inodes(const struct fs *f)
{
	uint8_t table[EXT4_BLOCK] = {0};

	_Static_assert(INO_FIRST * INODE_SIZE <= EXT4_BLOCK, "the first inodes share a block");
	put_inode(f, table, INO_ROOT, 040755, 3, f->root_block, 1);
	put_inode(f, table, INO_FIRST, 040700, 2, f->root_block + 1, 1);
	if (f->journal_blocks)
		put_inode(f, table, INO_JOURNAL, 0100600, 1, f->root_block + 2, f->journal_blocks);
	return put_at(f, inode_table(f, 0), table, sizeof(table));
}

/* An entry of a directory that ends @len bytes behind its start. */
static uint8_t *put_entry(uint8_t *to, uint32_t ino, uint32_t len, const char *name)
{
	size_t n = strlen(name);

	put32(to, ino);
	put16(to + 4, len);
	to[6] = (uint8_t)n;
	to[7] = 2; /* a directory */
	for (size_t i = 0; i < n; i++) /* without an end */
		to[8 + i] = (uint8_t)name[i];
	return to + len;
}

static int write_directories(const struct fs *f)
{
	uint8_t dirs[2][EXT4_BLOCK] = {0};
	uint8_t *p = put_entry(dirs[0], INO_ROOT, 12, ".");

	p = put_entry(p, INO_ROOT, 12, "..");
	(void)put_entry(p, INO_FIRST, EXT4_BLOCK - 24, "lost+found");
	p = put_entry(dirs[1], INO_FIRST, 12, ".");
	(void)put_entry(p, INO_ROOT, EXT4_BLOCK - 12, "..");
	return put_at(f, f->root_block, dirs, sizeof(dirs));
}

/* An empty journal is its superblock. */
static int write_journal(const struct fs *f)
{
	uint8_t s[EXT4_BLOCK] = {0};

	put32_be(s, 0xc03b3998);
	put32_be(s + 4, 4); /* superblock, version 2 */
	put32_be(s + 12, EXT4_BLOCK);
	put32_be(s + 16, f->journal_blocks);
	put32_be(s + 20, 1); /* first block of the log */
	put32_be(s + 24, 1); /* first transaction */
	memcpy(s + 48, f->opts->uuid, sizeof(f->opts->uuid));
	put32_be(s + 64, 1); /* users */
	return put_at(f, f->root_block + 2, s, sizeof(s));
}

/* The copies start with the superblock; it says in which group it is. */
static int write_backups(const struct fs *f)
{
	uint8_t *copy = f->head + EXT4_BLOCK - SUPER_SIZE;
	int r = 0;

	memmove(copy, f->head + SUPER_AT, SUPER_SIZE);
	memset(f->head, 0, EXT4_BLOCK - SUPER_SIZE);
	memmove(f->head, copy, SUPER_SIZE);
	memset(copy, 0, SUPER_SIZE);
	for (uint32_t g = 1; g < f->groups && r == 0; g++) {
		if (!has_super(g))
			continue;
		put16(f->head + 0x5a, g);
		r = put_at(f, g * GROUP_BLOCKS, f->head, (size_t)(1 + f->gdt_blocks) * EXT4_BLOCK);
	}
	return r;
}

static int write_all(struct fs *f)
{
	int r;

	if (ftruncate(f->fd, (off_t)f->opts->size_bytes) < 0)
		return -errno;
	put_super(f);
	for (uint32_t g = 0; g < f->groups; g++)
		put_desc(f, g);
	r = put_at(f, 0, f->head, (size_t)(1 + f->gdt_blocks) * EXT4_BLOCK);
	if (r == 0)
		r = write_bitmaps(f);
	if (r == 0)
		r = write_inodes(f);
	if (r == 0)
		r = write_directories(f);
	if (r == 0 && f->journal_blocks)
		r = write_journal(f);
	return r < 0 ? r : write_backups(f);
}

int ext4_format(int fd, const struct ext4_opts *opts, struct msb_err *err)
{
	struct fs f = {.opts = opts, .fd = fd};
	int r;

	if (opts->size_bytes < EXT4_MIN_BYTES || opts->size_bytes > EXT4_MAX_BYTES)
		return msb_err_set(err, -ERANGE, MSB_USAGE,
			"a file system must have %" PRIu64 " MiB to %" PRIu64 " GiB",
			EXT4_MIN_BYTES / MIB, EXT4_MAX_BYTES / GIB);
	lay_out(&f);
	f.head = calloc(1 + f.gdt_blocks, EXT4_BLOCK);
	r = f.head ? write_all(&f) : -ENOMEM;
	free(f.head);
	return r < 0 ? msb_err_errno(err, r, "cannot make a file system of %" PRIu64 " MiB",
			       opts->size_bytes / MIB)
		     : 0;
}
