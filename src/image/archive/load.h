/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading images from an archive into the store.
 *
 * First everything that is small is read and checked: manifests, configurations, names. Then the
 * layers that the store does not have, each through its own msb-layer; then the images; and when
 * all of them are there, their names. What fails, or is killed, before that changes no name.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/archive/request.h"
#include "image/registry/report.h"

int load_run(const struct archive_request *req, const char *layer_program, struct report *report,
	struct msb_err *err) MSB_MUST_CHECK;
