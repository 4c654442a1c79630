/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the words that msb-fs is started with. */
#include "fs/config.h"

#include "test.h"

static int parse(const char *const *words, struct fs_options *ret)
{
	enum fs_speech speech;
	struct msb_err err;
	int n = 0;

	while (words[n])
		n++;
	return fs_config_parse(n, (char *const *)(uintptr_t)words, &speech, ret, &err);
}

TEST(words_and_back)
{
	static const struct fs_options want[] = {
		{0},
		{.read_only = true, .stat_virt = FS_STAT_OFF, .private_perms = true},
		{.stat_virt = FS_STAT_RELAXED,
			.uid = 1000,
			.gid = 4294967294,
			.quota = UINT64_MAX,
			.only = "name, with = odd letters"},
		{.read_only = true,
			.private_perms = true,
			.uid = 1,
			.gid = 2,
			.quota = 3,
			.only = "x"},
		{.quota = GIB, .whole = true, .no_suid = true, .no_dev = true},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		char words[FS_WORDS_MAX][FS_WORD_SIZE];
		const char *argv[FS_WORDS_MAX + 3] = {"msb-fs", "link"};
		struct fs_options got;
		unsigned int n = fs_config_words(&want[i], words);

		ASSERT_TRUE(n <= FS_WORDS_MAX);
		for (unsigned int j = 0; j < n; j++)
			argv[2 + j] = words[j];
		ASSERT_OK(parse(argv, &got));
		ASSERT_EQ(got.read_only, want[i].read_only);
		ASSERT_EQ(got.stat_virt, want[i].stat_virt);
		ASSERT_EQ(got.private_perms, want[i].private_perms);
		ASSERT_EQ(got.uid, want[i].uid);
		ASSERT_EQ(got.gid, want[i].gid);
		ASSERT_TRUE(got.quota == want[i].quota);
		ASSERT_EQ(got.whole, want[i].whole);
		ASSERT_EQ(got.no_suid, want[i].no_suid);
		ASSERT_EQ(got.no_dev, want[i].no_dev);
		ASSERT_STREQ(got.only, want[i].only);
	}
}

TEST(bad_words)
{
	static const char *const bad[] = {"rw", "uid=", "uid=-1", "uid=4294967295", "quota=1G",
		"stat-virt=", "stat-virt=no", "only=", "only=a/b", "only=..", "only=.", "", "ro=1"};
	static const char *const none[] = {"msb-fs", NULL};
	static const char *const speech[] = {"msb-fs", "ro", NULL};
	struct fs_options o;

	ASSERT_ERR(parse(none, &o), EINVAL);
	ASSERT_ERR(parse(speech, &o), EINVAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *argv[] = {"msb-fs", "vhost", bad[i], NULL};

		ASSERT_TRUE(parse(argv, &o) < 0);
	}
}
