/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is: sandboxes as their directories and locks tell it at this moment.
 *
 * Reading changes nothing and waits for nobody. What a killed supervisor of an ephemeral sandbox
 * left is not reported; sandbox_reap_stale() removes it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "sandbox/record.h"
#include "sandbox/spec.h"

struct sandbox_info {
	char name[LIMIT_SANDBOX_NAME + 1];
	struct sandbox_record record;
	struct sandbox_spec spec; /* owns its strings; empty when !readable */
	bool readable; /* spec.json is there and understood; else @spec_err says why not */
	struct msb_err spec_err;
};

/** sandbox_info_get - one sandbox; sandbox_info_deinit(). -ENOENT (MSB_NOT_FOUND) */
int sandbox_info_get(const char *home, const char *name, struct sandbox_info *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void sandbox_info_deinit(struct sandbox_info *info);

/** sandbox_info_machine - what it has now if it runs, and otherwise what it will start with */
struct sandbox_machine sandbox_info_machine(const struct sandbox_info *info);

/** sandbox_spec_load - the description in @dir_fd; sandbox_spec_deinit() */
int sandbox_spec_load(int dir_fd, struct sandbox_spec *ret, struct msb_err *err) MSB_MUST_CHECK;

/**
 * sandbox_spec_replace - another description in the place of the one in @dir_fd
 *
 * @locked: the lock of the sandbox is held. Without it the sandbox may be removed at any moment:
 * then nothing is written, -ENOENT (MSB_NOT_FOUND). -ENOTSUP: this needs the lock here.
 */
int sandbox_spec_replace(int dir_fd, const struct sandbox_spec *spec, bool locked,
	struct msb_err *err) MSB_MUST_CHECK;

struct sandbox_list {
	struct sandbox_info *items; /* sorted by name */
	size_t n;
	bool stale; /* there is something for sandbox_reap_stale() */
};

/** sandbox_list_get - all of them; sandbox_list_deinit() */
int sandbox_list_get(const char *home, struct sandbox_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
void sandbox_list_deinit(struct sandbox_list *list);
