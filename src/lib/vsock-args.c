/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host that the guest may reach: see vsock-args.h. */
#include "lib/vsock-args.h"

#include <sys/stat.h>

#include "base/str.h"

#include "vsock/route.h"

/* What is there already must be a socket: nothing else would ever be connected to. */
static int check(const char *path, struct msb_err *err)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0 || S_ISSOCK(st.st_mode))
		return 0;
	if (!S_ISLNK(st.st_mode))
		return msb_err_usage(err, "%.110s is no socket", path);
	r = msb_err_usage(err, "%.110s is a symbolic link", path);
	return msb_err_hint(err, r, "name what it points to");
}

static int resolve(const char *given, char to[VSOCK_PATH_SIZE], struct msb_err *err)
{
	cleanup_free char *dir = strdup(given);
	cleanup_free char *real = NULL;
	const char *name;
	char *slash;
	int n;

	if (!dir)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	slash = strrchr(dir, '/');
	name = slash ? strrchr(given, '/') + 1 : given;
	if (!name[0] || streq(name, ".") || streq(name, ".."))
		return msb_err_usage(err, "'%.100s' is no name of a socket", given);
	if (slash)
		*slash = '\0';
	real = realpath(!slash ? "." : dir[0] ? dir : "/", NULL);
	if (!real)
		return msb_err_errno(err, -errno, "directory of the socket '%.100s'", given);
	n = snprintf(to, VSOCK_PATH_SIZE, "%s/%s", streq(real, "/") ? "" : real, name);
	if (n >= 0 && n < VSOCK_PATH_SIZE)
		return check(to, err);
	return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
		"the path of a host socket has less than %d bytes", VSOCK_PATH_SIZE);
}

int run_parse_vsock(void *target, const char *value, struct msb_err *err)
{
	struct vsock_route given;
	struct vsock_route route;
	int r = vsock_route_parse(value, &given, err);

	if (r < 0)
		return r;
	route = (struct vsock_route){.port = given.port};
	r = resolve(given.path, route.path, err);
	return r < 0 ? r : vsock_routes_add(target, &route, err);
}
