/* SPDX-License-Identifier: Apache-2.0 */
/* Options of shares: see share.h. */
#include "sandbox/share.h"

#include "base/caps.h"
#include "base/str.h"

struct parse {
	struct share_options *o;
	uint32_t seen; /* bits of enum key */
};

enum key {
	KEY_ACCESS,
	KEY_NOEXEC,
	KEY_NOSUID,
	KEY_NODEV,
	KEY_STAT,
	KEY_PERMS,
	KEY_UID,
	KEY_GID,
	KEY_QUOTA
};

static int add_mount_option(char *to, size_t size, const char *name)
{
	size_t at = strlen(to);
	int n = snprintf(to + at, size - at, "%s%s", at ? "," : "", name);

	return n > 0 && (size_t)n < size - at ? 0 : -E2BIG;
}

static int parse_choice(const char *value, const char *const *words, size_t n, unsigned int *ret)
{
	for (unsigned int i = 0; i < n; i++) {
		if (streq(value, words[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_stat(struct share_options *o, const char *value)
{
	static const char *const words[] = {
		[FS_STAT_STRICT] = "strict", [FS_STAT_RELAXED] = "relaxed", [FS_STAT_OFF] = "off"};
	unsigned int i = 0;
	int r = parse_choice(value, words, ARRAY_SIZE(words), &i);

	o->fs.stat_virt = (enum fs_stat_virt)i;
	return r;
}

static int parse_perms(struct share_options *o, const char *value)
{
	static const char *const words[] = {"mirror", "private"};
	unsigned int i = 0;
	int r = parse_choice(value, words, ARRAY_SIZE(words), &i);

	o->fs.private_perms = i == 1;
	return r;
}

static int parse_id(const char *value, uint32_t *ret)
{
	return str_to_u32(value, 0, UINT32_MAX - 1, ret);
}

static int parse_quota(struct share_options *o, const char *value)
{
	uint64_t mib;
	int r;

	if (streq(value, "none")) {
		o->fs.quota = 0;
		return 0;
	}
	r = str_to_mib(value, &mib);

	if (r == 0 && (mib == 0 || mib > INT64_MAX / MIB))
		r = -ERANGE;
	if (r == 0)
		o->fs.quota = mib * MIB;
	return r;
}

static int set(struct parse *p, enum key key, const char *word, const char *value)
{
	if (p->seen & (1u << key))
		return -EEXIST;
	p->seen |= 1u << key;
	switch (key) {
	case KEY_ACCESS:
		p->o->fs.read_only = streq(word, "ro");
		return add_mount_option(p->o->mount, sizeof(p->o->mount), word);
	case KEY_NOSUID:
	case KEY_NODEV:
		p->o->fs.no_suid = p->o->fs.no_suid || key == KEY_NOSUID;
		p->o->fs.no_dev = p->o->fs.no_dev || key == KEY_NODEV;
		return add_mount_option(p->o->mount, sizeof(p->o->mount), word);
	case KEY_NOEXEC:
		return add_mount_option(p->o->mount, sizeof(p->o->mount), word);
	case KEY_STAT:
		return parse_stat(p->o, value);
	case KEY_PERMS:
		return parse_perms(p->o, value);
	case KEY_UID:
		return parse_id(value, &p->o->fs.uid);
	case KEY_GID:
		return parse_id(value, &p->o->fs.gid);
	case KEY_QUOTA:
		return parse_quota(p->o, value);
	}
	return -EINVAL;
}

static int parse_word(struct parse *p, const char *word)
{
	static const struct {
		const char *name; /* with '=': takes a value */
		enum key key;
	} known[] = {
		{"ro", KEY_ACCESS},
		{"rw", KEY_ACCESS},
		{"noexec", KEY_NOEXEC},
		{"nosuid", KEY_NOSUID},
		{"nodev", KEY_NODEV},
		{"stat-virt=", KEY_STAT},
		{"host-perms=", KEY_PERMS},
		{"uid=", KEY_UID},
		{"gid=", KEY_GID},
		{"quota=", KEY_QUOTA},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i].name);
		bool valued = known[i].name[n - 1] == '=';

		if (valued ? str_starts(word, known[i].name) : streq(word, known[i].name))
			return set(p, known[i].key, word, word + n);
	}
	return -ENOENT;
}

int share_options_parse(const char *text, struct share_options *ret, struct msb_err *err)
{
	struct share_options o = {.fs = {.quota = SHARE_QUOTA_DEFAULT}, .mount = ""};
	struct parse p = {.o = &o};
	cleanup_free char *copy = strdup(text);
	char *save = NULL;
	char quoted[100];

	if (!copy)
		return msb_err_errno(err, -ENOMEM, "reading the options");
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		int r = parse_word(&p, w);

		if (r == 0)
			continue;
		(void)str_quote(quoted, sizeof(quoted), w, strlen(w));
		if (r == -EEXIST)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"%s says again, or otherwise, what was said before", quoted);
		if (r != -ENOENT)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"%s has a value that is not possible", quoted);
		(void)msb_err_set(
			err, -EINVAL, MSB_USAGE, "%s is no option of a shared directory", quoted);
		return msb_err_hint(err, -EINVAL,
			"ro, rw, noexec, nosuid, nodev, quota=SIZE|none, uid=N,gid=N, "
			"stat-virt=strict|relaxed|off, host-perms=mirror|private");
	}
	if (!(p.seen & 1u << KEY_UID) != !(p.seen & 1u << KEY_GID))
		return msb_err_set(err, -EINVAL, MSB_USAGE, "uid= and gid= belong together");
	*ret = o;
	return 0;
}

