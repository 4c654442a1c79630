/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "lib/vsock-args.h"
#include "vsock/route.h"

#include "test.h"

static struct vsock_routes routes;

static int parse(const char *value)
{
	struct msb_err err = {0};
	int r = run_parse_vsock(&routes, value, &err);

	ASSERT_EQ(r < 0, err.msg[0] != '\0');
	return r;
}

/* The directory is resolved; the name in it is that of a socket, or of nothing yet. */
TEST(paths)
{
	cleanup_free char *real = realpath(test_tmpdir(), NULL);
	char want[PATH_MAX];

	ASSERT_TRUE(real != NULL);
	ASSERT_OK(chdir(real));
	ASSERT_OK(mkdir("d", 0700));
	ASSERT_OK(symlink("d", "link"));
	ASSERT_OK(symlink("nowhere", "d/l"));
	ASSERT_OK(mknod("d/f", S_IFREG | 0600, 0));
	ASSERT_OK(mknod("d/s", S_IFSOCK | 0600, 0));
	routes.n = 0;
	ASSERT_OK(parse("link/s:1"));
	(void)snprintf(want, sizeof(want), "%s/d/s", real);
	ASSERT_STREQ(routes.list[0].path, want);
	ASSERT_OK(parse("new:2/stream"));
	(void)snprintf(want, sizeof(want), "%s/new", real);
	ASSERT_STREQ(routes.list[1].path, want);
	ASSERT_OK(parse("/x:3"));
	ASSERT_STREQ(routes.list[2].path, "/x");
	ASSERT_OK(parse("d/../a:b:4"));
	(void)snprintf(want, sizeof(want), "%s/a:b", real);
	ASSERT_STREQ(routes.list[3].path, want);
	ASSERT_ERR(parse("x:3"), EEXIST);
	ASSERT_ERR(parse("d/l:5"), EINVAL);
	ASSERT_ERR(parse("d/f:5"), EINVAL);
	ASSERT_ERR(parse("d:5"), EINVAL);
	ASSERT_ERR(parse("missing/x:5"), ENOENT);
	ASSERT_ERR(parse("d/:5"), EINVAL);
	ASSERT_ERR(parse("d/..:5"), EINVAL);
	ASSERT_ERR(parse(".:5"), EINVAL);
	ASSERT_ERR(parse("x:5/dgram"), EOPNOTSUPP);
	ASSERT_EQ(routes.n, 4);
	ASSERT_OK(chdir("/"));
}
