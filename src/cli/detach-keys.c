/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that part a terminal from its command: see detach-keys.h. */
#include "cli/detach-keys.h"

#include "base/str.h"

/* One key of @n bytes; -EINVAL. */
static int parse_key(const char *s, size_t n, uint8_t *ret)
{
	uint8_t c = (uint8_t)s[n - 1];

	if (n == 1 && c >= ' ' && c < 0x7f) {
		*ret = c;
		return 0;
	}
	if (n != 6 || strncmp(s, "ctrl-", 5) != 0)
		return -EINVAL;
	if (c >= 'a' && c <= 'z')
		c = (uint8_t)(c - 'a' + 'A');
	if (c < '@' || c > '_')
		return -EINVAL;
	*ret = c & 0x1f;
	return 0;
}

int detach_keys_parse(void *target, const char *value, struct msb_err *err)
{
	struct detach_keys keys = {.n = 0};
	const char *at = value;
	char quoted[120];
	int r = 0;

	if (streq(value, "none"))
		at = "";
	else if (!value[0])
		r = -EINVAL;
	while (r == 0 && *at) {
		size_t n = strcspn(at, ",");

		r = n == 0 || keys.n == DETACH_KEYS_MAX ? -EINVAL
							: parse_key(at, n, &keys.key[keys.n++]);
		at += n;
		if (*at == ',' && *++at == '\0')
			r = -EINVAL;
	}
	if (r == 0) {
		*(struct detach_keys *)target = keys;
		return 0;
	}
	(void)msb_err_set(err, r, MSB_USAGE, "%s is not a sequence of keys",
		str_quote(quoted, sizeof(quoted), value, strlen(value)));
	return msb_err_hint(err, r, "write for example ctrl-p,ctrl-q, or none");
}

/* The longest end of the first @n keys that is also their beginning, shorter than all of them. */
static unsigned int overlap(const struct detach_keys *k, unsigned int n)
{
	for (unsigned int len = n - 1; len > 0; len--) {
		if (memcmp(k->key, k->key + n - len, len) == 0)
			return len;
	}
	return 0;
}

int detach_keys_feed(struct detach_keys *k, const uint8_t *p, size_t n, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		while (r == 0 && k->seen && p[i] != k->key[k->seen]) {
			unsigned int keep = overlap(k, k->seen);

			r = buf_append(out, k->key, k->seen - keep);
			k->seen = keep;
		}
		if (r == 0 && k->n && p[i] == k->key[k->seen]) {
			if (++k->seen == k->n) {
				k->seen = 0;
				return 1;
			}
		} else if (r == 0) {
			r = buf_append(out, &p[i], 1);
		}
	}
	return r;
}
