/* SPDX-License-Identifier: Apache-2.0 */
/* Images from and into archives: see archive.h. */
#include "lib/archive.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/str.h"

#include "lib/pull-event.h"
#include "lib/where.h"

enum { REQUEST_MAX = 256 * 1024, ARCHIVE_FD = 3 };

struct archiving {
	struct buf said; /* by msb-archive, up to the end of a line */
	int (*loaded)(void *arg, const char *ref); /* may be NULL */
	void *arg;
	bool failed; /* it has told why */
};

static int on_line(struct archiving *a, const char *text, size_t len, struct msb_err *err)
{
	struct pull_event e;
	int r = pull_event_parse(text, len, &e, err);

	if (r < 0)
		return r;
	if (e.type == PULL_ERROR) {
		if (err)
			*err = e.err;
		a->failed = true;
	} else if (e.type == PULL_LOADED && a->loaded) {
		r = a->loaded(a->arg, e.ref);
	}
	return r;
}

/* Everything it says, to the end. */
static int hear_all(struct archiving *a, int fd, struct msb_err *err)
{
	for (;;) {
		ssize_t n = buf_read_fd(&a->said, fd, 4096);
		const uint8_t *nl;

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		while (buf_len(&a->said) &&
			(nl = memchr(buf_data(&a->said), '\n', buf_len(&a->said)))) {
			size_t len = (size_t)(nl - buf_data(&a->said));
			int r = on_line(a, (const char *)buf_data(&a->said), len, err);

			if (r < 0)
				return r;
			buf_consume(&a->said, len + 1);
		}
	}
}

/* @more: two further descriptors behind that of the archive, NULL: none */
static int start(const char *lib_dir, int request_fd, int archive_fd, const int *more,
	pid_t *ret_pid, int *ret_out, struct msb_err *err)
{
	char lib[PATH_MAX];
	char path[PATH_MAX];
	char variable[PATH_MAX + 16];
	char name[] = "msb-archive";
	char *const argv[] = {name, NULL};
	char *const envp[] = {variable, NULL};
	struct spawn s = {.path = path, .argv = argv, .envp = envp, .cgroup_fd = -1};
	int out[2];
	int r = lib_dir ? str_copy(lib, sizeof(lib), lib_dir)
			: where_lib_dir(lib, sizeof(lib), err);

	if (r < 0)
		return r;
	(void)snprintf(variable, sizeof(variable), "MSB_LIB=%s", lib);
	r = snprintf(path, sizeof(path), "%s/msb-archive", lib) >= (int)sizeof(path) ? -ENAMETOOLONG
										     : 0;
	if (r == 0)
		r = io_pipe(0, out);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start %.300s", path);
	spawn_add_fd(&s, request_fd, STDIN_FILENO);
	spawn_add_fd(&s, out[1], STDOUT_FILENO);
	spawn_add_fd(&s, archive_fd, ARCHIVE_FD);
	for (int i = 0; more && i < 2; i++)
		spawn_add_fd(&s, more[i], ARCHIVE_FD + 1 + i);
	if (log_enabled(LOG_DEBUG))
		spawn_add_fd(&s, STDERR_FILENO, STDERR_FILENO);
	r = spawn_run(&s, ret_pid, NULL);
	fd_close(out[1]);
	if (r < 0) {
		fd_close(out[0]);
		r = msb_err_errno(err, r, "cannot start %.300s", path);
		return msb_err_hint(err, r, "the installation is incomplete: 'msb doctor'");
	}
	*ret_out = out[0];
	return 0;
}

static int reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0) {
		/* Somebody else of this process has taken it: then only its own word counts. */
		if (errno != EINTR)
			return errno == ECHILD ? 0 : -1;
	}
	return status;
}

/* The request on its way through a file without a name: nobody has to wait to write it. */
static int request_file(struct buf *text, struct json_out *o, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-archive-request", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : json_out_end(o);

	if (r == 0)
		r = io_write_full(fd, buf_data(text), buf_len(text));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == -EILSEQ)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "a reference is not UTF-8 text");
	return r < 0 ? msb_err_errno(err, r, "cannot write a request") : TAKE_FD(fd);
}

static int run(struct archiving *a, const char *lib_dir, struct buf *text, struct json_out *o,
	int fd, const int *more, struct msb_err *err)
{
	cleanup_fd int request = request_file(text, o, err);
	cleanup_fd int out = -EBADF;
	pid_t pid = 0;
	int status;
	int r;

	if (request < 0)
		return request;
	r = start(lib_dir, request, fd, more, &pid, &out, err);
	if (r < 0)
		return r;
	buf_init(&a->said, PULL_LINE_MAX + 1);
	r = hear_all(a, out, err);
	buf_deinit(&a->said);
	out = fd_close(out); /* what we do not understand it need not say */
	status = reap(pid);
	if (a->failed)
		return -EIO;
	if (WIFSIGNALED(status))
		return msb_err_set(err, -EIO, MSB_FAIL, "msb-archive was killed by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (r < 0)
		return msb_err_errno(err, r, "cannot tell what msb-archive says");
	if (status != 0)
		return msb_err_set(err, -EIO, MSB_FAIL, "msb-archive ended without a result");
	return 0;
}

static void begin(struct buf *text, struct json_out *o, const char *op, const char *home)
{
	buf_init(text, REQUEST_MAX);
	json_out_init(o, text, JSON_COMPACT);
	json_begin_object(o, NULL);
	json_put_str(o, "op", op);
	json_put_str(o, "home", home);
}

int archive_load(const char *home, const char *lib_dir, int fd, const char *tag,
	int (*loaded)(void *arg, const char *ref), void *arg, struct msb_err *err)
{
	struct archiving a = {.loaded = loaded, .arg = arg};
	struct json_out o;
	struct buf text;
	int r;

	begin(&text, &o, "load", home);
	if (tag)
		json_put_str(&o, "tag", tag);
	json_end_object(&o);
	r = run(&a, lib_dir, &text, &o, fd, NULL, err);
	buf_deinit(&text);
	return r;
}

int archive_load_snapshot(const char *home, const char *lib_dir, int fd, int disk_fd, int text_fd,
	struct msb_err *err)
{
	const int more[] = {disk_fd, text_fd};
	struct archiving a = {.loaded = NULL};
	struct json_out o;
	struct buf text;
	int r;

	begin(&text, &o, "load-snapshot", home);
	json_end_object(&o);
	r = run(&a, lib_dir, &text, &o, fd, more, err);
	buf_deinit(&text);
	return r;
}

int archive_save(const char *home, const char *lib_dir, int fd, const char *const *refs,
	const char *format, struct msb_err *err)
{
	struct archiving a = {.loaded = NULL};
	struct json_out o;
	struct buf text;
	int r;

	begin(&text, &o, "save", home);
	json_put_str(&o, "format", format);
	json_begin_array(&o, "refs");
	for (; *refs; refs++)
		json_put_str(&o, NULL, *refs);
	json_end_array(&o);
	json_end_object(&o);
	r = run(&a, lib_dir, &text, &o, fd, NULL, err);
	buf_deinit(&text);
	return r;
}
