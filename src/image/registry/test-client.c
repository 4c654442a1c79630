/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of URLs and places; talking to registries is tested from outside (tests/integration). */
#include "image/registry/client.h"

#include "test.h"

static struct http_url url;

TEST(urls)
{
	ASSERT_OK(http_url_parse("HTTPS://Example.com/v2/a?b=c#d", NULL, &url));
	ASSERT_STREQ(url.text, "https://Example.com/v2/a?b=c");
	ASSERT_STREQ(url.origin, "https://Example.com:443");
	ASSERT_EQ(url.port, 443);
	ASSERT_OK(http_url_parse("http://[::1]:5000/x", NULL, &url));
	ASSERT_STREQ(url.host, "[::1]");
	ASSERT_EQ(url.port, 5000);
	/* Every spelling of an address is that address before anybody judges it. */
	ASSERT_OK(http_url_parse("http://2130706433/", NULL, &url));
	ASSERT_STREQ(url.host, "127.0.0.1");
	ASSERT_OK(http_url_parse("http://0x7f.1/", NULL, &url));
	ASSERT_STREQ(url.host, "127.0.0.1");
}

TEST(relative_urls)
{
	struct http_url base;

	ASSERT_OK(http_url_parse("https://h.example/v2/a/blobs/x", NULL, &base));
	ASSERT_OK(http_url_parse("/other?q", &base, &url));
	ASSERT_STREQ(url.text, "https://h.example/other?q");
	ASSERT_OK(http_url_parse("//cdn.example/y", &base, &url));
	ASSERT_STREQ(url.origin, "https://cdn.example:443");
	ASSERT_OK(http_url_parse("http://plain.example/", &base, &url));
	ASSERT_STREQ(url.scheme, "http");
	ASSERT_OK(http_url_parse("y", &base, &url));
	ASSERT_STREQ(url.text, "https://h.example/v2/a/blobs/y");
}

TEST(urls_refused)
{
	static const char *const bad[] = {
		"",
		"no-scheme",
		"ftp://h/x",
		"file:///etc/passwd",
		"https://user@h/",
		"https://user:pw@h/",
		"https://h:99999/",
		"https://h/a b",
		"https://h/\r\nX: y",
		"https://h/\xc3\xa4",
		"javascript:alert(1)",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (http_url_parse(bad[i], NULL, &url) >= 0)
			test_fail(__FILE__, __LINE__, "accepted '%s' as %s", bad[i], url.text);
	}
}

TEST(queries)
{
	ASSERT_OK(http_url_parse("https://h/token?have=1", NULL, &url));
	ASSERT_OK(http_url_add_query(&url, "scope", "repository:a/b:pull&x=y z"));
	ASSERT_STREQ(url.text, "https://h/token?have=1&scope=repository%3aa%2fb%3apull%26x%3dy+z");
}

static struct msb_err err;

TEST(places)
{
	struct client_place p;

	client_place_of_host("docker.io", false, &p);
	ASSERT_STREQ(p.host, "registry-1.docker.io");
	ASSERT_STREQ(p.name, "docker.io");
	client_place_of_host("ghcr.io", true, &p);
	ASSERT_STREQ(p.host, "ghcr.io");
	ASSERT_TRUE(p.insecure && !p.plain);
	ASSERT_OK(client_place_of_mirror("https://m.example:5000/cache/hub/", false, &p, &err));
	ASSERT_STREQ(p.host, "m.example:5000");
	ASSERT_STREQ(p.prefix, "cache/hub/");
	ASSERT_TRUE(!p.insecure);
	ASSERT_OK(client_place_of_mirror("http://10.0.0.1", false, &p, &err));
	ASSERT_STREQ(p.prefix, "");
	ASSERT_TRUE(p.insecure && p.plain);
	ASSERT_OK(client_place_of_mirror("mirror", false, &p, &err));
	ASSERT_STREQ(p.host, "mirror");
}

TEST(places_refused)
{
	static const char *const bad[] = {"", "/", "http://", "ftp://h", "h/../x", "h//x", "h/UP",
		"user@h", "h:port", "h?x", "h/x?y", "h#x", "-h"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct client_place p;

		if (client_place_of_mirror(bad[i], false, &p, &err) >= 0)
			test_fail(__FILE__, __LINE__, "accepted '%s' as %s / %s", bad[i], p.host,
				p.prefix);
	}
}

TEST(certificates)
{
	struct http_options o = {};

	ASSERT_ERR(http_options_ca(&o, "/nonexistent", &err), ENOENT);
	ASSERT_ERR(http_options_ca(&o, "/etc/hostname", &err), EINVAL);
	ASSERT_TRUE(!o.ca_pem);
}
