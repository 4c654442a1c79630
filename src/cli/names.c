/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on several sandboxes: see names.h. */
#include "cli/names.h"

static int one(const struct names *n, struct cli_api *api, const char *name)
{
	struct msb_error e = MSB_ERROR_INIT;

	if (n->each(api, name, n->arg, &e) < 0)
		return cli_api_fail(&e);
	if (n->done && !n->quiet)
		cli_done(n->done, "%s", name);
	return 0;
}

static bool is_given(const struct opt_list *words, const char *name)
{
	for (size_t i = 0; i < words->n; i++) {
		if (streq(words->items[i], name))
			return true;
	}
	return false;
}

static int labelled(const struct names *n, struct cli_api *api, int status)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_list *list = NULL;
	bool any = false;

	if (msb_list(api->msb, n->labels->items, &list, &e) < 0)
		return cli_api_fail(&e);
	for (size_t i = 0; i < msb_list_size(list); i++) {
		const char *name = msb_info_name(msb_list_at(list, i));
		int s;

		if (is_given(n->words, name))
			continue;
		any = true;
		s = one(n, api, name);
		status = s ? s : status;
	}
	(void)msb_list_free(list);
	if (!any && !n->words->n)
		cli_note("no sandbox has %s", n->labels->n > 1 ? "these labels" : "this label");
	return status;
}

int names_each(const struct names *n)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int status = 0;

	if (!n->words->n && !n->labels->n) {
		struct msb_err err;

		(void)msb_err_hint(
			&err, msb_err_usage(&err, "which sandboxes?"), "give names, or --label");
		return cli_fail(&err);
	}
	if (cli_api_open(&api, n->common, &e) < 0)
		return cli_api_fail(&e);
	for (size_t i = 0; i < n->words->n; i++) {
		int s = one(n, &api, n->words->items[i]);

		status = s ? s : status;
	}
	if (n->labels->n)
		status = labelled(n, &api, status);
	cli_api_close(&api);
	return status;
}
