/* SPDX-License-Identifier: Apache-2.0 */
/* Build-time tool: makes a reproducible, root-owned EROFS image of a directory. */
#include <fcntl.h>

#include "image/erofs/erofs.h"

int main(int argc, char **argv)
{
	struct erofs_opts opts = {.root_owned = true, .fixed_mtime = true};
	struct msb_err err = {};
	cleanup_fd int dir = -EBADF;
	cleanup_fd int out = -EBADF;

	if (argc != 3) {
		fprintf(stderr, "usage: mkerofs DIRECTORY IMAGE\n");
		return 2;
	}
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (dir < 0 || out < 0) {
		fprintf(stderr, "mkerofs: %s: %s\n", argv[dir < 0 ? 1 : 2], strerror(errno));
		return 1;
	}
	if (erofs_write_dir(dir, out, &opts, &err) < 0) {
		fprintf(stderr, "mkerofs: %s\n", err.msg);
		(void)unlink(argv[2]);
		return 1;
	}
	return 0;
}
