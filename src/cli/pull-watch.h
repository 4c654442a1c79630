/* SPDX-License-Identifier: Apache-2.0 */
/* pull-show.h for commands that download by src/lib: what they run on has to come first. */
#pragma once

#include "cli/pull-show.h"
#include "lib/api-pull.h"

struct pull_watcher {
	struct api_watching watching; /* .inner is for struct pull_opts and its like */
	struct pull_show show;
	struct cancel cancel; /* private */
};

/** pull_watcher_init - not to be moved afterwards; nothing to be undone */
void pull_watcher_init(struct pull_watcher *w);

/** pull_watcher_done - "Pulled" what image_fetch() says was downloaded, if it was */
void pull_watcher_done(const char *word, const struct pull_result *r);
