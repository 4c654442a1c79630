/* SPDX-License-Identifier: Apache-2.0 */
/* Running msb-layer: see job.h. */
#include "image/layer/job.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/spawn.h"

#include "image/layer/merge.h"
#include "image/layer/worker.h"

enum { PIPE_BYTES = 1024 * 1024, BLOCK = 4096, ERRNO_MAX = 4095, EXIT_MS = 2000 };

_Static_assert(WORKER_FD_INDEX - WORKER_FD_RESULT + MERGE_LAYERS_MAX < SPAWN_FDS_MAX,
	"a merge gets one descriptor for each layer");

static int cannot_start(struct msb_err *err, int r, const char *program)
{
	return msb_err_errno(err, r, "cannot start %s", program);
}

int layer_find_program(char ret[PATH_MAX], struct msb_err *err)
{
	const char *lib = getenv("MSB_LIB");
	char self[PATH_MAX];
	ssize_t n;

	if (!lib || !lib[0]) {
		n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		if (n < 0)
			return msb_err_errno(err, -errno, "cannot find msb-layer");
		self[n] = '\0';
		lib = dirname(self);
	}
	if (snprintf(ret, PATH_MAX, "%s/msb-layer", lib) >= PATH_MAX || ret[0] != '/')
		return msb_err_set(err, -EINVAL, MSB_USAGE, "MSB_LIB is no absolute path");
	if (access(ret, X_OK) < 0)
		return msb_err_errno(err, -errno, "cannot run %s", ret);
	return 0;
}

void layer_raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = MIN(l.rlim_max, (rlim_t)65536);
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void close_pipe(const int p[2])
{
	fd_close(p[0]);
	fd_close(p[1]);
}

/* @s holds the job's files already; adds standard input and the result. */
static int start_with(struct spawn *s, const char *program, const char *name, int in_fd,
	struct layer_job *ret, struct msb_err *err)
{
	char *const argv[] = {(char *)(uintptr_t) "msb-layer", (char *)(uintptr_t)name, NULL};
	char *const envp[] = {NULL};
	int result[2];
	int r = io_pipe(0, result);

	if (r < 0)
		return cannot_start(err, r, program);
	s->path = program;
	s->argv = argv;
	s->envp = envp;
	s->no_new_privs = true;
	s->cgroup_fd = -1;
	if (in_fd >= 0)
		spawn_add_fd(s, in_fd, STDIN_FILENO);
	spawn_add_fd(s, STDERR_FILENO, STDERR_FILENO);
	spawn_add_fd(s, result[1], WORKER_FD_RESULT);
	r = spawn_run(s, &ret->pid, &ret->pidfd);
	fd_close(result[1]);
	if (r < 0) {
		fd_close(result[0]);
		return cannot_start(err, r, program);
	}
	ret->result_fd = result[0];
	return 0;
}

/* The same with a pipe to its standard input. */
static int start(struct spawn *s, const char *program, const char *name, struct layer_job *ret,
	struct msb_err *err)
{
	int in[2];
	int r = io_pipe(0, in);

	if (r < 0)
		return cannot_start(err, r, program);
	/* A larger pipe means fewer switches between the two processes; it may be refused. */
	(void)fcntl(in[1], F_SETPIPE_SZ, PIPE_BYTES);
	r = start_with(s, program, name, in[0], ret, err);
	fd_close(in[0]);
	if (r < 0) {
		fd_close(in[1]);
		return r;
	}
	ret->in_fd = in[1];
	return 0;
}

static struct layer_job new_job(const char *subject, int data_fd)
{
	return (struct layer_job){.subject = subject,
		.data_fd = data_fd,
		.in_fd = -EBADF,
		.out_fd = -EBADF,
		.result_fd = -EBADF};
}

int layer_unpack_start(const char *program, const struct store_files *files, struct layer_job *ret,
	struct msb_err *err)
{
	struct spawn s = {};

	*ret = new_job("layer", files->data_fd);
	spawn_add_fd(&s, files->data_fd, WORKER_FD_DATA);
	spawn_add_fd(&s, files->index_fd, WORKER_FD_INDEX);
	spawn_add_fd(&s, files->recipe_fd, WORKER_FD_RECIPE);
	return start(&s, program, "unpack", ret, err);
}

int layer_pack_start(const char *program, const struct store_files *files, struct layer_job *ret,
	struct msb_err *err)
{
	struct spawn s = {};
	int out[2];
	int r = io_pipe(0, out);

	*ret = new_job("layer", files->data_fd);
	if (r < 0)
		return cannot_start(err, r, program);
	(void)fcntl(out[1], F_SETPIPE_SZ, PIPE_BYTES);
	spawn_add_fd(&s, files->data_fd, WORKER_FD_DATA);
	spawn_add_fd(&s, files->recipe_fd, WORKER_FD_RECIPE);
	spawn_add_fd(&s, out[1], WORKER_FD_OUT);
	r = start_with(&s, program, "pack", -EBADF, ret, err);
	if (r < 0) {
		close_pipe(out);
		return r;
	}
	fd_close(out[1]);
	ret->out_fd = out[0];
	return 0;
}

