/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from registries: see pull.h.
 *
 * Two descriptors are waited for: the events of msb-pull, and what cancels. The request goes
 * through a memfd: it may hold a password, which belongs on no command line and in no environment,
 * and nobody has to be waited for to write it.
 */
#include "lib/pull.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/str.h"

enum { REQUEST_MAX = 1024 * 1024 };

struct pulling {
	const struct pull_watch *watch;
	struct buf in; /* what msb-pull said */
	int out_fd;
	int pid_fd;
	pid_t pid;
	bool ended; /* msb-pull closed its output */
	bool finished; /* it said "done" or "error" */
	bool made; /* it put an image together */
	struct pull_event last;
};

static int make_request(int fd, struct buf *text, struct json_out *out, struct msb_err *err)
{
	int r = json_out_end(out);

	if (r == 0)
		r = io_write_full(fd, buf_data(text), buf_len(text));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? msb_err_errno(err, r, "cannot write a request to msb-pull") : 0;
}

static int put_trust(const struct pull_opts *o, struct json_out *out, struct msb_err *err)
{
	char ca[PATH_MAX] = "";
	int r = 0;

	if (o->ca_file) {
		cleanup_free char *real = realpath(o->ca_file, NULL);

		if (!real || str_copy(ca, sizeof(ca), real) < 0)
			return msb_err_errno(err, real ? -ENAMETOOLONG : -errno,
				"cannot read the certificates in %.200s", o->ca_file);
	} else {
		r = config_ca_certs(o->config, ca, err);
	}
	if (ca[0])
		json_put_str(out, "ca_file", ca);
	if (o->insecure)
		json_put_bool(out, "insecure", true);
	return r < 0 ? r : config_put_hosts(o->config, out, err);
}

static void wipe(struct buf *b)
{
	if (b->base)
		explicit_bzero(b->base, b->cap);
	buf_deinit(b);
}

static int pull_request(
	const struct pull_opts *o, const struct image_ref *ref, int fd, struct msb_err *err)
{
	static const char *const policies[] = {
		[PULL_ALWAYS] = "always", [PULL_IF_MISSING] = "if-missing", [PULL_NEVER] = "never"};
	char name[REF_TEXT_MAX + 1];
	struct json_out out;
	struct buf text;
	int r;

	buf_init(&text, REQUEST_MAX);
	json_out_init(&out, &text, JSON_COMPACT);
	image_ref_print(ref, name);
	json_begin_object(&out, NULL);
	json_put_str(&out, "home", o->home);
	json_put_str(&out, "ref", name);
	json_put_str(&out, "policy", policies[o->policy]);
	json_put_bool(&out, "quiet", o->quiet);
	r = put_trust(o, &out, err);
	json_end_object(&out);
	if (r == 0)
		r = make_request(fd, &text, &out, err);
	buf_deinit(&text);
	return r;
}

static int login_request(const struct pull_opts *o, const char *host, const char *username,
	const char *password, int fd, struct msb_err *err)
{
	struct json_out out;
	struct buf text;
	int r;

	buf_init(&text, REQUEST_MAX);
	json_out_init(&out, &text, JSON_COMPACT);
	json_begin_object(&out, NULL);
	json_put_str(&out, "op", "login");
	json_put_str(&out, "home", o->home);
	json_put_str(&out, "host", host);
	json_put_bool(&out, "quiet", true);
	json_begin_object(&out, "auth");
	json_put_str(&out, "username", username);
	json_put_str(&out, "password", password);
	json_end_object(&out);
	r = put_trust(o, &out, err);
	json_end_object(&out);
	if (r == 0)
		r = make_request(fd, &text, &out, err);
	wipe(&text);
	return r;
}

/* Ours, with the MSB_LIB that we found: it looks for its worker there, too. @ret and what
 * @variable holds are the caller's to free. */
static int make_env(const char *lib_dir, char ***ret, char **variable)
{
	size_t n = 0;
	size_t used = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env)
		return -ENOMEM;
	if (asprintf(variable, "MSB_LIB=%s", lib_dir) < 0) {
		*variable = NULL;
		free(env);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		if (!str_starts(environ[i], "MSB_LIB="))
			env[used++] = environ[i];
	}
	env[used] = *variable;
	*ret = env;
	return 0;
}

static int start(struct pulling *p, const struct pull_opts *o, int request_fd, struct msb_err *err)
{
	char path[PATH_MAX];
	char name[] = "msb-pull";
	char *const argv[] = {name, NULL};
	cleanup_free char **env = NULL;
	cleanup_free char *variable = NULL;
	struct spawn s = {.path = path, .argv = argv, .cgroup_fd = -1};
	cleanup_fd int out_read = -EBADF;
	cleanup_fd int out_write = -EBADF;
	int fds[2];
	int n = snprintf(path, sizeof(path), "%s/msb-pull", o->lib_dir);
	int r = n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG : io_pipe(0, fds);

	if (r == 0) {
		out_read = fds[0];
		out_write = fds[1];
		r = io_nonblock(out_read, true);
	}
	if (r == 0)
		r = make_env(o->lib_dir, &env, &variable);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start %.300s", path);
	s.envp = env;
	spawn_add_fd(&s, request_fd, STDIN_FILENO);
	spawn_add_fd(&s, out_write, STDOUT_FILENO);
	if (log_enabled(LOG_DEBUG))
		spawn_add_fd(&s, STDERR_FILENO, STDERR_FILENO);
	r = spawn_run(&s, &p->pid, &p->pid_fd);
	if (r < 0) {
		r = msb_err_errno(err, r, "cannot start %.300s", path);
		return msb_err_hint(err, r, "the installation is incomplete: 'msb doctor'");
	}
	p->out_fd = TAKE_FD(out_read);
	return 0;
}

