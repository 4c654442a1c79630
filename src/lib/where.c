/* SPDX-License-Identifier: Apache-2.0 */
/* Where the installation is: see where.h. */
#include "lib/where.h"

#include "base/str.h"

static int lib_dir_from_env(const char *value, char *to, size_t size, struct msb_err *err)
{
	cleanup_free char *real = realpath(value, NULL);
	char quoted[80];
	int r;

	if (!real) {
		r = -errno;
		return msb_err_errno(err, r, "MSB_LIB %s",
			str_quote(quoted, sizeof(quoted), value, strlen(value)));
	}
	r = str_copy(to, size, real);
	return r < 0 ? msb_err_errno(err, r, "MSB_LIB") : 0;
}

int where_lib_dir(char *to, size_t size, struct msb_err *err)
{
	const char *env = getenv("MSB_LIB");
	char exe[PATH_MAX];
	char *slash;
	ssize_t len;
	int n;

	if (env && *env)
		return lib_dir_from_env(env, to, size, err);
	len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (len < 0) {
		int r = msb_err_errno(err, -errno, "cannot find my own installation");

		return msb_err_hint(err, r, "mount /proc or set MSB_LIB");
	}
	exe[len] = '\0';
	/* PREFIX/bin/msb to PREFIX/lib/msb. */
	for (int i = 0; i < 2; i++) {
		slash = strrchr(exe, '/');
		if (slash)
			*slash = '\0';
	}
	n = snprintf(to, size, "%s/lib/msb", exe);
	if (n < 0 || (size_t)n >= size)
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_FAIL, "the path of the installation is too long");
	return 0;
}
