/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile QEMU with a hostile guest: see testvhost.h. */
#include "vmm/virtio/testvhost.h"

#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

enum { RING = 8, QUEUE = 0x1000, AVAIL = 0x200, USED = 0x400 };
#define USER (UINT64_C(1) << 32) /* where QEMU has the memory */

uint64_t testvhost_take(struct testvhost_input *in, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && in->left > 0; i++, in->left--)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

static void say(struct testvhost *t, uint32_t request, const void *payload, uint32_t size, int fd)
{
	const struct vhost_user_head h = {request, 1, size};
	uint8_t reply[VHOST_USER_PAYLOAD_MAX];
	uint32_t reply_size;

	REQUIRE(vhost_user_message(
			t->user, &h, payload, &fd, fd >= 0 ? 1 : 0, reply, &reply_size) == 0);
	fd_close(fd);
}

void testvhost_init(struct testvhost *t, struct vhost_user *user)
{
	const uint64_t table[5] = {1, 0, TESTVHOST_MEMORY, USER, 0};

	*t = (struct testvhost){.user = user, .memory = memfd_create("guest", MFD_CLOEXEC)};
	REQUIRE(t->memory >= 0 && ftruncate(t->memory, TESTVHOST_MEMORY) == 0);
	t->mem = mmap(NULL, TESTVHOST_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, t->memory, 0);
	REQUIRE(t->mem != MAP_FAILED);
	say(t, 5, table, sizeof(table), fcntl(t->memory, F_DUPFD_CLOEXEC, 0));
	for (uint32_t i = 0; i < user->ops->n_queues; i++) {
		const uint64_t base = USER + (uint64_t)i * QUEUE;
		const uint64_t addr[5] = {i, base, base + USED, base + AVAIL, 0};
		const uint32_t num[2] = {i, RING};
		const uint32_t enable[2] = {i, 1};
		const uint64_t kick = i;

		say(t, 8, num, sizeof(num), -EBADF);
		say(t, 9, addr, sizeof(addr), -EBADF);
		say(t, 18, enable, sizeof(enable), -EBADF);
		say(t, 12, &kick, sizeof(kick), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	}
}

void testvhost_deinit(struct testvhost *t)
{
	(void)munmap(t->mem, TESTVHOST_MEMORY);
	t->memory = fd_close(t->memory);
}

void testvhost_message(struct testvhost *t, struct testvhost_input *in)
{
	uint8_t payload[VHOST_USER_PAYLOAD_MAX] = {0};
	uint8_t reply[VHOST_USER_PAYLOAD_MAX];
	struct vhost_user_head h = {
		(uint32_t)testvhost_take(in, 1) % 26, (uint32_t)testvhost_take(in, 1), 0};
	uint8_t how = (uint8_t)testvhost_take(in, 1);
	unsigned int n = how % 3;
	uint32_t size = 0;
	int fds[2];

	h.size = (uint32_t)testvhost_take(in, 1) % (sizeof(payload) + 1);
	for (uint32_t i = 0; i < h.size && in->left > 0; i++)
		payload[i] = (uint8_t)testvhost_take(in, 1);
	for (unsigned int i = 0; i < n; i++)
		fds[i] = how & 0x80 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
				    : fcntl(t->memory, F_DUPFD_CLOEXEC, 0);
	if (vhost_user_message(t->user, &h, payload, fds, n, reply, &size) == 0)
		REQUIRE(size <= sizeof(reply));
	for (unsigned int i = 0; i < n; i++)
		fd_close(fds[i]);
}

void testvhost_fill(struct testvhost *t, struct testvhost_input *in)
{
	size_t at = testvhost_take(in, 2);
	size_t n = testvhost_take(in, 1);

	for (size_t i = 0; i < n && at + i < TESTVHOST_MEMORY && in->left > 0; i++)
		t->mem[at + i] = (uint8_t)testvhost_take(in, 1);
}

/* One more is available: the chain that begins with the first descriptor. */
static void publish(uint8_t *queue)
{
	uint16_t avail[2];

	memcpy(avail, queue + AVAIL, sizeof(avail));
	avail[1]++;
	memset(queue + AVAIL + sizeof(avail), 0, RING * sizeof(avail[0]));
	memcpy(queue + AVAIL, avail, sizeof(avail));
}

void testvhost_offer(
	struct testvhost *t, unsigned int i, uint32_t least, struct testvhost_input *in)
{
	uint8_t *queue = t->mem + (size_t)i * QUEUE;
	struct vring_desc d[2] = {
		{.addr = 0x4000 + testvhost_take(in, 1), .flags = VRING_DESC_F_NEXT, .next = 1},
		{.addr = 0x8000 + testvhost_take(in, 2), .flags = VRING_DESC_F_WRITE},
	};

	d[0].len = least + (uint32_t)testvhost_take(in, 1);
	d[1].len = (uint32_t)testvhost_take(in, 2);
	memcpy(queue, d, sizeof(d));
	publish(queue);
}

void testvhost_room(struct testvhost *t, unsigned int i, struct testvhost_input *in)
{
	uint8_t *queue = t->mem + (size_t)i * QUEUE;
	struct vring_desc d = {.addr = 0x8000 + testvhost_take(in, 1), .flags = VRING_DESC_F_WRITE};

	d.len = (uint32_t)testvhost_take(in, 1) * 8;
	memcpy(queue, &d, sizeof(d));
	publish(queue);
}
