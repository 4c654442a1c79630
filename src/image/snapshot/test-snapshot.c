/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots in a directory of the test: copies, digests, manifests, coming and going. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/str.h"

#include "image/snapshot/extents.h"
#include "image/snapshot/snapshot.h"
#include "image/snapshot/sparse.h"

#include "test.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

enum { DISK_BYTES = 33 * 1024 * 1024 };

static int make_file(const char *name, uint64_t size)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", test_tmpdir(), name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_OK(fd);
	ASSERT_OK(ftruncate(fd, (off_t)size));
	return fd;
}

static void put(int fd, uint64_t at, const char *text)
{
	ASSERT_EQ(pwrite(fd, text, strlen(text), (off_t)at), (ssize_t)strlen(text));
}

static void expect_same(int a, int b)
{
	static uint8_t x[1 << 20];
	static uint8_t y[1 << 20];
	struct stat sa;
	struct stat sb;

	ASSERT_OK(fstat(a, &sa));
	ASSERT_OK(fstat(b, &sb));
	ASSERT_EQ(sa.st_size, sb.st_size);
	for (off_t at = 0; at < sa.st_size; at += (off_t)sizeof(x)) {
		ssize_t n = pread(a, x, sizeof(x), at);

		ASSERT_EQ(pread(b, y, sizeof(y), at), n);
		ASSERT_MEMEQ(x, y, (size_t)n);
	}
}

TEST(copies_have_the_same_bytes_and_holes)
{
	int from = make_file("a", DISK_BYTES);
	int to = make_file("b", 0);
	struct stat st;

	put(from, 0, "first");
	put(from, 5 * 1024 * 1024 + 77, "middle");
	put(from, DISK_BYTES - 4, "last");
	ASSERT_OK(sparse_copy(from, to, UINT64_MAX));
	expect_same(from, to);
	ASSERT_OK(fstat(to, &st));
	ASSERT_TRUE(st.st_blocks * 512 < 1024 * 1024);
	close(from);
	close(to);
}

TEST(a_copy_has_a_deadline)
{
	int from = make_file("a", DISK_BYTES);
	int to = make_file("b", 0);
	int r;

	put(from, 0, "x");
	/* Blocks that are shared take no time. */
	r = sparse_copy(from, to, 1);
	ASSERT_TRUE(r == -ETIMEDOUT || r == 0);
	close(from);
	close(to);
	from = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_TRUE(sparse_copy(-1, from, UINT64_MAX) < 0);
	close(from);
}

TEST(zeros_are_holes_to_the_digest)
{
	static const uint8_t zeros[SPARSE_BLOCK * 2];
	char a[DIGEST_TEXT];
	char b[DIGEST_TEXT];
	int fd = make_file("a", DISK_BYTES);

	put(fd, 1000 * 1000, "text");
	ASSERT_OK(sparse_digest(fd, a));
	ASSERT_EQ(pwrite(fd, zeros, sizeof(zeros), 20 * 1024 * 1024 + 5), (ssize_t)sizeof(zeros));
	ASSERT_OK(sparse_digest(fd, b));
	ASSERT_STREQ(a, b);
	put(fd, 20 * 1024 * 1024, "x");
	ASSERT_OK(sparse_digest(fd, b));
	ASSERT_TRUE(!streq(a, b));
	close(fd);
	/* The same text at another place, and another size. */
	fd = make_file("b", DISK_BYTES);
	put(fd, 2000 * 1000, "text");
	ASSERT_OK(sparse_digest(fd, b));
	ASSERT_TRUE(!streq(a, b));
	close(fd);
	fd = make_file("c", DISK_BYTES + 4096);
	put(fd, 1000 * 1000, "text");
	ASSERT_OK(sparse_digest(fd, b));
	ASSERT_TRUE(!streq(a, b));
	close(fd);
}

/* What docs/internals/snapshots.md says, by hand. */
TEST(the_digest_is_what_it_is_said_to_be)
{
	static uint8_t block[SPARSE_BLOCK];
	uint64_t number = 3;
	uint64_t size = 4 * SPARSE_BLOCK;
	char text[DIGEST_TEXT];
	char want[DIGEST_TEXT];
	struct digest d;
	int fd = make_file("a", size);

	put(fd, 3 * SPARSE_BLOCK + 9, "hello");
	memcpy(block + 9, "hello", sizeof("hello"));
	digest_init(&d);
	digest_add(&d, &number, sizeof(number));
	digest_add(&d, block, sizeof(block));
	digest_add(&d, &size, sizeof(size));
	digest_text(&d, want);
	ASSERT_OK(sparse_digest(fd, text));
	ASSERT_STREQ(text, want);
	close(fd);
}

