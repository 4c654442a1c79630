/* SPDX-License-Identifier: Apache-2.0 */
/* msb snapshot create, ls, inspect, verify, rm: root disks to begin from. */
#include "base/json.h"
#include "base/str.h"

#include "cli/api.h"
#include "cli/table.h"
#include "image/snapshot/snapshot.h"
#include "lib/human.h"
#include "lib/snapshot-make.h"
#include "lib/store-json.h"
#include "sandbox/state.h"

enum { FORMAT_TEXT, FORMAT_JSON };
enum { DIGEST_SHOWN = 19, NAME_WIDTH = 40, IMAGE_WIDTH = 36, TEXT_MAX = 16 * CLI_TEXT_MAX };

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

/* Home directory, without what killed commands have left there. */
static int find_home(char home[PATH_MAX], struct msb_err *err)
{
	int r = sandbox_home_default(home, PATH_MAX, err);

	if (r == 0)
		(void)snapshot_reap(home);
	return r;
}

static int print_text(struct buf *text, int r)
{
	struct msb_err err = {0};

	if (r == 0)
		return cli_print(text);
	(void)msb_err_errno(&err, r, "writing the answer");
	return cli_fail(&err);
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
	status = print_text(&text, r);
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
	int r = snapshot_name_check(name, &err);

	if (r == 0)
		r = check_create(a, &err);
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

static void list_row(struct table *t, const struct snapshot *s)
{
	char shown[DIGEST_SHOWN + 1];
	char size[HUMAN_SIZE];
	char when[TIME_TEXT];

	memcpy(shown, s->digest, DIGEST_SHOWN);
	shown[DIGEST_SHOWN] = '\0';
	table_add(t, s->name, NAME_WIDTH);
	table_add(t, "disk", 0);
	table_add(t, s->m.reference, IMAGE_WIDTH);
	table_add(t, human_size(size, snapshot_allocated(s)), 0);
	table_add(t, time_local(s->m.created_ns, when), 0);
	table_add(t, shown, 0);
}

static int list_json(const struct snapshot_list *list, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	json_begin_array(&o, NULL);
	for (size_t i = 0; i < list->n; i++) {
		json_begin_object(&o, NULL);
		snapshot_json_members(&o, &list->items[i]);
		json_end_object(&o);
	}
	json_end_array(&o);
	return cli_print_json(&o, out);
}

static int list_text(const struct snapshot_list *list, bool quiet, struct buf *out)
{
	static const char *const headers[] = {
		"NAME", "SCOPE", "IMAGE", "SIZE", "CREATED", "DIGEST"};
	struct table t;
	int r = 0;

	if (!list->n && !quiet) {
		cli_note("No snapshots found.");
		return 0;
	}
	table_init(&t, headers, ARRAY_SIZE(headers));
	for (size_t i = 0; i < list->n && r == 0; i++) {
		if (quiet)
			r = buf_printf(out, "%s\n", list->items[i].name);
		else
			list_row(&t, &list->items[i]);
	}
	if (r == 0 && !quiet)
		r = table_format(&t, out);
	table_deinit(&t);
	return print_text(out, r);
}

static int run_ls(void *args, const struct opt_words *words)
{
	const struct snapshot_args *a = args;
	cleanup_with(snapshot_list_deinit) struct snapshot_list list = {.n = 0};
	struct msb_err err = {0};
	char home[PATH_MAX];
	struct buf out;
	int status;

	(void)words;
	if (find_home(home, &err) < 0 || snapshot_list_get(home, &list, &err) < 0)
		return cli_fail(&err);
	for (size_t i = 0; i < list.n_damaged; i++)
		cli_note("warning: snapshot '%s' cannot be read", list.damaged[i]);
	buf_init(&out, TEXT_MAX);
	status = a->format == FORMAT_JSON ? list_json(&list, &out)
					  : list_text(&list, a->quiet, &out);
	buf_deinit(&out);
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

static int line(struct buf *out, const char *name, const char *value)
{
	char clean[4096];

	return buf_printf(out, "%s%s%*s%s\n", name, name[0] ? ":" : " ", (int)(14 - strlen(name)),
		"", human_text(clean, sizeof(clean), value));
}

static int label_lines(const struct snapshot *s, struct buf *out)
{
	const char *name = "Labels";
	int r = 0;

	if (!s->m.labels)
		return 0;
	json_foreach (item, s->m.labels) {
		char text[2048];
		const char *value = "";

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

static int inspect_text(const struct snapshot *s, bool verified, struct buf *out)
{
	char text[PATH_MAX + 32];
	char size[HUMAN_SIZE];
	char taken[HUMAN_SIZE];
	char when[TIME_TEXT];
	int r = line(out, "Name", s->name);

	if (r == 0)
		r = line(out, "Digest", s->digest);
	if (r == 0)
		r = line(out, "Path", s->path);
	if (r == 0 && s->m.parent && s->m.parent[0])
		r = line(out, "Parent", s->m.parent);
	if (r == 0)
		r = line(out, "Created", time_local(s->m.created_ns, when));
	if (r == 0)
		r = line(out, "Sandbox", s->m.sandbox);
	(void)snprintf(text, sizeof(text), "%s (%s)", s->m.reference, s->m.image_digest);
	if (r == 0)
		r = line(out, "Image", text);
	(void)snprintf(text, sizeof(text), "%s%s, %s taken", s->m.flat ? "flat, " : "",
		human_size(size, s->m.size_bytes), human_size(taken, snapshot_allocated(s)));
	if (r == 0)
		r = line(out, "Root disk", text);
	if (r == 0)
		r = label_lines(s, out);
	return r == 0 && verified ? line(out, "Verification", "ok") : r;
}

static int run_inspect(void *args, const struct opt_words *words)
{
	const struct snapshot_args *a = args;
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	char home[PATH_MAX];
	struct buf out;
	int status;
	int r = find_home(home, &err);

	if (r == 0)
		r = snapshot_open(home, words->operands.items[0], &s, &err);
	if (r == 0 && a->verify)
		r = snapshot_verify(&s, &err);
	if (r < 0)
		return cli_fail(&err);
	buf_init(&out, TEXT_MAX);
	r = a->format == FORMAT_JSON ? snapshot_json(&s, a->verify, &out)
				     : inspect_text(&s, a->verify, &out);
	if (r == 0 && a->format == FORMAT_JSON)
		r = buf_append(&out, "\n", 1);
	status = print_text(&out, r);
	buf_deinit(&out);
	return status;
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
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	struct msb_err err = {0};
	char home[PATH_MAX];
	struct buf out;
	int status;
	int r = find_home(home, &err);

	(void)args;
	if (r == 0)
		r = snapshot_open(home, words->operands.items[0], &s, &err);
	if (r == 0)
		r = snapshot_verify(&s, &err);
	if (r < 0)
		return cli_fail(&err);
	buf_init(&out, TEXT_MAX);
	r = line(&out, "Digest", s.digest);
	if (r == 0)
		r = line(&out, "Path", s.path);
	if (r == 0)
		r = line(&out, "Verification", "ok");
	status = print_text(&out, r);
	buf_deinit(&out);
	return status;
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

/* Those that were made of sandboxes that began from it do not need it, but name it. */
static int check_children(const char *home, const struct snapshot *s, struct msb_err *err)
{
	cleanup_with(snapshot_list_deinit) struct snapshot_list list = {.n = 0};
	int r = snapshot_list_get(home, &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++) {
		if (!streq(list.items[i].m.parent, s->digest))
			continue;
		r = msb_err_set(err, -EBUSY, MSB_BUSY, "snapshot '%s' is the parent of '%s'",
			s->name, list.items[i].name);
		r = msb_err_hint(err, r, "remove that first, or give --force");
	}
	return r;
}

static int remove_one(const char *home, const char *word, bool force, struct msb_err *err)
{
	cleanup_with(snapshot_close) struct snapshot s = {.fd = -EBADF};
	int r = snapshot_open(home, word, &s, err);

	/* A damaged one keeps every image; whose directory it is is known by its place only. */
	if (r < 0 && force && s.fd >= 0 && !strchr(word, '/'))
		return snapshot_remove(&s, err);
	if (r == 0 && !force)
		r = check_children(home, &s, err);
	return r == 0 ? snapshot_remove(&s, err) : r;
}

static int run_rm(void *args, const struct opt_words *words)
{
	const struct snapshot_args *a = args;
	struct msb_err err = {0};
	char home[PATH_MAX];
	int status = 0;

	if (find_home(home, &err) < 0)
		return cli_fail(&err);
	for (size_t i = 0; i < words->operands.n; i++) {
		const char *word = words->operands.items[i];

		if (remove_one(home, word, a->force, &err) < 0)
			status = cli_fail(&err);
		else if (!a->quiet)
			cli_done("Removed", "%s", word);
	}
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
