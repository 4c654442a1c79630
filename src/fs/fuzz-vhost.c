/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user with a hostile QEMU and a hostile guest: messages of any content, in any order, and
 * rings in memory that the input fills.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "fs/sys.h"
#include "fs/vhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

enum { MEMORY = 64 * 1024, STEPS = 64, RING = 8 };

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && in->left > 0; i++, in->left--)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

/* As QEMU begins: memory at 0 (QEMU's address 1 << 32), two small queues. */
static void set_up(struct vhost *v, int memory)
{
	uint8_t reply[VHOST_USER_PAYLOAD_MAX];
	uint32_t size;
	uint64_t table[5] = {1, 0, MEMORY, UINT64_C(1) << 32, 0};
	struct vhost_user_head h = {5, 1, sizeof(table)};
	int fd = fcntl(memory, F_DUPFD_CLOEXEC, 0);

	REQUIRE(vhost_user_message(&v->user, &h, (const uint8_t *)table, &fd, 1, reply, &size) ==
		0);
	fd_close(fd);
	for (uint32_t i = 0; i < VHOST_QUEUES; i++) {
		uint64_t base = (UINT64_C(1) << 32) + i * 0x1000;
		uint64_t addr[5] = {i, base, base + 0x400, base + 0x200, 0};
		uint32_t num[2] = {i, RING};
		uint32_t enable[2] = {i, 1};
		uint64_t kick = i;

		h = (struct vhost_user_head){8, 1, sizeof(num)};
		REQUIRE(vhost_user_message(
				&v->user, &h, (const uint8_t *)num, NULL, 0, reply, &size) == 0);
		h = (struct vhost_user_head){9, 1, sizeof(addr)};
		REQUIRE(vhost_user_message(
				&v->user, &h, (const uint8_t *)addr, NULL, 0, reply, &size) == 0);
		h = (struct vhost_user_head){18, 1, sizeof(enable)};
		REQUIRE(vhost_user_message(
				&v->user, &h, (const uint8_t *)enable, NULL, 0, reply, &size) == 0);
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		h = (struct vhost_user_head){12, 1, sizeof(kick)};
		REQUIRE(vhost_user_message(
				&v->user, &h, (const uint8_t *)&kick, &fd, 1, reply, &size) == 0);
		fd_close(fd);
	}
}

static void message(struct vhost *v, struct input *in, int memory)
{
	uint8_t payload[VHOST_USER_PAYLOAD_MAX] = {0};
	uint8_t reply[VHOST_USER_PAYLOAD_MAX];
	struct vhost_user_head h = {(uint32_t)take(in, 1) % 24, (uint32_t)take(in, 1), 0};
	uint8_t how = (uint8_t)take(in, 1);
	unsigned int n = how % 3;
	uint32_t size = 0;
	int fds[2];

	h.size = (uint32_t)take(in, 1) % (sizeof(payload) + 1);
	for (uint32_t i = 0; i < h.size && in->left > 0; i++)
		payload[i] = (uint8_t)take(in, 1);
	for (unsigned int i = 0; i < n; i++)
		fds[i] = how & 0x80 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
				    : fcntl(memory, F_DUPFD_CLOEXEC, 0);
	if (vhost_user_message(&v->user, &h, payload, fds, n, reply, &size) == 0)
		REQUIRE(size <= sizeof(reply));
	for (unsigned int i = 0; i < n; i++)
		fd_close(fds[i]);
}

static void fill(uint8_t *mem, struct input *in)
{
	size_t at = take(in, 2);
	size_t n = take(in, 1);

	for (size_t i = 0; i < n && at + i < MEMORY && in->left > 0; i++)
		mem[at + i] = (uint8_t)take(in, 1);
}

/* A chain of one readable and one writable piece at the head of queue @i. */
static void offer(uint8_t *mem, unsigned int i, struct input *in)
{
	uint8_t *base = mem + (size_t)i * 0x1000;
	uint64_t desc[4] = {0x4000 + take(in, 1), 0, 0x8000 + take(in, 2), 0};
	uint16_t avail[2];

	desc[1] = (40 + take(in, 1)) | UINT64_C(1) << 32 | UINT64_C(1) << 48;
	desc[3] = take(in, 2) | UINT64_C(2) << 32;
	memcpy(base, desc, sizeof(desc));
	memcpy(avail, base + 0x200, sizeof(avail));
	avail[1]++;
	memset(base + 0x204, 0, RING * sizeof(avail[0]));
	memcpy(base + 0x200, avail, sizeof(avail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct fs_options o = {.read_only = true};
	cleanup_fd int proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int memory = memfd_create("guest", MFD_CLOEXEC);
	int share = open("/usr/share", O_PATH | O_CLOEXEC);
	uint8_t *mem;
	struct vhost *v;
	struct fs *fs;

	REQUIRE(proc_fd >= 0 && home >= 0 && share >= 0 && ftruncate(memory, MEMORY) == 0);
	mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	REQUIRE(mem != MAP_FAILED && fchdir(proc_fd) == 0);
	REQUIRE(fs_new(&o, share, proc_fd, 64, &fs) == 0);
	v = vhost_new(fs, -1);
	REQUIRE(v != NULL);
	set_up(v, memory);
	for (unsigned int i = 0; i < STEPS && in.left > 0; i++) {
		switch (take(&in, 1) % 4) {
		case 0:
			message(v, &in, memory);
			break;
		case 1:
			fill(mem, &in);
			break;
		case 2:
			offer(mem, (unsigned int)take(&in, 1) % VHOST_QUEUES, &in);
			break;
		default:
			(void)vhost_work(v, (unsigned int)take(&in, 1) % VHOST_QUEUES);
			break;
		}
	}
	(void)vhost_free(v);
	(void)fs_free(fs);
	(void)munmap(mem, MEMORY);
	REQUIRE(fchdir(home) == 0);
	return 0;
}
