/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's client configuration and its credential helpers: see docker.h.
 *
 * A host is looked for in "credHelpers", then at "credsStore", then in "auths", as Docker does. A
 * helper is a program docker-credential-NAME from the PATH that follows a small protocol: argument
 * "get", the registry on standard input, {"Username","Secret"} on standard output. It may ask the
 * user for something, so it has time; what it says is bounded.
 */
#include "image/registry/docker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/json.h"
#include "base/spawn.h"
#include "base/str.h"

enum { HOST_MAX = 300, HELPER_NAME_MAX = 64, HELPER_REPLY_MAX = CREDS_FIELD_MAX };

/* How long a helper may talk with the user. */
#define HELPER_NS (120 * NSEC_PER_SEC)

#define HUB_KEY "https://index.docker.io/v1/"

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_decode(const char *text, size_t len, uint8_t *ret, size_t size)
{
	size_t n = 0;
	size_t pad = 0;

	if (len % 4)
		return -EBADMSG;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		size_t bytes = i + 4 == len ? 3 - pad : 3;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k <= bytes ? base64_value(text[i + k]) : 0;

			if (d < 0)
				return -EBADMSG;
			v = v << 6 | (uint32_t)d;
		}
		/* Bits that do not belong to a byte are zero, or two texts mean the same. */
		if (bytes < 3 && (v & ((UINT32_C(1) << (8 * (3 - bytes))) - 1)))
			return -EBADMSG;
		for (size_t k = 0; k < bytes; k++) {
			if (n == size)
				return -EBADMSG;
			ret[n++] = (uint8_t)(v >> (16 - 8 * k));
		}
	}
	return (ssize_t)n;
}

bool docker_key_host(const char *key, char *ret, size_t size)
{
	static const char *const hub[] = {
		"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"};
	const char *scheme = strstr(key, "://");
	const char *host = scheme ? scheme + 3 : key;
	size_t len = strcspn(host, "/");

	for (size_t i = 0; i < ARRAY_SIZE(hub); i++) {
		if (strlen(hub[i]) == len && strncmp(host, hub[i], len) == 0)
			return str_copy(ret, size, "docker.io") == 0;
	}
	if (len == 0 || len >= size)
		return false;
	memcpy(ret, host, len);
	ret[len] = '\0';
	return true;
}

/* Member of @obj whose key means @host; keys are spelled in many ways. */
static const struct json *find_host(const struct json *obj, const char *host)
{
	char name[HOST_MAX];

	if (!obj)
		return NULL;
	json_foreach (v, obj) {
		if (docker_key_host(json_key(v), name, sizeof(name)) && streq(name, host))
			return v;
	}
	return NULL;
}

/* Return: 0, or -ENOENT without message when there is no configuration. */
static int read_config(struct json **ret, struct msb_err *err)
{
	const char *dir = getenv("DOCKER_CONFIG");
	const char *home = getenv("HOME");
	char path[PATH_MAX];
	int n;

	if (dir && dir[0])
		n = snprintf(path, sizeof(path), "%s/config.json", dir);
	else if (home && home[0])
		n = snprintf(path, sizeof(path), "%s/.docker/config.json", home);
	else
		return -ENOENT;
	if (n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) < 0)
		return -ENOENT;
	return json_read_file(AT_FDCWD, path, ret, err);
}

static int take(struct creds *c, const char *username, size_t username_len, const char *secret,
	size_t secret_len, enum creds_source source)
{
	c->username = username ? strndup(username, username_len) : NULL;
	c->secret = strndup(secret, secret_len);
	c->identity_token = !username;
	c->source = source;
	if (c->secret && (c->username || !username))
		return 0;
	creds_deinit(c);
	return -ENOMEM;
}

/* "auth" is base64 of NAME:PASSWORD. */
static int take_auth(struct creds *c, const char *auth)
{
	size_t len = strlen(auth);
	cleanup_free char *plain = malloc(len + 1);
	const char *colon;
	ssize_t n;
	int r;

	if (!plain)
		return -ENOMEM;
	n = base64_decode(auth, len, (uint8_t *)plain, len);
	colon = n < 0 ? NULL : memchr(plain, ':', (size_t)n);
	if (!colon || memchr(plain, '\0', (size_t)n)) {
		r = -EBADMSG;
	} else {
		size_t name = (size_t)(colon - plain);

		r = take(c, plain, name, colon + 1, (size_t)n - name - 1, CREDS_DOCKER_FILE);
	}
	explicit_bzero(plain, len + 1);
	return r;
}

