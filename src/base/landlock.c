/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock: see landlock.h.
 *
 * The interface grows by bits that older kernels refuse, so the set is chosen by the version that
 * the kernel reports. The numbers are defined here because headers in use end at version 2.
 */
#include "base/landlock.h"

#include <sys/syscall.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

struct ruleset {
	uint64_t fs;
	uint64_t net; /* since version 4 */
	uint64_t scoped; /* since version 6 */
};

enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };
enum { FS_V1 = 0x1fff, FS_REFER = 1 << 13, FS_TRUNCATE = 1 << 14, FS_IOCTL_DEV = 1 << 15 };
enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2 };
enum { SCOPE_ABSTRACT_UNIX = 1, SCOPE_SIGNAL = 2 };

static size_t fill_ruleset(struct ruleset *r, long version)
{
	*r = (struct ruleset){.fs = FS_V1};
	if (version >= 2)
		r->fs |= FS_REFER;
	if (version >= 3)
		r->fs |= FS_TRUNCATE;
	if (version >= 5)
		r->fs |= FS_IOCTL_DEV;
	if (version >= 4)
		r->net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (version >= 6)
		r->scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	if (version < 4)
		return offsetof(struct ruleset, net);
	return version < 6 ? offsetof(struct ruleset, scoped) : sizeof(*r);
}

/* As the kernel wants it: without padding. */
struct __attribute__((packed)) path_rule {
	uint64_t rights;
	int32_t dir_fd;
};

int landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return version < 0 ? -errno : (int)version;
}

int landlock_ruleset(unsigned int keep)
{
	struct ruleset ruleset;
	size_t size;
	int version = landlock_version();
	long fd;

	if (version < 0)
		return version;
	size = fill_ruleset(&ruleset, version);
	if (keep & LANDLOCK_KEEP_SIGNALS)
		ruleset.scoped &= ~(uint64_t)SCOPE_SIGNAL;
	if (keep & LANDLOCK_KEEP_NETWORK)
		ruleset.net = 0;
	fd = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	return fd < 0 ? -errno : (int)fd;
}

int landlock_rule(int ruleset_fd, const struct landlock_allow *allow)
{
	struct path_rule rule = {allow->rights, allow->dir_fd};
	int version = landlock_version();
	long r;

	/* A right that the rule set does not know of is an error. */
	if (version < 3)
		rule.rights &= ~(uint64_t)LANDLOCK_TRUNCATE;
	r = syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0);

	return r < 0 ? -errno : 0;
}

int landlock_enter(int ruleset_fd)
{
	return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0 ? -errno : 0;
}

int landlock_deny_but(const struct landlock_allow *allow, size_t n, unsigned int keep)
{
	cleanup_fd int fd = landlock_ruleset(keep);
	int r = 0;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < n && r == 0; i++)
		r = landlock_rule(fd, &allow[i]);
	return r < 0 ? r : landlock_enter(fd);
}

int landlock_deny_all(void)
{
	return landlock_deny_but(NULL, 0, 0);
}
