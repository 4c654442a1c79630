/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of named volumes. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "sandbox/volume.h"

#include "test.h"

static struct msb_err err;

static struct volume_info want(const char *name, enum volume_kind kind, uint64_t size)
{
	struct volume_info info = {.kind = kind, .size_bytes = size};

	ASSERT_OK(str_copy(info.name, sizeof(info.name), name));
	return info;
}

static void make(const char *name, enum volume_kind kind, uint64_t size)
{
	struct volume_info info = want(name, kind, size);

	ASSERT_OK(volume_create(test_tmpdir(), &info, &err));
}

static size_t entries(void)
{
	struct volume_list list;
	size_t n;

	ASSERT_OK(volume_list_get(test_tmpdir(), &list, &err));
	n = list.n;
	volume_list_deinit(&list);
	return n;
}

TEST(made_found_and_removed)
{
	struct volume_info info = want("a", VOLUME_DIR, 0);
	struct volume_list list;
	char path[PATH_MAX];
	struct stat st;

	ASSERT_EQ(entries(), 0);
	ASSERT_ERR(volume_get(test_tmpdir(), "a", &info, &err), ENOENT);
	make("b", VOLUME_DISK, 64 * MIB);
	make("a", VOLUME_DIR, 3 * MIB);
	ASSERT_ERR(volume_create(test_tmpdir(), &info, &err), EEXIST);
	ASSERT_OK(volume_list_get(test_tmpdir(), &list, &err));
	ASSERT_EQ(list.n, 2);
	ASSERT_STREQ(list.items[0].name, "a");
	ASSERT_EQ(list.items[0].kind, VOLUME_DIR);
	ASSERT_EQ(list.items[0].size_bytes, 3 * MIB);
	ASSERT_TRUE(list.items[0].created_ns > 0);
	ASSERT_EQ(list.items[1].kind, VOLUME_DISK);
	volume_path(test_tmpdir(), &list.items[1], path);
	ASSERT_EQ(stat(path, &st), 0);
	ASSERT_EQ(st.st_size, 64 * (off_t)MIB);
	volume_list_deinit(&list);
	ASSERT_OK(volume_remove(test_tmpdir(), "a", &err));
	ASSERT_ERR(volume_remove(test_tmpdir(), "a", &err), ENOENT);
	ASSERT_OK(volume_remove(test_tmpdir(), "b", &err));
	ASSERT_EQ(entries(), 0);
}

TEST(names_and_sizes)
{
	static const char *const bad[] = {"", ".", "..", ".new-1", "a/b", "-a", "a b"};
	struct volume_info info;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_ERR(volume_get(test_tmpdir(), bad[i], &info, &err), EINVAL);
		ASSERT_ERR(volume_remove(test_tmpdir(), bad[i], &err), EINVAL);
	}
	info = want("a", VOLUME_DISK, 0);
	ASSERT_ERR(volume_create(test_tmpdir(), &info, &err), ERANGE);
	info = want("a", VOLUME_DISK, 31 * MIB);
	ASSERT_ERR(volume_create(test_tmpdir(), &info, &err), ERANGE);
	ASSERT_EQ(entries(), 0);
}

TEST(in_use)
{
	struct volume a;
	struct volume b;
	struct volume c;

	make("d", VOLUME_DIR, MIB);
	make("k", VOLUME_DISK, 32 * MIB);
	/* A directory by anybody, a disk by one who writes or many who read. */
	ASSERT_OK(volume_attach(test_tmpdir(), "d", false, &a, &err));
	ASSERT_TRUE(a.usage_fd >= 0);
	ASSERT_OK(volume_attach(test_tmpdir(), "d", true, &b, &err));
	ASSERT_ERR(volume_remove(test_tmpdir(), "d", &err), EWOULDBLOCK);
	volume_close(&a);
	ASSERT_ERR(volume_remove(test_tmpdir(), "d", &err), EWOULDBLOCK);
	volume_close(&b);
	ASSERT_OK(volume_attach(test_tmpdir(), "k", true, &a, &err));
	ASSERT_OK(volume_attach(test_tmpdir(), "k", true, &b, &err));
	ASSERT_ERR(volume_attach(test_tmpdir(), "k", false, &c, &err), EWOULDBLOCK);
	volume_close(&a);
	volume_close(&b);
	ASSERT_OK(volume_attach(test_tmpdir(), "k", false, &a, &err));
	ASSERT_ERR(volume_attach(test_tmpdir(), "k", true, &b, &err), EWOULDBLOCK);
	ASSERT_STREQ(err.msg, "volume 'k' is in use");
	ASSERT_ERR(volume_remove(test_tmpdir(), "k", &err), EWOULDBLOCK);
	volume_close(&a);
	ASSERT_OK(volume_remove(test_tmpdir(), "d", &err));
	ASSERT_OK(volume_remove(test_tmpdir(), "k", &err));
	ASSERT_ERR(volume_attach(test_tmpdir(), "k", true, &b, &err), ENOENT);
}

/* What a guest can make: deeper than paths and descriptors reach, closed to its owner. */
TEST(hostile_trees_are_removed)
{
	enum { DEEP = 2500 };
	struct volume v;
	int at;

	make("d", VOLUME_DIR, 0);
	ASSERT_OK(volume_attach(test_tmpdir(), "d", false, &v, &err));
	at = openat(v.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_OK(at);
	for (unsigned int i = 0; i < DEEP; i++) {
		int fd;

		ASSERT_EQ(mkdirat(at, "d0", 0755), 0);
		fd = openat(at, "d0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ASSERT_OK(fd);
		ASSERT_EQ(symlinkat("/", at, "root"), 0);
		ASSERT_EQ(mkdirat(at, "closed", 0), 0);
		fd_close(at);
		at = fd;
	}
	fd_close(at);
	volume_close(&v);
	ASSERT_OK(volume_remove(test_tmpdir(), "d", &err));
	ASSERT_EQ(entries(), 0);
}

TEST(what_was_interrupted_goes)
{
	char path[PATH_MAX];
	struct stat st;

	make("keep", VOLUME_DIR, 0);
	(void)snprintf(path, sizeof(path), "%s/volumes/.old-12", test_tmpdir());
	ASSERT_EQ(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/volumes/.old-12/data", test_tmpdir());
	ASSERT_EQ(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/volumes/.new-12", test_tmpdir());
	ASSERT_EQ(mkdir(path, 0700), 0);
	volume_reap(test_tmpdir());
	ASSERT_EQ(stat(path, &st), -1);
	(void)snprintf(path, sizeof(path), "%s/volumes/.old-12", test_tmpdir());
	ASSERT_EQ(stat(path, &st), -1);
	ASSERT_EQ(entries(), 1);
}
