/* SPDX-License-Identifier: Apache-2.0 */
/* Where certificates are put in the images of distributions, and what is there after other starts.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "agent/init/trust.h"
#include "agent/ops/env.h"
#include "proto/wire.h"

#include "test.h"

#define PEM(name) "-----BEGIN CERTIFICATE-----\n" name "\n-----END CERTIFICATE-----\n"
#define CA	  PEM("CA")
#define HOST	  PEM("HOST1") PEM("HOST2")

static const char *at(const char *path)
{
	static char text[PATH_MAX];

	(void)snprintf(text, sizeof(text), "%s%s", test_tmpdir(), path);
	return text;
}

/* A file of the image; its directories are made. */
static void put(const char *path, const char *text, unsigned int mode)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s", at(path));
	*strrchr(dir, '/') = '\0';
	ASSERT_OK(io_mkdir_p(dir, 0755));
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, at(path), text, strlen(text), mode, false));
}

static bool has(const char *path, const char *text)
{
	cleanup_free char *got = NULL;
	size_t len;

	return io_read_file(AT_FDCWD, at(path), MIB, &got, &len) == 0 && strstr(got, text);
}

static size_t times(const char *path, const char *text)
{
	cleanup_free char *got = NULL;
	size_t n = 0;

	ASSERT_OK(io_read_file(AT_FDCWD, at(path), MIB, &got, NULL));
	for (const char *p = got; (p = strstr(p, text)); p++)
		n++;
	return n;
}

TEST(bundles_and_anchors_of_distributions)
{
	static const char *const files[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/var/lib/ca-certificates/ca-bundle.pem",
		"/etc/ca-certificates/extracted/tls-ca-bundle.pem",
		"/etc/ssl/cert.pem",
	};
	static const char *const dirs[] = {
		"/usr/local/share/ca-certificates",
		"/etc/pki/ca-trust/source/anchors",
		"/etc/pki/trust/anchors",
		"/usr/share/pki/trust/anchors",
		"/etc/ca-certificates/trust-source/anchors",
	};
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		put(files[i], PEM("THEIRS"), 0444);
	for (size_t i = 1; i < ARRAY_SIZE(dirs); i++)
		ASSERT_OK(io_mkdir_p(at(dirs[i]), 0755));
	trust_install(test_tmpdir(), CA, "");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct stat st;

		ASSERT_TRUE(has(files[i], PEM("THEIRS")) && has(files[i], CA));
		ASSERT_OK(stat(at(files[i]), &st));
		ASSERT_EQ(st.st_mode & 0777, 0444);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/microsandbox-ca.crt", dirs[i]);
		ASSERT_TRUE(has(path, CA));
	}
	ASSERT_TRUE(access(at("/etc/pki/tls/cert.pem"), F_OK) < 0);
}

/* The bundle that the environment names is made of the one that is there. */
TEST(an_image_with_another_bundle_and_one_with_none)
{
	put("/etc/ssl/cert.pem", PEM("THEIRS") "no end of line", 0644);
	trust_install(test_tmpdir(), CA, "");
	ASSERT_TRUE(has(TRUST_BUNDLE, PEM("THEIRS")) && has(TRUST_BUNDLE, "line\n# ") &&
		    has(TRUST_BUNDLE, CA));
	ASSERT_OK(unlink(at("/etc/ssl/cert.pem")));
	ASSERT_OK(unlink(at(TRUST_BUNDLE)));
	trust_install(test_tmpdir(), CA, "");
	ASSERT_TRUE(has(TRUST_BUNDLE, CA) && !has(TRUST_BUNDLE, "THEIRS"));
}

