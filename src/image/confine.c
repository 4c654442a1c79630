/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that bring images can touch: see confine.h. */
#include "image/confine.h"

#include <fcntl.h>
#include <sys/prctl.h>

#include "base/landlock.h"

enum { VERSION_WITH_REFER = 2 };

#define READ (LANDLOCK_READ_FILE | LANDLOCK_READ_DIR)
#define STORE                                                                                      \
	(READ | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE | LANDLOCK_MAKE_FILE | LANDLOCK_MAKE_DIR | \
		LANDLOCK_REMOVE_FILE | LANDLOCK_REMOVE_DIR | LANDLOCK_REFER)

/* Libraries, their loader, names of hosts, certificates. What a system does not have is left out.
 */
static const struct {
	const char *path;
	uint64_t rights;
	unsigned int flags; /* needed for these only */
} system_paths[] = {
	{"/usr", READ | LANDLOCK_EXECUTE},
	{"/lib", READ | LANDLOCK_EXECUTE},
	{"/lib64", READ | LANDLOCK_EXECUTE},
	{"/nix", READ | LANDLOCK_EXECUTE},
	{"/gnu", READ | LANDLOCK_EXECUTE},
	{"/etc", READ},
	{"/run", READ, CONFINE_NETWORK},
	{"/proc", READ},
	{"/sys", READ},
	{"/var/lib/ca-certificates", READ, CONFINE_NETWORK},
	{"/dev/null", LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE},
	{"/dev/urandom", LANDLOCK_READ_FILE},
};

/* Return: 0 also when there is no such path. */
static int allow(int ruleset, const char *path, uint64_t rights)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_allow a = {.dir_fd = fd, .rights = rights};

	if (fd < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	return landlock_rule(ruleset, &a);
}

static int allow_ours(int ruleset, const char *home, const char *layer_program)
{
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/images", home) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = allow(ruleset, path, STORE);
	if (r < 0 || snprintf(path, sizeof(path), "%s", layer_program) >= (int)sizeof(path))
		return r < 0 ? r : -ENAMETOOLONG;
	return allow(ruleset, path, LANDLOCK_READ_FILE | LANDLOCK_EXECUTE);
}

int image_confine(const char *home, const char *layer_program, unsigned int flags, int dir_fd,
	struct msb_err *err)
{
	const struct landlock_allow dir = {.dir_fd = dir_fd, .rights = READ};
	const unsigned int keep =
		LANDLOCK_KEEP_SIGNALS | (flags & CONFINE_NETWORK ? LANDLOCK_KEEP_NETWORK : 0);
	cleanup_fd int ruleset = -EBADF;
	int version = landlock_version();
	int r;

	if (version < VERSION_WITH_REFER)
		return 0;
	ruleset = landlock_ruleset(keep);
	r = ruleset < 0 ? ruleset : allow_ours(ruleset, home, layer_program);
	for (size_t i = 0; i < ARRAY_SIZE(system_paths) && r == 0; i++) {
		if ((system_paths[i].flags & ~flags) == 0)
			r = allow(ruleset, system_paths[i].path, system_paths[i].rights);
	}
	if (r == 0 && dir_fd >= 0)
		r = landlock_rule(ruleset, &dir);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = landlock_enter(ruleset);
	return r < 0 ? msb_err_errno(err, r, "cannot confine the process") : 0;
}