/* What file systems the guest's kernel knows and may be asked for. */
static bool is_fstype(const char *name)
{
	static const char *const known[] = {"ext4", "xfs", "erofs", "squashfs"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (streq(known[i], name))
			return true;
	}
	return false;
}

static int disk_word(struct disk_options *o, const char *word, bool *seen_access)
{
	static const char *const flags[] = {"noexec", "nosuid", "nodev"};

	if (streq(word, "ro") || streq(word, "rw")) {
		if (*seen_access)
			return -EEXIST;
		*seen_access = true;
		o->read_only = streq(word, "ro");
		return add_mount_option(o->mount, sizeof(o->mount), word);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (streq(word, flags[i]))
			return strstr(o->mount, word)
				       ? -EEXIST
				       : add_mount_option(o->mount, sizeof(o->mount), word);
	}
	if (str_starts(word, "fstype=")) {
		word += strlen("fstype=");
		if (o->fstype[0])
			return -EEXIST;
		return is_fstype(word) ? str_copy(o->fstype, sizeof(o->fstype), word) : -EINVAL;
	}
	if (str_starts(word, "format="))
		return streq(word, "format=raw") ? 0 : -EOPNOTSUPP;
	return -ENOENT;
}

int disk_options_parse(const char *text, struct disk_options *ret, struct msb_err *err)
{
	struct disk_options o = {.mount = ""};
	cleanup_free char *copy = strdup(text);
	bool seen_access = false;
	char *save = NULL;
	char quoted[100];
	int r = 0;

	if (!copy)
		return msb_err_errno(err, -ENOMEM, "reading the options");
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		r = disk_word(&o, w, &seen_access);
		if (r == 0)
			continue;
		(void)str_quote(quoted, sizeof(quoted), w, strlen(w));
		if (r == -EEXIST)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"%s says again, or otherwise, what was said before", quoted);
		if (r == -EOPNOTSUPP) {
			r = msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
				"%s: only raw images can be mounted", quoted);
			return msb_err_hint(err, r, "convert it: qemu-img convert -O raw FROM TO");
		}
		if (r != -ENOENT)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"%s has a value that is not possible", quoted);
		(void)msb_err_set(err, -EINVAL, MSB_USAGE, "%s is no option of a disk", quoted);
		return msb_err_hint(err, -EINVAL,
			"ro, rw, noexec, nosuid, nodev, fstype=ext4|xfs|erofs|squashfs, "
			"format=raw");
	}
	*ret = o;
	return 0;
}

int share_path_check(const char *path, struct msb_err *err)
{
	static const char *const ours[] = {"/proc", "/sys", "/dev"};
	char quoted[120];

	(void)str_quote(quoted, sizeof(quoted), path, strlen(path));
	if (path[0] != '/' || strlen(path) >= LIMIT_PATH || strstr(path, "/../") ||
		(strlen(path) >= 3 && streq(path + strlen(path) - 3, "/..")))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"%s is not an absolute path in the sandbox", quoted);
	if (strspn(path, "/") == strlen(path))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the root of the sandbox cannot be a shared directory");
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		size_t n = strlen(ours[i]);

		if (str_starts(path, ours[i]) && (path[n] == '\0' || path[n] == '/'))
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"%s belongs to the sandbox's kernel", quoted);
	}
	return 0;
}
