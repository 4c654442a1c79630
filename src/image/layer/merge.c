/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging layers: see merge.h.
 *
 * The tree knows files (struct file, one per inode) and names (struct name, one per directory
 * entry). Names are found through one hash table over (directory, name), so that wide directories
 * and deep trees cost the same. A layer is applied in two passes over its index: first everything
 * it removes, which by definition is of lower layers, then everything it brings; so the order of
 * whiteouts and entries inside the archive does not matter.
 */
#include "image/layer/merge.h"

#include <sys/stat.h>

#include "base/str.h"

#include "image/erofs/erofs.h"
#include "image/layer/index.h"

enum { BUCKETS_FIRST = 1024, NAMES_MAX = EROFS_NODES_MAX };

struct file {
	enum index_kind kind;
	struct index_entry *e; /* NULL: a parent nobody described */
	uint64_t data_base; /* first block of its layer's data on the guest's disk */
	struct name *children; /* of a directory */
	struct name *name; /* of a directory: its only name, NULL for the root */
	uint32_t names;
	struct erofs_node *node;
	struct file *next; /* all files, for freeing */
};

struct name {
	struct file *dir;
	struct file *file;
	const char *text;
	size_t len;
	struct name *hash_next;
	struct name *prev; /* siblings */
	struct name *next;
};

struct merge {
	struct file *files;
	struct file *root;
	struct name **buckets;
	size_t n_buckets;
	size_t n_names;
	uint64_t blocks; /* of data so far */
	unsigned int layers;
};

static uint64_t hash(const struct file *dir, const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)dir >> 4;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

static struct file *file_new(struct merge *m, enum index_kind kind, struct index_entry *e)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct file){.kind = kind, .e = e, .data_base = m->blocks, .next = m->files};
	m->files = f;
	return f;
}

int merge_new(struct merge **ret)
{
	struct merge *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->buckets = calloc(BUCKETS_FIRST, sizeof(m->buckets[0]));
	m->n_buckets = BUCKETS_FIRST;
	m->root = m->buckets ? file_new(m, INDEX_DIR, NULL) : NULL;
	if (!m->root) {
		merge_free(m);
		return -ENOMEM;
	}
	m->blocks = 1; /* block 0 is the superblock's */
	*ret = m;
	return 0;
}

struct merge *merge_free(struct merge *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; m->buckets && i < m->n_buckets; i++) {
		for (struct name *n = m->buckets[i]; n;) {
			struct name *next = n->hash_next;

			free(n);
			n = next;
		}
	}
	for (struct file *f = m->files; f;) {
		struct file *next = f->next;

		free(f->e);
		free(f);
		f = next;
	}
	free(m->buckets);
	free(m);
	return NULL;
}

static struct name *name_find(
	const struct merge *m, const struct file *dir, const char *text, size_t len)
{
	struct name *n = m->buckets[hash(dir, text, len) % m->n_buckets];

	while (n && !(n->dir == dir && n->len == len && memcmp(n->text, text, len) == 0))
		n = n->hash_next;
	return n;
}

static int buckets_grow(struct merge *m)
{
	size_t more = m->n_buckets * 4;
	struct name **buckets = calloc(more, sizeof(buckets[0]));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_buckets; i++) {
		for (struct name *n = m->buckets[i]; n;) {
			struct name *next = n->hash_next;
			struct name **at = &buckets[hash(n->dir, n->text, n->len) % more];

			n->hash_next = *at;
			*at = n;
			n = next;
		}
	}
	free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = more;
	return 0;
}

static int name_add(
	struct merge *m, struct file *dir, const char *text, size_t len, struct file *file)
{
	struct name **bucket;
	struct name *n;
	int r;

	if (m->n_names >= NAMES_MAX)
		return -E2BIG;
	if (m->n_names >= m->n_buckets) {
		r = buckets_grow(m);
		if (r < 0)
			return r;
	}
	n = malloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	bucket = &m->buckets[hash(dir, text, len) % m->n_buckets];
	*n = (struct name){.dir = dir,
		.file = file,
		.text = text,
		.len = len,
		.hash_next = *bucket,
		.next = dir->children};
	*bucket = n;
	if (n->next)
		n->next->prev = n;
	dir->children = n;
	file->names++;
	if (file->kind == INDEX_DIR)
		file->name = n;
	m->n_names++;
	return 0;
}

