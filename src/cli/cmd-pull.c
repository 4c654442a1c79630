/* SPDX-License-Identifier: Apache-2.0 */
/* msb pull: images from registries into the local store. */
#include "base/json.h"

#include "cli/api.h"
#include "cli/pull-show.h"

struct pull_args {
	struct cli_common common;
	int policy; /* index into policies */
	bool insecure;
	const char *ca_file;
	bool quiet;
	int format;
};

enum { FORMAT_TEXT, FORMAT_JSON };

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

static const char *const policies[] = {[MSB_PULL_MISSING] = "if-missing",
	[MSB_PULL_ALWAYS] = "always",
	[MSB_PULL_NEVER] = "never",
	NULL};

#define AT(field) .offset = offsetof(struct pull_args, field)

static const struct opt opts[] = {
	{.name = "policy",
		.type = OPT_CHOICE,
		AT(policy),
		.arg = "POLICY",
		.choices = policies,
		.def = "always",
		.help = "Whether the registry is asked what the name means now"},
	{.name = "force",
		.letter = 'f',
		.type = OPT_CONST,
		AT(policy),
		.value = MSB_PULL_ALWAYS,
		.help = "The same as --policy always"},
	{.name = "insecure",
		.type = OPT_FLAG,
		AT(insecure),
		.help = "The registry needs no valid certificate, and may speak plain HTTP"},
	{.name = "ca-certs",
		.type = OPT_STRING,
		AT(ca_file),
		.arg = "FILE",
		.aliases = {"ca-cert"},
		.complete = OPT_COMPLETE_FILE,
		.help = "Trust the authorities in this PEM file, too"},
	{.name = "quiet",
		.letter = 'q',
		.type = OPT_FLAG,
		AT(quiet),
		.help = "No progress, only what went wrong"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "How the result is printed"},
};

static const struct opt_operand operands[] = {
	{.name = "IMAGE",
		.required = true,
		.repeatable = true,
		.help = "What to pull: [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]; docker.io and "
			"latest are understood"},
};

static const struct opt_example examples[] = {
	{"By its short name", "msb pull alpine:3.20"},
	{"From another registry", "msb pull ghcr.io/owner/image:v1"},
	{"From a registry on this machine", "msb pull localhost:5000/app"},
};

struct pull_command {
	const struct pull_args *args;
	struct msb *msb;
	struct pull_show show;
	struct json_out out;
};

static void tell(const struct pull_command *c, const char *word, const struct msb_pull_result *r)
{
	if (c->args->quiet)
		return;
	if (!r->made)
		cli_done("Pulled", "%s (already cached)", word);
	else
		pull_show_done(word, r->downloaded_bytes, r->took_ns);
}

static void put_result(struct json_out *out, const struct msb_pull_result *r)
{
	json_begin_object(out, NULL);
	json_put_str(out, "reference", r->reference);
	json_put_str(out, "digest", r->digest);
	json_put_u64(out, "layer_count", r->layers);
	json_put_u64(out, "downloaded_layers", r->downloaded_layers);
	json_put_u64(out, "downloaded_bytes", r->downloaded_bytes);
	json_end_object(out);
}

static int fetch(struct pull_command *c, const char *word, struct msb_pull_result *result,
	struct msb_error *e)
{
	struct msb_pull_options o = MSB_PULL_OPTIONS_INIT;
	int r;

	o.policy = c->args->policy;
	o.insecure = c->args->insecure;
	o.ca_file = c->args->ca_file;
	o.quiet = c->args->quiet;
	o.watch = &c->show.watch;
	msb_set_cancel(c->msb, c->show.signal_fd, pull_show_asked, &c->show);
	r = msb_image_fetch(c->msb, word, &o, result, e);
	msb_set_cancel(c->msb, -1, NULL, NULL);
	return r;
}

/* Return: exit status; a signal ends the command. */
static int pull_one(struct pull_command *c, const char *word)
{
	struct msb_pull_result result = MSB_PULL_RESULT_INIT;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	int r;

	if (pull_show_begin(&c->show, word, c->args->quiet, &err) < 0)
		return cli_fail(&err);
	r = fetch(c, word, &result, &e);
	pull_show_end(&c->show);
	if (r == -ECANCELED && c->show.signo)
		return 128 + c->show.signo;
	if (r < 0)
		return cli_api_fail(&e);
	tell(c, word, &result);
	put_result(&c->out, &result);
	return 0;
}

static int pull_all(struct pull_command *c, const struct opt_words *words)
{
	int status = 0;
	struct buf text;

	buf_init(&text, CLI_TEXT_MAX);
	json_out_init(&c->out, &text, JSON_PRETTY);
	json_begin_array(&c->out, NULL);
	for (size_t i = 0; i < words->operands.n && !c->show.signo; i++) {
		int s = pull_one(c, words->operands.items[i]);

		status = s ? s : status;
	}
	json_end_array(&c->out);
	if (!c->show.signo && c->args->format == FORMAT_JSON) {
		int s = cli_print_json(&c->out, &text);

		status = status ? status : s;
	}
	buf_deinit(&text);
	return status;
}

static int run_pull(void *args, const struct opt_words *words)
{
	const struct pull_args *a = args;
	struct pull_command c = {.args = a};
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int status;

	if (cli_api_open(&api, &a->common, &e) < 0)
		return cli_api_fail(&e);
	c.msb = api.msb;
	pull_show_init(&c.show);
	status = pull_all(&c, words);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_pull = {
	.table = {.name = "pull",
		.aliases = {"image pull"},
		.summary = "Get images from registries",
		.description =
			"Downloads what is missing of the images, four layers at a time, checks "
			"every byte against its digest, and makes them ready to boot. Layers that "
			"another image brought are not downloaded again; an interrupted pull goes "
			"on where it stopped.\n\n"
			"Progress goes to stderr: a bar for each layer on a terminal, lines "
			"elsewhere. Proxies are those of HTTPS_PROXY, HTTP_PROXY and NO_PROXY; "
			"mirrors, authorities and insecure registries can be configured for "
			"each host in config.json. Credentials are those of msb registry login, "
			"then those of docker login.",
		.group = "Images",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples),
		.exit_status = "0 when all images are here; otherwise that of the last failure: 2 "
			       "for a name that is none, 125 for everything else."},
	.args_size = sizeof(struct pull_args),
	.run = run_pull,
};