static int from_auths(const struct json *entry, struct creds *ret, struct msb_err *err)
{
	const char *auth = NULL;
	const char *token = NULL;
	const char *username = NULL;
	const char *password = NULL;
	int r = json_opt_str(entry, "auth", &auth, err);

	if (r == 0)
		r = json_opt_str(entry, "identitytoken", &token, err);
	if (r == 0)
		r = json_opt_str(entry, "username", &username, err);
	if (r == 0)
		r = json_opt_str(entry, "password", &password, err);
	if (r < 0)
		return r;
	if (token && token[0])
		r = take(ret, NULL, 0, token, strlen(token), CREDS_DOCKER_FILE);
	else if (auth && auth[0])
		r = take_auth(ret, auth);
	else if (username && username[0] && password)
		r = take(ret, username, strlen(username), password, strlen(password),
			CREDS_DOCKER_FILE);
	return r < 0 ? msb_err_errno(err, r, "Docker's credentials are damaged") : 0;
}

static bool helper_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= HELPER_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       len;
}

/* Only absolute directories of the PATH: the current one is nobody's to trust. */
static int find_helper(const char *name, char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	while (at && *at) {
		size_t len = strcspn(at, ":");

		if (*at == '/' &&
			snprintf(path, PATH_MAX, "%.*s/docker-credential-%s", (int)len, at, name) <
				PATH_MAX &&
			access(path, X_OK) == 0)
			return 0;
		at += len + (at[len] == ':');
	}
	return -ENOENT;
}

/* Reads until the helper closes its output; bounded in bytes and in time. */
static int read_reply(int fd, struct buf *reply)
{
	uint64_t deadline = clock_mono_ns() + HELPER_NS;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_mono_ns();
		ssize_t n;
		int r;

		if (now >= deadline)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((deadline - now) / NSEC_PER_MSEC) + 1);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		n = buf_read_fd(reply, fd, 4096);
		if (n <= 0)
			return (int)n;
	}
}

static int helper_start(const char *path, const char *key, pid_t *ret_pid, int *ret_fd)
{
	char *const argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t) "get", NULL};
	struct spawn s = {.path = path, .argv = argv, .envp = environ, .cgroup_fd = -1};
	cleanup_fd int in_read = -EBADF;
	cleanup_fd int in_write = -EBADF;
	cleanup_fd int out_read = -EBADF;
	cleanup_fd int out_write = -EBADF;
	int fds[2];
	int r = io_pipe(0, fds);

	if (r < 0)
		return r;
	in_read = fds[0];
	in_write = fds[1];
	r = io_pipe(0, fds);
	if (r < 0)
		return r;
	out_read = fds[0];
	out_write = fds[1];
	/* The key fits the pipe, so it can go in before anybody reads. */
	r = io_write_full(in_write, key, strlen(key));
	if (r < 0)
		return r;
	spawn_add_fd(&s, in_read, STDIN_FILENO);
	spawn_add_fd(&s, out_write, STDOUT_FILENO);
	r = spawn_run(&s, ret_pid, NULL);
	if (r == 0)
		*ret_fd = TAKE_FD(out_read);
	return r;
}

/* Exit status of the helper in @ret_status, its words in @reply. */
static int helper_run(const char *path, const char *key, struct buf *reply, int *ret_status)
{
	cleanup_fd int fd = -EBADF;
	pid_t pid;
	int r = helper_start(path, key, &pid, &fd);

	if (r < 0)
		return r;
	r = read_reply(fd, reply);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return r;
}

static int take_reply(struct buf *reply, struct creds *ret, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const char *username = "";
	const char *secret = "";
	int r = json_parse((const char *)buf_data(reply), buf_len(reply), &root, err);

	if (r == 0)
		r = json_get_str(root, "Username", &username, err);
	if (r == 0)
		r = json_get_str(root, "Secret", &secret, err);
	if (r < 0)
		return r;
	/* The helpers' way to say that the secret is an identity token. */
	if (streq(username, "<token>"))
		username = NULL;
	r = take(ret, username, username ? strlen(username) : 0, secret, strlen(secret),
		CREDS_DOCKER_HELPER);
	return r < 0 ? msb_err_errno(err, r, "reading credentials") : 0;
}

