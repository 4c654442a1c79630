/* SPDX-License-Identifier: Apache-2.0 */
/* Layer index: see index.h. */
#include "image/layer/index.h"

#include "base/io.h"

#include "proto/wire.h"

enum { OUT_FLUSH = 256 * 1024, NAME_LEN_MAX = 255 };

static const char magic[8] = "msbidx1\n";

int index_out_init(struct index_out *out, int fd)
{
	*out = (struct index_out){.fd = fd};
	buf_init(&out->buf, OUT_FLUSH + INDEX_RECORD_MAX + 64);
	return buf_append(&out->buf, magic, sizeof(magic));
}

void index_out_deinit(struct index_out *out)
{
	buf_deinit(&out->buf);
}

static int out_flush(struct index_out *out)
{
	int r = io_write_full(out->fd, buf_data(&out->buf), buf_len(&out->buf));

	buf_consume(&out->buf, buf_len(&out->buf));
	return r;
}

static void put_fields(struct wire_out *w, const struct index_entry *e)
{
	wire_put_u8(w, (uint8_t)e->kind);
	wire_put_u8(w, e->inline_data != NULL);
	wire_put_str(w, e->path);
	wire_put_str(w, e->link);
	wire_put_u32(w, e->mode);
	wire_put_u32(w, e->uid);
	wire_put_u32(w, e->gid);
	wire_put_u32(w, e->major);
	wire_put_u32(w, e->minor);
	wire_put_u64(w, (uint64_t)e->mtime_s);
	wire_put_u32(w, e->mtime_ns);
	wire_put_u64(w, e->size);
	if (e->inline_data)
		wire_put_bytes(w, e->inline_data, (size_t)e->size);
	else
		wire_put_u64(w, e->data_block);
	wire_put_u32(w, (uint32_t)e->n_xattrs);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		wire_put_str(w, e->xattrs[i].name);
		wire_put_bytes(w, e->xattrs[i].value, e->xattrs[i].len);
	}
}

int index_put(struct index_out *out, const struct index_entry *e)
{
	size_t before = buf_len(&out->buf);
	struct wire_out w;
	uint32_t len;
	int r;

	if (out->entries >= INDEX_ENTRIES_MAX)
		return -E2BIG;
	wire_out_init(&w, &out->buf);
	wire_put_u32(&w, 0);
	put_fields(&w, e);
	if (w.error < 0)
		return w.error;
	len = (uint32_t)(buf_len(&out->buf) - before - sizeof(len));
	if (len > INDEX_RECORD_MAX)
		return -E2BIG;
	memcpy(out->buf.base + out->buf.head + before, &len, sizeof(len));
	out->entries++;
	r = buf_len(&out->buf) >= OUT_FLUSH ? out_flush(out) : 0;
	return r;
}

int index_out_finish(struct index_out *out)
{
	return out_flush(out);
}

int index_in_init(struct index_in *in, const void *p, size_t len)
{
	if (len < sizeof(magic) || memcmp(p, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	in->at = (const uint8_t *)p + sizeof(magic);
	in->end = (const uint8_t *)p + len;
	return 0;
}

static void get_xattrs(struct wire_in *w, struct index_entry *e)
{
	e->n_xattrs = wire_count(w, TAR_XATTRS_MAX);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		e->xattrs[i].name = wire_str(w, NAME_LEN_MAX);
		e->xattrs[i].value = wire_bytes(w, TAR_XATTR_BYTES_MAX, &e->xattrs[i].len);
	}
}

static int get_fields(struct wire_in *w, struct index_entry *e)
{
	uint8_t kind = wire_u8(w);
	uint8_t inlined = wire_u8(w);
	size_t len;

	e->path = wire_str(w, TAR_PATH_MAX);
	e->link = wire_str(w, TAR_PATH_MAX);
	e->mode = wire_u32(w);
	e->uid = wire_u32(w);
	e->gid = wire_u32(w);
	e->major = wire_u32(w);
	e->minor = wire_u32(w);
	e->mtime_s = (int64_t)wire_u64(w);
	e->mtime_ns = wire_u32(w);
	e->size = wire_u64(w);
	e->inline_data = NULL;
	e->data_block = 0;
	if (inlined) {
		e->inline_data = wire_bytes(w, INDEX_INLINE_MAX, &len);
		if (len != e->size)
			return -EBADMSG;
	} else {
		e->data_block = wire_u64(w);
	}
	get_xattrs(w, e);
	if (wire_end(w) < 0 || kind >= INDEX_KIND_COUNT || inlined > 1 || e->mode > 07777 ||
		e->mtime_ns >= NSEC_PER_SEC || e->size > INT64_MAX || e->data_block > UINT32_MAX)
		return -EBADMSG;
	e->kind = (enum index_kind)kind;
	if (!index_path_is_clean(e->path) ||
		(e->kind == INDEX_HARDLINK && !index_path_is_clean(e->link)))
		return -EBADMSG;
	return 0;
}

int index_next(struct index_in *in, struct index_entry *ret)
{
	struct wire_in w;
	uint32_t len;
	int r;

	if (in->at == in->end)
		return 0;
	if ((size_t)(in->end - in->at) < sizeof(len))
		return -EBADMSG;
	memcpy(&len, in->at, sizeof(len));
	if (len > INDEX_RECORD_MAX || len > (size_t)(in->end - in->at) - sizeof(len))
		return -EBADMSG;
	wire_in_init(&w, in->at + sizeof(len), len);
	r = get_fields(&w, ret);
	if (r < 0)
		return r;
	in->at += sizeof(len) + len;
	return 1;
}

int index_clean_path(const char *path, char ret[TAR_PATH_MAX + 1])
{
	size_t at = 0;
	unsigned int depth = 0;

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.')
			return -EINVAL;
		if (len && !(len == 1 && path[0] == '.')) {
			if (++depth > INDEX_DEPTH_MAX)
				return -E2BIG;
			if (len > NAME_LEN_MAX || at + len + 1 > TAR_PATH_MAX)
				return -ENAMETOOLONG;
			if (at)
				ret[at++] = '/';
			memcpy(ret + at, path, len);
			at += len;
		}
		path += len;
		path += *path == '/';
	}
	ret[at] = '\0';
	return 0;
}

bool index_path_is_clean(const char *path)
{
	char clean[TAR_PATH_MAX + 1];

	return index_clean_path(path, clean) == 0 && streq(path, clean);
}
