/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of `msb doctor`: see doctor.h. */
#include "cli/doctor.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/io.h"

#include "cli/cli.h"
#include "engine/engine.h"
#include "lib/config.h"
#include "lib/where.h"
#include "sandbox/state.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION_QUERY (1u << 0)

#define DISK_LOW (1 * GIB)

enum { LANDLOCK_ABI_FULL = 4 };

static struct doctor_check *add(struct doctor_report *r, const char *id, enum doctor_status status)
{
	struct doctor_check *c = &r->checks[r->n++];

	assert(r->n <= DOCTOR_CHECKS_MAX);
	*c = (struct doctor_check){.id = id, .status = status};
	return c;
}

static void MSB_PRINTF(2, 3) detail(struct doctor_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(c->detail, sizeof(c->detail), fmt, ap) < 0)
		c->detail[0] = '\0';
	va_end(ap);
}

static void MSB_PRINTF(2, 3) hint(struct doctor_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(c->hint, sizeof(c->hint), fmt, ap) < 0)
		c->hint[0] = '\0';
	va_end(ap);
}

static void check_host(struct doctor_report *r)
{
	struct utsname u;
	struct doctor_check *c = add(r, "host", DOCTOR_OK);

	if (uname(&u) < 0)
		return;
	detail(c, "Linux %.60s on %.30s", u.release, u.machine);
}

/* Not from the cache: a doctor looks himself. */
static void check_kvm(struct doctor_report *r)
{
	struct probe_result probe;
	struct doctor_check *c;

	engine_probe_kvm(NULL, &probe);
	r->kvm = probe.verdict == PROBE_OK;
	/* Without KVM there is still QEMU; whether there is any engine is decided below. */
	c = add(r, "kvm", r->kvm ? DOCTOR_OK : DOCTOR_WARN);
	detail(c, "%s", r->kvm && !probe.detail[0] ? "guests run on the hardware" : probe.detail);
	hint(c, "%s", probe.hint);
}

static void check_qemu(struct doctor_report *r)
{
	struct msb_err err = {0};
	char path[PATH_MAX];
	struct doctor_check *c;

	r->qemu = engine_find_qemu(path, sizeof(path), &err) == 0;
	c = add(r, "qemu", r->qemu ? DOCTOR_OK : r->kvm ? DOCTOR_WARN : DOCTOR_FAIL);
	if (r->qemu) {
		detail(c, "%.180s%s", path, r->kvm ? "" : "; sandboxes run emulated");
		return;
	}
	detail(c, "%.190s", err.msg);
	hint(c, "%s", err.hint);
}

/* @missing: how bad it is when it is not there. */
static void check_file(struct doctor_report *r, const char *dir, const char *name, int mode,
	enum doctor_status missing)
{
	char path[PATH_MAX];
	struct doctor_check *c = add(r, name, DOCTOR_OK);
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n > 0 && (size_t)n < sizeof(path) && access(path, mode) == 0) {
		detail(c, "%.190s", path);
		return;
	}
	c->status = missing;
	detail(c, "%.150s: %s", path, strerror(errno));
	hint(c, "install msb again (scripts/setup.sh) or set MSB_LIB");
}

static void check_installation(struct doctor_report *r)
{
	struct msb_err err = {0};
	char dir[PATH_MAX];

	if (where_lib_dir(dir, sizeof(dir), &err) < 0) {
		struct doctor_check *c = add(r, "installation", DOCTOR_FAIL);

		detail(c, "%.190s", err.msg);
		hint(c, "%s", err.hint);
		return;
	}
	check_file(r, dir, "msb-sandbox", X_OK, DOCTOR_FAIL);
	check_file(r, dir, "msb-vmm", X_OK, DOCTOR_FAIL);
	check_file(
		r, dir, "msb-net", X_OK, DOCTOR_FAIL); /* unless --no-net, every sandbox has one */
	check_file(r, dir, "vmlinux", R_OK, DOCTOR_FAIL);
	check_file(r, dir, "initramfs.cpio", R_OK, DOCTOR_FAIL);
	check_file(r, dir, "base.erofs", R_OK, DOCTOR_FAIL);
	/* Without them there are no shared directories, no sockets of the host, no look into TLS,
	 * no images of registries, no archives. */
	check_file(r, dir, "msb-fs", X_OK, DOCTOR_WARN);
	check_file(r, dir, "msb-vsock", X_OK, DOCTOR_WARN);
	check_file(r, dir, "msb-tls", X_OK, DOCTOR_WARN);
	check_file(r, dir, "msb-pull", X_OK, DOCTOR_WARN);
	check_file(r, dir, "msb-layer", X_OK, DOCTOR_WARN);
	check_file(r, dir, "msb-archive", X_OK, DOCTOR_WARN);
}

