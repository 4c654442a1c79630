/* SPDX-License-Identifier: Apache-2.0 */
/* EROFS reader for tests: see read.h. */
#include "image/erofs/read.h"

#include <sys/stat.h>

static bool inside(const struct erofs_image *i, uint64_t at, uint64_t n)
{
	return at <= i->len && n <= i->len - at;
}

/* @n bytes at @at of the disk that are ours to read, or NULL. */
static const uint8_t *bytes(const struct erofs_image *i, uint64_t at, uint64_t n)
{
	if (!inside(i, at, n))
		return NULL;
	if (at < EROFS_BLOCK)
		return n <= EROFS_BLOCK - at || !i->foreign ? i->p + at : NULL;
	return at - EROFS_BLOCK >= i->foreign ? i->p + (at - i->foreign) : NULL;
}

int erofs_image_open(struct erofs_image *ret, const void *p, size_t len, uint64_t extern_blocks)
{
	struct erofs_image i = {.p = p,
		.len = len + extern_blocks * EROFS_BLOCK,
		.foreign = extern_blocks * EROFS_BLOCK};
	uint8_t block[EROFS_BLOCK - EROFS_SUPER_AT];
	struct erofs_super sb;
	uint32_t sum;

	if (len < EROFS_BLOCK || len % EROFS_BLOCK)
		return -EBADMSG;
	memcpy(block, i.p + EROFS_SUPER_AT, sizeof(block));
	memcpy(&sb, block, sizeof(sb));
	sum = sb.checksum;
	sb.checksum = 0;
	memcpy(block, &sb, sizeof(sb));
	if (sb.magic != EROFS_MAGIC || sb.blkszbits != 12 || sb.feature_incompat ||
		(uint64_t)sb.blocks * EROFS_BLOCK != i.len ||
		erofs_crc32c(~0u, block, sizeof(block)) != sum)
		return -EBADMSG;
	i.meta_at = (uint64_t)sb.meta_blkaddr * EROFS_BLOCK;
	i.root = sb.root_nid;
	i.inos = sb.inos;
	i.time_s = (int64_t)sb.build_time;
	*ret = i;
	return 0;
}

static void decode_compact(
	const struct erofs_image *i, const struct erofs_inode_compact *c, struct erofs_file *f)
{
	f->mode = c->mode;
	f->uid = c->uid;
	f->gid = c->gid;
	f->nlink = c->nlink;
	f->size = c->size;
	f->first_block = c->u;
	f->mtime_s = i->time_s;
}

static void decode_extended(const struct erofs_inode_extended *x, struct erofs_file *f)
{
	f->mode = x->mode;
	f->uid = x->uid;
	f->gid = x->gid;
	f->nlink = x->nlink;
	f->size = x->size;
	f->first_block = x->u;
	f->mtime_s = (int64_t)x->mtime;
	f->mtime_ns = x->mtime_nsec;
}

/* Where the data is: whole blocks elsewhere, the rest behind @at, the end of inode and attributes.
 */
static int place_data(
	const struct erofs_image *i, struct erofs_file *f, enum erofs_layout layout, uint64_t at)
{
	uint64_t whole = f->size / EROFS_BLOCK;
	uint64_t rest = f->size % EROFS_BLOCK;

	if (S_ISCHR(f->mode) || S_ISBLK(f->mode)) {
		f->major = (uint32_t)(f->first_block >> 8) & 0xfff;
		f->minor = (uint32_t)(f->first_block & 0xff) |
			   ((uint32_t)(f->first_block >> 12) & 0xfff00);
		return f->size ? -EBADMSG : 0;
	}
	if (layout == EROFS_FLAT_INLINE) {
		/* The kernel reads the tail from the block of the inode. */
		f->tail = bytes(i, at, rest);
		if (!rest || !f->tail || at % EROFS_BLOCK + rest > EROFS_BLOCK)
			return -EBADMSG;
	} else if (layout == EROFS_FLAT_PLAIN) {
		whole += rest != 0;
	} else {
		return -EBADMSG;
	}
	return !whole || (f->first_block &&
				 inside(i, f->first_block * EROFS_BLOCK, whole * EROFS_BLOCK))
		       ? 0
		       : -EBADMSG;
}

