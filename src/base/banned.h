/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns functions nobody may call into compile errors.
 *
 * Included last by base.h, after the libc headers, so that the fortified inline
 * wrappers of glibc are already defined.
 */
#pragma once

/* Names declared by headers that base.h does not include are caught by build-aux/check-banned.py
 * only. */
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
#pragma GCC poison atoi atol atoll strtol strtoul strtoll strtoull sscanf
#pragma GCC poison popen tmpnam mktemp gmtime localtime
