/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/caps.h"
#include "base/io.h"
#include "base/json.h"

#include "test.h"

static int parse(const char *text, struct json **ret, struct msb_err *err)
{
	return json_parse(text, strlen(text), ret, err);
}

/* Refused, and the message holds @what. */
static void refuse(const char *text, const char *what)
{
	struct json *v = NULL;
	struct msb_err err = {0};

	if (parse(text, &v, &err) == 0)
		test_fail(__FILE__, __LINE__, "accepted: %s", text);
	ASSERT_TRUE(v == NULL);
	if (!strstr(err.msg, what))
		test_fail(__FILE__, __LINE__, "%s: message is '%s', expected '%s'", text, err.msg,
			what);
}

/* Read and written compactly it is @want. */
static void round_trip(const char *text, const char *want)
{
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};
	struct json_out o;
	struct buf b;

	if (parse(text, &v, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", text, err.msg);
	buf_init(&b, MIB);
	json_out_init(&o, &b, JSON_COMPACT);
	json_put_value(&o, NULL, v);
	ASSERT_OK(json_out_end(&o));
	ASSERT_STREQ(buf_cstr(&b), want);
	buf_deinit(&b);
}

TEST(accepts_every_kind_of_value)
{
	round_trip(" null ", "null");
	round_trip("true", "true");
	round_trip("\t[ false , 1 ]\r\n", "[false,1]");
	round_trip("[]", "[]");
	round_trip("{ }", "{}");
	round_trip("{\"a\":{\"b\":[1,{}]},\"c\":\"\"}", "{\"a\":{\"b\":[1,{}]},\"c\":\"\"}");
	round_trip("\"\\u0041\\u00e9\\ud83d\\ude00\\n\\/\"", "\"A\xc3\xa9\xf0\x9f\x98\x80\\n/\"");
	round_trip("\"\\u0000\\u001f\"", "\"\\u0000\\u001f\"");
}

TEST(integers_and_doubles_stay_apart)
{
	round_trip("9223372036854775807", "9223372036854775807");
	round_trip("-9223372036854775808", "-9223372036854775808");
	round_trip("-0", "0");
	round_trip("1.0", "1.0");
	round_trip("1e2", "100.0");
	round_trip("-0.0", "-0.0");
	round_trip("0.1", "0.1");
	round_trip("5e-324", "4.94065645841247e-324");
	round_trip("1.7976931348623157e308", "1.7976931348623157e+308");
	refuse("9223372036854775808", "64 bits");
	refuse("-9223372036854775809", "64 bits");
	refuse("1e999", "too large");
}

TEST(refuses_what_is_not_json)
{
	refuse("", "a value");
	refuse("  ", "a value");
	refuse("nul", "a value");
	refuse("truex", "the end");
	refuse("1 2", "the end");
	refuse("01", "leading zero");
	refuse("-", "a digit");
	refuse("1.", "a digit");
	refuse(".5", "a value");
	refuse("+1", "a value");
	refuse("1e", "a digit");
	refuse("NaN", "a value");
	refuse("[1,]", "a value");
	refuse("[1", "','");
	refuse("[1}", "','");
	refuse("{\"a\":1,}", "a member name");
	refuse("{\"a\" 1}", "':'");
	refuse("{a:1}", "a member name");
	refuse("'a'", "a value");
	refuse("// c\n1", "a value");
	refuse("\"a", "inside a string");
	refuse("\"a\\", "inside a string");
	refuse("\"\\x41\"", "unknown escape");
	refuse("\"\\u12g4\"", "incomplete");
	refuse("\"\\u12", "incomplete");
	refuse("\"\\ud800\"", "surrogate");
	refuse("\"\\ud800\\u0041\"", "surrogate");
	refuse("\"\\udc00\"", "surrogate");
	refuse("\"\t\"", "control character");
	refuse("\xef\xbb\xbf{}", "a value");
}

TEST(refuses_bad_utf8)
{
	refuse("\"\x80\"", "UTF-8");
	refuse("\"\xc0\xaf\"", "UTF-8");
	refuse("\"\xe0\x80\xaf\"", "UTF-8");
	refuse("\"\xed\xa0\x80\"", "UTF-8");
	refuse("\"\xf4\x90\x80\x80\"", "UTF-8");
	refuse("\"\xf0\x9f\x98\"", "UTF-8");
	refuse("\"\xff\"", "UTF-8");
	round_trip("\"\xed\x9f\xbf\xf4\x8f\xbf\xbf\"", "\"\xed\x9f\xbf\xf4\x8f\xbf\xbf\"");
}

TEST(messages_say_where)
{
	refuse("{\n  \"a\": 1,\n  \"b\": x\n}", "line 3, column 8: found 'x' where a value");
	refuse("{\"a\":1,\"b\":2,\"a\":3}", "duplicate member 'a'");
	refuse("{\"a\\u0000b\":1}", "NUL in a member name");
}

TEST(duplicates_are_found_in_large_objects)
{
	struct buf b;
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};

	buf_init(&b, MIB);
	ASSERT_OK(buf_append(&b, "{", 1));
	for (int i = 0; i < 1000; i++)
		ASSERT_OK(buf_printf(&b, "%s\"k%d\":%d", i ? "," : "", i, i));
	ASSERT_OK(buf_append(&b, "}", 1));
	ASSERT_OK(json_parse((const char *)buf_data(&b), buf_len(&b), &v, &err));
	ASSERT_EQ(json_len(v), 1000);
	b.tail--;
	ASSERT_OK(buf_printf(&b, ",\"k500\":0}"));
	v = json_free(v);
	ASSERT_ERR(json_parse((const char *)buf_data(&b), buf_len(&b), &v, &err), EBADMSG);
	ASSERT_TRUE(strstr(err.msg, "duplicate member 'k500'") != NULL);
	buf_deinit(&b);
}

