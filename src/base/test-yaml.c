/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/caps.h"
#include "base/yaml.h"

#include "test.h"

static struct yaml_doc *doc;
static struct msb_err err;
static char out[4096];
static size_t used;

static void put(const char *s)
{
	used += (size_t)snprintf(out + used, sizeof(out) - used, "%s", s);
	ASSERT_TRUE(used < sizeof(out));
}

/* Texts in "", what was plain as it is. */
static void show(const struct yaml *y)
{
	switch (y->kind) {
	case YAML_NULL:
		put("null");
		break;
	case YAML_SCALAR:
		put(y->quoted ? "\"" : "");
		put(y->text);
		put(y->quoted ? "\"" : "");
		break;
	case YAML_MAP:
	case YAML_LIST:
	default:
		put(y->kind == YAML_MAP ? "{" : "[");
		for (const struct yaml *e = y->first; e; e = e->next) {
			if (e->key) {
				put(e->key);
				put(":");
			}
			show(e);
			put(e->next ? "," : "");
		}
		put(y->kind == YAML_MAP ? "}" : "]");
		break;
	}
}

static void expect(const char *text, const char *want)
{
	if (yaml_parse("f", text, strlen(text), &doc, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", text, err.msg);
	used = 0;
	show(yaml_root(doc));
	ASSERT_STREQ(out, want);
	yaml_free(doc);
}

static void refuse(const char *text, const char *msg)
{
	ASSERT_TRUE(yaml_parse("f", text, strlen(text), &doc, &err) < 0);
	if (!strstr(err.msg, msg))
		test_fail(__FILE__, __LINE__, "'%s': '%s' does not say '%s'", text, err.msg, msg);
}

TEST(block_collections)
{
	expect("", "null");
	expect("# only this\n\n", "null");
	expect("---\na: 1\n", "{a:1}");
	expect("a: 1\nb:\n  c: x y\n  d:\n\ne: ~\n", "{a:1,b:{c:x y,d:null},e:null}");
	expect("- a\n- b: 1\n  c: 2\n-\n  - d\n- - e\n  - f\n-\n", "[a,{b:1,c:2},[d],[e,f],null]");
	expect("a:\n- 1\n- 2\nb: 3", "{a:[1,2],b:3}");
	expect("a:\n  - x: 1\n    y:\n    - 2\n  - z: 3\nb: 4\n", "{a:[{x:1,y:[2]},{z:3}],b:4}");
	expect("a : 1\n\"b c\": 2\n'd: e' : 3\n", "{a:1,b c:2,d: e:3}");
	expect("  a: 1\n  b: 2\n", "{a:1,b:2}");
	expect("a: 1\r\nb: 2\r\n", "{a:1,b:2}");
	expect("just a text\n", "just a text");
}

TEST(scalars)
{
	expect("a: x#y # comment\n", "{a:x#y}");
	expect("a: http://x:80/y\n", "{a:http://x:80/y}");
	expect("a: python:3.12\n", "{a:python:3.12}");
	expect("a: -1\nb: ?x\n-x: :y\n", "{a:-1,b:?x,-x::y}");
	refuse("a: -\n", "f:1:4: this is not expected");
}

TEST(quotes)
{
	expect("a: \"x\\n\\t\\\"\\u00e4\\x41\\U0001F600\"\n", "{a:\"x\n\t\"\xc3\xa4"
							      "A\xf0\x9f\x98\x80\"}");
	expect("a: 'it''s \\n' # c\n", "{a:\"it's \\n\"}");
	expect("a: ''\n", "{a:\"\"}");
	refuse("a: \"x\n", "f:1:6: a quoted text ends in its line");
	refuse("a: \"\\q\"\n", "unknown escape");
	refuse("a: \"\\x00\"\n", "no character");
	refuse("a: \"\\ud800\"\n", "no character");
	refuse("a: 'x' y\n", "f:1:8: nothing more");
}

TEST(flow_collections)
{
	expect("a: [1, \"b\", {c: d, e: }, ]\n", "{a:[1,\"b\",{c:d,e:null}]}");
	expect("a: [\n  1, # one\n  2\n]\nb: {}\n", "{a:[1,2],b:{}}");
	expect("[a:b, {\"c\":d}]\n", "[a:b,{c:d}]");
	refuse("a: [1, 2\n", "is missing");
	refuse("a: [1 2: 3]\n", "is missing");
	refuse("a: {b: 1, b: 2}\n", "f:1:11: key 'b' stands here twice");
	refuse("a: [1]]\n", "f:1:7: nothing more");
}

TEST(texts)
{
	expect("a: |\n  #!/bin/sh\n    x: y\n\n  z\n\n\nb: 1\n",
		"{a:\"#!/bin/sh\n  x: y\n\nz\n\",b:1}");
	expect("a: |-\n  x\n", "{a:\"x\"}");
	expect("a: |+\n  x\n\n", "{a:\"x\n\n\"}");
	expect("a: |2\n    x\n", "{a:\"  x\n\"}");
	expect("a: >\n  x\n  y\n\n  z\n   w\n  v\n", "{a:\"x y\nz\n w\nv\n\"}");
	expect("- |\n  x\n- y\n", "[\"x\n\",y]");
	expect("a:\n  - b: |\n      x\n    c: 1\n", "{a:[{b:\"x\n\",c:1}]}");
	expect("a: |\nb: 1\n", "{a:\"\",b:1}");
	expect("a: |", "{a:\"\"}");
	refuse("a: | x\n", "next line");
	refuse("a: |--\n", "twice");
}

TEST(what_is_not_read)
{
	refuse("a: &x 1\n", "f:1:4: anchors");
	refuse("a: *x\n", "f:1:4: anchors");
	refuse("a: !!str x\n", "f:1:4: tags");
	refuse("<<: {a: 1}\n", "f:1:1: merge");
	refuse("%YAML 1.2\n---\n", "directives");
	refuse("a: 1\n---\nb: 2\n", "f:2:1: a file is one document");
	refuse("a: 1\n...\n", "one document");
	refuse("? a\n: b\n", "not expected");
	refuse("a: 1\nb: 2\na: 3\n", "f:3:1: key 'a' stands here twice");
	refuse("a: yes\n", "f:1:4: yes, no, on and off");
	refuse("a: [Off]\n", "f:1:5: yes, no");
	refuse("on: 1\n", "f:1:1: yes, no");
	expect("a: 'yes'\nb: one\n", "{a:\"yes\",b:one}");
	refuse("a: b: c\n", "f:1:5: a second ':'");
	refuse("a: x\n  y\n", "f:2:3: this is indented more");
	refuse("a:\n    b: 1\n  c: 2\n", "f:3:3: this is indented");
	refuse("  a: 1\nb: 2\n", "f:2:1: this is indented less");
	refuse("\ta: 1\n", "f:1:2: a tab cannot indent");
	refuse("a: 1\nb\n", "f:2:2: a ':' is missing");
	refuse("a: 1\n- b\n", "f:2:1");
	refuse("a: @x\n", "quote it");
	refuse("a: \x01\n", "f:1:4: a control character");
	refuse("a: \xff\n", "f:1:4: this is not UTF-8");
	refuse("- a\nb: 1\n", "f:2:1");
}

TEST(caps)
{
	struct buf b;

	buf_init(&b, 4 * MIB);
	for (unsigned int i = 0; i < 100; i++)
		ASSERT_OK(buf_append(&b, "[", 1));
	ASSERT_ERR(yaml_parse("f", (const char *)buf_data(&b), buf_len(&b), &doc, &err), E2BIG);
	buf_consume(&b, buf_len(&b));
	for (unsigned int i = 0; i < LIMIT_YAML_NODES + 1; i++)
		ASSERT_OK(buf_append(&b, "- x\n", 4));
	ASSERT_ERR(yaml_parse("f", (const char *)buf_data(&b), buf_len(&b), &doc, &err), E2BIG);
	buf_deinit(&b);
	buf_init(&b, 4 * MIB);
	for (unsigned int i = 0; i < LIMIT_YAML_BYTES + 1; i++)
		ASSERT_OK(buf_append(&b, " ", 1));
	ASSERT_ERR(yaml_parse("f", (const char *)buf_data(&b), buf_len(&b), &doc, &err), E2BIG);
	buf_deinit(&b);
}

TEST(places)
{
	static const char text[] = "a:\n  b: x\nc:\n";
	const struct yaml *a;

	ASSERT_OK(yaml_parse("f", text, strlen(text), &doc, &err));
	a = yaml_get(yaml_root(doc), "a");
	ASSERT_EQ(yaml_get(a, "b")->line, 2);
	ASSERT_EQ(yaml_get(a, "b")->column, 6);
	ASSERT_EQ(yaml_get(a, "b")->key_column, 3);
	ASSERT_EQ(yaml_get(yaml_root(doc), "c")->line, 3);
	ASSERT_TRUE(!yaml_get(a, "z"));
	yaml_free(doc);
}
