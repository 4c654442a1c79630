/* SPDX-License-Identifier: Apache-2.0 */
/* What the library knows about images and snapshots: see about.h. */
#include "cli/about.h"

#include "cli/cli.h"
#include "lib/human.h"

int about_line(struct buf *out, const char *name, const char *value)
{
	char clean[4096];

	return buf_printf(out, "%s%s%*s%s\n", name, name[0] ? ":" : " ", (int)(14 - strlen(name)),
		"", human_text(clean, sizeof(clean), value));
}

const char *about_str(const struct json *doc, const char *key)
{
	const char *s = "";

	return json_opt_str(doc, key, &s, NULL) == 0 && s ? s : "";
}

uint64_t about_u64(const struct json *doc, const char *key)
{
	uint64_t v = 0;

	return json_opt_u64(doc, key, &v, NULL) == 0 ? v : 0;
}

int about_json(const struct msb_items *l, size_t i, struct json **ret)
{
	const char *text = msb_items_json(l, i);

	return json_parse(text, strlen(text), ret, NULL);
}

const char *about_digest(char to[ABOUT_DIGEST], const char *digest)
{
	(void)snprintf(to, ABOUT_DIGEST, "%.*s", ABOUT_DIGEST - 1, digest);
	return to;
}

int about_print(struct buf *text, int r)
{
	struct msb_err err = {0};

	if (r == 0)
		return cli_print(text);
	(void)msb_err_errno(&err, r, "writing the answer");
	return cli_fail(&err);
}

int about_print_list(const struct msb_items *l)
{
	struct json_out o;
	struct buf out;
	int status;
	int r = 0;

	buf_init(&out, ABOUT_TEXT_MAX);
	json_out_init(&o, &out, JSON_PRETTY);
	json_begin_array(&o, NULL);
	for (size_t i = 0; r == 0 && i < msb_items_size(l); i++) {
		cleanup_json struct json *doc = NULL;

		if (msb_items_problem(l, i)[0])
			continue;
		r = about_json(l, i, &doc);
		if (r == 0)
			json_put_value(&o, NULL, doc);
	}
	json_end_array(&o);
	status = r < 0 ? about_print(&out, r) : cli_print_json(&o, &out);
	buf_deinit(&out);
	return status;
}
