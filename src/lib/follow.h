/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for files of a sandbox to grow. */
#pragma once

#include "base/base.h"

/** follow_open - a descriptor for follow_wait() on the directory @dir_fd; negative: it will do, too
 */
int follow_open(int dir_fd);

/** follow_wait - until something there has been written, or for half a second */
void follow_wait(int fd);
