/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: all of it. The rules are in base.h; docs/libmsb.md has examples. */
#ifndef MSB_MSB_H
#define MSB_MSB_H

#include <msb/base.h>
#include <msb/exec.h>
#include <msb/files.h>
#include <msb/modify.h>
#include <msb/net.h>
#include <msb/registry.h>
#include <msb/sandbox.h>
#include <msb/store.h>
#include <msb/watch.h>

#endif
