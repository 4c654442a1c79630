/* SPDX-License-Identifier: Apache-2.0 */
/* msb image rm, msb image prune: out of the store. */
#include "base/json.h"
#include "base/str.h"

#include "cli/api.h"
#include "lib/human.h"

enum { FORMAT_TEXT, FORMAT_JSON };

struct rmi_args {
	struct cli_common common;
	bool force;
	bool yes;
	bool quiet;
	int format;
};

#define AT(field) .offset = offsetof(struct rmi_args, field)
#define QUIET_OPT                                                            \
	{                                                                    \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), \
		.help = "Say only what went wrong"                           \
	}

struct removing {
	const struct rmi_args *args;
	int status; /* of the last failure, 0: none */
};

static void say_kept(void *arg, const char *word, const char *what, const char *user)
{
	const struct removing *rm = arg;

	if (!rm->args->quiet)
		cli_note("%s '%s' keeps %s on disk; 'msb image prune' frees it later", what, user,
			word);
}

static void say_removed(void *arg, const char *word, int result, const struct msb_error *why)
{
	struct removing *rm = arg;

	if (result < 0)
		rm->status = cli_api_fail(why);
	else if (!rm->args->quiet)
		cli_done("Removed", "%s", word);
}

static int run_rm(void *args, const struct opt_words *words)
{
	const struct rmi_args *a = args;
	struct removing rm = {.args = a};
	struct msb_image_removal told = MSB_IMAGE_REMOVAL_INIT;
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	if (r < 0)
		return cli_api_fail(&e);
	told.removed = say_removed;
	told.kept = say_kept;
	told.arg = &rm;
	r = msb_image_remove_all(api.msb, words->operands.items, a->force, &told, &e);
	cli_api_close(&api);
	if (r == -EBUSY) {
		if (!a->quiet)
			cli_note("the image store is in use; 'msb image prune' frees the space "
				 "later");
		r = 0;
	}
	if (r < 0) {
		int s = cli_api_fail(&e);

		return rm.status ? rm.status : s;
	}
	return rm.status;
}

static const struct opt rm_opts[] = {
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Also if a sandbox or a snapshot uses the image; its files stay until that "
			"is removed"},
	QUIET_OPT,
};

static const struct opt_operand rm_operands[] = {
	{.name = "IMAGE",
		.required = true,
		.repeatable = true,
		.help = "A reference, or the beginning of a digest, which means all references "
			"to it"},
};

const struct cli_command cmd_image_rm = {
	.table = {.name = "image rm",
		.aliases = {"rmi", "image remove"},
		.summary = "Remove images",
		.description =
			"Forgets the references. The files of an image go with its last reference; "
			"layers that other images have, too, stay.",
		.group = "Images",
		.opts = rm_opts,
		.n_opts = ARRAY_SIZE(rm_opts),
		.operands = rm_operands,
		.n_operands = ARRAY_SIZE(rm_operands)},
	.args_size = sizeof(struct rmi_args),
	.run = run_rm,
};

static int print_report(const struct rmi_args *a, const struct msb_image_pruned *report)
{
	char size[HUMAN_SIZE];
	struct json_out o;
	struct buf out;
	int status;

	buf_init(&out, CLI_TEXT_MAX);
	if (a->format == FORMAT_JSON) {
		json_out_init(&o, &out, JSON_PRETTY);
		json_begin_object(&o, NULL);
		json_put_u64(&o, "images", report->images);
		json_put_u64(&o, "layers", report->layers);
		json_put_u64(&o, "reclaimed_bytes", report->bytes);
		json_end_object(&o);
		status = cli_print_json(&o, &out);
	} else if (buf_printf(&out, "Removed %" PRIu64 " image%s and %" PRIu64 " layer%s, %s\n",
			   report->images, report->images == 1 ? "" : "s", report->layers,
			   report->layers == 1 ? "" : "s", human_size(size, report->bytes)) < 0) {
		status = CLI_EXIT_FAILED;
	} else {
		status = a->quiet ? 0 : cli_print(&out);
	}
	buf_deinit(&out);
	return status;
}

/* Not quiet: whoever frees space has to know why there is none. */
static void say_doubt(void *arg, const char *what, const char *name, const char *why)
{
	(void)arg;
	if (!name[0])
		cli_note("all images stay, what needs them cannot be read: %s", why);
	else if (streq(what, "sandbox"))
		cli_note("all images stay: sandbox '%s' may need any, its description cannot be "
			 "read "
			 "(%s); repair spec.json, or remove it: msb rm --force %s",
			name, why, name);
	else
		cli_note("all images stay: snapshot '%s' may need any, it cannot be read; remove "
			 "it: "
			 "msb snapshot rm --force %s",
			name, name);
}

static int run_prune(void *args, const struct opt_words *words)
{
	struct msb_image_pruned report = MSB_IMAGE_PRUNED_INIT;
	struct msb_error e = MSB_ERROR_INIT;
	const struct rmi_args *a = args;
	struct msb_err err = {0};
	struct cli_api api;
	int r = 0;

	(void)words;
	if (!a->yes)
		r = cli_confirm("Remove all images that nothing uses?",
			"give --yes to remove all images that nothing uses", &err);
	if (r != 0)
		return r < 0 ? cli_fail(&err) : 0;
	r = cli_api_open(&api, &a->common, &e);
	if (r == 0)
		r = msb_image_prune(api.msb, say_doubt, NULL, &report, &e);
	cli_api_close(&api);
	return r < 0 ? cli_api_fail(&e) : print_report(a, &report);
}

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

static const struct opt prune_opts[] = {
	{.name = "yes", .letter = 'y', .type = OPT_FLAG, AT(yes), .help = "Do not ask"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the report"},
	QUIET_OPT,
};

const struct cli_command cmd_image_prune = {
	.table = {.name = "image prune",
		.summary = "Remove all images that nothing uses",
		.description =
			"Also removes layers that no image has and what interrupted pulls left. "
			"Running and stopped sandboxes keep their images, and so do snapshots.",
		.group = "Images",
		.opts = prune_opts,
		.n_opts = ARRAY_SIZE(prune_opts)},
	.args_size = sizeof(struct rmi_args),
	.run = run_prune,
};
