/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an image archive: see outer.h. */
#include "image/layer/outer.h"

#include <sys/stat.h>

#include "base/str.h"

#include "image/layer/index.h"
#include "image/layer/members.h"
#include "image/layer/tar.h"

enum { SCAN_BYTES = 64 * 1024, HOLE = 4096 };

struct outer {
	struct tar *tar;
	struct members_out table;
	int spool_fd;
	uint64_t spooled;
	uint64_t total;
	struct msb_err *err; /* of the call under way */
	char name[TAR_PATH_MAX + 1];
	char link[TAR_PATH_MAX + 1];
};

static int refuse(struct outer *o, int r, const char *what, const char *path)
{
	char quoted[160];

	return msb_err_set(o->err, r, r == -E2BIG || r == -ENAMETOOLONG ? MSB_LIMIT : MSB_PROTOCOL,
		"%s %s", what, str_quote(quoted, sizeof(quoted), path, strlen(path)));
}

static int clean(struct outer *o, const char *path, char ret[TAR_PATH_MAX + 1])
{
	int r = index_clean_path(path, ret);

	if (r == -EINVAL)
		return refuse(o, -EBADMSG, "path leads out of the archive:", path);
	return r < 0 ? refuse(o, r, "path too long or too deep:", path) : 0;
}

static int on_entry(void *arg, const struct tar_entry *e)
{
	struct outer *o = arg;
	struct member m = {.name = o->name, .link = "", .size = e->size};
	int r = clean(o, e->path, o->name);

	if (r < 0)
		return r;
	if (e->type == TAR_HARDLINK) {
		m.kind = MEMBER_HARDLINK;
		r = clean(o, e->link, o->link);
		m.link = o->link;
	} else if (e->type == TAR_SYMLINK) {
		m.kind = MEMBER_SYMLINK;
		m.link = e->link;
		if (strlen(e->link) > TAR_PATH_MAX)
			r = refuse(o, -ENAMETOOLONG, "link too long:", e->path);
	} else if (e->type != TAR_FILE) {
		return 0; /* directories say nothing, devices have nothing */
	}
	if (r < 0)
		return r;
	if (!o->name[0])
		return refuse(o, -EBADMSG, "member without a name:", e->path);
	if (e->size > OUTER_BYTES_MAX - o->total)
		return refuse(o, -E2BIG, "archive too large at", e->path);
	o->total += e->size;
	if (m.kind == MEMBER_FILE)
		m.offset = o->spool_fd < 0 ? tar_data_offset(o->tar) : o->spooled;
	r = members_put(&o->table, &m);
	if (r == -E2BIG)
		return msb_err_set(o->err, r, MSB_LIMIT, "archive has too many members");
	return r < 0 ? msb_err_errno(o->err, r, "cannot write the table of an archive") : 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Zeroes compress a thousandfold: they must not fill a disk. */
static int on_data(void *arg, const uint8_t *p, size_t n)
{
	struct outer *o = arg;

	if (o->spool_fd < 0)
		return 0;
	if (n >= HOLE && is_zero(p, n)) {
		o->spooled += n;
		return 0;
	}
	while (n) {
		ssize_t put = pwrite(o->spool_fd, p, n, (off_t)o->spooled);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return msb_err_errno(o->err, -errno, "cannot keep the archive");
		p += put;
		n -= (size_t)put;
		o->spooled += (uint64_t)put;
	}
	return 0;
}

static int on_hole(void *arg, uint64_t n)
{
	struct outer *o = arg;

	return msb_err_set(o->err, -EOPNOTSUPP, MSB_UNSUPPORTED,
		"archive has a sparse member, which no builder of images makes");
}

static int on_end(void *arg)
{
	return 0;
}

static const struct tar_ops ops = {
	.entry = on_entry, .data = on_data, .hole = on_hole, .end = on_end};

int outer_new(int table_fd, int spool_fd, struct outer **ret)
{
	struct outer *o = calloc(1, sizeof(*o));
	int r = -ENOMEM;

	if (!o)
		return r;
	o->spool_fd = spool_fd;
	o->tar = tar_new(&ops, o);
	if (o->tar)
		r = members_out_init(&o->table, table_fd);
	if (r < 0) {
		outer_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

struct outer *outer_free(struct outer *o)
{
	if (!o)
		return NULL;
	tar_free(o->tar);
	members_out_deinit(&o->table);
	free(o);
	return NULL;
}

static void begin(struct outer *o, struct msb_err *err)
{
	o->err = err;
	if (err)
		err->msg[0] = '\0';
}

/* Callbacks have set the error already when it was theirs. */
static int tar_failed(struct outer *o, int r)
{
	if (o->err && o->err->msg[0])
		return r;
	if (r == -ENOMEM)
		return msb_err_errno(o->err, r, "cannot read the archive");
	return msb_err_set(o->err, r, r == -E2BIG ? MSB_LIMIT : MSB_PROTOCOL,
		"this is no valid tar archive: %s", tar_error(o->tar));
}

int outer_feed(struct outer *o, const void *p, size_t n, struct msb_err *err)
{
	int r;

	begin(o, err);
	r = tar_feed(o->tar, p, n);
	return r < 0 ? tar_failed(o, r) : 0;
}

/* What is skipped must be there: a size is only a number. */
static int skip(struct outer *o, uint64_t size, uint64_t *at)
{
	uint64_t n = 0;
	int r = tar_skip(o->tar, &n);

	if (r < 0)
		return tar_failed(o, r);
	if (n > size - *at)
		return msb_err_set(o->err, -ENODATA, MSB_PROTOCOL,
			"this is no valid tar archive: it ends inside an entry");
	*at += n;
	return 0;
}

int outer_scan(struct outer *o, int fd, struct msb_err *err)
{
	uint8_t block[SCAN_BYTES];
	uint64_t at = 0;
	uint64_t size;
	struct stat st;

	begin(o, err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return msb_err_errno(err, -EINVAL, "cannot read the archive");
	size = (uint64_t)st.st_size;
	while (at < size) {
		size_t want = (size_t)MIN((uint64_t)sizeof(block), size - at);
		ssize_t got = pread(fd, block, want, (off_t)at);
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return msb_err_errno(
				err, got < 0 ? -errno : -EIO, "cannot read the archive");
		at += (uint64_t)got;
		r = outer_feed(o, block, (size_t)got, err);
		if (r == 0)
			r = skip(o, size, &at);
		if (r < 0)
			return r;
	}
	return 0;
}

int outer_finish(struct outer *o, struct msb_err *err)
{
	int r;

	begin(o, err);
	r = tar_finish(o->tar);
	if (r < 0)
		return tar_failed(o, r);
	if (o->spool_fd >= 0 && ftruncate(o->spool_fd, (off_t)o->spooled) < 0)
		return msb_err_errno(err, -errno, "cannot keep the archive");
	r = members_out_finish(&o->table);
	return r < 0 ? msb_err_errno(err, r, "cannot write the table of an archive") : 0;
}
