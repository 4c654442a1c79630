/* SPDX-License-Identifier: Apache-2.0 */
/* Unit test harness: see test.h. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 77 };

static struct test *tests;
static char tmpdir[64];
static char *skip_reason; /* shared with the parent, which prints the TAP line */

enum { SKIP_REASON_SIZE = 256 };

void test_register(struct test *t)
{
	struct test **at = &tests;

	while (*at)
		at = &(*at)->next;
	*at = t;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void tmpdir_remove(void)
{
	if (tmpdir[0])
		(void)nftw(tmpdir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	tmpdir[0] = '\0';
}

const char *test_tmpdir(void)
{
	if (!tmpdir[0]) {
		(void)snprintf(tmpdir, sizeof(tmpdir), "/tmp/msb-test-XXXXXX");
		if (!mkdtemp(tmpdir))
			test_fail(__FILE__, __LINE__, "mkdtemp: %s", strerror(errno));
	}
	return tmpdir;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fault_arm(0);
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap); /* NOLINT(clang-analyzer-valist.Uninitialized): it was started above */
	va_end(ap);
	printf("\n");
	fflush(stdout);
	tmpdir_remove();
	/* A failed assertion leaves objects behind by design: no leak report on top of it. */
	_exit(EXIT_FAILED);
}

void test_skip(const char *reason)
{
	(void)snprintf(skip_reason, SKIP_REASON_SIZE, "%s", reason);
	fflush(stdout);
	tmpdir_remove();
	_exit(EXIT_SKIPPED);
}

static unsigned int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void run_in_child(const struct test *t)
{
	unsigned int before = open_fds();

	t->fn();
	fault_arm(0);
	if (open_fds() != before)
		test_fail(__FILE__, __LINE__, "%s leaked file descriptors: %u before, %u after",
			t->name, before, open_fds());
	tmpdir_remove();
}

/* Return: 0 passed, 1 failed, 77 skipped. */
static int run_one(const struct test *t)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return EXIT_FAILED;
	if (pid == 0) {
		run_in_child(t);
		exit(0); /* runs the leak checker */
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_FAILED;
	}
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	if (!WIFEXITED(status))
		return EXIT_FAILED;
	return WEXITSTATUS(status) == EXIT_SKIPPED ? EXIT_SKIPPED : WEXITSTATUS(status) != 0;
}

/* Tests look at signals: whoever started us may ignore some. */
static void signals_reset(void)
{
	static const uint64_t dfl[4];

	for (int sig = 1; sig <= 64; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)syscall(SYS_rt_sigaction, sig, dfl, NULL, 8);
	}
}

static unsigned int count_tests(const char *filter)
{
	unsigned int n = 0;

	for (struct test *t = tests; t; t = t->next)
		n += strstr(t->name, filter) != NULL;
	return n;
}

/* Return: number of failed tests. */
static unsigned int run_all(const char *filter, bool no_fork)
{
	unsigned int failed = 0;
	unsigned int n = 0;

	printf("1..%u\n", count_tests(filter));
	for (struct test *t = tests; t; t = t->next) {
		int r = 0;

		if (!strstr(t->name, filter))
			continue;
		if (no_fork)
			run_in_child(t);
		else
			r = run_one(t);
		n++;
		printf("%sok %u %s%s%s\n", r == EXIT_FAILED ? "not " : "", n, t->name,
			r == EXIT_SKIPPED ? " # SKIP " : "", r == EXIT_SKIPPED ? skip_reason : "");
		failed += r == EXIT_FAILED;
	}
	return failed;
}

int main(int argc, char **argv)
{
	const char *filter = "";
	bool no_fork = false;

	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "--list")) {
			for (struct test *t = tests; t; t = t->next)
				puts(t->name);
			return 0;
		}
		if (streq(argv[i], "--no-fork"))
			no_fork = true;
		else if (streq(argv[i], "--filter") && i + 1 < argc)
			filter = argv[++i];
		else
			return 2;
	}
	signals_reset();
	skip_reason = mmap(
		NULL, SKIP_REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skip_reason == MAP_FAILED)
		return EXIT_FAILED;
	return run_all(filter, no_fork) ? EXIT_FAILED : 0;
}
