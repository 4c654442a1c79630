/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"

#include "sandbox/info.h"
#include "sandbox/record.h"
#include "sandbox/state.h"

#include "test.h"

static const struct sandbox_record sample = {
	.status = SANDBOX_RUNNING,
	.pid = 42,
	.engine = "kvm",
	.machine = {.vcpus = 1, .max_vcpus = 2, .mem_mib = 512, .max_mem_mib = 1024},
	.started_ns = 1,
	.ready_ns = 2,
	.exit_status = -1,
	.n_ports = 2,
	.ports = {80, 65535},
	.detail = "by \"signal\"",
};

TEST(round_trip)
{
	struct sandbox_record rec;
	char text[RECORD_BYTES];

	ASSERT_OK(sandbox_record_format(&sample, text));
	ASSERT_EQ(text[RECORD_BYTES - 1], '\n');
	ASSERT_OK(sandbox_record_parse(text, sizeof(text), &rec));
	ASSERT_EQ(rec.status, SANDBOX_RUNNING);
	ASSERT_EQ(rec.reason, REASON_NONE);
	ASSERT_EQ(rec.pid, 42);
	ASSERT_STREQ(rec.engine, "kvm");
	ASSERT_EQ(rec.machine.vcpus, 1);
	ASSERT_EQ(rec.machine.max_vcpus, 2);
	ASSERT_EQ(rec.machine.mem_mib, 512);
	ASSERT_EQ(rec.machine.max_mem_mib, 1024);
	ASSERT_EQ(rec.started_ns, 1);
	ASSERT_EQ(rec.ready_ns, 2);
	ASSERT_EQ(rec.exit_status, -1);
	ASSERT_EQ(rec.n_ports, 2);
	ASSERT_EQ(rec.ports[1], 65535);
	ASSERT_STREQ(rec.detail, sample.detail);
}

/* Whatever the supervisor has to say, it fits. */
TEST(the_longest_fits)
{
	struct sandbox_record rec = {
		.status = SANDBOX_CRASHED,
		.reason = REASON_MAX_DURATION,
		.pid = INT32_MAX,
		.engine = "1234567",
		.machine = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
		.started_ns = INT64_MAX,
		.ready_ns = INT64_MAX,
		.ended_ns = INT64_MAX,
		.exit_status = 255,
	};
	char text[RECORD_BYTES];

	for (rec.n_ports = 0; rec.n_ports < LIMIT_PORTS; rec.n_ports++)
		rec.ports[rec.n_ports] = UINT16_MAX;
	/* Every character doubled by its escape. */
	memset(rec.detail, '"', sizeof(rec.detail) - 1);
	ASSERT_OK(sandbox_record_format(&rec, text));
	ASSERT_OK(sandbox_record_parse(text, sizeof(text), &rec));
	ASSERT_EQ(strlen(rec.detail), RECORD_TEXT - 1);
}

TEST(garbage_is_refused)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"version\":2,\"status\":\"Running\",\"reason\":\"None\",\"pid\":1,\"engine\":"
		"\"\","
		"\"started_ns\":0,\"ready_ns\":0,\"ended_ns\":0,\"exit_status\":-1,\"detail\":"
		"\"\"}",
		"{\"version\":1,\"status\":\"Dancing\",\"reason\":\"None\",\"pid\":1,\"engine\":"
		"\"\","
		"\"started_ns\":0,\"ready_ns\":0,\"ended_ns\":0,\"exit_status\":-1,\"detail\":"
		"\"\"}",
		"{\"version\":1,\"status\":\"Running\",\"reason\":\"None\",\"pid\":1,\"engine\":"
		"\"\","
		"\"started_ns\":0,\"ready_ns\":0,\"ended_ns\":0,\"exit_status\":-1,\"detail\":"
		"\"\\u001b[2J\"}",
		"{\"version\":1,\"status\":\"Running\",\"reason\":\"None\",\"pid\":-1,\"engine\":"
		"\"\","
		"\"started_ns\":0,\"ready_ns\":0,\"ended_ns\":0,\"exit_status\":-1,\"detail\":"
		"\"\"}",
	};
	struct sandbox_record rec;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_TRUE(sandbox_record_parse(bad[i], strlen(bad[i]), &rec) < 0);
}

static void put_record(int dir_fd, enum sandbox_status status)
{
	struct sandbox_record rec = sample;
	char text[RECORD_BYTES];

	rec.status = status;
	ASSERT_OK(sandbox_record_format(&rec, text));
	ASSERT_OK(io_write_file_atomic(dir_fd, SANDBOX_STATE, text, sizeof(text), 0600, false));
}

static enum sandbox_status status_now(int dir_fd)
{
	struct sandbox_record rec;

	sandbox_record_read(dir_fd, &rec);
	return rec.status;
}

