/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: a strict bounded reader into a compact tree, accessors that say what is wrong, a writer.
 *
 * The reader takes RFC 8259 and nothing else: valid UTF-8, no byte order mark, no duplicate member
 * names, no lone surrogates, integers that fit int64 (numbers with a fraction or an exponent are
 * doubles; the two are never mixed up). Size, depth and the number of values are capped in
 * base/caps.h, so hostile text costs a bounded amount of time, stack and memory. A document is one
 * allocation; every pointer obtained from it lives until json_free() of its root.
 *
 * The writer appends to a `struct buf` and is sticky: errors are reported once, by json_out_end().
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_INT,
	JSON_DOUBLE,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json; /* one value; the root owns the document */

/**
 * json_parse - read one document that fills @text
 * @text: @len bytes, need not be NUL-terminated, not referenced afterwards
 * @ret: owned by the caller, json_free()
 * @err: gets "line L, column C: what is wrong"
 *
 * Return: 0, -EBADMSG for text that is not strict JSON, -E2BIG over a cap, or -ENOMEM.
 */
int json_parse(const char *text, size_t len, struct json **ret, struct msb_err *err) MSB_MUST_CHECK;

/** json_read_file - json_parse() of the file @path relative to @dirfd; messages name the file */
int json_read_file(int dirfd, const char *path, struct json **ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** json_free - frees the document of this root; NULL is fine; returns NULL */
struct json *json_free(struct json *root);
DEFINE_CLEANUP(struct json *, json_free);
#define cleanup_json cleanup_with(json_free_p)

enum json_type json_type(const struct json *v);

/** json_type_name - "null", "boolean", "integer", "number", "string", "array", "object" */
const char *json_type_name(enum json_type type);

/** json_len - elements of an array, members of an object, bytes of a string, else 0 */
size_t json_len(const struct json *v);

/** json_first - first element or member, NULL for empty containers and for other types */
const struct json *json_first(const struct json *v);

/** json_next - next one of the same container, NULL at the end */
const struct json *json_next(const struct json *v);

/** json_key - member name of a value inside an object, NULL elsewhere; has no inner NUL */
const char *json_key(const struct json *v);

#define json_foreach(item, container) \
	for (const struct json *item = json_first(container); item; item = json_next(item))

/** json_find - member @key of object @obj, NULL when absent or @obj is no object */
const struct json *json_find(const struct json *obj, const char *key);

/** json_bytes - content of a string with its length, inner NUL bytes allowed; NULL for other types
 */
const char *json_bytes(const struct json *v, size_t *ret_len);

/*
 * Conversions of one value. @what names it in the message ("args[2]"). Return: 0, -EINVAL for the
 * wrong type, -ERANGE for a number out of range. @ret is written on success only.
 */

/** json_to_str - string without inner NUL, @ret is NUL-terminated */
int json_to_str(const struct json *v, const char *what, const char **ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_to_int(const struct json *v, const char *what, int64_t min, int64_t max, int64_t *ret,
	struct msb_err *err) MSB_MUST_CHECK;
int json_to_bool(const struct json *v, const char *what, bool *ret, struct msb_err *err)
	MSB_MUST_CHECK;
/** json_to_double - takes integers too */
int json_to_double(const struct json *v, const char *what, double *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/*
 * Required members of @obj. Return: as above, and -ENOENT when the member is absent; the message
 * names the member and what was expected.
 */
int json_get_str(const struct json *obj, const char *key, const char **ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_get_int(const struct json *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
	struct msb_err *err) MSB_MUST_CHECK;
int json_get_u32(const struct json *obj, const char *key, uint32_t min, uint32_t max, uint32_t *ret,
	struct msb_err *err) MSB_MUST_CHECK;
/** json_get_u64 - up to INT64_MAX: larger integers do not exist in our documents */
int json_get_u64(const struct json *obj, const char *key, uint64_t *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_get_bool(const struct json *obj, const char *key, bool *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_get_double(const struct json *obj, const char *key, double *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_get_array(const struct json *obj, const char *key, const struct json **ret,
	struct msb_err *err) MSB_MUST_CHECK;
int json_get_object(const struct json *obj, const char *key, const struct json **ret,
	struct msb_err *err) MSB_MUST_CHECK;

/* Optional members: an absent or null member leaves *@ret as it is (the caller's default). */
int json_opt_str(const struct json *obj, const char *key, const char **ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_opt_int(const struct json *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
	struct msb_err *err) MSB_MUST_CHECK;
int json_opt_u32(const struct json *obj, const char *key, uint32_t min, uint32_t max, uint32_t *ret,
	struct msb_err *err) MSB_MUST_CHECK;
int json_opt_u64(const struct json *obj, const char *key, uint64_t *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_opt_bool(const struct json *obj, const char *key, bool *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_opt_double(const struct json *obj, const char *key, double *ret, struct msb_err *err)
	MSB_MUST_CHECK;
int json_opt_array(const struct json *obj, const char *key, const struct json **ret,
	struct msb_err *err) MSB_MUST_CHECK;
int json_opt_object(const struct json *obj, const char *key, const struct json **ret,
	struct msb_err *err) MSB_MUST_CHECK;

/**
 * json_only - refuse members that are not in @keys (@n of them), so that nothing is silently
 * ignored
 *
 * Return: 0, -EINVAL when @obj is no object or has another member (named in the message).
 */
int json_only(const struct json *obj, const char *const *keys, size_t n, struct msb_err *err)
	MSB_MUST_CHECK;

enum json_style { JSON_COMPACT, JSON_PRETTY };

struct json_out {
	struct buf *buf;
	enum json_style style;
	int error; /* first failure: -ENOBUFS, -ENOMEM, -EILSEQ, -ERANGE, -EINVAL */
	unsigned int depth;
	uint64_t is_object; /* bit per open level */
	uint64_t has_items; /* bit per open level */
	bool done; /* a complete value was written at level 0 */
};

void json_out_init(struct json_out *o, struct buf *buf, enum json_style style);

/**
 * json_out_end - 0 when exactly one complete value was written, else the first error
 *
 * JSON_PRETTY text ends with a newline.
 */
int json_out_end(struct json_out *o) MSB_MUST_CHECK;

/* @key is the member name inside an object and NULL everywhere else. */
void json_begin_object(struct json_out *o, const char *key);
void json_end_object(struct json_out *o);
void json_begin_array(struct json_out *o, const char *key);
void json_end_array(struct json_out *o);
void json_put_null(struct json_out *o, const char *key);
void json_put_bool(struct json_out *o, const char *key, bool v);
void json_put_int(struct json_out *o, const char *key, int64_t v);
/** json_put_u64 - values above INT64_MAX are refused (-ERANGE): the reader would refuse them */
void json_put_u64(struct json_out *o, const char *key, uint64_t v);
/** json_put_double - shortest form that reads back the same; always recognisable as a double;
 * infinities and NaN are -ERANGE */
void json_put_double(struct json_out *o, const char *key, double v);
/** json_put_str - NULL writes null; text that is not UTF-8 is -EILSEQ */
void json_put_str(struct json_out *o, const char *key, const char *s);
void json_put_strn(struct json_out *o, const char *key, const char *s, size_t len);
/** json_put_value - a parsed value with everything below it */
void json_put_value(struct json_out *o, const char *key, const struct json *v);
