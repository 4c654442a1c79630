/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "test.h"

TEST(set_and_errno)
{
	struct msb_err err = {.hint = "old"};

	ASSERT_ERR(msb_err_set(&err, -ENOENT, MSB_NOT_FOUND, "no %s", "image"), ENOENT);
	ASSERT_STREQ(err.msg, "no image");
	ASSERT_STREQ(err.hint, "");
	ASSERT_EQ(err.errno_, ENOENT);
	ASSERT_EQ(err.kind, MSB_NOT_FOUND);
	ASSERT_TRUE(strstr(err.file, "test-err.c") && err.line > 0);

	ASSERT_ERR(msb_err_errno(&err, -EACCES, "cannot open %s", "x"), EACCES);
	ASSERT_STREQ(err.msg, "cannot open x: Permission denied");
	ASSERT_EQ(err.kind, MSB_PERMISSION);
}

TEST(prefix_and_hint)
{
	struct msb_err err = {0};
	int r = msb_err_set(&err, -EIO, MSB_IO, "read failed");

	ASSERT_ERR(msb_err_hint(&err, r, "try %d times", 2), EIO);
	ASSERT_ERR(msb_err_prefix(&err, r, "disk %s", "a"), EIO);
	ASSERT_STREQ(err.msg, "disk a: read failed");
	ASSERT_STREQ(err.hint, "try 2 times");
}

TEST(nobody_asked)
{
	ASSERT_ERR(msb_err_set(NULL, -EIO, MSB_IO, "x"), EIO);
	ASSERT_ERR(msb_err_errno(NULL, -EIO, "x"), EIO);
	ASSERT_ERR(msb_err_prefix(NULL, -EIO, "x"), EIO);
	ASSERT_ERR(msb_err_hint(NULL, -EIO, "x"), EIO);
}

/* Always one terminated line, and the reason survives a long name. */
TEST(long_texts_are_cut)
{
	struct msb_err err = {0};
	char name[1000];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ASSERT_ERR(msb_err_errno(&err, -ENOENT, "%s", name), ENOENT);
	ASSERT_TRUE(strlen(err.msg) < sizeof(err.msg));
	ASSERT_TRUE(strstr(err.msg, ": No such file or directory") != NULL);
	ASSERT_ERR(msb_err_prefix(&err, -ENOENT, "%s", name), ENOENT);
	ASSERT_EQ(strlen(err.msg), sizeof(err.msg) - 1);
	ASSERT_ERR(msb_err_hint(&err, -ENOENT, "%s", name), ENOENT);
	ASSERT_EQ(strlen(err.hint), sizeof(err.hint) - 1);
}

TEST(every_kind_has_a_name_and_a_code)
{
	for (int k = 0; k < MSB_KIND_COUNT; k++) {
		int code = msb_kind_exit_code((enum msb_kind)k);
		const char *name = msb_kind_name((enum msb_kind)k);

		ASSERT_TRUE(name && name[0]);
		ASSERT_TRUE(code == 2 || (code >= 124 && code <= 127));
		for (int j = 0; j < k; j++)
			ASSERT_TRUE(!streq(name, msb_kind_name((enum msb_kind)j)));
	}
	ASSERT_EQ(msb_kind_exit_code(MSB_USAGE), 2);
	ASSERT_EQ(msb_kind_exit_code(MSB_TIMEOUT), 124);
	ASSERT_EQ(msb_kind_exit_code(MSB_EXEC_DENIED), 126);
	ASSERT_EQ(msb_kind_exit_code(MSB_EXEC_NOT_FOUND), 127);
}

TEST(kinds_from_errno)
{
	ASSERT_EQ(msb_kind_from_errno(-ENOENT), MSB_NOT_FOUND);
	ASSERT_EQ(msb_kind_from_errno(-EEXIST), MSB_EXISTS);
	ASSERT_EQ(msb_kind_from_errno(-EAGAIN), MSB_BUSY);
	ASSERT_EQ(msb_kind_from_errno(-EPERM), MSB_PERMISSION);
	ASSERT_EQ(msb_kind_from_errno(-ENOSYS), MSB_UNSUPPORTED);
	ASSERT_EQ(msb_kind_from_errno(-ENOSPC), MSB_NO_MEMORY);
	ASSERT_EQ(msb_kind_from_errno(-EMFILE), MSB_LIMIT);
	ASSERT_EQ(msb_kind_from_errno(-EBADMSG), MSB_PROTOCOL);
	ASSERT_EQ(msb_kind_from_errno(-ETIMEDOUT), MSB_TIMEOUT);
	ASSERT_EQ(msb_kind_from_errno(-EIO), MSB_IO);
	ASSERT_EQ(msb_kind_from_errno(-EDOM), MSB_FAIL);
}
