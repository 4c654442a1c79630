/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "image/erofs/erofs.h"
#include "image/erofs/format.h"
#include "image/erofs/read.h"

#include "test.h"

static const struct erofs_attr file_attr = {.mode = S_IFREG | 0644};
static const struct erofs_attr dir_attr = {.mode = S_IFDIR | 0755};
static const struct erofs_opts no_opts;

static int temp_file(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0)
		test_fail(__FILE__, __LINE__, "memfd_create: %s", strerror(errno));
	return fd;
}

TEST(refuses_names_that_are_no_names)
{
	struct erofs_builder *b;
	struct erofs_node *n;
	char name[300];
	int fd = temp_file();

	ASSERT_OK(erofs_builder_new(fd, &no_opts, &b));
	ASSERT_ERR(erofs_add(b, erofs_root(b), "", &file_attr, &n), EINVAL);
	ASSERT_ERR(erofs_add(b, erofs_root(b), "..", &file_attr, &n), EINVAL);
	ASSERT_ERR(erofs_add(b, erofs_root(b), "a/b", &file_attr, &n), EINVAL);
	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	ASSERT_ERR(erofs_add(b, erofs_root(b), name, &file_attr, &n), ENAMETOOLONG);
	name[255] = '\0';
	ASSERT_OK(erofs_add(b, erofs_root(b), name, &file_attr, &n));
	ASSERT_ERR(erofs_add(b, n, "x", &file_attr, &n), ENOTDIR);
	erofs_builder_free(b);
	close(fd);
}

TEST(refuses_duplicate_names)
{
	struct erofs_builder *b;
	struct erofs_node *n;
	struct msb_err err = {};
	int fd = temp_file();

	ASSERT_OK(erofs_builder_new(fd, &no_opts, &b));
	ASSERT_OK(erofs_add(b, erofs_root(b), "twice", &file_attr, &n));
	ASSERT_OK(erofs_add(b, erofs_root(b), "twice", &dir_attr, &n));
	ASSERT_ERR(erofs_finish(b, &err), EEXIST);
	ASSERT_STREQ(err.msg, "name 'twice' occurs twice in a directory");
	erofs_builder_free(b);
	close(fd);
}

TEST(data_must_fit_its_announcement)
{
	struct erofs_builder *b;
	struct erofs_node *n;
	char block[EROFS_BLOCK] = "";
	int fd = temp_file();

	ASSERT_OK(erofs_builder_new(fd, &no_opts, &b));
	ASSERT_OK(erofs_add(b, erofs_root(b), "f", &file_attr, &n));
	ASSERT_OK(erofs_data_begin(b, n, 5000));
	ASSERT_OK(erofs_data(b, block, 4096));
	ASSERT_ERR(erofs_data(b, block, 905), EFBIG);
	ASSERT_OK(erofs_data(b, block, 904));
	ASSERT_ERR(erofs_data_skip(b, 1), EFBIG);
	ASSERT_OK(erofs_add(b, erofs_root(b), "small", &file_attr, &n));
	ASSERT_OK(erofs_data_begin(b, n, 3));
	ASSERT_ERR(erofs_data(b, block, 4), EFBIG);
	erofs_builder_free(b);
	close(fd);
}

static int build_sample(int fd)
{
	cleanup_with(erofs_builder_free_p) struct erofs_builder *b = NULL;
	struct erofs_attr link_attr = {.mode = S_IFLNK | 0777};
	struct erofs_node *dir;
	struct erofs_node *n;
	char block[3 * EROFS_BLOCK];
	int r = erofs_builder_new(fd, &no_opts, &b);

	memset(block, 'd', sizeof(block));
	if (r == 0)
		r = erofs_add(b, erofs_root(b), "dir", &dir_attr, &dir);
	for (int i = 0; i < 600 && r == 0; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "file-%d", i);
		r = erofs_add(b, dir, name, &file_attr, &n);
		if (r == 0)
			r = erofs_data_begin(b, n, (uint64_t)i * 20);
		if (r == 0)
			r = erofs_data(b, block, (size_t)i * 20);
		if (r == 0 && i % 100 == 0)
			r = erofs_xattr(n, "user.test", "value", 5);
	}
	if (r == 0)
		r = erofs_link(b, erofs_root(b), "hard", n);
	if (r == 0)
		r = erofs_add(b, erofs_root(b), "soft", &link_attr, &n);
	if (r == 0)
		r = erofs_symlink_target(n, "dir/file-7");
	return r < 0 ? r : erofs_finish(b, NULL);
}

