/* SPDX-License-Identifier: Apache-2.0 */
/* The IMAGE word of `msb run`: see image.h. */
#include "lib/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/erofs/erofs.h"

enum { QUOTED = 160, HEAD_BYTES = 4096 };

static bool has_disk_suffix(const char *word)
{
	static const char *const suffixes[] = {
		".img", ".raw", ".erofs", ".ext4", ".qcow2", ".vmdk"};
	size_t len = strlen(word);

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && streq(word + len - n, suffixes[i]))
			return true;
	}
	return false;
}

static bool looks_like_path(const char *word)
{
	return word[0] == '.' || word[0] == '~' || strchr(word, '/') || has_disk_suffix(word);
}

/* A path that does not exist may have been meant as registry/name. */
static bool could_be_reference(const char *word)
{
	return word[0] != '.' && word[0] != '~' && word[0] != '/' && !has_disk_suffix(word);
}

static const char *quote(char to[QUOTED], const char *word)
{
	return str_quote(to, QUOTED, word, strlen(word));
}

int image_path_hint(const char *word, int r, struct msb_err *err)
{
	struct stat st;

	if (lstat(word, &st) < 0)
		return r;
	return msb_err_hint(err, r, "for the %s of that name write ./%.150s",
		S_ISDIR(st.st_mode) ? "directory" : "file", word);
}

/* Anything else is the name of an image in a registry. */
static int take_reference(const char *word, struct image *im, struct msb_err *err)
{
	int r = image_ref_parse(word, &im->ref, err);

	if (r < 0) {
		(void)msb_err_hint(err, r,
			"use a reference (python:3.12), base, a root file system directory "
			"(./DIR), or a raw disk image (./FILE)");
		return image_path_hint(word, r, err);
	}
	im->kind = IMAGE_OCI;
	im->root_kind = ROOT_OVERLAY;
	im->fstype = "erofs";
	return 0;
}

/* The shell leaves a quoted ~ alone. Only one's own home is known here. */
int image_expand_home(const char *word, char *to, size_t size, struct msb_err *err)
{
	const char *home = getenv("HOME");
	int n;

	if (word[0] != '~')
		n = snprintf(to, size, "%s", word);
	else if ((word[1] == '/' || word[1] == '\0') && home && home[0] == '/')
		n = snprintf(to, size, "%s%s", home, word + 1);
	else
		return msb_err_set(err, -ENOENT, MSB_NOT_FOUND,
			"image %.100s: whose home directory is meant is unknown", word);
	if (n < 0 || (size_t)n >= size)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "the image's path is too long");
	return 0;
}

static uint32_t le_at(const uint8_t *p, unsigned int bytes)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < bytes; i++)
		v |= (uint32_t)p[i] << (8 * i);
	return v;
}

/* What else people have at hand, so that the message says what it is. */
static const char *foreign_format(const uint8_t *head, size_t len)
{
	static const struct {
		const char *name;
		size_t at;
		const char *magic;
	} formats[] = {
		{"an XFS file system", 0, "XFSB"},
		{"a SquashFS image", 0, "hsqs"},
		{"gzip-compressed", 0, "\x1f\x8b"},
		{"zstd-compressed", 0, "\x28\xb5\x2f\xfd"},
		{"a tar archive", 257, "ustar"},
		{"a partitioned disk", 510, "\x55\xaa"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t n = strlen(formats[i].magic);

		if (formats[i].at + n <= len &&
			memcmp(head + formats[i].at, formats[i].magic, n) == 0)
			return formats[i].name;
	}
	return NULL;
}

static int unknown_format(const char *word, const uint8_t *head, size_t len, struct msb_err *err)
{
	const char *format = foreign_format(head, len);
	char quoted[QUOTED];
	int r = msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED, "image %s is %s",
		quote(quoted, word), format ? format : "no file system that msb can boot from");

	return msb_err_hint(err, r,
		"give a raw image of an ext4 or EROFS file system without a partition table");
}

/* Superblocks of both file systems start at byte 1024. */
static int detect(int fd, const char *word, struct image *ret, struct msb_err *err)
{
	uint8_t head[HEAD_BYTES] = {0};
	ssize_t len = pread(fd, head, sizeof(head), 0);
	char quoted[QUOTED];
	int r;

	if (len < 0)
		return msb_err_errno(err, -errno, "cannot read image %s", quote(quoted, word));
	ret->format = disk_format_of(head, (size_t)len);
	if (ret->format != DISK_RAW) {
		ret->kind = IMAGE_DISK;
		ret->root_kind = ROOT_DISK;
		r = disk_format_check(fd, ret->format, err);
		return r < 0 ? msb_err_prefix(err, r, "image %s", quote(quoted, word)) : 0;
	}
	if (len >= 1028 && le_at(head + 1024, 4) == 0xe0f5e1e2) {
		ret->kind = IMAGE_EROFS;
		ret->root_kind = ROOT_OVERLAY;
		ret->fstype = "erofs";
		return 0;
	}
	if (len < 1082 || le_at(head + 1080, 2) != 0xef53)
		return unknown_format(word, head, (size_t)len, err);
	ret->kind = IMAGE_DISK;
	ret->root_kind = ROOT_DISK;
	ret->fstype = "ext4";
	if (access(ret->path, W_OK) == 0)
		return 0;
	r = msb_err_errno(err, -errno, "disk image %s must be writable", quote(quoted, word));
	return msb_err_hint(err, r, "make it writable or run a copy of it");
}

