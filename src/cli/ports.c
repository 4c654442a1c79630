/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports of a sandbox: see ports.h. */
#include "cli/ports.h"

const char *port_text(const struct msb_port *p, char to[PORT_TEXT])
{
	bool v6 = strchr(p->bind, ':') != NULL;

	(void)snprintf(to, PORT_TEXT, "%s%s%s:%u->%u/%s", v6 ? "[" : "", p->bind, v6 ? "]" : "",
		p->host_port, p->guest_port, p->udp ? "udp" : "tcp");
	return to;
}

const char *ports_text(const struct msb_info *info, char *to, size_t size)
{
	struct msb_port p = MSB_PORT_INIT;
	char one[PORT_TEXT];
	size_t used = 0;

	(void)snprintf(to, size, "-");
	for (size_t i = 0; used < size && msb_info_port(info, i, &p); i++) {
		int n = snprintf(to + used, size - used, "%s%s", i ? ", " : "", port_text(&p, one));

		used += n > 0 ? (size_t)n : 0;
	}
	return to;
}

void ports_members(struct json_out *o, const struct msb_info *info)
{
	struct msb_port p = MSB_PORT_INIT;

	json_begin_array(o, "ports");
	for (size_t i = 0; msb_info_port(info, i, &p); i++) {
		json_begin_object(o, NULL);
		json_put_str(o, "bind", p.bind);
		if (p.host_port)
			json_put_u64(o, "host_port", p.host_port);
		else
			json_put_null(o, "host_port");
		json_put_u64(o, "guest_port", p.guest_port);
		json_put_str(o, "protocol", p.udp ? "udp" : "tcp");
		json_end_object(o);
	}
	json_end_array(o);
}
