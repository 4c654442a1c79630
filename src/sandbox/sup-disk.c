/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a machine: see sup-disk.h. */
#include "sandbox/sup-disk.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/ext4/ext4.h"
#include "image/snapshot/snapshot.h"
#include "image/snapshot/sparse.h"
#include "sandbox/sup-internal.h"

void sup_disks_init(struct sup_disks *d)
{
	*d = (struct sup_disks){.upper = {.fd = -EBADF}};
}

void sup_disks_close(struct sup_disks *d)
{
	if (d->image)
		store_disk_close(d->image);
	free(d->image);
	free(d->extents);
	fd_close(d->upper.fd);
	store_close(d->store);
	sup_disks_init(d);
}

/*
 * An image of many layers is given to the machine as one descriptor for each, several times over
 * while its process is made.
 */
static void allow_descriptors(uint32_t layers)
{
	struct rlimit files;
	rlim_t want = 64 + 4 * (rlim_t)layers;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= want)
		return;
	/* What is not enough is told by whoever gets no descriptor. */
	files.rlim_cur = MIN(want, files.rlim_max);
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static int extents_from_store(struct sup_disks *d, struct engine_disk *disk, struct msb_err *err)
{
	d->extents = calloc(d->image->n_extents, sizeof(d->extents[0]));
	if (!d->extents)
		return msb_err_errno(err, -ENOMEM, "cannot open the image");
	for (uint32_t i = 0; i < d->image->n_extents; i++) {
		const struct store_extent *e = &d->image->extents[i];

		d->extents[i] = (struct engine_extent){
			.fd = d->image->fds[e->fd], .offset = e->offset, .len = e->len};
	}
	*disk = (struct engine_disk){
		.read_only = true, .n_extents = d->image->n_extents, .extents = d->extents};
	return 0;
}

static int open_oci(struct sup_disks *d, const struct sandbox_spec *spec, struct engine_disk *disk,
	struct msb_err *err)
{
	cleanup_with(store_image_deinit) struct store_image image = {};
	int r = store_open(spec->home, &d->store, err);

	if (r < 0)
		return r;
	r = store_image_get(d->store, spec->image_digest, &image, err);
	if (r == -ENOENT) {
		(void)msb_err_set(err, r, MSB_NOT_FOUND,
			"image '%.100s' (%.19s) is not in the image store any more", spec->image,
			spec->image_digest);
		return msb_err_hint(err, r, "pull it again, or remove the sandbox");
	}
	if (r < 0)
		return r;
	d->image = calloc(1, sizeof(*d->image));
	if (!d->image)
		return msb_err_errno(err, -ENOMEM, "cannot open the image");
	allow_descriptors(image.n_layers);
	r = store_disk_open(d->store, &image, d->image, err);
	return r < 0 ? r : extents_from_store(d, disk, err);
}

/* A file in @dir_fd without a name. */
static int unnamed_file(int dir_fd)
{
	static const char name[] = ".upper";
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && unlinkat(dir_fd, name, 0) < 0) {
		close(fd);
		return -errno;
	}
	return fd < 0 ? -errno : fd;
}

static int format(int fd, const struct sandbox_spec *spec, struct msb_err *err)
{
	struct ext4_opts o = {
		.size_bytes = spec->root_disk.size_bytes,
		.journal = !spec->ephemeral,
		.now_s = clock_real_ns() / NSEC_PER_SEC,
	};

	if (getrandom(o.uuid, sizeof(o.uuid), GRND_NONBLOCK) != (ssize_t)sizeof(o.uuid))
		return msb_err_errno(err, -errno, "cannot make a root disk");
	o.uuid[6] = (uint8_t)((o.uuid[6] & 0x0f) | 0x40);
	o.uuid[8] = (uint8_t)((o.uuid[8] & 0x3f) | 0x80);
	return ext4_format(fd, &o, err);
}

