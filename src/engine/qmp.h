/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QMP, as much of it as an engine needs: which messages QEMU sends and why the machine ended.
 *
 * QMP is one JSON object per line. qmp_parse() keeps the few fields that matter; struct qmp puts
 * lines together from a stream. QEMU may have been taken over by its guest, so a line that is not
 * what QMP says ends the engine.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

enum { QMP_LINE_MAX = 16 * 1024 };

enum qmp_type { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_msg {
	enum qmp_type type;
	char event[32]; /* QMP_EVENT: its name */
	char reason[32]; /* QMP_EVENT: data.reason, "" without */
	bool closed; /* QMP_EVENT: data.open is there and false */
	uint64_t actual; /* QMP_EVENT: data.actual, bytes; 0 without */
	char desc[160]; /* QMP_ERROR: error.desc */
};

/** qmp_parse - one line without its line end; 0, -EBADMSG or -ENOMEM */
int qmp_parse(const char *line, size_t len, struct qmp_msg *ret) MSB_MUST_CHECK;

struct qmp {
	struct buf in;
};

void qmp_init(struct qmp *q);
void qmp_deinit(struct qmp *q);

/** qmp_fill - read what @fd has; 0, -EAGAIN when there is no more, -ENODATA at the end, or another
 * negative errno */
int qmp_fill(struct qmp *q, int fd) MSB_MUST_CHECK;

/** qmp_next - next message of what was read; 0, -EAGAIN when no whole line is there, or as
 * qmp_parse() */
int qmp_next(struct qmp *q, struct qmp_msg *ret) MSB_MUST_CHECK;
