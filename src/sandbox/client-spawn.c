/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a supervisor, or finding a running one: see client.h. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/spawn.h"
#include "base/str.h"

#include "sandbox/client-internal.h"
#include "sandbox/state.h"
#include "sandbox/supervisor.h"

/* Part of the caller's environment that the supervisor may see; the rest may hold secrets. */
static const char *const env_passed[] = {"PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS"};

enum { ENV_TEXT = 8192 };

struct spawn_env {
	char *envp[ARRAY_SIZE(env_passed) + 1];
	char text[ENV_TEXT];
};

static void make_env(struct spawn_env *e)
{
	size_t used = 0;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(env_passed); i++) {
		const char *value = getenv(env_passed[i]);
		size_t room = sizeof(e->text) - used;
		int len;

		if (!value)
			continue;
		len = snprintf(e->text + used, room, "%s=%s", env_passed[i], value);
		if (len < 0 || (size_t)len >= room)
			continue;
		e->envp[n++] = e->text + used;
		used += (size_t)len + 1;
	}
	e->envp[n] = NULL;
}

/* What the description only names comes from our environment, at every start. */
static int get_secrets(const struct sandbox_spec *spec, struct net_proxy *ret, struct msb_err *err)
{
	const char *value = "";

	*ret = spec->net.proxy;
	if (ret->kind == NET_PROXY_NONE || !ret->password_env[0])
		return 0;
	value = getenv(ret->password_env);
	if (!value || !value[0])
		return msb_err_set(err, -ENOENT, MSB_USAGE,
			"the environment variable '%s', which shall hold the password for the "
			"proxy, "
			"is not set",
			ret->password_env);
	if (str_copy(ret->password, sizeof(ret->password), value) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the password for the proxy, in '%s', is too long", ret->password_env);
	return net_proxy_check(ret, err);
}

static int write_memfd(
	const struct sandbox_spec *spec, const struct net_proxy *proxy, struct buf *json, int fd)
{
	struct sandbox_spec full = *spec;
	int r;

	full.net.proxy = *proxy;
	r = sandbox_spec_to_json_secret(&full, json);
	explicit_bzero(&full.net.proxy, sizeof(full.net.proxy));
	if (r == 0)
		r = io_write_full(fd, buf_data(json), buf_len(json));
	explicit_bzero((void *)(uintptr_t)buf_data(json), buf_len(json));
	return r;
}

/* The description as a file in memory. */
static int make_memfd(const struct sandbox_spec *spec, int *ret_fd, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-spec", MFD_CLOEXEC);
	struct net_proxy proxy;
	struct buf json;
	int r;

	if (fd < 0)
		return msb_err_errno(err, -errno, "sandbox description");
	r = get_secrets(spec, &proxy, err);
	if (r < 0)
		return r;
	buf_init(&json, LIMIT_JSON_BYTES);
	r = write_memfd(spec, &proxy, &json, fd);
	buf_deinit(&json);
	explicit_bzero(&proxy, sizeof(proxy));
	if (r == -EILSEQ)
		return msb_err_set(
			err, r, MSB_USAGE, "a path or an environment entry is not valid UTF-8");
	if (r < 0)
		return msb_err_errno(err, r, "sandbox description");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* What a supervisor is given besides its description; -1: nothing. */
struct given {
	int image_fd;
	int dir_fd;
	int lock_fd;
	int secrets_fd;
};

int sandbox_secret_write(int fd, const struct secret_rule *rule, struct msb_err *err)
{
	const char *value = rule->value ? rule->value : getenv(rule->name);
	int r;

	if (!value || !value[0]) {
		r = msb_err_usage(
			err, "secret %s: the environment has no value for it", rule->name);
		return msb_err_hint(err, r,
			rule->inlined ? "values given with --secret are not stored: set the "
					"variable %s and try again"
				      : "set the variable %s, and export it",
			rule->name);
	}
	r = secret_value_write(fd, value, err);
	return r < 0 ? msb_err_prefix(err, r, "secret %s", rule->name) : 0;
}

/*
 * The values of the secrets, in a file in memory. They are not in the description: that is stored.
 * Who reads the file overwrites it.
 */
static int gather_secrets(const struct secret_settings *s, int *ret_fd, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;

	if (s->n == 0)
		return 0;
	fd = memfd_create("msb-secrets", MFD_CLOEXEC);
	if (fd < 0)
		return msb_err_errno(err, -errno, "secrets");
	for (uint32_t i = 0; i < s->n; i++) {
		int r = sandbox_secret_write(fd, &s->rules[i], err);

		if (r < 0)
			return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int run_supervisor(const struct sandbox_spec *spec, int spec_fd, int owner_fd,
	const struct given *given, pid_t *ret_pid, struct msb_err *err)
{
	char arg0[] = "msb-sandbox";
	char name[LIMIT_SANDBOX_NAME + 1];
	char path[PATH_MAX];
	char *argv[] = {arg0, name, NULL};
	struct spawn_env env;
	struct spawn s = {
		.path = path,
		.argv = argv,
		.outlive_parent = true, /* it cleans up after us */
		.orphan = spec->orphan,
		.new_session = true,
		.no_new_privs = true,
		.cgroup_fd = -EBADF,
	};
	int r = snprintf(path, sizeof(path), "%s/msb-sandbox", spec->lib_dir);

	if (r < 0 || (size_t)r >= sizeof(path))
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_USAGE, "the program directory's path is too long");
	r = str_copy(name, sizeof(name), spec->name);
	if (r < 0)
		return msb_err_errno(err, r, "name of the sandbox");
	make_env(&env);
	s.envp = env.envp;
	spawn_add_fd(&s, spec_fd, SUP_FD_SPEC);
	spawn_add_fd(&s, owner_fd, SUP_FD_OWNER);
	if (given->image_fd >= 0)
		spawn_add_fd(&s, given->image_fd, SUP_FD_IMAGE);
	if (given->lock_fd >= 0) {
		spawn_add_fd(&s, given->dir_fd, SUP_FD_DIR);
		spawn_add_fd(&s, given->lock_fd, SUP_FD_LOCK);
	}
	if (given->secrets_fd >= 0)
		spawn_add_fd(&s, given->secrets_fd, SUP_FD_SECRETS);
	if (spec->log_level > LOG_WARN)
		spawn_add_fd(&s, STDERR_FILENO, STDERR_FILENO);
	r = spawn_run(&s, ret_pid, NULL);
	if (r == -ENOENT)
		return msb_err_hint(err, msb_err_errno(err, r, "%s", path),
			"the installation is incomplete, run scripts/setup.sh");
	return r < 0 ? msb_err_errno(err, r, "%s", path) : 0;
}

static int spawn_with(struct loop *loop, const struct sandbox_spec *spec, const struct given *given,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
{
	cleanup_fd int spec_fd = -EBADF;
	cleanup_fd int secrets_fd = -EBADF;
	struct given with = *given;
	cleanup_fd int ours = -EBADF;
	cleanup_fd int theirs = -EBADF;
	struct sandbox *sb;
	int fds[2];
	int r = sandbox_spec_check(spec, err);

	if (r == 0)
		r = make_memfd(spec, &spec_fd, err);
	if (r == 0)
		r = gather_secrets(&spec->net.secrets, &secrets_fd, err);
	if (r < 0)
		return r;
	r = io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds);
	if (r < 0)
		return msb_err_errno(err, r, "connection to the sandbox");
	ours = fds[0];
	theirs = fds[1];
	r = sandbox_new(loop, ours, events, arg, &sb);
	if (r < 0)
		return msb_err_errno(err, r, "connection to the sandbox");
	(void)TAKE_FD(ours);
	with.secrets_fd = secrets_fd;
	r = run_supervisor(spec, spec_fd, theirs, &with, &sb->pid, err);
	/* Nobody here can wait for it. */
	if (spec->orphan)
		sb->pid = 0;
	if (r < 0) {
		sandbox_close(sb);
		return r;
	}
	*ret = sb;
	return 0;
}

int sandbox_spawn(struct loop *loop, const struct sandbox_spec *spec, int image_fd,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
{
	const struct given given = {.image_fd = image_fd, .dir_fd = -EBADF, .lock_fd = -EBADF};

	if (!spec->image_path[0] && !spec->image_digest[0] && image_fd < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "the sandbox has no image");
	return spawn_with(loop, spec, &given, events, arg, ret, err);
}

int sandbox_start(struct loop *loop, const struct sandbox_spec *spec, const struct sandbox_dir *dir,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
{
	const struct given given = {.image_fd = -EBADF, .dir_fd = dir->fd, .lock_fd = dir->lock_fd};

	return spawn_with(loop, spec, &given, events, arg, ret, err);
}

static int open_sandbox_dir(const char *home, const char *name, int *ret_fd, struct msb_err *err)
{
	char path[PATH_MAX];
	int r = snprintf(path, sizeof(path), "%s/sandboxes/%s", home, name);
	int fd;

	if (r < 0 || (size_t)r >= sizeof(path))
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "MSB_HOME is too long");
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "no sandbox is named '%s'", name);
	if (fd < 0)
		return msb_err_errno(err, -errno, "sandbox '%s'", name);
	*ret_fd = fd;
	return 0;
}

int sandbox_connect(struct loop *loop, const char *home, const char *name,
	const struct sandbox_events *events, void *arg, struct sandbox **ret, struct msb_err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	cleanup_fd int dir_fd = -EBADF;
	cleanup_fd int fd = -EBADF;
	int r = sandbox_name_check(name, err);

	if (r == 0)
		r = open_sandbox_dir(home, name, &dir_fd, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return msb_err_errno(err, -errno, "connection to sandbox '%s'", name);
	/* The real path may be longer than sun_path. */
	(void)snprintf(
		sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dir_fd, SANDBOX_SOCKET);
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return msb_err_set(
				err, -ENOTCONN, MSB_NOT_FOUND, "sandbox '%s' is not running", name);
		return msb_err_errno(err, -errno, "connection to sandbox '%s'", name);
	}
	r = sandbox_new(loop, fd, events, arg, ret);
	if (r < 0)
		return msb_err_errno(err, r, "connection to sandbox '%s'", name);
	(void)TAKE_FD(fd);
	return 0;
}
