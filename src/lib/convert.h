/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images of other formats, made raw by qemu-img before a machine sees them.
 *
 * Such a file may come from anywhere, and its format may name other files to be read into the disk:
 * backing files, external data, extents. Ones that do are refused, by a look at the headers here
 * and by Landlock: qemu-img can open this file, the copy it writes, and its libraries.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum disk_format { DISK_RAW = 0, DISK_QCOW2, DISK_VMDK };

/** disk_format_of - by the first @len bytes of a file; DISK_RAW for whatever is none of the others
 */
enum disk_format disk_format_of(const uint8_t *head, size_t len);

/** disk_format_check - is the file behind @fd complete in itself? -EOPNOTSUPP with the reason */
int disk_format_check(int fd, enum disk_format format, struct msb_err *err) MSB_MUST_CHECK;

/**
 * disk_convert - write the raw content of @from, which passed disk_format_check(), to the empty
 * file @to
 */
int disk_convert(int from, enum disk_format format, int to, struct msb_err *err) MSB_MUST_CHECK;
