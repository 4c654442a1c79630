/* SPDX-License-Identifier: Apache-2.0 */
/* Files that appear when they are whole: see out-file.h. */
#include "cli/out-file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

static int cannot_write(const char *path, int r, struct msb_err *err)
{
	char quoted[200];

	return msb_err_errno(
		err, r, "cannot write %s", str_quote(quoted, sizeof(quoted), path, strlen(path)));
}

int out_file_open(const char *path, struct out_file *ret, struct msb_err *err)
{
	char dir[PATH_MAX];
	struct stat st;
	char *slash;

	*ret = (struct out_file){.fd = -EBADF, .path = path};
	/* What is no file cannot be replaced by one: a pipe, a device. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		ret->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return ret->fd < 0 ? cannot_write(path, -errno, err) : 0;
	}
	if (snprintf(ret->temporary, PATH_MAX, "%s.tmp.%ld", path, (long)getpid()) >= PATH_MAX)
		return cannot_write(path, -ENAMETOOLONG, err);
	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	ret->fd = open(slash ? dir : ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
	ret->unnamed = ret->fd >= 0;
	if (!ret->unnamed)
		ret->fd = open(ret->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (ret->fd < 0) {
		ret->temporary[0] = '\0';
		return cannot_write(path, -errno, err);
	}
	return 0;
}

int out_file_commit(struct out_file *f, struct msb_err *err)
{
	char self[40];

	if (!f->temporary[0])
		return 0;
	if (fsync(f->fd) < 0)
		return cannot_write(f->path, -errno, err);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	if (f->unnamed && linkat(AT_FDCWD, self, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW) < 0)
		return cannot_write(f->path, -errno, err);
	f->unnamed = false;
	if (rename(f->temporary, f->path) < 0)
		return cannot_write(f->path, -errno, err);
	f->temporary[0] = '\0';
	return 0;
}

void out_file_close(struct out_file *f)
{
	if (f->temporary[0] && !f->unnamed)
		(void)unlink(f->temporary);
	f->fd = fd_close(f->fd);
}