TEST(another_start_replaces_what_was_added)
{
	struct stat before;
	struct stat after;

	put(TRUST_BUNDLE, PEM("THEIRS"), 0644);
	ASSERT_OK(symlink("certs/ca-certificates.crt", at("/etc/ssl/cert.pem")));
	trust_install(test_tmpdir(), CA, HOST);
	ASSERT_EQ(times(TRUST_BUNDLE, CA), 1);
	ASSERT_EQ(times(TRUST_BUNDLE, HOST), 1);
	ASSERT_TRUE(has("/usr/local/share/ca-certificates/microsandbox-host-cas.crt", HOST));
	ASSERT_OK(stat(at(TRUST_BUNDLE), &before));
	trust_install(test_tmpdir(), CA, HOST);
	ASSERT_OK(stat(at(TRUST_BUNDLE), &after));
	ASSERT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	ASSERT_EQ(before.st_size, after.st_size);

	/* A new authority, and the host's are not wanted any more; somebody has added one below. */
	{
		cleanup_fd int fd = open(at(TRUST_BUNDLE), O_WRONLY | O_APPEND | O_CLOEXEC);

		ASSERT_OK(io_write_full(fd, PEM("LATER"), strlen(PEM("LATER"))));
	}
	trust_install(test_tmpdir(), PEM("NEW"), "");
	ASSERT_EQ(times(TRUST_BUNDLE, CA), 0);
	ASSERT_EQ(times(TRUST_BUNDLE, "HOST"), 0);
	ASSERT_EQ(times(TRUST_BUNDLE, PEM("NEW")), 1);
	ASSERT_EQ(times(TRUST_BUNDLE, PEM("THEIRS") PEM("LATER") "# "), 1);
	ASSERT_TRUE(
		access(at("/usr/local/share/ca-certificates/microsandbox-host-cas.crt"), F_OK) < 0);
	ASSERT_TRUE(has(TRUST_CA, PEM("NEW")));
}

/* A guest that was killed while it wrote. */
TEST(half_a_block)
{
	put(TRUST_BUNDLE, PEM("THEIRS") "# microsandbox: added at each start\n-----BEG", 0644);
	trust_install(test_tmpdir(), CA, "");
	ASSERT_EQ(times(TRUST_BUNDLE, "# microsandbox: added"), 1);
	ASSERT_TRUE(has(TRUST_BUNDLE, PEM("THEIRS") "# ") && has(TRUST_BUNDLE, CA "# "));
}

/* An image may have anything there. */
TEST(what_is_no_bundle_is_left_alone)
{
	static const char zero[] = "a\0b";
	struct stat st;

	ASSERT_OK(io_mkdir_p(at("/etc/ssl/certs"), 0755));
	ASSERT_OK(mkfifo(at(TRUST_BUNDLE), 0600));
	ASSERT_OK(io_mkdir_p(at("/etc/ssl/cert.pem"), 0755));
	ASSERT_OK(symlink("ca-bundle.pem", at("/etc/ssl/ca-bundle.pem")));
	ASSERT_OK(io_mkdir_p(at("/etc/pki/tls"), 0755));
	ASSERT_OK(io_write_file_atomic(
		AT_FDCWD, at("/etc/pki/tls/cert.pem"), zero, sizeof(zero), 0644, false));
	trust_install(test_tmpdir(), CA, "");
	ASSERT_OK(stat(at(TRUST_BUNDLE), &st));
	ASSERT_TRUE(S_ISFIFO(st.st_mode));
	ASSERT_OK(stat(at("/etc/pki/tls/cert.pem"), &st));
	ASSERT_EQ(st.st_size, (off_t)sizeof(zero));
	ASSERT_TRUE(has(TRUST_CA, CA));
}

/* What the user or the image says about it wins. */
TEST(the_environment_of_commands)
{
	static const char *const names[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
		"PIP_CERT", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE"};
	const struct user user = {.home = "/root", .name = "root"};
	struct msg_config config = {.ca = CA};
	struct msg_strv request = {0};
	struct wire_out w;
	struct buf mine;
	struct env e;

	buf_init(&mine, 256);
	wire_out_init(&w, &mine);
	wire_put_str(&w, "GIT_SSL_CAINFO=/mine");
	ASSERT_OK(env_build(&e, &user, false, &config, &request));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ASSERT_STREQ(env_get(&e, names[i]), TRUST_BUNDLE);
	ASSERT_STREQ(env_get(&e, "GIT_SSL_CAINFO"), TRUST_BUNDLE);
	ASSERT_STREQ(env_get(&e, "NODE_EXTRA_CA_CERTS"), TRUST_CA);
	ASSERT_STREQ(env_get(&e, "DENO_CERT"), TRUST_CA);
	env_deinit(&e);
	config.env = (struct msg_strv){1, buf_data(&mine), buf_len(&mine)};
	ASSERT_OK(env_build(&e, &user, false, &config, &request));
	ASSERT_STREQ(env_get(&e, "GIT_SSL_CAINFO"), "/mine");
	env_deinit(&e);
	config.ca = "";
	ASSERT_OK(env_build(&e, &user, false, &config, &request));
	ASSERT_TRUE(env_get(&e, "SSL_CERT_FILE") == NULL);
	env_deinit(&e);
	buf_deinit(&mine);
}
