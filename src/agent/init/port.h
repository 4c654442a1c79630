/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the virtio-console port that is the channel. */
#pragma once

#include "base/base.h"

#define PORT_NAME "msb.channel"

/**
 * port_open - open the port named PORT_NAME
 * @sysfs: where sysfs is mounted; devtmpfs is at /dev
 *
 * Ports and their names are made known by messages of the host, which may come after PID 1 has
 * started: then the kernel's announcements are awaited, for as long as it takes.
 *
 * Return: a non-blocking descriptor, or a negative errno.
 */
int port_open(const char *sysfs) MSB_MUST_CHECK;
