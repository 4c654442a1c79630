/* SPDX-License-Identifier: Apache-2.0 */
/* What msb-archive is asked to do: see request.h. */
#include "image/archive/request.h"

static int choice(const struct json *obj, const char *key, const char *const *names, size_t n,
	int *ret, struct msb_err *err)
{
	const char *s = names[0];
	int r = json_opt_str(obj, key, &s, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (streq(s, names[i])) {
			*ret = (int)i;
			return 0;
		}
	}
	return msb_err_set(err, -EINVAL, MSB_USAGE, "unknown %s", key);
}

static int parse_refs(struct archive_request *r, struct msb_err *err)
{
	const struct json *list = NULL;
	int e = json_get_array(r->root, "refs", &list, err);

	if (e < 0)
		return e;
	if (json_len(list) == 0 || json_len(list) > ARCHIVE_REFS_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "at most %d images at once", ARCHIVE_REFS_MAX);
	r->refs = calloc(json_len(list), sizeof(r->refs[0]));
	if (!r->refs)
		return msb_err_errno(err, -ENOMEM, "reading the request");
	json_foreach (item, list) {
		const char *text = NULL;

		e = json_to_str(item, "refs", &text, err);
		if (e == 0)
			e = image_ref_parse(text, &r->refs[r->n_refs], err);
		if (e < 0)
			return e;
		r->n_refs++;
	}
	return 0;
}

static int parse_tag(struct archive_request *r, struct msb_err *err)
{
	const char *tag = NULL;
	int e = json_opt_str(r->root, "tag", &tag, err);

	if (e < 0 || !tag)
		return e;
	e = image_ref_parse(tag, &r->tag, err);
	if (e == 0 && r->tag.digest[0])
		return msb_err_set(err, -EINVAL, MSB_USAGE, "a tag has no digest");
	return e;
}

static int parse(struct archive_request *r, struct msb_err *err)
{
	static const char *const keys[] = {"op", "home", "tag", "refs", "format"};
	static const char *const ops[] = {"load", "save", "load-snapshot"};
	static const char *const formats[] = {"docker", "oci"};
	int op = 0;
	int format = 0;
	int e = json_only(r->root, keys, ARRAY_SIZE(keys), err);

	if (e == 0)
		e = choice(r->root, "op", ops, ARRAY_SIZE(ops), &op, err);
	if (e == 0)
		e = choice(r->root, "format", formats, ARRAY_SIZE(formats), &format, err);
	r->op = (enum archive_op)op;
	r->format = (enum archive_format)format;
	if (e == 0)
		e = json_get_str(r->root, "home", &r->home, err);
	if (e == 0 && r->home[0] != '/')
		e = msb_err_set(err, -EINVAL, MSB_USAGE, "home is no absolute path");
	if (e < 0)
		return e;
	return r->op == ARCHIVE_SAVE ? parse_refs(r, err) : parse_tag(r, err);
}

int archive_request_parse(
	const char *text, size_t len, struct archive_request *ret, struct msb_err *err)
{
	int r;

	*ret = (struct archive_request){};
	r = json_parse(text, len, &ret->root, err);
	return r < 0 ? msb_err_prefix(err, r, "request") : parse(ret, err);
}

void archive_request_deinit(struct archive_request *r)
{
	json_free(r->root);
	free(r->refs);
	*r = (struct archive_request){};
}
