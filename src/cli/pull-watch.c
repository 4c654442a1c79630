/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads by src/lib, shown: see pull-watch.h. */
#include "cli/pull-watch.h"

static bool asked(void *arg)
{
	struct pull_watcher *w = arg;

	return pull_show_asked(&w->show) != 0;
}

static struct pull_watcher *watcher_of(void *arg)
{
	return container_of((struct api_watching *)arg, struct pull_watcher, watching);
}

static int on_begin(void *arg, const char *word, bool quiet, struct msb_err *err)
{
	struct pull_watcher *w = watcher_of(arg);
	int r = pull_show_begin(&w->show, word, quiet, err);

	w->cancel.fd = w->show.signal_fd;
	return r;
}

static void on_end(void *arg)
{
	struct pull_watcher *w = watcher_of(arg);

	pull_show_end(&w->show);
	w->cancel.fd = -EBADF;
}

void pull_watcher_init(struct pull_watcher *w)
{
	*w = (struct pull_watcher){.cancel = {.fd = -EBADF, .asked = asked, .arg = w}};
	pull_show_init(&w->show);
	api_watching_init(&w->watching, &w->show.watch, &w->cancel);
	w->watching.inner.begin = on_begin;
	w->watching.inner.end = on_end;
}

void pull_watcher_done(const char *word, const struct pull_result *r)
{
	if (r->made)
		pull_show_done(word, r->downloaded_bytes, r->took_ns);
}
