/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "image/config.h"

#include "test.h"

static const char full[] =
	"{\"architecture\":\"amd64\",\"os\":\"linux\",\"variant\":\"v3\",\"created\":\"2026-01-"
	"02T03:04:05Z\","
	"\"author\":\"somebody\",\"os.features\":[\"x\"],\"rootfs\":{\"type\":\"layers\",\"diff_"
	"ids\":[]},"
	"\"config\":{\"User\":\"app:www\",\"WorkingDir\":\"/srv\",\"StopSignal\":\"SIGQUIT\","
	"\"Entrypoint\":[\"/docker-entrypoint.sh\",\"-v\"],\"Cmd\":[\"nginx\",\"\"],"
	"\"Env\":[\"PATH=/usr/bin\",\"EMPTY=\"],\"Volumes\":{\"/data\":{},\"/log\":null},"
	"\"ExposedPorts\":{\"80/tcp\":{},\"443\":{}},\"Labels\":{\"a\":\"1\",\"b.c\":null},"
	"\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":30000000000},\"OnBuild\":null,"
	"\"AttachStdin\":false},\"history\":[{\"created\":\"2026-01-02T03:04:05Z\","
	"\"created_by\":\"/bin/sh -c #(nop) ADD\",\"comment\":\"c\"},{\"empty_layer\":true}]}";

static struct oci_config c;

static int parse(const char *text)
{
	int r = oci_config_parse(text, strlen(text), &c, NULL);

	if (r < 0)
		oci_config_deinit(&c);
	return r;
}

TEST(everything_is_read)
{
	ASSERT_OK(parse(full));
	ASSERT_STREQ(c.os, "linux");
	ASSERT_STREQ(c.architecture, "amd64");
	ASSERT_STREQ(c.variant, "v3");
	ASSERT_STREQ(c.created, "2026-01-02T03:04:05Z");
	ASSERT_STREQ(c.author, "somebody");
	ASSERT_STREQ(c.user, "app:www");
	ASSERT_STREQ(c.workdir, "/srv");
	ASSERT_STREQ(c.stop_signal, "SIGQUIT");
	ASSERT_EQ(c.entrypoint.n, 2);
	ASSERT_STREQ(c.entrypoint.items[0], "/docker-entrypoint.sh");
	ASSERT_STREQ(c.entrypoint.items[1], "-v");
	ASSERT_EQ(c.cmd.n, 2);
	ASSERT_STREQ(c.cmd.items[1], "");
	ASSERT_EQ(c.env.n, 2);
	ASSERT_STREQ(c.env.items[1], "EMPTY=");
	ASSERT_EQ(c.volumes.n, 2);
	ASSERT_STREQ(c.volumes.items[1], "/log");
	ASSERT_EQ(c.ports.n, 2);
	ASSERT_STREQ(c.ports.items[0], "80/tcp");
	ASSERT_EQ(c.n_labels, 2);
	ASSERT_STREQ(c.labels[0].value, "1");
	ASSERT_STREQ(c.labels[1].name, "b.c");
	ASSERT_STREQ(c.labels[1].value, "");
	ASSERT_EQ(json_len(json_find(c.healthcheck, "Test")), 2);
	ASSERT_EQ(c.n_history, 2);
	ASSERT_STREQ(c.history[0].created_by, "/bin/sh -c #(nop) ADD");
	ASSERT_STREQ(c.history[0].comment, "c");
	ASSERT_TRUE(!c.history[0].empty_layer);
	ASSERT_STREQ(c.history[1].created, "");
	ASSERT_TRUE(c.history[1].empty_layer);
	oci_config_deinit(&c);
	oci_config_deinit(&c);
}

TEST(what_is_absent_or_null_is_empty)
{
	static const char *const texts[] = {"{}", "{\"config\":null,\"history\":null}",
		"{\"config\":{}}",
		"{\"config\":{\"Entrypoint\":null,\"Cmd\":null,\"Env\":null,\"Labels\":null,"
		"\"Volumes\":null,\"ExposedPorts\":null,\"Healthcheck\":null,\"User\":null}}",
		"{\"config\":{\"Entrypoint\":[],\"Cmd\":[],\"Env\":[],\"Labels\":{}},\"history\":"
		"[]}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		ASSERT_OK(parse(texts[i]));
		ASSERT_STREQ(c.user, "");
		ASSERT_STREQ(c.workdir, "");
		ASSERT_STREQ(c.os, "");
		ASSERT_EQ(c.entrypoint.n + c.cmd.n + c.env.n + c.volumes.n + c.ports.n, 0);
		ASSERT_EQ(c.n_labels + c.n_history, 0);
		ASSERT_TRUE(!c.healthcheck);
		oci_config_deinit(&c);
	}
}

