/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root file system of a guest.
 *
 * ROOT_OVERLAY: the image on vda, read-only, below; a tmpfs above, or the file system on vdb
 * (ROOT_OVERLAY_DISK), which may be that of an earlier start. ROOT_FLAT: the same without overlay;
 * the directory above holds a copy of the image. What we add to the image (mount
 * points it lacks, /etc/hosts, hostname and resolv.conf, a usable /tmp and /var/tmp) is made in the
 * upper directory before the overlay is mounted: there it costs a few tmpfs operations, while the
 * same through the overlay would copy up each directory on the way. A directory made there takes
 * mode and owner of the image's one, because the upper one counts.
 *
 * ROOT_DISK: the user's own disk, mounted read-write. Nothing is written to it except missing mount
 * points.
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#include "agent/ops/freeze.h"

#include "boot-internal.h"
#include "net.h"

#define ROOT_DEVICE  "/dev/vda"
#define UPPER_DEVICE "/dev/vdb"
#define UPPER_NAME   "u"
#define UPPER_DIR    BOOT_UPPER "/" UPPER_NAME
#define WORK_DIR     BOOT_UPPER "/w"

/* What the host is called in here. */
#define HOST_ALIAS "host.microsandbox.internal"

/* First line of a resolv.conf that is ours to change. */
#define RESOLV_MARK "# by the sandbox: "

/* EXT4_IOC_RESIZE_FS, which no header of the kernel gives to programs. */
#define RESIZE_FS _IOW('f', 16, uint64_t)
enum {
	HOSTS_MAX = 4 * LIMIT_HOSTNAME + 256 + 2 * (NET_ADDRESS_MAX + sizeof(HOST_ALIAS) + 2),
	RESOLV_MAX = 256,
	EXT4_SUPER = 1024,
	/* Less than this at the end may be what a new file system left unused. */
	GROW_WORTH = 8 << 20,
};

/* ROOT_OVERLAY_DISK: the mount of vdb, which no path leads to once the root is switched. */
static int upper_mount = -EBADF;

static const char *const mount_points[] = {"proc", "sys", "dev"};

/* How to tell file systems apart: bytes at an offset of the device. */
static const struct {
	const char *fstype;
	size_t at;
	const char *magic;
	size_t len;
} magics[] = {
	{"erofs", 1024, "\xe2\xe1\xf5\xe0", 4},
	{"ext4", 1024 + 56, "\x53\xef", 2},
	{"xfs", 0, "XFSB", 4},
	{"squashfs", 0, "hsqs", 4},
};

const char *probe_fstype(const char *device)
{
	cleanup_fd int fd = open(device, O_RDONLY | O_CLOEXEC);
	uint8_t head[4096];

	if (fd < 0 || io_read_full(fd, head, sizeof(head)) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		if (memcmp(head + magics[i].at, magics[i].magic, magics[i].len) == 0)
			return magics[i].fstype;
	}
	return NULL;
}

/*
 * The image of an ordinary sandbox, mounted before CONFIG says so: reading the disk takes time that
 * would otherwise follow the wait for CONFIG, and QEMU looks for input of the port only when its
 * main loop has something to do, as a disk request.
 */
bool root_lower_early(void)
{
	const char *fstype = probe_fstype(ROOT_DEVICE);

	return fstype && streq(fstype, "erofs") && mkdir(BOOT_LOWER, 0755) == 0 &&
	       mount(ROOT_DEVICE, BOOT_LOWER, fstype, MS_RDONLY, NULL) == 0;
}

/* Is what root_lower_early() did what CONFIG wants? It is undone if not. */
static bool lower_is_right(const struct msg_config *cfg)
{
	if (cfg->root_kind != ROOT_DISK && (!*cfg->root_fstype || streq(cfg->root_fstype, "erofs")))
		return true;
	(void)umount2(BOOT_LOWER, 0);
	return false;
}

static int mount_device(const struct msg_config *cfg, const char *target, unsigned long flags,
	struct boot_error *err)
{
	const char *fstype = cfg->root_fstype;

	if (access(ROOT_DEVICE, F_OK) < 0)
		return boot_fail(err, STAGE_ROOT, "no disk " ROOT_DEVICE);
	if (!*fstype)
		fstype = probe_fstype(ROOT_DEVICE);
	if (!fstype) {
		errno = EINVAL;
		return boot_fail(err, STAGE_ROOT,
			ROOT_DEVICE " holds no erofs, ext4, xfs or squashfs file system");
	}
	if (mount(ROOT_DEVICE, target, fstype, flags, NULL) < 0)
		return boot_fail(err, STAGE_ROOT, "mount " ROOT_DEVICE " as %s", fstype);
	return 0;
}

