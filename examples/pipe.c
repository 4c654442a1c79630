/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a running sandbox as part of a pipeline: our standard input, output and error are
 * its own, Ctrl-C kills it, and we exit as it did.
 *
 *	cc -o pipe pipe.c $(pkg-config --cflags --libs msb)
 *	echo text | ./pipe NAME tr a-z A-Z
 *
 * With -t MS in front it is killed after that time.
 */
#include <errno.h>
#include <msb/msb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* An interrupt arrives as something to read, and libmsb looks at it while it waits. */
static int interrupts(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_command *c;
	struct msb *m = NULL;
	uint64_t timeout = 0;
	int status = 0;
	int r;

	if (argc > 2 && strcmp(argv[1], "-t") == 0) {
		timeout = strtoull(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: pipe [-t MS] NAME COMMAND...\n");
		return 2;
	}
	c = msb_command_new((const char *const *)argv + 2);
	if (!c || msb_open(NULL, NULL, &m, &e) < 0) {
		fprintf(stderr, "pipe: %s\n", e.message);
		return 125;
	}
	msb_set_cancel(m, interrupts(), NULL, NULL);
	msb_command_fds(c, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
	msb_command_timeout(c, timeout);
	r = msb_exec(m, argv[1], c, &status, &e);
	if (r < 0) {
		fprintf(stderr, "pipe: %s (%s)\n", e.message, msb_code_name(e.code));
		status = e.code == MSB_E_EXEC_NOT_FOUND ? 127
			 : e.code == MSB_E_EXEC_DENIED	? 126
			 : e.code == MSB_E_TIMEOUT	? 124
			 : e.code == MSB_E_CANCELED	? 130
							: 125;
	}
	msb_command_free(c);
	msb_close(m);
	return status;
}
