/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of manifests: choice of the platform, and documents that lie. */
#include "base/buf.h"

#include "image/registry/manifest.h"

#include "test.h"

#define OCI_INDEX    "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG   "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER    "application/vnd.oci.image.layer.v1.tar+gzip"
#define DIGEST_A     "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B     "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DIGEST_C     "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

#define DESC(type, digest, size) \
	"{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":" #size "}"
#define ENTRY(type, digest, platform) \
	"{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":9" platform "}"
#define PLATFORM(os, arch, variant)                                                             \
	",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" variant \
	"\"}"
#define IMAGE(config, layers) "{\"schemaVersion\":2,\"config\":" config ",\"layers\":[" layers "]}"
#define INDEX(entries)	      "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static struct msb_err err;

static int parse(const char *text, const char *type, struct manifest *m)
{
	err = (struct msb_err){};
	return manifest_parse(text, strlen(text), type, m, &err);
}

/* The failure leaves nothing behind and says why. */
static void refused(const char *text, const char *type, int error, const char *why)
{
	struct manifest m;

	ASSERT_EQ(parse(text, type, &m), -error);
	if (!strstr(err.msg, why))
		test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", err.msg, why);
	manifest_deinit(&m);
}

TEST(image)
{
	struct manifest m;

	ASSERT_OK(parse(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 7),
				DESC(OCI_LAYER, DIGEST_B, 100) "," DESC(OCI_LAYER, DIGEST_C, 0)),
		NULL, &m));
	ASSERT_EQ(m.kind, MANIFEST_IMAGE);
	ASSERT_STREQ(m.config.digest, DIGEST_A);
	ASSERT_EQ(m.config.size, 7);
	ASSERT_EQ(m.n_layers, 2);
	ASSERT_STREQ(m.layers[0].digest, DIGEST_B);
	ASSERT_STREQ(m.layers[1].digest, DIGEST_C);
	ASSERT_EQ(m.layers[0].size, 100);
	manifest_deinit(&m);
}

TEST(types_must_agree)
{
	static const char both[] =
		"{\"schemaVersion\":2,\"config\":{},\"layers\":[],\"manifests\":[]}";
	static const char liar[] =
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\",\"manifests\":[]}";

	refused(both, OCI_INDEX, EBADMSG, "both");
	refused(both, OCI_MANIFEST, EBADMSG, "both");
	refused(liar, NULL, EBADMSG, "contradicts its content");
	refused(INDEX(""), OCI_MANIFEST "; charset=utf-8", EBADMSG, "contradicts the registry");
	refused("{\"schemaVersion\":2}", OCI_INDEX, EBADMSG, "neither");
	refused("{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, EOPNOTSUPP, "schema 1");
	refused("{}", "Application/vnd.docker.distribution.manifest.v1+prettyjws", EOPNOTSUPP,
		"schema 1");
	refused("[]", NULL, EBADMSG, "no JSON object");
	refused("{\"schemaVersion\":2,\"mediaType\":\"text/x\",\"manifests\":[]}", NULL, EOPNOTSUPP,
		"'text/x'");
}

TEST(descriptors_refused)
{
	refused(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 7), DESC(OCI_LAYER, "sha256:AB", 1)), NULL,
		EBADMSG, "digest");
	refused(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 7), DESC(OCI_LAYER, "../../etc/passwd", 1)), NULL,
		EBADMSG, "digest");
	refused(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 7), DESC(OCI_LAYER, DIGEST_B, -1)), NULL, ERANGE,
		"size");
	refused(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 7), DESC(OCI_LAYER, DIGEST_B, 10737418241)), NULL,
		E2BIG, "at most");
	refused(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 99999999), ""), NULL, E2BIG, "at most");
	refused(IMAGE(DESC("application/vnd.cncf.helm.config.v1+json", DIGEST_A, 7), ""), NULL,
		EOPNOTSUPP, "no container image");
	refused(IMAGE(DESC(OCI_CONFIG, DIGEST_A, 7), DESC("text/plain", DIGEST_B, 1)), NULL,
		EOPNOTSUPP, "'text/plain'");
}

static void repeat(struct buf *b, const char *head, const char *item, size_t n, const char *tail)
{
	buf_init(b, MANIFEST_MAX);
	ASSERT_OK(buf_append(b, head, strlen(head)));
	for (size_t i = 0; i < n; i++)
		ASSERT_OK(buf_printf(b, "%s%s", i ? "," : "", item));
	ASSERT_OK(buf_append(b, tail, strlen(tail)));
}

TEST(too_many)
{
	struct buf b;

	repeat(&b, "{\"schemaVersion\":2,\"config\":" DESC(OCI_CONFIG, DIGEST_A, 7) ",\"layers\":[",
		DESC(OCI_LAYER, DIGEST_B, 1), 10000, "]}");
	refused(buf_cstr(&b), NULL, E2BIG, "10000 layers");
	buf_deinit(&b);
	repeat(&b, "{\"schemaVersion\":2,\"manifests\":[", "{}", MANIFEST_ENTRIES_MAX + 1, "]}");
	refused(buf_cstr(&b), NULL, E2BIG, "at most");
	buf_deinit(&b);
}

