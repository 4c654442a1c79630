/* SPDX-License-Identifier: Apache-2.0 */
/* Who a command runs as: see user.h. */
#include "user.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

/* Trailing fields may be missing, as for the C libraries: name, password, uid, gid count. */
enum { PASSWD_FIELDS = 7, PASSWD_LEAST = 4, GROUP_FIELDS = 4, GROUP_LEAST = 3 };

/* A field of a line: not NUL-terminated. */
struct slice {
	const char *at;
	size_t len;
};

static bool slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

/* Numbers of users and groups; the all-ones value means "unchanged" to the kernel. */
static bool slice_to_id(struct slice s, uint32_t *ret)
{
	char text[16];

	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	return str_to_u32(text, 0, UINT32_MAX - 1, ret) == 0;
}

/*
 * Splits the line at @text into @n fields, missing ones are empty.
 *
 * Return: the next line, NULL at the end of the text. @ret_ok: the line has @least to @n fields.
 */
static const char *next_line(
	const char *text, struct slice *fields, unsigned int least, unsigned int n, bool *ret_ok)
{
	const char *end = strchrnul(text, '\n');
	unsigned int got = 0;

	*ret_ok = false;
	if (*text == '\0')
		return NULL;
	for (const char *at = text; got <= n; at++) {
		const char *colon = memchr(at, ':', (size_t)(end - at));
		const char *stop = colon ? colon : end;

		if (got < n)
			fields[got] = (struct slice){at, (size_t)(stop - at)};
		got++;
		at = stop;
		if (!colon)
			break;
	}
	for (unsigned int i = got; i < n; i++)
		fields[i] = (struct slice){end, 0};
	*ret_ok = got >= least && got <= n;
	return *end ? end + 1 : end;
}

/* Copies home and name of a passwd line; one that does not fit makes the line invalid. */
static bool passwd_take(const struct slice *f, struct user *u)
{
	uint32_t uid;
	uint32_t gid;

	if (f[0].len == 0 || f[0].len >= sizeof(u->name) || f[5].len >= sizeof(u->home) ||
		!slice_to_id(f[2], &uid) || !slice_to_id(f[3], &gid))
		return false;
	u->uid = uid;
	u->gid = gid;
	memcpy(u->name, f[0].at, f[0].len);
	u->name[f[0].len] = '\0';
	memcpy(u->home, f[5].at, f[5].len);
	u->home[f[5].len] = '\0';
	if (!u->home[0])
		memcpy(u->home, "/", 2);
	return true;
}

static bool passwd_find(const char *passwd, const char *name, const uint32_t *uid, struct user *u)
{
	struct slice f[PASSWD_FIELDS];
	bool ok;

	while ((passwd = next_line(passwd, f, PASSWD_LEAST, PASSWD_FIELDS, &ok))) {
		uint32_t id;

		if (!ok)
			continue;
		if (uid ? slice_to_id(f[2], &id) && id == *uid : slice_is(f[0], name)) {
			if (passwd_take(f, u))
				return true;
		}
	}
	return false;
}

static bool group_find(const char *group, const char *name, uint32_t *ret)
{
	struct slice f[GROUP_FIELDS];
	bool ok;

	while ((group = next_line(group, f, GROUP_LEAST, GROUP_FIELDS, &ok))) {
		if (ok && slice_is(f[0], name) && slice_to_id(f[2], ret))
			return true;
	}
	return false;
}

static bool is_member(struct slice list, const char *name)
{
	while (list.len) {
		const char *comma = memchr(list.at, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.at) : list.len;

		if (slice_is((struct slice){list.at, len}, name))
			return true;
		if (!comma)
			break;
		list.at += len + 1;
		list.len -= len + 1;
	}
	return false;
}

static void groups_of(const char *group, struct user *u)
{
	struct slice f[GROUP_FIELDS];
	uint32_t gid;
	bool ok;

	/* The primary group is listed as initgroups(3) does. */
	u->groups[u->n_groups++] = u->gid;
	while (u->n_groups < USER_GROUPS_MAX &&
		(group = next_line(group, f, GROUP_LEAST, GROUP_FIELDS, &ok))) {
		if (ok && slice_to_id(f[2], &gid) && gid != u->gid && is_member(f[3], u->name))
			u->groups[u->n_groups++] = gid;
	}
}

static bool only_digits(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

static int parse_user(const char *name, const char *passwd, const char *group, struct user *u)
{
	uint32_t uid;

	if (only_digits(name)) {
		if (!slice_to_id((struct slice){name, strlen(name)}, &uid))
			return -EINVAL;
		if (passwd_find(passwd, NULL, &uid, u))
			groups_of(group, u);
		else
			*u = (struct user){.uid = uid, .home = "/"};
		return 0;
	}
	if (passwd_find(passwd, name, NULL, u)) {
		groups_of(group, u);
		return 0;
	}
	/* An image without users still has root. */
	if (!streq(name, "root"))
		return -ENOENT;
	*u = (struct user){.name = "root", .home = "/root", .n_groups = 1};
	return 0;
}

int user_parse(const char *spec, const char *passwd, const char *group, struct user *ret)
{
	char name[LIMIT_USER + 1];
	const char *colon = strchr(spec, ':');
	size_t len = colon ? (size_t)(colon - spec) : strlen(spec);
	uint32_t gid;
	int r;

	*ret = (struct user){};
	if (len >= sizeof(name) || (colon && (colon[1] == '\0' || strchr(colon + 1, ':'))))
		return -EINVAL;
	memcpy(name, spec, len);
	name[len] = '\0';
	r = parse_user(len ? name : "root", passwd, group, ret);
	if (r < 0 || !colon)
		return r;

	if (only_digits(colon + 1)) {
		if (!slice_to_id((struct slice){colon + 1, strlen(colon + 1)}, &gid))
			return -EINVAL;
	} else if (!group_find(group, colon + 1, &gid)) {
		return -ESRCH;
	}
	ret->gid = gid;
	ret->n_groups = 0;
	return 0;
}

/* Content of a regular file, "" when it does not exist. A FIFO in its place must not block us. */
static int read_text(const char *path, char **ret)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *text = NULL;
	struct stat st;
	size_t size;
	int r;

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return -errno;
	if (fd >= 0 && fstat(fd, &st) < 0)
		return -errno;
	if (fd >= 0 && !S_ISREG(st.st_mode))
		return -EINVAL;
	size = fd >= 0 ? (size_t)st.st_size : 0;
	if (size > USER_FILE_MAX)
		return -EFBIG;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	r = size ? io_read_full(fd, text, size) : 0;
	if (r < 0)
		return r;
	text[size] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

int user_lookup(const char *spec, struct user *ret)
{
	cleanup_free char *passwd = NULL;
	cleanup_free char *group = NULL;
	int r = read_text("/etc/passwd", &passwd);

	if (r == 0)
		r = read_text("/etc/group", &group);
	if (r < 0)
		return r;
	assert(passwd && group);
	return user_parse(spec, passwd, group, ret);
}
