/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ref.h"

#include "test.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	const char *text;
	const char *canonical;
	const char *brief;
} good[] = {
	{"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
	{"python:3.12", "docker.io/library/python:3.12", "python:3.12"},
	{"user/app", "docker.io/user/app:latest", "user/app:latest"},
	{"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
	{"index.docker.io/library/alpine:3", "docker.io/library/alpine:3", "alpine:3"},
	{"localhost/x", "localhost/x:latest", "localhost/x:latest"},
	{"localhost:5000/a/b/c:T_1.2-x", "localhost:5000/a/b/c:T_1.2-x",
		"localhost:5000/a/b/c:T_1.2-x"},
	{"ghcr.io/o/r:tag@" DIGEST, "ghcr.io/o/r:tag@" DIGEST, "ghcr.io/o/r:tag@" DIGEST},
	{"alpine@" DIGEST, "docker.io/library/alpine@" DIGEST, "alpine@" DIGEST},
	{"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
	{"a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"},
};

TEST(docker_rules)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[REF_TEXT_MAX + 1];
		struct image_ref ref;

		ASSERT_OK(image_ref_parse(good[i].text, &ref, NULL));
		image_ref_print(&ref, text);
		ASSERT_STREQ(text, good[i].canonical);
		image_ref_short(&ref, text);
		ASSERT_STREQ(text, good[i].brief);
		/* The canonical text means the same. */
		ASSERT_OK(image_ref_parse(good[i].canonical, &ref, NULL));
		image_ref_print(&ref, text);
		ASSERT_STREQ(text, good[i].canonical);
	}
}

TEST(malformed_references_are_named)
{
	static const char *const bad[] = {"", "/", "a/", "/a", "Alpine", "a:b:c", "a:", "a@",
		"a@sha256:12", ("a@" DIGEST "0"), "a//b", "../a", "a/../b", "a b", "a\nb", "-a",
		"a-", "a..b", "a___b", "host.:5000/a", "h_st.x/a", "host:0/a", "host:65536/a",
		"host:x/a", "a:.tag", "[::1/x", "[]/x", "[::1]x/y", "-x.y/a", "x.y-/a", "a%2e",
		"\xc3\xa4"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct msb_err err = {};
		struct image_ref ref;

		if (image_ref_parse(bad[i], &ref, &err) != -EINVAL)
			test_fail(__FILE__, __LINE__, "'%s' was accepted", bad[i]);
		ASSERT_EQ(err.kind, MSB_USAGE);
		ASSERT_TRUE(strstr(err.msg, "is no image reference") != NULL);
	}
}

TEST(lengths_are_capped)
{
	char text[1200];
	struct image_ref ref;

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ASSERT_ERR(image_ref_parse(text, &ref, NULL), EINVAL);
	text[255] = '\0';
	ASSERT_ERR(image_ref_parse(text, &ref, NULL), EINVAL);
	text[247] = '\0';
	ASSERT_OK(image_ref_parse(text, &ref, NULL));
}
