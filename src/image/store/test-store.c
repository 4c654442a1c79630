/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/store/internal.h"
#include "image/store/store.h"

#include "test.h"

static const char *digest_of(char c)
{
	static char text[4][REF_DIGEST_LEN + 1];
	static unsigned int next;
	char *to = text[next++ % 4];

	memcpy(to, "sha256:", 7);
	memset(to + 7, c, 64);
	to[REF_DIGEST_LEN] = '\0';
	return to;
}

static int add_layer(struct store *s, char c, size_t data_bytes, struct msb_err *err)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	cleanup_with(store_files_close) struct store_files files = STORE_FILES_NONE;
	struct store_layer l = {.media_type = "x", .compression = "gzip", .data_bytes = data_bytes};
	int r = store_layer_begin(s, &w, &files, err);

	if (r < 0)
		return r;
	memcpy(l.digest, digest_of(c), sizeof(l.digest));
	memcpy(l.diff_id, digest_of(c), sizeof(l.diff_id));
	if (ftruncate(files.data_fd, (off_t)data_bytes) < 0)
		return -errno;
	r = io_write_full(files.index_fd, &c, 1);
	return r < 0 ? msb_err_errno(err, r, "test") : store_layer_commit(w, &l, err);
}

static int add_image(struct store *s, char c, const char *layers, struct msb_err *err)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	cleanup_fd int meta = -EBADF;
	static const uint8_t blocks[2 * 4096];
	struct store_layer list[8] = {};
	char manifest[] = "{}";
	char config[] = "{\"config\":true}";
	struct store_image i = {.os = "linux",
		.architecture = "amd64",
		.layers = list,
		.manifest_json = manifest,
		.config_json = config};
	int r = store_image_begin(s, &w, &meta, err);

	if (r < 0)
		return r;
	memcpy(i.digest, digest_of(c), sizeof(i.digest));
	memcpy(i.config_digest, digest_of('c'), sizeof(i.config_digest));
	for (; *layers; layers++)
		memcpy(list[i.n_layers++].digest, digest_of(*layers), REF_DIGEST_LEN + 1);
	r = io_write_full(meta, blocks, sizeof(blocks));
	return r < 0 ? msb_err_errno(err, r, "test") : store_image_commit(w, &i, err);
}

static struct image_ref ref_of(const char *text)
{
	struct image_ref ref;

	ASSERT_OK(image_ref_parse(text, &ref, NULL));
	return ref;
}

static unsigned int entries(const char *sub)
{
	char path[PATH_MAX];
	DIR *d;
	unsigned int n = 0;

	(void)snprintf(path, sizeof(path), "%s/images/%s", test_tmpdir(), sub);
	d = opendir(path);
	ASSERT_TRUE(d != NULL);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

TEST(image_comes_back_as_it_went_in)
{
	struct msb_err err = {};
	struct image_ref ref = ref_of("localhost:5000/a/b:t");
	char digest[REF_DIGEST_LEN + 1];
	struct store_image i;
	struct store_disk d;
	struct store *s;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	ASSERT_ERR(store_ref_get(s, &ref, digest, &err), ENOENT);
	ASSERT_STREQ(err.msg, "no image localhost:5000/a/b:t here");
	ASSERT_OK(add_layer(s, '1', 8192, &err));
	ASSERT_OK(add_layer(s, '2', 0, &err));
	ASSERT_OK(add_layer(s, '3', 4096, &err));
	ASSERT_OK(add_layer(s, '3', 4096, &err)); /* somebody else made it meanwhile */
	ASSERT_OK(add_image(s, 'a', "123", &err));
	ASSERT_OK(store_ref_set(s, &ref, digest_of('a'), &err));
	ASSERT_OK(store_ref_get(s, &ref, digest, &err));
	ASSERT_STREQ(digest, digest_of('a'));
	ASSERT_OK(store_image_get(s, digest, &i, &err));
	ASSERT_EQ(i.n_layers, 3);
	ASSERT_STREQ(i.layers[2].digest, digest_of('3'));
	ASSERT_STREQ(i.config_json, "{\"config\":true}");

	ASSERT_OK(store_disk_open(s, &i, &d, &err));
	ASSERT_EQ(d.n_fds, 3);
	ASSERT_EQ(d.n_extents, 4);
	ASSERT_EQ(d.extents[0].len, 4096);
	ASSERT_EQ(d.extents[1].len, 8192);
	ASSERT_EQ(d.extents[2].len, 4096);
	ASSERT_EQ(d.extents[3].offset, 4096);
	store_disk_close(&d);
	store_image_deinit(&i);
	store_close(s);
	ASSERT_EQ(entries("tmp"), 0);
}

static int count_ref(void *arg, const struct image_ref *ref, const char *digest)
{
	char text[REF_TEXT_MAX + 1];

	(void)digest;
	image_ref_short(ref, text);
	ASSERT_TRUE(text[0] != '\0');
	++*(unsigned int *)arg;
	return 0;
}

TEST(references_of_every_form)
{
	static const char *const texts[] = {"alpine", "alpine:3", "a/b.json:x", "a:b.json",
		"ghcr.io/o/r", "[::1]:5000/x",
		"a@sha256:1111111111111111111111111111111111111111111111111111111111111111"};
	struct msb_err err = {};
	struct store *s;
	unsigned int n = 0;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct image_ref ref = ref_of(texts[i]);

		ASSERT_OK(store_ref_set(s, &ref, digest_of('a'), &err));
	}
	ASSERT_OK(store_ref_each(s, count_ref, &n));
	ASSERT_EQ(n, ARRAY_SIZE(texts));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct image_ref ref = ref_of(texts[i]);
		char digest[REF_DIGEST_LEN + 1];

		ASSERT_OK(store_ref_get(s, &ref, digest, &err));
		ASSERT_OK(store_ref_remove(s, &ref, &err));
		ASSERT_ERR(store_ref_remove(s, &ref, &err), ENOENT);
	}
	store_close(s);
	ASSERT_EQ(entries("refs"), 0);
}

