/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the JSON of a sandbox description, for its writer and its reader. */
#pragma once

#include "base/json.h"

#include "sandbox/spec.h"

#define SECURITY_RESTRICTED "restricted"

extern const char *const spec_engine_names[ENGINE_QEMU + 1];
extern const char *const spec_image_names[IMAGE_OCI + 1];
extern const char *const spec_upper_names[UPPER_FLAT + 1];
extern const char *const spec_root_names[ROOT_DISK + 1];
