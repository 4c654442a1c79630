/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads as msb shows them: bars or lines on stderr, and signals that end them.
 *
 * An interrupt ends msb-pull and gives the terminal back as it was.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "lib/pull.h"

struct pull_show {
	struct pull_watch watch; /* for struct pull_opts */
	struct cancel cancel;
	int signo; /* that ended a download, 0: none */
	/* private */
	struct progress progress;
	struct buf screen; /* what goes to stderr */
	sigset_t old_mask;
};

/** pull_show_init - not to be moved afterwards; nothing to be undone */
void pull_show_init(struct pull_show *s);

/** pull_show_done - "Pulled" what image_fetch() says was downloaded, if it was */
void pull_show_done(const char *word, const struct pull_result *r);
