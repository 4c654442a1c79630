/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about a sandbox, for programs: see info-json.h. */
#include "lib/info-json.h"

#include "base/json.h"
#include "base/str.h"

bool info_port(const struct sandbox_info *info, size_t i, struct msb_port *ret)
{
	const struct net_ports *ports = &info->spec.net.ports;
	char addr[NET_ADDR_TEXT];
	struct net_port p;

	if (!info->readable || i >= ports->n)
		return false;
	p = ports->list[i];
	/* The description may be another one already, for the next start. */
	if (!p.host && sandbox_status_alive(info->record.status) &&
		info->record.n_ports == ports->n)
		p.host = info->record.ports[i];
	*ret = (struct msb_port){
		.size = sizeof(*ret), .host_port = p.host, .guest_port = p.guest, .udp = p.udp};
	(void)snprintf(ret->bind, sizeof(ret->bind), "%s", net_addr_text(&p.bind, addr));
	return true;
}

static void put_ports(struct json_out *o, const struct sandbox_info *info)
{
	struct msb_port p;

	json_begin_array(o, "ports");
	for (size_t i = 0; info_port(info, i, &p); i++) {
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

static void put_time(struct json_out *o, const char *key, uint64_t real_ns)
{
	char text[TIME_TEXT];

	json_put_str(o, key, real_ns ? time_rfc3339(real_ns, text) : NULL);
}

/* The description as it is kept: its form is part of the output. */
static int put_config(struct json_out *o, const struct sandbox_info *info)
{
	cleanup_json struct json *doc = NULL;
	struct sandbox_spec spec = info->spec;
	struct buf text;
	int r;

	/* It may have been renamed since it was made. */
	spec.name = info->name;
	if (!info->readable) {
		json_put_null(o, "config");
		return 0;
	}
	buf_init(&text, LIMIT_JSON_BYTES);
	r = sandbox_spec_to_json(&spec, &text);
	if (r == 0)
		r = json_parse((const char *)buf_data(&text), buf_len(&text), &doc, NULL);
	if (r == 0)
		json_put_value(o, "config", doc);
	buf_deinit(&text);
	return r;
}

/* What runs, beside what is configured: the two differ by changes that wait for a start. */
static void put_active(struct json_out *o, const struct sandbox_info *info)
{
	const struct sandbox_machine m = sandbox_info_machine(info);

	if (!sandbox_status_alive(info->record.status)) {
		json_put_null(o, "active_config");
		return;
	}
	json_begin_object(o, "active_config");
	json_put_u64(o, "cpus", m.vcpus);
	json_put_u64(o, "max_cpus", m.max_vcpus);
	json_put_u64(o, "memory_mib", m.mem_mib);
	json_put_u64(o, "max_memory_mib", m.max_mem_mib);
	json_end_object(o);
}

int info_json(const struct sandbox_info *info, struct buf *out)
{
	const struct sandbox_record *rec = &info->record;
	struct json_out o;
	int r;

	json_out_init(&o, out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "name", info->name);
	json_put_str(&o, "status", sandbox_status_name(rec->status));
	put_time(&o, "created_at", info->spec.created_ns);
	put_time(&o, "started_at", rec->started_ns);
	put_time(&o, "ended_at", sandbox_status_alive(rec->status) ? 0 : rec->ended_ns);
	json_put_str(&o, "engine", rec->engine[0] ? rec->engine : NULL);
	if (sandbox_status_alive(rec->status))
		json_put_int(&o, "pid", rec->pid);
	else
		json_put_null(&o, "pid");
	json_put_str(&o, "reason", sandbox_reason_name(rec->reason));
	json_put_str(&o, "detail", rec->detail);
	if (rec->exit_status >= 0)
		json_put_int(&o, "exit_status", rec->exit_status);
	else
		json_put_null(&o, "exit_status");
	put_ports(&o, info);
	put_active(&o, info);
	r = put_config(&o, info);
	json_end_object(&o);
	return r < 0 ? r : json_out_end(&o);
}