static int resolve_path(const char *word, struct image *ret, struct msb_err *err)
{
	char expanded[PATH_MAX];
	cleanup_free char *real = NULL;
	cleanup_fd int fd = -EBADF;
	char quoted[QUOTED];
	struct stat st;
	int r = image_expand_home(word, expanded, sizeof(expanded), err);

	if (r < 0)
		return r;
	/* Non-blocking: a FIFO of that name must not hang us. */
	fd = open(expanded, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT && could_be_reference(word))
		return take_reference(word, ret, err);
	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot open image %s", quote(quoted, word));
	real = realpath(expanded, NULL);
	if (!real || str_copy(ret->path, sizeof(ret->path), real) < 0)
		return msb_err_errno(err, real ? -ENAMETOOLONG : -errno, "cannot find image %s",
			quote(quoted, word));
	if (S_ISDIR(st.st_mode)) {
		ret->kind = IMAGE_DIRECTORY;
		ret->root_kind = ROOT_OVERLAY;
		ret->fstype = "erofs";
		return 0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"image %s is neither a directory nor a disk image", quote(quoted, word));
	return detect(fd, word, ret, err);
}

int image_resolve(const char *word, const char *lib_dir, struct image *ret, struct msb_err *err)
{
	struct image im = {.fd = -EBADF, .fstype = "", .kind = IMAGE_BASE};
	int r;

	if (streq(word, "base")) {
		im.root_kind = ROOT_OVERLAY;
		im.fstype = "erofs";
		r = snprintf(im.path, sizeof(im.path), "%s/base.erofs", lib_dir);
		if (r < 0 || (size_t)r >= sizeof(im.path))
			return msb_err_set(err, -ENAMETOOLONG, MSB_FAIL,
				"the path of the installation is too long");
		if (access(im.path, R_OK) < 0) {
			r = msb_err_errno(err, -errno, "cannot read %.300s", im.path);
			return msb_err_hint(err, r, "the installation is incomplete: 'msb doctor'");
		}
	} else {
		r = looks_like_path(word) ? resolve_path(word, &im, err)
					  : take_reference(word, &im, err);
		if (r < 0)
			return r;
	}
	*ret = im;
	return 0;
}

/* A file without a name in the cache directory; in memory where the file system has no such thing.
 */
static int scratch_file(const char *home, struct msb_err *err)
{
	char dir[PATH_MAX];
	int n = snprintf(dir, sizeof(dir), "%s/cache", home);
	int fd;
	int r;

	if (n < 0 || (size_t)n >= sizeof(dir))
		return msb_err_set(err, -ENAMETOOLONG, MSB_FAIL, "MSB_HOME is too long a path");
	r = io_mkdir_p(dir, 0700);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make %.300s", dir);
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
		fd = memfd_create("msb-image", MFD_CLOEXEC);
	return fd < 0 ? msb_err_errno(err, -errno, "cannot make a file in %.300s", dir) : fd;
}

/* Only now it shows what is in it. */
static int look_into_copy(int fd, const struct image *im, struct msb_err *err)
{
	uint8_t head[HEAD_BYTES] = {0};
	ssize_t len = pread(fd, head, sizeof(head), 0);

	if (len < 0)
		return msb_err_errno(err, -errno, "cannot read the converted image");
	if (len < 1082 || le_at(head + 1080, 2) != 0xef53)
		return unknown_format(im->path, head, (size_t)len, err);
	return 0;
}

/* What the guest changes stays in the copy. */
static int convert_disk(struct image *im, const char *home, struct msb_err *err)
{
	cleanup_fd int from = open(im->path, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = -EBADF;
	int r;

	if (from < 0)
		return msb_err_errno(err, -errno, "cannot open %.300s", im->path);
	out = scratch_file(home, err);
	if (out < 0)
		return out;
	r = disk_convert(from, im->format, out, err);
	if (r == 0)
		r = look_into_copy(out, im, err);
	if (r < 0)
		return r;
	im->fd = TAKE_FD(out);
	im->path[0] = '\0';
	im->fstype = "ext4";
	return 0;
}

int image_pack(struct image *im, const char *home, struct msb_err *err)
{
	/* Everything belongs to root inside, unless root itself packs a tree with owners. */
	struct erofs_opts opts = {.root_owned = geteuid() != 0};
	cleanup_fd int dir = -EBADF;
	cleanup_fd int out = -EBADF;
	int r;

	if (im->format != DISK_RAW)
		return convert_disk(im, home, err);
	if (im->kind != IMAGE_DIRECTORY)
		return 0;
	dir = open(im->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return msb_err_errno(err, -errno, "cannot open %.300s", im->path);
	out = scratch_file(home, err);
	if (out < 0)
		return out;
	r = erofs_write_dir(dir, out, &opts, err);
	if (r < 0)
		return msb_err_prefix(err, r, "packing %.150s", im->path);
	im->fd = TAKE_FD(out);
	im->path[0] = '\0';
	return 0;
}

void image_deinit(struct image *im)
{
	im->fd = fd_close(im->fd);
	im->store = store_close(im->store);
}
