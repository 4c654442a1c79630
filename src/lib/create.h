/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new sandbox: from options, as msb create has them, and an image to a description that can be
 * started.
 *
 * create_init(), create_describe(), create_prepare(), then life_create() with what is in .spec,
 * .image and .preparation, or what else wants them; create_deinit() in any case.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "image/snapshot/snapshot.h"
#include "lib/create-args.h"
#include "lib/from-snapshot.h"
#include "lib/image-fetch.h"
#include "lib/life.h"
#include "lib/run-config.h"
#include "sandbox/spec.h"
#include "sandbox/state.h"

struct create {
	struct create_args *args;
	bool main_command; /* the words behind the image are the sandbox's main process */
	const struct pull_watch *watch; /* may be NULL */
	struct pull_result pulled; /* .made: the image was downloaded */
	struct opt_list env; /* of the user */
	struct image image;
	struct snapshot snapshot; /* --from-snapshot */
	struct oci_config image_config;
	struct run_config config;
	struct sandbox_spec spec;
	struct sandbox_label *labels;
	char name[SANDBOX_NAME_GENERATED];
	char home[PATH_MAX]; /* "" before create_describe(): the default */
	char lib_dir[PATH_MAX]; /* the same */
	char kernel[PATH_MAX];
	struct policy policy;
	struct preparation preparation; /* for life_create(), with .spec.prepare */
	struct guest_fs patching; /* while it is carried out */
};

/** create_init - not to be moved afterwards; create_deinit() */
void create_init(struct create *c, struct create_args *args);

/** create_describe - all that needs no look at the image: mistakes in options come first
 * @words: the image, if one is given, and the command behind it
 */
int create_describe(struct create *c, const struct opt_words *words, struct msb_err *err)
	MSB_MUST_CHECK;

/** create_exists - is there a sandbox of that name that is to be used, running or not? */
bool create_exists(const struct create *c);

/** create_refuse_existing - -EEXIST (MSB_EXISTS) if there is */
int create_refuse_existing(const struct create *c, struct msb_err *err) MSB_MUST_CHECK;

/**
 * create_prepare - get the image, make missing volumes, end the sandbox that is to be replaced
 *
 * -ECANCELED when the download was cancelled. The image is kept until create_deinit() or
 * image_release().
 */
int create_prepare(struct create *c, const struct opt_words *words, struct msb_err *err)
	MSB_MUST_CHECK;
void create_deinit(struct create *c);
