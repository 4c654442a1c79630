/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/images.h"

#include "test.h"

#define DIGITS "00000000000000000000000000000000000000000000000000000000000"
#define ONE    "sha256:aaaa1" DIGITS
#define TWO    "sha256:aaaa2" DIGITS
#define THREE           \
	"sha256:aaaaaa" \
	"0000000000000000000000000000000000000000000000000000000000"

static struct msb_err err;

static void add(struct store *s, const char *digest, const char *text)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	struct store_image image = {
		.created_s = 1, .manifest_json = (char[]){"{}"}, .config_json = (char[]){"{}"}};
	struct image_ref ref;
	int fd = -EBADF;

	memcpy(image.digest, digest, sizeof(image.digest));
	memcpy(image.config_digest, digest, sizeof(image.digest));
	ASSERT_OK(store_image_begin(s, &w, &fd, &err));
	close(fd);
	ASSERT_OK(store_image_commit(w, &image, &err));
	if (!text)
		return;
	ASSERT_OK(image_ref_parse(text, &ref, &err));
	ASSERT_OK(store_ref_set(s, &ref, digest, &err));
}

static struct store *make(void)
{
	struct store *s = NULL;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	add(s, ONE, "python:3.12");
	add(s, ONE, "ghcr.io/o/r:tag");
	add(s, TWO, "alpine");
	add(s, THREE, NULL);
	return s;
}

static void finds(const struct store *s, const char *word, const char *digest, bool by_ref)
{
	struct image_name n;

	if (image_find(s, word, &n, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", word, err.msg);
	ASSERT_STREQ(n.digest, digest);
	ASSERT_EQ(n.by_ref, by_ref);
}

static void misses(const struct store *s, const char *word, int error, const char *hint)
{
	struct image_name n;

	ASSERT_EQ(image_find(s, word, &n, &err), error);
	ASSERT_STREQ(err.hint, hint);
}

TEST(images_by_name_and_digest)
{
	struct store *s = make();

	finds(s, "python:3.12", ONE, true);
	finds(s, "docker.io/library/python:3.12", ONE, true);
	finds(s, "ghcr.io/o/r:tag", ONE, true);
	finds(s, "alpine", TWO, true);
	finds(s, "alpine:latest", TWO, true);
	finds(s, "anything@" THREE, THREE, true);
	finds(s, THREE, THREE, false);
	finds(s, "sha256:aaaaaa", THREE, false);
	finds(s, "aaaa10", ONE, false);
	misses(s, "aaaaa", -ENOENT, "'msb images' lists those that are here");
	misses(s, "bbbbbbbb", -ENOENT, "'msb images' lists those that are here");
	misses(s, "pyton:3.12", -ENOENT, "did you mean python:3.12?");
	misses(s, "python:3.9", -ENOENT, "did you mean python:3.12?");
	misses(s, "alpin", -ENOENT, "did you mean alpine:latest?");
	store_close(s);
}

TEST(the_beginning_of_several_digests)
{
	struct store *s = NULL;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	add(s, ONE, NULL);
	add(s,
		"sha256:aaaa10"
		"1111111111111111111111111111111111111111111111111111111111",
		NULL);
	misses(s, "aaaa10", -EINVAL, "give more digits");
	finds(s, "aaaa101",
		"sha256:aaaa10"
		"1111111111111111111111111111111111111111111111111111111111",
		false);
	store_close(s);
}

TEST(list_is_sorted_nameless_last)
{
	struct store *s = make();
	struct image_list l;

	ASSERT_OK(image_list_get(s, &l, &err));
	ASSERT_EQ(l.n, 4);
	ASSERT_STREQ(l.items[0].text, "alpine:latest");
	ASSERT_STREQ(l.items[1].text, "ghcr.io/o/r:tag");
	ASSERT_STREQ(l.items[2].text, "python:3.12");
	ASSERT_TRUE(!l.items[3].has_ref);
	ASSERT_STREQ(l.items[3].digest, THREE);
	image_list_deinit(&l);
	FAULT_LOOP({
		if (image_list_get(s, &l, &err) == 0)
			image_list_deinit(&l);
	});
	store_close(s);
}

TEST(sandboxes_need_images)
{
	struct sandbox_info infos[3] = {{.name = "base", .readable = true},
		{.name = "dev",
			.readable = true,
			.spec = {.image_kind = IMAGE_OCI, .image_digest = ONE}},
		{.name = "broken", .spec_err = {.msg = "no JSON"}}};
	struct image_users users = {.sandboxes = {.items = infos, .n = 2}};
	struct image_doubt doubt;
	const char *what;

	ASSERT_STREQ(image_user(&users, ONE, &what), "dev");
	ASSERT_STREQ(what, "sandbox");
	ASSERT_TRUE(!image_user(&users, TWO, NULL));
	users.sandboxes.n = 3;
	ASSERT_STREQ(image_user(&users, ONE, NULL), "dev");
	ASSERT_STREQ(image_user(&users, TWO, NULL), "broken");
	ASSERT_TRUE(image_doubt(&users, 0, &doubt));
	ASSERT_STREQ(doubt.name, "broken");
	ASSERT_STREQ(doubt.why, "no JSON");
	ASSERT_TRUE(!image_doubt(&users, 1, &doubt));
}

TEST(snapshots_need_images)
{
	struct snapshot items[2] = {
		{.name = "plain", .m = {.image = SNAPSHOT_BASE, .image_digest = TWO}},
		{.name = "one", .m = {.image = SNAPSHOT_OCI, .image_digest = ONE}}};
	char damaged[1][LIMIT_SANDBOX_NAME + 1] = {"odd"};
	struct image_users users = {.snapshots = {.items = items, .n = 2}};
	struct image_doubt doubt;
	const char *what;

	ASSERT_STREQ(image_user(&users, ONE, &what), "one");
	ASSERT_STREQ(what, "snapshot");
	ASSERT_TRUE(!image_user(&users, TWO, NULL));
	users.snapshots.damaged = damaged;
	users.snapshots.n_damaged = 1;
	ASSERT_STREQ(image_user(&users, TWO, NULL), "odd");
	/* Those that can be read are known. */
	ASSERT_STREQ(image_user(&users, ONE, NULL), "one");
	users.unread[1] = (struct msb_err){.msg = "no such luck"};
	ASSERT_TRUE(image_doubt(&users, 0, &doubt));
	ASSERT_STREQ(doubt.what, "directory");
	ASSERT_STREQ(doubt.why, "no such luck");
	ASSERT_TRUE(image_doubt(&users, 1, &doubt));
	ASSERT_STREQ(doubt.name, "odd");
	ASSERT_TRUE(!image_doubt(&users, 2, &doubt));
	ASSERT_STREQ(image_user(&users, TWO, &what), "");
}
