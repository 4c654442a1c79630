/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of lookups and resolv.conf files of arbitrary bytes. */
#include "net/dns/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};
	struct dns_settings s;
	struct dns_config c = {0};
	int r;

	dns_settings_init(&s);
	dns_settings_add_host(&s, (const char *)data, size);
	assert(s.n_servers >= 1 && s.n_servers <= DNS_SERVERS_MAX);
	r = dns_settings_apply(&s, &c, &err);
	assert(r == 0);
	if (json_parse((const char *)data, size, &v, &err) < 0)
		return 0;
	r = dns_settings_from_json(v, &s, &err);
	assert(r == 0 || err.msg[0]);
	return 0;
}