static int resize_upper(const struct sup_disks *d, uint64_t bytes, struct msb_err *err)
{
	struct stat st;
	int r;

	if (fstat(d->upper.fd, &st) < 0)
		return msb_err_errno(err, -errno, "root disk");
	if ((uint64_t)st.st_size > bytes) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE,
			"the root disk has %" PRIu64 " MiB and cannot become smaller",
			(uint64_t)st.st_size / MIB);
		return msb_err_hint(err, r, "give that size or a larger one");
	}
	/* The guest lets the file system follow. */
	if ((uint64_t)st.st_size < bytes && ftruncate(d->upper.fd, (off_t)bytes) < 0)
		return msb_err_errno(err, -errno, "cannot grow the root disk");
	return 0;
}

/* The disk begins as the snapshot's, and has at least the size that is wanted. */
static int copy_snapshot(int fd, const struct sandbox_spec *spec, struct msb_err *err)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	cleanup_fd int disk = -EBADF;
	int r = snapshot_open(spec->home, spec->snapshot, &s, err);

	if (r == 0 && !streq(s.digest, spec->snapshot_digest))
		r = msb_err_set(err, -ESTALE, MSB_FAIL,
			"snapshot %.300s has just been replaced by another one", spec->snapshot);
	if (r == 0)
		r = snapshot_open_disk(&s, &disk, err);
	if (r < 0)
		return r;
	r = sparse_copy(disk, fd, UINT64_MAX);
	return r < 0 ? msb_err_errno(err, r, "cannot copy snapshot '%s'", s.name) : 0;
}

/* Whole or not there: a name means a file system. */
static int make_upper(
	struct sup_disks *d, const struct sandbox_spec *spec, int dir_fd, struct msb_err *err)
{
	static const char temporary[] = SANDBOX_UPPER ".new";
	int r;

	if (spec->ephemeral)
		d->upper.fd = unnamed_file(dir_fd);
	else
		d->upper.fd = openat(dir_fd, temporary,
			O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->upper.fd < 0)
		return msb_err_errno(
			err, spec->ephemeral ? d->upper.fd : -errno, "cannot make a root disk");
	if (spec->snapshot && spec->snapshot[0]) {
		r = copy_snapshot(d->upper.fd, spec, err);
		if (r == 0)
			r = resize_upper(d, spec->root_disk.size_bytes, err);
	} else {
		r = format(d->upper.fd, spec, err);
	}
	if (r < 0 || spec->ephemeral)
		return r;
	if (renameat(dir_fd, temporary, dir_fd, SANDBOX_UPPER) < 0)
		return msb_err_errno(err, -errno, "cannot make a root disk");
	return 0;
}

static int open_upper(struct sup_disks *d, const struct sandbox_spec *spec, int dir_fd,
	struct engine_disk *disk, struct msb_err *err)
{
	int r;

	*disk = (struct engine_disk){
		.n_extents = 1, .extents = &d->upper, .unsafe = spec->ephemeral};
	if (spec->root_disk.kind == UPPER_FILE) {
		disk->unsafe = false;
		return sup_open_file("root disk", spec->root_disk.path, O_RDWR, &d->upper.fd, err);
	}
	d->upper.fd = openat(dir_fd, SANDBOX_UPPER, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (d->upper.fd >= 0)
		return resize_upper(d, spec->root_disk.size_bytes, err);
	r = -errno;
	return r == -ENOENT ? make_upper(d, spec, dir_fd, err)
			    : msb_err_errno(err, r, "cannot open the root disk");
}

int sup_disks_open(struct sup_disks *d, const struct sandbox_spec *spec, int dir_fd, int whole_fd,
	struct engine_spec *es, struct msb_err *err)
{
	int r = 0;

	d->whole.fd = whole_fd;
	es->n_disks = 1;
	es->disks[0] = (struct engine_disk){
		.read_only = spec->root_kind != ROOT_DISK, .n_extents = 1, .extents = &d->whole};
	if (spec->image_kind == IMAGE_OCI)
		r = open_oci(d, spec, &es->disks[0], err);
	if (r < 0)
		return r;
	if (spec->root_disk.kind == UPPER_TMPFS)
		return 0;
	es->n_disks = 2;
	return open_upper(d, spec, dir_fd, &es->disks[1], err);
}
