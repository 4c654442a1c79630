/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of credentials: our file, Docker's file and its helpers. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/registry/creds.h"
#include "image/registry/docker.h"

#include "test.h"

static struct msb_err err;
static char home[128];

/* A home of ours and an empty one of Docker's, in the test's own directory. */
static void setup(void)
{
	char docker[160];

	(void)snprintf(home, sizeof(home), "%s/home", test_tmpdir());
	(void)snprintf(docker, sizeof(docker), "%s/docker", test_tmpdir());
	ASSERT_OK(io_mkdir_p(docker, 0700));
	ASSERT_OK(setenv("DOCKER_CONFIG", docker, 1));
	err = (struct msb_err){};
}

static void write_text(const char *name, const char *text, unsigned int mode)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", test_tmpdir(), name);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, text, strlen(text), mode, false));
	ASSERT_OK(chmod(path, mode));
}

static void expect(const char *host, const char *username, const char *secret, int source)
{
	struct creds c;
	int r = creds_get(home, host, &c, &err);

	if (r < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", host, err.msg);
	ASSERT_EQ(c.source, source);
	if (username)
		ASSERT_STREQ(c.username, username);
	else
		ASSERT_TRUE(!c.username);
	if (secret)
		ASSERT_STREQ(c.secret, secret);
	creds_deinit(&c);
}

TEST(login_and_logout)
{
	struct stat st;
	char path[160];

	setup();
	expect("ghcr.io", NULL, NULL, CREDS_NONE);
	ASSERT_ERR(creds_remove(home, "ghcr.io", &err), ENOENT);
	ASSERT_OK(creds_set(home, "ghcr.io", "ann", "p:w\"\\\xc3\xa4", &err));
	ASSERT_OK(creds_set(home, "localhost:5000", "bob", "x", &err));
	ASSERT_OK(creds_set(home, "ghcr.io", "ann", "second", &err));
	expect("ghcr.io", "ann", "second", CREDS_OWN);
	expect("localhost:5000", "bob", "x", CREDS_OWN);
	expect("localhost", NULL, NULL, CREDS_NONE);
	(void)snprintf(path, sizeof(path), "%s/registry.json", home);
	ASSERT_OK(stat(path, &st));
	ASSERT_EQ(st.st_mode & 07777, 0600);
	ASSERT_OK(creds_remove(home, "ghcr.io", &err));
	expect("ghcr.io", NULL, NULL, CREDS_NONE);
	expect("localhost:5000", "bob", "x", CREDS_OWN);
	ASSERT_ERR(creds_remove(home, "ghcr.io", &err), ENOENT);
}

TEST(bad_words_are_refused)
{
	setup();
	ASSERT_ERR(creds_set(home, "h", "", "x", &err), EINVAL);
	ASSERT_ERR(creds_set(home, "h", "a:b", "x", &err), EINVAL);
	ASSERT_ERR(creds_set(home, "h", "a", "", &err), EINVAL);
	ASSERT_EQ(err.kind, MSB_USAGE);
}

TEST(a_file_that_others_can_read_is_refused)
{
	char path[160];
	struct creds c;

	setup();
	ASSERT_OK(creds_set(home, "h", "a", "b", &err));
	(void)snprintf(path, sizeof(path), "%s/registry.json", home);
	ASSERT_OK(chmod(path, 0640));
	ASSERT_ERR(creds_get(home, "h", &c, &err), EPERM);
	ASSERT_EQ(err.kind, MSB_PERMISSION);
	ASSERT_TRUE(err.hint[0]);
	ASSERT_OK(chmod(path, 0600));
	expect("h", "a", "b", CREDS_OWN);
	/* Damage is told, not taken for "no credentials". */
	write_text("home/registry.json", "{\"version\":1}", 0600);
	ASSERT_ERR(creds_get(home, "h", &c, &err), EBADMSG);
	write_text("home/registry.json", "{\"version\":9,\"hosts\":{}}", 0600);
	ASSERT_ERR(creds_get(home, "h", &c, &err), ERANGE);
}

TEST(docker_file)
{
	struct creds c;

	setup();
	write_text("docker/config.json",
		"{\"auths\":{"
		"\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnA6dw==\"},"
		"\"https://ghcr.io\":{\"username\":\"u\",\"password\":\"p\"},"
		"\"localhost:5000\":{\"auth\":\"\"},"
		"\"az.example\":{\"identitytoken\":\"tok\",\"auth\":\"MDA6\"},"
		"\"bad.example\":{\"auth\":\"@@@@\"}},\"other\":[1]}",
		0600);
	expect("docker.io", "hub", "p:w", CREDS_DOCKER_FILE);
	expect("ghcr.io", "u", "p", CREDS_DOCKER_FILE);
	expect("localhost:5000", NULL, NULL, CREDS_NONE);
	expect("nowhere.example", NULL, NULL, CREDS_NONE);
	ASSERT_OK(creds_get(home, "az.example", &c, &err));
	ASSERT_TRUE(c.identity_token && !c.username);
	ASSERT_STREQ(c.secret, "tok");
	creds_deinit(&c);
	ASSERT_ERR(creds_get(home, "bad.example", &c, &err), EBADMSG);
	/* Ours go first. */
	ASSERT_OK(creds_set(home, "ghcr.io", "own", "x", &err));
	expect("ghcr.io", "own", "x", CREDS_OWN);
	write_text("docker/config.json", "not JSON", 0600);
	ASSERT_ERR(creds_get(home, "docker.io", &c, &err), EBADMSG);
}

/* A helper that knows one host, checks how it was called and has an opinion about the rest. */
static const char helper[] =
	"#!/bin/sh\n"
	"[ \"$*\" = get ] || exit 9\n"
	"read -r host\n"
	"case $host in\n"
	"token.example) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}';;\n"
	"https://index.docker.io/v1/)\n"
	"	echo '{\"ServerURL\":\"x\",\"Username\":\"hu\",\"Secret\":\"hp\"}';;\n"
	"broken.example) echo '{';;\n"
	"locked.example) echo 'cannot unlock'; exit 1;;\n"
	"flood.example) while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done;;\n"
	"*) echo 'credentials not found in native keychain'; exit 1;;\n"
	"esac\n";

static void setup_helper(const char *config)
{
	char path[PATH_MAX];

	setup();
	ASSERT_OK(io_mkdir_p(test_tmpdir(), 0700));
	write_text("docker-credential-test", helper, 0700);
	write_text("docker/config.json", config, 0600);
	(void)snprintf(path, sizeof(path), "relative:%s:%s", test_tmpdir(), getenv("PATH"));
	ASSERT_OK(setenv("PATH", path, 1));
}

TEST(docker_helper)
{
	struct creds c;

	setup_helper("{\"credsStore\":\"test\",\"auths\":{\"docker.io\":{\"auth\":\"YTpi\"}}}");
	expect("docker.io", "hu", "hp", CREDS_DOCKER_HELPER);
	expect("unknown.example", NULL, NULL, CREDS_NONE);
	ASSERT_OK(creds_get(home, "token.example", &c, &err));
	ASSERT_TRUE(c.identity_token && !c.username);
	creds_deinit(&c);
	ASSERT_ERR(creds_get(home, "broken.example", &c, &err), EBADMSG);
	ASSERT_TRUE(strstr(err.msg, "docker-credential-test"));
	ASSERT_ERR(creds_get(home, "locked.example", &c, &err), EPROTO);
	ASSERT_ERR(creds_get(home, "flood.example", &c, &err), ENOBUFS);
}

TEST(docker_helper_of_one_host)
{
	struct creds c;

	setup_helper("{\"credHelpers\":{\"docker.io\":\"test\",\"gone.example\":\"gone\","
		     "\"evil.example\":\"../../bin/sh\"},"
		     "\"auths\":{\"a.example\":{\"auth\":\"YTpi\"}}}");
	expect("docker.io", "hu", "hp", CREDS_DOCKER_HELPER);
	expect("a.example", "a", "b", CREDS_DOCKER_FILE);
	ASSERT_ERR(creds_get(home, "gone.example", &c, &err), ENOENT);
	ASSERT_TRUE(strstr(err.msg, "docker-credential-gone"));
	ASSERT_ERR(creds_get(home, "evil.example", &c, &err), EINVAL);
}

static char listed[512];

static int list(void *arg, const char *host, const char *username, enum creds_source source)
{
	size_t len = strlen(listed);

	(void)arg;
	(void)snprintf(listed + len, sizeof(listed) - len, "%s %s %d\n", host,
		username ? username : "-", (int)source);
	return 0;
}

TEST(each)
{
	setup();
	ASSERT_OK(creds_each(home, list, NULL, &err));
	ASSERT_STREQ(listed, "");
	ASSERT_OK(creds_set(home, "ghcr.io", "ann", "x", &err));
	write_text("docker/config.json",
		"{\"credHelpers\":{\"h.example\":\"x\"},\"auths\":{\"https://d.example/v1/\":"
		"{\"auth\":\"YTpi\"},\"e.example\":{}}}",
		0600);
	ASSERT_OK(creds_each(home, list, NULL, &err));
	ASSERT_STREQ(listed, "ghcr.io ann 2\nh.example - 4\nd.example a 3\ne.example - 4\n");
}

static void decode(const char *text, const char *expected)
{
	uint8_t out[64];
	ssize_t n = base64_decode(text, strlen(text), out, sizeof(out));

	if (!expected) {
		ASSERT_ERR(n, EBADMSG);
		return;
	}
	ASSERT_EQ(n, strlen(expected));
	ASSERT_MEMEQ(out, expected, strlen(expected));
}

TEST(base64)
{
	uint8_t out[2];

	decode("", "");
	decode("YQ==", "a");
	decode("YWI=", "ab");
	decode("YWJj", "abc");
	decode("YWJjZA==", "abcd");
	decode("Pz8/Pj4+", "?\?\?>>>");
	decode("YQ", NULL);
	decode("YQ=a", NULL);
	decode("YR==", NULL);
	decode("====", NULL);
	decode("Y Q=", NULL);
	decode("YQ==YQ==", NULL);
	ASSERT_ERR(base64_decode("YWJj", 4, out, sizeof(out)), EBADMSG);
}

TEST(failures_leak_nothing)
{
	setup();
	ASSERT_OK(creds_set(home, "h", "a", "b", &err));
	write_text("docker/config.json", "{\"auths\":{\"d\":{\"auth\":\"YTpi\"}}}", 0600);
	FAULT_LOOP({
		struct creds c;

		(void)!creds_get(home, "h", &c, NULL);
		creds_deinit(&c);
		(void)!creds_get(home, "d", &c, NULL);
		creds_deinit(&c);
		(void)!creds_set(home, "h", "a", "c", NULL);
	});
}
