/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports of a sandbox, as listings show them. */
#pragma once

#include "base/base.h"
#include "base/json.h"

#include "msb/sandbox.h"

enum { PORT_TEXT = MSB_PORT_BIND + 32 };

/** port_text - 127.0.0.1:8080->80/tcp; the host's port is 0 while it is not known */
const char *port_text(const struct msb_port *p, char to[PORT_TEXT]);

/** ports_text - all of them with commas; "-" if there is none; cut off at @size */
const char *ports_text(const struct msb_info *info, char *to, size_t size);

/** ports_members - "ports": a list of objects */
void ports_members(struct json_out *o, const struct msb_info *info);
