/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs device for QEMU, by vmm/virtio/vhost-user.h. */
#pragma once

#include "fs/server.h"
#include "vmm/virtio/vhost-user.h"

enum { VHOST_QUEUES = 2 }; /* forgets and the like; requests */

struct vhost {
	struct fs *fs;
	struct vhost_user user;
	uint64_t malformed; /* chains that cannot be a request */
	uint8_t head[FS_HEAD_MAX];
	uint8_t reply[FS_REPLY_MAX];
};

/** vhost_new - NULL without memory */
struct vhost *vhost_new(struct fs *fs, int fd) MSB_MUST_CHECK;
struct vhost *vhost_free(struct vhost *v);

/** vhost_run - until QEMU closes the socket: 0; or a negative errno */
int vhost_run(struct vhost *v) MSB_MUST_CHECK;

/** vhost_work - what is in queue @i; true when there may be more */
bool vhost_work(struct vhost *v, unsigned int i);

DEFINE_CLEANUP(struct vhost *, vhost_free);
