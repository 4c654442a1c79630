/* SPDX-License-Identifier: Apache-2.0 */
/* Table of an image archive: see members.h. */
#include "image/layer/members.h"

#include "base/io.h"
#include "base/str.h"

#include "image/layer/index.h"
#include "proto/wire.h"

enum { OUT_FLUSH = 64 * 1024, RECORD_MAX = 2 * TAR_PATH_MAX + 64 };

static const char magic[8] = "msbmem1\n";

int members_out_init(struct members_out *o, int fd)
{
	*o = (struct members_out){.fd = fd};
	buf_init(&o->buf, OUT_FLUSH + RECORD_MAX + 64);
	return buf_append(&o->buf, magic, sizeof(magic));
}

void members_out_deinit(struct members_out *o)
{
	buf_deinit(&o->buf);
}

static int out_flush(struct members_out *o)
{
	int r = io_write_full(o->fd, buf_data(&o->buf), buf_len(&o->buf));

	o->bytes += buf_len(&o->buf);
	buf_consume(&o->buf, buf_len(&o->buf));
	return r;
}

int members_put(struct members_out *o, const struct member *m)
{
	size_t before = buf_len(&o->buf);
	struct wire_out w;
	uint32_t len;

	if (o->n >= MEMBERS_MAX)
		return -E2BIG;
	wire_out_init(&w, &o->buf);
	wire_put_u32(&w, 0);
	wire_put_u8(&w, (uint8_t)m->kind);
	wire_put_str(&w, m->name);
	wire_put_str(&w, m->link);
	wire_put_u64(&w, m->offset);
	wire_put_u64(&w, m->size);
	if (w.error < 0)
		return w.error;
	len = (uint32_t)(buf_len(&o->buf) - before - sizeof(len));
	memcpy(o->buf.base + o->buf.head + before, &len, sizeof(len));
	o->n++;
	if (o->bytes + buf_len(&o->buf) > MEMBERS_BYTES_MAX)
		return -E2BIG;
	return buf_len(&o->buf) >= OUT_FLUSH ? out_flush(o) : 0;
}

int members_out_finish(struct members_out *o)
{
	return out_flush(o);
}

/* Next record; 1, 0 at the end, -EBADMSG. */
static int next(const uint8_t **at, const uint8_t *end, struct member *ret)
{
	struct wire_in w;
	uint8_t kind;
	uint32_t len;

	if (*at == end)
		return 0;
	if ((size_t)(end - *at) < sizeof(len))
		return -EBADMSG;
	memcpy(&len, *at, sizeof(len));
	if (len > RECORD_MAX || len > (size_t)(end - *at) - sizeof(len))
		return -EBADMSG;
	wire_in_init(&w, *at + sizeof(len), len);
	kind = wire_u8(&w);
	ret->name = wire_str(&w, TAR_PATH_MAX);
	ret->link = wire_str(&w, TAR_PATH_MAX);
	ret->offset = wire_u64(&w);
	ret->size = wire_u64(&w);
	if (wire_end(&w) < 0 || kind >= MEMBER_KIND_COUNT || !ret->name[0] ||
		!index_path_is_clean(ret->name))
		return -EBADMSG;
	ret->kind = (enum member_kind)kind;
	*at += sizeof(len) + len;
	return 1;
}

static int by_name(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;

	return strcmp(x->name, y->name);
}

static int append(struct members *m, size_t *cap, const struct member *item)
{
	if (m->n == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		void *p = realloc(m->items, more * sizeof(m->items[0]));

		if (!p)
			return -ENOMEM;
		m->items = p;
		*cap = more;
	}
	m->items[m->n++] = *item;
	return 0;
}

static int read_all(const uint8_t *p, size_t len, uint64_t limit, struct members *m)
{
	const uint8_t *end = p + len;
	size_t cap = 0;
	struct member item;
	int r;

	if (len < sizeof(magic) || len > MEMBERS_BYTES_MAX + RECORD_MAX ||
		memcmp(p, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	p += sizeof(magic);
	while ((r = next(&p, end, &item)) > 0) {
		if (item.offset > limit || item.size > limit - item.offset || m->n >= MEMBERS_MAX)
			return -EBADMSG;
		r = append(m, &cap, &item);
		if (r < 0)
			return r;
	}
	return r;
}

/* Of two members with one name, one tool takes the first and another the last. */
static int refuse_twins(const struct members *m, struct msb_err *err)
{
	for (size_t i = 1; i < m->n; i++) {
		const char *name = m->items[i].name;
		char quoted[160];

		if (streq(m->items[i - 1].name, name))
			return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
				"archive has two members of the name %s",
				str_quote(quoted, sizeof(quoted), name, strlen(name)));
	}
	return 0;
}

int members_parse(
	const void *p, size_t len, uint64_t limit, struct members *ret, struct msb_err *err)
{
	struct members m = {};
	int r = read_all(p, len, limit, &m);

	if (r == -ENOMEM)
		(void)msb_err_errno(err, r, "cannot read an archive");
	else if (r < 0)
		(void)msb_err_set(
			err, r, MSB_PROTOCOL, "nonsense from the process that reads the archive");
	if (r == 0 && m.n) {
		qsort(m.items, m.n, sizeof(m.items[0]), by_name);
		r = refuse_twins(&m, err);
	}
	if (r < 0)
		members_deinit(&m);
	*ret = m;
	return r;
}

void members_deinit(struct members *m)
{
	free(m->items);
	*m = (struct members){};
}

static const struct member *lookup(const struct members *m, const char *name)
{
	const struct member key = {.name = name};

	return m->n ? bsearch(&key, m->items, m->n, sizeof(m->items[0]), by_name) : NULL;
}

/* Cuts the last component off the @len bytes of @path; false at the root. */
static bool parent(const char *path, size_t *len)
{
	if (*len == 0)
		return false;
	while (*len && path[*len - 1] != '/')
		(*len)--;
	if (*len)
		(*len)--;
	return true;
}

/* Where the symbolic link @m leads, by its words alone; false when out of the archive. */
static bool follow(const struct member *m, char ret[TAR_PATH_MAX + 1])
{
	const char *at = m->link;
	size_t len = strlen(m->name);

	if (*at == '/' || len > TAR_PATH_MAX)
		return false;
	memcpy(ret, m->name, len);
	(void)parent(ret, &len);
	while (*at) {
		size_t n = strcspn(at, "/");

		if (n == 2 && memcmp(at, "..", 2) == 0) {
			if (!parent(ret, &len))
				return false;
		} else if (n && !(n == 1 && *at == '.')) {
			if (len + n + 1 > TAR_PATH_MAX)
				return false;
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, at, n);
			len += n;
		}
		at += n;
		at += *at == '/';
	}
	ret[len] = '\0';
	return true;
}

const struct member *members_find(const struct members *m, const char *name)
{
	char path[TAR_PATH_MAX + 1];
	const struct member *found;

	if (index_clean_path(name, path) < 0)
		return NULL;
	found = lookup(m, path);
	for (int i = 0; i < MEMBERS_LINKS_MAX && found && found->kind != MEMBER_FILE; i++) {
		if (found->kind == MEMBER_HARDLINK) {
			found = lookup(m, found->link);
			continue;
		}
		if (!follow(found, path))
			return NULL;
		found = lookup(m, path);
	}
	return found && found->kind == MEMBER_FILE ? found : NULL;
}
