/* SPDX-License-Identifier: Apache-2.0 */
/* Another description for a sandbox that is there. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "lib/secret-args.h"
#include "net/policy/choice.h"

/* What is to be different; zeroed: nothing. */
struct modify_args {
	uint32_t cpus; /* 0: as it is */
	uint32_t max_cpus;
	uint32_t mem_mib;
	uint32_t max_mem_mib;
	struct opt_list env;
	struct opt_list env_rm;
	struct opt_list labels;
	struct opt_list labels_rm;
	const char *workdir;
	struct run_secrets secrets; /* only the list counts */
	struct opt_list secrets_rm;
	struct policy_choice rules; /* only the list counts */
	struct policy_choice rules_rm;
};

/* Its options; OPT_ENDED of them. Lists are opt_deinit()'s. */
extern const struct opt modify_opts[];

/** modify_args_deinit - what the options' parsers made */
void modify_args_deinit(struct modify_args *a);

enum modify_how {
	MODIFY_NOW, /* all at once, or -EBUSY and nothing */
	MODIFY_NEXT_START, /* what a running one cannot take waits */
	MODIFY_RESTART, /* the same, and the caller is told that a restart is due */
	MODIFY_DRY_RUN, /* only the plan */
};

struct modify_item {
	char *field;
	char *before; /* NULL: it was not there */
	char *after; /* NULL: it goes */
	bool live; /* at once */
};

/* What changes. Zeroed: nothing; modify_plan_deinit(). */
struct modify_plan {
	struct modify_item *items;
	size_t n;
	int error; /* negative errno: it is not complete */
	char warning[512]; /* what could not be taken back after a failure, or "" */
};

void modify_plan_deinit(struct modify_plan *p);

/**
 * modify_sandbox - change it, or find out what would change
 * @plan: zeroed; filled as far as possible, also on failure
 *
 * Return: 0, 1 when a restart is due, or a negative errno with a message.
 */
int modify_sandbox(const char *home, const char *name, const struct modify_args *args,
	enum modify_how how, struct modify_plan *plan, struct msb_err *err) MSB_MUST_CHECK;

/* What msb_modify() is given: words, or what a command line has made of them already. */
struct msb_change {
	struct opt_list words;
	const struct modify_args *parsed; /* NULL: @words count */
};
