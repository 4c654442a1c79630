/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a tree made by the input, written as an image, read back, compared with a model.
 *
 * Each step is an opcode and its operands; a short input is as good as one with zeroes behind it.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "image/erofs/erofs.h"
#include "image/erofs/read.h"

enum { NODES = 128, NAMES = 256, ATTRS = 4, TARGET_MAX = 4095 };

struct model_attr {
	char name[64];
	uint8_t value[300];
	size_t len;
};

struct model_node {
	struct erofs_node *node;
	struct erofs_attr attr;
	uint64_t size; /* of contents or target */
	uint64_t hole; /* the first bytes are zero, the others follow from @seed */
	uint8_t seed;
	uint32_t names;
	uint32_t subdirs;
	struct model_attr attrs[ATTRS];
	size_t n_attrs;
};

struct model_name {
	size_t dir;
	size_t node;
	char text[256];
};

struct model {
	const uint8_t *in;
	size_t left;
	struct erofs_builder *b;
	struct model_node nodes[NODES];
	size_t n_nodes;
	struct model_name names[NAMES];
	size_t n_names;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t byte(struct model *m)
{
	if (!m->left)
		return 0;
	m->left--;
	return *m->in++;
}

static uint32_t number(struct model *m)
{
	uint32_t v = byte(m);

	return v < 200 ? v : v << 8 | byte(m);
}

/* A few bytes of the input, repeated up to a length of its choice. */
static void make_name(struct model *m, char text[256])
{
	size_t len = byte(m);
	size_t period = 1 + byte(m) % 4;
	char some[4];

	for (size_t i = 0; i < period; i++)
		some[i] = (char)byte(m);
	for (size_t i = 0; i < len; i++)
		text[i] = some[i % period];
	text[len] = '\0';
}

static bool name_is_fine(const char *text)
{
	return text[0] && !strchr(text, '/') && !streq(text, ".") && !streq(text, "..");
}

static size_t pick_dir(struct model *m)
{
	size_t at = byte(m) % m->n_nodes;

	while (!S_ISDIR(m->nodes[at].attr.mode))
		at--;
	return at;
}

static struct erofs_attr make_attr(struct model *m, uint32_t type)
{
	struct erofs_attr a = {.mode = type | (number(m) & 07777)};

