/* SPDX-License-Identifier: Apache-2.0 */
/* Directories and files of the host in a sandbox: what their options mean. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "fs/server.h"

/* By how much a share grows when nobody says it: a guest must not fill the host by mistake. */
#define SHARE_QUOTA_DEFAULT (4 * GIB)

struct sandbox_share {
	const char *source; /* absolute path on the host; "" for a volume */
	const char *volume; /* name of a directory volume; "" for a path */
	const char *path; /* absolute path in the guest */
	const char *options; /* as the user wrote them, may be "" */
};

/* A file system on a disk, beside those of the root. */
struct sandbox_disk {
	const char *source; /* absolute path of a raw image on the host; "" for a volume */
	const char *volume; /* name of a disk volume; "" for a path */
	const char *path; /* absolute path in the guest */
	const char *options; /* as the user wrote them, may be "" */
};

struct disk_options {
	bool read_only;
	char fstype[16]; /* "": what the guest finds */
	char mount[64]; /* for the guest's mount */
};

struct share_options {
	struct fs_options fs;
	char mount[64]; /* for the guest's mount */
};

/** share_options_parse - comma-separated; the message of @err is fit for the user */
int share_options_parse(const char *text, struct share_options *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** disk_options_parse - comma-separated; the message of @err is fit for the user */
int disk_options_parse(const char *text, struct disk_options *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** share_path_check - may @path be covered by something of the host? */
int share_path_check(const char *path, struct msb_err *err) MSB_MUST_CHECK;
