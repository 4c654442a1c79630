/* SPDX-License-Identifier: Apache-2.0 */
/* What is loaded: see source.h. */
#include "image/archive/source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/str.h"

#include "image/layer/job.h"
#include "image/registry/manifest.h"

/* The one question that is asked of foreign bytes here: may they stay where they are? */
static bool is_compressed(int fd)
{
	static const uint8_t gzip[] = {0x1f, 0x8b};
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	uint8_t head[4];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n == (ssize_t)sizeof(head) &&
	       (memcmp(head, gzip, sizeof(gzip)) == 0 || memcmp(head, zstd, sizeof(zstd)) == 0);
}

static int read_table(struct source *s, int table_fd, struct msb_err *err)
{
	struct stat table;
	struct stat contents;

	if (fstat(table_fd, &table) < 0 || fstat(s->fd, &contents) < 0)
		return msb_err_errno(err, -errno, "cannot read an archive");
	if (table.st_size > 2 * MEMBERS_BYTES_MAX)
		return msb_err_set(err, -EPROTO, MSB_PROTOCOL,
			"nonsense from the process that reads the archive");
	s->table = malloc((size_t)table.st_size + 1);
	if (!s->table)
		return msb_err_errno(err, -ENOMEM, "cannot read an archive");
	if (pread(table_fd, s->table, (size_t)table.st_size, 0) != table.st_size)
		return msb_err_errno(err, -EIO, "cannot read an archive");
	return members_parse(
		s->table, (size_t)table.st_size, (uint64_t)contents.st_size, &s->members, err);
}

int source_open(struct store *store, const char *layer_program, int fd, struct source *ret,
	struct msb_err *err)
{
	cleanup_fd int table_fd = -EBADF;
	bool in_place;
	struct stat st;
	int r;

	*ret = (struct source){.dir_fd = -EBADF, .fd = -EBADF};
	if (fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot read the archive");
	if (S_ISDIR(st.st_mode)) {
		ret->dir_fd = fd;
		return 0;
	}
	/* A file that is partly read already is a stream. */
	in_place = S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0 && !is_compressed(fd);
	ret->fd = fd;
	table_fd = store_spool(store, err);
	if (table_fd < 0)
		return table_fd;
	if (!in_place) {
		ret->fd = store_spool(store, err);
		ret->owned = true;
		if (ret->fd < 0)
			return ret->fd;
	}
	r = layer_table(layer_program, fd, in_place ? -EBADF : ret->fd, table_fd, err);
	return r < 0 ? r : read_table(ret, table_fd, err);
}

void source_close(struct source *s)
{
	if (s->owned)
		fd_close(s->fd);
	members_deinit(&s->members);
	free(s->table);
	*s = (struct source){.dir_fd = -EBADF, .fd = -EBADF};
}

static int find_file(int dir_fd, const char *name, struct source_blob *ret)
{
	struct stat st;
	int fd;

	/* Names are ours: index.json, or built from a digest. */
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(fd);
		return -EINVAL;
	}
	*ret = (struct source_blob){.fd = fd, .owned = true, .size = (uint64_t)st.st_size};
	return 0;
}

int source_find(const struct source *s, const char *name, struct source_blob *ret)
{
	const struct member *m;

	*ret = (struct source_blob){.fd = -EBADF};
	if (s->dir_fd >= 0)
		return find_file(s->dir_fd, name, ret);
	m = members_find(&s->members, name);
	if (!m)
		return -ENOENT;
	*ret = (struct source_blob){.fd = s->fd, .offset = m->offset, .size = m->size};
	return 0;
}

void source_blob_close(struct source_blob *b)
{
	if (b->owned)
		fd_close(b->fd);
	*b = (struct source_blob){.fd = -EBADF};
}

int source_get(
	const struct source *s, const char *name, struct source_blob *ret, struct msb_err *err)
{
	int r = source_find(s, name, ret);
	char quoted[160];

	if (r == 0)
		return 0;
	str_quote(quoted, sizeof(quoted), name, strlen(name));
	if (r == -ENOENT)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL,
			"archive is not complete: it has no file %s", quoted);
	return msb_err_errno(err, r, "cannot read %s", quoted);
}

ssize_t source_read(const struct source_blob *b, uint64_t at, void *p, size_t n)
{
	size_t want = (size_t)MIN((uint64_t)n, b->size - at);
	ssize_t got;

	if (want == 0)
		return 0;
	do
		got = pread(b->fd, p, want, (off_t)(b->offset + at));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return got ? got : -EIO; /* somebody has cut the file */
}

static int read_whole(const struct source_blob *b, char *p)
{
	uint64_t at = 0;

	while (at < b->size) {
		ssize_t got = source_read(b, at, p + at, (size_t)(b->size - at));

		if (got < 0)
			return (int)got;
		at += (uint64_t)got;
	}
	p[b->size] = '\0';
	return 0;
}

int source_text(const struct source *s, const char *name, const char *what, char **ret,
	size_t *ret_len, struct msb_err *err)
{
	cleanup_with(source_blob_close) struct source_blob b = {.fd = -EBADF};
	cleanup_free char *text = NULL;
	int r = source_get(s, name, &b, err);

	if (r < 0)
		return r;
	if (b.size > MANIFEST_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"%s has %" PRIu64 " bytes, at most %d are accepted", what, b.size,
			MANIFEST_MAX);
	text = malloc((size_t)b.size + 1);
	r = text ? read_whole(&b, text) : -ENOMEM;
	if (r < 0)
		return msb_err_errno(err, r, "cannot read the archive");
	*ret_len = (size_t)b.size;
	*ret = TAKE_PTR(text);
	return 0;
}