static void name_drop(struct merge *m, struct name *n)
{
	struct name **at = &m->buckets[hash(n->dir, n->text, n->len) % m->n_buckets];

	while (*at != n)
		at = &(*at)->hash_next;
	*at = n->hash_next;
	if (n->prev)
		n->prev->next = n->next;
	else
		n->dir->children = n->next;
	if (n->next)
		n->next->prev = n->prev;
	n->file->names--;
	m->n_names--;
	free(n);
}

/* Removes everything below @top without recursion: go down to a leaf, drop it, go on with its
 * directory. */
static void children_drop(struct merge *m, struct file *top)
{
	struct file *dir = top;

	for (;;) {
		struct name *n = dir->children;

		if (n && n->file->kind == INDEX_DIR && n->file->children) {
			dir = n->file;
		} else if (n) {
			name_drop(m, n);
		} else if (dir == top) {
			return;
		} else {
			dir = dir->name->dir;
		}
	}
}

static void remove_name(struct merge *m, struct name *n)
{
	if (n->file->kind == INDEX_DIR)
		children_drop(m, n->file);
	name_drop(m, n);
}

/*
 * Walking. A path being resolved is a stack of text still to walk: the path itself, and targets of
 * links met on the way.
 * ".." stays inside the root, as it would after chroot.
 */
struct walk {
	struct merge *m;
	struct file *dir;
	bool create; /* make missing directories */
	unsigned int links;
};

static int walk_text(struct walk *w, const char *text, size_t len);

static struct file *parent_of(const struct walk *w, const struct file *dir)
{
	return dir->name ? dir->name->dir : w->m->root;
}

static int walk_component(struct walk *w, const char *text, size_t len)
{
	struct name *n;
	struct file *f;
	int r;

	if (len == 0 || (len == 1 && text[0] == '.'))
		return 0;
	if (len == 2 && text[0] == '.' && text[1] == '.') {
		w->dir = parent_of(w, w->dir);
		return 0;
	}
	n = name_find(w->m, w->dir, text, len);
	if (n && n->file->kind == INDEX_DIR) {
		w->dir = n->file;
		return 0;
	}
	if (n && n->file->kind == INDEX_SYMLINK) {
		const char *target = n->file->e->link;

		if (++w->links > MERGE_LINKS_MAX)
			return -ELOOP;
		if (target[0] == '/')
			w->dir = w->m->root;
		return walk_text(w, target, strlen(target));
	}
	if (n)
		return -ENOTDIR;
	if (!w->create)
		return -ENOENT;
	if (len > 255)
		return -ENAMETOOLONG;
	f = file_new(w->m, INDEX_DIR, NULL);
	if (!f)
		return -ENOMEM;
	r = name_add(w->m, w->dir, text, len, f);
	if (r == 0)
		w->dir = f;
	return r;
}

/* Recursion is bounded: each level is a link, and links are counted. */
static int walk_text(struct walk *w, const char *text, size_t len)
{
	while (len) {
		const char *slash = memchr(text, '/', len);
		size_t n = slash ? (size_t)(slash - text) : len;
		int r = walk_component(w, text, n);

		if (r < 0)
			return r;
		n += slash != NULL;
		text += n;
		len -= n;
	}
	return 0;
}

/* Directory and last component of a clean path. */
static int walk_parent(struct walk *w, const char *path, const char **ret_base)
{
	const char *slash = strrchr(path, '/');

	*ret_base = slash ? slash + 1 : path;
	return slash ? walk_text(w, path, (size_t)(slash - path)) : 0;
}

