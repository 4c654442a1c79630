/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports of a sandbox, as listings show them. */
#pragma once

#include "base/buf.h"
#include "base/json.h"

#include "sandbox/info.h"

/** ports_text - 127.0.0.1:8080->80/tcp, ...; "-" if there is none; cut off at @size */
const char *ports_text(const struct sandbox_info *info, char *to, size_t size);

/** port_text - number @i of them; the host's port is 0 while it is not known */
const char *port_text(const struct sandbox_info *info, uint32_t i, char to[NET_PORT_TEXT]);

/** ports_members - "ports": a list of objects */
void ports_members(struct json_out *o, const struct sandbox_info *info);
