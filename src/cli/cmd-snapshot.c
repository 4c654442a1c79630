/* SPDX-License-Identifier: Apache-2.0 */
/* msb snapshot create, ls, inspect, verify, rm: root disks to begin from. */
#include "base/str.h"

#include "cli/about.h"
#include "cli/api.h"
#include "cli/table.h"
#include "lib/human.h"

enum { FORMAT_TEXT, FORMAT_JSON };
enum { NAME_WIDTH = 40, IMAGE_WIDTH = 36 };

struct snapshot_args {
	struct cli_common common;
	const char *from;
	const char *dest_dir;
	struct opt_list labels;
	bool integrity;
	bool resumable;
	bool verify;
	bool force;
	bool quiet;
	int format;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct snapshot_args, field)
#define GROUP	  "Snapshots"
#define FORMAT_OPT                                                                 \
	{                                                                          \
		.name = "format", .type = OPT_CHOICE, AT(format), .arg = "FORMAT", \
		.choices = formats, .def = "text", .help = "Form of the output"    \
	}
#define QUIET_OPT(text)                                                                     \
	{                                                                                   \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = (text) \
	}
#define SNAPSHOT_OPERAND(many)                                                                     \
	{                                                                                          \
		.name = "SNAPSHOT", .required = true, .repeatable = (many),                        \
		.complete = OPT_COMPLETE_FILE,                                                     \
		.help = "A name, the beginning of a digest, or the path of a snapshot's directory" \
	}

static int check_create(const struct snapshot_args *a, struct msb_err *err)
{
	if (a->resumable)
		return msb_err_hint(err,
			msb_err_set(err, -EOPNOTSUPP, MSB_USAGE,
				"--resumable: a snapshot holds the disk, not memory and processes"),
			"leave it out: what begins from the snapshot boots");
	if (!a->from)
		return msb_err_usage(err, "of which sandbox? Name it with --from");
	return 0;
}

static int print_created(const char *digest, const char *path)
{
	struct buf text;
	int status;
	int r;

	buf_init(&text, CLI_TEXT_MAX);
	r = buf_printf(&text, "%s\n%s\n", digest, path);
	status = about_print(&text, r);
	buf_deinit(&text);
	return status;
}

static int run_create(void *args, const struct opt_words *words)
{
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;
	const struct snapshot_args *a = args;
	const char *name = words->operands.items[0];
	cleanup_free char *path = NULL;
	char digest[MSB_DIGEST_SIZE];
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	struct cli_api api;
	int r = check_create(a, &err);

	if (r < 0)
		return cli_fail(&err);
	o.replace = a->force;
	o.directory = a->dest_dir;
	o.labels = a->labels.items;
	r = cli_api_open(&api, &a->common, &e);
	if (r == 0)
		r = msb_snapshot_make(api.msb, a->from, name, &o, digest, &path, &e);
	cli_api_close(&api);
	if (r < 0)
		return cli_api_fail(&e);
	if (!a->quiet)
		cli_done("Created", "%s", name);
	return print_created(digest, path);
}

static const struct opt create_opts[] = {
	{.name = "from",
		.type = OPT_STRING,
		AT(from),
		.arg = "SANDBOX",
		.help = "The sandbox, running or stopped"},
	{.name = "dest-dir",
		.type = OPT_STRING,
		AT(dest_dir),
		.arg = "DIR",
		.complete = OPT_COMPLETE_DIR,
		.help = "Make it in this directory, not in the one of all snapshots; 'msb image "
			"rm' does not look there"},
	{.name = "label",
		.type = OPT_LIST,
		AT(labels),
		.arg = "KEY[=VALUE]",
		.help = "Label to keep with it"},
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Replace a snapshot of that name"},
	/* Every snapshot has its digest. */
	{.name = "integrity", .type = OPT_FLAG, AT(integrity), .help = "", .hidden = true},
	{.name = "resumable", .type = OPT_FLAG, AT(resumable), .help = "", .hidden = true},
	QUIET_OPT("Only digest and path, on stdout"),
};

static const struct opt_operand create_operands[] = {
	{.name = "NAME", .required = true, .help = "Name of the snapshot"},
};

static const struct opt_example create_examples[] = {
	{"Install once, begin from there",
		"msb create --name dev python:3.12 && msb exec dev -- pip install numpy && "
		"msb snapshot create ready --from dev && "
		"msb run --from-snapshot ready -- python -c 'import numpy'"},
};

const struct cli_command cmd_snapshot_create = {
	.table = {.name = "snapshot create",
		.aliases = {"snap create"},
		.summary = "Save the root disk of a sandbox",
		.description =
			"Copies what the sandbox has changed in its root file system; msb run and "
			"msb create begin from it with --from-snapshot. A sandbox that runs goes "
			"on: its guest writes everything back and holds its writes while the disk "
			"is copied, which takes no time where the file system can share blocks. "
			"Memory and processes are not saved, and neither are volumes.\n\n"
			"Prints the digest and the directory of the snapshot. It appears when it "
			"is complete, and keeps its image from msb image rm and prune.",
		.group = GROUP,
		.opts = create_opts,
		.n_opts = ARRAY_SIZE(create_opts),
		.operands = create_operands,
		.n_operands = ARRAY_SIZE(create_operands),
		.examples = create_examples,
		.n_examples = ARRAY_SIZE(create_examples)},
	.args_size = sizeof(struct snapshot_args),
	.run = run_create,
};

