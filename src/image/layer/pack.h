/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's tar again, from its recipe and its data: see recipe.h. */
#pragma once

#include "base/base.h"
#include "base/err.h"

/** pack_layer - write the tar to @out_fd; descriptors are borrowed */
int pack_layer(int recipe_fd, int data_fd, int out_fd, struct msb_err *err) MSB_MUST_CHECK;