static int from_helper(const char *name, const char *key, struct creds *ret, struct msb_err *err)
{
	char path[PATH_MAX];
	char quoted[HELPER_NAME_MAX + 16];
	struct buf reply;
	int status = 0;
	int r;

	str_quote(quoted, sizeof(quoted), name, strlen(name));
	if (!helper_name_ok(name))
		return msb_err_set(err, -EINVAL, MSB_FAIL,
			"Docker's configuration names the credential helper %s", quoted);
	r = find_helper(name, path);
	if (r < 0)
		return msb_err_set(err, r, MSB_NOT_FOUND,
			"credential helper docker-credential-%s is not in the PATH", name);
	buf_init(&reply, HELPER_REPLY_MAX);
	r = helper_run(path, key, &reply, &status);
	/* By protocol a helper that has nothing says so and ends with 1. */
	if (r == 0 && status == 0)
		r = take_reply(&reply, ret, err);
	else if (r == 0 && !(buf_cstr(&reply) && strstr(buf_cstr(&reply), "not found")))
		r = msb_err_set(err, -EPROTO, MSB_FAIL, "it failed");
	else if (r < 0)
		(void)msb_err_errno(err, r, "no answer");
	if (reply.base)
		explicit_bzero(reply.base, reply.cap);
	buf_deinit(&reply);
	return r < 0 ? msb_err_prefix(err, r, "credential helper docker-credential-%s", name) : 0;
}

int docker_creds_get(const char *host, struct creds *ret, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct json *helpers = NULL;
	const struct json *auths = NULL;
	const struct json *entry;
	const char *key = streq(host, "docker.io") ? HUB_KEY : host;
	const char *helper = NULL;
	int r = read_config(&root, err);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = json_opt_object(root, "credHelpers", &helpers, err);
	if (r == 0)
		r = json_opt_object(root, "auths", &auths, err);
	if (r == 0)
		r = json_opt_str(root, "credsStore", &helper, err);
	entry = r == 0 ? find_host(helpers, host) : NULL;
	if (entry)
		r = json_to_str(entry, "credHelpers", &helper, err);
	if (r < 0)
		return msb_err_prefix(err, r, "Docker's configuration");
	if (helper && helper[0])
		return from_helper(helper, key, ret, err);
	entry = find_host(auths, host);
	return entry ? from_auths(entry, ret, err) : 0;
}

struct each {
	int (*fn)(void *arg, const char *host, const char *username, enum creds_source source);
	void *arg;
};

static int each_helper(const struct each *e, const struct json *entry, const char *host)
{
	(void)entry;
	return e->fn(e->arg, host, NULL, CREDS_DOCKER_HELPER);
}

/* An entry without secret only says that a helper has it. */
static int each_auth(const struct each *e, const struct json *entry, const char *host)
{
	struct creds c = {};
	int r = from_auths(entry, &c, NULL);

	if (r == 0)
		r = e->fn(e->arg, host, c.username,
			c.source == CREDS_NONE ? CREDS_DOCKER_HELPER : CREDS_DOCKER_FILE);
	creds_deinit(&c);
	return r;
}

static int each_host(const struct json *obj, const struct each *e,
	int (*visit)(const struct each *e, const struct json *entry, const char *host))
{
	char host[HOST_MAX];

	if (!obj)
		return 0;
	json_foreach (v, obj) {
		int r = 0;

		if (docker_key_host(json_key(v), host, sizeof(host)))
			r = visit(e, v, host);
		if (r < 0)
			return r;
	}
	return 0;
}

int docker_creds_each(
	int (*fn)(void *arg, const char *host, const char *username, enum creds_source source),
	void *arg, struct msb_err *err)
{
	cleanup_json struct json *root = NULL;
	const struct each e = {fn, arg};
	const struct json *helpers = NULL;
	const struct json *auths = NULL;
	int r = read_config(&root, err);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = json_opt_object(root, "credHelpers", &helpers, err);
	if (r == 0)
		r = json_opt_object(root, "auths", &auths, err);
	if (r < 0)
		return msb_err_prefix(err, r, "Docker's configuration");
	r = each_host(helpers, &e, each_helper);
	return r < 0 ? r : each_host(auths, &e, each_auth);
}
