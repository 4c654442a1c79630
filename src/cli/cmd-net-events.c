/* SPDX-License-Identifier: Apache-2.0 */
/* msb net events and msb net verify: what the network of a sandbox has done, and whether that is
 * what was written. */
#include "cli/api.h"
#include "cli/follow.h"
#include "lib/human.h"

enum {
	LOOK_AGAIN_MS = 500,
	TEXT_MAX = 128 << 20,
	FLUSH_BYTES = 64 * 1024,
	LINE_MAX_BYTES = 64 * 1024
};

enum format { FORMAT_TEXT, FORMAT_JSON };

struct events_args {
	struct cli_common common;
	bool follow;
	int format;
	const char *tail_text;
	const char *since_text;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct events_args, field)

static const struct opt event_opts[] = {
	{.name = "follow",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(follow),
		.help = "Go on until the sandbox ends"},
	{.name = "tail",
		.type = OPT_STRING,
		AT(tail_text),
		.arg = "N",
		.help = "Only the last N events"},
	{.name = "since",
		.type = OPT_STRING,
		AT(since_text),
		.arg = "TIME",
		.help = "Only from then on: 5m, 2h, 1d ago, or 2026-11-21T05:45:06Z"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output; json gives the lines as they are kept"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
};

static const struct opt_example event_examples[] = {
	{"What it has looked up, connected to and been refused", "msb net events dev"},
	{"As it happens", "msb net events -f --tail 20 dev"},
	{"For programs", "msb net events --format json --since 1h dev"},
};

struct events {
	const struct events_args *args;
	char since[TIME_TEXT];
	uint64_t tail; /* UINT64_MAX: all */
	struct msb_logs *ledger;
	struct buf out;
};

static const char *text_of(const struct json *e, const char *key)
{
	const char *s = "";

	return json_opt_str(e, key, &s, NULL) == 0 && s ? s : "";
}

static uint64_t number_of(const struct json *e, const char *key)
{
	uint64_t v = 0;

	return json_opt_u64(e, key, &v, NULL) == 0 ? v : 0;
}

static const char *type_name(uint64_t type, char to[16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} known[] = {{1, "A"}, {2, "NS"}, {5, "CNAME"}, {6, "SOA"}, {12, "PTR"}, {15, "MX"},
		{16, "TXT"}, {28, "AAAA"}, {33, "SRV"}, {64, "SVCB"}, {65, "HTTPS"}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].type == type)
			return known[i].name;
	}
	(void)snprintf(to, 16, "type %u", (unsigned int)MIN(type, (uint64_t)UINT16_MAX));
	return to;
}

static int put_lookup(struct buf *out, const struct json *e)
{
	const struct json *addrs = json_find(e, "addresses");
	const char *result = text_of(e, "result");
	const char *glue = ": ";
	char type[16];
	int r;

	if (streq(result, "denied"))
		return buf_printf(out, "%s", text_of(e, "text"));
	r = buf_printf(out, "lookup of %s (%s)", text_of(e, "name"),
		type_name(number_of(e, "type"), type));
	for (const struct json *a = addrs ? json_first(addrs) : NULL; a && r == 0;
		a = json_next(a)) {
		const char *text = "";

		if (json_to_str(a, "address", &text, NULL) < 0)
			break;
		r = buf_printf(out, "%s%s", glue, text);
		glue = ", ";
	}
	if (r == 0 && !addrs)
		r = buf_printf(out, ": %s, code %" PRIu64, result, number_of(e, "rcode"));
	if (r == 0 && !streq(result, "answered") && text_of(e, "text")[0])
		r = buf_printf(out, " (%s)", text_of(e, "text"));
	return r;
}

static int put_peer(struct buf *out, const struct json *e)
{
	const char *address = text_of(e, "address");
	bool v6 = strchr(address, ':') != NULL;
	int r = buf_printf(out, "%s %s %s%s%s", text_of(e, "direction"), text_of(e, "proto"),
		v6 ? "[" : "", address, v6 ? "]" : "");

	if (r == 0 && json_find(e, "port"))
		r = buf_printf(out, ":%" PRIu64, number_of(e, "port"));
	if (r == 0 && text_of(e, "name")[0])
		r = buf_printf(out, " (%s)", text_of(e, "name"));
	return r;
}

static int put_rule(struct buf *out, const struct json *e)
{
	uint64_t rule = number_of(e, "rule");

	return rule ? buf_printf(out, " by rule %" PRIu64 " '%s'", rule, text_of(e, "rule_text"))
		    : 0;
}

static int put_flow(struct buf *out, const struct json *e, const char *event)
{
	int r = put_peer(out, e);

	if (r == 0)
		r = buf_printf(out, ": %s", streq(event, "inspected") ? "allowed" : event);
	if (r == 0 && streq(event, "close"))
		r = buf_printf(out, ", %" PRIu64 " bytes sent, %" PRIu64 " received",
			number_of(e, "sent"), number_of(e, "received"));
	else if (r == 0)
		r = put_rule(out, e);
	if (r == 0 && text_of(e, "error")[0])
		r = buf_printf(out, ": %s", text_of(e, "error"));
	return r;
}

