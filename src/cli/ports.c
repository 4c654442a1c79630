/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports of a sandbox: see ports.h. */
#include "cli/ports.h"

/* Number @i as it is now: of a sandbox that runs, a port that the host chose is known. */
static struct net_port port_now(const struct sandbox_info *info, uint32_t i)
{
	struct net_port p = info->spec.net.ports.list[i];

	/* The description may be another one already, for the next start. */
	if (!p.host && sandbox_status_alive(info->record.status) &&
		info->record.n_ports == info->spec.net.ports.n)
		p.host = info->record.ports[i];
	return p;
}

const char *port_text(const struct sandbox_info *info, uint32_t i, char to[NET_PORT_TEXT])
{
	struct net_port p = port_now(info, i);
	bool v6 = p.bind.family == NET_V6;
	char addr[NET_ADDR_TEXT];

	(void)snprintf(to, NET_PORT_TEXT, "%s%s%s:%u->%u/%s", v6 ? "[" : "",
		net_addr_text(&p.bind, addr), v6 ? "]" : "", p.host, p.guest,
		p.udp ? "udp" : "tcp");
	return to;
}

const char *ports_text(const struct sandbox_info *info, char *to, size_t size)
{
	char one[NET_PORT_TEXT];
	size_t used = 0;

	(void)snprintf(to, size, "-");
	for (uint32_t i = 0; i < info->spec.net.ports.n && used < size; i++) {
		int n = snprintf(
			to + used, size - used, "%s%s", i ? ", " : "", port_text(info, i, one));

		used += n > 0 ? (size_t)n : 0;
	}
	return to;
}

void ports_members(struct json_out *o, const struct sandbox_info *info)
{
	char addr[NET_ADDR_TEXT];

	json_begin_array(o, "ports");
	for (uint32_t i = 0; i < info->spec.net.ports.n; i++) {
		struct net_port p = port_now(info, i);

		json_begin_object(o, NULL);
		json_put_str(o, "bind", net_addr_text(&p.bind, addr));
		if (p.host)
			json_put_u64(o, "host_port", p.host);
		else
			json_put_null(o, "host_port");
		json_put_u64(o, "guest_port", p.guest);
		json_put_str(o, "protocol", p.udp ? "udp" : "tcp");
		json_end_object(o);
	}
	json_end_array(o);
}