static void list_row(struct table *t, const struct msb_items *l, size_t i)
{
	char shown[ABOUT_DIGEST];
	char size[HUMAN_SIZE];
	char when[TIME_TEXT];

	table_add(t, msb_items_name(l, i), NAME_WIDTH);
	table_add(t, "disk", 0);
	table_add(t, msb_items_image(l, i), IMAGE_WIDTH);
	table_add(t, human_size(size, msb_items_used(l, i)), 0);
	table_add(t, time_local(msb_items_created_ns(l, i), when), 0);
	table_add(t, about_digest(shown, msb_items_digest(l, i)), 0);
}

static int list_text(const struct msb_items *l, bool quiet, struct buf *out)
{
	static const char *const headers[] = {
		"NAME", "SCOPE", "IMAGE", "SIZE", "CREATED", "DIGEST"};
	struct table t;
	bool any = false;
	int r = 0;

	table_init(&t, headers, ARRAY_SIZE(headers));
	for (size_t i = 0; i < msb_items_size(l) && r == 0; i++) {
		if (msb_items_problem(l, i)[0])
			continue;
		any = true;
		if (quiet)
			r = buf_printf(out, "%s\n", msb_items_name(l, i));
		else
			list_row(&t, l, i);
	}
	if (!any && !quiet)
		cli_note("No snapshots found.");
	else if (r == 0 && !quiet)
		r = table_format(&t, out);
	table_deinit(&t);
	return about_print(out, r);
}

static int show_list(const struct snapshot_args *a, const struct msb_items *l)
{
	struct buf out;
	int status;

	for (size_t i = 0; i < msb_items_size(l); i++) {
		if (msb_items_problem(l, i)[0])
			cli_note("warning: snapshot '%s' cannot be read", msb_items_name(l, i));
	}
	if (a->format == FORMAT_JSON)
		return about_print_list(l);
	buf_init(&out, ABOUT_TEXT_MAX);
	status = list_text(l, a->quiet, &out);
	buf_deinit(&out);
	return status;
}

static int run_ls(void *args, const struct opt_words *words)
{
	const struct snapshot_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_items *list = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	(void)words;
	if (r == 0)
		r = msb_snapshot_details(api.msb, &list, &e);
	status = r < 0 ? cli_api_fail(&e) : show_list(a, list);
	(void)msb_items_free(list);
	cli_api_close(&api);
	return status;
}

static const struct opt ls_opts[] = {
	FORMAT_OPT,
	QUIET_OPT("Only names"),
};

const struct cli_command cmd_snapshot_ls = {
	.table = {.name = "snapshot ls",
		.aliases = {"snapshots", "snaps", "snapshot list", "snap ls"},
		.summary = "List snapshots",
		.description = "With the image that each belongs to and the space that its disk "
			       "takes; blocks that it shares with others count, too.",
		.group = GROUP,
		.opts = ls_opts,
		.n_opts = ARRAY_SIZE(ls_opts)},
	.args_size = sizeof(struct snapshot_args),
	.run = run_ls,
};

static int label_lines(const struct json *doc, struct buf *out)
{
	const struct json *labels = json_find(doc, "labels");
	const char *name = "Labels";
	int r = 0;

	if (!labels)
		return 0;
	json_foreach (item, labels) {
		char text[2048];
		const char *value = "";

		r = json_to_str(item, "labels", &value, NULL);
		(void)snprintf(text, sizeof(text), "%s=%s", json_key(item), value);
		if (r == 0)
			r = about_line(out, name, text);
		if (r < 0)
			break;
		name = "";
	}
	return r;
}

static int inspect_text(const struct msb_items *l, const struct json *doc, struct buf *out)
{
	bool flat = streq(about_str(doc, "root_disk"), "flat");
	char text[PATH_MAX + 32];
	char size[HUMAN_SIZE];
	char taken[HUMAN_SIZE];
	char when[TIME_TEXT];
	int r = about_line(out, "Name", msb_items_name(l, 0));

	if (r == 0)
		r = about_line(out, "Digest", msb_items_digest(l, 0));
	if (r == 0)
		r = about_line(out, "Path", about_str(doc, "artifact_path"));
	if (r == 0 && about_str(doc, "parent_digest")[0])
		r = about_line(out, "Parent", about_str(doc, "parent_digest"));
	if (r == 0)
		r = about_line(out, "Created", time_local(msb_items_created_ns(l, 0), when));
	if (r == 0)
		r = about_line(out, "Sandbox", about_str(doc, "source_sandbox"));
	(void)snprintf(text, sizeof(text), "%s (%s)", msb_items_image(l, 0),
		about_str(doc, "image_digest"));
	if (r == 0)
		r = about_line(out, "Image", text);
	(void)snprintf(text, sizeof(text), "%s%s, %s taken", flat ? "flat, " : "",
		human_size(size, msb_items_bytes(l, 0)), human_size(taken, msb_items_used(l, 0)));
	if (r == 0)
		r = about_line(out, "Root disk", text);
	return r == 0 ? label_lines(doc, out) : r;
}

