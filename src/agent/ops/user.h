/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a command runs as: "name", "uid", "name:group", "uid:gid" against the guest's own passwd and
 * group files.
 *
 * The files belong to an image that may be hostile: they are read with a size cap and parsed
 * strictly, a line that does not fit the format is skipped. There is no NSS.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"

enum { USER_GROUPS_MAX = 256, USER_FILE_MAX = 1024 * 1024, USER_HOME_MAX = 512 };

struct user {
	uint32_t uid;
	uint32_t gid;
	uint32_t n_groups; /* supplementary */
	gid_t groups[USER_GROUPS_MAX];
	char name[LIMIT_USER + 1]; /* "" when the uid has no entry */
	char home[USER_HOME_MAX];
};

/**
 * user_parse - resolve @spec
 * @spec: "" is root
 * @passwd, @group: NUL-terminated contents, may be ""
 *
 * The rules of the OCI image specification: a user with an entry, by name or uid, brings its group,
 * its supplementary groups and its home; a uid without one has group 0, none of the others and "/".
 * An explicit group replaces all groups; a number need not be in the group file.
 *
 * Return: 0; -EINVAL: malformed; -ENOENT: no such user; -ESRCH: no such group.
 */
int user_parse(const char *spec, const char *passwd, const char *group, struct user *ret)
	MSB_MUST_CHECK;

/** user_lookup - user_parse() with /etc/passwd and /etc/group; also the errors of reading them */
int user_lookup(const char *spec, struct user *ret) MSB_MUST_CHECK;
