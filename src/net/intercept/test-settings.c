/* SPDX-License-Identifier: Apache-2.0 */
/* The stored forms of the interception of TLS, for msb-tls and for msb-net. */
#include "base/caps.h"

#include "net/config.h"
#include "net/intercept/config.h"

#include "test.h"

static struct tls_settings full(void)
{
	return (struct tls_settings){.on = true,
		.allow_quic = true,
		.n_ports = 2,
		.ports = {443, 8443},
		.n_bypass = 2,
		.bypass = {"*.pinned.example", "one.example"},
		.n_no_verify = 1,
		.no_verify = {"*"},
		.n_upstream_ca = 1,
		.upstream_ca = {"/etc/ca.pem"},
		.n_ca_for = 2,
		.ca_for = {{"*.corp", "/etc/corp.pem"}, {"*.corp", "/etc/corp2.pem"}},
		.ca_cert = "/tls/ca.crt",
		.ca_key = "/tls/ca.key"};
}

static void to_text(const struct tls_settings *s, struct buf *out)
{
	const struct intercept_config c = {.tls = *s};

	buf_init(out, LIMIT_JSON_BYTES);
	ASSERT_OK(intercept_config_to_json(&c, out));
}

TEST(there_and_back)
{
	struct tls_settings want = full();
	struct intercept_config got;
	struct buf text;

	to_text(&want, &text);
	ASSERT_OK(intercept_config_from_json(
		(const char *)buf_data(&text), buf_len(&text), &got, NULL));
	ASSERT_TRUE(got.tls.on && got.tls.allow_quic);
	ASSERT_EQ(got.tls.n_ports, 2);
	ASSERT_EQ(got.tls.ports[1], 8443);
	ASSERT_EQ(got.tls.n_bypass, 2);
	ASSERT_STREQ(got.tls.bypass[0], "*.pinned.example");
	ASSERT_STREQ(got.tls.no_verify[0], "*");
	ASSERT_STREQ(got.tls.upstream_ca[0], "/etc/ca.pem");
	ASSERT_EQ(got.tls.n_ca_for, 2);
	ASSERT_STREQ(got.tls.ca_for[1].pattern, "*.corp");
	ASSERT_STREQ(got.tls.ca_for[1].file, "/etc/corp2.pem");
	ASSERT_STREQ(got.tls.ca_key, "/tls/ca.key");
	intercept_config_deinit(&got);
	buf_deinit(&text);
}

TEST(every_mistake_is_named)
{
	static const struct {
		const char *text;
		const char *says;
	} bad[] = {
		{"{", "line 1"},
		{"{}", "tls"},
		{"{\"tls\": {}}", "allow_quic"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [0], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": []}}",
			"ports"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [\"a b\"], "
		 "\"no_verify\": [], \"upstream_ca\": []}}",
			"a b"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": [\"ca.pem\"]}}",
			"not absolute"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": []}}",
			"no certificate authority"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": [], \"ca_cert\": \"/a\"}}",
			"its key"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": [], \"more\": 1}}",
			"more"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": [], \"upstream_ca_for\": [{\"hosts\": \"a\"}]}}",
			"file"},
		{"{\"tls\": {\"allow_quic\": false, \"ports\": [], \"bypass\": [], \"no_verify\": "
		 "[], "
		 "\"upstream_ca\": [], \"upstream_ca_for\": [{\"hosts\": \"a\", \"file\": "
		 "\"ca.pem\"}]}}",
			"not absolute"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct intercept_config got;
		struct msb_err err = {0};

		ASSERT_TRUE(intercept_config_from_json(
				    bad[i].text, strlen(bad[i].text), &got, &err) < 0);
		if (!strstr(err.msg, bad[i].says))
			ASSERT_STREQ(err.msg, bad[i].says);
	}
}

TEST(what_msb_net_needs_to_know)
{
	struct tls_settings s = full();
	struct net_config c;
	struct net_config got;
	struct buf text;

	net_config_init(&c, 0, true);
	ASSERT_TRUE(!net_config_has_tls(&c, 443));
	ASSERT_OK(net_config_intercept(&c, &s));
	buf_init(&text, LIMIT_JSON_BYTES);
	ASSERT_OK(net_config_to_json(&c, &text));
	ASSERT_OK(net_config_from_json((const char *)buf_data(&text), buf_len(&text), &got, NULL));
	ASSERT_TRUE(net_config_has_tls(&got, 443) && net_config_has_tls(&got, 8443));
	ASSERT_TRUE(!net_config_has_tls(&got, 80));
	ASSERT_TRUE(got.tls.allow_quic);
	ASSERT_TRUE(name_pattern_any(got.tls.bypass, got.tls.n_bypass, "a.pinned.example"));
	ASSERT_TRUE(!name_pattern_any(got.tls.bypass, got.tls.n_bypass, "b.example"));
	net_config_deinit(&got);
	net_config_deinit(&c);
	buf_deinit(&text);

	net_config_init(&c, 0, false);
	ASSERT_OK(net_config_intercept(&c, &(struct tls_settings){.on = true}));
	ASSERT_TRUE(net_config_has_tls(&c, TLS_PORT));
	net_config_deinit(&c);
}