	a.uid = number(m) * 7;
	a.gid = number(m) << (byte(m) % 20);
	if (type == S_IFCHR || type == S_IFBLK) {
		a.rdev_major = number(m) & 0xfff;
		a.rdev_minor = number(m) << 4;
	}
	a.mtime_s = (int64_t)number(m) - 1000;
	a.mtime_ns = number(m);
	return a;
}

static uint8_t content(const struct model_node *n, uint64_t at)
{
	return at < n->hole ? 0 : (uint8_t)(n->seed + at * 7);
}

static void give_data(struct model *m, struct model_node *n)
{
	uint8_t chunk[1000];
	uint64_t at;

	n->size = number(m);
	n->size = n->size % 3 ? n->size % 200 : n->size % 15000;
	n->hole = MIN((uint64_t)number(m), n->size);
	n->seed = byte(m);
	if (erofs_data_begin(m->b, n->node, n->size) < 0 || erofs_data_skip(m->b, n->hole) < 0)
		abort();
	for (at = n->hole; at < n->size;) {
		size_t part = (size_t)MIN(n->size - at, (uint64_t)sizeof(chunk));

		for (size_t i = 0; i < part; i++)
			chunk[i] = content(n, at + i);
		if (erofs_data(m->b, chunk, part) < 0)
			abort();
		at += part;
	}
	if (erofs_data(m->b, chunk, 1) == 0)
		abort(); /* more than was announced */
}

static void give_target(struct model *m, struct model_node *n)
{
	char text[TARGET_MAX + 1];

	n->size = 1 + number(m) % TARGET_MAX;
	n->seed = 1;
	for (size_t i = 0; i < n->size; i++)
		text[i] = (char)(content(n, i) ? content(n, i) : 'x');
	text[n->size] = '\0';
	if (erofs_symlink_target(n->node, text) < 0)
		abort();
}

static void add_name(struct model *m, size_t dir, size_t node, const char *text)
{
	struct model_name *n = &m->names[m->n_names++];

	*n = (struct model_name){.dir = dir, .node = node};
	memcpy(n->text, text, strlen(text) + 1);
	m->nodes[node].names++;
	m->nodes[dir].subdirs += S_ISDIR(m->nodes[node].attr.mode);
}

static void step_add(struct model *m, uint32_t type)
{
	struct model_node *n = &m->nodes[m->n_nodes];
	size_t dir = pick_dir(m);
	char text[256];
	int r;

	make_name(m, text);
	*n = (struct model_node){.attr = make_attr(m, type)};
	r = erofs_add(m->b, m->nodes[dir].node, text, &n->attr, &n->node);
	assert((r == 0) == name_is_fine(text));
	if (r < 0)
		return;
	add_name(m, dir, m->n_nodes++, text);
	if (type == S_IFREG)
		give_data(m, n);
	if (type == S_IFLNK)
		give_target(m, n);
}

static void step_link(struct model *m)
{
	size_t node = byte(m) % m->n_nodes;
	size_t dir = pick_dir(m);
	char text[256];
	int r;

	make_name(m, text);
	r = erofs_link(m->b, m->nodes[dir].node, text, m->nodes[node].node);
	assert((r == 0) == (name_is_fine(text) && !S_ISDIR(m->nodes[node].attr.mode)));
	if (r == 0)
		add_name(m, dir, node, text);
}

static void step_xattr(struct model *m)
{
	static const char *const prefixes[] = {"user.", "trusted.", "security.",
		"system.posix_acl_access", "system.posix_acl_default", "bogus.", "system.", ""};
	struct model_node *n = &m->nodes[byte(m) % m->n_nodes];
	struct model_attr *a = &n->attrs[n->n_attrs];
	uint8_t kind = byte(m) % ARRAY_SIZE(prefixes);
	bool whole = kind == 3 || kind == 4;
	int r;

	if (n->n_attrs == ATTRS)
		return;
	(void)snprintf(a->name, sizeof(a->name), "%s%.*s", prefixes[kind], whole ? 0 : byte(m) % 40,
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
	a->len = number(m) % sizeof(a->value);
	memset(a->value, byte(m), a->len);
	r = erofs_xattr(n->node, a->name, a->value, a->len);
	assert(r == (kind < 5 ? 0 : -EOPNOTSUPP));
	n->n_attrs += r == 0;
}

static void step_attr(struct model *m)
{
	struct model_node *n = &m->nodes[byte(m) % m->n_nodes];
	struct erofs_attr a = make_attr(m, n->attr.mode & S_IFMT);

	erofs_set_attr(n->node, &a);
	n->attr = a;
}

static void build(struct model *m)
{
	static const uint32_t types[] = {
		S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};

	while (m->left && m->n_nodes < NODES && m->n_names < NAMES) {
		uint8_t op = byte(m) % 12;

		if (op < ARRAY_SIZE(types))
			step_add(m, types[op]);
		else if (op == 9)
			step_link(m);
		else if (op == 10)
			step_xattr(m);
		else
			step_attr(m);
	}
}

static bool has_twins(const struct model *m)
{
	for (size_t a = 0; a < m->n_names; a++) {
		for (size_t b = 0; b < a; b++) {
			if (m->names[a].dir == m->names[b].dir &&
				streq(m->names[a].text, m->names[b].text))
				return true;
		}
	}
	return false;
}

static void same_contents(
	const struct erofs_image *i, const struct model_node *n, const struct erofs_file *f)
{
	if (S_ISDIR(f->mode))
		return;
	assert(f->size == n->size);
	for (uint64_t at = 0; at < f->size; at++) {
		uint8_t want = content(n, at);

		if (S_ISLNK(f->mode) && !want)
			want = 'x';
		assert(*erofs_image_data(i, f, at, 1) == want);
	}
}

static void same_xattrs(const struct model_node *n, const struct erofs_file *f)
{
	static const char *const prefixes[] = {NULL, "user.", "system.posix_acl_access",
		"system.posix_acl_default", "trusted.", NULL, "security."};
	struct erofs_attr_at a;
	size_t at = 0;
	size_t k = 0;

	while (erofs_image_xattr(f, &at, &a)) {
		const struct model_attr *want = &n->attrs[k++];
		char name[512];

		assert(k <= n->n_attrs && a.index < ARRAY_SIZE(prefixes) && prefixes[a.index]);
		(void)snprintf(name, sizeof(name), "%s%.*s", prefixes[a.index], (int)a.name_len,
			(const char *)a.name);
		assert(streq(name, want->name) && a.value_len == want->len);
		assert(a.value_len == 0 || memcmp(a.value, want->value, want->len) == 0);
	}
	assert(k == n->n_attrs && at == f->xattrs_len);
}

static void same_node(
	const struct erofs_image *i, const struct model_node *n, const struct erofs_file *f)
{
	const struct erofs_attr *a = &n->attr;
	uint32_t names = S_ISDIR(a->mode) ? 2 + n->subdirs : n->names;

	assert(f->mode == a->mode && f->uid == a->uid && f->gid == a->gid);
	assert(f->mtime_s == a->mtime_s && f->mtime_ns == a->mtime_ns && f->nlink == names);
	assert(!(S_ISCHR(a->mode) || S_ISBLK(a->mode)) ||
		(f->major == a->rdev_major && f->minor == a->rdev_minor));
	same_contents(i, n, f);
	same_xattrs(n, f);
}

static void compare(const struct model *m, const struct erofs_image *i)
{
	uint64_t nids[NODES];
	struct erofs_file f;

	nids[0] = i->root;
	if (erofs_image_file(i, i->root, &f) < 0)
		abort();
	same_node(i, &m->nodes[0], &f);
	/* A directory is named before what is in it. */
	for (size_t k = 0; k < m->n_names; k++) {
		const struct model_name *n = &m->names[k];
		struct erofs_file dir;
		uint64_t nid = 0;

		if (erofs_image_file(i, nids[n->dir], &dir) < 0 ||
			erofs_image_find(i, &dir, n->text, strlen(n->text), &nid) < 0 ||
			erofs_image_file(i, nid, &f) < 0)
			abort();
		nids[n->node] = nid;
		same_node(i, &m->nodes[n->node], &f);
	}
}

static void finish(struct model *m, int fd)
{
	struct msb_err err = {};
	struct erofs_image i;
	const char *why;
	struct stat st;
	size_t names;
	void *p;
	int r = erofs_finish(m->b, &err);

	assert(r == (has_twins(m) ? -EEXIST : 0));
	if (r < 0)
		return;
	if (fstat(fd, &st) < 0)
		abort();
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED || erofs_image_open(&i, p, (size_t)st.st_size, 0) < 0)
		abort();
	r = erofs_image_check(&i, &names, &why);
	if (r < 0 || names != m->n_names) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	compare(m, &i);
	munmap(p, (size_t)st.st_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	cleanup_fd int fd = memfd_create("image", MFD_CLOEXEC);
	struct erofs_opts opts = {};

	m = (struct model){.in = data, .left = size, .n_nodes = 1};
	if (byte(&m) & 1)
		opts.mtime_s = -1000; /* the time that most nodes have: they are stored smaller */
	if (fd < 0 || erofs_builder_new(fd, &opts, &m.b) < 0)
		abort();
	m.nodes[0].node = erofs_root(m.b);
	m.nodes[0].attr = (struct erofs_attr){.mode = S_IFDIR | 0755, .mtime_s = opts.mtime_s};
	build(&m);
	finish(&m, fd);
	erofs_builder_free(m.b);
	return 0;
}