int erofs_image_file(const struct erofs_image *i, uint64_t nid, struct erofs_file *ret)
{
	struct erofs_inode_compact c;
	struct erofs_inode_extended x;
	struct erofs_file f = {.nid = nid};
	uint64_t at = i->meta_at + nid * EROFS_SLOT;
	const uint8_t *p = nid <= i->len / EROFS_SLOT ? bytes(i, at, sizeof(c)) : NULL;
	size_t head;
	size_t xattrs;

	if (!p)
		return -EBADMSG;
	memcpy(&c, p, sizeof(c));
	head = c.format & 1 ? sizeof(x) : sizeof(c);
	xattrs = c.xattr_icount
			 ? sizeof(struct erofs_xattr_header) + (size_t)(c.xattr_icount - 1) * 4
			 : 0;
	if (!bytes(i, at, head + xattrs))
		return -EBADMSG;
	if (c.format & 1) {
		memcpy(&x, p, sizeof(x));
		decode_extended(&x, &f);
	} else {
		decode_compact(i, &c, &f);
	}
	if (xattrs) {
		f.xattrs = p + head + sizeof(struct erofs_xattr_header);
		f.xattrs_len = xattrs - sizeof(struct erofs_xattr_header);
	}
	*ret = f;
	return place_data(i, ret, (enum erofs_layout)(c.format >> 1 & 7), at + head + xattrs);
}

const uint8_t *erofs_image_data(
	const struct erofs_image *i, const struct erofs_file *f, uint64_t at, size_t n)
{
	assert(at + n <= f->size && (n == 0 || at / EROFS_BLOCK == (at + n - 1) / EROFS_BLOCK));
	if (f->tail && at / EROFS_BLOCK == f->size / EROFS_BLOCK)
		return f->tail + at % EROFS_BLOCK;
	return bytes(i, f->first_block * EROFS_BLOCK + at, n);
}

bool erofs_image_xattr(const struct erofs_file *f, size_t *at, struct erofs_attr_at *ret)
{
	struct erofs_xattr_entry e;
	size_t size;

	if (f->xattrs_len - *at < sizeof(e))
		return false;
	memcpy(&e, f->xattrs + *at, sizeof(e));
	size = (sizeof(e) + e.name_len + e.value_size + 3) & ~(size_t)3;
	if (size > f->xattrs_len - *at)
		return false;
	ret->index = e.name_index;
	ret->name = f->xattrs + *at + sizeof(e);
	ret->name_len = e.name_len;
	ret->value = ret->name + e.name_len;
	ret->value_len = e.value_size;
	*at += size;
	return true;
}

/* One block of a directory. */
struct names {
	const uint8_t *p;
	size_t len;
	size_t n;
};

struct name {
	const uint8_t *text;
	size_t len;
	uint64_t nid;
	uint8_t type;
};

static int names_open(const struct erofs_image *i, const struct erofs_file *dir, uint64_t block,
	struct names *ret)
{
	uint64_t at = block * EROFS_BLOCK;
	struct erofs_dirent first;

	ret->len = (size_t)MIN(dir->size - at, (uint64_t)EROFS_BLOCK);
	ret->p = erofs_image_data(i, dir, at, ret->len);
	if (!ret->p || ret->len < sizeof(first))
		return -EBADMSG;
	memcpy(&first, ret->p, sizeof(first));
	ret->n = first.nameoff / sizeof(first);
	return ret->n && first.nameoff % sizeof(first) == 0 && first.nameoff < ret->len ? 0
											: -EBADMSG;
}