static const struct snapshot_manifest sample = {.created_ns = 1700000000000000000,
	.parent = "",
	.image = SNAPSHOT_OCI,
	.reference = "python:3.12",
	.image_digest = "sha256:" ZEROS,
	.sandbox = "dev",
	.cpus = 2,
	.memory_mib = 512,
	.size_bytes = DISK_BYTES,
	.disk_digest = "sha256:" ZEROS};

static void sample_text(struct buf *out)
{
	static const char *const labels[] = {"a=b", "plain"};

	buf_init(out, SNAPSHOT_MANIFEST_MAX);
	ASSERT_OK(snapshot_manifest_put(&sample, labels, 2, out));
}

TEST(manifests_are_read_as_written)
{
	struct snapshot_manifest m;
	const char *value;
	struct buf out;

	sample_text(&out);
	ASSERT_OK(snapshot_manifest_parse((const char *)buf_data(&out), buf_len(&out), &m, NULL));
	ASSERT_EQ(m.created_ns, sample.created_ns);
	ASSERT_STREQ(m.parent, "");
	ASSERT_STREQ(m.reference, "python:3.12");
	ASSERT_STREQ(m.sandbox, "dev");
	ASSERT_EQ(m.cpus, 2);
	ASSERT_EQ(m.size_bytes, DISK_BYTES);
	ASSERT_OK(json_get_str(m.labels, "a", &value, NULL));
	ASSERT_STREQ(value, "b");
	ASSERT_OK(json_get_str(m.labels, "plain", &value, NULL));
	ASSERT_STREQ(value, "");
	snapshot_manifest_deinit(&m);
	buf_deinit(&out);
}

static void expect_refused(const char *from, const char *to)
{
	struct snapshot_manifest m;
	char text[8192];
	struct buf out;
	const char *at;
	int n;

	sample_text(&out);
	ASSERT_TRUE(buf_cstr(&out));
	at = strstr(buf_cstr(&out), from);
	ASSERT_TRUE(at);
	n = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - buf_cstr(&out)), buf_cstr(&out), to,
		at + strlen(from));
	ASSERT_TRUE(snapshot_manifest_parse(text, (size_t)n, &m, NULL) < 0);
	snapshot_manifest_deinit(&m);
	ASSERT_ERR(snapshot_manifest_parse("{}", 2, &m, NULL), EINVAL);
	snapshot_manifest_deinit(&m);
	buf_deinit(&out);
}

TEST(strange_manifests_are_refused)
{
	expect_refused("\"schema\": 1", "\"schema\": 2");
	expect_refused("\"snapshot\"", "\"image\"");
	expect_refused("\"disk\",", "\"memory\",");
	expect_refused("\"oci\"", "\"qcow2\"");
	expect_refused("\"overlay\"", "\"other\"");
	expect_refused("\"raw\"", "\"qcow2\"");
	expect_refused("34603008", "34603009");
	expect_refused("34603008", "4096");
	expect_refused("34603008", "9000000000000000000");
	expect_refused("34603008", "-1");
	expect_refused("sha256:0", "sha256:X");
	expect_refused("\"dev\"", "\"\"");
	expect_refused("\"cpus\": 2", "\"cpus\": 0");
	expect_refused("\"b\"", "7");
	expect_refused("\"schema\"", "\"more\": 1, \"schema\"");
	expect_refused("\"parent\": null", "\"parent\": \"x\"");
}

static int entries(void)
{
	char path[PATH_MAX];
	struct dirent *e;
	int n = 0;
	DIR *d;

	ASSERT_OK(snapshots_dir(test_tmpdir(), path, NULL));
	d = opendir(path);
	ASSERT_TRUE(d);
	while ((e = readdir(d)))
		n += !streq(e->d_name, ".") && !streq(e->d_name, "..");
	closedir(d);
	return n;
}