/* The table at the head of record.h, row by row. */
TEST(the_lock_decides)
{
	static const struct {
		enum sandbox_status said;
		enum sandbox_status held;
		enum sandbox_status free;
	} rows[] = {
		{SANDBOX_STARTING, SANDBOX_STARTING, SANDBOX_CRASHED},
		{SANDBOX_RUNNING, SANDBOX_RUNNING, SANDBOX_CRASHED},
		{SANDBOX_STOPPING, SANDBOX_STOPPING, SANDBOX_STOPPED},
		{SANDBOX_STOPPED, SANDBOX_STARTING, SANDBOX_STOPPED},
		{SANDBOX_CRASHED, SANDBOX_STARTING, SANDBOX_CRASHED},
	};
	const char *home = test_tmpdir();
	struct sandbox_record rec;
	struct sandbox_dir d;
	int dir_fd = -EBADF;

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_OK(sandbox_dir_find(home, "a", &dir_fd, NULL));
	ASSERT_EQ(status_now(dir_fd), SANDBOX_STARTING);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put_record(dir_fd, rows[i].said);
		ASSERT_EQ(status_now(dir_fd), rows[i].held);
	}
	ASSERT_OK(io_write_file_atomic(
		dir_fd, SANDBOX_SPEC, "{\"ephemeral\":false}", 19, 0600, false));
	sandbox_dir_close(&d);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put_record(dir_fd, rows[i].said);
		ASSERT_EQ(status_now(dir_fd), rows[i].free);
	}
	put_record(dir_fd, SANDBOX_RUNNING);
	sandbox_record_read(dir_fd, &rec);
	ASSERT_EQ(rec.reason, REASON_KILLED);
	ASSERT_EQ(unlinkat(dir_fd, SANDBOX_STATE, 0), 0);
	ASSERT_EQ(status_now(dir_fd), SANDBOX_CREATED);
	fd_close(dir_fd);
}

/* Asking does not get in the way of those who take the lock. */
TEST(one_holder_and_any_number_of_lookers)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;
	struct sandbox_dir e;
	struct msb_err err;
	int dir_fd = -EBADF;

	ASSERT_ERR(sandbox_dir_lock(home, "a", &e, &err), ENOENT);
	ASSERT_EQ(err.kind, MSB_NOT_FOUND);
	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_OK(
		io_write_file_atomic(d.fd, SANDBOX_SPEC, "{\"ephemeral\":false}", 19, 0600, false));
	ASSERT_ERR(sandbox_dir_lock(home, "a", &e, &err), EWOULDBLOCK);
	ASSERT_EQ(err.kind, MSB_BUSY);
	ASSERT_OK(sandbox_dir_find(home, "a", &dir_fd, NULL));
	ASSERT_TRUE(sandbox_dir_alive(dir_fd));
	sandbox_dir_close(&d);
	ASSERT_TRUE(!sandbox_dir_alive(dir_fd));
	ASSERT_OK(sandbox_dir_lock(home, "a", &e, &err));
	ASSERT_TRUE(sandbox_dir_alive(dir_fd));
	ASSERT_OK(sandbox_dir_remove(&e));
	sandbox_dir_close(&e);
	ASSERT_ERR(sandbox_dir_find(home, "a", &d.fd, &err), ENOENT);
	fd_close(dir_fd);
}

/* The lock is the description's: it lives on in a child and ends with the last descriptor. */
TEST(the_lock_passes_to_a_child)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;
	struct sandbox_dir e;
	struct msb_err err;
	int hold[2];
	char byte = 0;
	pid_t pid;

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_OK(
		io_write_file_atomic(d.fd, SANDBOX_SPEC, "{\"ephemeral\":false}", 19, 0600, false));
	ASSERT_OK(io_pipe(0, hold));
	pid = fork();
	ASSERT_TRUE(pid >= 0);
	if (pid == 0) {
		fd_close(hold[1]);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
	}
	fd_close(hold[0]);
	sandbox_dir_close(&d);
	ASSERT_ERR(sandbox_dir_lock(home, "a", &e, &err), EWOULDBLOCK);
	fd_close(hold[1]);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	ASSERT_OK(sandbox_dir_lock(home, "a", &e, &err));
	ASSERT_OK(sandbox_dir_remove(&e));
	sandbox_dir_close(&e);
}

static void put_sandbox(const char *home, const char *name)
{
	struct sandbox_spec spec;
	struct sandbox_dir d;
	struct buf json;

	sandbox_spec_init(&spec);
	spec.name = name;
	spec.ephemeral = false;
	spec.home = home;
	spec.lib_dir = "/lib";
	spec.image_path = "/image";
	buf_init(&json, LIMIT_JSON_BYTES);
	ASSERT_OK(sandbox_spec_to_json(&spec, &json));
	ASSERT_OK(sandbox_dir_create(home, name, &d, NULL));
	ASSERT_OK(io_write_file_atomic(
		d.fd, SANDBOX_SPEC, buf_data(&json), buf_len(&json), 0600, false));
	sandbox_dir_close(&d);
	buf_deinit(&json);
}

TEST(a_list_is_sorted_and_shows_what_cannot_be_read)
{
	const char *home = test_tmpdir();
	struct sandbox_list list;
	struct msb_err err;
	char path[PATH_MAX];

	ASSERT_OK(sandbox_list_get(home, &list, &err));
	ASSERT_EQ(list.n, 0);
	put_sandbox(home, "b");
	put_sandbox(home, "a");
	put_sandbox(home, "c");
	(void)snprintf(path, sizeof(path), "%s/sandboxes/b/" SANDBOX_SPEC, home);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, "{", 1, 0600, false));
	(void)snprintf(path, sizeof(path), "%s/sandboxes/not a name", home);
	ASSERT_EQ(mkdir(path, 0700), 0);
	ASSERT_OK(sandbox_list_get(home, &list, &err));
	ASSERT_EQ(list.n, 3);
	ASSERT_STREQ(list.items[0].name, "a");
	ASSERT_TRUE(list.items[0].readable);
	ASSERT_STREQ(list.items[0].spec.name, "a");
	ASSERT_EQ(list.items[0].record.status, SANDBOX_CREATED);
	ASSERT_STREQ(list.items[1].name, "b");
	ASSERT_TRUE(!list.items[1].readable && list.items[1].spec_err.msg[0]);
	ASSERT_STREQ(list.items[2].name, "c");
	sandbox_list_deinit(&list);
}