static void check_config(struct doctor_report *r)
{
	struct msb_err err = {0};
	struct config config;
	char home[PATH_MAX];
	struct doctor_check *c;

	/* A home that is not there is a check of its own. */
	if (sandbox_home_default(home, sizeof(home), &err) < 0)
		return;
	c = add(r, "config", DOCTOR_OK);
	if (config_load(home, &config, &err) < 0) {
		c->status = DOCTOR_FAIL;
		detail(c, "%.190s", err.msg);
		hint(c, "correct the file; images cannot be pulled until then");
		return;
	}
	detail(c, "%.180s%s", config.path[0] ? config.path : home,
		config.root ? "" : ": there is no config.json");
	config_deinit(&config);
}

/* The nearest directory above @path that exists: @path itself is made when it is needed. */
static void nearest_existing(char *path)
{
	struct stat st;

	while (stat(path, &st) < 0 && errno == ENOENT) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path) {
			path[1] = '\0';
			return;
		}
		*slash = '\0';
	}
}

static void check_home(struct doctor_report *r)
{
	struct doctor_check *c = add(r, "home", DOCTOR_OK);
	struct msb_err err = {0};
	char home[PATH_MAX];
	char at[PATH_MAX];
	struct statvfs vfs;

	if (sandbox_home_default(home, sizeof(home), &err) < 0) {
		c->status = DOCTOR_FAIL;
		detail(c, "%.190s", err.msg);
		hint(c, "%s", err.hint);
		return;
	}
	memcpy(at, home, sizeof(at));
	nearest_existing(at);
	if (access(at, W_OK | X_OK) < 0) {
		c->status = DOCTOR_FAIL;
		detail(c, "%.150s is not writable: %s", at, strerror(errno));
		hint(c, "make it writable for you or set MSB_HOME to a directory that is");
		return;
	}
	detail(c, "%.190s is writable", home);

	c = add(r, "disk", DOCTOR_OK);
	if (statvfs(at, &vfs) < 0) {
		c->status = DOCTOR_WARN;
		detail(c, "%.150s: %s", at, strerror(errno));
		return;
	}
	detail(c, "%.1f GiB free below %.150s",
		(double)vfs.f_bavail * (double)vfs.f_frsize / (double)GIB, at);
	if ((uint64_t)vfs.f_bavail * vfs.f_frsize < DISK_LOW) {
		c->status = DOCTOR_WARN;
		hint(c, "free some space, or set MSB_HOME to a directory on another disk");
	}
}

static void check_cgroup(struct doctor_report *r)
{
	struct doctor_check *c = add(r, "cgroup", DOCTOR_OK);

	if (access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0) {
		detail(c, "cgroup v2 is mounted");
		return;
	}
	c->status = DOCTOR_WARN;
	detail(c, "no cgroup v2: machines are not limited by cgroups");
	hint(c, "boot with systemd.unified_cgroup_hierarchy=1");
}

static void check_landlock(struct doctor_report *r)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_QUERY);
	struct doctor_check *c = add(r, "landlock", DOCTOR_OK);

	if (abi >= LANDLOCK_ABI_FULL) {
		detail(c, "ABI %ld", abi);
		return;
	}
	c->status = DOCTOR_WARN;
	if (abi > 0) {
		detail(c, "ABI %ld: the virtual machine's process is confined less than possible",
			abi);
		hint(c, "Linux 6.7 or newer has ABI 4");
		return;
	}
	detail(c, "not available: one wall less around the virtual machine's process");
	hint(c, "add landlock to the kernel's lsm= list (Linux 5.13 or newer)");
}

static void check_user_namespaces(struct doctor_report *r)
{
	struct doctor_check *c = add(r, "userns", DOCTOR_OK);
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) < 0 ? errno & 0xff : 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) {
		c->status = DOCTOR_WARN;
		detail(c, "could not be tried: %s", strerror(errno));
		return;
	}
	if (WEXITSTATUS(status) == 0) {
		detail(c, "allowed");
		return;
	}
	c->status = DOCTOR_WARN;
	detail(c, "not allowed: %s; the virtual machine's process keeps its view of the host",
		strerror(WEXITSTATUS(status)));
	hint(c, "sysctl kernel.unprivileged_userns_clone=1, or "
		"kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu");
}

void doctor_run(struct doctor_report *ret)
{
	*ret = (struct doctor_report){.n = 0};
	check_host(ret);
	check_kvm(ret);
	check_qemu(ret);
	check_installation(ret);
	check_home(ret);
	check_config(ret);
	check_landlock(ret);
	check_user_namespaces(ret);
	check_cgroup(ret);
}

bool doctor_failed(const struct doctor_report *r)
{
	for (unsigned int i = 0; i < r->n; i++) {
		if (r->checks[i].status == DOCTOR_FAIL)
			return true;
	}
	return false;
}
