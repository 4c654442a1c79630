/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/io.h"

#include "lib/script-args.h"

#include "test.h"

static struct run_scripts scripts;
static struct msb_err err;

static void expect(const char *value, const char *shell, const char *name, const char *body)
{
	ASSERT_OK(run_parse_script(&scripts, value, &err));
	ASSERT_OK(run_scripts_make(&scripts, shell, &err));
	ASSERT_EQ(scripts.n, 1u);
	ASSERT_STREQ(scripts.made[0].name, name);
	ASSERT_STREQ(scripts.made[0].body, body);
	run_scripts_deinit(&scripts);
}

TEST(a_line_becomes_a_file)
{
	expect("a=echo hi", NULL, "a", "#!/bin/sh\necho hi\n");
	expect("a=echo 1\\necho 2\n", "/bin/bash", "a", "#!/bin/bash\necho 1\necho 2\n");
	expect("a=x='a:b=c' \\t\\\\n\\z\\", "python3", "a",
		"#!/usr/bin/env python3\nx='a:b=c' \t\\n\\z\\\n");
	expect("a=", NULL, "a", "#!/bin/sh\n");
}

TEST(raw_text_is_left_alone)
{
	ASSERT_OK(run_parse_script_raw(&scripts, "b=#!/bin/x\\n", &err));
	ASSERT_OK(run_scripts_make(&scripts, "/bin/sh", &err));
	ASSERT_STREQ(scripts.made[0].body, "#!/bin/x\\n");
	run_scripts_deinit(&scripts);
}

TEST(a_file_of_the_host)
{
	char value[PATH_MAX];
	char path[PATH_MAX];

	ASSERT_TRUE(snprintf(path, sizeof(path), "%s/a=b:c", test_tmpdir()) > 0);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, "one\n", 4, 0600, false));
	ASSERT_TRUE(snprintf(value, sizeof(value), "setup:%s", path) > 0);
	expect(value, NULL, "setup", "one\n");
	ASSERT_OK(run_parse_script_path(&scripts, value, &err));
	ASSERT_ERR(run_parse_script(&scripts, "setup=twice", &err), EINVAL);
	run_scripts_deinit(&scripts);
	ASSERT_ERR(run_parse_script(&scripts, "setup:/nothing", &err), ENOENT);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, "a\0b", 3, 0600, false));
	ASSERT_ERR(run_parse_script(&scripts, value, &err), EINVAL);
}

TEST(wrong_words)
{
	static const char *const wrong[] = {
		"", "a", "=x", ".=x", "..=x", "a/b=x", "a b=x", "-a=x", ".hidden=x"};
	char value[LIMIT_SCRIPTS * 2];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ASSERT_ERR(run_parse_script(&scripts, wrong[i], &err), EINVAL);
	ASSERT_EQ(scripts.n, 0u);
	for (unsigned int i = 0; i < LIMIT_SCRIPTS; i++) {
		(void)snprintf(value, sizeof(value), "s%u=x", i);
		ASSERT_OK(run_parse_script(&scripts, value, &err));
	}
	ASSERT_ERR(run_parse_script(&scripts, "more=x", &err), EINVAL);
	run_scripts_deinit(&scripts);
}

TEST(a_text_that_is_too_long)
{
	char *value = malloc(LIMIT_SCRIPT_BYTES + 3);

	ASSERT_TRUE(value);
	memset(value, 'x', LIMIT_SCRIPT_BYTES + 2);
	value[1] = '=';
	value[LIMIT_SCRIPT_BYTES + 2] = '\0';
	ASSERT_OK(run_parse_script(&scripts, value, &err));
	ASSERT_ERR(run_scripts_make(&scripts, NULL, &err), ENOBUFS);
	run_scripts_deinit(&scripts);
	free(value);
}
