/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of tables of archives: links, twins, limits. */
#include <fcntl.h>
#include <sys/mman.h>

#include "image/layer/members.h"

#include "test.h"

static char table[64 * 1024];

/* Writes @n members as a worker does, and reads them; contents lie within 1000 bytes. */
static int through(const struct member *items, size_t n, struct members *ret, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("table", MFD_CLOEXEC);
	struct members_out o;
	ssize_t len;

	ASSERT_OK(members_out_init(&o, fd));
	for (size_t i = 0; i < n; i++)
		ASSERT_OK(members_put(&o, &items[i]));
	ASSERT_OK(members_out_finish(&o));
	members_out_deinit(&o);
	len = pread(fd, table, sizeof(table), 0);
	ASSERT_TRUE(len > 0);
	return members_parse(table, (size_t)len, 1000, ret, err);
}

static const struct member tree[] = {
	{.name = "b/file", .link = "", .offset = 7, .size = 5},
	{.name = "a/up", .link = "../b/./file", .kind = MEMBER_SYMLINK},
	{.name = "a/out", .link = "../../b/file", .kind = MEMBER_SYMLINK},
	{.name = "a/root", .link = "/b/file", .kind = MEMBER_SYMLINK},
	{.name = "hard", .link = "b/file", .kind = MEMBER_HARDLINK},
	{.name = "two", .link = "a/up", .kind = MEMBER_SYMLINK},
	{.name = "circle", .link = "circle", .kind = MEMBER_SYMLINK},
	{.name = "gone", .link = "nowhere", .kind = MEMBER_SYMLINK},
};

TEST(links_lead_to_files_inside)
{
	static const char *const found[] = {
		"b/file", "./b//file", "/b/file", "a/up", "hard", "two"};
	static const char *const lost[] = {
		"a/out", "a/root", "circle", "gone", "b", "", "../b/file", "b/file/x"};
	struct msb_err err = {};
	struct members m;

	ASSERT_OK(through(tree, ARRAY_SIZE(tree), &m, &err));
	ASSERT_EQ(m.n, ARRAY_SIZE(tree));
	for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
		const struct member *f = members_find(&m, found[i]);

		if (!f || f->offset != 7 || f->size != 5)
			test_fail(__FILE__, __LINE__, "%s", found[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		if (members_find(&m, lost[i]))
			test_fail(__FILE__, __LINE__, "'%s'", lost[i]);
	}
	members_deinit(&m);
}

TEST(two_of_one_name_are_refused)
{
	const struct member twins[] = {{.name = "x", .link = ""}, {.name = "x", .link = ""}};
	struct msb_err err = {};
	struct members m;

	ASSERT_ERR(through(twins, 2, &m, &err), EBADMSG);
	ASSERT_STREQ(err.msg, "archive has two members of the name 'x'");
}

TEST(a_table_that_lies_is_refused)
{
	static const struct member bad[] = {
		{.name = "beyond", .link = "", .offset = 996, .size = 5},
		{.name = "far", .link = "", .offset = UINT64_MAX, .size = 5},
		{.name = "huge", .link = "", .size = UINT64_MAX},
		{.name = "../x", .link = ""},
		{.name = "/x", .link = ""},
		{.name = "", .link = ""},
		{.name = "kind", .link = "", .kind = MEMBER_KIND_COUNT},
	};
	const struct member edge = {.name = "edge", .link = "", .offset = 995, .size = 5};
	struct members m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct msb_err err = {};

		ASSERT_ERR(through(&bad[i], 1, &m, &err), EBADMSG);
		ASSERT_EQ(err.kind, MSB_PROTOCOL);
	}
	ASSERT_OK(through(&edge, 1, &m, NULL));
	members_deinit(&m);
	ASSERT_ERR(members_parse(table, 7, 1000, &m, NULL), EBADMSG);
	ASSERT_ERR(members_parse(table, 20, 1000, &m, NULL), EBADMSG);
}

TEST(too_many_members)
{
	cleanup_fd int fd = memfd_create("table", MFD_CLOEXEC);
	struct members_out o;
	int r = 0;

	ASSERT_OK(members_out_init(&o, fd));
	for (size_t i = 0; i < MEMBERS_MAX && r == 0; i++)
		r = members_put(&o, &(struct member){.name = "n", .link = ""});
	ASSERT_OK(r);
	ASSERT_ERR(members_put(&o, &(struct member){.name = "n", .link = ""}), E2BIG);
	members_out_deinit(&o);
}
