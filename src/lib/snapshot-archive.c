/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots and archives: see snapshot-archive.h. */
#include "lib/snapshot-archive.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/archive/tar-out.h"
#include "image/snapshot/extents.h"
#include "image/snapshot/sparse.h"
#include "lib/archive.h"

enum { CHUNK = 256 * 1024, NAME_MAX_ARCHIVE = TAR_OUT_NAME_MAX };

static int member_name(const struct snapshot *s, const char *file, char ret[NAME_MAX_ARCHIVE + 1],
	struct msb_err *err)
{
	int n = snprintf(ret, NAME_MAX_ARCHIVE + 1, "%s/%s", s->name, file);

	return n > NAME_MAX_ARCHIVE ? msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
					      "the name '%s' is too long for an archive", s->name)
				    : 0;
}

static int put_file(struct tar_out *t, const struct snapshot *s, const char *file, const void *p,
	size_t n, struct msb_err *err)
{
	char name[NAME_MAX_ARCHIVE + 1];
	int r = member_name(s, file, name, err);

	return r < 0 ? r : tar_out_file(t, name, p, n, err);
}

static int put_piece(
	struct tar_out *t, int disk, struct sparse_extent e, uint8_t *chunk, struct msb_err *err)
{
	int r = 0;

	while (e.len && r == 0) {
		ssize_t n =
			pread(disk, chunk, (size_t)MIN(e.len, (uint64_t)CHUNK), (off_t)e.offset);

		if (n <= 0)
			return msb_err_errno(err, n < 0 ? -errno : -EIO, "cannot read the disk");
		r = tar_out_data(t, chunk, (size_t)n, err);
		e.offset += (uint64_t)n;
		e.len -= (uint64_t)n;
	}
	return r;
}

static int put_data(struct tar_out *t, const struct snapshot *s, int disk,
	const struct buf *extents, uint64_t total, struct msb_err *err)
{
	cleanup_free uint8_t *chunk = malloc(CHUNK);
	char name[NAME_MAX_ARCHIVE + 1];
	int r = member_name(s, SNAPSHOT_DATA, name, err);

	if (r == 0 && !chunk)
		r = msb_err_errno(err, -ENOMEM, "writing the archive");
	if (r == 0)
		r = tar_out_begin(t, name, total, err);
	for (size_t i = 0; r == 0 && i < buf_len(extents) / EXTENT_BYTES; i++)
		r = put_piece(t, disk, extents_at(buf_data(extents), i), chunk, err);
	return r == 0 ? tar_out_end(t, err) : r;
}

int snapshot_save(const struct snapshot *s, int fd, struct msb_err *err)
{
	struct tar_out t = {.fd = fd};
	cleanup_fd int disk = -EBADF;
	cleanup_free char *text = NULL;
	size_t len = 0;
	uint64_t total = 0;
	struct buf extents;
	int r = snapshot_open_disk(s, &disk, err);

	if (r < 0)
		return r;
	r = io_read_file(s->fd, SNAPSHOT_MANIFEST, SNAPSHOT_MANIFEST_MAX, &text, &len);
	if (r < 0)
		return msb_err_errno(err, r, SNAPSHOT_MANIFEST);
	buf_init(&extents, (size_t)EXTENTS_MAX * EXTENT_BYTES);
	r = extents_put(disk, s->m.size_bytes, &extents, &total);
	if (r < 0)
		(void)msb_err_errno(err, r, "disk of snapshot '%s'", s->name);
	if (r == 0)
		r = put_file(&t, s, SNAPSHOT_MANIFEST, text, len, err);
	if (r == 0)
		r = put_file(&t, s, SNAPSHOT_EXTENTS, buf_data(&extents), buf_len(&extents), err);
	if (r == 0)
		r = put_data(&t, s, disk, &extents, total, err);
	if (r == 0)
		r = tar_out_finish(&t, err);
	buf_deinit(&extents);
	return r;
}

/* What msb-archive has written: "NAME\n" and the manifest. @ret_name: inside @ret_text. */
static int read_answer(
	int fd, char **ret_text, const char **ret_manifest, size_t *ret_len, struct msb_err *err)
{
	struct stat st;
	char *text;
	char *nl;

	if (fstat(fd, &st) < 0 || st.st_size > SNAPSHOT_MANIFEST_MAX + 1024)
		return msb_err_set(err, -EPROTO, MSB_PROTOCOL, "nonsense from msb-archive");
	text = malloc((size_t)st.st_size + 1);
	*ret_text = text;
	if (!text || pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		return msb_err_errno(err, -EIO, "cannot read what msb-archive says");
	text[st.st_size] = '\0';
	nl = memchr(text, '\n', (size_t)st.st_size);
	if (!nl)
		return msb_err_set(err, -EPROTO, MSB_PROTOCOL, "nonsense from msb-archive");
	*nl = '\0';
	*ret_manifest = nl + 1;
	*ret_len = (size_t)(text + st.st_size - (nl + 1));
	return snapshot_name_check(text, err);
}

/* Whoever read the archive may have been taken over by it. */
static int check(int disk, const char *manifest, size_t len, struct msb_err *err)
{
	struct snapshot_manifest m;
	char digest[DIGEST_TEXT];
	struct stat st = {.st_size = 0};
	int r = snapshot_manifest_parse(manifest, len, &m, err);

	if (r == 0) {
		r = sparse_digest(disk, digest);
		if (r == 0 && fstat(disk, &st) < 0)
			r = -errno;
		if (r < 0)
			r = msb_err_errno(err, r, "reading the disk");
		else if (!streq(digest, m.disk_digest) || (uint64_t)st.st_size != m.size_bytes)
			r = msb_err_set(err, -EBADMSG, MSB_FAIL,
				"the archive is damaged: its disk has another digest");
	}
	snapshot_manifest_deinit(&m);
	return r;
}

static int load_into(
	struct snapshot_new *n, const struct snapshot_load *l, char **text, struct msb_err *err)
{
	cleanup_fd int answer = memfd_create("msb-snapshot", MFD_CLOEXEC);
	cleanup_fd int disk = -EBADF;
	const char *manifest = NULL;
	size_t len = 0;
	int r = answer < 0 ? msb_err_errno(err, -errno, "cannot read an archive")
			   : snapshot_new_disk(n, &disk, err);

	if (r == 0)
		r = archive_load_snapshot(l->home, l->lib_dir, l->fd, disk, answer, err);
	if (r == 0)
		r = read_answer(answer, text, &manifest, &len, err);
	if (r == 0)
		r = check(disk, manifest, len, err);
	if (r < 0)
		return r;
	n->name = *text;
	return snapshot_new_publish(n, manifest, len, l->replace, err);
}

int snapshot_load(const struct snapshot_load *l, struct snapshot *ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	char place[PATH_MAX];
	char path[PATH_MAX];
	struct snapshot_new n;
	int r = snapshots_dir(l->home, place, err);

	*ret = (struct snapshot){.fd = -EBADF, .m.parent = ""};
	if (r == 0 && l->parent)
		r = str_copy(place, sizeof(place), l->parent);
	if (r < 0)
		return msb_err_errno(err, r, "the place for the snapshot");
	r = snapshot_new_begin(place, NULL, l->replace, &n, err);
	if (r == 0)
		r = load_into(&n, l, &text, err);
	snapshot_new_end(&n);
	if (r < 0)
		return r;
	if (snprintf(path, sizeof(path), "%s/%s", place, text) >= (int)sizeof(path))
		return msb_err_errno(err, -ENAMETOOLONG, "%.200s", place);
	return snapshot_open(l->home, path, ret, err);
}
