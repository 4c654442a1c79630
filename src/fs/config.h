/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How msb-fs is started: descriptors and words.
 *
 * argv[1] says what is spoken on FS_FD_SOCKET: "link" (proto/fslink.h, with msb-vmm) or "vhost"
 * (vhost-user, with QEMU). The other words are options of the share, NAME or NAME=VALUE, as
 * fs_config_words() writes them. The process ends when its peer closes the socket.
 */
#pragma once

#include "base/err.h"

#include "fs/server.h"

enum {
	FS_FD_SOCKET = 3,
	FS_FD_SHARE = 4,
	FS_FD_USAGE = 5, /* fs_options.whole */
	FS_WORDS_MAX = 11,
	FS_WORD_SIZE = 300
};

enum fs_speech { FS_LINK, FS_VHOST };

/** fs_config_parse - of argc and argv of the process */
int fs_config_parse(int argc, char *const *argv, enum fs_speech *ret_speech, struct fs_options *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** fs_config_words - the words that say @o; how many */
unsigned int fs_config_words(const struct fs_options *o, char words[FS_WORDS_MAX][FS_WORD_SIZE]);
