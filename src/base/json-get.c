/* SPDX-License-Identifier: Apache-2.0 */
/* JSON accessors: see json.h. */
#include "base/json-internal.h"
#include "base/str.h"

struct json *json_free(struct json *root)
{
	free(root);
	return NULL;
}

enum json_type json_type(const struct json *v)
{
	return (enum json_type)v->type;
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",
		[JSON_BOOL] = "boolean",
		[JSON_INT] = "integer",
		[JSON_DOUBLE] = "number",
		[JSON_STRING] = "string",
		[JSON_ARRAY] = "array",
		[JSON_OBJECT] = "object",
	};

	return names[type];
}

size_t json_len(const struct json *v)
{
	return v->len;
}

const struct json *json_first(const struct json *v)
{
	return v->type == JSON_ARRAY || v->type == JSON_OBJECT ? v->first : NULL;
}

const struct json *json_next(const struct json *v)
{
	return v->next;
}

const char *json_key(const struct json *v)
{
	return v->key;
}

const struct json *json_find(const struct json *obj, const char *key)
{
	if (obj->type != JSON_OBJECT)
		return NULL;
	json_foreach (v, obj) {
		if (streq(v->key, key))
			return v;
	}
	return NULL;
}

const char *json_bytes(const struct json *v, size_t *ret_len)
{
	if (v->type != JSON_STRING)
		return NULL;
	*ret_len = v->len;
	return v->str;
}

static int wrong_type(const struct json *v, const char *what, const char *want, struct msb_err *err)
{
	(void)msb_err_set(err, -EINVAL, MSB_PROTOCOL, "'%s' must be %s, not %s", what, want,
		json_type_name(json_type(v)));
	return -EINVAL;
}

int json_to_str(const struct json *v, const char *what, const char **ret, struct msb_err *err)
{
	if (v->type != JSON_STRING)
		return wrong_type(v, what, "a string", err);
	if (strlen(v->str) != v->len)
		return msb_err_set(
			err, -EINVAL, MSB_PROTOCOL, "'%s' must not contain a NUL character", what);
	*ret = v->str;
	return 0;
}

int json_to_int(const struct json *v, const char *what, int64_t min, int64_t max, int64_t *ret,
	struct msb_err *err)
{
	if (v->type != JSON_INT)
		return wrong_type(v, what, "an integer", err);
	if (v->integer < min || v->integer > max) {
		(void)msb_err_set(err, -ERANGE, MSB_PROTOCOL,
			"'%s' is %" PRId64 ", it must be within %" PRId64 " and %" PRId64, what,
			v->integer, min, max);
		return -ERANGE;
	}
	*ret = v->integer;
	return 0;
}

int json_to_bool(const struct json *v, const char *what, bool *ret, struct msb_err *err)
{
	if (v->type != JSON_BOOL)
		return wrong_type(v, what, "true or false", err);
	*ret = v->boolean;
	return 0;
}

int json_to_double(const struct json *v, const char *what, double *ret, struct msb_err *err)
{
	if (v->type != JSON_DOUBLE && v->type != JSON_INT)
		return wrong_type(v, what, "a number", err);
	*ret = v->type == JSON_INT ? (double)v->integer : v->number;
	return 0;
}

static int to_container(const struct json *v, const char *what, enum json_type type,
	const struct json **ret, struct msb_err *err)
{
	if (v->type != type)
		return wrong_type(v, what, type == JSON_ARRAY ? "an array" : "an object", err);
	*ret = v;
	return 0;
}

static int to_u64(const struct json *v, const char *what, uint64_t min, uint64_t max, uint64_t *ret,
	struct msb_err *err)
{
	int64_t n;
	int r = json_to_int(v, what, (int64_t)min, (int64_t)max, &n, err);

	if (r == 0)
		*ret = (uint64_t)n;
	return r;
}