static int put_http(struct buf *out, const struct json *e)
{
	int r = buf_printf(
		out, "%s %s%s: ", text_of(e, "method"), text_of(e, "name"), text_of(e, "path"));

	if (r == 0 && number_of(e, "status"))
		r = buf_printf(out, "%" PRIu64, number_of(e, "status"));
	else if (r == 0)
		r = buf_printf(out, "%s", text_of(e, "text")[0] ? text_of(e, "text") : "no answer");
	if (r == 0 && text_of(e, "secret")[0])
		r = buf_printf(out, ", secret %s", text_of(e, "secret"));
	return r == 0 ? put_rule(out, e) : r;
}

/* The line of an event, "" for none. */
static int format_event(struct buf *out, const struct json *e)
{
	const char *event = text_of(e, "event");
	const char *text = text_of(e, "text");
	int r;

	if (streq(event, "file"))
		return 0;
	r = buf_printf(out, "%s ", text_of(e, "time"));
	if (r < 0)
		return r;
	if (streq(event, "dns"))
		r = put_lookup(out, e);
	else if (streq(event, "http"))
		r = put_http(out, e);
	else if ((streq(event, "denied") || streq(event, "dropped")) && text[0])
		r = buf_printf(out, "%s", text);
	else if (json_find(e, "direction"))
		r = put_flow(out, e, event);
	else if (streq(event, "lost"))
		r = buf_printf(out, "%" PRIu64 " events were lost: %s%s%s", number_of(e, "events"),
			text, text_of(e, "error")[0] ? ": " : "", text_of(e, "error"));
	else
		r = buf_printf(out, "%s%s%s", event, text[0] ? ": " : "", text);
	return r;
}

/* Names and paths are a guest's. They were made printable when they were written, by processes that
 * it may have taken over. */
static int put_event(struct buf *out, const struct json *e)
{
	cleanup_free char *clean = NULL;
	struct buf line;
	const char *text;
	int r;

	buf_init(&line, LINE_MAX_BYTES);
	r = format_event(&line, e);
	text = buf_cstr(&line);
	clean = malloc(buf_len(&line) + 1);
	if (r == 0 && (!text || !clean))
		r = -ENOMEM;
	if (r == 0 && text[0])
		r = buf_printf(out, "%s\n", human_text(clean, buf_len(&line) + 1, text));
	buf_deinit(&line);
	return r;
}

/* What is no event is left out: msb net verify complains of it. */
static int put_line(struct events *ev, const char *line, size_t len)
{
	cleanup_json struct json *doc = NULL;
	int r;

	if (json_parse(line, len, &doc, NULL) < 0)
		return 0;
	if (ev->since[0] && strcmp(text_of(doc, "time"), ev->since) < 0)
		return 0;
	if (ev->args->format == FORMAT_TEXT)
		return put_event(&ev->out, doc);
	r = buf_append(&ev->out, line, len);
	return r == 0 ? buf_append(&ev->out, "\n", 1) : r;
}

static int flush(struct events *ev)
{
	int status = cli_print(&ev->out);

	buf_consume(&ev->out, buf_len(&ev->out));
	return status;
}

static int drain(struct events *ev, bool collect)
{
	struct msb_log_entry line = MSB_LOG_ENTRY_INIT;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	int status = 0;
	int got = 0;
	int r = 0;

	while (status == 0 && r == 0 && (got = msb_logs_next(ev->ledger, &line, &e)) > 0) {
		r = put_line(ev, line.line, line.line_len);
		if (r == 0 && !collect && buf_len(&ev->out) > FLUSH_BYTES)
			status = flush(ev);
	}
	if (msb_logs_lost(ev->ledger))
		cli_note("some events were overwritten before they could be read");
	if (r < 0) {
		(void)msb_err_errno(&err, r, "reading the ledger");
		return cli_fail(&err);
	}
	return got < 0 ? cli_api_fail(&e) : status;
}

static int follow(struct events *ev)
{
	int status = 0;

	while (status == 0) {
		/* Asked first: what it says at the end is there when it is not alive any more. */
		bool alive = msb_logs_running(ev->ledger);

		status = drain(ev, false);
		if (status == 0)
			status = flush(ev);
		if (!alive)
			break;
		if (status == 0)
			(void)msb_logs_wait(ev->ledger, LOOK_AGAIN_MS, NULL);
	}
	return status;
}

static int show(struct events *ev)
{
	int status = drain(ev, ev->tail != UINT64_MAX);

	if (ev->tail != UINT64_MAX)
		follow_cut_to_tail(&ev->out, ev->tail);
	if (status == 0)
		status = flush(ev);
	if (status == 0 && ev->args->follow)
		status = follow(ev);
	return status;
}

