/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the request and of the events. */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/io.h"

#include "image/registry/report.h"
#include "image/registry/request.h"

#include "test.h"

static struct msb_err err;

static int parse(const char *text, struct request *r)
{
	err = (struct msb_err){};
	return request_parse(text, strlen(text), r, &err);
}

TEST(defaults)
{
	struct request r;

	ASSERT_OK(parse("{\"home\":\"/h\",\"ref\":\"alpine\"}", &r));
	ASSERT_EQ(r.op, REQUEST_PULL);
	ASSERT_EQ(r.policy, POLICY_IF_MISSING);
	ASSERT_STREQ(r.ref.path, "library/alpine");
	ASSERT_TRUE(!r.quiet && !r.insecure && !r.ca_file && !r.username);
	ASSERT_EQ(r.parallel, 4);
	ASSERT_EQ(r.retry.attempts, retry_default.attempts);
	ASSERT_TRUE(!request_mirrors(&r, "docker.io"));
	request_deinit(&r);
}

TEST(everything)
{
	struct request r;

	ASSERT_OK(
		parse("{\"op\":\"pull\",\"home\":\"/h\",\"ref\":\"h.example:5000/a:1\","
		      "\"policy\":\"always\",\"quiet\":true,\"insecure\":true,\"ca_file\":\"/ca\","
		      "\"auth\":{\"username\":\"u\",\"password\":\"p\"},\"hosts\":{\"docker.io\":"
		      "{\"mirrors\":[\"m\"]},\"x.example\":{\"insecure\":true,\"ca_file\":\"/x\"}},"
		      "\"limits\":{\"parallel\":2,\"stall_s\":9,\"connect_s\":8,\"attempts\":7,"
		      "\"first_wait_ms\":6}}",
			&r));
	ASSERT_EQ(r.policy, POLICY_ALWAYS);
	ASSERT_STREQ(r.ca_file, "/ca");
	ASSERT_STREQ(r.password, "p");
	ASSERT_EQ(r.parallel, 2);
	ASSERT_EQ(r.stall_s, 9);
	ASSERT_EQ(r.retry.attempts, 7);
	ASSERT_EQ(r.retry.first_ns, 6 * NSEC_PER_MSEC);
	ASSERT_EQ(json_len(request_mirrors(&r, "docker.io")), 1);
	/* "insecure" is for the reference's own registry, not for its mirrors and others. */
	ASSERT_TRUE(request_insecure(&r, "h.example:5000"));
	ASSERT_TRUE(request_insecure(&r, "x.example"));
	ASSERT_TRUE(!request_insecure(&r, "docker.io"));
	ASSERT_TRUE(!request_insecure(&r, "h.example"));
	ASSERT_STREQ(request_host_ca(&r, "x.example"), "/x");
	ASSERT_TRUE(!request_host_ca(&r, "docker.io"));
	ASSERT_TRUE(!request_host_ca(&r, "h.example:5000"));
	request_deinit(&r);
}

TEST(login)
{
	struct request r;

	ASSERT_OK(parse("{\"op\":\"login\",\"home\":\"/h\",\"host\":\"ghcr.io\"}", &r));
	ASSERT_EQ(r.op, REQUEST_LOGIN);
	ASSERT_STREQ(r.ref.host, "ghcr.io");
	ASSERT_STREQ(r.ref.path, "");
	request_deinit(&r);
	ASSERT_ERR(parse("{\"op\":\"login\",\"home\":\"/h\",\"host\":\"not/a/host\"}", &r), EINVAL);
	request_deinit(&r);
}

TEST(refused)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"home\":\"relative\",\"ref\":\"a\"}",
		"{\"home\":\"/h\"}",
		"{\"home\":\"/h\",\"ref\":\"UPPER\"}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"policy\":\"often\"}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"op\":\"push\"}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"more\":1}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"auth\":{\"username\":\"u\"}}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"auth\":{\"username\":\"u\",\"x\":1}}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"hosts\":{\"h\":{\"mirror\":[]}}}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"hosts\":{\"h\":{\"ca_file\":1}}}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"hosts\":{\"h\":{\"mirrors\":\"x\"}}}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"limits\":{\"parallel\":0}}",
		"{\"home\":\"/h\",\"ref\":\"a\",\"limits\":{\"speed\":1}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct request r;

		if (parse(bad[i], &r) >= 0 || !err.msg[0])
			test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
		request_deinit(&r);
	}
}

static char said[4096];

/* What arrives at the other end of the descriptor. */
static const char *drain(int fd)
{
	ssize_t n = recv(fd, said, sizeof(said) - 1, MSG_DONTWAIT);

	said[n > 0 ? n : 0] = '\0';
	return said;
}

TEST(events)
{
	struct report_layer layer = {.digest = "sha256:d", .total = 10};
	struct report r;
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	report_init(&r, fds[0], false);
	report_layer(&r, &layer, LAYER_WAITING, 0);
	ASSERT_STREQ(drain(fds[1]),
		"{\"event\":\"layer\",\"digest\":\"sha256:d\",\"state\":\"waiting\","
		"\"bytes\":0,\"total\":10}\n");
	/* Progress so soon after is not worth a line; a change of state is. */
	report_layer(&r, &layer, LAYER_DOWNLOADING, 5);
	ASSERT_STREQ(drain(fds[1]), "");
	layer.last_ns = 1;
	report_layer(&r, &layer, LAYER_DOWNLOADING, 6);
	ASSERT_TRUE(strstr(drain(fds[1]), "\"bytes\":6"));
	report_layer(&r, &layer, LAYER_DONE, 10);
	ASSERT_TRUE(strstr(drain(fds[1]), "\"done\""));
	(void)msb_err_set(&err, -EIO, MSB_TIMEOUT, "a\x1b[2J\"b");
	report_error(&r, &err);
	ASSERT_STREQ(drain(fds[1]), "{\"event\":\"error\",\"kind\":\"timeout\",\"msg\":\"a?["
				    "2J\\\"b\",\"hint\":\"\"}\n");
	r.quiet = true;
	report_merge(&r);
	report_resolve(&r, "ref", "sha256:d", "host", 1, 2);
	ASSERT_STREQ(drain(fds[1]), "");
	report_done(&r, "sha256:d", 1, 2, 3);
	ASSERT_STREQ(drain(fds[1]),
		"{\"event\":\"done\",\"digest\":\"sha256:d\",\"downloaded_layers\":1,"
		"\"downloaded_bytes\":2,\"layers\":3}\n");
	close(fds[0]);
	close(fds[1]);
}
