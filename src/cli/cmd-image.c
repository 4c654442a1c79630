/* SPDX-License-Identifier: Apache-2.0 */
/* msb image ls, msb image inspect: what is in the store. */
#include "base/str.h"

#include "cli/about.h"
#include "cli/api.h"
#include "cli/table.h"
#include "lib/human.h"

enum { FORMAT_TEXT, FORMAT_JSON };

struct image_args {
	struct cli_common common;
	int format;
	bool quiet;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct image_args, field)
#define FORMAT_OPT                                                                 \
	{                                                                          \
		.name = "format", .type = OPT_CHOICE, AT(format), .arg = "FORMAT", \
		.choices = formats, .def = "text", .help = "Form of the output"    \
	}

static const struct opt ls_opts[] = {
	FORMAT_OPT,
	{.name = "quiet",
		.letter = 'q',
		.type = OPT_FLAG,
		AT(quiet),
		.help = "Only references, or the digest of an image that has none"},
};

static void list_row(struct table *t, const struct msb_items *l, size_t i)
{
	const char *name = msb_items_name(l, i);
	char shown[ABOUT_DIGEST];
	char size[HUMAN_SIZE];
	char when[TIME_TEXT];

	table_add(t, name[0] ? name : "-", 0);
	table_add(t, about_digest(shown, msb_items_digest(l, i)), 0);
	table_add(t, human_size(size, msb_items_bytes(l, i)), 0);
	table_add(t, time_local(msb_items_created_ns(l, i), when), 0);
}

static int list_names(const struct msb_items *l, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < msb_items_size(l) && r == 0; i++)
		r = buf_printf(out, "%s\n",
			msb_items_name(l, i)[0] ? msb_items_name(l, i) : msb_items_digest(l, i));
	return r;
}

static int list_table(const struct msb_items *l, struct buf *out)
{
	static const char *const headers[] = {"REFERENCE", "DIGEST", "SIZE", "CREATED"};
	struct table t;
	int r;

	table_init(&t, headers, ARRAY_SIZE(headers));
	for (size_t i = 0; i < msb_items_size(l); i++) {
		if (!msb_items_problem(l, i)[0])
			list_row(&t, l, i);
	}
	r = table_format(&t, out);
	table_deinit(&t);
	return r;
}

static int show_list(const struct image_args *a, const struct msb_items *l)
{
	bool quiet = a->quiet && a->format != FORMAT_JSON;
	struct buf out;
	int status;

	for (size_t i = 0; !quiet && i < msb_items_size(l); i++) {
		if (msb_items_problem(l, i)[0])
			cli_note("warning: %s", msb_items_problem(l, i));
	}
	if (a->format == FORMAT_JSON)
		return about_print_list(l);
	if (!msb_items_size(l) && !quiet) {
		cli_note("No images found.");
		return 0;
	}
	buf_init(&out, ABOUT_TEXT_MAX);
	status = about_print(&out, quiet ? list_names(l, &out) : list_table(l, &out));
	buf_deinit(&out);
	return status;
}