static int open_and_show(struct events *ev, const char *name)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &ev->args->common, &e);

	if (r == 0)
		r = msb_net_events(api.msb, name, &ev->ledger, &e);
	status = r < 0 ? cli_api_fail(&e) : show(ev);
	(void)msb_logs_close(ev->ledger);
	cli_api_close(&api);
	return status;
}

static int run_events(void *args, const struct opt_words *words)
{
	struct events ev = {.args = args, .tail = UINT64_MAX};
	struct msb_err err = {0};
	int status;
	int r = follow_parse_time("since", ev.args->since_text, ev.since, &err);

	buf_init(&ev.out, TEXT_MAX);
	if (r == 0 && ev.args->tail_text && str_to_u64(ev.args->tail_text, &ev.tail) < 0)
		r = msb_err_set(
			&err, -EINVAL, MSB_USAGE, "option --tail: a number of events is wanted");
	status = r < 0 ? cli_fail(&err) : open_and_show(&ev, words->operands.items[0]);
	buf_deinit(&ev.out);
	return status;
}

const struct cli_command cmd_net_events = {
	.table = {.name = "net events",
		.summary = "Show what the network of a sandbox has done",
		.description =
			"Shows the ledger of a sandbox: every lookup, every connection with its "
			"bytes and the rule that let it through, and everything that was denied or "
			"failed, of this start and of earlier ones. The last 48 to 64 MiB are "
			"kept. "
			"It works on stopped sandboxes, too.",
		.group = "Network",
		.opts = event_opts,
		.n_opts = ARRAY_SIZE(event_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = event_examples,
		.n_examples = ARRAY_SIZE(event_examples)},
	.args_size = sizeof(struct events_args),
	.run = run_events,
};

struct verify_args {
	struct cli_common common;
	int format;
};

static const struct opt verify_opts[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		.offset = offsetof(struct verify_args, format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output"},
};

static const struct opt_example verify_examples[] = {
	{"Has somebody changed it?", "msb net verify dev"},
};

static int print_check_json(const struct msb_ledger_check *c)
{
	struct json_out o;
	struct buf out;
	int r;

	buf_init(&out, CLI_TEXT_MAX);
	json_out_init(&o, &out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_bool(&o, "ok", c->whole);
	json_put_u64(&o, "lines", c->lines);
	json_put_u64(&o, "first", c->first);
	json_put_u64(&o, "last", c->last);
	json_put_str(&o, "hash", c->hash);
	json_put_u64(&o, "lost", c->lost);
	json_put_bool(&o, "torn", c->torn);
	json_put_bool(&o, "ended", c->ended);
	if (!c->whole) {
		json_put_str(&o, "file", c->file[0] ? c->file : NULL);
		json_put_u64(&o, "line", c->line);
		json_put_str(&o, "reason", c->reason);
	}
	json_end_object(&o);
	r = cli_print_json(&o, &out);
	buf_deinit(&out);
	return r;
}

static int print_check(const struct msb_ledger_check *c)
{
	struct buf out;
	int r = 0;

	buf_init(&out, CLI_TEXT_MAX);
	if (!c->whole && c->file[0])
		r = buf_printf(
			&out, "broken: %s, line %" PRIu64 ": %s\n", c->file, c->line, c->reason);
	else if (!c->whole)
		r = buf_printf(&out, "broken: %s\n", c->reason);
	else
		r = buf_printf(&out, "ok: lines %" PRIu64 " to %" PRIu64 ", the last one has %s\n",
			c->first, c->last, c->hash);
	if (r == 0 && c->lost)
		r = buf_printf(&out, "%" PRIu64 " events were lost\n", c->lost);
	if (r == 0 && c->whole && !c->running && (c->torn || !c->ended))
		r = buf_printf(&out, "the last run did not end by itself: it was killed\n");
	r = r < 0 ? CLI_EXIT_FAILED : cli_print(&out);
	buf_deinit(&out);
	return r;
}

static int run_verify(void *args, const struct opt_words *words)
{
	struct msb_ledger_check c = MSB_LEDGER_CHECK_INIT;
	const struct verify_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_net_verify(api.msb, words->operands.items[0], &c, &e);
	cli_api_close(&api);
	if (r < 0)
		return cli_api_fail(&e);
	r = a->format == FORMAT_JSON ? print_check_json(&c) : print_check(&c);
	return r ? r : !c.whole;
}

const struct cli_command cmd_net_verify = {
	.table = {.name = "net verify",
		.summary = "Check that the ledger of a sandbox is what was written",
		.description =
			"Recomputes the hashes of the ledger that msb net events shows, and names "
			"the first line that was changed, removed or added, or that lines at its "
			"end are missing. The last hash stands for all that was written so far: "
			"kept elsewhere, it also tells a ledger that was written anew.",
		.group = "Network",
		.opts = verify_opts,
		.n_opts = ARRAY_SIZE(verify_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = verify_examples,
		.n_examples = ARRAY_SIZE(verify_examples),
		.exit_status = "0 if the ledger is whole, 1 if it is not."},
	.args_size = sizeof(struct verify_args),
	.run = run_verify,
};
