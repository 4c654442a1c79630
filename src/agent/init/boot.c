/* SPDX-License-Identifier: Apache-2.0 */
/* From the initramfs to the guest's root file system: see boot.h. */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"

#include "boot-internal.h"
#include "net.h"
#include "trust.h"

enum { API_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC };

/* Kernel file systems, in the order they are mounted. They move to the root with their parents. */
static const struct {
	const char *fstype;
	const char *target;
	unsigned long flags;
	const char *data;
	bool optional; /* a kernel of the user may lack it */
} api_mounts[] = {
	{"proc", BOOT_PROC, API_FLAGS, NULL, false},
	{"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666", false},
	{"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false},
	{"mqueue", "/dev/mqueue", API_FLAGS, NULL, true},
	{"cgroup2", BOOT_SYSFS "/fs/cgroup", API_FLAGS, NULL, true},
};

static const struct {
	const char *from;
	const char *to;
} api_moves[] = {
	{"/dev", BOOT_ROOT "/dev"},
	{BOOT_SYSFS, BOOT_ROOT "/sys"},
	{BOOT_PROC, BOOT_ROOT "/proc"},
};

static const struct {
	const char *target;
	const char *path;
} dev_links[] = {
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
};

/*
 * The network is the guest's own, so low ports and ping need no rights in it, as in a container:
 * images that do not run as root count on that.
 */
static const struct {
	const char *path;
	const char *value;
} sysctls[] = {
	{BOOT_PROC "/sys/net/ipv4/ip_unprivileged_port_start", "0"},
	{BOOT_PROC "/sys/net/ipv4/ping_group_range", "0 2147483647"},
};

int boot_fail(struct boot_error *err, enum msg_stage stage, const char *fmt, ...)
{
	int r = -errno;
	va_list ap;

	err->stage = stage;
	va_start(ap, fmt);
	(void)vsnprintf(err->what, err->what_size, fmt, ap);
	va_end(ap);
	return r;
}

int boot_early(void)
{
	umask(0);
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL) < 0)
		return -errno;
	if (mkdir(BOOT_SYSFS, 0755) < 0)
		return -errno;
	if (mount("sysfs", BOOT_SYSFS, "sysfs", API_FLAGS, NULL) < 0)
		return -errno;
	return 0;
}

static int mount_api(struct boot_error *err)
{
	if (mkdir(BOOT_PROC, 0755) < 0 || mkdir("/dev/pts", 0755) < 0 ||
		mkdir("/dev/shm", 0755) < 0 || mkdir("/dev/mqueue", 0755) < 0)
		return boot_fail(err, STAGE_MOUNT, "mkdir in the initramfs");
	for (size_t i = 0; i < ARRAY_SIZE(api_mounts); i++) {
		const char *fstype = api_mounts[i].fstype;

		if (mount(fstype, api_mounts[i].target, fstype, api_mounts[i].flags,
			    api_mounts[i].data) == 0)
			continue;
		if (!api_mounts[i].optional)
			return boot_fail(
				err, STAGE_MOUNT, "mount %s at %s", fstype, api_mounts[i].target);
		log_warn("cannot mount %s: %s", fstype, strerror(errno));
	}
	for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++) {
		if (symlink(dev_links[i].target, dev_links[i].path) < 0)
			return boot_fail(err, STAGE_MOUNT, "symlink %s", dev_links[i].path);
	}
	return 0;
}

static void set_sysctls(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctls); i++) {
		cleanup_fd int fd = open(sysctls[i].path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, sysctls[i].value, strlen(sysctls[i].value)) < 0)
			log_warn("cannot set %s: %s", sysctls[i].path, strerror(errno));
	}
}

static int move_api(struct boot_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(api_moves); i++) {
		if (mount(api_moves[i].from, api_moves[i].to, NULL, MS_MOVE, NULL) < 0)
			return boot_fail(err, STAGE_MOUNT, "move %s to %s", api_moves[i].from,
				api_moves[i].to);
	}
	return 0;
}

static int switch_root(struct boot_error *err)
{
	/* The initramfs cannot be unmounted, only covered. */
	if (chdir(BOOT_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		return boot_fail(err, STAGE_SWITCH_ROOT, "move " BOOT_ROOT " to /");
	return 0;
}

/* The kernel gives the loopback interface its addresses when it comes up. */
static void loopback_up(void)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		log_warn("cannot bring up the loopback interface: %s", strerror(errno));
}

/*
 * The configured directory need not exist, as with container engines: images rely on that. What
 * cannot be made is reported by the command that then does not find it.
 */
static void workdir_make(const char *path)
{
	int r = 0;

	if (path[0] == '/' && access(path, F_OK) < 0)
		r = io_mkdir_p(path, 0755);
	if (r < 0)
		log_warn("cannot make %s: %s", path, strerror(-r));
}

/*
 * Files of the kernel by which any process with user ID 0 changes the machine or has programs run
 * by the kernel. Who cannot mount cannot make them writable again.
 */
static int lock_kernel_files(struct boot_error *err)
{
	static const char *const paths[] = {"/proc/sys", "/proc/sysrq-trigger", "/sys"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (mount(paths[i], paths[i], NULL, MS_BIND | MS_REC, NULL) < 0) {
			if (errno == ENOENT)
				continue;
			return boot_fail(err, STAGE_MOUNT, "bind %s", paths[i]);
		}
		if (mount(NULL, paths[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | API_FLAGS,
			    NULL) < 0)
			return boot_fail(err, STAGE_MOUNT, "make %s read-only", paths[i]);
	}
	return 0;
}

static int boot_steps(
	const struct msg_config *cfg, const char *host_cas, bool have_lower, struct boot_error *err)
{
	int r = root_assemble(cfg, have_lower, err);

	if (r == 0)
		r = move_api(err);
	if (r == 0)
		r = switch_root(err);
	/* Before the user's mounts: what is in them is the host's. */
	if (r == 0 && (cfg->ca[0] || host_cas[0]))
		trust_install("", cfg->ca, host_cas);
	if (r == 0)
		r = mount_all(cfg, err);
	if (r == 0 && cfg->restricted)
		r = lock_kernel_files(err);
	if (r == 0)
		r = net_up(&cfg->net, err);
	if (r < 0)
		return r;
	workdir_make(cfg->cwd);
	if (cfg->hostname[0] && sethostname(cfg->hostname, strlen(cfg->hostname)) < 0)
		return boot_fail(err, STAGE_HOSTNAME, "%s", cfg->hostname);
	return 0;
}

int boot_common(bool *ret_have_lower, struct msg_failure *why, char *what, size_t what_size)
{
	struct boot_error err = {.what = what, .what_size = what_size};
	int r = mount_api(&err);

	if (r < 0) {
		*why = (struct msg_failure){err.stage, (uint32_t)-r, what};
		return r;
	}
	loopback_up();
	set_sysctls();
	*ret_have_lower = root_lower_early();
	return 0;
}

int boot_root(const struct msg_config *cfg, const char *host_cas, bool have_lower,
	struct msg_failure *why, char *what, size_t what_size)
{
	struct boot_error err = {.what = what, .what_size = what_size};
	int r = boot_steps(cfg, host_cas, have_lower, &err);

	if (r < 0)
		*why = (struct msg_failure){err.stage, (uint32_t)-r, what};
	return r;
}