static const char *chosen(const char *text, const char *arch)
{
	static char digest[REF_DIGEST_LEN + 1];
	const struct manifest_entry *e = NULL;
	struct manifest m;
	int r;

	ASSERT_OK(parse(text, NULL, &m));
	ASSERT_EQ(m.kind, MANIFEST_INDEX);
	r = manifest_choose(&m, arch, &e, &err);
	digest[0] = '\0';
	if (r == 0)
		memcpy(digest, e->desc.digest, sizeof(digest));
	else
		ASSERT_EQ(r, -ENOENT);
	manifest_deinit(&m);
	return digest;
}

TEST(choice_of_the_platform)
{
	static const char index[] = INDEX(ENTRY(
		OCI_MANIFEST, DIGEST_A, PLATFORM("windows", "amd64", "")) "," ENTRY(OCI_MANIFEST,
		DIGEST_B, PLATFORM("linux", "amd64", "v2")) "," ENTRY(OCI_MANIFEST, DIGEST_C,
		PLATFORM("linux", "amd64", "")) "," ENTRY(OCI_MANIFEST, DIGEST_A,
		PLATFORM("linux", "arm64", "v8")));

	ASSERT_STREQ(chosen(index, "amd64"), DIGEST_C);
	ASSERT_STREQ(chosen(index, "arm64"), DIGEST_A);
	ASSERT_STREQ(chosen(index, "riscv64"), "");
	ASSERT_STREQ(err.msg, "image is not made for linux/riscv64, only for windows/amd64, "
			      "linux/amd64/v2, linux/amd64, linux/arm64/v8");
	/* A level above what every CPU has is no choice, even when it is the only one. */
	ASSERT_STREQ(chosen(INDEX(ENTRY(OCI_MANIFEST, DIGEST_A, PLATFORM("linux", "amd64", "v4"))),
			     "amd64"),
		"");
	/* Attestations and unknown documents are no images. */
	ASSERT_STREQ(chosen(INDEX(ENTRY(OCI_MANIFEST, DIGEST_A,
				    PLATFORM("unknown", "unknown", "")) "," ENTRY("text/plain",
				    DIGEST_B, PLATFORM("linux", "amd64", ""))),
			     "amd64"),
		"");
	ASSERT_STREQ(err.msg, "image is not made for linux/amd64");
}

TEST(nested_index_is_the_last_choice)
{
	ASSERT_STREQ(chosen(INDEX(ENTRY(OCI_INDEX, DIGEST_A, "") "," ENTRY(
				    OCI_MANIFEST, DIGEST_B, PLATFORM("linux", "amd64", ""))),
			     "amd64"),
		DIGEST_B);
	ASSERT_STREQ(chosen(INDEX(ENTRY(OCI_INDEX, DIGEST_A, "")), "amd64"), DIGEST_A);
	ASSERT_STREQ(
		chosen(INDEX(ENTRY(OCI_INDEX, DIGEST_A, PLATFORM("linux", "s390x", ""))), "amd64"),
		"");
}

static int parse_config(const char *text, struct image_config *c)
{
	err = (struct msb_err){};
	return image_config_parse(text, strlen(text), c, &err);
}

TEST(config)
{
	struct image_config c;

	ASSERT_OK(parse_config("{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":"
			       "\"layers\",\"diff_ids\":[\"" DIGEST_A "\",\"" DIGEST_B "\"]}}",
		&c));
	ASSERT_STREQ(c.platform.os, "linux");
	ASSERT_EQ(c.n_diff_ids, 2);
	ASSERT_STREQ(c.diff_ids[1], DIGEST_B);
	image_config_deinit(&c);
	ASSERT_ERR(parse_config("{\"rootfs\":{\"diff_ids\":[\"x\"]}}", &c), EBADMSG);
	image_config_deinit(&c);
	ASSERT_ERR(parse_config("{\"os\":\"linux\"}", &c), ENOENT);
	image_config_deinit(&c);
	ASSERT_ERR(parse_config("nonsense", &c), EBADMSG);
	image_config_deinit(&c);
}

TEST(out_of_memory)
{
	static const char text[] =
		INDEX(ENTRY(OCI_MANIFEST, DIGEST_A, PLATFORM("linux", "amd64", "")));
	static const char config[] = "{\"rootfs\":{\"diff_ids\":[\"" DIGEST_A "\"]}}";

	FAULT_LOOP({
		struct manifest m;
		struct image_config c;

		(void)!manifest_parse(text, strlen(text), NULL, &m, NULL);
		manifest_deinit(&m);
		(void)!image_config_parse(config, strlen(config), &c, NULL);
		image_config_deinit(&c);
	});
}
