/* SPDX-License-Identifier: Apache-2.0 */
/* Which authorities count for which host. */
#include <fcntl.h>

#include "base/io.h"

#include "net/intercept/upstream.h"

#include "test.h"

/* A certificate that is a file of its own. */
static const char *authority(const char *name)
{
	static char paths[4][256];
	static unsigned int n;
	char dir[200];
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	(void)snprintf(dir, sizeof(dir), "%s/%s", test_tmpdir(), name);
	ASSERT_OK(tls_ca_make(dir, NULL));
	(void)snprintf(path, sizeof(paths[0]), "%s/" TLS_CA_CERT, dir);
	return path;
}

static bool verifies(const struct upstream *u, const char *host)
{
	bool verify = false;

	ASSERT_TRUE(upstream_find(u, host, &verify) != NULL);
	return verify;
}

static struct tls_client *client(const struct upstream *u, const char *host)
{
	bool verify;

	return upstream_find(u, host, &verify);
}

TEST(the_most_specific_pattern_wins)
{
	const char *one = authority("one");
	const char *two = authority("two");
	const struct tls_settings t = {.n_no_verify = 3,
		.no_verify = {"*.example", "*.b.corp", "both.example"},
		.n_ca_for = 5,
		.ca_for = {{"*.corp", one}, {"api.example", one}, {"x.b.corp", two},
			{"both.example", two}, {"*.corp", two}}};
	struct upstream u;

	ASSERT_OK(upstream_init(&u, &t, NULL));
	ASSERT_EQ(u.n, 7);
	/* Nothing is said of it. */
	ASSERT_TRUE(verifies(&u, "other.test") && client(&u, "other.test") == u.client);
	ASSERT_TRUE(!verifies(&u, "www.example") && !verifies(&u, "example"));
	ASSERT_TRUE(verifies(&u, "api.example") && client(&u, "api.example") != u.client);
	ASSERT_TRUE(!verifies(&u, "sub.api.example"));
	ASSERT_TRUE(verifies(&u, "a.corp") && client(&u, "a.corp") == client(&u, "corp"));
	ASSERT_TRUE(!verifies(&u, "y.b.corp") && !verifies(&u, "b.corp"));
	ASSERT_TRUE(verifies(&u, "x.b.corp") && client(&u, "x.b.corp") != client(&u, "corp"));
	/* Of two that are the same the one that verifies. */
	ASSERT_TRUE(verifies(&u, "both.example") && client(&u, "both.example") != u.client);
	upstream_deinit(&u);
}

TEST(everything_but_one)
{
	const char *one = authority("one");
	const struct tls_settings t = {
		.n_no_verify = 1, .no_verify = {"*"}, .n_ca_for = 1, .ca_for = {{"db.corp", one}}};
	struct upstream u;

	ASSERT_OK(upstream_init(&u, &t, NULL));
	ASSERT_TRUE(!verifies(&u, "www.example") && verifies(&u, "db.corp"));
	upstream_deinit(&u);
}

TEST(a_file_that_is_none)
{
	const struct tls_settings t = {.n_ca_for = 1, .ca_for = {{"db.corp", "/dev/null"}}};
	struct msb_err err = {0};
	struct upstream u;

	ASSERT_EQ(upstream_init(&u, &t, &err), -EINVAL);
	ASSERT_TRUE(strstr(err.msg, "/dev/null") != NULL);
	upstream_deinit(&u);
}
