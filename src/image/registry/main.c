/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-pull: brings images from registries into the store. One request on standard input
 * (request.h), events on standard output (report.h), exit status 0 or 1.
 */
#include <signal.h>

#include "base/io.h"

#include "image/layer/job.h"
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

static int run(struct report *report, struct msb_err *err)
{
	struct request req = {};
	char layer[PATH_MAX];
	int r = read_request(&req, err);

	if (r == 0) {
		report->quiet = req.quiet;
		r = layer_find_program(layer, err);
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
	layer_raise_descriptors();
	report_init(&report, STDOUT_FILENO, false);
	if (run(&report, &err) == 0)
		return 0;
	report_error(&report, &err);
	return 1;
}
