/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "lib/config.h"

#include "test.h"

static char dir[PATH_MAX];
static struct msb_err err;

static int load(const char *text, struct config *c)
{
	char path[PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/config.json", dir);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, false));
	err = (struct msb_err){.msg = ""};
	return config_load(dir, c, &err);
}

static void make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "%s", test_tmpdir());
	unsetenv("MSB_CONFIG_PATH");
}

static void refused(const char *text, const char *why)
{
	struct config c;

	if (load(text, &c) >= 0 || !strstr(err.msg, why) || err.kind != MSB_USAGE)
		test_fail(__FILE__, __LINE__, "%s: '%s', expected '%s'", text, err.msg, why);
	ASSERT_TRUE(c.root == NULL);
}

static char *hosts_of(const struct config *c)
{
	struct json_out out;
	struct buf b;
	char *text;

	buf_init(&b, MIB);
	json_out_init(&out, &b, JSON_COMPACT);
	json_begin_object(&out, NULL);
	ASSERT_OK(config_put_hosts(c, &out, &err));
	json_end_object(&out);
	ASSERT_OK(json_out_end(&out));
	text = strdup(buf_cstr(&b));
	buf_deinit(&b);
	return text;
}

TEST(no_file_is_empty)
{
	char path[PATH_MAX];
	struct config c;
	char *text;

	make_dir();
	ASSERT_OK(config_load(dir, &c, &err));
	ASSERT_OK(config_ca_certs(&c, path, &err));
	ASSERT_STREQ(path, "");
	text = hosts_of(&c);
	ASSERT_STREQ(text, "{}");
	free(text);
	config_deinit(&c);

	ASSERT_EQ(setenv("MSB_CONFIG_PATH", "/nonexistent/config.json", 1), 0);
	ASSERT_ERR(config_load(dir, &c, &err), ENOENT);
}

TEST(registries)
{
	char want[2 * PATH_MAX];
	char path[PATH_MAX];
	struct config c;
	char *text;

	make_dir();
	(void)snprintf(path, sizeof(path), "%.4000s/ca.pem", dir);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, "x", 1, 0600, false));
	ASSERT_OK(load("{\"log_level\":null,\"registries\":{\"ca_certs\":\"ca.pem\",\"hosts\":{"
		       "\"index.docker.io\":{\"mirrors\":[\"http://m:1/p\",\"n\"]},"
		       "\"localhost:5000\":{\"insecure\":true,\"ca_certs\":\"./ca.pem\"},"
		       "\"ghcr.io\":{}}}}",
		&c));
	ASSERT_OK(config_ca_certs(&c, path, &err));
	(void)snprintf(want, sizeof(want), "%.4000s/ca.pem", dir);
	ASSERT_STREQ(path, want);
	text = hosts_of(&c);
	(void)snprintf(want, sizeof(want),
		"{\"hosts\":{\"docker.io\":{\"mirrors\":[\"http://m:1/p\",\"n\"]},"
		"\"localhost:5000\":{\"insecure\":true,\"ca_file\":\"%.4000s/ca.pem\"},"
		"\"ghcr.io\":{}}}",
		dir);
	ASSERT_STREQ(text, want);
	free(text);
	config_deinit(&c);
}

TEST(what_has_no_effect_is_refused)
{
	struct config c;

	make_dir();
	refused("{\"log_level\":\"info\"}", "'log_level' is not supported");
	ASSERT_TRUE(strstr(err.hint, "--debug") != NULL);
	refused("{\"paths\":{\"cache\":\"/c\"}}", "'paths' is not supported");
	ASSERT_TRUE(strstr(err.hint, "MSB_HOME") != NULL);
	refused("{\"home\":\"/h\"}", "'home' is not supported");
	refused("{\"deployment_profile\":\"multitenant\"}",
		"neither single-tenant nor multi-tenant");
	refused("{\"deployment_profile\":true}", "deployment_profile");
	refused("{\"profiles\":{\"x\":{}}}", "not supported");
	refused("{\"ssh\":{\"inactivity_timeout_secs\":5}}", "not supported");
	/* Nothing is asked for. */
	ASSERT_OK(load("{\"log_level\":null,\"paths\":{},\"profiles\":{},\"home\":null}", &c));
	config_deinit(&c);
}

TEST(what_is_not_known_is_refused)
{
	make_dir();
	refused("{", "");
	refused("[]", "");
	refused("{\"registry\":{}}", "registry");
	refused("{\"registries\":[]}", "registries");
	refused("{\"registries\":{\"host\":{}}}", "host");
	refused("{\"registries\":{\"hosts\":{\"x.io\":{\"mirror\":[]}}}}", "hosts.x.io: ");
	refused("{\"registries\":{\"hosts\":{\"x.io\":{\"mirrors\":\"y\"}}}}", "mirrors");
	refused("{\"registries\":{\"hosts\":{\"x.io\":{\"mirrors\":[1]}}}}", "mirrors");
	refused("{\"registries\":{\"hosts\":{\"x.io\":{\"insecure\":1}}}}", "insecure");
	refused("{\"registries\":{\"hosts\":{\"x.io/path\":{}}}}", "is no registry");
	refused("{\"registries\":{\"hosts\":{\"name\":{}}}}", "is no registry");
	refused("{\"registries\":{\"hosts\":{\"\":{}}}}", "is no registry");
}

TEST(certificates_that_are_not_there)
{
	char path[PATH_MAX];
	struct config c;

	make_dir();
	ASSERT_OK(load("{\"registries\":{\"ca_certs\":\"missing.pem\"}}", &c));
	ASSERT_ERR(config_ca_certs(&c, path, &err), ENOENT);
	ASSERT_TRUE(strstr(err.msg, "missing.pem") != NULL);
	config_deinit(&c);
}

TEST(texts_of_keys)
{
	char number[OPT_NUMBER];
	const char *got;
	struct config c;

	make_dir();
	ASSERT_OK(load("{\"sandbox_defaults\": {\"cpus\": 2, \"shell\": \"/bin/x\", "
		       "\"workdir\": null, \"engine\": true, \"memory_mib\": -1}}",
		&c));
	ASSERT_OK(config_text(&c, "sandbox_defaults.cpus", number, &got, &err));
	ASSERT_STREQ(got, "2");
	ASSERT_OK(config_text(&c, "sandbox_defaults.shell", number, &got, &err));
	ASSERT_STREQ(got, "/bin/x");
	ASSERT_OK(config_text(&c, "sandbox_defaults.workdir", number, &got, &err));
	ASSERT_TRUE(!got);
	ASSERT_OK(config_text(&c, "ssh.x", number, &got, &err));
	ASSERT_TRUE(!got);
	ASSERT_ERR(config_text(&c, "sandbox_defaults.engine", number, &got, &err), EINVAL);
	ASSERT_EQ(err.kind, MSB_USAGE);
	ASSERT_ERR(config_text(&c, "sandbox_defaults.memory_mib", number, &got, &err), ERANGE);
	config_deinit(&c);
	ASSERT_ERR(load("{\"sandbox_defaults\": {\"cpu\": 2}}", &c), EINVAL);
	ASSERT_ERR(load("{\"sandbox_defaults\": 2}", &c), EINVAL);
}
