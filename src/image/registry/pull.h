/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulling an image: reference to something in the store that boots.
 *
 * The order is what makes a kill harmless: layers, then the image over them, then the reference to
 * it. Whatever the registry sends is checked against the digest it was asked for, before it is
 * believed and before it is visible.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/registry/report.h"
#include "image/registry/request.h"

/**
 * pull_run - do what @req says; the final "done" is reported, a failure is the caller's to report
 * @layer_program: absolute path of msb-layer
 */
int pull_run(const struct request *req, const char *layer_program, struct report *report,
	struct msb_err *err) MSB_MUST_CHECK;
