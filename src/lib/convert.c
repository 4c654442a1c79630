/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images of other formats: see convert.h. */
#include "lib/convert.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/landlock.h"
#include "base/spawn.h"
#include "base/str.h"

enum {
	SECTOR = 512,
	FD_FROM = SPAWN_FD_FIRST,
	FD_TO,
	RULESET_MIN = 16, /* above the child's descriptors */
	DESCRIPTOR_MAX = 64 * 1024,

	QCOW2_BACKING_AT = 8,
	QCOW2_INCOMPATIBLE_AT = 72,
	QCOW2_EXTERNAL_DATA = 1 << 2,

	VMDK_CAPACITY_AT = 12,
	VMDK_DESCRIPTOR_AT = 28,
	VMDK_DIRECTORY_AT = 56,
	VMDK_FOOTER = 2 * SECTOR, /* before the end of the file */
};

static const char qcow2_magic[4] = {'Q', 'F', 'I', '\xfb'};
static const char vmdk_magic[4] = {'K', 'D', 'M', 'V'};
static const char vmdk_text[] = "# Disk DescriptorFile";

static const char *const names[] = {
	[DISK_RAW] = "raw", [DISK_QCOW2] = "qcow2", [DISK_VMDK] = "vmdk"};

static bool starts(const uint8_t *head, size_t len, const char *magic, size_t n)
{
	return len >= n && memcmp(head, magic, n) == 0;
}

enum disk_format disk_format_of(const uint8_t *head, size_t len)
{
	if (starts(head, len, qcow2_magic, sizeof(qcow2_magic)))
		return DISK_QCOW2;
	if (starts(head, len, vmdk_magic, sizeof(vmdk_magic)) ||
		starts(head, len, vmdk_text, strlen(vmdk_text)))
		return DISK_VMDK;
	return DISK_RAW;
}

static int refuse(struct msb_err *err, enum disk_format format, const char *why)
{
	int r = msb_err_set(
		err, -EOPNOTSUPP, MSB_UNSUPPORTED, "the %s image %s", names[format], why);

	return msb_err_hint(err, r, "if you trust it: qemu-img convert -O raw IMAGE disk.img");
}

static uint64_t be64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static uint64_t le64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static int check_qcow2(const uint8_t head[SECTOR], struct msb_err *err)
{
	uint32_t version;

	memcpy(&version, head + 4, sizeof(version));
	version = be32toh(version);
	if (version != 2 && version != 3)
		return refuse(err, DISK_QCOW2, "has a version that is not known");
	if (be64_at(head + QCOW2_BACKING_AT))
		return refuse(err, DISK_QCOW2, "is only what differs from another file");
	if (version == 3 && (be64_at(head + QCOW2_INCOMPATIBLE_AT) & QCOW2_EXTERNAL_DATA))
		return refuse(err, DISK_QCOW2, "keeps its data in another file");
	return 0;
}

/* The text part of a VMDK file: it must describe this file alone. */
static int check_vmdk_text(int fd, uint64_t sector, uint64_t sectors, struct msb_err *err)
{
	static const char no_parent[] = "parentCID=ffffffff";
	char text[DESCRIPTOR_MAX + 1];
	ssize_t n;

	if (sectors > DESCRIPTOR_MAX / SECTOR || sector > INT64_MAX / SECTOR)
		return refuse(err, DISK_VMDK, "has a description that is too long");
	n = pread(fd, text, sectors * SECTOR, (off_t)(sector * SECTOR));
	if (n < 0)
		return msb_err_errno(err, -errno, "cannot read the vmdk image");
	text[n] = '\0';
	if (strcasestr(text, "parentFileNameHint") || !strcasestr(text, no_parent))
		return refuse(err, DISK_VMDK, "is only what differs from another file");
	if (!strstr(text, "\"monolithicSparse\"") && !strstr(text, "\"streamOptimized\""))
		return refuse(err, DISK_VMDK, "consists of more than one file");
	return 0;
}

static int check_vmdk(int fd, const uint8_t head[SECTOR], struct msb_err *err)
{
	if (!starts(head, SECTOR, vmdk_magic, sizeof(vmdk_magic)) ||
		le64_at(head + VMDK_CAPACITY_AT) == 0)
		return refuse(err, DISK_VMDK, "consists of more than one file");
	return check_vmdk_text(fd, le64_at(head + VMDK_DESCRIPTOR_AT),
		le64_at(head + VMDK_DESCRIPTOR_AT + 8), err);
}

int disk_format_check(int fd, enum disk_format format, struct msb_err *err)
{
	uint8_t head[SECTOR] = {0};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || pread(fd, head, sizeof(head), 0) < 0)
		return msb_err_errno(err, -errno, "cannot read the %s image", names[format]);
	if (format == DISK_QCOW2)
		return check_qcow2(head, err);
	r = check_vmdk(fd, head, err);
	/* One that was written in one pass ends with the header that counts. */
	if (r < 0 || le64_at(head + VMDK_DIRECTORY_AT) != UINT64_MAX)
		return r;
	if (pread(fd, head, sizeof(head), st.st_size - VMDK_FOOTER) != (ssize_t)sizeof(head))
		return refuse(err, DISK_VMDK, "is incomplete");
	return check_vmdk(fd, head, err);
}

