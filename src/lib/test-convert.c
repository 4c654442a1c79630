/* SPDX-License-Identifier: Apache-2.0 */
/* Images that would read other files are refused here; tests/e2e converts real ones. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/landlock.h"

#include "lib/convert.h"

#include "test.h"

enum { SECTOR = 512, FILE_BYTES = 64 * SECTOR, TEXT_AT = SECTOR, TEXT_BYTES = 20 * SECTOR };

struct file {
	uint8_t bytes[FILE_BYTES];
};

static void put_le64(struct file *f, size_t at, uint64_t v)
{
	for (size_t i = 0; i < sizeof(v); i++)
		f->bytes[at + i] = (uint8_t)(v >> (8 * i));
}

static void put_text(struct file *f, size_t at, const char *text)
{
	ASSERT_TRUE(at + strlen(text) < FILE_BYTES);
	memcpy(f->bytes + at, text, strlen(text));
}

static struct file qcow2(void)
{
	struct file f = {.bytes = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3}};

	return f;
}

static void vmdk_header(struct file *f, size_t at, uint64_t directory)
{
	memcpy(f->bytes + at, "KDMV", 4);
	put_le64(f, at + 12, 1000); /* capacity */
	put_le64(f, at + 28, TEXT_AT / SECTOR);
	put_le64(f, at + 36, TEXT_BYTES / SECTOR);
	put_le64(f, at + 56, directory);
}

static struct file vmdk(const char *more)
{
	struct file f = {};

	vmdk_header(&f, 0, 30);
	put_text(&f, TEXT_AT,
		"# Disk DescriptorFile\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n");
	put_text(&f, TEXT_AT + 400, more);
	for (size_t i = TEXT_AT; i < TEXT_AT + 400; i++) {
		if (!f.bytes[i])
			f.bytes[i] = '\n';
	}
	return f;
}

static int check(const struct file *f, const char *why)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct msb_err err = {};
	int r;

	ASSERT_OK(fd);
	ASSERT_EQ(write(fd, f->bytes, FILE_BYTES), FILE_BYTES);
	r = disk_format_check(fd, disk_format_of(f->bytes, FILE_BYTES), &err);
	if (r < 0 && !strstr(err.msg, why))
		test_fail(__FILE__, __LINE__, "'%s' instead of '%s'", err.msg, why);
	ASSERT_EQ(close(fd), 0);
	return r;
}

TEST(formats_are_told_by_their_beginning)
{
	ASSERT_EQ(disk_format_of((const uint8_t *)"QFI\xfb", 4), DISK_QCOW2);
	ASSERT_EQ(disk_format_of((const uint8_t *)"QFI\xfb", 3), DISK_RAW);
	ASSERT_EQ(disk_format_of((const uint8_t *)"KDMV", 4), DISK_VMDK);
	ASSERT_EQ(disk_format_of((const uint8_t *)"# Disk DescriptorFile\n", 22), DISK_VMDK);
	ASSERT_EQ(disk_format_of((const uint8_t *)"", 0), DISK_RAW);
}

TEST(qcow2_files_stand_alone)
{
	struct file f = qcow2();

	ASSERT_OK(check(&f, ""));
	f.bytes[15] = 1; /* offset of a backing file's name */
	ASSERT_ERR(check(&f, "differs from another file"), EOPNOTSUPP);
	f = qcow2();
	f.bytes[8] = 0x80;
	ASSERT_ERR(check(&f, "differs from another file"), EOPNOTSUPP);
	f = qcow2();
	f.bytes[79] = 4;
	ASSERT_ERR(check(&f, "data in another file"), EOPNOTSUPP);
	f.bytes[79] = 3; /* other bits are qemu-img's business */
	ASSERT_OK(check(&f, ""));
	f.bytes[7] = 4;
	ASSERT_ERR(check(&f, "version"), EOPNOTSUPP);
	f.bytes[7] = 2; /* the field of bits came with version 3 */
	f.bytes[79] = 4;
	ASSERT_OK(check(&f, ""));
}

