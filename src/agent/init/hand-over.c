/* SPDX-License-Identifier: Apache-2.0 */
/* An init of the image as PID 1: see hand-over.h. */
#include "hand-over.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

/* SIGRTMIN+4 of glibc, which systemd is built against; ours is another one. */
enum { SIGNAL_POWEROFF = 34 + 4, STATUS_MAX = 16384, ASK_AGAIN_MS = 1000 };

static const char *const usual[] = {
	"/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd"};

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static const char *find_init(const char *wanted)
{
	if (!streq(wanted, "auto"))
		return is_program(wanted) ? wanted : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		if (is_program(usual[i]))
			return usual[i];
	}
	return NULL;
}

/* In the place of one of that name, or behind the @n that there are; returns how many there are. */
static size_t put_variable(const char **env, size_t n, const char *word)
{
	size_t name = strcspn(word, "=") + 1;
	size_t i = 0;

	while (i < n && strncmp(env[i], word, name) != 0)
		i++;
	env[i] = word;
	return MAX(n, i + 1);
}

/* Never returns: without an init there is no guest. */
static void become_init(struct agent *a, const char *path)
{
	static const char *const fallback[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux"};
	const struct rlimit nofile = {1024, 524288};
	const char *env[2 * LIMIT_ARGV + ARRAY_SIZE(fallback) + 1];
	const char *argv[LIMIT_ARGV + 2] = {path};
	struct msg_strv lists[] = {a->config.env, a->config.init_env};
	struct msg_strv args = a->config.init_args;
	const char *word;
	size_t n = 0;
	sigset_t none;

	for (size_t i = 1; i <= LIMIT_ARGV && (word = msg_strv_next(&args)); i++)
		argv[i] = word;
	/* Ours is only for who says nothing, and what is for the init alone comes last. */
	for (size_t i = 0; i < ARRAY_SIZE(fallback); i++)
		env[n++] = fallback[i];
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		while ((word = msg_strv_next(&lists[i])) && n < ARRAY_SIZE(env) - 1)
			n = put_variable(env, n, word);
	}
	env[n] = NULL;
	(void)setrlimit(RLIMIT_NOFILE, &nofile);
	(void)umask(022);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execve(path, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
	log_err("cannot execute %s: %s", path, strerror(errno));
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

int hand_over(struct agent *a, struct msg_failure *why, char *what, size_t what_size)
{
	const char *path = find_init(a->config.init);
	pid_t pid;
	int r;

	if (!path) {
		(void)snprintf(what, what_size, "no init at %s",
			streq(a->config.init, "auto")
				? "/sbin/init, /lib/systemd/systemd, /usr/lib/systemd/systemd"
				: a->config.init);
		*why = (struct msg_failure){STAGE_EXEC, ENOENT, what};
		return -ENOENT;
	}
	channel_flush(&a->ch);
	pid = fork();
	if (pid > 0)
		become_init(a, path);
	if (pid < 0) {
		r = -errno;
		*why = (struct msg_failure){STAGE_FORK, (uint32_t)-r, "fork for the init"};
		return r;
	}
	(void)setsid();
	a->handed_over = true;
	/* They were watched for our parent. */
	loop_fd_del(&a->signals);
	a->signal_fd = fd_close(a->signal_fd);
	r = agent_watch_signals(a);
	if (r < 0)
		*why = (struct msg_failure){STAGE_FORK, (uint32_t)-r, "signals"};
	return r;
}

/* The mask of signals in the line @name of a status, 0 if there is none. */
static uint64_t mask_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);
	uint64_t mask = 0;

	if (!at)
		return 0;
	at += strlen(name);
	at += strspn(at, " \t");
	for (; (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'); at++)
		mask = mask << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return mask;
}

int hand_over_signal(const char *status, bool *ret_heard)
{
	static const int signals[] = {SIGNAL_POWEROFF, SIGUSR2, SIGTERM};
	/* What is blocked is waited for in another way. */
	uint64_t heard = mask_of(status, "\nSigBlk:") | mask_of(status, "\nSigCgt:");

	*ret_heard = true;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		if (heard & UINT64_C(1) << (signals[i] - 1))
			return signals[i];
	}
	*ret_heard = false;
	return SIGTERM;
}

static void ask(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, ask_timer);
	cleanup_free char *status = NULL;
	bool heard = false;
	int signo = SIGTERM;

	if (io_read_file(AT_FDCWD, "/proc/1/status", STATUS_MAX, &status, NULL) == 0)
		signo = hand_over_signal(status, &heard);
	if (signo != SIGTERM || !a->asked) {
		/* One that just exits takes the kernel with it. */
		sync();
		(void)kill(1, signo);
	}
	a->asked = signo == SIGTERM && (a->asked || heard);
	loop_timer_set(&a->loop, t, clock_mono_ns() + ASK_AGAIN_MS * NSEC_PER_MSEC, ask);
}

void hand_over_end(struct agent *a)
{
	ask(&a->ask_timer);
}

void hand_over_gone(struct agent *a)
{
	loop_timer_del(&a->ask_timer);
}
