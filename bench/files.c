/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files DIR COUNT BYTES: makes that many files of that size and syncs, reads them, removes them.
 * Prints the seconds of each by the clock of the machine that it runs on. Static, for guests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char path[4096];
static char data[1 << 20];

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "files: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static void name(const char *dir, long i)
{
	(void)snprintf(path, sizeof(path), "%s/f%ld", dir, i);
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
	long count;
	long size;
	int fd;

	if (argc != 4)
		return 2;
	count = strtol(argv[2], NULL, 10);
	size = strtol(argv[3], NULL, 10);
	if (count < 1 || size < 1 || size > (long)sizeof(data))
		return 2;
	memset(data, 'x', sizeof(data));
	(void)snprintf(path, sizeof(path), "%s", argv[1]);
	must(mkdir(argv[1], 0755) == 0, "mkdir");
	at[0] = now();
	for (long i = 0; i < count; i++) {
		name(argv[1], i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		must(fd >= 0 && write(fd, data, (size_t)size) == size && close(fd) == 0, "write");
	}
	sync();
	at[1] = now();
	for (long i = 0; i < count; i++) {
		name(argv[1], i);
		fd = open(path, O_RDONLY);
		must(fd >= 0 && read(fd, data, (size_t)size) == size && close(fd) == 0, "read");
	}
	at[2] = now();
	for (long i = 0; i < count; i++) {
		name(argv[1], i);
		must(unlink(path) == 0, "unlink");
	}
	at[3] = now();
	must(rmdir(argv[1]) == 0, "rmdir");
	printf("files %.6f %.6f %.6f\n", at[1] - at[0], at[2] - at[1], at[3] - at[2]);
	return 0;
}
