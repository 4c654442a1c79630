/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and foreign text as people read them. */
#pragma once

#include "base/base.h"

enum { HUMAN_SIZE = 24 };

/** human_size - "512 B", "49.5 MiB", "1.2 GiB"; returns @to */
const char *human_size(char to[HUMAN_SIZE], uint64_t bytes);

/** size_mib - "512 MiB", "1.5 GiB" */
const char *size_mib(uint64_t mib, char to[HUMAN_SIZE]);

/**
 * human_text - foreign text for a terminal
 *
 * Control characters, broken UTF-8 and characters that change the direction of text become '?',
 * so that nothing moves the cursor or looks like something else. Cut off at @size, never within a
 * character. Return: @to.
 */
const char *human_text(char *to, size_t size, const char *text);

/** human_width - columns that @text (made by human_text()) takes, one for each character */
size_t human_width(const char *text);
