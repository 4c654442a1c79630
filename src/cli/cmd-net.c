/* SPDX-License-Identifier: Apache-2.0 */
/* msb net explain: what a sandbox's policy says to a connection. */
#include "cli/api.h"

enum format { FORMAT_TEXT, FORMAT_JSON };

struct explain_args {
	struct cli_common common;
	int format;
	const char *address;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct explain_args, field)

static const struct opt opts[] = {
	{.name = "address",
		.type = OPT_STRING,
		AT(address),
		.arg = "ADDRESS",
		.help = "Take this to be the name's address, instead of looking it up from here"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
	{.name = "TARGET",
		.help = "HOST:PORT, HOST:PORT/udp, or a URL of http or https",
		.required = true},
};

static const struct opt_example examples[] = {
	{"May it install packages?", "msb net explain dev https://pypi.org/"},
	{"May it ask the cloud who it is?", "msb net explain dev 169.254.169.254:80"},
	{"For programs", "msb net explain --format json dev db.example:5432"},
};

/* Returns the exit status. */
static int show(const struct explain_args *a, const struct msb_verdict *v)
{
	bool json = a->format == FORMAT_JSON;
	struct buf out;
	int r;

	buf_init(&out, 4 * CLI_TEXT_MAX);
	r = buf_printf(&out, "%s", json ? msb_verdict_json(v) : msb_verdict_text(v));
	r = r < 0 ? CLI_EXIT_FAILED : cli_print(&out);
	buf_deinit(&out);
	return r ? r : !msb_verdict_allowed(v);
}

static int run_explain(void *args, const struct opt_words *words)
{
	const struct explain_args *a = args;
	const char *const *word = words->operands.items;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_verdict *v = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_net_explain(api.msb, word[0], word[1], a->address, &v, &e);
	status = r < 0 ? cli_api_fail(&e) : show(a, v);
	(void)msb_verdict_free(v);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_net_explain = {
	.table = {.name = "net explain",
		.summary = "Say whether a sandbox may connect, and by which rule",
		.description = "Takes the policy of the sandbox, running or not, through the steps "
			       "of a connection: the lookup of the name, its addresses, the "
			       "connection to each. A connection to a name is taken to say that "
			       "name, as TLS and HTTP do.",
		.group = "Network",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples),
		.exit_status = "0 if the connection is allowed, 1 if it is denied."},
	.args_size = sizeof(struct explain_args),
	.run = run_explain,
};
