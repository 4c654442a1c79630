/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of host names: see pattern.h. */
#include "net/policy/pattern.h"

static bool fit(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.:";
	size_t len = strlen(name);

	return len > 0 && name[0] != '.' && name[len - 1] != '.' && !strstr(name, "..") &&
	       strspn(name, letters) == len;
}

int name_pattern_parse(const char *text, struct name_pattern *ret, struct msb_err *err)
{
	struct name_pattern p = {.below = strncmp(text, "*.", 2) == 0 || streq(text, "*")};
	const char *name = streq(text, "*") ? "" : text + (p.below ? 2 : 0);
	size_t len = strlen(name);

	if (len >= sizeof(p.name))
		return msb_err_usage(err, "'%.60s...': longer than names are", text);
	for (size_t i = 0; i < len; i++)
		p.name[i] =
			(char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
	if (!streq(text, "*") && !fit(p.name)) {
		int r = msb_err_usage(err, "'%.100s' is not the name of a host", text);

		return msb_err_hint(err, r, "write api.example.com, *.example.com or *");
	}
	*ret = p;
	return 0;
}

bool name_pattern_matches(const struct name_pattern *p, const char *name)
{
	size_t len = strlen(name);
	size_t suffix = strlen(p->name);

	if (suffix == 0)
		return p->below;
	if (len == suffix)
		return memcmp(name, p->name, len) == 0;
	return p->below && len > suffix && name[len - suffix - 1] == '.' &&
	       memcmp(name + len - suffix, p->name, suffix) == 0;
}

bool name_pattern_any(const struct name_pattern *p, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (name_pattern_matches(&p[i], name))
			return true;
	}
	return false;
}
