/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of running msb-layer, with workers that a hostile archive has taken over. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/layer/job.h"
#include "image/layer/worker.h"

#include "test.h"

static struct msb_err err;
static char program[128];

/* A worker that reads everything and answers with the bytes of @answer, or ends as @script says. */
static void setup(const struct worker_result *answer, const char *script)
{
	char path[128];
	char text[400];
	int n;

	(void)signal(SIGPIPE, SIG_IGN);
	err = (struct msb_err){};
	(void)snprintf(path, sizeof(path), "%s/answer", test_tmpdir());
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, answer, sizeof(*answer), 0644, false));
	(void)snprintf(program, sizeof(program), "%s/worker", test_tmpdir());
	n = snprintf(text, sizeof(text), "#!/bin/sh\n%s\n",
		script ? script : "cat >/dev/null; cat $(dirname $0)/answer >&3");
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, program, text, (size_t)n, 0755, false));
	ASSERT_OK(chmod(program, 0755));
}

/* Runs one job with @data_bytes in the data file. */
static int unpack(uint64_t data_bytes, struct layer_facts *ret)
{
	char path[128];
	cleanup_fd int fd = -EBADF;
	struct store_files files;
	struct layer_job job;
	int r;

	(void)snprintf(path, sizeof(path), "%s/data", test_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_OK(fd);
	ASSERT_OK(ftruncate(fd, (off_t)data_bytes));
	files = (struct store_files){fd, fd, fd};
	r = layer_unpack_start(program, &files, &job, &err);
	if (r < 0)
		return r;
	r = io_write_full(job.in_fd, "layer", 5);
	ASSERT_TRUE(r == 0 || r == -EPIPE);
	return layer_unpack_finish(&job, ret, &err);
}

static const struct worker_result good = {
	.diff_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	.compression = "gzip",
	.entries = 3,
	.data_bytes = 8192,
	.tar_bytes = 10240,
};

TEST(an_honest_answer)
{
	struct layer_facts f;

	setup(&good, NULL);
	ASSERT_OK(unpack(8192, &f));
	ASSERT_STREQ(f.diff_id,
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	ASSERT_STREQ(f.compression, "gzip");
	ASSERT_EQ(f.entries, 3);
	ASSERT_EQ(f.tar_bytes, 10240);
}

TEST(a_failure_is_told_in_printable_words)
{
	struct worker_result res = {.error = -EBADMSG, .kind = MSB_PROTOCOL};
	struct layer_facts f;

	(void)snprintf(res.text, sizeof(res.text), "bad\x1b[2J\xff layer");
	setup(&res, NULL);
	ASSERT_ERR(unpack(0, &f), EBADMSG);
	ASSERT_EQ(err.kind, MSB_PROTOCOL);
	ASSERT_STREQ(err.msg, "bad?[2J? layer");
	/* Text without an end. */
	memset(res.text, 'x', sizeof(res.text));
	setup(&res, NULL);
	ASSERT_ERR(unpack(0, &f), EBADMSG);
}

TEST(nonsense_is_refused)
{
	struct worker_result bad[8];
	struct layer_facts f;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].diff_id[5] = '/';
	bad[1].diff_id[63] = '\0';
	memset(bad[2].diff_id, 'a', sizeof(bad[2].diff_id));
	(void)snprintf(bad[3].compression, sizeof(bad[3].compression), "lzma");
	bad[4].data_bytes = 4096;
	bad[5].tar_bytes = UINT64_MAX;
	bad[6].error = 7;
	bad[7].error = -EBADMSG;
	bad[7].kind = MSB_KIND_COUNT;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r;

		setup(&bad[i], NULL);
		r = unpack(8192, &f);
		/* Case 2 is a digest whose NUL is missing: cut, it is fine. */
		if (i == 2 ? r < 0 : r != -EPROTO)
			test_fail(__FILE__, __LINE__, "case %zu: %d", i, r);
	}
	/* Data that is no whole number of blocks. */
	bad[0] = good;
	bad[0].data_bytes = 5000;
	setup(&bad[0], NULL);
	ASSERT_ERR(unpack(5000, &f), EPROTO);
}

TEST(no_answer)
{
	struct layer_facts f;

	setup(&good, "exit 0");
	ASSERT_ERR(unpack(8192, &f), ENODATA);
	setup(&good, "head -c 100 /dev/zero >&3");
	ASSERT_ERR(unpack(8192, &f), ENODATA);
	setup(&good, "kill -KILL $$");
	ASSERT_ERR(unpack(8192, &f), EPROTO);
	ASSERT_TRUE(strstr(err.msg, "signal 9"));
	setup(&good, "kill -SYS $$");
	ASSERT_ERR(unpack(8192, &f), EPROTO);
	ASSERT_TRUE(strstr(err.msg, "its jail"));
	/* Closes the pipe and lives on: it is not waited for. */
	setup(&good, "exec 3>&-; while :; do read x </dev/zero; done");
	ASSERT_ERR(unpack(8192, &f), EPROTO);
}

TEST(abort_ends_a_worker_that_does_not_end)
{
	const struct store_files files = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
	struct layer_job job = {};

	layer_job_abort(&job);
	setup(&good, "exec cat >/dev/null");
	ASSERT_OK(layer_unpack_start(program, &files, &job, &err));
	ASSERT_EQ(kill(job.pid, 0), 0);
	layer_job_abort(&job);
	ASSERT_EQ(job.pid, 0);
}

TEST(a_program_that_is_not_there)
{
	struct layer_facts f;

	(void)snprintf(program, sizeof(program), "%s/none", test_tmpdir());
	ASSERT_ERR(unpack(0, &f), ENOENT);
	ASSERT_TRUE(strstr(err.msg, "/none"));
}

TEST(merge_of_many_layers)
{
	enum { LAYERS = 512 };
	/* One open file is enough: the worker gets as many numbers. It counts what it gets. */
	int fds[LAYERS + 1];
	uint64_t bytes[LAYERS + 1] = {};

	for (size_t i = 0; i <= LAYERS; i++)
		fds[i] = STDERR_FILENO;
	setup(&good, "n=$(head -c 4104 | wc -c); [ $n = 4100 ] && [ -e /proc/self/fd/516 ] && "
		     "cat $(dirname $0)/answer >&3");
	ASSERT_OK(layer_merge(program, fds, bytes, LAYERS, STDERR_FILENO, &err));
	ASSERT_ERR(layer_merge(program, fds, bytes, LAYERS + 1, STDERR_FILENO, &err), E2BIG);
}
