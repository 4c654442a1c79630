/* SPDX-License-Identifier: Apache-2.0 */
/* msb image ls, msb image inspect: what is in the store. */
#include "base/json.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "lib/human.h"
#include "lib/store-json.h"
#include "sandbox/state.h"

enum { FORMAT_TEXT, FORMAT_JSON };
enum { DIGEST_SHOWN = 19, TEXT_MAX = 16 * CLI_TEXT_MAX };

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

static int open_store(struct store **ret, struct msb_err *err)
{
	char home[PATH_MAX];
	int r = sandbox_home_default(home, sizeof(home), err);

	return r < 0 ? r : store_open(home, ret, err);
}

struct listing {
	const struct image_args *args;
	struct json_out json;
	struct table table;
	struct buf out;
};

static void list_one(
	struct listing *l, const struct image_entry *e, const struct store_image *image)
{
	char shown[DIGEST_SHOWN + 1];
	char size[HUMAN_SIZE];
	char when[TIME_TEXT];

	if (l->args->format == FORMAT_JSON) {
		json_begin_object(&l->json, NULL);
		image_json_members(&l->json, e, image);
		json_end_object(&l->json);
		return;
	}
	memcpy(shown, e->digest, DIGEST_SHOWN);
	shown[DIGEST_SHOWN] = '\0';
	table_add(&l->table, e->has_ref ? e->text : "-", 0);
	table_add(&l->table, shown, 0);
	table_add(&l->table, human_size(size, image->size_bytes), 0);
	table_add(&l->table, time_local(image->created_s * NSEC_PER_SEC, when), 0);
}

/* A name with a digest says nothing new beside a tag of the same image. */
static bool is_redundant(const struct image_list *list, const struct image_entry *e)
{
	for (size_t i = 0; e->has_ref && e->ref.digest[0] && i < list->n; i++) {
		const struct image_entry *other = &list->items[i];

		if (other->has_ref && other->ref.tag[0] && streq(other->ref.host, e->ref.host) &&
			streq(other->ref.path, e->ref.path) && streq(other->digest, e->digest))
			return true;
	}
	return false;
}

static int list_all(struct listing *l, const struct store *s, const struct image_list *list)
{
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i++) {
		const struct image_entry *e = &list->items[i];
		cleanup_with(store_image_deinit) struct store_image image = {};
		struct msb_err err = {0};

		if (is_redundant(list, e))
			continue;
		if (l->args->quiet && l->args->format != FORMAT_JSON) {
			r = buf_printf(&l->out, "%s\n", e->has_ref ? e->text : e->digest);
			continue;
		}
		/* Gone meanwhile is gone; a damaged one must not hide the others. */
		r = store_image_get(s, e->digest, &image, &err);
		if (r == 0)
			list_one(l, e, &image);
		else if (r != -ENOENT)
			cli_note("warning: %s", err.msg);
		r = 0;
	}
	return r;
}

static int print_list(struct listing *l, const struct store *s, const struct image_list *list)
{
	bool json = l->args->format == FORMAT_JSON;
	struct msb_err err = {0};
	int r;

	if (json)
		json_begin_array(&l->json, NULL);
	r = list_all(l, s, list);
	if (json) {
		json_end_array(&l->json);
		return cli_print_json(&l->json, &l->out);
	}
	if (!list->n && !l->args->quiet) {
		cli_note("No images found.");
		return 0;
	}
	if (r == 0 && !l->args->quiet)
		r = table_format(&l->table, &l->out);
	if (r == 0)
		return cli_print(&l->out);
	(void)msb_err_errno(&err, r, "writing the list");
	return cli_fail(&err);
}

static int run_ls(void *args, const struct opt_words *words)
{
	static const char *const headers[] = {"REFERENCE", "DIGEST", "SIZE", "CREATED"};
	cleanup_with(store_close_p) struct store *s = NULL;
	struct listing l = {.args = args};
	struct image_list list = {.n = 0};
	struct msb_err err = {0};
	int status;

	(void)words;
	if (open_store(&s, &err) < 0 || image_list_get(s, &list, &err) < 0)
		return cli_fail(&err);
	buf_init(&l.out, TEXT_MAX);
	json_out_init(&l.json, &l.out, JSON_PRETTY);
	table_init(&l.table, headers, ARRAY_SIZE(headers));
	status = print_list(&l, s, &list);
	table_deinit(&l.table);
	buf_deinit(&l.out);
	image_list_deinit(&list);
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

/* "Name:        value", nothing for an empty value. */
static int line(struct buf *out, const char *name, const char *value)
{
	char clean[4096];

	if (!value[0])
		return 0;
	return buf_printf(out, "%s%s%*s%s\n", name, name[0] ? ":" : " ", (int)(14 - strlen(name)),
		"", human_text(clean, sizeof(clean), value));
}

static int lines(struct buf *out, const char *name, const struct oci_list *list)
{
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i++)
		r = line(out, i ? "" : name, list->items[i]);
	return r;
}