static int find_tool(char *ret, size_t size, enum disk_format format, struct msb_err *err)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : "/usr/local/bin:/usr/bin"; at;) {
		size_t len = strcspn(at, ":");
		int n = snprintf(ret, size, "%.*s/qemu-img", (int)len, at);

		if (*at == '/' && n > 0 && (size_t)n < size && access(ret, X_OK) == 0)
			return 0;
		at = at[len] ? at + len + 1 : NULL;
	}
	(void)msb_err_set(err, -ENOENT, MSB_NOT_FOUND,
		"a %s image has to be converted, and qemu-img is not installed", names[format]);
	return msb_err_hint(err, -ENOENT, "sudo apt install qemu-utils");
}

static int allow(int ruleset, int fd, uint64_t rights)
{
	const struct landlock_allow rule = {.dir_fd = fd, .rights = rights};
	int r = landlock_rule(ruleset, &rule);

	/* A file in memory is on no mounted file system: opening it is not restricted. */
	return r == -EBADFD ? 0 : r;
}

static int allow_path(int ruleset, const char *path, uint64_t rights)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? 0 : allow(ruleset, fd, rights);
}

/* Return: descriptor of the rules, -ENOSYS or -EOPNOTSUPP without Landlock. */
static int make_rules(const char *tool, int from, int to)
{
	static const char *const programs[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64"};
	const uint64_t exec = LANDLOCK_READ_FILE | LANDLOCK_EXECUTE;
	int ruleset = landlock_ruleset(0);
	int r;

	if (ruleset < 0)
		return ruleset;
	r = allow(ruleset, from, LANDLOCK_READ_FILE);
	if (r == 0)
		r = allow(
			ruleset, to, LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE);
	if (r == 0)
		r = allow_path(ruleset, tool, exec);
	if (r == 0)
		r = allow_path(ruleset, "/etc/ld.so.cache", LANDLOCK_READ_FILE);
	for (size_t i = 0; i < ARRAY_SIZE(programs) && r == 0; i++)
		r = allow_path(ruleset, programs[i], exec | LANDLOCK_READ_DIR);
	if (r == 0) {
		r = fcntl(ruleset, F_DUPFD_CLOEXEC, RULESET_MIN);
		r = r < 0 ? -errno : r;
	}
	close(ruleset);
	return r;
}

static int enter_rules(void *arg)
{
	const int *ruleset = arg;

	return *ruleset < 0 ? 0 : landlock_enter(*ruleset);
}

/* What the tool complained about: its last line. */
static const char *last_line(int fd, char *to, size_t size)
{
	ssize_t n = pread(fd, to, size - 1, 0);
	char *line;

	to[MAX(n, 0)] = '\0';
	for (n = (ssize_t)strlen(to); n > 0 && to[n - 1] == '\n';)
		to[--n] = '\0';
	line = strrchr(to, '\n');
	return line ? line + 1 : to;
}

static int run_tool(const char *tool, enum disk_format format, int from, int to, int words)
{
	char *const argv[] = {(char *)(uintptr_t) "qemu-img", (char *)(uintptr_t) "convert",
		(char *)(uintptr_t) "-f", (char *)(uintptr_t)names[format],
		(char *)(uintptr_t) "-O", (char *)(uintptr_t) "raw",
		(char *)(uintptr_t) "/proc/self/fd/3", (char *)(uintptr_t) "/proc/self/fd/4", NULL};
	cleanup_fd int rules = make_rules(tool, from, to);
	char *const envp[] = {NULL};
	struct spawn s = {
		.path = tool,
		.argv = argv,
		.envp = envp,
		.no_new_privs = true,
		.cgroup_fd = -1,
		.in_child = enter_rules,
		.in_child_arg = &rules,
	};
	int status = 0;
	pid_t pid;
	int r;

	if (rules < 0 && rules != -ENOSYS && rules != -EOPNOTSUPP)
		return rules;
	_Static_assert((int)FD_FROM == 3 && (int)FD_TO == 4, "the words above");
	spawn_add_fd(&s, from, FD_FROM);
	spawn_add_fd(&s, to, FD_TO);
	spawn_add_fd(&s, words, STDERR_FILENO);
	r = spawn_run(&s, &pid, NULL);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int disk_convert(int from, enum disk_format format, int to, struct msb_err *err)
{
	cleanup_fd int words = memfd_create("qemu-img", MFD_CLOEXEC);
	char tool[PATH_MAX];
	char text[1024];
	char quoted[300];
	const char *line;
	int r;

	if (words < 0)
		return msb_err_errno(err, -errno, "cannot convert the image");
	r = find_tool(tool, sizeof(tool), format, err);
	if (r < 0)
		return r;
	r = run_tool(tool, format, from, to, words);
	if (r == 0)
		return 0;
	if (r < 0)
		return msb_err_errno(err, r, "cannot run %.200s", tool);
	line = last_line(words, text, sizeof(text));
	return msb_err_set(err, -EIO, MSB_IO, "qemu-img cannot convert the image: %s",
		str_quote(quoted, sizeof(quoted), line, strlen(line)));
}
