/* SPDX-License-Identifier: Apache-2.0 */
/* EROFS writer, the tree and the file data: see erofs.h. */
#include <sys/stat.h>

#include "base/io.h"

#include "build-internal.h"

static struct erofs_node *node_new(struct erofs_builder *b, const struct erofs_attr *attr)
{
	struct erofs_node *n;

	if (b->n_nodes >= EROFS_NODES_MAX) {
		errno = E2BIG;
		return NULL;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->attr = *attr;
	n->nlink = 1;
	*b->nodes_end = n;
	b->nodes_end = &n->next;
	b->n_nodes++;
	return n;
}

int erofs_builder_new(int out_fd, const struct erofs_opts *opts, struct erofs_builder **ret)
{
	struct erofs_attr root = {.mode = S_IFDIR | 0755, .mtime_s = opts->mtime_s};
	struct erofs_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->fd = out_fd;
	b->opts = *opts;
	b->nodes_end = &b->nodes;
	b->file_shift = opts->extern_blocks * EROFS_BLOCK;
	b->data_end = EROFS_BLOCK + b->file_shift; /* block 0 holds the superblock */
	if (!node_new(b, &root)) {
		free(b);
		return -ENOMEM;
	}
	b->nodes->parent = b->nodes;
	b->nodes->nlink = 2;
	*ret = b;
	return 0;
}

static void node_free(struct erofs_node *n)
{
	for (size_t i = 0; i < n->n_children; i++)
		free(n->children[i].name);
	free(n->children);
	free(n->inline_data);
	free(n->xattrs);
	free(n);
}

struct erofs_builder *erofs_builder_free(struct erofs_builder *b)
{
	if (!b)
		return NULL;
	for (struct erofs_node *n = b->nodes; n;) {
		struct erofs_node *next = n->next;

		node_free(n);
		n = next;
	}
	free(b->out);
	free(b);
	return NULL;
}

struct erofs_node *erofs_root(struct erofs_builder *b)
{
	return b->nodes;
}

void erofs_set_attr(struct erofs_node *n, const struct erofs_attr *attr)
{
	uint32_t type = n->attr.mode & S_IFMT;

	n->attr = *attr;
	n->attr.mode = type | (attr->mode & 07777);
}

static int name_check(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || strchr(name, '/') || streq(name, ".") || streq(name, ".."))
		return -EINVAL;
	return len > EROFS_NAME_MAX ? -ENAMETOOLONG : 0;
}

/*
 * Duplicates are found when the directory is sorted at the end: a look-up at each insertion would
 * make large directories quadratic.
 */
