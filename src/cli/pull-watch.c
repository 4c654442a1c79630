/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads by src/lib, shown: see pull-watch.h. */
#include "cli/pull-watch.h"

#include "lib/api-pull.h"

static bool asked(void *arg)
{
	struct pull_watcher *w = arg;

	return pull_show_asked(&w->show) != 0;
}

static int on_begin(void *arg, const char *word, bool quiet, struct msb_err *err)
{
	struct pull_watcher *w = arg;
	int r = pull_show_begin(&w->show, word, quiet, err);

	w->cancel.fd = w->show.signal_fd;
	return r;
}

static int on_event(void *arg, const struct pull_event *e, struct msb_err *err)
{
	struct pull_watcher *w = arg;
	struct msb_pull_event told;
	int r = api_pull_event(e, &told) ? w->show.watch.event(&w->show, &told) : 0;

	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

static int on_idle(void *arg, struct msb_err *err)
{
	struct pull_watcher *w = arg;
	int r = w->show.watch.idle(&w->show);

	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

static void on_end(void *arg)
{
	struct pull_watcher *w = arg;

	pull_show_end(&w->show);
	w->cancel.fd = -EBADF;
}

void pull_watcher_init(struct pull_watcher *w)
{
	*w = (struct pull_watcher){
		.watch = {.begin = on_begin,
			.event = on_event,
			.idle = on_idle,
			.end = on_end,
			.arg = w,
			.cancel = &w->cancel},
		.cancel = {.fd = -EBADF, .asked = asked, .arg = w},
	};
	pull_show_init(&w->show);
}

void pull_watcher_done(const char *word, const struct pull_result *r)
{
	if (r->made)
		pull_show_done(word, r->downloaded_bytes, r->took_ns);
}
