/* SPDX-License-Identifier: Apache-2.0 */
/* --copy, --mkdir, --rm: their words, and what is refused before a machine is started. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "lib/patch.h"

#include "test.h"

static struct run_patches p;
static struct run_tmpfs tmpfs;
static struct run_volumes volumes;
static struct msb_err err;

TEST(words)
{
	ASSERT_OK(run_parse_copy(&p, "a:b.conf:/etc//x/./y:mode=0600,replace", &err));
	ASSERT_OK(run_parse_mkdir(&p, "/srv/data/:mode=1777", &err));
	ASSERT_OK(run_parse_rm(&p, "/etc/motd", &err));
	ASSERT_EQ(p.n, 3u);
	ASSERT_EQ(p.list[0].kind, PATCH_COPY);
	ASSERT_STREQ(p.list[0].source, "a:b.conf");
	ASSERT_STREQ(p.list[0].path, "/etc/x/y");
	ASSERT_EQ(p.list[0].mode, 0600);
	ASSERT_TRUE(p.list[0].replace);
	ASSERT_EQ(p.list[1].kind, PATCH_MKDIR);
	ASSERT_STREQ(p.list[1].path, "/srv/data");
	ASSERT_EQ(p.list[1].mode, 01777);
	ASSERT_EQ(p.list[2].kind, PATCH_REMOVE);
	ASSERT_EQ(p.list[2].mode, -1);
	run_patches_deinit(&p);
}

TEST(bad_words)
{
	static const char *const copies[] = {"", "a", "a:b", ":/x", "a:/x:mode=8",
		"a:/x:mode=", "a:/x:mode=01234", "a:/x:owner=1", "a:/x/../y", "a:/..",
		"missing:/x/"};

	for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
		ASSERT_TRUE(run_parse_copy(&p, copies[i], &err) < 0);
		run_patches_deinit(&p);
	}
	ASSERT_ERR(run_parse_rm(&p, "/", &err), EINVAL);
	ASSERT_ERR(run_parse_rm(&p, "//./", &err), EINVAL);
	ASSERT_ERR(run_parse_rm(&p, "etc", &err), EINVAL);
	ASSERT_ERR(run_parse_rm(&p, "", &err), EINVAL);
	ASSERT_ERR(run_parse_mkdir(&p, "/a:replace", &err), EINVAL);
	run_patches_deinit(&p);
}

TEST(a_directory_gets_the_source)
{
	const char *dir = test_tmpdir();
	char word[PATH_MAX];

	ASSERT_OK(chdir(dir));
	ASSERT_OK(io_write_file_alone(AT_FDCWD, "f", "x", 1, 0600, false));
	ASSERT_OK(run_parse_copy(&p, "./f:/etc/", &err));
	ASSERT_STREQ(p.list[0].path, "/etc/f");
	ASSERT_OK(run_parse_copy(&p, "f:/", &err));
	ASSERT_STREQ(p.list[1].path, "/f");
	ASSERT_OK(run_parse_copy(&p, ".:/srv/", &err));
	(void)snprintf(word, sizeof(word), "/srv/%s", strrchr(dir, '/') + 1);
	ASSERT_STREQ(p.list[2].path, word);
	ASSERT_ERR(run_parse_copy(&p, "/:/srv/", &err), EINVAL);
	run_patches_deinit(&p);
}

static void refused(const char *word, bool rm, int error)
{
	ASSERT_OK(rm ? run_parse_rm(&p, word, &err) : run_parse_copy(&p, word, &err));
	ASSERT_ERR(run_patches_check(&p, &tmpfs, &volumes, &err), error);
	run_patches_deinit(&p);
}

TEST(mounts_are_no_places)
{
	char data[] = "/data//";

	ASSERT_OK(chdir(test_tmpdir()));
	ASSERT_OK(io_write_file_alone(AT_FDCWD, "f", "x", 1, 0600, false));
	ASSERT_OK(mkdir("d", 0700));
	ASSERT_OK(run_parse_tmpfs(&tmpfs, "/var/cache", &err));
	volumes.n = 1;
	volumes.list[0].path = data;
	refused("f:/proc/1/x", false, EINVAL);
	refused("f:/data/x", false, EINVAL);
	refused("f:/data", false, EINVAL);
	refused("/data", true, EINVAL);
	refused("/data/x", true, EINVAL);
	refused("/var", true, EINVAL);
	refused("/dev", true, EINVAL);
	/* Beside them there is room. */
	ASSERT_OK(run_parse_copy(&p, "f:/data2", &err));
	ASSERT_OK(run_parse_copy(&p, "f:/var/cachex", &err));
	ASSERT_OK(run_parse_rm(&p, "/dat", &err));
	ASSERT_OK(run_parse_mkdir(&p, "/var/lib", &err));
	ASSERT_OK(run_patches_check(&p, &tmpfs, &volumes, &err));
	run_patches_deinit(&p);
	run_tmpfs_deinit(&tmpfs);
	volumes.n = 0;
}

TEST(sources)
{
	ASSERT_OK(chdir(test_tmpdir()));
	ASSERT_OK(mkdir("d", 0700));
	ASSERT_OK(mkfifo("pipe", 0600));
	refused("missing:/x", false, ENOENT);
	refused("pipe:/x", false, EINVAL);
	refused("d:/x:mode=0700", false, EINVAL);
	ASSERT_OK(run_parse_copy_file(&p, "d:/x", &err));
	ASSERT_ERR(run_patches_check(&p, &tmpfs, &volumes, &err), EINVAL);
	run_patches_deinit(&p);
	ASSERT_OK(io_write_file_alone(AT_FDCWD, "f", "x", 1, 0600, false));
	ASSERT_OK(run_parse_copy_dir(&p, "f:/x", &err));
	ASSERT_ERR(run_patches_check(&p, &tmpfs, &volumes, &err), EINVAL);
	run_patches_deinit(&p);
}
