/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-archive: images from archives into the store and back. One request on standard input and an
 * archive (request.h), events on standard output (image/registry/report.h), exit status 0 or 1.
 */
#include <signal.h>

#include "base/io.h"

#include "image/archive/load.h"
#include "image/archive/save.h"
#include "image/archive/snapshot.h"
#include "image/layer/job.h"

static int read_request(struct archive_request *ret, struct msb_err *err)
{
	struct buf text;
	ssize_t n;
	int r;

	buf_init(&text, ARCHIVE_REQUEST_MAX);
	do
		n = buf_read_fd(&text, STDIN_FILENO, 64 * 1024);
	while (n > 0 || n == -EINTR);
	if (n < 0)
		r = msb_err_errno(err, (int)n, "cannot read the request");
	else
		r = archive_request_parse((const char *)buf_data(&text), buf_len(&text), ret, err);
	buf_deinit(&text);
	return r;
}

static int run(struct report *report, struct msb_err *err)
{
	struct archive_request req = {};
	char layer[PATH_MAX];
	int r = read_request(&req, err);

	if (r == 0)
		r = layer_find_program(layer, err);
	if (r == 0 && req.op == ARCHIVE_LOAD)
		r = load_run(&req, layer, report, err);
	else if (r == 0 && req.op == ARCHIVE_SAVE)
		r = save_run(&req, layer, err);
	else if (r == 0)
		r = snapshot_load_run(&req, layer, err);
	archive_request_deinit(&req);
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
