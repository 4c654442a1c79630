/* SPDX-License-Identifier: Apache-2.0 */
/* --root-disk: see root-disk.h. */
#include "lib/root-disk.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/str.h"

#include "lib/image.h"

enum { QUOTED = 160 };

static int usage(struct msb_err *err, const char *value, const char *what)
{
	char quoted[QUOTED];
	int r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s %s",
		str_quote(quoted, sizeof(quoted), value, strlen(value)), what);

	return msb_err_hint(
		err, r, "write a size (8G), tmpfs, tmpfs:SIZE, flat, flat:SIZE, or ./FILE");
}

static int parse_size(
	const char *value, uint64_t min, uint64_t max, uint64_t *ret_bytes, struct msb_err *err)
{
	uint64_t mib = 0;
	int r = str_to_mib(value, &mib);

	if (r == -EINVAL)
		return usage(err, value, "is not a size");
	if (r < 0 || mib < min || mib > max)
		return msb_err_set(err, -ERANGE, MSB_USAGE,
			"%.40s is not between %" PRIu64 " MiB and %" PRIu64 " GiB", value, min,
			max / 1024);
	*ret_bytes = mib * MIB;
	return 0;
}

int run_parse_root_disk(void *target, const char *value, struct msb_err *err)
{
	struct run_root_disk *d = target;
	int r = 0;

	run_root_disk_deinit(d);
	d->given = true;
	d->disk = (struct sandbox_root_disk){.kind = UPPER_TMPFS, .path = ""};
	if (value[0] == '.' || value[0] == '~' || strchr(value, '/')) {
		d->disk.kind = UPPER_FILE;
		d->path = strdup(value);
		return d->path ? 0 : msb_err_errno(err, -ENOMEM, "reading the command line");
	}
	if (streq(value, "tmpfs"))
		return 0;
	if (str_starts(value, "tmpfs:"))
		return parse_size(
			value + strlen("tmpfs:"), 1, LIMIT_MEM_MAX_MIB, &d->disk.size_bytes, err);
	d->disk.kind = streq(value, "flat") || str_starts(value, "flat:") ? UPPER_FLAT : UPPER_DISK;
	if (streq(value, "flat")) {
		d->disk.size_bytes = ROOT_DISK_DEFAULT_BYTES;
		return 0;
	}
	if (d->disk.kind == UPPER_FLAT)
		value += strlen("flat:");
	r = parse_size(
		value, LIMIT_ROOT_DISK_MIN_MIB, LIMIT_ROOT_DISK_MAX_MIB, &d->disk.size_bytes, err);
	return r;
}

/* The guest is the one to say so in the end, but here the words are better. */
static int check_file(const char *path, struct msb_err *err)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint8_t magic[2] = {0};
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "root disk '%.200s'", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"root disk '%.200s' is neither a file nor a block device", path);
	if (pread(fd, magic, sizeof(magic), 1024 + 56) == 2 && magic[0] == 0x53 && magic[1] == 0xef)
		return 0;
	r = msb_err_set(err, -EINVAL, MSB_USAGE,
		"root disk '%.200s' is no raw image of an ext4 file system", path);
	return msb_err_hint(err, r, "make one: truncate -s 8G FILE && mkfs.ext4 FILE");
}

static int find_file(struct run_root_disk *d, struct msb_err *err)
{
	char expanded[PATH_MAX];
	int r = image_expand_home(d->path, expanded, sizeof(expanded), err);

	if (r < 0)
		return r;
	free(d->real);
	d->real = realpath(expanded, NULL);
	if (!d->real)
		return msb_err_errno(err, -errno, "root disk '%.200s'", d->path);
	d->disk.path = d->real;
	return check_file(d->real, err);
}

int run_root_disk_apply(struct run_root_disk *d, struct sandbox_spec *spec, struct msb_err *err)
{
	int r = 0;

	if (!d->given) {
		bool keep = !spec->ephemeral && spec->root_kind == ROOT_OVERLAY;

		if (keep || spec->image_kind == IMAGE_OCI)
			spec->root_disk =
				(struct sandbox_root_disk){UPPER_DISK, ROOT_DISK_DEFAULT_BYTES, ""};
		return 0;
	}
	if (spec->root_kind == ROOT_DISK) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE,
			"option --root-disk: a disk image is written to itself");
		return msb_err_hint(err, r, "leave the option out, or run another kind of image");
	}
	if (d->disk.kind == UPPER_FILE)
		r = find_file(d, err);
	if (r < 0)
		return r;
	spec->root_disk = d->disk;
	return 0;
}

void run_root_disk_deinit(struct run_root_disk *d)
{
	free(d->path);
	free(d->real);
	*d = (struct run_root_disk){.disk = {.path = ""}};
}
