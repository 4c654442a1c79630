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

TEST(where_values_are_put_in)
{
	static struct run_secrets s;
	struct secret_settings got;
	char one[] = "KEY@api.example";
	char two[] = "TOKEN@api.example";
	struct msb_err err = {0};

	ASSERT_OK(run_parse_inject(&s, "KEY=query,body", NULL));
	ASSERT_OK(run_parse_inject(&s, "KEY=headers", NULL));
	ASSERT_OK(run_parse_secret(&s, one, NULL));
	ASSERT_OK(run_parse_secret(&s, two, NULL));
	ASSERT_OK(run_secrets_apply(&s, &got, NULL));
	ASSERT_EQ(got.rules[0].inject, SECRET_IN_QUERY | SECRET_IN_BODY | SECRET_IN_HEADERS);
	ASSERT_EQ(got.rules[1].inject, 0);
	ASSERT_OK(run_parse_inject(&s, "OTHER=basic_auth,query_params", NULL));
	ASSERT_EQ(run_secrets_apply(&s, &got, &err), -EINVAL);
	ASSERT_TRUE(strstr(err.msg, "OTHER") != NULL);
	ASSERT_EQ(run_parse_inject(&s, "KEY=", NULL), -EINVAL);
	ASSERT_EQ(run_parse_inject(&s, "KEY", NULL), -EINVAL);
	ASSERT_EQ(run_parse_inject(&s, "KEY=path", NULL), -EINVAL);
	ASSERT_EQ(run_parse_inject(&s, "=body", NULL), -EINVAL);
	ASSERT_EQ(run_parse_inject(&s, "KEY=body,,query", NULL), -EINVAL);
	run_secrets_deinit(&s);
}
