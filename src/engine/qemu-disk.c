/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of the QEMU engine: see qemu-disk.h. */
#include "engine/qemu-disk.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/io.h"

enum { SECTOR = 512, VMDK_BYTES_MAX = 128 * 1024 };

void qemu_disks_init(struct qemu_disks *q, int first)
{
	q->first = first;
	q->n_fds = 0;
	q->n_disks = 0;
}

void qemu_disks_deinit(struct qemu_disks *q)
{
	while (q->n_fds > 0) {
		if (q->owned[--q->n_fds])
			fd_close(q->fds[q->n_fds]);
	}
	q->n_disks = 0;
}

/*
 * A descriptor set serves an open for reading only with a descriptor that is open for just that.
 * Return: number of the set.
 */
static int add_fd(struct qemu_disks *q, int fd, bool read_only)
{
	int want = read_only ? O_RDONLY : O_RDWR;
	int flags = fcntl(fd, F_GETFL);
	unsigned int at = q->n_fds;
	char path[32];

	if (flags < 0)
		return -errno;
	if (at == ARRAY_SIZE(q->fds))
		return -E2BIG;
	q->fds[at] = fd;
	q->owned[at] = false;
	if ((flags & O_ACCMODE) != want) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		q->fds[at] = open(path, want | O_CLOEXEC);
		if (q->fds[at] < 0)
			return -errno;
		q->owned[at] = true;
	}
	q->n_fds++;
	return (int)at;
}

/*
 * "RW" is how the format says "flat"; the node is read-only. No empty lines: QEMU takes the extent
 * behind one for two.
 */
static int describe(struct qemu_disks *q, const struct engine_disk *d, struct buf *text)
{
	int r = buf_printf(text, "# Disk DescriptorFile\n"
				 "version=1\n"
				 "CID=00000001\n"
				 "parentCID=ffffffff\n"
				 "createType=\"twoGbMaxExtentFlat\"\n");

	for (uint32_t i = 0; i < d->n_extents && r == 0; i++) {
		const struct engine_extent *e = &d->extents[i];
		int set = add_fd(q, e->fd, true);

		if (set < 0)
			return set;
		r = buf_printf(text, "RW %" PRIu64 " FLAT \"/dev/fdset/%d\" %" PRIu64 "\n",
			e->len / SECTOR, set, e->offset / SECTOR);
	}
	return r;
}

static int add_vmdk(struct qemu_disks *q, const struct engine_disk *d)
{
	cleanup_fd int fd = memfd_create("msb-vmdk", MFD_CLOEXEC);
	struct buf text;
	int r;

	if (fd < 0)
		return -errno;
	buf_init(&text, VMDK_BYTES_MAX);
	r = describe(q, d, &text);
	if (r == 0)
		r = io_write_full(fd, buf_data(&text), buf_len(&text));
	buf_deinit(&text);
	/* Written through this descriptor, so the set gets another one. */
	return r < 0 ? r : add_fd(q, fd, true);
}

static int add_disk(struct qemu_disks *q, const struct engine_disk *d)
{
	bool vmdk = d->n_extents > 1 || d->extents[0].offset || d->extents[0].len;
	int set = vmdk ? add_vmdk(q, d) : add_fd(q, d->extents[0].fd, d->read_only);

	if (set < 0)
		return set;
	q->disks[q->n_disks].set = (unsigned int)set;
	q->disks[q->n_disks].vmdk = vmdk;
	q->disks[q->n_disks].unsafe = d->unsafe;
	q->disks[q->n_disks++].read_only = d->read_only;
	return 0;
}

int qemu_disks_open(struct qemu_disks *q, const struct engine_spec *spec, struct msb_err *err)
{
	for (uint32_t i = 0; i < spec->n_disks; i++) {
		int r = add_disk(q, &spec->disks[i]);

		if (r < 0)
			return msb_err_errno(err, r, "cannot open the disks for QEMU");
	}
	return 0;
}

struct words {
	void (*add)(void *arg, const char *word);
	void *arg;
};

static void MSB_PRINTF(2, 3) word(const struct words *w, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->add(w->arg, text);
}

static void disk_words(const struct words *w, const struct qemu_disks *q, unsigned int i)
{
	bool ro = q->disks[i].read_only;

	/* Many sandboxes read one image: locks of theirs must not exclude each other. */
	word(w, "-blockdev");
	word(w, "driver=file,node-name=%c%u,filename=/dev/fdset/%u,read-only=%s,%s%s",
		q->disks[i].vmdk ? 'f' : 'd', i, q->disks[i].set, ro ? "on" : "off",
		ro ? "locking=off" : "discard=unmap",
		q->disks[i].unsafe ? ",cache.no-flush=on" : "");
	if (q->disks[i].vmdk) {
		word(w, "-blockdev");
		word(w, "driver=vmdk,node-name=d%u,file=f%u,read-only=on", i, i);
	}
	word(w, "-device");
	/* A host without space is an I/O error in the guest, not a machine that stands still. */
	word(w, "virtio-blk-device,drive=d%u,num-queues=1%s", i,
		ro ? "" : ",werror=report,rerror=report");
}

void qemu_disks_args(
	const struct qemu_disks *q, void (*add)(void *arg, const char *word), void *arg)
{
	const struct words w = {add, arg};

	for (unsigned int i = 0; i < q->n_fds; i++) {
		word(&w, "-add-fd");
		word(&w, "fd=%d,set=%u", q->first + (int)i, i);
	}
	for (unsigned int i = 0; i < q->n_disks; i++)
		disk_words(&w, q, i);
}

void qemu_disks_spawn(const struct qemu_disks *q, struct spawn *s)
{
	for (unsigned int i = 0; i < q->n_fds; i++)
		spawn_add_fd(s, q->fds[i], q->first + (int)i);
}