static bool is_missing(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

static int apply_removal(struct merge *m, const struct index_entry *e)
{
	struct walk w = {.m = m, .dir = m->root};
	const char *base;
	struct name *n;
	int r;

	if (e->kind != INDEX_WHITEOUT && e->kind != INDEX_OPAQUE)
		return 0;
	if (e->path[0] == '\0') {
		if (e->kind == INDEX_OPAQUE)
			children_drop(m, m->root);
		return 0;
	}
	r = walk_parent(&w, e->path, &base);
	if (r < 0)
		return is_missing(r) ? 0 : r; /* what is not there need not go */
	n = name_find(m, w.dir, base, strlen(base));
	if (!n)
		return 0;
	if (e->kind == INDEX_WHITEOUT)
		remove_name(m, n);
	else if (n->file->kind == INDEX_DIR)
		children_drop(m, n->file);
	return 0;
}

/* The entry outlives the reader's struct; its strings stay in the index. */
static struct index_entry *entry_keep(const struct index_entry *e)
{
	size_t size = offsetof(struct index_entry, xattrs) + e->n_xattrs * sizeof(e->xattrs[0]);
	struct index_entry *copy = malloc(size);

	if (copy)
		memcpy(copy, e, size);
	return copy;
}

static int describe(struct file *f, const struct index_entry *e)
{
	struct index_entry *copy = entry_keep(e);

	if (!copy)
		return -ENOMEM;
	free(f->e);
	f->e = copy;
	return 0;
}

static int add_hard_link(
	struct merge *m, const struct index_entry *e, struct file *dir, const char *base)
{
	struct walk w = {.m = m, .dir = m->root};
	const char *target_base;
	struct name *old;
	struct name *n;
	int r = walk_parent(&w, e->link, &target_base);

	n = r == 0 ? name_find(m, w.dir, target_base, strlen(target_base)) : NULL;
	if (!n)
		return r < 0 && !is_missing(r) ? r : -ENOENT;
	if (n->file->kind == INDEX_DIR)
		return -EISDIR;
	old = name_find(m, dir, base, strlen(base));
	if (old && old->file == n->file)
		return 0;
	if (old)
		remove_name(m, old);
	return name_add(m, dir, base, strlen(base), n->file);
}

static int apply_entry(struct merge *m, const struct index_entry *e)
{
	struct walk w = {.m = m, .dir = m->root, .create = true};
	const char *base;
	struct name *old;
	struct file *f;
	int r;

	if (e->kind == INDEX_WHITEOUT || e->kind == INDEX_OPAQUE)
		return 0;
	if (e->path[0] == '\0')
		return e->kind == INDEX_DIR ? describe(m->root, e) : -EBADMSG;
	r = walk_parent(&w, e->path, &base);
	if (r < 0)
		return r;
	if (e->kind == INDEX_HARDLINK)
		return add_hard_link(m, e, w.dir, base);
	old = name_find(m, w.dir, base, strlen(base));
	if (old && old->file->kind == INDEX_DIR && e->kind == INDEX_DIR)
		return describe(old->file, e);
	if (old)
		remove_name(m, old);
	f = file_new(m, e->kind, NULL);
	if (!f)
		return -ENOMEM;
	r = describe(f, e);
	return r < 0 ? r : name_add(m, w.dir, base, strlen(base), f);
}

static int data_check(const struct index_entry *e, uint64_t data_blocks)
{
	if (e->kind != INDEX_FILE || e->inline_data)
		return 0;
	return e->size <= INDEX_INLINE_MAX || (e->size + 4095) / 4096 > data_blocks ||
			       e->data_block > data_blocks - (e->size + 4095) / 4096
		       ? -EBADMSG
		       : 0;
}

static const char *reason(int r)
{
	switch (-r) {
	case ENOENT:
		return "hard link to a file that is not there:";
	case EISDIR:
		return "hard link to a directory:";
	case ENOTDIR:
		return "path below something that is no directory:";
	case ELOOP:
		return "too many symbolic links at";
	case E2BIG:
		return "image has too many files at";
	default:
		return "cannot place";
	}
}

int merge_layer(
	struct merge *m, const void *index, size_t len, uint64_t data_blocks, struct msb_err *err)
{
	struct index_entry e = {};
	char quoted[160];

	if (++m->layers > MERGE_LAYERS_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "image has more than %d layers", MERGE_LAYERS_MAX);
	if (m->blocks + data_blocks > UINT32_MAX)
		return msb_err_set(err, -EFBIG, MSB_LIMIT, "image too large");
	for (int pass = 0; pass < 2; pass++) {
		struct index_in in;
		int r = index_in_init(&in, index, len);

		while (r == 0 && (r = index_next(&in, &e)) > 0) {
			r = data_check(&e, data_blocks);
			if (r == 0)
				r = pass == 0 ? apply_removal(m, &e) : apply_entry(m, &e);
			if (r < 0 && r != -EBADMSG)
				return msb_err_set(err, r,
					r == -E2BIG				  ? MSB_LIMIT
					: msb_kind_from_errno(r) == MSB_NO_MEMORY ? MSB_NO_MEMORY
										  : MSB_PROTOCOL,
					"layer %u: %s %s", m->layers, reason(r),
					str_quote(quoted, sizeof(quoted), e.path, strlen(e.path)));
		}
		if (r < 0)
			return msb_err_set(
				err, r, MSB_PROTOCOL, "layer %u: damaged index", m->layers);
	}
	m->blocks += data_blocks;
	return 0;
}

static struct erofs_attr attr_of(const struct file *f)
{
	static const uint32_t types[INDEX_KIND_COUNT] = {
		[INDEX_FILE] = S_IFREG,
		[INDEX_SYMLINK] = S_IFLNK,
		[INDEX_CHAR] = S_IFCHR,
		[INDEX_BLOCK] = S_IFBLK,
		[INDEX_DIR] = S_IFDIR,
		[INDEX_FIFO] = S_IFIFO,
	};
	const struct index_entry *e = f->e;

	if (!e)
		return (struct erofs_attr){.mode = S_IFDIR | 0755};
	return (struct erofs_attr){
		.mode = types[f->kind] | (f->kind == INDEX_SYMLINK ? 0777 : e->mode),
		.uid = e->uid,
		.gid = e->gid,
		.rdev_major = e->major,
		.rdev_minor = e->minor,
		.mtime_s = e->mtime_s,
		.mtime_ns = e->mtime_ns,
	};
}

static int emit_contents(struct erofs_builder *b, const struct file *f)
{
	const struct index_entry *e = f->e;
	int r = 0;

	if (!e)
		return 0;
	if (f->kind == INDEX_SYMLINK)
		r = erofs_symlink_target(f->node, e->link);
	if (f->kind == INDEX_FILE && e->inline_data) {
		r = erofs_data_begin(b, f->node, e->size);
		if (r == 0)
			r = erofs_data(b, e->inline_data, (size_t)e->size);
	} else if (f->kind == INDEX_FILE) {
		r = erofs_data_extern(f->node, f->data_base + e->data_block, e->size);
	}
	for (size_t i = 0; i < e->n_xattrs && r == 0; i++) {
		r = erofs_xattr(f->node, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].len);
		if (r == -EOPNOTSUPP)
			r = 0; /* a namespace Linux file systems do not store either */
	}
	return r;
}

