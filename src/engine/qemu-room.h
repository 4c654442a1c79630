/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of QEMU's machine: it has room for a few. The guest can do without two of them, which are
 * left out when more important ones need their place: the random number device, because the
 * processor has an instruction for that, and the balloon, unless the memory is to change.
 */
#pragma once

#include "engine/engine.h"

struct qemu_room {
	bool rng;
	bool balloon;
};

/** qemu_room_make - what the machine of @spec has room for; -E2BIG with what to use less of */
int qemu_room_make(const struct engine_spec *spec, struct qemu_room *ret, struct msb_err *err)
	MSB_MUST_CHECK;
