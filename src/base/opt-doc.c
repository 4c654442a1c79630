/* SPDX-License-Identifier: Apache-2.0 */
/* Help texts, command tree and man pages from option tables: see opt.h. */
#include "base/opt-internal.h"
#include "base/str.h"

enum { WIDTH = 80, TEXT_COLUMN = 26, ITEM_MAX = 1024 };

void opt_put(struct opt_text *t, const char *fmt, ...)
{
	char line[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (t->r == 0)
		t->r = n < 0 || (size_t)n >= sizeof(line) ? -ENOBUFS
							  : buf_append(t->out, line, (size_t)n);
}

static const char *group_of(const char *group)
{
	return group ? group : "Options";
}

/* Words of @text from column @column on, broken before WIDTH and indented like the first line. */
static void put_wrapped(struct opt_text *t, size_t column, size_t indent, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " \n");

		if (column > indent && column + 1 + len >= WIDTH) {
			opt_put(t, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			opt_put(t, " ");
			column++;
		}
		opt_put(t, "%.*s", (int)len, text);
		column += len;
		text += len;
		if (*text == '\n' && text[1] == '\n') {
			opt_put(t, "\n\n%*s", (int)indent, "");
			column = indent;
		}
		text += strspn(text, " \n");
	}
	opt_put(t, "\n");
}

/* "  -m, --memory SIZE     text" */
static void put_item(struct opt_text *t, const char *left, const char *text)
{
	size_t len = strlen(left);

	opt_put(t, "  %s", left);
	if (len + 4 > TEXT_COLUMN)
		opt_put(t, "\n%*s", TEXT_COLUMN, "");
	else
		opt_put(t, "%*s", (int)(TEXT_COLUMN - 2 - len), "");
	put_wrapped(t, TEXT_COLUMN, TEXT_COLUMN, text);
}

static void item_left(const struct opt *o, char *to, size_t size)
{
	char letter[8] = "    ";

	if (o->letter)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	(void)snprintf(to, size, "%s--%s%s%s", letter, o->name, opt_takes_value(o) ? " " : "",
		opt_takes_value(o) ? o->arg : "");
}

/* Help with what the table knows besides: choices, repetition, default, variable. Lives in @b. */
static const char *item_text(struct opt_text *t, struct buf *b, const struct opt *o)
{
	struct opt_text item = {.out = b};
	const char *text;

	opt_put(&item, "%s", o->help);
	for (size_t i = 0; o->choices && o->choices[i]; i++)
		opt_put(&item, "%s%s", i ? ", " : ": ", o->choices[i]);
	if (opt_is_repeatable(o))
		opt_put(&item, " (repeatable)");
	if (o->def)
		opt_put(&item, " [default: %s]", o->def);
	if (o->env)
		opt_put(&item, " [env: %s]", o->env);
	text = buf_cstr(b);
	if (t->r == 0)
		t->r = text ? item.r : -ENOMEM;
	return text ? text : "";
}

static void put_operand(struct opt_text *t, const struct opt_operand *op)
{
	opt_put(t, " %s%s%s%s", op->required ? "" : "[", op->name, op->repeatable ? "..." : "",
		op->required ? "" : "]");
}

static void put_synopsis(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	if (!cmd) {
		opt_put(t, "%s COMMAND [OPTIONS] [ARGUMENTS]", prog->name);
		return;
	}
	opt_put(t, "%s %s [OPTIONS]", prog->name, cmd->name);
	for (size_t i = 0; i < cmd->n_operands; i++)
		put_operand(t, &cmd->operands[i]);
	if (cmd->takes_command)
		opt_put(t, " [--] [COMMAND [ARG...]]");
}

static void put_options(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const char *group = NULL;
	const struct opt *o;
	size_t at = 0;

	while ((o = opt_next(prog, cmd, &at))) {
		char left[80];
		struct buf item;

		if (!group || !streq(group, group_of(o->group))) {
			group = group_of(o->group);
			opt_put(t, "\n%s:\n", group);
		}
		item_left(o, left, sizeof(left));
		buf_init(&item, ITEM_MAX);
		put_item(t, left, item_text(t, &item, o));
		buf_deinit(&item);
	}
}

static void put_commands(struct opt_text *t, const struct opt_program *prog)
{
	const char *group = NULL;

	for (size_t i = 0; i < prog->n_commands; i++) {
		const struct opt_command *c = prog->commands[i];

		if (c->hidden)
			continue;
		if (!group || !streq(group, c->group)) {
			group = c->group;
			opt_put(t, "\n%s:\n", group);
		}
		put_item(t, c->name, c->summary);
	}
}

static void put_aliases(struct opt_text *t, const struct opt_program *prog,
	const struct opt_command *cmd, void (*put)(struct opt_text *t, const char *text))
{
	const char *sep = "Other names: ";

	for (size_t i = 0; i < OPT_ALIASES_MAX && cmd->aliases[i]; i++) {
		char text[80];

		(void)snprintf(text, sizeof(text), "%s%s %s", sep, prog->name, cmd->aliases[i]);
		put(t, text);
		sep = ", ";
	}
	if (cmd->aliases[0])
		opt_put(t, ".\n");
}