static int on_event(struct pulling *p, const char *line, size_t len, struct msb_err *err)
{
	struct pull_event e;
	int r = pull_event_parse(line, len, &e, err);

	if (r < 0)
		return r;
	p->made |= e.type == PULL_MERGE;
	if (e.type == PULL_DONE || e.type == PULL_ERROR) {
		p->finished = true;
		p->last = e;
	}
	return p->watch->event ? p->watch->event(p->watch->arg, &e, err) : 0;
}

/* Everything that is there, line by line. */
static int on_output(struct pulling *p, struct msb_err *err)
{
	ssize_t n = buf_read_fd(&p->in, p->out_fd, 16 * 1024);
	const uint8_t *nl;

	if (n == 0)
		p->ended = true;
	if (n == -ENOBUFS)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "msb-pull says what it must not");
	if (n < 0 && n != -EAGAIN && n != -EINTR)
		return msb_err_errno(err, (int)n, "cannot read what msb-pull says");
	while (buf_len(&p->in) && (nl = memchr(buf_data(&p->in), '\n', buf_len(&p->in)))) {
		size_t len = (size_t)(nl - buf_data(&p->in));
		int r = on_event(p, (const char *)buf_data(&p->in), len, err);

		if (r < 0)
			return r;
		buf_consume(&p->in, len + 1);
	}
	return 0;
}

static int idle(const struct pull_watch *w, struct msb_err *err)
{
	return w->idle ? w->idle(w->arg, err) : 0;
}

static int loop(struct pulling *p, struct msb_err *err)
{
	enum { OUTPUT, CANCEL };
	const struct cancel *cancel = p->watch->cancel;
	struct pollfd fds[] = {
		[OUTPUT] = {.fd = p->out_fd, .events = POLLIN},
		[CANCEL] = {.fd = cancel ? cancel->fd : -1, .events = POLLIN},
	};
	int r = idle(p->watch, err);

	while (r == 0 && !p->ended) {
		r = poll(fds, ARRAY_SIZE(fds), -1);
		if (r < 0 && errno != EINTR)
			return msb_err_errno(err, -errno, "waiting for msb-pull");
		if (r <= 0) {
			r = 0;
			continue;
		}
		if (cancel && fds[CANCEL].revents && cancel_asked(cancel))
			return msb_err_set(err, -ECANCELED, MSB_FAIL, "interrupted");
		r = fds[OUTPUT].revents ? on_output(p, err) : 0;
		if (r == 0)
			r = idle(p->watch, err);
	}
	return r;
}

/* Killed or ended by itself: either way it is gone afterwards. */
static int reap(struct pulling *p, bool kill_it)
{
	int status = 0;
	pid_t pid;

	if (kill_it)
		(void)io_pidfd_kill(p->pid_fd, SIGKILL);
	do
		pid = waitpid(p->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	/* Somebody else of this process has taken it: then only its own word counts. */
	return pid < 0 ? 0 : status;
}

static int judge(const struct pulling *p, int status, struct msb_err *err)
{
	if (p->finished && p->last.type == PULL_ERROR) {
		if (err)
			*err = p->last.err;
		return -EIO;
	}
	if (p->finished && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return msb_err_set(err, -EIO, MSB_FAIL, "msb-pull was killed by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return msb_err_set(err, -EIO, MSB_FAIL, "msb-pull ended without a result");
}

static int converse(
	struct pulling *p, const struct pull_opts *o, int request_fd, struct msb_err *err)
{
	int r = start(p, o, request_fd, err);
	int status;

	if (r < 0)
		return r;
	r = loop(p, err);
	status = reap(p, r < 0);
	return r < 0 ? r : judge(p, status, err);
}

static int run(struct pulling *p, const struct pull_opts *o, const char *word, bool quiet,
	int request_fd, struct msb_err *err)
{
	static const struct pull_watch nobody = {.cancel = NULL};
	int r = 0;

	p->watch = o->watch ? o->watch : &nobody;
	p->out_fd = -EBADF;
	p->pid_fd = -EBADF;
	if (p->watch->begin)
		r = p->watch->begin(p->watch->arg, word, quiet, err);
	if (r < 0)
		return r;
	buf_init(&p->in, PULL_LINE_MAX + 1);
	r = converse(p, o, request_fd, err);
	fd_close(p->out_fd);
	fd_close(p->pid_fd);
	buf_deinit(&p->in);
	if (p->watch->end)
		p->watch->end(p->watch->arg);
	return r;
}

int pull_image(const struct pull_opts *opts, const char *word, const struct image_ref *ref,
	struct pull_result *ret, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-request", MFD_CLOEXEC);
	uint64_t begin = clock_mono_ns();
	struct pulling p = {.last = {.type = PULL_ERROR}};
	int r;

	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot write a request to msb-pull");
	r = pull_request(opts, ref, fd, err);
	if (r == 0)
		r = run(&p, opts, word, opts->quiet, fd, err);
	if (r < 0)
		return r;
	if (!p.last.digest[0])
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "msb-pull ended without a result");
	*ret = (struct pull_result){
		.layers = p.last.layers,
		.downloaded_layers = p.last.downloaded_layers,
		.downloaded_bytes = p.last.downloaded_bytes,
		.made = p.made,
		.took_ns = clock_mono_ns() - begin,
	};
	memcpy(ret->digest, p.last.digest, sizeof(ret->digest));
	return 0;
}

int pull_login(const struct pull_opts *opts, const char *host, const char *username,
	const char *password, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-request", MFD_CLOEXEC);
	struct pulling p = {.last = {.type = PULL_ERROR}};
	int r;

	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot write a request to msb-pull");
	r = login_request(opts, host, username, password, fd, err);
	return r < 0 ? r : run(&p, opts, host, true, fd, err);
}