static int run_ls(void *args, const struct opt_words *words)
{
	const struct image_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_items *list = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	(void)words;
	if (r == 0)
		r = msb_image_details(api.msb, &list, &e);
	status = r < 0 ? cli_api_fail(&e) : show_list(a, list);
	(void)msb_items_free(list);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_image_ls = {
	.table = {.name = "image ls",
		.aliases = {"images", "image list"},
		.summary = "List images",
		.description =
			"Every reference that is in the store, with the digest of what it means "
			"here, the compressed size of its layers and when it came. An image that "
			"no "
			"reference means any more, because its tag has moved, has a dash instead.",
		.group = "Images",
		.opts = ls_opts,
		.n_opts = ARRAY_SIZE(ls_opts)},
	.args_size = sizeof(struct image_args),
	.run = run_ls,
};

static const struct opt inspect_opts[] = {
	FORMAT_OPT,
};

static const struct opt_operand inspect_operands[] = {
	{.name = "IMAGE", .required = true, .help = "A reference, or the beginning of a digest"},
};

/* Nothing for an empty value. */
static int line(struct buf *out, const char *name, const char *value)
{
	return value[0] ? about_line(out, name, value) : 0;
}

static int lines(struct buf *out, const char *name, const struct json *list)
{
	int r = 0;

	if (!list)
		return 0;
	json_foreach (item, list) {
		const char *value = "";

		r = json_to_str(item, name, &value, NULL);
		if (r == 0)
			r = line(out, name, value);
		if (r < 0)
			break;
		name = "";
	}
	return r;
}

/* Words as a shell would read them, so that their ends can be seen. */
static int put_word(struct buf *text, const struct json *word)
{
	const char *w = "";
	bool plain;
	int r = json_to_str(word, "word", &w, NULL);

	if (r < 0)
		return r;
	plain = w[0] && !w[strcspn(w, " \t\n'\"\\$`;&|<>()*?#~")];
	return buf_printf(
		text, "%s%s%s%s", buf_len(text) ? " " : "", plain ? "" : "'", w, plain ? "" : "'");
}

static int words_line(struct buf *out, const char *name, const struct json *list)
{
	struct buf text;
	const char *s;
	int r = 0;

	if (!list)
		return 0;
	buf_init(&text, CLI_TEXT_MAX);
	json_foreach (item, list) {
		r = put_word(&text, item);
		if (r < 0)
			break;
	}
	s = r == 0 ? buf_cstr(&text) : NULL;
	if (r == 0)
		r = s ? line(out, name, s) : -ENOMEM;
	buf_deinit(&text);
	return r;
}

static int label_lines(struct buf *out, const struct json *labels)
{
	const char *name = "Labels";
	int r = 0;

	if (!labels)
		return 0;
	json_foreach (item, labels) {
		const char *value = "";
		char text[2048];

		r = json_to_str(item, "labels", &value, NULL);
		(void)snprintf(text, sizeof(text), "%s=%s", json_key(item), value);
		if (r == 0)
			r = line(out, name, text);
		if (r < 0)
			break;
		name = "";
	}
	return r;
}

static int config_text(const struct json *c, struct buf *out)
{
	int r = words_line(out, "Entrypoint", json_find(c, "entrypoint"));

	if (r == 0)
		r = words_line(out, "Command", json_find(c, "cmd"));
	if (r == 0)
		r = line(out, "User", about_str(c, "user"));
	if (r == 0)
		r = line(out, "Directory", about_str(c, "working_dir"));
	if (r == 0)
		r = line(out, "Stop signal", about_str(c, "stop_signal"));
	if (r == 0)
		r = lines(out, "Environment", json_find(c, "env"));
	return r == 0 ? label_lines(out, json_find(c, "labels")) : r;
}

static int layer_lines(struct buf *out, const struct json *layers)
{
	const char *name = "Layers";
	int r = 0;

	if (!layers)
		return 0;
	json_foreach (layer, layers) {
		char size[HUMAN_SIZE];
		char text[160];

		(void)snprintf(text, sizeof(text), "%s  %s", about_str(layer, "blob_digest"),
			human_size(size, about_u64(layer, "compressed_size_bytes")));
		r = line(out, name, text);
		if (r < 0)
			break;
		name = "";
	}
	return r;
}

static int inspect_text(const struct msb_items *l, const struct json *doc, struct buf *out)
{
	const struct json *config = json_find(doc, "config");
	char text[160];
	char size[HUMAN_SIZE];
	char when[TIME_TEXT];
	int r = line(out, "Reference", msb_items_name(l, 0));

	if (r == 0)
		r = line(out, "Digest", msb_items_digest(l, 0));
	if (r == 0)
		r = line(out, "Size", human_size(size, msb_items_bytes(l, 0)));
	(void)snprintf(
		text, sizeof(text), "%s/%s", about_str(doc, "os"), about_str(doc, "architecture"));
	if (r == 0)
		r = line(out, "Platform", text);
	if (r == 0)
		r = line(out, "Created", time_local(msb_items_created_ns(l, 0), when));
	if (r == 0 && config)
		r = config_text(config, out);
	return r == 0 ? layer_lines(out, json_find(doc, "layers")) : r;
}

static int show_one(const struct image_args *a, const struct msb_items *l)
{
	cleanup_json struct json *doc = NULL;
	struct buf out;
	int status;
	int r = a->format == FORMAT_JSON ? 0 : about_json(l, 0, &doc);

	buf_init(&out, ABOUT_TEXT_MAX);
	if (r == 0)
		r = doc ? inspect_text(l, doc, &out) : buf_printf(&out, "%s", msb_items_json(l, 0));
	status = about_print(&out, r);
	buf_deinit(&out);
	return status;
}

static int run_inspect(void *args, const struct opt_words *words)
{
	const struct image_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_items *image = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_image_inspect(api.msb, words->operands.items[0], &image, &e);
	status = r < 0 ? cli_api_fail(&e) : show_one(a, image);
	(void)msb_items_free(image);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_image_inspect = {
	.table = {.name = "image inspect",
		.summary = "Show what an image is made of",
		.description = "Its configuration (what runs by default, as whom, where, with "
			       "which environment) and its layers, from the bottom.",
		.group = "Images",
		.opts = inspect_opts,
		.n_opts = ARRAY_SIZE(inspect_opts),
		.operands = inspect_operands,
		.n_operands = ARRAY_SIZE(inspect_operands)},
	.args_size = sizeof(struct image_args),
	.run = run_inspect,
};