int erofs_child_add(struct erofs_node *parent, const char *name, struct erofs_node *node)
{
	char *copy;

	if (!S_ISDIR(parent->attr.mode))
		return -ENOTDIR;
	if (parent->n_children == parent->cap_children) {
		size_t cap = parent->cap_children ? parent->cap_children * 2 : 8;
		struct erofs_child *more = realloc(parent->children, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		parent->children = more;
		parent->cap_children = cap;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	parent->children[parent->n_children++] = (struct erofs_child){.name = copy, .node = node};
	return 0;
}

static bool mode_is_known(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
	       S_ISFIFO(mode) || S_ISSOCK(mode);
}

int erofs_add(struct erofs_builder *b, struct erofs_node *parent, const char *name,
	const struct erofs_attr *attr, struct erofs_node **ret)
{
	struct erofs_node *n;
	int r = name_check(name);

	if (r < 0)
		return r;
	if (!mode_is_known(attr->mode))
		return -EINVAL;
	n = node_new(b, attr);
	if (!n)
		return -errno;
	r = erofs_child_add(parent, name, n);
	if (r < 0) {
		/* The node stays in the list, unreachable and unwritten, until the builder goes. */
		n->nlink = 0;
		return r;
	}
	if (S_ISDIR(attr->mode)) {
		n->nlink = 2;
		n->parent = parent;
		parent->nlink++;
	}
	*ret = n;
	return 0;
}

int erofs_link(struct erofs_builder *b, struct erofs_node *parent, const char *name,
	struct erofs_node *target)
{
	int r = name_check(name);

	(void)b;
	if (r < 0)
		return r;
	if (S_ISDIR(target->attr.mode))
		return -EPERM;
	r = erofs_child_add(parent, name, target);
	if (r == 0)
		target->nlink++;
	return r;
}

int erofs_symlink_target(struct erofs_node *n, const char *target)
{
	size_t len = strlen(target);

	if (!S_ISLNK(n->attr.mode) || n->inline_data)
		return -EINVAL;
	if (len == 0 || len > 4095)
		return -ENAMETOOLONG;
	n->inline_data = malloc(len);
	if (!n->inline_data)
		return -ENOMEM;
	memcpy(n->inline_data, target, len);
	n->size = len;
	return 0;
}

static const struct {
	const char *prefix;
	uint8_t index;
	bool whole; /* the prefix is the whole name */
} xattr_prefixes[] = {
	{"user.", 1, false},
	{"system.posix_acl_access", 2, true},
	{"system.posix_acl_default", 3, true},
	{"trusted.", 4, false},
	{"security.", 6, false},
};

int erofs_xattr(struct erofs_node *n, const char *name, const void *value, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattr_prefixes); i++) {
		size_t skip = strlen(xattr_prefixes[i].prefix);
		struct erofs_xattr_entry e = {.name_index = xattr_prefixes[i].index};
		size_t name_len;
		size_t size;
		uint8_t *more;

		if (xattr_prefixes[i].whole ? !streq(name, xattr_prefixes[i].prefix)
					    : strncmp(name, xattr_prefixes[i].prefix, skip) != 0)
			continue;
		name_len = strlen(name + skip);
		if (name_len > UINT8_MAX || len > EROFS_XATTR_VALUE_MAX)
			return -E2BIG;
		e.name_len = (uint8_t)name_len;
		e.value_size = (uint16_t)len;
		size = (sizeof(e) + name_len + len + 3) & ~(size_t)3;
		/* The count field of an inode has 16 bits of 4 bytes each. */
		if (n->xattrs_len + size > (UINT16_MAX - 1) * (size_t)4)
			return -E2BIG;
		more = realloc(n->xattrs, n->xattrs_len + size);
		if (!more)
			return -ENOMEM;
		n->xattrs = more;
		more += n->xattrs_len;
		memset(more, 0, size);
		memcpy(more, &e, sizeof(e));
		memcpy(more + sizeof(e), name + skip, name_len);
		if (len)
			memcpy(more + sizeof(e) + name_len, value, len);
		n->xattrs_len += size;
		return 0;
	}
	return -EOPNOTSUPP;
}

int erofs_data_begin(struct erofs_builder *b, struct erofs_node *n, uint64_t size)
{
	if (!S_ISREG(n->attr.mode) || n->size)
		return -EINVAL;
	b->cur = n;
	b->cur_done = 0;
	if (size <= EROFS_INLINE_MAX) {
		n->inline_data = calloc(1, size ? size : 1);
		if (!n->inline_data)
			return -ENOMEM;
		n->size = size;
		return 0;
	}
	if (b->data_end / EROFS_BLOCK + size / EROFS_BLOCK + 2 > UINT32_MAX)
		return -EFBIG;
	n->size = size;
	n->first_block = (uint32_t)(b->data_end / EROFS_BLOCK);
	b->data_end += erofs_align_block(size);
	return 0;
}

int erofs_write_at(int fd, const void *p, size_t len, uint64_t at)
{
	const uint8_t *from = p;

	while (len) {
		ssize_t put = pwrite(fd, from, len, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		from += put;
		at += (uint64_t)put;
		len -= (size_t)put;
	}
	return 0;
}

int erofs_data(struct erofs_builder *b, const void *p, size_t len)
{
	struct erofs_node *n = b->cur;
	int r;

	if (!n || len > n->size - b->cur_done)
		return -EFBIG;
	if (n->inline_data) {
		memcpy(n->inline_data + b->cur_done, p, len);
		b->cur_done += len;
		return 0;
	}
	r = erofs_write_at(b->fd, p, len,
		(uint64_t)n->first_block * EROFS_BLOCK + b->cur_done - b->file_shift);
	if (r == 0)
		b->cur_done += len;
	return r;
}

int erofs_data_skip(struct erofs_builder *b, uint64_t len)
{
	if (!b->cur || len > b->cur->size - b->cur_done)
		return -EFBIG;
	b->cur_done += len;
	return 0;
}

int erofs_data_extern(struct erofs_node *n, uint64_t block, uint64_t size)
{
	if (!S_ISREG(n->attr.mode) || n->size || block == 0 || block > UINT32_MAX)
		return -EINVAL;
	n->size = size;
	n->first_block = (uint32_t)block;
	return 0;
}

int erofs_finish(struct erofs_builder *b, struct msb_err *err)
{
	b->cur = NULL;
	return erofs_layout_write(b, err);
}
