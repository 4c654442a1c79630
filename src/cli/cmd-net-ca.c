/* SPDX-License-Identifier: Apache-2.0 */
/* msb net ca: the authority of intercepted connections, without its key. */
#include "base/str.h"

#include "cli/cli.h"
#include "lib/where.h"
#include "net/intercept/config.h"
#include "sandbox/authority.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

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

struct authority {
	char home[PATH_MAX];
	char dir[PATH_MAX];
	char cert[PATH_MAX];
	const char *subject, *fingerprint, *pem; /* in .doc */
	char not_before[TIME_TEXT], not_after[TIME_TEXT];
	struct json *doc;
};

static int find(struct authority *a, struct msb_err *err)
{
	int r = sandbox_home_default(a->home, sizeof(a->home), err);

	if (r == 0)
		r = authority_path(a->dir, a->home, "", err);
	return r == 0 ? authority_path(a->cert, a->home, AUTHORITY_CERT, err) : r;
}

static int understand(struct authority *a, const struct buf *text, struct msb_err *err)
{
	uint64_t before = 0;
	uint64_t after = 0;
	int r = json_parse((const char *)buf_data(text), buf_len(text), &a->doc, err);

	if (r == 0)
		r = json_get_str(a->doc, "subject", &a->subject, err);
	if (r == 0)
		r = json_get_str(a->doc, "fingerprint", &a->fingerprint, err);
	if (r == 0)
		r = json_get_str(a->doc, "pem", &a->pem, err);
	if (r == 0)
		r = json_get_u64(a->doc, "not_before", &before, err);
	if (r == 0)
		r = json_get_u64(a->doc, "not_after", &after, err);
	if (r < 0)
		return msb_err_prefix(err, r, "what msb-tls says");
	(void)time_rfc3339(before * NSEC_PER_SEC, a->not_before);
	(void)time_rfc3339(after * NSEC_PER_SEC, a->not_after);
	return 0;
}

static int ask(struct authority *a, const char *word, struct msb_err *err)
{
	char lib[PATH_MAX];
	char program[PATH_MAX];
	struct buf text;
	int r = where_lib_dir(lib, sizeof(lib), err);

	if (r < 0)
		return r;
	r = snprintf(program, sizeof(program), "%s/msb-tls", lib);
	if (r < 0 || (size_t)r >= sizeof(program))
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_USAGE, "the program directory's path is too long");
	buf_init(&text, AUTHORITY_TEXT_MAX);
	r = authority_ask(program, word, a->dir, &text, err);
	if (r == 0)
		r = understand(a, &text, err);
	buf_deinit(&text);
	return r;
}

static int print_json(const struct authority *a)
{
	struct json_out o;
	struct buf out;
	int status;

	buf_init(&out, CLI_TEXT_MAX);
	json_out_init(&o, &out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "path", a->cert);
	json_put_str(&o, "subject", a->subject);
	json_put_str(&o, "sha256", a->fingerprint);
	json_put_str(&o, "not_before", a->not_before);
	json_put_str(&o, "not_after", a->not_after);
	json_put_str(&o, "pem", a->pem);
	json_end_object(&o);
	status = cli_print_json(&o, &out);
	buf_deinit(&out);
	return status;
}

static int print_text(const struct authority *a, int format, bool path)
{
	struct buf out;
	int status;
	int r;

	buf_init(&out, CLI_TEXT_MAX);
	if (path)
		r = buf_printf(&out, "%s\n", a->cert);
	else if (format == FORMAT_PEM)
		r = buf_printf(&out, "%s", a->pem);
	else
		r = buf_printf(&out,
			"path:        %s\nsubject:     %s\nsha256:      %s\nvalid from:  %s\n"
			"valid until: %s\n",
			a->cert, a->subject, a->fingerprint, a->not_before, a->not_after);
	status = r < 0 ? CLI_EXIT_FAILED : cli_print(&out);
	buf_deinit(&out);
	return status;
}

/* Sandboxes have read it when they started. */
static void say_who_keeps(const char *home)
{
	struct sandbox_list list;
	struct buf names;
	const char *text;
	bool any = false;

	if (sandbox_list_get(home, &list, NULL) < 0)
		return;
	buf_init(&names, 512);
	for (size_t i = 0; i < list.n; i++) {
		const struct sandbox_info *s = &list.items[i];

		if (!s->readable || !s->spec.net.tls.on || s->spec.net.tls.ca_cert ||
			!sandbox_status_alive(s->record.status))
			continue;
		/* Of very many the last are left out. */
		if (buf_printf(&names, "%s%s", any ? ", " : "", s->name) < 0)
			break;
		any = true;
	}
	text = buf_cstr(&names);
	if (any && text)
		cli_note("these keep the old authority until they are restarted: %s", text);
	buf_deinit(&names);
	sandbox_list_deinit(&list);
}

static int run_ca(void *args, const struct opt_words *words)
{
	const struct ca_args *wanted = args;
	const char *action = words->operands.n ? words->operands.items[0] : "show";
	struct authority a = {.doc = NULL};
	bool rotate = streq(action, "rotate");
	struct msb_err err = {0};
	int status;
	int r = find(&a, &err);

	if (r == 0)
		r = ask(&a, rotate ? INTERCEPT_ROTATE_CA : INTERCEPT_SHOW_CA, &err);
	if (r < 0) {
		status = cli_fail(&err);
	} else if (wanted->format == FORMAT_JSON) {
		status = print_json(&a);
	} else {
		status = print_text(&a, wanted->format, streq(action, "path"));
	}
	if (r == 0 && rotate)
		say_who_keeps(a.home);
	(void)json_free(a.doc);
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
