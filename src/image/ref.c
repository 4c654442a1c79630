/* SPDX-License-Identifier: Apache-2.0 */
/* Image references by Docker's rules: see ref.h. */
#include "image/ref.h"

#include "base/str.h"

#define DEFAULT_HOST "docker.io"

static bool is_alnum_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_alnum_lower(c) || (c >= 'A' && c <= 'Z');
}

bool image_digest_check(const char *digest)
{
	if (strlen(digest) != REF_DIGEST_LEN || strncmp(digest, "sha256:", 7) != 0)
		return false;
	for (const char *c = digest + 7; *c; c++) {
		if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'f')))
			return false;
	}
	return true;
}

static bool tag_ok(const char *tag)
{
	size_t len = strlen(tag);

	if (len == 0 || len > REF_TAG_MAX || !(is_alnum(tag[0]) || tag[0] == '_'))
		return false;
	for (const char *c = tag; *c; c++) {
		if (!(is_alnum(*c) || strchr("_.-", *c)))
			return false;
	}
	return true;
}

/* Letters and digits, joined by '.', '_', '__' or any number of '-'. */
static bool path_component_ok(const char *s, size_t len)
{
	size_t i = 0;

	if (len == 0 || !is_alnum_lower(s[0]) || !is_alnum_lower(s[len - 1]))
		return false;
	while (i < len) {
		size_t run = 0;

		if (is_alnum_lower(s[i])) {
			i++;
			continue;
		}
		while (i + run < len && s[i + run] == s[i])
			run++;
		if (!(s[i] == '-' || (s[i] == '.' && run == 1) || (s[i] == '_' && run <= 2)) ||
			!is_alnum_lower(s[i + run]))
			return false;
		i += run;
	}
	return true;
}

static bool path_ok(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		if (!path_component_ok(path, len))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

static bool port_ok(const char *port)
{
	uint32_t v;

	return str_to_u32(port, 1, 65535, &v) == 0;
}

/* A name of dotted labels, or an IPv6 address in brackets; then an optional port. */
static bool host_ok(const char *host)
{
	const char *end;

	if (host[0] == '[') {
		end = strchr(host, ']');
		if (!end || end == host + 1 ||
			strspn(host + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - host - 1))
			return false;
		end++;
	} else {
		bool start = true;

		for (end = host; *end && *end != ':'; end++) {
			if (*end == '.' ? start || end[-1] == '-'
					: !(is_alnum(*end) || (*end == '-' && !start)))
				return false;
			start = *end == '.';
		}
		if (start || end[-1] == '-')
			return false;
	}
	return *end == '\0' || (*end == ':' && port_ok(end + 1));
}

static int bad(struct msb_err *err, const char *text, const char *why)
{
	char quoted[160];

	return msb_err_set(err, -EINVAL, MSB_USAGE, "%s is no image reference: %s",
		str_quote(quoted, sizeof(quoted), text, strlen(text)), why);
}

/* Cuts "@digest" and ":tag" off the end of @rest. */
static const char *cut_suffixes(char *rest, struct image_ref *ref)
{
	char *at = strchr(rest, '@');
	char *colon;

	if (at) {
		*at = '\0';
		if (!image_digest_check(at + 1))
			return "the part behind '@' must be sha256: and 64 hexadecimal digits";
		memcpy(ref->digest, at + 1, REF_DIGEST_LEN + 1);
	}
	colon = strrchr(rest, ':');
	if (colon && !strchr(colon, '/')) {
		*colon = '\0';
		if (!tag_ok(colon + 1))
			return "the tag has characters a tag cannot have";
		memcpy(ref->tag, colon + 1, strlen(colon + 1) + 1);
	} else if (!at) {
		memcpy(ref->tag, "latest", sizeof("latest"));
	}
	return NULL;
}

int image_ref_parse(const char *text, struct image_ref *ret, struct msb_err *err)
{
	struct image_ref ref = {.host = DEFAULT_HOST};
	char rest[REF_TEXT_MAX + 1];
	char *path = rest;
	char *slash;
	const char *why;

	if (str_copy(rest, sizeof(rest), text) < 0)
		return bad(err, text, "it is too long");
	slash = strchr(rest, '/');
	if (slash) {
		*slash = '\0';
		if (strpbrk(rest, ".:") || streq(rest, "localhost") || rest[0] == '[') {
			if (strlen(rest) > REF_HOST_MAX || !host_ok(rest))
				return bad(err, text, "the host part is malformed");
			memcpy(ref.host, rest, strlen(rest) + 1);
			path = slash + 1;
		} else {
			*slash = '/';
		}
	}
	/* Other names of the one registry everybody means. */
	if (streq(ref.host, "index.docker.io") || streq(ref.host, "registry-1.docker.io"))
		memcpy(ref.host, DEFAULT_HOST, sizeof(DEFAULT_HOST));
	why = cut_suffixes(path, &ref);
	if (why)
		return bad(err, text, why);
	if (!path_ok(path))
		return bad(err, text,
			"names are lower-case letters and digits, separated by . _ - and /");
	if (snprintf(ref.path, sizeof(ref.path), "%s%s",
		    streq(ref.host, DEFAULT_HOST) && !strchr(path, '/') ? "library/" : "",
		    path) > REF_PATH_MAX)
		return bad(err, text, "the name is too long");
	*ret = ref;
	return 0;
}

static void print(const struct image_ref *ref, const char *name, char ret[REF_TEXT_MAX + 1])
{
	(void)snprintf(ret, REF_TEXT_MAX + 1, "%s%s%s%s%s", name, ref->tag[0] ? ":" : "", ref->tag,
		ref->digest[0] ? "@" : "", ref->digest);
}

void image_ref_print(const struct image_ref *ref, char ret[REF_TEXT_MAX + 1])
{
	char name[REF_HOST_MAX + REF_PATH_MAX + 2];

	(void)snprintf(name, sizeof(name), "%s/%s", ref->host, ref->path);
	print(ref, name, ret);
}

void image_ref_short(const struct image_ref *ref, char ret[REF_TEXT_MAX + 1])
{
	if (!streq(ref->host, DEFAULT_HOST))
		image_ref_print(ref, ret);
	else
		print(ref, str_starts(ref->path, "library/") ? ref->path + 8 : ref->path, ret);
}
