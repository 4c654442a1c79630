/* SPDX-License-Identifier: Apache-2.0 */
/* Starting msb-fs: see share.h. */
#include "engine/share.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/spawn.h"

#include "engine/engine-internal.h"
#include "proto/fslink.h"

void share_fds_init(struct share_fds *f)
{
	for (unsigned int i = 0; i < LIMIT_SHARES; i++)
		f->fds[i] = -EBADF;
}

void share_fds_deinit(struct share_fds *f)
{
	for (unsigned int i = 0; i < LIMIT_SHARES; i++)
		f->fds[i] = fd_close(f->fds[i]);
}

static int start_one(const struct engine_spec *spec, const struct engine_share *share,
	enum fs_speech speech, int err_fd, int fd, struct engine_helper *ret)
{
	char words[FS_WORDS_MAX][FS_WORD_SIZE];
	char *argv[FS_WORDS_MAX + 3];
	char *envp[] = {NULL};
	char name[] = "msb-fs";
	char link[] = "link";
	char vhost[] = "vhost";
	struct spawn s = {
		.path = spec->fs_path,
		.argv = argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
		.cgroup_fd = -1,
	};
	unsigned int n = fs_config_words(&share->options, words);

	argv[0] = name;
	argv[1] = speech == FS_LINK ? link : vhost;
	for (unsigned int i = 0; i < n; i++)
		argv[2 + i] = words[i];
	argv[2 + n] = NULL;
	spawn_add_fd(&s, err_fd, STDERR_FILENO);
	spawn_add_fd(&s, fd, FS_FD_SOCKET);
	spawn_add_fd(&s, share->fd, FS_FD_SHARE);
	if (share->options.whole)
		spawn_add_fd(&s, share->usage_fd, FS_FD_USAGE);
	return spawn_run(&s, &ret->pid, &ret->pidfd);
}

/* Room for a message. The machine's process may not ask for it any more. */
static void enlarge(int fd)
{
	int size = FSLINK_SOCKET_BUFFER;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int shares_start(const struct engine_spec *spec, enum fs_speech speech, int err_fd,
	struct engine_vm *vm, struct share_fds *ret, struct msb_err *err)
{
	for (uint32_t i = 0; i < spec->n_shares; i++) {
		cleanup_fd int theirs = -EBADF;
		int fds[2];
		int r = io_socketpair(speech == FS_LINK ? SOCK_SEQPACKET : SOCK_STREAM, fds);

		if (r < 0)
			return msb_err_errno(err, r, "cannot make the sockets of msb-fs");
		ret->fds[i] = fds[0];
		theirs = fds[1];
		if (speech == FS_LINK)
			enlarge(fds[0]);
		r = start_one(spec, &spec->shares[i], speech, err_fd, theirs,
			&vm->helpers[vm->n_helpers]);
		if (r < 0)
			return msb_err_errno(err, r, "cannot start %s", spec->fs_path);
		vm->helpers[vm->n_helpers++].name = "msb-fs";
	}
	return 0;
}

int engine_helper_ended(struct engine_vm *vm, uint32_t i, struct msb_err *err)
{
	struct engine_helper *h = &vm->helpers[i];
	char words[200];
	int status = 0;
	pid_t pid = waitpid(h->pid, &status, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return -EAGAIN;
	h->pid = -1;
	if (pid < 0)
		return msb_err_errno(err, -errno, "%s", h->name);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return msb_err_set(err, -EPERM, MSB_GUEST,
			"%s was killed by its jail: it made a system call it never makes", h->name);
	if (WIFSIGNALED(status))
		return msb_err_set(err, -EIO, MSB_FAIL, "%s was killed by signal %d (%s)", h->name,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 0)
		return 0;
	engine_last_words(vm->stderr_fd, words, sizeof(words));
	return msb_err_set(err, -EIO, MSB_FAIL, "%s ended with status %d%s%s", h->name,
		WEXITSTATUS(status), words[0] ? ": " : "", words);
}

void shares_end(struct engine_vm *vm)
{
	while (vm->n_helpers > 0) {
		struct engine_helper *h = &vm->helpers[--vm->n_helpers];

		(void)io_pidfd_kill(h->pidfd, SIGKILL);
		while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
		h->pidfd = fd_close(h->pidfd);
	}
}
