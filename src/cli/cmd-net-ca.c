/* SPDX-License-Identifier: Apache-2.0 */
/* msb net ca: the authority of intercepted connections, without its key. */
#include "base/str.h"

#include "cli/api.h"

enum format { FORMAT_PEM, FORMAT_TEXT, FORMAT_JSON };

struct ca_args {
	struct cli_common common;
	int format;
};

static const char *const formats[] = {
	[FORMAT_PEM] = "pem", [FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};
static const char *const actions[] = {"show", "path", "rotate", NULL};

static const struct opt opts[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		.offset = offsetof(struct ca_args, format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "pem",
		.help = "Form of the certificate; text and json have its path, fingerprint and "
			"validity"},
};

static const struct opt_operand operands[] = {
	{.name = "ACTION",
		.help = "show (the default), path, or rotate: make another one in its place",
		.choices = actions},
};

static const struct opt_example examples[] = {
	{"For a program that brings its own authorities", "msb net ca > msb-ca.pem"},
	{"Which one is it, and how long does it hold?", "msb net ca --format text"},
	{"Its key may be known to somebody", "msb net ca rotate --format text"},
};

static int print_json(const struct msb_authority *a)
{
	char before[TIME_TEXT];
	char after[TIME_TEXT];
	struct json_out o;
	struct buf out;
	int status;

	buf_init(&out, CLI_TEXT_MAX);
	json_out_init(&o, &out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "path", msb_authority_path(a));
	json_put_str(&o, "subject", msb_authority_subject(a));
	json_put_str(&o, "sha256", msb_authority_fingerprint(a));
	json_put_str(&o, "not_before", time_rfc3339(msb_authority_not_before_ns(a), before));
	json_put_str(&o, "not_after", time_rfc3339(msb_authority_not_after_ns(a), after));
	json_put_str(&o, "pem", msb_authority_pem(a));
	json_end_object(&o);
	status = cli_print_json(&o, &out);
	buf_deinit(&out);
	return status;
}

static int print_text(const struct msb_authority *a, int format, bool path)
{
	char before[TIME_TEXT];
	char after[TIME_TEXT];
	struct buf out;
	int status;
	int r;

	buf_init(&out, CLI_TEXT_MAX);
	if (path)
		r = buf_printf(&out, "%s\n", msb_authority_path(a));
	else if (format == FORMAT_PEM)
		r = buf_printf(&out, "%s", msb_authority_pem(a));
	else
		r = buf_printf(&out,
			"path:        %s\nsubject:     %s\nsha256:      %s\nvalid from:  %s\n"
			"valid until: %s\n",
			msb_authority_path(a), msb_authority_subject(a),
			msb_authority_fingerprint(a),
			time_rfc3339(msb_authority_not_before_ns(a), before),
			time_rfc3339(msb_authority_not_after_ns(a), after));
	status = r < 0 ? CLI_EXIT_FAILED : cli_print(&out);
	buf_deinit(&out);
	return status;
}

static void say_who_keeps(const struct msb_authority *a)
{
	struct buf names;
	const char *name;
	const char *text;

	buf_init(&names, 512);
	/* Of very many the last are left out. */
	for (size_t n = 0; (name = msb_authority_behind(a, n)); n++) {
		if (buf_printf(&names, "%s%s", n ? ", " : "", name) < 0)
			break;
	}
	text = buf_cstr(&names);
	if (text && text[0])
		cli_note("these keep the old authority until they are restarted: %s", text);
	buf_deinit(&names);
}

static int run_ca(void *args, const struct opt_words *words)
{
	const struct ca_args *wanted = args;
	const char *action = words->operands.n ? words->operands.items[0] : "show";
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_authority *a = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &wanted->common, &e);

	if (r == 0)
		r = msb_net_ca(api.msb, streq(action, "rotate"), &a, &e);
	if (r < 0)
		status = cli_api_fail(&e);
	else if (wanted->format == FORMAT_JSON)
		status = print_json(a);
	else
		status = print_text(a, wanted->format, streq(action, "path"));
	if (r == 0)
		say_who_keeps(a);
	(void)msb_authority_free(a);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_net_ca = {
	.table = {.name = "net ca",
		.summary = "Show or replace the authority for intercepted connections",
		.description =
			"With --tls-intercept programs in a sandbox see certificates of this "
			"authority, which the sandbox trusts. It is one for the installation and "
			"made when it is first needed. Its key is in the same directory, readable "
			"by its user alone, and never shown. After rotate, sandboxes that run keep "
			"the old one until they are restarted; then they trust the new one and not "
			"the old one any more.",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct ca_args),
	.run = run_ca,
};
