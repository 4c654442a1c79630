/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads as msb shows them: bars or lines on stderr, and signals that end them.
 *
 * An interrupt ends msb-pull and gives the terminal back as it was.
 */
#pragma once

#include <signal.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#include "cli/progress.h"
#include "msb/registry.h"

struct pull_show {
	struct msb_pull_watch watch;
	int signal_fd; /* between begin and end; for msb_set_cancel() with pull_show_asked() */
	int signo; /* that ended a download, 0: none */
	/* private */
	struct progress progress;
	struct buf screen; /* what goes to stderr */
	sigset_t old_mask;
};

/** pull_show_init - not to be moved afterwards; nothing to be undone */
void pull_show_init(struct pull_show *s);

/** pull_show_begin - signals come through a descriptor until pull_show_end(); @word is borrowed */
int pull_show_begin(struct pull_show *s, const char *word, bool quiet, struct msb_err *err)
	MSB_MUST_CHECK;

/** pull_show_asked - a signal has come: is it a reason to end? @arg: the struct pull_show */
int pull_show_asked(void *arg);
void pull_show_end(struct pull_show *s);

/** pull_show_done - "Pulled" what was downloaded */
void pull_show_done(const char *word, uint64_t bytes, uint64_t took_ns);