static void put_plain(struct opt_text *t, const char *text)
{
	opt_put(t, "%s", text);
}

static void help_program(struct opt_text *t, const struct opt_program *prog)
{
	put_wrapped(t, 0, 0, prog->summary);
	opt_put(t, "\nUsage: ");
	put_synopsis(t, prog, NULL);
	opt_put(t, "\n");
	put_commands(t, prog);
	put_options(t, prog, NULL);
	opt_put(t, "\n'%s COMMAND --help' explains a command.\n", prog->name);
}

static void help_command(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	put_wrapped(t, 0, 0, cmd->summary);
	opt_put(t, "\nUsage: ");
	put_synopsis(t, prog, cmd);
	opt_put(t, "\n");
	if (cmd->description) {
		opt_put(t, "\n");
		put_wrapped(t, 0, 0, cmd->description);
	}
	if (cmd->aliases[0])
		opt_put(t, "\n");
	put_aliases(t, prog, cmd, put_plain);
	if (cmd->n_operands)
		opt_put(t, "\nArguments:\n");
	for (size_t i = 0; i < cmd->n_operands; i++)
		put_item(t, cmd->operands[i].name, cmd->operands[i].help);
	put_options(t, prog, cmd);
	if (cmd->n_examples)
		opt_put(t, "\nExamples:\n");
	for (size_t i = 0; i < cmd->n_examples; i++)
		opt_put(t, "%s  # %s\n  %s\n", i ? "\n" : "", cmd->examples[i].text,
			cmd->examples[i].command);
}

int opt_help(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out)
{
	struct opt_text t = {.out = out};

	if (cmd)
		help_command(&t, prog, cmd);
	else
		help_program(&t, prog);
	return t.r;
}

int opt_group_help(const struct opt_program *prog, const struct opt_group *group, struct buf *out)
{
	struct opt_text t = {.out = out};

	put_wrapped(&t, 0, 0, group->summary);
	opt_put(&t, "\nUsage: %s %s COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n", prog->name,
		group->name);
	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *word = opt_word_in(prog, prog->commands[i], group);

		if (word && !prog->commands[i]->hidden)
			put_item(&t, word, prog->commands[i]->summary);
	}
	opt_put(&t, "\n'%s %s COMMAND --help' explains a command.\n", prog->name, group->name);
	return t.r;
}

static void tree_options(struct opt_text *t, const struct opt_program *prog,
	const struct opt_command *cmd, int indent)
{
	const struct opt *o;
	size_t at = 0;

	while ((o = opt_next(prog, cmd, &at))) {
		char left[80];

		item_left(o, left, sizeof(left));
		opt_put(t, "%*s%s\n", indent, "", left + strspn(left, " "));
	}
}

int opt_tree(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out)
{
	struct opt_text t = {.out = out};

	if (cmd) {
		opt_put(&t, "%s %s\n", prog->name, cmd->name);
		tree_options(&t, prog, cmd, 2);
		return t.r;
	}
	opt_put(&t, "%s\n", prog->name);
	tree_options(&t, prog, NULL, 2);
	for (size_t i = 0; i < prog->n_commands; i++) {
		if (prog->commands[i]->hidden)
			continue;
		opt_put(&t, "  %s\n", prog->commands[i]->name);
		tree_options(&t, prog, prog->commands[i], 4);
	}
	return t.r;
}

int opt_group_tree(const struct opt_program *prog, const struct opt_group *group, struct buf *out)
{
	struct opt_text t = {.out = out};

	opt_put(&t, "%s %s\n", prog->name, group->name);
	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *word = opt_word_in(prog, prog->commands[i], group);

		if (!word || prog->commands[i]->hidden)
			continue;
		opt_put(&t, "  %s\n", word);
		tree_options(&t, prog, prog->commands[i], 4);
	}
	return t.r;
}

/* Text for roff: backslashes and dashes escaped, no line starts with a control character. */
static void put_roff(struct opt_text *t, const char *text)
{
	bool line_start = true;

	for (; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			opt_put(t, "\\&");
		line_start = *text == '\n';
		if (*text == '\n' && text[1] == '\n') {
			opt_put(t, "\n.PP\n");
			text++;
			line_start = true;
		} else if (*text == '\\') {
			opt_put(t, "\\e");
		} else if (*text == '-') {
			opt_put(t, "\\-");
		} else {
			opt_put(t, "%c", *text);
		}
	}
}

static void man_upper(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; from[i] && i + 1 < size; i++)
		to[i] = (char)(from[i] >= 'a' && from[i] <= 'z' ? from[i] - 32 : from[i]);
	to[i] = '\0';
}