/*
 * A directory of the upper layer that stands for @name of the image.
 *
 * Return: 0; -ENOTDIR when the image has something else there, which then stays as it is; another
 * negative errno.
 */
static int upper_dir(int lower, int upper, const char *name, mode_t mode)
{
	struct stat st = {.st_mode = mode};

	if (fstatat(lower, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	} else if (errno != ENOENT) {
		return -errno;
	}
	if (mkdirat(upper, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (fchownat(upper, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(upper, name, st.st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

static int upper_file(int upper, const char *name, const char *text)
{
	cleanup_fd int fd =
		openat(upper, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	/* A link of the image, in a copy of it, would lead anywhere. */
	if (fd < 0 && errno == ELOOP && unlinkat(upper, name, 0) == 0)
		fd = openat(upper, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0644);
	if (fd < 0)
		return -errno;
	return io_write_full(fd, text, strlen(text));
}

static void hosts_text(char text[HOSTS_MAX], const struct msg_config *cfg)
{
	const char *hostname = cfg->hostname;
	char gateway[2][NET_ADDRESS_MAX];

	net_gateway4(&cfg->net, gateway[0]);
	net_gateway6(&cfg->net, gateway[1]);
	(void)snprintf(text, HOSTS_MAX,
		"127.0.0.1\tlocalhost%s%s\n"
		"::1\tlocalhost ip6-localhost ip6-loopback%s%s\n"
		"fe00::\tip6-localnet\n"
		"ff00::\tip6-mcastprefix\n"
		"ff02::1\tip6-allnodes\n"
		"ff02::2\tip6-allrouters\n"
		"%s%s%s%s",
		*hostname ? " " : "", hostname, *hostname ? " " : "", hostname, gateway[0],
		gateway[0][0] ? "\t" HOST_ALIAS "\n" : "", gateway[1],
		gateway[1][0] ? "\t" HOST_ALIAS "\n" : "");
}

/* The gateway answers, over IPv4 where there is any. */
static void resolv_text(char text[RESOLV_MAX], const struct msg_net *n)
{
	char gateway[NET_ADDRESS_MAX];

	net_gateway4(n, gateway);
	if (!gateway[0])
		net_gateway6(n, gateway);
	if (gateway[0])
		(void)snprintf(
			text, RESOLV_MAX, RESOLV_MARK "the host answers\nnameserver %s\n", gateway);
	else
		(void)snprintf(text, RESOLV_MAX, RESOLV_MARK "no network, no name servers\n");
}

static int upper_etc(int lower, int upper, const struct msg_config *cfg)
{
	const char *hostname = cfg->hostname;
	char text[HOSTS_MAX];
	int r = upper_dir(lower, upper, "etc", 0755);

	/* Something odd in its place is the image's business. */
	if (r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r;
	hosts_text(text, cfg);
	r = upper_file(upper, "etc/hosts", text);
	/* That of the machine that built the image would only make look-ups slow. */
	resolv_text(text, &cfg->net);
	if (r == 0)
		r = upper_file(upper, "etc/resolv.conf", text);
	/* df and mount of older systems read it. */
	if (r == 0 && faccessat(lower, "etc/mtab", F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		symlinkat("/proc/mounts", upper, "etc/mtab") < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0 || !*hostname)
		return r;
	(void)snprintf(text, sizeof(text), "%s\n", hostname);
	return upper_file(upper, "etc/hostname", text);
}

/* Does @name in @etc begin with the first @len bytes of @text? With @whole, is that all of it? */
static bool says(int etc, const char *name, const char *text, size_t len, bool whole)
{
	cleanup_fd int fd = openat(etc, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char got[HOSTS_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

	return n >= (ssize_t)len && (!whole || n == (ssize_t)len) && memcmp(got, text, len) == 0;
}

/*
 * An earlier start has written these files. A sandbox that was renamed since must find its new
 * name, and one with another network than then its name server. Otherwise the files are left as the
 * user made them, and what cannot be written is no reason not to start.
 */
static void upper_renew(const struct msg_config *cfg)
{
	cleanup_fd int etc =
		open(UPPER_DIR "/etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char text[HOSTS_MAX];
	size_t len;
	int r = 0;

	if (etc < 0)
		return;
	len = (size_t)snprintf(text, sizeof(text), "%s\n", cfg->hostname);
	if (len > 1 && faccessat(etc, "hostname", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		!says(etc, "hostname", text, len, true)) {
		r = io_write_file_atomic(etc, "hostname", text, len, 0644, false);
		hosts_text(text, cfg);
		if (r == 0)
			r = io_write_file_atomic(etc, "hosts", text, strlen(text), 0644, false);
	}
	resolv_text(text, &cfg->net);
	len = strlen(text);
	if (r == 0 && says(etc, "resolv.conf", RESOLV_MARK, strlen(RESOLV_MARK), false) &&
		!says(etc, "resolv.conf", text, len, true))
		r = io_write_file_atomic(etc, "resolv.conf", text, len, 0644, false);
	if (r < 0)
		log_warn("cannot renew files of /etc: %s", strerror(-r));
}

/* @name must be there for everybody to write to. @parent: its directory, NULL for the root. */
static int upper_tmp(int lower, int upper, const char *parent, const char *name)
{
	const mode_t mode = S_ISVTX | 0777;
	struct stat st;
	int r;

	if (fstatat(lower, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode) || (st.st_mode & 07777) == mode)
			return 0;
	} else if (errno != ENOENT) {
		return errno == ENOTDIR ? 0 : -errno;
	}
	r = parent ? upper_dir(lower, upper, parent, 0755) : 0;
	if (r < 0)
		return r == -ENOTDIR ? 0 : r;
	if ((mkdirat(upper, name, 0700) < 0 && errno != EEXIST) ||
		fchmodat(upper, name, mode, 0) < 0)
		return -errno;
	return 0;
}

static int upper_fill(const struct msg_config *cfg)
{
	cleanup_fd int lower = open(BOOT_LOWER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int upper = open(UPPER_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (lower < 0 || upper < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(mount_points) && r == 0; i++) {
		if (faccessat(lower, mount_points[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		r = upper_dir(lower, upper, mount_points[i], 0755);
	}
	if (r == 0)
		r = upper_tmp(lower, upper, NULL, "tmp");
	if (r == 0)
		r = upper_tmp(lower, upper, "var", "var/tmp");
	if (r == 0)
		r = upper_etc(lower, upper, cfg);
	/* The root directory itself. */
	if (r == 0 && fstatat(lower, "", &st, AT_EMPTY_PATH) == 0 && (st.st_mode & 07777) != 0755 &&
		fchmodat(AT_FDCWD, UPPER_DIR, st.st_mode & 07777, 0) < 0)
		r = -errno;
	return r;
}

static int mount_upper_tmpfs(const struct msg_config *cfg, struct boot_error *err)
{
	char data[64] = "mode=0755,nr_inodes=0";

	/* Half of the memory may hold files, as any number of them as fit. */
	if (cfg->upper_bytes)
		(void)snprintf(data, sizeof(data), "mode=0755,nr_inodes=0,size=%" PRIu64,
			cfg->upper_bytes);
	if (mount("tmpfs", BOOT_UPPER, "tmpfs", 0, data) < 0)
		return boot_fail(err, STAGE_ROOT, "mount tmpfs");
	return 0;
}

/* Lets the ext4 file system at BOOT_UPPER take all of its device, if that has grown. */
static int upper_grow(struct boot_error *err)
{
	cleanup_fd int dev = open(UPPER_DEVICE, O_RDONLY | O_CLOEXEC);
	cleanup_fd int dir = open(BOOT_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t super[8];
	uint64_t bytes = 0;
	uint64_t blocks;
	uint64_t size;

	if (dev < 0 || dir < 0 || ioctl(dev, BLKGETSIZE64, &bytes) < 0 ||
		pread(dev, super, sizeof(super), EXT4_SUPER) != (ssize_t)sizeof(super))
		return boot_fail(err, STAGE_ROOT, "look at " UPPER_DEVICE);
	size = UINT64_C(1024) << (le32toh(super[6]) & 15);
	blocks = bytes / size;
	if (le32toh(super[1]) * size + GROW_WORTH > bytes)
		return 0;
	if (ioctl(dir, RESIZE_FS, &blocks) < 0)
		return boot_fail(err, STAGE_ROOT, "grow the file system of " UPPER_DEVICE);
	return 0;
}

/* Space that becomes free is given back to the host. */
static int mount_upper_disk(const struct msg_config *cfg, struct boot_error *err)
{
	const char *fstype = probe_fstype(UPPER_DEVICE);

	if (!fstype || streq(fstype, "erofs") || streq(fstype, "squashfs")) {
		errno = EINVAL;
		return boot_fail(err, STAGE_ROOT, "no writable file system on " UPPER_DEVICE);
	}
	if (mount(UPPER_DEVICE, BOOT_UPPER, fstype, 0, "discard") < 0)
		return boot_fail(err, STAGE_ROOT, "mount " UPPER_DEVICE " as %s", fstype);
	upper_mount = open(BOOT_UPPER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (upper_mount < 0)
		return boot_fail(err, STAGE_ROOT, "open the writable layer");
	return cfg->upper_bytes && streq(fstype, "ext4") ? upper_grow(err) : 0;
}

/* The work directory is made last: where it is, an earlier start did all of this. */
static int upper_prepare(const struct msg_config *cfg, struct boot_error *err)
{
	int r;

	if (cfg->root_kind != ROOT_OVERLAY && access(WORK_DIR, F_OK) == 0) {
		upper_renew(cfg);
		return 0;
	}
	r = cfg->root_kind == ROOT_FLAT ? copy_image(BOOT_LOWER, BOOT_UPPER, UPPER_NAME) : 0;
	if (r < 0) {
		errno = -r;
		return boot_fail(err, STAGE_ROOT, "copy the image to the root disk");
	}
	if (mkdir(UPPER_DIR, 0755) < 0 && errno != EEXIST)
		return boot_fail(err, STAGE_ROOT, "mkdir in the writable layer");
	r = upper_fill(cfg);
	if (r < 0) {
		errno = -r;
		return boot_fail(err, STAGE_ROOT, "prepare the writable layer");
	}
	if (mkdir(WORK_DIR, 0755) < 0)
		return boot_fail(err, STAGE_ROOT, "mkdir in the writable layer");
	return 0;
}

void root_release(void)
{
	if (upper_mount < 0)
		return;
	/* The overlay first: nothing may be written through it any more. */
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		log_err("cannot write back the root: %s", strerror(errno));
	if (fchdir(upper_mount) < 0 || mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		log_err("cannot write back " UPPER_DEVICE ": %s", strerror(errno));
	(void)!chdir("/");
}

/* Of the thread that freezes; open while the file system is frozen. */
static int frozen_fd = -EBADF;

/* All that is dirty is written back before the file system stops taking writes. */
static int root_freeze(void)
{
	cleanup_fd int fd = -EBADF;

	if (upper_mount < 0)
		return -EOPNOTSUPP;
	fd = openat(upper_mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0 || ioctl(fd, FIFREEZE, 0) < 0)
		return -errno;
	frozen_fd = TAKE_FD(fd);
	return 0;
}

static int root_thaw(void)
{
	int r = ioctl(frozen_fd, FITHAW, 0) < 0 ? -errno : 0;

	frozen_fd = fd_close(frozen_fd);
	return r;
}

const struct freezer root_freezer = {.freeze = root_freeze, .thaw = root_thaw};

static int root_overlay(const struct msg_config *cfg, bool have_lower, struct boot_error *err)
{
	int r;

	if ((mkdir(BOOT_LOWER, 0755) < 0 && errno != EEXIST) || mkdir(BOOT_UPPER, 0755) < 0)
		return boot_fail(err, STAGE_ROOT, "mkdir in the initramfs");
	r = have_lower ? 0 : mount_device(cfg, BOOT_LOWER, MS_RDONLY, err);
	if (r < 0)
		return r;
	r = cfg->root_kind == ROOT_OVERLAY ? mount_upper_tmpfs(cfg, err)
					   : mount_upper_disk(cfg, err);
	if (r == 0)
		r = upper_prepare(cfg, err);
	if (r < 0)
		return r;
	if (cfg->root_kind == ROOT_FLAT) {
		if (mount(UPPER_DIR, BOOT_ROOT, NULL, MS_BIND, NULL) < 0)
			return boot_fail(err, STAGE_ROOT, "bind the root disk");
		(void)umount2(BOOT_LOWER, 0); /* has nothing more to give */
		return 0;
	}
	if (mount("overlay", BOOT_ROOT, "overlay", 0,
		    "lowerdir=" BOOT_LOWER ",upperdir=" UPPER_DIR ",workdir=" WORK_DIR) < 0)
		return boot_fail(err, STAGE_ROOT, "mount overlay");
	return 0;
}

static int root_disk(const struct msg_config *cfg, struct boot_error *err)
{
	int r = mount_device(cfg, BOOT_ROOT, 0, err);

	for (size_t i = 0; i < ARRAY_SIZE(mount_points) && r == 0; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), BOOT_ROOT "/%s", mount_points[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			r = boot_fail(err, STAGE_ROOT, "mkdir /%s on the disk", mount_points[i]);
	}
	return r;
}

int root_assemble(const struct msg_config *cfg, bool have_lower, struct boot_error *err)
{
	have_lower = have_lower && lower_is_right(cfg);
	if (mkdir(BOOT_ROOT, 0755) < 0)
		return boot_fail(err, STAGE_ROOT, "mkdir in the initramfs");
	return cfg->root_kind == ROOT_DISK ? root_disk(cfg, err)
					   : root_overlay(cfg, have_lower, err);
}
