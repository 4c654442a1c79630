/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on several sandboxes: see names.h. */
#include "cli/names.h"

#include "cli/cli.h"

static int one(const struct names *n, const char *name)
{
	struct msb_err err = {0};
	int r = n->each(n->home, name, n->arg, &err);

	if (r < 0)
		return cli_fail(&err);
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

static int labelled(const struct names *n, int status)
{
	struct sandbox_list list;
	struct msb_err err = {0};
	bool any = false;

	if (labels_check(n->labels, &err) < 0 || sandbox_list_get(n->home, &list, &err) < 0)
		return cli_fail(&err);
	for (size_t i = 0; i < list.n; i++) {
		const struct sandbox_info *info = &list.items[i];
		int s;

		if (!info->readable || !labels_match(&info->spec, n->labels) ||
			is_given(n->words, info->name))
			continue;
		any = true;
		s = one(n, info->name);
		status = s ? s : status;
	}
	sandbox_list_deinit(&list);
	if (!any && !n->words->n)
		cli_note("no sandbox has %s", n->labels->n > 1 ? "these labels" : "this label");
	return status;
}

int names_each(const struct names *n)
{
	struct msb_err err = {0};
	int status = 0;

	if (!n->words->n && !n->labels->n) {
		(void)msb_err_hint(&err, msb_err_set(&err, -EINVAL, MSB_USAGE, "which sandboxes?"),
			"give names, or --label");
		return cli_fail(&err);
	}
	for (size_t i = 0; i < n->words->n; i++) {
		int s = one(n, n->words->items[i]);

		status = s ? s : status;
	}
	return n->labels->n ? labelled(n, status) : status;
}
