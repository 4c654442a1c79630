/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock ruleset for a child process: see confine.h. */
#include "engine/confine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The headers of the oldest supported distribution lack these; same numbers everywhere. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

enum {
	LL_EXECUTE = 1 << 0,
	LL_READ_FILE = 1 << 2,
	LL_READ_DIR = 1 << 3,
	LL_QUERY_VERSION = 1,
	LL_RULE_PATH_BENEATH = 1,
};

/* struct landlock_ruleset_attr as of version 6; older kernels take a shorter one. */
struct ll_ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct ll_path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* What each Landlock version can forbid, and how long its struct is. */
static const struct {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
	size_t size;
} versions[] = {
	{(1u << 13) - 1, 0, 0, 8}, /* 1: read, write, execute, make, remove */
	{(1u << 14) - 1, 0, 0, 8}, /* 2: link and rename across directories */
	{(1u << 15) - 1, 0, 0, 8}, /* 3: truncate */
	{(1u << 15) - 1, 3, 0, 16}, /* 4: TCP bind and connect */
	{(1u << 16) - 1, 3, 0, 16}, /* 5: ioctl on devices */
	{(1u << 16) - 1, 3, 3, 24}, /* 6: abstract unix sockets and signals outside */
};

int confine_init(struct confine *c, struct msb_err *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_QUERY_VERSION);
	struct ll_ruleset attr;
	long fd;
	int high;

	*c = (struct confine){.ruleset_fd = -EBADF};
	if (abi < 1)
		return 0;
	abi = MIN(abi, (long)ARRAY_SIZE(versions));
	attr = (struct ll_ruleset){
		.fs = versions[abi - 1].fs,
		.net = versions[abi - 1].net,
		.scoped = versions[abi - 1].scoped,
	};
	fd = syscall(SYS_landlock_create_ruleset, &attr, versions[abi - 1].size, 0);
	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot make a Landlock ruleset");
	high = fcntl((int)fd, F_DUPFD_CLOEXEC, CONFINE_FD_MIN);
	fd_close((int)fd);
	if (high < 0)
		return msb_err_errno(err, -errno, "cannot keep a Landlock ruleset");
	c->ruleset_fd = high;
	c->read = LL_READ_FILE | LL_READ_DIR;
	c->exec = LL_READ_FILE | LL_READ_DIR | LL_EXECUTE;
	return 0;
}

void confine_deinit(struct confine *c)
{
	c->ruleset_fd = fd_close(c->ruleset_fd);
}

static int confine_rule(struct confine *c, int fd, uint64_t allowed)
{
	struct ll_path_beneath rule = {.allowed = allowed, .parent_fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= ~(uint64_t)LL_READ_DIR;
	if (syscall(SYS_landlock_add_rule, c->ruleset_fd, LL_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

int confine_allow(struct confine *c, const char *path, bool exec, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	int r;

	if (c->ruleset_fd < 0)
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return 0;
	r = confine_rule(c, fd, exec ? c->exec : c->read);
	if (r < 0)
		return msb_err_errno(err, r, "cannot allow %s in a Landlock ruleset", path);
	return 0;
}

int confine_allow_fd(struct confine *c, int fd, struct msb_err *err)
{
	int r;

	if (c->ruleset_fd < 0)
		return 0;
	r = confine_rule(c, fd, LL_READ_FILE);
	/* A memfd is on no mounted file system: Landlock does not restrict opening it. */
	if (r < 0 && r != -EBADFD)
		return msb_err_errno(err, r, "cannot allow a file in a Landlock ruleset");
	return 0;
}

int confine_enter(const struct confine *c)
{
	if (c->ruleset_fd < 0)
		return 0;
	return syscall(SYS_landlock_restrict_self, c->ruleset_fd, 0) < 0 ? -errno : 0;
}
