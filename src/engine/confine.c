/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock ruleset for a child process: see confine.h. */
#include "engine/confine.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/landlock.h"

int confine_init(struct confine *c, int fd_min, struct msb_err *err)
{
	cleanup_fd int fd = landlock_ruleset(0);

	*c = (struct confine){.ruleset_fd = -EBADF};
	if (fd == -ENOSYS || fd == -EOPNOTSUPP)
		return 0;
	if (fd < 0)
		return msb_err_errno(err, fd, "cannot make a Landlock ruleset");
	c->ruleset_fd = fcntl(fd, F_DUPFD_CLOEXEC, fd_min);
	if (c->ruleset_fd < 0)
		return msb_err_errno(err, -errno, "cannot keep a Landlock ruleset");
	return 0;
}

void confine_deinit(struct confine *c)
{
	c->ruleset_fd = fd_close(c->ruleset_fd);
}

static int confine_rule(const struct confine *c, int fd, uint64_t rights)
{
	struct landlock_allow allow = {.dir_fd = fd, .rights = rights};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		allow.rights &= ~(uint64_t)LANDLOCK_READ_DIR;
	return landlock_rule(c->ruleset_fd, &allow);
}

int confine_allow(struct confine *c, const char *path, bool exec, struct msb_err *err)
{
	const uint64_t read = LANDLOCK_READ_FILE | LANDLOCK_READ_DIR;
	cleanup_fd int fd = -EBADF;
	int r;

	if (c->ruleset_fd < 0)
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	r = fd < 0 ? -errno : confine_rule(c, fd, exec ? read | LANDLOCK_EXECUTE : read);
	if (r < 0)
		return msb_err_errno(err, r, "cannot allow %s in a Landlock ruleset", path);
	return 0;
}

int confine_allow_fd(struct confine *c, int fd, struct msb_err *err)
{
	int r;

	if (c->ruleset_fd < 0)
		return 0;
	r = confine_rule(c, fd, LANDLOCK_READ_FILE);
	/* A memfd is on no mounted file system: Landlock does not restrict opening it. */
	if (r < 0 && r != -EBADFD)
		return msb_err_errno(err, r, "cannot allow a file in a Landlock ruleset");
	return 0;
}

int confine_enter(const struct confine *c)
{
	return c->ruleset_fd < 0 ? 0 : landlock_enter(c->ruleset_fd);
}