static int show_one(const struct snapshot_args *a, const struct msb_items *l)
{
	cleanup_json struct json *doc = NULL;
	struct buf out;
	int status;
	int r = 0;

	buf_init(&out, ABOUT_TEXT_MAX);
	if (a->format == FORMAT_JSON) {
		r = buf_printf(&out, "%s\n", msb_items_json(l, 0));
	} else {
		r = about_json(l, 0, &doc);
		if (r == 0)
			r = inspect_text(l, doc, &out);
		if (r == 0 && a->verify)
			r = about_line(&out, "Verification", "ok");
	}
	status = about_print(&out, r);
	buf_deinit(&out);
	return status;
}

static int show_verified(const struct msb_items *l)
{
	cleanup_json struct json *doc = NULL;
	struct buf out;
	int status;
	int r = about_json(l, 0, &doc);

	buf_init(&out, ABOUT_TEXT_MAX);
	if (r == 0)
		r = about_line(&out, "Digest", msb_items_digest(l, 0));
	if (r == 0)
		r = about_line(&out, "Path", about_str(doc, "artifact_path"));
	if (r == 0)
		r = about_line(&out, "Verification", "ok");
	status = about_print(&out, r);
	buf_deinit(&out);
	return status;
}

/* @only: nothing but whether it is whole */
static int inspect(const struct snapshot_args *a, const char *word, bool only)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_items *l = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_snapshot_inspect(api.msb, word, a->verify || only, &l, &e);
	if (r < 0)
		status = cli_api_fail(&e);
	else
		status = only ? show_verified(l) : show_one(a, l);
	(void)msb_items_free(l);
	cli_api_close(&api);
	return status;
}

static int run_inspect(void *args, const struct opt_words *words)
{
	return inspect(args, words->operands.items[0], false);
}

static const struct opt inspect_opts[] = {
	{.name = "verify",
		.type = OPT_FLAG,
		AT(verify),
		.help = "Compare the disk with its digest"},
	FORMAT_OPT,
};

static const struct opt_operand one_operand[] = {SNAPSHOT_OPERAND(false)};

const struct cli_command cmd_snapshot_inspect = {
	.table = {.name = "snapshot inspect",
		.aliases = {"snap inspect"},
		.summary = "Show what a snapshot is of",
		.group = GROUP,
		.opts = inspect_opts,
		.n_opts = ARRAY_SIZE(inspect_opts),
		.operands = one_operand,
		.n_operands = ARRAY_SIZE(one_operand)},
	.args_size = sizeof(struct snapshot_args),
	.run = run_inspect,
};

static int run_verify(void *args, const struct opt_words *words)
{
	return inspect(args, words->operands.items[0], true);
}

const struct cli_command cmd_snapshot_verify = {
	.table = {.name = "snapshot verify",
		.aliases = {"snap verify"},
		.summary = "Compare the disk of a snapshot with its digest",
		.description = "Fails if the contents are not those that were saved.",
		.group = GROUP,
		.operands = one_operand,
		.n_operands = ARRAY_SIZE(one_operand)},
	.args_size = sizeof(struct snapshot_args),
	.run = run_verify,
};

static int run_rm(void *args, const struct opt_words *words)
{
	const struct snapshot_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int status = 0;

	if (cli_api_open(&api, &a->common, &e) < 0)
		return cli_api_fail(&e);
	for (size_t i = 0; i < words->operands.n; i++) {
		const char *word = words->operands.items[i];

		if (msb_snapshot_discard(api.msb, word, a->force, &e) < 0)
			status = cli_api_fail(&e);
		else if (!a->quiet)
			cli_done("Removed", "%s", word);
	}
	cli_api_close(&api);
	return status;
}

static const struct opt rm_opts[] = {
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Also if other snapshots were made of sandboxes that began from it, or if "
			"it is damaged"},
	QUIET_OPT("Say only what went wrong"),
};

static const struct opt_operand many_operands[] = {SNAPSHOT_OPERAND(true)};

const struct cli_command cmd_snapshot_rm = {
	.table = {.name = "snapshot rm",
		.aliases = {"snapshot remove", "snap rm"},
		.summary = "Remove snapshots",
		.description = "Sandboxes that began from them have copies and go on.",
		.group = GROUP,
		.opts = rm_opts,
		.n_opts = ARRAY_SIZE(rm_opts),
		.operands = many_operands,
		.n_operands = ARRAY_SIZE(many_operands)},
	.args_size = sizeof(struct snapshot_args),
	.run = run_rm,
};