static int emit_name(struct erofs_builder *b, const struct name *n)
{
	struct file *f = n->file;
	struct erofs_attr attr;
	char text[256];
	int r;

	memcpy(text, n->text, n->len);
	text[n->len] = '\0';
	if (f->node)
		return erofs_link(b, n->dir->node, text, f->node);
	attr = attr_of(f);
	r = erofs_add(b, n->dir->node, text, &attr, &f->node);
	return r < 0 ? r : emit_contents(b, f);
}

/* Directories in order of discovery, so that a parent's node exists before its children's. */
static int emit_tree(struct merge *m, struct erofs_builder *b)
{
	struct file **queue = calloc(m->n_names + 1, sizeof(queue[0]));
	size_t head = 0;
	size_t tail = 0;
	int r = queue ? 0 : -ENOMEM;

	if (r == 0)
		queue[tail++] = m->root;
	while (r == 0 && head < tail) {
		const struct file *dir = queue[head++];

		for (struct name *n = dir->children; n && r == 0; n = n->next) {
			r = emit_name(b, n);
			if (n->file->kind == INDEX_DIR)
				queue[tail++] = n->file;
		}
	}
	free(queue);
	return r;
}

int merge_finish(struct merge *m, int out_fd, struct msb_err *err)
{
	cleanup_with(erofs_builder_free_p) struct erofs_builder *b = NULL;
	struct erofs_opts opts = {.extern_blocks = m->blocks - 1};
	struct erofs_attr attr = attr_of(m->root);
	int r = erofs_builder_new(out_fd, &opts, &b);

	if (r == 0) {
		m->root->node = erofs_root(b);
		erofs_set_attr(m->root->node, &attr);
		r = emit_contents(b, m->root);
	}
	if (r == 0)
		r = emit_tree(m, b);
	if (r < 0)
		return msb_err_errno(err, r, "cannot build the image's metadata");
	return erofs_finish(b, err);
}