static void man_option(struct opt_text *t, const struct opt *o)
{
	struct buf item;

	opt_put(t, ".TP\n");
	if (o->letter)
		opt_put(t, "\\fB\\-%c\\fR, ", o->letter);
	opt_put(t, "\\fB");
	put_roff(t, "--");
	put_roff(t, o->name);
	opt_put(t, "\\fR");
	if (opt_takes_value(o)) {
		opt_put(t, " \\fI");
		put_roff(t, o->arg);
		opt_put(t, "\\fR");
	}
	opt_put(t, "\n");
	buf_init(&item, ITEM_MAX);
	put_roff(t, item_text(t, &item, o));
	buf_deinit(&item);
	opt_put(t, ".\n");
}

static void man_options(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const char *group = NULL;
	const struct opt *o;
	size_t at = 0;

	opt_put(t, ".SH OPTIONS\n");
	while ((o = opt_next(prog, cmd, &at))) {
		if (!group || !streq(group, group_of(o->group))) {
			group = group_of(o->group);
			opt_put(t, ".SS %s\n", group);
		}
		man_option(t, o);
	}
}

static void man_item(struct opt_text *t, const char *name, const char *text)
{
	opt_put(t, ".TP\n\\fB");
	put_roff(t, name);
	opt_put(t, "\\fR\n");
	put_roff(t, text);
	opt_put(t, ".\n");
}

static void man_environment(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const struct opt *o;
	size_t at = 0;
	char text[160];

	opt_put(t, ".SH ENVIRONMENT\n");
	while ((o = opt_next(prog, cmd, &at))) {
		if (!o->env)
			continue;
		(void)snprintf(text, sizeof(text), "Default of --%s", o->name);
		man_item(t, o->env, text);
	}
	for (size_t i = 0; i < prog->n_variables; i++)
		man_item(t, prog->variables[i].name, prog->variables[i].help);
}

/* "msb-image-ls" */
static void page_name(
	const struct opt_program *prog, const struct opt_command *cmd, char *to, size_t size)
{
	(void)snprintf(to, size, "%s%s%s", prog->name, cmd ? "-" : "", cmd ? cmd->name : "");
	for (; *to; to++) {
		if (*to == ' ')
			*to = '-';
	}
}

static void man_see_also(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const char *sep = "";
	char page[64];

	opt_put(t, ".SH SEE ALSO\n");
	if (cmd) {
		opt_put(t, ".BR %s (1)\n", prog->name);
		return;
	}
	for (size_t i = 0; i < prog->n_commands; i++) {
		if (prog->commands[i]->hidden)
			continue;
		opt_put(t, "%s.BR ", sep);
		page_name(prog, prog->commands[i], page, sizeof(page));
		put_roff(t, page);
		opt_put(t, " (1)");
		sep = ",\n";
	}
	opt_put(t, "\n");
}

static void man_body(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const char *description = cmd ? cmd->description : prog->description;

	opt_put(t, ".SH SYNOPSIS\n");
	put_synopsis(t, prog, cmd);
	opt_put(t, "\n.SH DESCRIPTION\n");
	put_roff(t, description ? description : cmd ? cmd->summary : prog->summary);
	opt_put(t, "\n");
	if (cmd && cmd->aliases[0]) {
		opt_put(t, ".PP\n");
		put_aliases(t, prog, cmd, put_roff);
	}
	for (size_t i = 0; cmd && i < cmd->n_operands; i++)
		man_item(t, cmd->operands[i].name, cmd->operands[i].help);
	if (!cmd) {
		opt_put(t, ".SH COMMANDS\n");
		for (size_t i = 0; i < prog->n_commands; i++) {
			if (!prog->commands[i]->hidden)
				man_item(t, prog->commands[i]->name, prog->commands[i]->summary);
		}
	}
	man_options(t, prog, cmd);
	man_environment(t, prog, cmd);
}

int opt_man(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out)
{
	struct opt_text t = {.out = out};
	const char *exit_status = cmd ? cmd->exit_status : prog->exit_status;
	char title[64];
	char page[64];

	page_name(prog, cmd, page, sizeof(page));
	man_upper(title, sizeof(title), page);
	opt_put(&t, ".TH \"%s\" 1 \"\" \"%s %s\" \"%s manual\"\n", title, prog->name, prog->version,
		prog->name);
	opt_put(&t, ".SH NAME\n");
	put_roff(&t, page);
	opt_put(&t, " \\- ");
	put_roff(&t, cmd ? cmd->summary : prog->summary);
	opt_put(&t, "\n");
	man_body(&t, prog, cmd);
	if (exit_status) {
		opt_put(&t, ".SH EXIT STATUS\n");
		put_roff(&t, exit_status);
		opt_put(&t, "\n");
	}
	if (cmd && cmd->n_examples)
		opt_put(&t, ".SH EXAMPLES\n");
	for (size_t i = 0; cmd && i < cmd->n_examples; i++) {
		opt_put(&t, ".TP\n");
		put_roff(&t, cmd->examples[i].text);
		opt_put(&t, "\n\\fB");
		put_roff(&t, cmd->examples[i].command);
		opt_put(&t, "\\fR\n");
	}
	man_see_also(&t, prog, cmd);
	return t.r;
}