static int names_get(const struct names *n, size_t k, struct name *ret)
{
	struct erofs_dirent d;
	struct erofs_dirent next = {.nameoff = (uint16_t)n->len};

	memcpy(&d, n->p + k * sizeof(d), sizeof(d));
	if (k + 1 < n->n)
		memcpy(&next, n->p + (k + 1) * sizeof(d), sizeof(d));
	if (d.nameoff < n->n * sizeof(d) || next.nameoff <= d.nameoff || next.nameoff > n->len)
		return -EBADMSG;
	ret->text = n->p + d.nameoff;
	ret->len = (size_t)(next.nameoff - d.nameoff);
	/* The last name of a block ends at the block's end or with a NUL. */
	if (k + 1 == n->n)
		ret->len = strnlen((const char *)ret->text, ret->len);
	ret->nid = d.nid;
	ret->type = d.file_type;
	return ret->len && ret->len <= EROFS_NAME_MAX ? 0 : -EBADMSG;
}

static int name_compare(const struct name *a, const char *text, size_t len)
{
	int r = memcmp(a->text, text, MIN(a->len, len));

	return r ? r : (a->len > len) - (a->len < len);
}

static uint64_t dir_blocks(const struct erofs_file *dir)
{
	return (dir->size + EROFS_BLOCK - 1) / EROFS_BLOCK;
}

int erofs_image_find(const struct erofs_image *i, const struct erofs_file *dir, const char *name,
	size_t len, uint64_t *ret_nid)
{
	uint64_t low = 0;
	uint64_t high = dir_blocks(dir);
	struct names block;
	struct name n = {.text = (const uint8_t *)""};
	int r;

	/* The last block whose first name is not behind ours. */
	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;

		r = names_open(i, dir, middle, &block);
		if (r == 0)
			r = names_get(&block, 0, &n);
		if (r < 0)
			return r;
		if (name_compare(&n, name, len) <= 0)
			low = middle;
		else
			high = middle;
	}
	r = high ? names_open(i, dir, low, &block) : -ENOENT;
	for (size_t a = 0, b = r == 0 ? block.n : 0; a < b;) {
		size_t middle = (a + b) / 2;
		int c;

		r = names_get(&block, middle, &n);
		if (r < 0)
			return r;
		c = name_compare(&n, name, len);
		if (c == 0) {
			*ret_nid = n.nid;
			return 0;
		}
		if (c < 0)
			a = middle + 1;
		else
			b = middle;
	}
	return r < 0 ? r : -ENOENT;
}

struct seen {
	uint64_t nid;
	uint64_t parent; /* of a directory */
};

struct check {
	const struct erofs_image *i;
	struct seen *seen; /* every name that is not "." or ".." */
	size_t n;
	size_t cap;
	const char *why;
};

static int bad(struct check *c, const char *why)
{
	c->why = why;
	return -EBADMSG;
}

static int see(struct check *c, uint64_t nid, uint64_t parent)
{
	if (c->n > (c->i->len - c->i->foreign) / sizeof(struct erofs_dirent))
		return bad(c, "more names than the image has room for");
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct seen *more = realloc(c->seen, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		c->seen = more;
		c->cap = cap;
	}
	c->seen[c->n++] = (struct seen){.nid = nid, .parent = parent};
	return 0;
}

static bool type_fits(uint8_t type, uint32_t mode)
{
	static const uint32_t modes[] = {
		0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK};

	return type && type < ARRAY_SIZE(modes) && (mode & S_IFMT) == modes[type];
}

static bool name_is(const struct name *n, const char *text)
{
	return name_compare(n, text, strlen(text)) == 0;
}

