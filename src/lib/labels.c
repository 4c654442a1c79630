/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of sandboxes: see labels.h. */
#include "lib/labels.h"

#include "base/str.h"

int labels_check(const struct opt_list *wanted, struct msb_err *err)
{
	for (size_t i = 0; i < wanted->n; i++) {
		if (wanted->items[i][0] == '\0' || wanted->items[i][0] == '=')
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"option --label: a label is KEY or KEY=VALUE");
	}
	return 0;
}

/* One allocation: the list, then the names that had a value behind them. */
int labels_make(const struct opt_list *given, struct sandbox_label **ret, struct msb_err *err)
{
	static const char *const reserved[] = {"sandbox.", "microsandbox.", "service."};
	struct sandbox_label *list;
	size_t bytes = 0;
	char *at;
	int r = labels_check(given, err);

	*ret = NULL;
	if (r < 0 || given->n == 0)
		return r;
	for (size_t i = 0; i < given->n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(reserved); k++) {
			if (str_starts(given->items[i], reserved[k]))
				return msb_err_set(err, -EINVAL, MSB_USAGE,
					"option --label: names that begin with '%s' are reserved",
					reserved[k]);
		}
		bytes += strlen(given->items[i]) + 1;
	}
	list = malloc(given->n * sizeof(*list) + bytes);
	if (!list)
		return msb_err_errno(err, -ENOMEM, "labels");
	at = (char *)(list + given->n);
	for (size_t i = 0; i < given->n; i++) {
		size_t len = strlen(given->items[i]);
		char *eq;

		memcpy(at, given->items[i], len + 1);
		eq = strchr(at, '=');
		list[i] = (struct sandbox_label){.name = at, .value = eq ? eq + 1 : at + len};
		if (eq)
			*eq = '\0';
		at += len + 1;
	}
	*ret = list;
	return 0;
}

void labels_free(struct sandbox_label *labels)
{
	free(labels);
}

static bool has_label(const struct sandbox_spec *spec, const char *wanted)
{
	const char *eq = strchr(wanted, '=');
	size_t len = eq ? (size_t)(eq - wanted) : strlen(wanted);

	for (uint32_t i = 0; i < spec->n_labels; i++) {
		const struct sandbox_label *l = &spec->labels[i];

		if (strlen(l->name) == len && memcmp(l->name, wanted, len) == 0)
			return !eq || streq(l->value, eq + 1);
	}
	return false;
}

bool labels_match(const struct sandbox_spec *spec, const struct opt_list *wanted)
{
	for (size_t i = 0; i < wanted->n; i++) {
		if (!has_label(spec, wanted->items[i]))
			return false;
	}
	return true;
}