/* @n opening brackets and as many closing ones. */
static int parse_nested(unsigned int n, struct msb_err *err)
{
	cleanup_json struct json *v = NULL;
	char text[2 * LIMIT_JSON_DEPTH + 16];

	memset(text, '[', n);
	memset(text + n, ']', n);
	return json_parse(text, (size_t)2 * n, &v, err);
}

TEST(caps_hold)
{
	struct json *v = NULL;
	struct msb_err err = {0};
	size_t n = 2 * (size_t)LIMIT_JSON_VALUES + 1;
	cleanup_free char *many = malloc((size_t)LIMIT_JSON_BYTES + 1);

	ASSERT_OK(parse_nested(LIMIT_JSON_DEPTH, &err));
	ASSERT_ERR(parse_nested(LIMIT_JSON_DEPTH + 1, &err), E2BIG);
	ASSERT_EQ(err.kind, MSB_LIMIT);

	ASSERT_TRUE(many != NULL);
	memset(many, ' ', (size_t)LIMIT_JSON_BYTES + 1);
	ASSERT_ERR(json_parse(many, (size_t)LIMIT_JSON_BYTES + 1, &v, &err), E2BIG);
	many[0] = '[';
	for (size_t i = 1; i < n; i++)
		many[i] = i % 2 ? '1' : ',';
	many[n - 1] = ']';
	ASSERT_ERR(json_parse(many, n, &v, &err), E2BIG);
	ASSERT_TRUE(v == NULL);
}

TEST(getters_report_what_is_wrong)
{
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};
	const char *s = "default";
	const struct json *sub = NULL;
	uint32_t n = 7;
	uint64_t big = 0;
	double d = 0;
	bool b = false;

	ASSERT_OK(parse("{\"s\":\"x\",\"n\":5,\"neg\":-1,\"d\":1.5,\"b\":true,\"z\":null,"
			"\"nul\":\"a\\u0000\",\"o\":{\"in\":[1,2]}}",
		&v, &err));
	ASSERT_OK(json_get_str(v, "s", &s, &err));
	ASSERT_STREQ(s, "x");
	ASSERT_ERR(json_get_str(v, "nope", &s, &err), ENOENT);
	ASSERT_STREQ(err.msg, "'nope' is missing");
	ASSERT_ERR(json_get_str(v, "n", &s, &err), EINVAL);
	ASSERT_STREQ(err.msg, "'n' must be a string, not integer");
	ASSERT_ERR(json_get_str(v, "nul", &s, &err), EINVAL);
	ASSERT_ERR(json_get_str(v, "z", &s, &err), EINVAL);
	ASSERT_STREQ(s, "x");
	ASSERT_OK(json_opt_str(v, "nope", &s, &err));
	ASSERT_OK(json_opt_str(v, "z", &s, &err));
	ASSERT_STREQ(s, "x");
	ASSERT_ERR(json_opt_str(v, "b", &s, &err), EINVAL);

	ASSERT_OK(json_get_u32(v, "n", 0, 5, &n, &err));
	ASSERT_EQ(n, 5);
	ASSERT_ERR(json_get_u32(v, "n", 6, 9, &n, &err), ERANGE);
	ASSERT_STREQ(err.msg, "'n' is 5, it must be within 6 and 9");
	ASSERT_ERR(json_get_u32(v, "neg", 0, UINT32_MAX, &n, &err), ERANGE);
	ASSERT_ERR(json_get_u64(v, "neg", &big, &err), ERANGE);
	ASSERT_ERR(json_get_u32(v, "d", 0, 5, &n, &err), EINVAL);
	ASSERT_OK(json_get_double(v, "d", &d, &err));
	ASSERT_TRUE(d == 1.5);
	ASSERT_OK(json_get_double(v, "n", &d, &err));
	ASSERT_TRUE(d == 5);
	ASSERT_OK(json_get_bool(v, "b", &b, &err));
	ASSERT_TRUE(b);
	ASSERT_OK(json_get_object(v, "o", &sub, &err));
	ASSERT_ERR(json_get_array(v, "o", &sub, &err), EINVAL);
	ASSERT_OK(json_get_array(sub, "in", &sub, &err));
	ASSERT_EQ(json_len(sub), 2);
	ASSERT_ERR(json_get_str(sub, "x", &s, &err), EINVAL);
}