TEST(vmdk_files_stand_alone)
{
	struct file f = vmdk("");

	ASSERT_OK(check(&f, ""));
	f = vmdk("PARENTfilenamehint=\"/etc/shadow\"\n");
	ASSERT_ERR(check(&f, "differs from another file"), EOPNOTSUPP);
	f = vmdk("");
	put_text(&f, TEXT_AT + 22, "parentCID=12345678");
	ASSERT_ERR(check(&f, "differs from another file"), EOPNOTSUPP);
	f = vmdk("");
	put_text(&f, TEXT_AT + 41, "createType=\"monolithicFlat\"  ");
	ASSERT_ERR(check(&f, "more than one file"), EOPNOTSUPP);
	f = vmdk("");
	put_le64(&f, 12, 0); /* no capacity: the text is all there is */
	ASSERT_ERR(check(&f, "more than one file"), EOPNOTSUPP);
	f = vmdk("");
	put_le64(&f, 36, UINT64_MAX);
	ASSERT_ERR(check(&f, "too long"), EOPNOTSUPP);
	f = vmdk("");
	put_le64(&f, 28, UINT64_MAX / 2);
	ASSERT_ERR(check(&f, "too long"), EOPNOTSUPP);
	f = (struct file){};
	put_text(&f, 0, "# Disk DescriptorFile\nRW 8 FLAT \"/etc/shadow\" 0\n");
	ASSERT_ERR(check(&f, "more than one file"), EOPNOTSUPP);
}

/* A stream's header is at its end, and may say something else than the one at its beginning. */
TEST(vmdk_footers_count)
{
	struct file f = vmdk("");
	size_t footer = FILE_BYTES - 2 * SECTOR;

	put_le64(&f, 56, UINT64_MAX);
	ASSERT_ERR(check(&f, "more than one file"), EOPNOTSUPP);
	vmdk_header(&f, footer, 30);
	ASSERT_OK(check(&f, ""));
	put_le64(&f, footer + 28, 40);
	put_text(&f, 40ul * SECTOR,
		"parentCID=ffffffff\n\"monolithicSparse\"\nparentFileNameHint=\"/etc/shadow\"\n");
	ASSERT_ERR(check(&f, "differs from another file"), EOPNOTSUPP);
}

static void make_layered(const char *path, const char *backing)
{
	int status;
	pid_t pid = fork();

	ASSERT_OK(pid);
	if (pid == 0) {
		execlp("qemu-img", "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
			backing, path, NULL);
		_exit(127);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
		SKIP("qemu-img is not installed");
	ASSERT_EQ(WEXITSTATUS(status), 0);
}

/* Should a look at the headers miss something: the tool itself cannot open other files. */
TEST(the_tool_is_confined)
{
	char backing[PATH_MAX];
	char path[PATH_MAX];
	struct msb_err err = {};
	int from;
	int to;

	if (landlock_version() < 0)
		SKIP("this kernel has no Landlock");
	(void)snprintf(backing, sizeof(backing), "%s/secret", test_tmpdir());
	(void)snprintf(path, sizeof(path), "%s/layered.qcow2", test_tmpdir());
	from = open(backing, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_OK(from);
	ASSERT_EQ(ftruncate(from, 1 << 20), 0);
	ASSERT_EQ(close(from), 0);
	make_layered(path, backing);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = memfd_create("raw", MFD_CLOEXEC);
	ASSERT_OK(from);
	ASSERT_OK(to);
	ASSERT_ERR(disk_format_check(from, DISK_QCOW2, NULL), EOPNOTSUPP);
	ASSERT_ERR(disk_convert(from, DISK_QCOW2, to, &err), EIO);
	if (!strstr(err.msg, "Permission denied"))
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	ASSERT_EQ(close(from), 0);
	ASSERT_EQ(close(to), 0);
}
