/* SPDX-License-Identifier: Apache-2.0 */
/* Inside modify_sandbox(): what changes (modify-change.c, modify-secrets.c) and how it is done. */
#pragma once

#include "lib/life.h"
#include "lib/modify.h"
#include "sandbox/info.h"

enum { VALUE_MAX = 4096 };

/* The new description, and the owners of what is new in it. */
struct change {
	const struct modify_args *args;
	enum modify_how how;
	struct sandbox_spec *spec;
	const struct sandbox_machine *now; /* of a running one; NULL: it does not run */
	struct life_change live; /* what the guest is asked for */
	struct opt_list given; /* NAME=VALUE of --env */
	struct opt_list env;
	struct sandbox_label *given_labels;
	struct sandbox_label *labels;
	struct policy policy;
	const struct policy *old_policy;
	bool rules; /* the policy is another one */
	struct secret_settings secrets; /* new */
	struct secret_settings old_secrets;
	bool secrets_live; /* they are another ones, and what runs is told */
	struct modify_plan *plan;
	bool waits; /* something that a running sandbox does not take */
};

struct place {
	const char *home;
	const char *name;
	struct sandbox_dir dir; /* locked, unless it runs */
	int dir_fd; /* has the flock() */
	bool running;
};

/** change_note - a line of the plan. @live: a running sandbox takes it; failures are told by
 * change_make() */
void change_note(
	struct change *c, const char *field, const char *before, const char *after, bool live);

bool change_in_list(const struct opt_list *list, const char *name);

/** change_make - the new description, from the options */
int change_make(struct change *c, struct msb_err *err) MSB_MUST_CHECK;

/** change_secrets - of change_make(): the secrets of the new description */
int change_secrets(struct change *c, struct msb_err *err) MSB_MUST_CHECK;

/** change_check_values - there is a value where one is needed, before anything is stopped */
int change_check_values(const struct change *c, const struct place *p, struct msb_err *err)
	MSB_MUST_CHECK;

/** change_apply_secrets - what runs gets them; the last of what is done at once: a value that is
 * gone cannot be brought back. If the description cannot be written then, the new ones count until
 * the next start */
int change_apply_secrets(const struct change *c, const struct place *p, struct msb_err *err)
	MSB_MUST_CHECK;
