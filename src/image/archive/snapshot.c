/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot out of an archive: see snapshot.h. */
#include "image/archive/snapshot.h"

#include "base/io.h"

#include "image/confine.h"
#include "image/snapshot/extents.h"
#include "image/snapshot/snapshot.h"

enum { CHUNK = 256 * 1024 };

struct loading {
	const struct source *source;
	char name[LIMIT_SANDBOX_NAME + 1];
	char *manifest; /* owned */
	size_t manifest_len;
	char *extents; /* owned */
	size_t extents_len;
	uint8_t *chunk; /* owned */
};

static int not_one(struct msb_err *err, const char *why)
{
	return msb_err_set(
		err, -EBADMSG, MSB_PROTOCOL, "this is no archive of a snapshot: %s", why);
}

/* The one directory with a manifest in it. */
static int find_name(struct loading *l, struct msb_err *err)
{
	static const char tail[] = "/" SNAPSHOT_MANIFEST;

	for (size_t i = 0; i < l->source->members.n; i++) {
		const char *name = l->source->members.items[i].name;
		size_t len = strlen(name);

		if (len <= strlen(tail) || !streq(name + len - strlen(tail), tail))
			continue;
		len -= strlen(tail);
		if (l->name[0] || len > LIMIT_SANDBOX_NAME)
			return not_one(err, "it has more than one, or a name that is none");
		memcpy(l->name, name, len);
	}
	if (!l->name[0])
		return not_one(err, "it has no " SNAPSHOT_MANIFEST);
	return snapshot_name_check(l->name, err);
}

static void member_name(const struct loading *l, const char *file, char ret[PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%s/%s", l->name, file);
}

static int read_text(
	const struct loading *l, const char *file, char **ret, size_t *ret_len, struct msb_err *err)
{
	char name[PATH_MAX];

	member_name(l, file, name);
	return source_text(l->source, name, file, ret, ret_len, err);
}

static int put_extent(const struct loading *l, const struct source_blob *data, uint64_t from,
	struct sparse_extent e, int disk_fd, struct msb_err *err)
{
	while (e.len) {
		ssize_t got =
			source_read(data, from, l->chunk, (size_t)MIN(e.len, (uint64_t)CHUNK));
		ssize_t done = 0;

		if (got <= 0)
			return msb_err_errno(
				err, got < 0 ? (int)got : -EIO, "cannot read the archive");
		while (done < got) {
			ssize_t n = pwrite(disk_fd, l->chunk + done, (size_t)(got - done),
				(off_t)e.offset + done);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return msb_err_errno(err, -errno, "cannot write the disk");
			done += n;
		}
		from += (uint64_t)got;
		e.offset += (uint64_t)got;
		e.len -= (uint64_t)got;
	}
	return 0;
}

static int put_disk(const struct loading *l, uint64_t size, int disk_fd, struct msb_err *err)
{
	cleanup_with(source_blob_close) struct source_blob data = {.fd = -EBADF};
	const uint8_t *extents = (const uint8_t *)l->extents;
	char name[PATH_MAX];
	uint64_t total;
	uint64_t at = 0;
	int r;

	member_name(l, SNAPSHOT_DATA, name);
	if (extents_check(extents, l->extents_len, size, &total) < 0)
		return not_one(err, "its list of pieces is nonsense");
	r = source_get(l->source, name, &data, err);
	if (r < 0)
		return r;
	if (data.size != total)
		return not_one(err, "its pieces have another size than its list says");
	if (ftruncate(disk_fd, (off_t)size) < 0)
		return msb_err_errno(err, -errno, "cannot write the disk");
	for (size_t i = 0; i < l->extents_len / EXTENT_BYTES && r == 0; i++) {
		struct sparse_extent e = extents_at(extents, i);

		r = put_extent(l, &data, at, e, disk_fd, err);
		at += e.len;
	}
	return r;
}

static int load(struct loading *l, int disk_fd, int text_fd, struct msb_err *err)
{
	struct snapshot_manifest m;
	int r = find_name(l, err);

	if (r == 0)
		r = read_text(l, SNAPSHOT_MANIFEST, &l->manifest, &l->manifest_len, err);
	if (r < 0)
		return r;
	r = snapshot_manifest_parse(l->manifest, l->manifest_len, &m, err);
	if (r == 0)
		r = read_text(l, SNAPSHOT_EXTENTS, &l->extents, &l->extents_len, err);
	if (r == 0)
		r = put_disk(l, m.size_bytes, disk_fd, err);
	snapshot_manifest_deinit(&m);
	if (r < 0)
		return r;
	r = io_write_full(text_fd, l->name, strlen(l->name));
	if (r == 0)
		r = io_write_full(text_fd, "\n", 1);
	if (r == 0)
		r = io_write_full(text_fd, l->manifest, l->manifest_len);
	return r < 0 ? msb_err_errno(err, r, "cannot tell what was loaded") : 0;
}

int snapshot_load_source(const struct source *s, int disk_fd, int text_fd, struct msb_err *err)
{
	struct loading l = {.source = s, .chunk = malloc(CHUNK)};
	int r = l.chunk ? load(&l, disk_fd, text_fd, err)
			: msb_err_errno(err, -ENOMEM, "cannot read the archive");

	free(l.manifest);
	free(l.extents);
	free(l.chunk);
	return r;
}

int snapshot_load_run(
	const struct archive_request *req, const char *layer_program, struct msb_err *err)
{
	cleanup_with(store_close_p) struct store *store = NULL;
	struct source s = {.dir_fd = -EBADF, .fd = -EBADF};
	int r = store_open(req->home, &store, err);

	if (r == 0)
		r = image_confine(req->home, layer_program, 0, -EBADF, err);
	if (r == 0)
		r = source_open(store, layer_program, ARCHIVE_FD, &s, err);
	if (r == 0 && s.dir_fd >= 0)
		r = not_one(err, "it is a directory");
	if (r == 0)
		r = snapshot_load_source(&s, SNAPSHOT_DISK_FD, SNAPSHOT_TEXT_FD, err);
	source_close(&s);
	return r;
}
