/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and files of the host, by virtio-fs, and disks beside those of the root.
 *
 * A shared file comes as a directory that holds just that file; the directory is mounted out of the
 * way, the file bound to its place, the directory taken away again.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "boot-internal.h"

#define STAGING "/dev/.msb-share"

static int flags_of(const char *options, unsigned long *ret)
{
	*ret = 0;
	for (const char *o = options; *o;) {
		size_t len = strcspn(o, ",");

		if (len && !mount_option_flag(o, len, ret))
			return -EINVAL;
		o += len + (o[len] == ',');
	}
	return 0;
}

static int mount_dir(const struct msg_share *s, const char *path, unsigned long flags)
{
	int r = io_mkdir_p(path, 0755);

	if (r < 0)
		return r;
	return mount(s->tag, path, "virtiofs", flags, NULL) < 0 ? -errno : 0;
}

/* Something to bind the file to. */
static int make_target(const char *path)
{
	char parent[LIMIT_PATH];
	char *slash;
	int fd;
	int r = str_copy(parent, sizeof(parent), path);

	if (r < 0)
		return r;
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		r = io_mkdir_p(parent, 0755);
		if (r < 0)
			return r;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0)
		return -errno;
	fd_close(fd);
	return 0;
}

static int mount_file(const struct msg_share *s, unsigned long flags)
{
	char from[sizeof(STAGING) + 260];
	int r;

	(void)snprintf(from, sizeof(from), "%s/%s", STAGING, s->only);
	r = mount_dir(s, STAGING, flags);
	if (r < 0)
		return r;
	r = make_target(s->path);
	if (r == 0 && mount(from, s->path, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	if (umount2(STAGING, MNT_DETACH) < 0 && r == 0)
		r = -errno;
	(void)rmdir(STAGING);
	return r;
}

/* Space that becomes free on a writable disk is given back to the host. */
static int mount_disk(const struct msg_share *s, unsigned long flags)
{
	const char *fstype = s->only[0] ? s->only : probe_fstype(s->tag);
	bool discard = fstype && !(flags & MS_RDONLY) && streq(fstype, "ext4");
	int r = io_mkdir_p(s->path, 0755);

	if (r < 0)
		return r;
	if (!fstype)
		return -EINVAL;
	return mount(s->tag, s->path, fstype, flags, discard ? "discard" : NULL) < 0 ? -errno : 0;
}

static bool is_disk(const struct msg_share *s)
{
	return s->tag[0] == '/';
}

int share_mount(const struct msg_share *s, unsigned long force, struct boot_error *err)
{
	unsigned long flags;
	int r = flags_of(s->options, &flags);

	flags |= force;
	if (s->path[0] != '/' || s->path[1] == '\0')
		r = -EINVAL;
	if (r == 0 && is_disk(s))
		r = mount_disk(s, flags);
	else if (r == 0)
		r = s->only[0] ? mount_file(s, flags) : mount_dir(s, s->path, flags);
	if (r == 0)
		return 0;
	errno = -r;
	if (is_disk(s) && r == -EINVAL)
		return boot_fail(err, STAGE_MOUNT,
			"mount the disk at %s: no ext4, xfs, erofs or squashfs file system",
			s->path);
	return boot_fail(err, STAGE_MOUNT, "mount the share at %s", s->path);
}
