/* SPDX-License-Identifier: Apache-2.0 */
/* --secret and --on-secret-violation. */
#include "lib/secret-args.h"

#include "test.h"

TEST(hosts_and_values)
{
	static struct run_secrets s;
	struct secret_settings got;
	char plain[] = "API_KEY@api.example,*.good.example";
	char more[] = "API_KEY@other.example";
	char inlined[] = "TOKEN=a@b=c@api.example";

	ASSERT_OK(run_parse_secret(&s, plain, NULL));
	ASSERT_OK(run_parse_secret(&s, more, NULL));
	ASSERT_OK(run_parse_secret(&s, inlined, NULL));
	ASSERT_OK(run_secrets_apply(&s, &got, NULL));
	ASSERT_EQ(got.n, 2);
	ASSERT_STREQ(got.rules[0].name, "API_KEY");
	ASSERT_EQ(got.rules[0].n_hosts, 3);
	ASSERT_STREQ(got.rules[0].hosts[1], "*.good.example");
	ASSERT_STREQ(got.rules[0].hosts[2], "other.example");
	ASSERT_TRUE(got.rules[0].value == NULL && !got.rules[0].inlined);
	ASSERT_STREQ(got.rules[1].value, "a@b=c");
	ASSERT_TRUE(got.rules[1].inlined);
	/* Nobody reads it in the arguments of the process. */
	ASSERT_STREQ(inlined, "TOKEN=xxxxx@api.example");
	run_secrets_deinit(&s);
}

TEST(mistakes)
{
	static const char *const bad[] = {"", "KEY", "KEY@", "@host", "1KEY@host", "K-Y@host",
		"KEY@a b", "KEY@a..b", "=v@host"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		static struct run_secrets s;
		struct msb_err err = {0};
		char text[32];

		(void)snprintf(text, sizeof(text), "%s", bad[i]);
		ASSERT_EQ(run_parse_secret(&s, text, &err), -EINVAL);
		ASSERT_TRUE(err.msg[0] != '\0');
		run_secrets_deinit(&s);
	}
}

TEST(what_cannot_be_done_yet)
{
	static struct run_secrets s = {.violation = SECRET_TERMINATE};
	struct secret_settings got;

	ASSERT_EQ(run_secrets_apply(&s, &got, NULL), -EOPNOTSUPP);
	for (s.violation = 0; s.violation < SECRET_TERMINATE; s.violation++) {
		ASSERT_OK(run_secrets_apply(&s, &got, NULL));
		ASSERT_EQ(got.violation, s.violation);
	}
}
