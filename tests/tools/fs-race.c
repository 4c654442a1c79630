/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races for the way out of a share: fs-race SWAPS WORK TARGET ROUNDS.
 *
 * Made for guests, static. SWAPS and WORK are two ways to one shared directory, or the same one
 * twice. Below SWAPS two processes exchange the directory `d` and symbolic links to TARGET, again
 * and again; two others use names below WORK/d, among them `secret`, which only exists outside:
 * they read, make, write, link, rename and remove. Whoever reads what begins like a secret prints
 * `LEAK`. The last line counts operations, those that were successful, and swaps.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/base.h"
#include "base/str.h"

enum { EXCHANGE = 2, SWAPPERS = 2, WORKERS = 2, KINDS = 12 };

/* Shared by the processes. */
struct counts {
	uint32_t tried;
	uint32_t done;
	uint32_t swaps;
	uint32_t leaks;
};

static struct counts *counts;
static const char *target;

static void count(uint32_t *what)
{
	(void)__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static void exchange_for_ever(void)
{
	for (;;) {
		(void)symlink(target, "l");
		if (syscall(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "l", EXCHANGE) == 0)
			count(&counts->swaps);
	}
}

static void replace_for_ever(void)
{
	for (;;) {
		(void)mkdir("e", 0755);
		if (rename("d", "e2") == 0 && symlink(target, "d") == 0)
			count(&counts->swaps);
		(void)unlink("d");
		(void)rename("e2", "d");
		(void)mkdir("d", 0755);
	}
}

static bool look(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return false;
	if (strncmp(text, "secret", 6) == 0) {
		count(&counts->leaks);
		printf("LEAK %s\n", path);
	}
	return true;
}

static bool put(const char *path, int flags)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);

	return fd >= 0 && write(fd, "guest", 5) == 5;
}

static bool one(unsigned int kind)
{
	switch (kind) {
	case 0:
		return look("d/secret");
	case 1:
		return put("d/made", O_CREAT);
	case 2:
		return put("d/secret", O_TRUNC);
	case 3:
		return link("d/secret", "stolen") == 0 && look("stolen");
	case 4:
		return link("mine", "d/linked") == 0;
	case 5:
		return rename("d/secret", "taken") == 0 && look("taken");
	case 6:
		return rename("mine", "d/secret") == 0;
	case 7:
		return unlink("d/secret") == 0;
	case 8:
		return mkdir("d/dir", 0777) == 0;
	case 9:
		return chmod("d/secret", 0777) == 0;
	case 10:
		return put("mine", O_CREAT);
	default:
		(void)unlink("d/linked");
		(void)rmdir("d/dir");
		(void)unlink("stolen");
		return unlink("d/made") == 0;
	}
}

static void work(uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		count(&counts->tried);
		if (one((i * 7 + (uint32_t)getpid()) % KINDS))
			count(&counts->done);
	}
}

static pid_t start(const char *dir, void (*fn)(void), uint32_t rounds)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (chdir(dir) < 0)
		_exit(1);
	if (fn)
		fn();
	work(rounds);
	(void)fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t swappers[SWAPPERS];
	pid_t workers[WORKERS];
	uint32_t rounds;
	int bad = 0;

	if (argc != 5 || str_to_u32(argv[4], 1, UINT32_MAX, &rounds) < 0) {
		(void)fprintf(stderr, "usage: fs-race SWAPS WORK TARGET ROUNDS\n");
		return 2;
	}
	target = argv[3];
	counts = mmap(
		NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return 1;
	for (unsigned int i = 0; i < SWAPPERS; i++)
		swappers[i] = start(argv[1], i == 0 ? exchange_for_ever : replace_for_ever, 0);
	for (unsigned int i = 0; i < WORKERS; i++)
		workers[i] = start(argv[2], NULL, rounds);
	for (unsigned int i = 0; i < WORKERS; i++) {
		int status;

		if (workers[i] < 0 || waitpid(workers[i], &status, 0) < 0 || status != 0)
			bad = 1;
	}
	for (unsigned int i = 0; i < SWAPPERS; i++) {
		if (swappers[i] < 0 || kill(swappers[i], SIGKILL) < 0 ||
			waitpid(swappers[i], NULL, 0) < 0)
			bad = 1;
	}
	printf("%" PRIu32 " tried, %" PRIu32 " done, %" PRIu32 " swaps, %" PRIu32 " leaks\n",
		counts->tried, counts->done, counts->swaps, counts->leaks);
	return bad || counts->leaks > 0;
}