static bool uses_b(void *arg, const char *digest)
{
	(void)arg;
	return digest[7] == 'b';
}

TEST(collection_keeps_what_is_reachable)
{
	struct store_gc_report report;
	struct image_ref ref = ref_of("kept");
	struct msb_err err = {};
	struct store *s;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	for (int c = '1'; c <= '5'; c++)
		ASSERT_OK(add_layer(s, (char)c, 4096, &err));
	ASSERT_OK(add_image(s, 'a', "12", &err)); /* has a reference */
	ASSERT_OK(add_image(s, 'b', "23", &err)); /* a sandbox uses it */
	ASSERT_OK(add_image(s, 'd', "4", &err));
	ASSERT_OK(store_ref_set(s, &ref, digest_of('a'), &err));
	ASSERT_ERR(store_gc(test_tmpdir(), NULL, NULL, &report, &err), EBUSY);
	store_close(s);

	ASSERT_OK(store_gc(test_tmpdir(), uses_b, NULL, &report, &err));
	ASSERT_EQ(report.images, 1);
	ASSERT_EQ(report.layers, 2);
	ASSERT_EQ(entries("manifests"), 2);
	ASSERT_EQ(entries("layers"), 3);
	ASSERT_OK(store_gc(test_tmpdir(), NULL, NULL, &report, &err));
	ASSERT_EQ(report.images, 1);
	ASSERT_EQ(entries("layers"), 2);
}

TEST(what_a_refused_image_brought_goes)
{
	char copies[3][REF_DIGEST_LEN + 1];
	const char *brought[] = {copies[0], copies[1], copies[2]};
	struct msb_err err = {};
	struct store *s;
	struct store *other;
	uint64_t size;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
		memcpy(copies[i], digest_of((char)('1' + i)), sizeof(copies[i]));
	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	ASSERT_OK(add_layer(s, '1', 4096, &err));
	ASSERT_OK(add_layer(s, '2', 4096, &err));
	ASSERT_OK(add_image(s, 'a', "2", &err));
	fd = store_part_open(s, digest_of('3'), &size);
	ASSERT_TRUE(fd >= 0);
	close(fd);
	ASSERT_OK(store_open(test_tmpdir(), &other, &err));
	store_discard(s, brought, ARRAY_SIZE(brought)); /* another process uses the store */
	ASSERT_EQ(entries("layers"), 2);
	store_close(other);
	store_discard(s, brought, ARRAY_SIZE(brought));
	ASSERT_EQ(entries("layers"), 1);
	ASSERT_EQ(entries("parts"), 0);
	ASSERT_EQ(entries("tmp"), 0);
	store_close(s);
}

TEST(abandoned_work_is_removed)
{
	struct store_work *w;
	struct msb_err err = {};
	struct store *s;
	struct store *other;
	struct store_files files;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	ASSERT_OK(store_layer_begin(s, &w, &files, &err));
	ASSERT_OK(store_open(test_tmpdir(), &other, &err));
	ASSERT_EQ(entries("tmp"), 1); /* somebody works on it */
	close(w->fd); /* what the death of a process does */
	w->fd = -EBADF;
	store_work_free(w);
	store_files_close(&files);
	store_close(other);
	ASSERT_OK(store_open(test_tmpdir(), &other, &err));
	ASSERT_EQ(entries("tmp"), 0);
	store_close(other);
	store_close(s);
}

TEST(partial_downloads_have_one_owner)
{
	struct msb_err err = {};
	struct store *s;
	uint64_t size;
	int fd;

	ASSERT_OK(store_open(test_tmpdir(), &s, &err));
	fd = store_part_open(s, digest_of('p'), &size);
	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(size, 0);
	ASSERT_EQ(write(fd, "half", 4), 4);
	ASSERT_ERR(store_part_open(s, digest_of('p'), &size), EBUSY);
	close(fd);
	fd = store_part_open(s, digest_of('p'), &size);
	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(size, 4);
	store_part_remove(s, digest_of('p'));
	close(fd);
	ASSERT_EQ(entries("parts"), 0);
	store_close(s);
}

TEST(every_failure_leaves_a_whole_store)
{
	struct msb_err err;

	FAULT_LOOP({
		struct store *s = NULL;

		err = (struct msb_err){};
		if (store_open(test_tmpdir(), &s, &err) == 0) {
			int r = add_layer(s, '1', 4096, &err);

			if (r == 0)
				r = add_image(s, 'a', "1", &err);
			if (r < 0)
				ASSERT_TRUE(err.msg[0]);
		}
		store_close(s);
	});
	/* After the last, unharmed round everything is there, and nothing else. */
	ASSERT_EQ(entries("tmp"), 0);
	ASSERT_EQ(entries("layers"), 1);
	ASSERT_EQ(entries("manifests"), 1);
}