/* Counts directories among the children in @subdirs. */
static int check_name(struct check *c, const struct erofs_file *dir, uint64_t parent,
	const struct name *n, uint32_t *subdirs)
{
	struct erofs_file f;
	uint64_t found;

	if (erofs_image_file(c->i, n->nid, &f) < 0)
		return bad(c, "a name leads to no inode");
	if (!type_fits(n->type, f.mode))
		return bad(c, "a name and its inode are of different types");
	if (erofs_image_find(c->i, dir, (const char *)n->text, n->len, &found) < 0 ||
		found != n->nid)
		return bad(c, "a name is not found by halving");
	if (name_is(n, "."))
		return n->nid == dir->nid ? 0 : bad(c, "'.' leads elsewhere");
	if (name_is(n, ".."))
		return n->nid == parent ? 0 : bad(c, "'..' leads elsewhere");
	if (memchr(n->text, '/', n->len) || memchr(n->text, '\0', n->len))
		return bad(c, "a name with a slash or a NUL");
	*subdirs += S_ISDIR(f.mode);
	return see(c, n->nid, dir->nid);
}

static int check_dir(struct check *c, uint64_t nid, uint64_t parent)
{
	struct name last = {};
	struct erofs_file dir;
	size_t count = 0;
	uint32_t subdirs = 0;

	if (erofs_image_file(c->i, nid, &dir) < 0)
		return bad(c, "no inode of a directory");
	for (uint64_t b = 0; b < dir_blocks(&dir); b++) {
		struct names block;

		if (names_open(c->i, &dir, b, &block) < 0)
			return bad(c, "a block of a directory is damaged");
		for (size_t k = 0; k < block.n; k++) {
			struct name n;
			int r;

			if (names_get(&block, k, &n) < 0)
				return bad(c, "a name is damaged");
			if (count++ && name_compare(&last, (const char *)n.text, n.len) >= 0)
				return bad(c, "names are not in order");
			r = check_name(c, &dir, parent, &n, &subdirs);
			if (r < 0)
				return r;
			last = n;
		}
	}
	if (erofs_image_find(c->i, &dir, ".", 1, &(uint64_t){0}) < 0 ||
		erofs_image_find(c->i, &dir, "..", 2, &(uint64_t){0}) < 0)
		return bad(c, "no '.' or '..'");
	return dir.nlink == 2 + subdirs ? 0 : bad(c, "link count of a directory");
}

static int compare_seen(const void *a, const void *b)
{
	const struct seen *x = a;
	const struct seen *y = b;

	return (x->nid > y->nid) - (x->nid < y->nid);
}

/* After the walk: as many names for each inode as it says. */
static int check_counts(struct check *c)
{
	uint64_t inos = 1;

	/* Even of nothing, qsort() wants an address. */
	if (c->n)
		qsort(c->seen, c->n, sizeof(c->seen[0]), compare_seen);
	for (size_t k = 0; k < c->n;) {
		struct erofs_file f;
		size_t names = 1;

		if (erofs_image_file(c->i, c->seen[k].nid, &f) < 0)
			return bad(c, "an inode that was here is gone");
		while (k + names < c->n && c->seen[k + names].nid == c->seen[k].nid)
			names++;
		if (S_ISDIR(f.mode) ? names != 1 : names != f.nlink)
			return bad(c, "link count of a file");
		k += names;
		inos++;
	}
	return inos == c->i->inos ? 0 : bad(c, "number of inodes");
}

int erofs_image_check(const struct erofs_image *i, size_t *ret_names, const char **ret_why)
{
	struct check c = {.i = i, .why = ""};
	int r = check_dir(&c, i->root, i->root);

	/* The list grows while it is walked: directories are found in it. */
	for (size_t k = 0; k < c.n && r == 0; k++) {
		struct erofs_file f;

		r = erofs_image_file(i, c.seen[k].nid, &f);
		if (r == 0 && S_ISDIR(f.mode))
			r = check_dir(&c, c.seen[k].nid, c.seen[k].parent);
	}
	if (r == 0)
		r = check_counts(&c);
	*ret_names = c.n;
	*ret_why = c.why;
	free(c.seen);
	return r;
}