static int to_u32(const struct json *v, const char *what, uint32_t min, uint32_t max, uint32_t *ret,
	struct msb_err *err)
{
	uint64_t n;
	int r = to_u64(v, what, min, max, &n, err);

	if (r == 0)
		*ret = (uint32_t)n;
	return r;
}

/* Return: 1 when found, 0 when absent and optional. */
static int member(const struct json *obj, const char *key, bool required, const struct json **ret,
	struct msb_err *err)
{
	const struct json *v;

	if (obj->type != JSON_OBJECT) {
		(void)msb_err_set(err, -EINVAL, MSB_PROTOCOL,
			"must be an object with a member '%s', not %s", key,
			json_type_name(json_type(obj)));
		return -EINVAL;
	}
	v = json_find(obj, key);
	if (!v && required) {
		(void)msb_err_set(err, -ENOENT, MSB_PROTOCOL, "'%s' is missing", key);
		return -ENOENT;
	}
	if (!v || (v->type == JSON_NULL && !required))
		return 0;
	*ret = v;
	return 1;
}

int json_get_str(const struct json *obj, const char *key, const char **ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : json_to_str(v, key, ret, err);
}

int json_get_int(const struct json *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
	struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : json_to_int(v, key, min, max, ret, err);
}

int json_get_u32(const struct json *obj, const char *key, uint32_t min, uint32_t max, uint32_t *ret,
	struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : to_u32(v, key, min, max, ret, err);
}

int json_get_u64(const struct json *obj, const char *key, uint64_t *ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : to_u64(v, key, 0, INT64_MAX, ret, err);
}

int json_get_bool(const struct json *obj, const char *key, bool *ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : json_to_bool(v, key, ret, err);
}

int json_get_double(const struct json *obj, const char *key, double *ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : json_to_double(v, key, ret, err);
}

int json_get_array(
	const struct json *obj, const char *key, const struct json **ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : to_container(v, key, JSON_ARRAY, ret, err);
}

int json_get_object(
	const struct json *obj, const char *key, const struct json **ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, true, &v, err);

	return r <= 0 ? r : to_container(v, key, JSON_OBJECT, ret, err);
}

int json_opt_str(const struct json *obj, const char *key, const char **ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : json_to_str(v, key, ret, err);
}

int json_opt_int(const struct json *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
	struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : json_to_int(v, key, min, max, ret, err);
}

int json_opt_u32(const struct json *obj, const char *key, uint32_t min, uint32_t max, uint32_t *ret,
	struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : to_u32(v, key, min, max, ret, err);
}

int json_opt_u64(const struct json *obj, const char *key, uint64_t *ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : to_u64(v, key, 0, INT64_MAX, ret, err);
}

int json_opt_bool(const struct json *obj, const char *key, bool *ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : json_to_bool(v, key, ret, err);
}

int json_opt_double(const struct json *obj, const char *key, double *ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : json_to_double(v, key, ret, err);
}

int json_opt_array(
	const struct json *obj, const char *key, const struct json **ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : to_container(v, key, JSON_ARRAY, ret, err);
}

int json_opt_object(
	const struct json *obj, const char *key, const struct json **ret, struct msb_err *err)
{
	const struct json *v = NULL;
	int r = member(obj, key, false, &v, err);

	return r <= 0 ? r : to_container(v, key, JSON_OBJECT, ret, err);
}

int json_only(const struct json *obj, const char *const *keys, size_t n, struct msb_err *err)
{
	char quoted[64];

	if (obj->type != JSON_OBJECT)
		return msb_err_set(err, -EINVAL, MSB_PROTOCOL, "must be an object, not %s",
			json_type_name(json_type(obj)));
	json_foreach (v, obj) {
		size_t i;

		for (i = 0; i < n && !streq(keys[i], v->key); i++)
			;
		if (i == n)
			return msb_err_set(err, -EINVAL, MSB_PROTOCOL, "unknown member %s",
				str_quote(quoted, sizeof(quoted), v->key, strlen(v->key)));
	}
	return 0;
}