static int reap(struct layer_job *job)
{
	int status = 0;

	while (waitpid(job->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	job->pid = 0;
	job->pidfd = fd_close(job->pidfd);
	return status;
}

void layer_job_abort(struct layer_job *job)
{
	if (job->pid <= 0)
		return;
	(void)kill(job->pid, SIGKILL);
	(void)!reap(job);
	job->in_fd = fd_close(job->in_fd);
	job->out_fd = fd_close(job->out_fd);
	job->result_fd = fd_close(job->result_fd);
}

static bool is_hex(const char *s)
{
	return strspn(s, "0123456789abcdef") == strlen(s);
}

/* The worker's words go to the user's terminal. */
static void make_printable(char *s)
{
	for (; *s; s++) {
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
	}
}

/* No answer means that it ends, in a way worth telling; unless it only closed the pipe. */
static void end_soon(struct layer_job *job)
{
	struct pollfd p = {.fd = job->pidfd, .events = POLLIN};

	if (poll(&p, 1, EXIT_MS) <= 0)
		(void)kill(job->pid, SIGKILL);
}

/* The answer and the exit; 0, or why the job failed. */
static int read_result(struct layer_job *job, struct worker_result *res, struct msb_err *err)
{
	int r;
	int status;

	job->in_fd = fd_close(job->in_fd);
	job->out_fd = fd_close(job->out_fd);
	r = io_read_full(job->result_fd, res, sizeof(*res));
	job->result_fd = fd_close(job->result_fd);
	if (r < 0)
		end_soon(job);
	status = reap(job);
	if (r == -ENODATA && WIFSIGNALED(status))
		return msb_err_set(err, -EPROTO, MSB_PROTOCOL,
			"the process that reads the %s was killed by signal %d%s", job->subject,
			WTERMSIG(status), WTERMSIG(status) == SIGSYS ? " (its jail)" : "");
	if (r < 0)
		return msb_err_errno(
			err, r, "no answer from the process that reads the %s", job->subject);
	res->text[sizeof(res->text) - 1] = '\0';
	make_printable(res->text);
	if (res->error == 0)
		return 0;
	if (res->error > 0 || res->error < -ERRNO_MAX || res->kind >= MSB_KIND_COUNT)
		return msb_err_set(err, -EPROTO, MSB_PROTOCOL,
			"nonsense from the process that reads the %s", job->subject);
	return msb_err_set(err, res->error, (enum msb_kind)res->kind, "%s", res->text);
}

/* What a worker under foreign control could say to confuse us later. */
static int check_facts(const struct layer_job *job, struct worker_result *res)
{
	static const char *const known[] = {"none", "gzip", "zstd"};
	bool ok = false;
	struct stat st;

	if (fstat(job->data_fd, &st) < 0)
		return -errno;
	res->diff_id[sizeof(res->diff_id) - 1] = '\0';
	res->compression[sizeof(res->compression) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		ok = ok || streq(res->compression, known[i]);
	/* An empty layer has no compression to tell. */
	ok = ok || res->compression[0] == '\0';
	return ok && is_hex(res->diff_id) && strlen(res->diff_id) == sizeof(res->diff_id) - 1 &&
			       res->data_bytes == (uint64_t)st.st_size &&
			       res->data_bytes % BLOCK == 0 && res->tar_bytes <= INT64_MAX &&
			       res->entries <= INT64_MAX
		       ? 0
		       : -EPROTO;
}

int layer_unpack_finish(struct layer_job *job, struct layer_facts *ret, struct msb_err *err)
{
	struct worker_result res;
	int r = read_result(job, &res, err);

	if (r < 0)
		return r;
	r = check_facts(job, &res);
	if (r < 0)
		return msb_err_set(
			err, r, MSB_PROTOCOL, "nonsense from the process that reads the layer");
	*ret = (struct layer_facts){
		.entries = res.entries,
		.data_bytes = res.data_bytes,
		.tar_bytes = res.tar_bytes,
	};
	(void)snprintf(ret->diff_id, sizeof(ret->diff_id), "sha256:%s", res.diff_id);
	(void)snprintf(ret->compression, sizeof(ret->compression), "%s",
		res.compression[0] ? res.compression : "none");
	return 0;
}

int layer_pack_finish(struct layer_job *job, struct msb_err *err)
{
	struct worker_result res;

	return read_result(job, &res, err);
}

int layer_table(
	const char *program, int archive_fd, int spool_fd, int table_fd, struct msb_err *err)
{
	struct layer_job job = new_job("archive", spool_fd);
	struct worker_result res;
	struct spawn s = {};
	int r;

	if (spool_fd >= 0)
		spawn_add_fd(&s, spool_fd, WORKER_FD_DATA);
	spawn_add_fd(&s, table_fd, WORKER_FD_INDEX);
	r = start_with(&s, program, spool_fd >= 0 ? "spool" : "scan", archive_fd, &job, err);
	return r < 0 ? r : read_result(&job, &res, err);
}

int layer_merge(const char *program, const int *index_fds, const uint64_t *data_bytes, size_t n,
	int out_fd, struct msb_err *err)
{
	struct worker_result res;
	struct layer_job job = new_job("layer", out_fd);
	struct spawn s = {};
	uint32_t count = (uint32_t)n;
	int r;

	if (n > MERGE_LAYERS_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "image has more than %d layers", MERGE_LAYERS_MAX);
	spawn_add_fd(&s, out_fd, WORKER_FD_DATA);
	for (size_t i = 0; i < n; i++)
		spawn_add_fd(&s, index_fds[i], WORKER_FD_INDEX + (int)i);
	r = start(&s, program, "merge", &job, err);
	if (r < 0)
		return r;
	/* All of it fits into the pipe: no answer can be waiting meanwhile. */
	r = io_write_full(job.in_fd, &count, sizeof(count));
	for (size_t i = 0; i < n && r == 0; i++) {
		uint64_t blocks = data_bytes[i] / BLOCK;

		r = io_write_full(job.in_fd, &blocks, sizeof(blocks));
	}
	/* A worker that has ended early has said why. */
	if (r < 0 && r != -EPIPE) {
		layer_job_abort(&job);
		return msb_err_errno(err, r, "cannot talk to %s", program);
	}
	return read_result(&job, &res, err);
}