TEST(superblock_checksum_covers_the_block)
{
	uint8_t block[EROFS_BLOCK - EROFS_SUPER_AT];
	struct erofs_super sb;
	uint32_t want;
	int fd = temp_file();

	ASSERT_OK(build_sample(fd));
	ASSERT_EQ(pread(fd, block, sizeof(block), EROFS_SUPER_AT), sizeof(block));
	memcpy(&sb, block, sizeof(sb));
	ASSERT_EQ(sb.magic, EROFS_MAGIC);
	ASSERT_EQ(sb.inos, 603);
	want = sb.checksum;
	sb.checksum = 0;
	memcpy(block, &sb, sizeof(sb));
	ASSERT_EQ(erofs_crc32c(~0u, block, sizeof(block)), want);
	/* Check value of CRC-32C from its definition, with the final inversion undone. */
	ASSERT_EQ(~erofs_crc32c(~0u, "123456789", 9), 0xe3069283u);
	close(fd);
}

/* The root directory is a node like others: when what is in it does not fit behind the first slots
 * of the inodes, it stands elsewhere. */
TEST(root_is_found_whatever_its_size)
{
	for (size_t last = 100; last < 255; last++) {
		struct erofs_builder *b;
		struct erofs_node *n;
		struct erofs_image i;
		const char *why = "";
		size_t names = 0;
		char name[256];
		struct stat st;
		void *p;
		int fd = temp_file();

		ASSERT_OK(erofs_builder_new(fd, &no_opts, &b));
		memset(name, 'x', sizeof(name));
		for (size_t k = 0; k < 16; k++) {
			name[0] = (char)('a' + k);
			name[k < 15 ? 240 : last] = '\0';
			ASSERT_OK(erofs_add(b, erofs_root(b), name, &file_attr, &n));
			name[240] = 'x';
		}
		ASSERT_OK(erofs_finish(b, NULL));
		erofs_builder_free(b);
		ASSERT_OK(fstat(fd, &st));
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		ASSERT_TRUE(p != MAP_FAILED);
		ASSERT_OK(erofs_image_open(&i, p, (size_t)st.st_size, 0));
		if (erofs_image_check(&i, &names, &why) < 0)
			test_fail(__FILE__, __LINE__, "%zu: %s", last, why);
		ASSERT_EQ(names, 16);
		munmap(p, (size_t)st.st_size);
		close(fd);
	}
}

TEST(building_survives_every_failure)
{
	FAULT_LOOP({
		int fd = temp_file();
		int r = build_sample(fd);

		ASSERT_TRUE(r == 0 || r == -ENOMEM || r == -ENOSPC);
		close(fd);
	});
}

static void make_tree(const char *dir)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/tree", dir);
	ASSERT_EQ(mkdir(path, 0755), 0);
	ASSERT_EQ(chdir(path), 0);
	ASSERT_EQ(mkdir("sub", 0700), 0);
	for (int i = 0; i < 5; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "sub/f%d", i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		ASSERT_TRUE(fd >= 0);
		ASSERT_EQ(pwrite(fd, "data", 4, i * 2000), 4);
		close(fd);
	}
	ASSERT_EQ(link("sub/f1", "hard"), 0);
	ASSERT_EQ(symlink("/etc/passwd", "soft"), 0);
}

TEST(directory_walk_survives_every_failure)
{
	int dir;

	make_tree(test_tmpdir());
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_TRUE(dir >= 0);
	FAULT_LOOP({
		struct msb_err err = {};
		int fd = temp_file();
		int r = erofs_write_dir(dir, fd, &no_opts, &err);

		ASSERT_TRUE(r == 0 || err.msg[0] != '\0');
		close(fd);
	});
	close(dir);
}