TEST(unknown_members_are_refused)
{
	static const char *const keys[] = {"a", "b"};
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};

	ASSERT_OK(parse("{\"b\":1,\"a\":2}", &v, &err));
	ASSERT_OK(json_only(v, keys, 2, &err));
	ASSERT_ERR(json_only(v, keys, 1, &err), EINVAL);
	ASSERT_STREQ(err.msg, "unknown member 'b'");
}

TEST(writer_is_pretty)
{
	struct json_out o;
	struct buf b;

	buf_init(&b, 4096);
	json_out_init(&o, &b, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "a\"b", "x\ty\x7f");
	json_put_str(&o, "none", NULL);
	json_begin_array(&o, "list");
	json_put_u64(&o, NULL, 3);
	json_put_double(&o, NULL, 2);
	json_end_array(&o);
	json_begin_object(&o, "empty");
	json_end_object(&o);
	json_end_object(&o);
	ASSERT_OK(json_out_end(&o));
	ASSERT_STREQ(buf_cstr(&b), "{\n  \"a\\\"b\": \"x\\ty\\u007f\",\n  \"none\": null,\n"
				   "  \"list\": [\n    3,\n    2.0\n  ],\n  \"empty\": {}\n}\n");
	buf_deinit(&b);
}

static int misuse(void (*fn)(struct json_out *o))
{
	struct json_out o;
	struct buf b;
	int r;

	buf_init(&b, 256);
	json_out_init(&o, &b, JSON_COMPACT);
	fn(&o);
	r = json_out_end(&o);
	buf_deinit(&b);
	return r;
}

static void write_nothing(struct json_out *o)
{
}

static void write_two(struct json_out *o)
{
	json_put_int(o, NULL, 1);
	json_put_int(o, NULL, 2);
}

static void write_no_key(struct json_out *o)
{
	json_begin_object(o, NULL);
	json_put_int(o, NULL, 1);
	json_end_object(o);
}

static void write_open(struct json_out *o)
{
	json_begin_array(o, NULL);
}

static void write_crossed(struct json_out *o)
{
	json_begin_array(o, NULL);
	json_end_object(o);
}

static void write_deep(struct json_out *o)
{
	for (unsigned int i = 0; i <= LIMIT_JSON_DEPTH; i++)
		json_begin_array(o, NULL);
}

static void write_nan(struct json_out *o)
{
	json_put_double(o, NULL, __builtin_nan(""));
}

static void write_huge(struct json_out *o)
{
	json_put_u64(o, NULL, UINT64_MAX);
}

static void write_latin1(struct json_out *o)
{
	json_put_str(o, NULL, "\xe9");
}

static void write_long(struct json_out *o)
{
	char text[300];

	memset(text, 'x', sizeof(text));
	json_put_strn(o, NULL, text, sizeof(text));
}

TEST(writer_reports_misuse_and_overflow)
{
	ASSERT_ERR(misuse(write_nothing), EINVAL);
	ASSERT_ERR(misuse(write_two), EINVAL);
	ASSERT_ERR(misuse(write_no_key), EINVAL);
	ASSERT_ERR(misuse(write_open), EINVAL);
	ASSERT_ERR(misuse(write_crossed), EINVAL);
	ASSERT_ERR(misuse(write_deep), E2BIG);
	ASSERT_ERR(misuse(write_nan), ERANGE);
	ASSERT_ERR(misuse(write_huge), ERANGE);
	ASSERT_ERR(misuse(write_latin1), EILSEQ);
	ASSERT_ERR(misuse(write_long), ENOBUFS);
}

TEST(file_errors_name_the_file)
{
	const char *dir = test_tmpdir();
	cleanup_fd int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};

	ASSERT_OK(io_write_file_atomic(dirfd, "x.json", "[1,", 3, 0600, false));
	ASSERT_ERR(json_read_file(dirfd, "x.json", &v, &err), EBADMSG);
	ASSERT_TRUE(strncmp(err.msg, "x.json: line 1", 14) == 0);
	ASSERT_ERR(json_read_file(dirfd, "y.json", &v, &err), ENOENT);
	ASSERT_TRUE(strstr(err.msg, "y.json") != NULL);
	ASSERT_OK(io_write_file_atomic(dirfd, "x.json", "[1]", 3, 0600, false));
	ASSERT_OK(json_read_file(dirfd, "x.json", &v, &err));
	ASSERT_EQ(json_len(v), 1);
}

TEST(out_of_memory_is_clean)
{
	char text[1024];
	size_t len = 1;
	struct json *v = NULL;
	struct json_out o;
	struct buf b;
	int r;

	/* More members than the pairwise duplicate check takes, so that the sorted one allocates.
	 */
	text[0] = '{';
	for (int i = 0; i < 20; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "%s\"key %d\":\"value\"", i ? "," : "", i);
	text[len++] = '}';
	FAULT_LOOP({
		r = json_parse(text, len, &v, NULL);
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		if (r == 0) {
			buf_init(&b, 4096);
			json_out_init(&o, &b, JSON_PRETTY);
			json_put_value(&o, NULL, v);
			r = json_out_end(&o);
			ASSERT_TRUE(r == 0 || r == -ENOMEM);
			buf_deinit(&b);
		}
		v = json_free(v);
	});
}
