/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "agent/ops/modify.h"

#include "test-peer.h"
#include "test.h"

/* A directory with @n processors that have a switch, all off. */
static int make_switches(const char *dir, unsigned int n)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_OK(fd);
	ASSERT_OK(mkdirat(fd, "cpu0", 0755));
	for (unsigned int i = 1; i <= n; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "cpu%u", i);
		ASSERT_OK(mkdirat(fd, path, 0755));
		(void)snprintf(path, sizeof(path), "cpu%u/online", i);
		ASSERT_OK(io_write_file_atomic(fd, path, "0\n", 2, 0644, false));
	}
	return fd;
}

static void check_switches(int fd, const char *want)
{
	for (unsigned int i = 1; want[i - 1]; i++) {
		cleanup_free char *text = NULL;
		char path[32];

		(void)snprintf(path, sizeof(path), "cpu%u/online", i);
		ASSERT_OK(io_read_file(fd, path, 16, &text, NULL));
		ASSERT_EQ(text[0], want[i - 1]);
	}
}

TEST(the_first_ones_are_on)
{
	cleanup_fd int fd = make_switches(test_tmpdir(), 3);
	uint32_t online = 0;

	ASSERT_OK(modify_cpus(fd, 3, &online));
	ASSERT_EQ(online, 3);
	check_switches(fd, "110");
	ASSERT_OK(modify_cpus(fd, 4, &online));
	ASSERT_EQ(online, 4);
	ASSERT_OK(modify_cpus(fd, 1, &online));
	ASSERT_EQ(online, 1);
	check_switches(fd, "000");
	/* There are no more: as many as there are. */
	ASSERT_ERR(modify_cpus(fd, 9, &online), ENODEV);
	ASSERT_EQ(online, 4);
}

TEST(a_switch_that_is_none)
{
	cleanup_fd int fd = make_switches(test_tmpdir(), 3);
	uint32_t online = 0;

	ASSERT_OK(unlinkat(fd, "cpu2/online", 0));
	ASSERT_OK(mkfifoat(fd, "cpu2/online", 0600));
	ASSERT_ERR(modify_cpus(fd, 4, &online), ENXIO);
	ASSERT_EQ(online, 3);
	ASSERT_OK(unlinkat(fd, "cpu2/online", 0));
	ASSERT_OK(symlinkat("../cpu1/online", fd, "cpu2/online"));
	ASSERT_ERR(modify_cpus(fd, 4, &online), ELOOP);
	check_switches(fd, "1");
}

static uint8_t answer_to(struct peer *p, const struct msg_modify *m, const char *const *env)
{
	struct frame f;

	ASSERT_OK(msg_put_modify(&p->out, 9, m, env));
	peer_flush(p);
	ASSERT_TRUE(peer_next(p, &f));
	ASSERT_EQ(f.stream, 9);
	return f.type;
}

static void check_env(struct peer *p, const char *want)
{
	const struct msg_exec m = {.user = "", .cwd = ""};
	struct result r;

	peer_sh(p, &m, "echo $A-$B-$PWD", &r);
	ASSERT_OK(buf_append(&r.out[1], "", 1));
	ASSERT_STREQ((const char *)buf_data(&r.out[1]), want);
	result_deinit(&r);
}

TEST(defaults_of_later_commands)
{
	static const char *const env[] = {"A=1", "B=2", NULL};
	static const char *const fewer[] = {"A=3", NULL};
	static const char *const none[] = {NULL};
	struct msg_modify m = {.defaults = 1, .cwd = "/usr"};
	struct frame f;
	struct peer p;

	peer_serve(&p);
	ASSERT_EQ(answer_to(&p, &m, env), FRAME_MODIFIED);
	check_env(&p, "1-2-/usr\n");
	m.cwd = "/";
	ASSERT_EQ(answer_to(&p, &m, fewer), FRAME_MODIFIED);
	check_env(&p, "3--/\n");
	/* Nothing is said about them. */
	m.defaults = 0;
	ASSERT_EQ(answer_to(&p, &m, none), FRAME_MODIFIED);
	check_env(&p, "3--/\n");
	/* An agent that is a process of the host leaves its processors alone. */
	m.cpus = 1;
	ASSERT_EQ(answer_to(&p, &m, none), FRAME_FAILED);
	ASSERT_OK(frame_put(&p.out, FRAME_MODIFY, 0, 9, "x", 1));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_FAILED);
	peer_stop(&p, 0);
}
