/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: logs of commands and of networks. */
#include <poll.h>

#include "base/io.h"

#include "lib/api.h"
#include "lib/follow.h"
#include "msb/net.h"
#include "msb/watch.h"
#include "sandbox/ledger.h"
#include "sandbox/log-read.h"
#include "sandbox/state.h"

struct msb_logs {
	const struct msb *m;
	int dir_fd;
	int watch_fd; /* negative: none, or none can be had */
	bool watched;
	bool ledger; /* entries are lines and nothing more */
	struct log_reader reader;
	struct log_entry entry;
	bool have; /* @entry */
};

/* @ring: NULL: the log of commands */
static int open_ring(struct msb *m, const char *name, const struct log_ring *ring,
	struct msb_logs **ret, struct msb_error *error)
{
	struct msb_logs *l = calloc(1, sizeof(*l));
	struct msb_err err = {0};
	int r = l ? sandbox_dir_find(m->home, name, &l->dir_fd, &err) : -ENOMEM;

	*ret = NULL;
	if (r < 0) {
		free(l);
		return api_fail(error, &err, r);
	}
	l->m = m;
	l->watch_fd = -1;
	l->ledger = ring != NULL;
	if (ring)
		log_reader_init_ring(&l->reader, ring, l->dir_fd);
	else
		log_reader_init(&l->reader, l->dir_fd);
	*ret = l;
	return 0;
}

int msb_logs_open(struct msb *m, const char *name, struct msb_logs **ret, struct msb_error *error)
{
	return open_ring(m, name, NULL, ret, error);
}

int msb_net_events(struct msb *m, const char *name, struct msb_logs **ret, struct msb_error *error)
{
	return open_ring(m, name, &ledger_ring, ret, error);
}

struct msb_logs *msb_logs_close(struct msb_logs *l)
{
	if (!l)
		return NULL;
	if (l->have)
		log_entry_deinit(&l->entry);
	log_reader_deinit(&l->reader);
	fd_close(l->watch_fd);
	fd_close(l->dir_fd);
	free(l);
	return NULL;
}

static int next_line(struct msb_logs *l, struct msb_log_entry *e)
{
	return log_reader_line(&l->reader, &e->line, &e->line_len);
}

static int next_entry(struct msb_logs *l, struct msb_log_entry *e)
{
	int r = log_reader_next(&l->reader, &l->entry);

	if (r < 0)
		return r;
	l->have = true;
	e->time = l->entry.time;
	e->source = l->entry.source;
	e->id = l->entry.id;
	e->data = l->entry.data;
	e->len = l->entry.len;
	e->line = l->entry.line;
	e->line_len = l->entry.line_len;
	return 0;
}

int msb_logs_next(struct msb_logs *l, struct msb_log_entry *ret, struct msb_error *error)
{
	struct msb_log_entry e = {.size = ret->size};
	struct msb_err err = {0};
	int r;

	if (l->have)
		log_entry_deinit(&l->entry);
	l->have = false;
	r = l->ledger ? next_line(l, &e) : next_entry(l, &e);
	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return api_fail(error, &err,
			msb_err_errno(&err, r, "reading the %s", l->ledger ? "ledger" : "log"));
	memcpy(ret, &e, MIN(ret->size, sizeof(e)));
	return 1;
}

int msb_logs_lost(struct msb_logs *l)
{
	bool lost = l->reader.lost;

	l->reader.lost = false;
	return lost;
}

int msb_logs_running(const struct msb_logs *l)
{
	return sandbox_dir_alive(l->dir_fd);
}

int msb_logs_wait(struct msb_logs *l, unsigned int timeout_ms, struct msb_error *error)
{
	struct api_cancel c;
	const struct cancel *cancel = api_cancel_begin(&c, l->m);
	struct pollfd p[2] = {
		{.events = POLLIN}, {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
	struct msb_err err = {0};
	int r = 0;

	if (!l->watched) {
		l->watched = true;
		/* What came before it is there to be read. */
		l->watch_fd = follow_open(l->dir_fd);
		return 0;
	}
	p[0].fd = l->watch_fd;
	if (poll(p, 2, (int)MIN(timeout_ms, (unsigned int)INT_MAX)) < 0 && errno != EINTR)
		r = msb_err_errno(&err, -errno, "the log");
	else if (p[0].revents)
		follow_wait(l->watch_fd);
	if (r == 0 && cancel && p[1].revents && cancel_asked(cancel))
		r = msb_err_set(&err, -ECANCELED, MSB_FAIL, "interrupted");
	return api_cancel_end(&c, error, &err, r);
}

int msb_kernel_log(
	struct msb *m, const char *name, char **ret, size_t *ret_len, struct msb_error *error)
{
	cleanup_fd int dir_fd = -EBADF;
	struct msb_err err = {0};
	size_t len = 0;
	int r = sandbox_dir_find(m->home, name, &dir_fd, &err);

	*ret = NULL;
	if (r == 0) {
		r = io_read_file(dir_fd, SANDBOX_LOG, LIMIT_CONSOLE_LOG + 4096, ret, &len);
		if (r < 0)
			(void)msb_err_errno(&err, r, "the kernel's log");
	}
	if (r == 0 && ret_len)
		*ret_len = len;
	return api_result(error, &err, r);
}
