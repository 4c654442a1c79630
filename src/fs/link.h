/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE messages over a socket, with msb-vmm: see proto/fslink.h. */
#pragma once

#include "fs/server.h"

/**
 * fs_link_run - answer requests until the peer closes @fd
 *
 * Requests are executed one after the other. Context: allocates nothing.
 * Return: 0 at the end, or the negative errno of the socket.
 */
int fs_link_run(struct fs *fs, int fd) MSB_MUST_CHECK;

/** fs_link_prepare - socket buffers for the largest message; best effort */
void fs_link_prepare(int fd);
