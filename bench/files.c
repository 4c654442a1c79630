/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files DIR: makes 1,000 files of 2 KiB in the new directory DIR and syncs, reads them, removes
 * them. Prints the seconds of each by the clock of the machine that it runs on. Static, for guests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 1000, SIZE = 2048 };

static char path[4096];
static char data[SIZE];

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "files: %s %s: %s\n", what, path, strerror(errno));
	_exit(1);
}

static void name(const char *dir, int i)
{
	(void)snprintf(path, sizeof(path), "%s/f%d", dir, i);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double at[4];
	int fd;

	if (argc != 2)
		return 2;
	memset(data, 'x', sizeof(data));
	(void)snprintf(path, sizeof(path), "%s", argv[1]);
	must(mkdir(argv[1], 0755) == 0, "mkdir");
	at[0] = now();
	for (int i = 0; i < COUNT; i++) {
		name(argv[1], i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		must(fd >= 0 && write(fd, data, SIZE) == SIZE && close(fd) == 0, "write");
	}
	sync();
	at[1] = now();
	for (int i = 0; i < COUNT; i++) {
		name(argv[1], i);
		fd = open(path, O_RDONLY);
		must(fd >= 0 && read(fd, data, SIZE) == SIZE && close(fd) == 0, "read");
	}
	at[2] = now();
	for (int i = 0; i < COUNT; i++) {
		name(argv[1], i);
		must(unlink(path) == 0, "unlink");
	}
	at[3] = now();
	must(rmdir(argv[1]) == 0, "rmdir");
	printf("files %.6f %.6f %.6f\n", at[1] - at[0], at[2] - at[1], at[3] - at[2]);
	return 0;
}
