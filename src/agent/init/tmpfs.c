/* SPDX-License-Identifier: Apache-2.0 */
/* The configured mounts: a parent before what lies below it, whatever the order given. */
#include <sys/mount.h>

#include "base/io.h"
#include "base/str.h"

#include "boot-internal.h"

/* Options that are flags of mount(2); all others go to tmpfs. */
static const struct {
	const char *name;
	unsigned long set;
	unsigned long clear;
} flag_options[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID},
	{"nodev", MS_NODEV, 0},
	{"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0},
	{"exec", 0, MS_NOEXEC},
	{"noatime", MS_NOATIME, 0},
};

bool mount_option_flag(const char *name, size_t len, unsigned long *flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++) {
		if (strlen(flag_options[i].name) != len ||
			memcmp(flag_options[i].name, name, len) != 0)
			continue;
		*flags = (*flags & ~flag_options[i].clear) | flag_options[i].set;
		return true;
	}
	return false;
}

static int tmpfs_mount(const struct msg_tmpfs *t, unsigned long force, struct boot_error *err)
{
	unsigned long flags = MS_NOSUID | MS_NODEV;
	char data[512] = "";
	size_t at = 0;
	int r;

	if (t->path[0] != '/' || t->path[1] == '\0') {
		errno = EINVAL;
		return boot_fail(err, STAGE_TMPFS, "%s", t->path);
	}
	if (t->size_bytes)
		at = (size_t)snprintf(data, sizeof(data), "size=%" PRIu64, t->size_bytes);
	for (const char *o = t->options; *o;) {
		size_t len = strcspn(o, ",");

		if (len && !mount_option_flag(o, len, &flags)) {
			if (at + len + 2 > sizeof(data)) {
				errno = EINVAL;
				return boot_fail(err, STAGE_TMPFS, "%s: options", t->path);
			}
			if (at)
				data[at++] = ',';
			memcpy(data + at, o, len);
			at += len;
			data[at] = '\0';
		}
		o += len + (o[len] == ',');
	}
	r = io_mkdir_p(t->path, 0755);
	if (r < 0) {
		errno = -r;
		return boot_fail(err, STAGE_TMPFS, "mkdir %s", t->path);
	}
	if (mount("tmpfs", t->path, "tmpfs", flags | force, data) < 0)
		return boot_fail(err, STAGE_TMPFS, "mount tmpfs at %s (%s)", t->path, t->options);
	return 0;
}

static unsigned int path_depth(const char *path)
{
	unsigned int n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1] != '/' && path[1] != '\0';
	return n;
}

/* The mounts whose path has @depth components; how many there are deeper down. */
static int mount_depth(const struct msg_config *cfg, unsigned int depth, struct boot_error *err)
{
	unsigned long force = cfg->restricted ? MS_NOSUID | MS_NODEV : 0;
	int deeper = 0;

	for (uint32_t i = 0; i < cfg->n_shares; i++) {
		unsigned int at = path_depth(cfg->shares[i].path);
		int r = at == depth ? share_mount(&cfg->shares[i], force, err) : 0;

		if (r < 0)
			return r;
		deeper += at > depth;
	}
	for (uint32_t i = 0; i < cfg->n_tmpfs; i++) {
		unsigned int at = path_depth(cfg->tmpfs[i].path);
		int r = at == depth ? tmpfs_mount(&cfg->tmpfs[i], force, err) : 0;

		if (r < 0)
			return r;
		deeper += at > depth;
	}
	return deeper;
}

int mount_all(const struct msg_config *cfg, struct boot_error *err)
{
	int left = 1;

	for (unsigned int depth = 0; left > 0; depth++)
		left = mount_depth(cfg, depth, err);
	return left;
}
