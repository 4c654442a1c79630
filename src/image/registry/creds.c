/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own file of credentials: see creds.h.
 *
 * {"version":1,"hosts":{HOST:{"username":...,"password":...}}}, replaced as a whole by rename;
 * writers take turns by a lock on a second file.
 */
#include "image/registry/creds.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"

#include "image/registry/docker.h"

#define FILE_NAME "registry.json"
#define LOCK_NAME "registry.lock"

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void creds_deinit(struct creds *c)
{
	wipe(&c->username);
	wipe(&c->secret);
	*c = (struct creds){.source = CREDS_NONE};
}

static int open_home(const char *home, bool make, int *ret, struct msb_err *err)
{
	int r = make ? io_mkdir_p(home, 0700) : 0;

	if (r < 0)
		return msb_err_errno(err, r, "cannot make %s", home);
	*ret = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret < 0)
		return errno == ENOENT ? -ENOENT
				       : msb_err_errno(err, -errno, "cannot open %s", home);
	return 0;
}

/* Somebody else's file, or one that others read, is not where passwords are. */
static int check_owner(int home_fd, struct msb_err *err)
{
	struct stat st;

	if (fstatat(home_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -ENOENT
				       : msb_err_errno(err, -errno, "cannot read " FILE_NAME);
	if (S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077))
		return 0;
	msb_err_set(err, -EPERM, MSB_PERMISSION,
		FILE_NAME " is not a file of yours that only you can read");
	return msb_err_hint(err, -EPERM, "chmod 600 the file in the directory of msb");
}

/* Return: 0, -ENOENT without message when there is no file. */
static int read_file(
	int home_fd, struct json **ret, const struct json **ret_hosts, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct json *hosts = NULL;
	uint32_t version = 0;
	int r = check_owner(home_fd, err);

	if (r < 0)
		return r;
	r = json_read_file(home_fd, FILE_NAME, &root, err);
	if (r == 0)
		r = json_get_u32(root, "version", 1, 1, &version, err);
	if (r == 0)
		r = json_get_object(root, "hosts", &hosts, err);
	if (r < 0)
		return msb_err_prefix(err, r == -ENOENT ? -EBADMSG : r, FILE_NAME);
	*ret = TAKE_PTR(root);
	*ret_hosts = hosts;
	return 0;
}

static int own_get(const char *home, const char *host, struct creds *ret, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct json *hosts = NULL;
	const struct json *entry;
	const char *username = "";
	const char *password = "";
	cleanup_fd int fd = -EBADF;
	int r = open_home(home, false, &fd, err);

	if (r == 0)
		r = read_file(fd, &root, &hosts, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	entry = json_find(hosts, host);
	if (!entry)
		return 0;
	r = json_get_str(entry, "username", &username, err);
	if (r == 0)
		r = json_get_str(entry, "password", &password, err);
	if (r < 0)
		return msb_err_prefix(err, r == -ENOENT ? -EBADMSG : r, FILE_NAME);
	ret->username = strdup(username);
	ret->secret = strdup(password);
	ret->source = CREDS_OWN;
	if (ret->username && ret->secret)
		return 0;
	creds_deinit(ret);
	return msb_err_errno(err, -ENOMEM, "reading credentials");
}

int creds_get(const char *home, const char *host, struct creds *ret, struct msb_err *err)
{
	int r;

	*ret = (struct creds){.source = CREDS_NONE};
	r = own_get(home, host, ret, err);
	if (r < 0 || ret->source != CREDS_NONE)
		return r;
	return docker_creds_get(host, ret, err);
}

static void put_host(struct json_out *o, const char *host, const char *username, const char *secret)
{
	json_begin_object(o, host);
	json_put_str(o, "username", username);
	json_put_str(o, "password", secret);
	json_end_object(o);
}

/* All hosts but @host, which is then added if @username is given. */
static int write_file(int home_fd, const struct json *hosts, const char *host, const char *username,
	const char *secret, struct msb_err *err)
{
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, 4 * CREDS_FIELD_MAX * 16);
	json_out_init(&o, &text, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_int(&o, "version", 1);
	json_begin_object(&o, "hosts");
	for (const struct json *old = hosts ? json_first(hosts) : NULL; old; old = json_next(old)) {
		if (!streq(json_key(old), host))
			json_put_value(&o, json_key(old), old);
	}
	if (username)
		put_host(&o, host, username, secret);
	json_end_object(&o);
	json_end_object(&o);
	r = json_out_end(&o);
	if (r == 0)
		r = io_write_file_atomic(
			home_fd, FILE_NAME, buf_data(&text), buf_len(&text), 0600, true);
	if (text.base)
		explicit_bzero(text.base, text.cap);
	buf_deinit(&text);
	return r < 0 ? msb_err_errno(err, r, "cannot write " FILE_NAME) : 0;
}

static int take_turn(int home_fd, int *ret_fd, struct msb_err *err)
{
	*ret_fd = openat(home_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX) < 0)
		return msb_err_errno(err, -errno, "cannot lock " FILE_NAME);
	return 0;
}

static int change(const char *home, const char *host, const char *username, const char *secret,
	struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct json *hosts = NULL;
	cleanup_fd int fd = -EBADF;
	cleanup_fd int lock = -EBADF;
	int r = open_home(home, username != NULL, &fd, err);

	if (r == 0)
		r = take_turn(fd, &lock, err);
	if (r == 0)
		r = read_file(fd, &root, &hosts, err);
	/* The first login makes the file; there is nothing to log out from without one. */
	if (r == -ENOENT && username)
		r = 0;
	if (r == 0 && !username && !json_find(hosts, host))
		r = -ENOENT;
	if (r == -ENOENT)
		return msb_err_set(err, r, MSB_NOT_FOUND, "not logged in to %s", host);
	return r < 0 ? r : write_file(fd, hosts, host, username, secret, err);
}

int creds_set(const char *home, const char *host, const char *username, const char *secret,
	struct msb_err *err)
{
	/* A colon would end the name in basic authentication. */
	if (!username[0] || strchr(username, ':'))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a user name of a registry has no ':' and is not empty");
	if (!secret[0] || strlen(secret) > CREDS_FIELD_MAX || strlen(username) > CREDS_FIELD_MAX)
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "a password has 1 to %d bytes", CREDS_FIELD_MAX);
	return change(home, host, username, secret, err);
}

int creds_remove(const char *home, const char *host, struct msb_err *err)
{
	return change(home, host, NULL, NULL, err);
}

int creds_each(const char *home,
	int (*fn)(void *arg, const char *host, const char *username, enum creds_source source),
	void *arg, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct json *hosts = NULL;
	cleanup_fd int fd = -EBADF;
	int r = open_home(home, false, &fd, err);

	if (r == 0)
		r = read_file(fd, &root, &hosts, err);
	if (r < 0 && r != -ENOENT)
		return r;
	for (const struct json *entry = hosts ? json_first(hosts) : NULL; entry;
		entry = json_next(entry)) {
		const char *username = NULL;

		r = json_opt_str(entry, "username", &username, err);
		if (r == 0)
			r = fn(arg, json_key(entry), username, CREDS_OWN);
		if (r < 0)
			return r;
	}
	return docker_creds_each(fn, arg, err);
}
