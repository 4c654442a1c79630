/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs over vhost-user with a hostile QEMU and a hostile guest. */
#include "fs/sys.h"
#include "fs/vhost.h"
#include "vmm/virtio/testvhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

enum { STEPS = 64, REQUEST_MIN = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct testvhost_input in = {data, size};
	struct fs_options o = {.read_only = true};
	cleanup_fd int proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int share = open("/usr/share", O_PATH | O_CLOEXEC);
	struct testvhost t;
	struct vhost *v;
	struct fs *fs;

	REQUIRE(proc_fd >= 0 && home >= 0 && share >= 0 && fchdir(proc_fd) == 0);
	REQUIRE(fs_new(&o, share, proc_fd, 64, &fs) == 0);
	v = vhost_new(fs, -1);
	REQUIRE(v != NULL);
	testvhost_init(&t, &v->user);
	for (unsigned int i = 0; i < STEPS && in.left > 0; i++) {
		unsigned int what = (unsigned int)testvhost_take(&in, 1) % 4;
		unsigned int q = 0;

		if (what >= 2)
			q = (unsigned int)testvhost_take(&in, 1) % VHOST_QUEUES;
		switch (what) {
		case 0:
			testvhost_message(&t, &in);
			break;
		case 1:
			testvhost_fill(&t, &in);
			break;
		case 2:
			testvhost_offer(&t, q, REQUEST_MIN, &in);
			break;
		default:
			(void)vhost_work(v, q);
			break;
		}
	}
	(void)vhost_free(v);
	(void)fs_free(fs);
	testvhost_deinit(&t);
	REQUIRE(fchdir(home) == 0);
	return 0;
}
