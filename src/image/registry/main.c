/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-pull: brings images from registries into the store. One request on standard input
 * (request.h), events on standard output (report.h), exit status 0 or 1.
 */
#include <libgen.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/io.h"

#include "image/registry/http.h"
#include "image/registry/pull.h"

static int read_request(struct request *ret, struct msb_err *err)
{
	struct buf text;
	ssize_t n;
	int r;

	buf_init(&text, REQUEST_BYTES_MAX);
	do
		n = buf_read_fd(&text, STDIN_FILENO, 64 * 1024);
	while (n > 0 || n == -EINTR);
	if (n < 0)
		r = msb_err_errno(err, (int)n, "cannot read the request");
	else
		r = request_parse((const char *)buf_data(&text), buf_len(&text), ret, err);
	/* It may hold a password. */
	if (text.base)
		explicit_bzero(text.base, text.cap);
	buf_deinit(&text);
	return r;
}

/* msb-layer stands where MSB_LIB says, or beside this program. */
static int find_layer_program(char ret[PATH_MAX], struct msb_err *err)
{
	const char *lib = getenv("MSB_LIB");
	char self[PATH_MAX];
	ssize_t n;

	if (!lib || !lib[0]) {
		n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		if (n < 0)
			return msb_err_errno(err, -errno, "cannot find msb-layer");
		self[n] = '\0';
		lib = dirname(self);
	}
	if (snprintf(ret, PATH_MAX, "%s/msb-layer", lib) >= PATH_MAX || ret[0] != '/')
		return msb_err_set(err, -EINVAL, MSB_USAGE, "MSB_LIB is no absolute path");
	if (access(ret, X_OK) < 0)
		return msb_err_errno(err, -errno, "cannot run %s", ret);
	return 0;
}

/* A merge opens one file for each layer, and again in the child. */
static void raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = MIN(l.rlim_max, (rlim_t)65536);
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int run(struct report *report, struct msb_err *err)
{
	struct request req = {};
	char layer[PATH_MAX];
	int r = read_request(&req, err);

	if (r == 0) {
		report->quiet = req.quiet;
		r = find_layer_program(layer, err);
	}
	if (r == 0)
		r = http_global_init(err);
	if (r == 0)
		r = pull_run(&req, layer, report, err);
	request_deinit(&req);
	return r;
}

int main(void)
{
	struct report report;
	struct msb_err err = {};

	(void)signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	report_init(&report, STDOUT_FILENO, false);
	if (run(&report, &err) == 0)
		return 0;
	report_error(&report, &err);
	return 1;
}
