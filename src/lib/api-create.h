/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox that libmsb is making: from a struct msb_config to what can be started. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "lib/api-pull.h"
#include "lib/api-words.h"
#include "lib/api.h"
#include "lib/config.h"
#include "lib/create.h"
#include "lib/life.h"
#include "msb/sandbox.h"

struct creation {
	const struct msb *m;
	struct msb_create_options o;
	bool existing; /* one of that name is to be used as it is */
	struct config config;
	struct create_args args; /* unless they were parsed before */
	struct create create;
	bool begun; /* @create was initialised */
	struct opt_program prog; /* of @parsed */
	struct api_parsed parsed;
	struct opt_words rest; /* the image and the command */
	struct api_watching watching;
	struct api_cancel cancel;
	const struct cancel *asked; /* of this phase, NULL: none */
	struct life_error err;
};

/** creation_new - @options: NULL: the defaults; creation_free(). NULL: no memory */
struct creation *creation_new(const struct msb *m, const struct msb_create_options *options);
struct creation *creation_free(struct creation *n);

/** creation_prepare - until only the start is left; messages are in n->err
 * @background: its command is its main process, nobody is attached to it */
int creation_prepare(struct creation *n, const struct msb_config *c, bool background)
	MSB_MUST_CHECK;

/** creation_enter - tell the caller, who may choose here how the phase can be ended */
int creation_enter(struct creation *n, enum msb_phase phase, const char *what, struct msb_err *err)
	MSB_MUST_CHECK;

/** creation_image_fd - for sandbox_spawn() */
static inline int creation_image_fd(const struct creation *n)
{
	return n->create.image.fd >= 0 ? n->create.image.fd : -1;
}

/** api_config_table - the options that words of a struct msb_config are of */
extern const struct api_table api_config_table;
