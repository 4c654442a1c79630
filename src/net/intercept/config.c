/* SPDX-License-Identifier: Apache-2.0 */
/* How msb-tls is started: see config.h. */
#include "net/intercept/config.h"

int intercept_config_to_json(const struct intercept_config *c, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_COMPACT);
	json_begin_object(&o, NULL);
	tls_settings_to_json(&c->tls, &o, "tls");
	secret_settings_to_json(&c->secrets, &o, "secrets");
	json_end_object(&o);
	return json_out_end(&o);
}

int intercept_config_from_json(
	const char *text, size_t len, struct intercept_config *ret, struct msb_err *err)
{
	static const char *const keys[] = {"tls", "secrets"};
	struct intercept_config c = {.doc = NULL};
	const struct json *tls = NULL;
	const struct json *secrets = NULL;
	int r = json_parse(text, len, &c.doc, err);

	if (r == 0)
		r = json_only(c.doc, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_object(c.doc, "tls", &tls, err);
	if (r == 0)
		r = tls_settings_from_json(tls, &c.tls, err);
	if (r == 0)
		r = json_opt_object(c.doc, "secrets", &secrets, err);
	if (r == 0 && secrets)
		r = secret_settings_from_json(secrets, &c.secrets, err);
	if (r == 0 && (!c.tls.ca_cert || !c.tls.ca_key))
		r = msb_err_set(err, -EINVAL, MSB_FAIL, "no certificate authority");
	if (r < 0) {
		intercept_config_deinit(&c);
		return msb_err_prefix(err, r, "description of the interception");
	}
	*ret = c;
	return 0;
}

void intercept_config_deinit(struct intercept_config *c)
{
	(void)json_free(c->doc);
	*c = (struct intercept_config){.doc = NULL};
}