/* Words as a shell would read them, so that their ends can be seen. */
static int words_line(struct buf *out, const char *name, const struct oci_list *list)
{
	struct buf text;
	const char *s;
	int r = 0;

	buf_init(&text, CLI_TEXT_MAX);
	for (size_t i = 0; i < list->n && r == 0; i++) {
		const char *w = list->items[i];
		bool plain = w[0] && !w[strcspn(w, " \t\n'\"\\$`;&|<>()*?#~")];

		r = buf_printf(
			&text, "%s%s%s%s", i ? " " : "", plain ? "" : "'", w, plain ? "" : "'");
	}
	s = r == 0 ? buf_cstr(&text) : NULL;
	if (r == 0)
		r = s ? line(out, name, s) : -ENOMEM;
	buf_deinit(&text);
	return r;
}

static int config_text(const struct oci_config *c, struct buf *out)
{
	int r = words_line(out, "Entrypoint", &c->entrypoint);

	if (r == 0)
		r = words_line(out, "Command", &c->cmd);
	if (r == 0)
		r = line(out, "User", c->user);
	if (r == 0)
		r = line(out, "Directory", c->workdir);
	if (r == 0)
		r = line(out, "Stop signal", c->stop_signal);
	if (r == 0)
		r = lines(out, "Environment", &c->env);
	for (size_t i = 0; i < c->n_labels && r == 0; i++) {
		char text[2048];

		(void)snprintf(text, sizeof(text), "%s=%s", c->labels[i].name, c->labels[i].value);
		r = line(out, i ? "" : "Labels", text);
	}
	return r;
}

static int inspect_text(const struct image_entry *e, const struct store_image *im,
	const struct oci_config *c, struct buf *out)
{
	char text[160];
	char size[HUMAN_SIZE];
	char when[TIME_TEXT];
	int r = line(out, "Reference", e->text);

	if (r == 0)
		r = line(out, "Digest", e->digest);
	if (r == 0)
		r = line(out, "Size", human_size(size, im->size_bytes));
	(void)snprintf(text, sizeof(text), "%s/%s", im->os, im->architecture);
	if (r == 0)
		r = line(out, "Platform", text);
	if (r == 0)
		r = line(out, "Created", time_local(im->created_s * NSEC_PER_SEC, when));
	if (r == 0)
		r = config_text(c, out);
	for (uint32_t i = 0; i < im->n_layers && r == 0; i++) {
		(void)snprintf(text, sizeof(text), "%s  %s", im->layers[i].digest,
			human_size(size, im->layers[i].blob_bytes));
		r = line(out, i ? "" : "Layers", text);
	}
	return r;
}

static int inspect(
	const struct store *s, const char *word, int format, struct buf *out, struct msb_err *err)
{
	cleanup_with(image_about_deinit) struct image_about a = {.entry = {.has_ref = false}};
	int r = image_about_get(s, word, &a, err);

	if (r < 0)
		return r;
	r = format == FORMAT_JSON ? image_json(&a, out)
				  : inspect_text(&a.entry, &a.image, &a.config, out);
	return r < 0 ? msb_err_errno(err, r, "describing the image") : 0;
}

static int run_inspect(void *args, const struct opt_words *words)
{
	const struct image_args *a = args;
	cleanup_with(store_close_p) struct store *s = NULL;
	struct msb_err err = {0};
	struct buf out;
	int status;
	int r = open_store(&s, &err);

	buf_init(&out, TEXT_MAX);
	if (r == 0)
		r = inspect(s, words->operands.items[0], a->format, &out, &err);
	status = r < 0 ? cli_fail(&err) : cli_print(&out);
	buf_deinit(&out);
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
