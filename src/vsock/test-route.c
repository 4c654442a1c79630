/* SPDX-License-Identifier: Apache-2.0 */
#include "vsock/config.h"

#include "test.h"

static int parse(const char *text, struct vsock_route *ret)
{
	struct msb_err err = {0};
	int r = vsock_route_parse(text, ret, &err);

	ASSERT_EQ(r < 0, err.msg[0] != '\0');
	return r;
}

TEST(what_is_a_route)
{
	struct vsock_route r;

	ASSERT_OK(parse("/run/a.sock:5000", &r));
	ASSERT_STREQ(r.path, "/run/a.sock");
	ASSERT_EQ(r.port, 5000);
	ASSERT_OK(parse("./a:b/c:1/stream", &r));
	ASSERT_STREQ(r.path, "./a:b/c");
	ASSERT_EQ(r.port, 1);
	ASSERT_OK(parse("/a:4294967294", &r));
	ASSERT_EQ(r.port, UINT32_MAX - 1);
}

TEST(what_is_none)
{
	static const char *const wrong[] = {"", ":", "/a", "/a:", ":5", "/a:x", "/a:0", "/a:123",
		"/a:4294967295", "/a:4294967296", "/a:-1", "/a:5/tcp", "/a:5/", "/a:+5", "/a: 5"};
	struct vsock_route r;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ASSERT_ERR(parse(wrong[i], &r), EINVAL);
	ASSERT_ERR(parse("/a:5/dgram", &r), EOPNOTSUPP);
}

TEST(a_path_fits_a_socket_s_address)
{
	char text[512] = "/";
	struct vsock_route r;

	memset(text + 1, 'x', sizeof(text) - 2);
	memcpy(text + VSOCK_PATH_SIZE - 1, ":7", 3);
	ASSERT_OK(parse(text, &r));
	ASSERT_EQ(strlen(r.path), VSOCK_PATH_SIZE - 1);
	memset(text + 1, 'x', sizeof(text) - 2);
	memcpy(text + VSOCK_PATH_SIZE, ":7", 3);
	ASSERT_ERR(parse(text, &r), ENAMETOOLONG);
	memset(text + 1, 'x', sizeof(text) - 2);
	ASSERT_ERR(parse(text, &r), ENAMETOOLONG);
}

TEST(ports_differ)
{
	struct vsock_routes routes = {.n = 0};
	struct vsock_route r = {.port = 10, .path = "/a"};
	struct msb_err err;

	for (; routes.n < LIMIT_VSOCKS; r.port++)
		ASSERT_OK(vsock_routes_add(&routes, &r, &err));
	ASSERT_ERR(vsock_routes_add(&routes, &r, &err), E2BIG);
	routes.n--;
	r.port = 10;
	ASSERT_ERR(vsock_routes_add(&routes, &r, &err), EEXIST);
}

TEST(paths_are_absolute)
{
	struct vsock_route r = {.port = 5, .path = "a"};
	struct msb_err err;

	ASSERT_ERR(vsock_route_check(&r, &err), EINVAL);
	r = (struct vsock_route){.port = 5, .path = "/a"};
	ASSERT_OK(vsock_route_check(&r, &err));
	r.port = 123;
	ASSERT_ERR(vsock_route_check(&r, &err), EINVAL);
}

static int words(char *a, char *b, char *c, struct vsock_config *ret)
{
	static char name[] = "msb-vsock";
	static char *argv[5]; /* the configuration points into it */
	struct msb_err err;

	argv[0] = name;
	argv[1] = a;
	argv[2] = b;
	argv[3] = c;
	return vsock_config_parse(c ? 4 : b ? 3 : a ? 2 : 1, argv, ret, &err);
}

TEST(command_lines)
{
	char link[] = "link";
	char vhost[] = "vhost";
	char dial[] = "dial";
	char other[] = "other";
	char port[] = "5000";
	char last[] = "4294967294";
	char zero[] = "0";
	char path[] = "/a";
	struct vsock_config c;

	ASSERT_OK(words(link, port, last, &c));
	ASSERT_TRUE(c.role == VSOCK_LINK);
	ASSERT_EQ(c.n, 2);
	ASSERT_EQ(c.ports[1], UINT32_MAX - 1);
	ASSERT_OK(words(vhost, port, NULL, &c));
	ASSERT_TRUE(c.role == VSOCK_VHOST);
	ASSERT_OK(words(dial, path, NULL, &c));
	ASSERT_STREQ(c.paths[0], "/a");
	ASSERT_ERR(words(link, zero, NULL, &c), EINVAL);
	ASSERT_ERR(words(link, path, NULL, &c), EINVAL);
	ASSERT_ERR(words(dial, port, NULL, &c), EINVAL);
	ASSERT_ERR(words(other, port, NULL, &c), EINVAL);
	ASSERT_ERR(words(link, NULL, NULL, &c), EINVAL);
	ASSERT_ERR(words(NULL, NULL, NULL, &c), EINVAL);
}