static int create(const char *name, bool replace, const char *text)
{
	struct snapshot_manifest m = sample;
	struct snapshot_new n;
	char digest[DIGEST_TEXT];
	char parent[PATH_MAX];
	struct buf out;
	int disk = -1;
	int r;

	ASSERT_OK(snapshots_dir(test_tmpdir(), parent, NULL));
	r = snapshot_new_begin(parent, name, replace, &n, NULL);
	if (r == 0) {
		ASSERT_OK(snapshot_new_disk(&n, &disk, NULL));
		ASSERT_OK(ftruncate(disk, DISK_BYTES));
		put(disk, 4096, text);
		ASSERT_OK(sparse_digest(disk, digest));
		m.disk_digest = digest;
		close(disk);
		buf_init(&out, SNAPSHOT_MANIFEST_MAX);
		ASSERT_OK(snapshot_manifest_put(&m, NULL, 0, &out));
		r = snapshot_new_publish(&n, buf_data(&out), buf_len(&out), replace, NULL);
		buf_deinit(&out);
	}
	snapshot_new_end(&n);
	return r;
}

TEST(made_found_replaced_removed)
{
	struct snapshot_list list;
	struct snapshot s;
	char first[DIGEST_TEXT];
	char path[PATH_MAX];
	char beginning[14];
	int disk;

	ASSERT_OK(create("one", false, "1"));
	ASSERT_OK(create("two", false, "2"));
	ASSERT_EQ(entries(), 2);
	ASSERT_ERR(create("one", false, "other"), EEXIST);
	ASSERT_EQ(entries(), 2);
	ASSERT_OK(snapshot_open(test_tmpdir(), "one", &s, NULL));
	ASSERT_OK(snapshot_open_disk(&s, &disk, NULL));
	memcpy(first, s.digest, sizeof(first));
	memcpy(path, s.path, sizeof(path));
	snapshot_close(&s);
	close(disk);

	/* By path and by digest. */
	ASSERT_OK(snapshot_open("/nowhere", path, &s, NULL));
	ASSERT_STREQ(s.digest, first);
	snapshot_close(&s);
	(void)snprintf(beginning, sizeof(beginning), "%.13s", first + strlen("sha256:"));
	ASSERT_OK(snapshot_open(test_tmpdir(), beginning, &s, NULL));
	ASSERT_STREQ(s.name, "one");
	snapshot_close(&s);
	ASSERT_ERR(snapshot_open(test_tmpdir(), "three", &s, NULL), ENOENT);
	snapshot_close(&s);
	ASSERT_ERR(snapshot_open(test_tmpdir(), "", &s, NULL), ENOENT);
	snapshot_close(&s);
	ASSERT_ERR(snapshot_open(test_tmpdir(), "./nothing", &s, NULL), ENOENT);
	snapshot_close(&s);

	ASSERT_OK(create("one", true, "other"));
	ASSERT_EQ(entries(), 2);
	ASSERT_OK(snapshot_open(test_tmpdir(), "one", &s, NULL));
	ASSERT_TRUE(!streq(s.digest, first));
	ASSERT_OK(snapshot_list_get(test_tmpdir(), &list, NULL));
	ASSERT_EQ(list.n, 2);
	ASSERT_STREQ(list.items[1].name, "two");
	snapshot_list_deinit(&list);
	ASSERT_OK(snapshot_remove(&s, NULL));
	ASSERT_EQ(entries(), 1);
	ASSERT_ERR(snapshot_remove(&s, NULL), ENOENT);
	snapshot_close(&s);
}

TEST(damage_is_seen)
{
	struct snapshot_list list;
	struct snapshot s;
	char path[PATH_MAX];
	int disk;

	ASSERT_OK(create("one", false, "1"));
	(void)snprintf(path, sizeof(path), "%s/snapshots/one/" SNAPSHOT_DISK, test_tmpdir());
	ASSERT_OK(truncate(path, DISK_BYTES - 1));
	ASSERT_OK(snapshot_open(test_tmpdir(), "one", &s, NULL));
	ASSERT_ERR(snapshot_open_disk(&s, &disk, NULL), EINVAL);
	snapshot_close(&s);
	(void)snprintf(path, sizeof(path), "%s/snapshots/one/" SNAPSHOT_MANIFEST, test_tmpdir());
	ASSERT_OK(truncate(path, 10));
	ASSERT_TRUE(snapshot_open(test_tmpdir(), "one", &s, NULL) < 0);
	snapshot_close(&s);
	ASSERT_OK(snapshot_list_get(test_tmpdir(), &list, NULL));
	ASSERT_EQ(list.n, 0);
	ASSERT_EQ(list.n_damaged, 1);
	ASSERT_STREQ(list.damaged[0], "one");
	snapshot_list_deinit(&list);
}

