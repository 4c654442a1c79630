/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate authority of the installation: see authority.h. */
#include "sandbox/authority.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/spawn.h"

enum { COMPLAINT_MAX = 400, CHUNK = 4096 };

int authority_path(char to[PATH_MAX], const char *home, const char *name, struct msb_err *err)
{
	int n = snprintf(to, PATH_MAX, "%s/" AUTHORITY_DIR "%s%s", home, name[0] ? "/" : "", name);

	return n < 0 || n >= PATH_MAX ? msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
						"%s: the path is too long", home)
				      : 0;
}

static int read_all(int fd, struct buf *out)
{
	ssize_t n;

	do {
		void *room = buf_reserve(out, CHUNK);

		if (!room)
			return buf_space(out) < CHUNK ? -EFBIG : -ENOMEM;
		n = read(fd, room, CHUNK);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* What the program said before it failed. */
static int ended(pid_t pid, int fd, struct msb_err *err)
{
	char text[COMPLAINT_MAX];
	size_t len = 0;
	int status = 0;
	ssize_t n;

	while (len + 1 < sizeof(text) && (n = read(fd, text + len, sizeof(text) - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return msb_err_set(err, -EIO, MSB_FAIL, "%s", text[0] ? text : "msb-tls failed");
}

/* @out and @words: where its output and its complaints go. */
static int start(const char *program, const char *word, const char *dir, int out, int words,
	pid_t *ret_pid, struct msb_err *err)
{
	char name[] = "msb-tls";
	char *argv[] = {name, (char *)(uintptr_t)word, (char *)(uintptr_t)dir, NULL};
	char *envp[] = {NULL};
	struct spawn s = {
		.path = program,
		.argv = argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
		.cgroup_fd = -1,
	};
	int r;

	spawn_add_fd(&s, out, STDOUT_FILENO);
	spawn_add_fd(&s, words, STDERR_FILENO);
	r = spawn_run(&s, ret_pid, NULL);
	return r < 0 ? msb_err_errno(err, r, "cannot start %s", program) : 0;
}

int authority_ask(const char *program, const char *word, const char *dir, struct buf *out,
	struct msb_err *err)
{
	/* Of each pipe: the end to read, the end to write. */
	int text[2] = {-EBADF, -EBADF};
	int words[2] = {-EBADF, -EBADF};
	int got = 0;
	pid_t pid;
	int r = io_pipe(0, text);

	if (r == 0)
		r = io_pipe(0, words);
	if (r < 0)
		(void)msb_err_errno(err, r, "certificate authority");
	else
		r = start(program, word, dir, text[1], words[1], &pid, err);
	text[1] = fd_close(text[1]);
	words[1] = fd_close(words[1]);
	if (r == 0) {
		got = read_all(text[0], out);
		/* Who writes more than that is not heard any more. */
		text[0] = fd_close(text[0]);
		r = ended(pid, words[0], err);
	}
	if (r == 0 && got < 0)
		r = msb_err_errno(err, got, "what msb-tls says");
	(void)fd_close(text[0]);
	(void)fd_close(words[0]);
	return r;
}
