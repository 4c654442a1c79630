/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger as whoever may write to the directory makes it: the input is its first file, up to a NUL
 * byte, and its head behind. Checking and going on say what they think of it; what is gone on with
 * is broken afterwards only if it was before.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "sandbox/ledger-verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(int dir_fd, const char *name, const uint8_t *p, size_t n)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert(fd >= 0);
	assert(io_write_full(fd, p, n) == 0);
	fd_close(fd);
}

static int make_directory(void)
{
	char path[] = "/tmp/fuzz-ledger-XXXXXX";
	int fd;

	assert(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0);
	/* The descriptor keeps it only until its files are gone: they are removed first. */
	return fd;
}

static void remove_directory(int dir_fd)
{
	char link[32];
	char path[64];
	ssize_t n;

	for (unsigned int i = 0; i < LEDGER_FILES; i++)
		(void)unlinkat(dir_fd, ledger_ring.name(i), 0);
	(void)unlinkat(dir_fd, SANDBOX_LEDGER_HEAD, 0);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert(n > 0);
	path[n] = '\0';
	(void)rmdir(path);
	fd_close(dir_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
	size_t n = end ? (size_t)(end - data) : size;
	struct ledger_verdict before;
	struct ledger_verdict after;
	int dir_fd = make_directory();
	struct ledger l;
	int r;

	put(dir_fd, ledger_ring.name(1), data, n);
	if (end)
		put(dir_fd, SANDBOX_LEDGER_HEAD, end + 1, size - n - 1);
	r = ledger_verify(dir_fd, &before);
	ledger_init(&l);
	if (ledger_open(&l, dir_fd) == 0) {
		(void)ledger_say(&l, "end", "text");
		ledger_close(&l);
		assert(ledger_verify(dir_fd, &after) == 0);
		assert(r < 0 || before.broken || !after.broken);
	}
	remove_directory(dir_fd);
	return 0;
}
