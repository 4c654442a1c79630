/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/caps.h"
#include "base/io.h"

#include "lib/env-file.h"
#include "lib/run-args.h"

#include "test.h"

static void parse(const char *text, const char *const *want)
{
	struct opt_list got = {.n = 0};
	size_t n = 0;

	ASSERT_OK(env_file_parse(text, "f", &got, NULL));
	for (; want[n]; n++) {
		ASSERT_TRUE(n < got.n);
		ASSERT_STREQ(got.items[n], want[n]);
	}
	ASSERT_EQ(got.n, n);
	run_env_deinit(&got);
}

TEST(lines)
{
	ASSERT_OK(setenv("ENV_FILE_HERE", "from here", 1));
	ASSERT_OK(unsetenv("ENV_FILE_NOWHERE"));
	parse("", (const char *const[]){NULL});
	parse("\n\n# A=1\n  # B=2\n", (const char *const[]){NULL});
	parse("A=1\nB=\n", (const char *const[]){"A=1", "B=", NULL});
	parse("  A=x y \r\nB=\"q\"#no comment",
		(const char *const[]){"A=x y ", "B=\"q\"#no comment", NULL});
	parse("A==\nC=a=b\n", (const char *const[]){"A==", "C=a=b", NULL});
	parse("ENV_FILE_HERE\nENV_FILE_NOWHERE\nZ=1\n",
		(const char *const[]){"ENV_FILE_HERE=from here", "Z=1", NULL});
	parse("   \n\t\nA=1", (const char *const[]){"A=1", NULL});
}

TEST(mistakes_name_file_and_line)
{
	static const struct {
		const char *text;
		const char *msg;
	} bad[] = {
		{"A=1\n=2\n", "'f', line 2: the name of the variable is missing"},
		{"# c\n\nexport A=1\n", "'f', line 3: the name of the variable contains a space"},
		{"A B", "'f', line 1: the name of the variable contains a space"},
		{"MSB_X=1", "'f', line 1: names that start with MSB_ are reserved"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct opt_list got = {.n = 0};
		struct msb_err err = {0};

		ASSERT_ERR(env_file_parse(bad[i].text, "f", &got, &err), EINVAL);
		ASSERT_STREQ(err.msg, bad[i].msg);
		ASSERT_EQ(err.kind, MSB_USAGE);
		run_env_deinit(&got);
	}
}

static void write_file(const char *path, const char *data, size_t len)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(io_write_full(fd, data, len));
}

TEST(files)
{
	static char big[ENV_FILE_MAX + 1];
	struct opt_list got = {.n = 0};
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/env", test_tmpdir());
	ASSERT_ERR(env_file_read(path, &got, NULL), ENOENT);
	ASSERT_ERR(env_file_read(test_tmpdir(), &got, NULL), EISDIR);
	write_file(path, "A=1\n", 4);
	ASSERT_OK(env_file_read(path, &got, NULL));
	ASSERT_EQ(got.n, 1);
	write_file(path, "A=\0", 3);
	ASSERT_ERR(env_file_read(path, &got, NULL), EINVAL);
	memset(big, '#', sizeof(big));
	write_file(path, big, ENV_FILE_MAX);
	ASSERT_OK(env_file_read(path, &got, NULL));
	write_file(path, big, sizeof(big));
	ASSERT_ERR(env_file_read(path, &got, NULL), EFBIG);
	run_env_deinit(&got);
}

TEST(variables_are_counted)
{
	cleanup_free char *text = malloc((LIMIT_ARGV + 1) * 4 + 1);
	struct opt_list got = {.n = 0};

	ASSERT_TRUE(text);
	for (size_t i = 0; i <= LIMIT_ARGV; i++)
		memcpy(text + 4 * i, "A=1\n", 5);
	ASSERT_ERR(env_file_parse(text, "f", &got, NULL), E2BIG);
	run_env_deinit(&got);
}

TEST(files_and_options_together)
{
	struct opt_list files = {.n = 0};
	struct opt_list given = {.n = 0};
	struct opt_list got = {.n = 0};
	char a[PATH_MAX];
	char b[PATH_MAX];

	(void)snprintf(a, sizeof(a), "%s/a", test_tmpdir());
	(void)snprintf(b, sizeof(b), "%s/b", test_tmpdir());
	write_file(a, "X=a\nY=a\nZ=a\n", 12);
	write_file(b, "Y=b\nZ=b\n", 8);
	ASSERT_OK(opt_list_add(&files, a));
	ASSERT_OK(opt_list_add(&files, b));
	ASSERT_OK(opt_list_add(&given, "Z=line"));
	FAULT_LOOP({
		int r = env_make(&files, &given, &got, NULL);

		ASSERT_TRUE(r == 0 || r == -ENOMEM || r == -EIO);
		if (r == 0 && got.n != 3)
			test_fail(__FILE__, __LINE__, "%zu variables", got.n);
		run_env_deinit(&got);
	});
	ASSERT_OK(env_make(&files, &given, &got, NULL));
	ASSERT_STREQ(got.items[0], "X=a");
	ASSERT_STREQ(got.items[1], "Y=b");
	ASSERT_STREQ(got.items[2], "Z=line");
	run_env_deinit(&got);
	free(files.items);
	free(given.items);
}

TEST(failures_of_memory_leave_nothing)
{
	ASSERT_OK(setenv("ENV_FILE_HERE", "from here", 1));
	FAULT_LOOP({
		struct opt_list got = {.n = 0};
		int r = env_file_parse("A=1\nENV_FILE_HERE\n", "f", &got, NULL);

		ASSERT_TRUE(r == 0 || r == -ENOMEM || r == -EIO);
		run_env_deinit(&got);
	});
}