TEST(wrong_types_are_refused)
{
	static const char *const texts[] = {"[]", "\"x\"", "1", "{\"config\":[]}", "{\"os\":1}",
		"{\"config\":{\"User\":1000}}", "{\"config\":{\"Cmd\":\"sh\"}}",
		"{\"config\":{\"Cmd\":[1]}}", "{\"config\":{\"Cmd\":[null]}}",
		"{\"config\":{\"Cmd\":{}}}", "{\"config\":{\"Env\":[\"A=a\\u0000b\"]}}",
		"{\"config\":{\"Labels\":[]}}", "{\"config\":{\"Labels\":{\"a\":1}}}",
		"{\"config\":{\"Volumes\":[\"/x\"]}}", "{\"config\":{\"WorkingDir\":false}}",
		"{\"config\":{\"Healthcheck\":\"x\"}}", "{\"history\":{}}", "{\"history\":[1]}",
		"{\"history\":[{\"empty_layer\":1}]}", "{\"history\":[{\"created\":1}]}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ASSERT_ERR(parse(texts[i]), EINVAL);
	ASSERT_ERR(parse(""), EBADMSG);
	ASSERT_ERR(parse("{\"config\":{}"), EBADMSG);
	ASSERT_ERR(parse("{\"os\":\"a\",\"os\":\"b\"}"), EBADMSG);
}

TEST(the_message_names_the_document)
{
	struct msb_err err = {};

	ASSERT_ERR(oci_config_parse("{\"config\":{\"User\":1}}", 21, &c, &err), EINVAL);
	oci_config_deinit(&c);
	ASSERT_TRUE(strstr(err.msg, "image configuration"));
	ASSERT_TRUE(strstr(err.msg, "User"));
}

/* @n times @item, comma-separated, within @head and @tail. %d in @item is the number. */
static int parse_many(const char *head, const char *item, int n, const char *tail)
{
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_BYTES + 1);
	ASSERT_OK(buf_printf(&text, "%s", head));
	for (int i = 0; i < n; i++) {
		const char *number = strchr(item, '#');

		ASSERT_OK(buf_printf(&text, "%s%.*s%d%s", i ? "," : "", (int)(number - item), item,
			i, number + 1));
	}
	ASSERT_OK(buf_printf(&text, "%s", tail));
	r = parse(buf_cstr(&text));
	buf_deinit(&text);
	if (r == 0)
		oci_config_deinit(&c);
	return r;
}

TEST(counts_are_capped)
{
	static const struct {
		const char *head;
		const char *item;
		int max;
		const char *tail;
	} lists[] = {
		{"{\"config\":{\"Cmd\":[", "\"#\"", OCI_LIST_MAX, "]}}"},
		{"{\"config\":{\"Entrypoint\":[", "\"#\"", OCI_LIST_MAX, "]}}"},
		{"{\"config\":{\"Env\":[", "\"A#=\"", OCI_LIST_MAX, "]}}"},
		{"{\"config\":{\"Volumes\":{", "\"/#\":{}", OCI_LIST_MAX, "}}}"},
		{"{\"config\":{\"ExposedPorts\":{", "\"#\":{}", OCI_LIST_MAX, "}}}"},
		{"{\"config\":{\"Labels\":{", "\"#\":\"\"", LIMIT_LABELS, "}}}"},
		{"{\"history\":[", "{\"comment\":\"#\"}", OCI_HISTORY_MAX, "]}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		ASSERT_OK(parse_many(lists[i].head, lists[i].item, lists[i].max, lists[i].tail));
		ASSERT_ERR(
			parse_many(lists[i].head, lists[i].item, lists[i].max + 1, lists[i].tail),
			E2BIG);
	}
}

static int parse_long(const char *head, size_t len, const char *tail)
{
	cleanup_free char *fill = malloc(len + 1);
	cleanup_free char *text = NULL;
	int r;

	ASSERT_TRUE(fill);
	memset(fill, 'x', len);
	fill[len] = '\0';
	ASSERT_TRUE(asprintf(&text, "%s%s%s", head, fill, tail) > 0);
	r = parse(text);
	if (r == 0)
		oci_config_deinit(&c);
	return r;
}

TEST(sizes_are_capped)
{
	ASSERT_OK(parse_long("{\"config\":{\"User\":\"", LIMIT_USER, "\"}}"));
	ASSERT_ERR(parse_long("{\"config\":{\"User\":\"", LIMIT_USER + 1, "\"}}"), E2BIG);
	ASSERT_OK(parse_long("{\"config\":{\"WorkingDir\":\"", LIMIT_PATH - 2, "\"}}"));
	ASSERT_ERR(parse_long("{\"config\":{\"WorkingDir\":\"", LIMIT_PATH, "\"}}"), E2BIG);
	ASSERT_OK(parse_long("{\"config\":{\"Env\":[\"A=", LIMIT_EXEC_BYTES - 3, "\"]}}"));
	ASSERT_ERR(parse_long("{\"config\":{\"Env\":[\"A=", LIMIT_EXEC_BYTES, "\"]}}"), E2BIG);
	ASSERT_OK(parse_long("{\"config\":{\"Labels\":{\"a\":\"", LIMIT_LABEL_BYTES - 3, "\"}}}"));
	ASSERT_ERR(
		parse_long("{\"config\":{\"Labels\":{\"a\":\"", LIMIT_LABEL_BYTES, "\"}}}"), E2BIG);
	ASSERT_ERR(parse_long("{\"config\":{\"Volumes\":{\"", LIMIT_PATH, "\":{}}}}"), E2BIG);
	ASSERT_ERR(parse_long("{\"author\":\"", LIMIT_PATH + 1, "\"}"), E2BIG);
	ASSERT_ERR(parse_long("{\"author\":\"", LIMIT_JSON_BYTES, "\"}"), E2BIG);
}

TEST(failures_of_memory_leave_nothing)
{
	FAULT_LOOP({
		if (parse(full) == 0)
			oci_config_deinit(&c);
	});
}