TEST(what_is_not_published_leaves_nothing)
{
	struct snapshot_new n;
	char parent[PATH_MAX];
	int disk;

	ASSERT_OK(snapshots_dir(test_tmpdir(), parent, NULL));
	ASSERT_OK(snapshot_new_begin(parent, "x", false, &n, NULL));
	ASSERT_OK(snapshot_new_disk(&n, &disk, NULL));
	close(disk);
	/* Somebody who is at work is left alone. */
	ASSERT_EQ(snapshot_reap(test_tmpdir()), 0);
	ASSERT_EQ(entries(), 1);
	snapshot_new_end(&n);
	ASSERT_EQ(entries(), 0);
	ASSERT_TRUE(snapshot_new_begin(parent, "../x", false, &n, NULL) < 0);
	snapshot_new_end(&n);
}

TEST(what_the_killed_left_is_removed)
{
	char parent[PATH_MAX];
	int status;
	pid_t pid;

	ASSERT_OK(snapshots_dir(test_tmpdir(), parent, NULL));
	pid = fork();
	ASSERT_OK(pid);
	if (pid == 0) {
		struct snapshot_new n;
		int disk;

		if (snapshot_new_begin(parent, "x", false, &n, NULL) < 0 ||
			snapshot_new_disk(&n, &disk, NULL) < 0)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	ASSERT_EQ(entries(), 1);
	ASSERT_EQ(snapshot_reap(test_tmpdir()), 1);
	ASSERT_EQ(entries(), 0);
	ASSERT_EQ(snapshot_reap("/nowhere"), 0);
}

static int check_extents(const uint64_t *list, size_t n, uint64_t size, uint64_t *ret)
{
	return extents_check((const uint8_t *)list, n * sizeof(list[0]), size, ret);
}

TEST(pieces_are_listed_and_checked)
{
	int fd = make_file("a", DISK_BYTES);
	struct buf out;
	uint64_t put_bytes = 0;
	uint64_t total;

	put(fd, 8192, "x");
	put(fd, 20 * 1024 * 1024, "y");
	buf_init(&out, 1 << 20);
	ASSERT_OK(extents_put(fd, DISK_BYTES, &out, &put_bytes));
	ASSERT_OK(extents_check(buf_data(&out), buf_len(&out), DISK_BYTES, &total));
	ASSERT_EQ(total, put_bytes);
	ASSERT_TRUE(total < 1024 * 1024 && buf_len(&out) == (size_t)2 * EXTENT_BYTES);
	ASSERT_TRUE(extents_check(buf_data(&out), buf_len(&out), 8192, &total) < 0);
	buf_deinit(&out);
	close(fd);

	ASSERT_OK(check_extents((const uint64_t[]){0, 1, 1, 2}, 4, 3, &total));
	ASSERT_EQ(total, 3);
	ASSERT_OK(check_extents(NULL, 0, 0, &total));
	ASSERT_EQ(total, 0);
	ASSERT_ERR(check_extents((const uint64_t[]){0, 1, 1, 2}, 3, 3, &total), EBADMSG);
	ASSERT_ERR(check_extents((const uint64_t[]){0, 2, 1, 2}, 4, 9, &total), EBADMSG);
	ASSERT_ERR(check_extents((const uint64_t[]){5, 2, 1, 2}, 4, 9, &total), EBADMSG);
	ASSERT_ERR(check_extents((const uint64_t[]){0, 0}, 2, 9, &total), EBADMSG);
	ASSERT_ERR(check_extents((const uint64_t[]){8, UINT64_MAX - 4}, 2, 9, &total), EBADMSG);
	ASSERT_ERR(check_extents((const uint64_t[]){UINT64_MAX, 1}, 2, 9, &total), EBADMSG);
}
