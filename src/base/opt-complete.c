/* SPDX-License-Identifier: Apache-2.0 */
/* Shell completions from option tables: see opt.h. */
#include "base/opt-internal.h"
#include "base/str.h"

/* @text inside single quotes of a POSIX shell; fish escapes the quote differently. */
static void put_quoted(struct opt_text *t, const char *text, const char *escaped_quote)
{
	for (; *text; text++) {
		if (*text == '\'')
			opt_put(t, "%s", escaped_quote);
		else
			opt_put(t, "%c", *text);
	}
}

static void put_choices(struct opt_text *t, const char *const *choices)
{
	for (size_t i = 0; choices[i]; i++)
		opt_put(t, "%s%s", i ? " " : "", choices[i]);
}

/* First words: commands of one word, and groups. */
static void put_command_names(struct opt_text *t, const struct opt_program *prog)
{
	const char *sep = "";

	for (size_t i = 0; i < prog->n_commands; i++) {
		if (prog->commands[i]->hidden || opt_group_of(prog, prog->commands[i]))
			continue;
		opt_put(t, "%s%s", sep, prog->commands[i]->name);
		sep = " ";
	}
	for (size_t i = 0; i < prog->n_groups; i++)
		opt_put(t, " %s", prog->groups[i].name);
}

/* Second words. */
static void put_group_names(
	struct opt_text *t, const struct opt_program *prog, const struct opt_group *group)
{
	const char *sep = "";

	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *word = opt_word_in(prog, prog->commands[i], group);

		if (!word || prog->commands[i]->hidden)
			continue;
		opt_put(t, "%s%s", sep, word);
		sep = " ";
	}
}

/* "-m|--memory" */
static void bash_pattern(struct opt_text *t, const struct opt *o)
{
	if (o->letter)
		opt_put(t, "-%c | ", o->letter);
	opt_put(t, "--%s", o->name);
}

static void bash_offer(struct opt_text *t, enum opt_complete complete, const char *const *choices)
{
	if (choices) {
		opt_put(t, "_msb_offer '");
		put_choices(t, choices);
		opt_put(t, "'");
	} else if (complete == OPT_COMPLETE_NONE) {
		opt_put(t, "compopt +o default");
	} else {
		opt_put(t, "_msb_files %s", complete == OPT_COMPLETE_DIR ? "-d" : "-f");
	}
}

static void bash_command(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const struct opt *o;
	size_t at = 0;

	opt_put(t, "\t'%s'", cmd->name);
	for (size_t i = 0; i < OPT_ALIASES_MAX && cmd->aliases[i]; i++)
		opt_put(t, " | '%s'", cmd->aliases[i]);
	opt_put(t, ")\n\t\tcase $prev in\n");
	while ((o = opt_next(prog, cmd, &at))) {
		if (!opt_takes_value(o))
			continue;
		opt_put(t, "\t\t");
		bash_pattern(t, o);
		opt_put(t, ") ");
		bash_offer(t, o->complete, o->choices);
		opt_put(t, "; return ;;\n");
	}
	opt_put(t, "\t\tesac\n\t\tif [[ $cur == -* ]]; then\n\t\t\t_msb_offer '");
	at = 0;
	while ((o = opt_next(prog, cmd, &at))) {
		if (o->letter)
			opt_put(t, "-%c ", o->letter);
		opt_put(t, "--%s ", o->name);
	}
	opt_put(t, "'\n\t\t\treturn\n\t\tfi\n");
	if (cmd->n_operands) {
		opt_put(t, "\t\t");
		bash_offer(t, cmd->operands[0].complete, cmd->operands[0].choices);
		opt_put(t, "\n");
	}
	opt_put(t, "\t\t;;\n");
}

static void bash_script(struct opt_text *t, const struct opt_program *prog)
{
	const struct opt *o;
	size_t at = 0;

	opt_put(t,
		"# bash completion of %s; load it with: source <(%s completion bash)\n"
		"_msb_offer()\n{\n"
		"\tCOMPREPLY=()\n"
		"\twhile IFS= read -r word; do COMPREPLY+=(\"$word\"); done \\\n"
		"\t\t< <(compgen -W \"$1\" -- \"$cur\")\n"
		"}\n"
		"_msb_files()\n{\n"
		"\tcompopt -o filenames\n"
		"\tCOMPREPLY=()\n"
		"\twhile IFS= read -r word; do COMPREPLY+=(\"$word\"); done \\\n"
		"\t\t< <(compgen \"$1\" -- \"$cur\")\n"
		"}\n",
		prog->name, prog->name);
	opt_put(t, "_msb()\n{\n"
		   "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= i "
		   "word\n"
		   "\tCOMPREPLY=()\n"
		   "\tif [[ $prev == = ]]; then\n"
		   "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n"
		   "\telif [[ $cur == = ]]; then\n"
		   "\t\tcur=\n"
		   "\tfi\n"
		   "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		   "\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then return; fi\n"
		   "\t\tif [[ ${COMP_WORDS[i]} == -* ]]; then continue; fi\n"
		   "\t\tcase $cmd in\n"
		   "\t\t'') cmd=${COMP_WORDS[i]} ;;\n");
	for (size_t i = 0; i < prog->n_groups; i++)
		opt_put(t, "\t\t%s) cmd=\"$cmd ${COMP_WORDS[i]}\" ;;\n", prog->groups[i].name);
	opt_put(t, "\t\tesac\n"
		   "\tdone\n"
		   "\tcase $cmd in\n"
		   "\t'')\n\t\t_msb_offer '");
	put_command_names(t, prog);
	while ((o = opt_next(prog, NULL, &at)))
		opt_put(t, " --%s", o->name);
	opt_put(t, "'\n\t\t;;\n");
	for (size_t i = 0; i < prog->n_groups; i++) {
		opt_put(t, "\t%s)\n\t\t_msb_offer '", prog->groups[i].name);
		put_group_names(t, prog, &prog->groups[i]);
		opt_put(t, "'\n\t\t;;\n");
	}
	for (size_t i = 0; i < prog->n_commands; i++) {
		if (!prog->commands[i]->hidden)
			bash_command(t, prog, prog->commands[i]);
	}
	opt_put(t, "\tesac\n}\ncomplete -o default -F _msb %s\n", prog->name);
}

/* Colons and brackets have a meaning in the specs of _arguments. */
static void zsh_text(struct opt_text *t, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			opt_put(t, "'\\''");
		else if (strchr(":[]\\", *text))
			opt_put(t, "\\%c", *text);
		else
			opt_put(t, "%c", *text);
	}
}

static void zsh_action(struct opt_text *t, enum opt_complete complete, const char *const *choices)
{
	if (choices) {
		opt_put(t, "(");
		put_choices(t, choices);
		opt_put(t, ")");
	} else if (complete != OPT_COMPLETE_NONE) {
		opt_put(t, complete == OPT_COMPLETE_DIR ? "_files -/" : "_files");
	}
}

static void zsh_option(struct opt_text *t, const struct opt *o)
{
	bool value = opt_takes_value(o);

	opt_put(t, " \\\n\t\t\t");
	if (opt_is_repeatable(o))
		opt_put(t, "'*'");
	else if (o->letter)
		opt_put(t, "'(-%c --%s)'", o->letter, o->name);
	if (o->letter)
		opt_put(t, "{-%c%s,--%s%s}'[", o->letter, value ? "+" : "", o->name,
			value ? "=" : "");
	else
		opt_put(t, "'--%s%s[", o->name, value ? "=" : "");
	zsh_text(t, o->help);
	opt_put(t, "]");
	if (value) {
		opt_put(t, ":");
		zsh_text(t, o->arg);
		opt_put(t, ":");
		zsh_action(t, o->complete, o->choices);
	}
	opt_put(t, "'");
}

/* Names of one word: @name, which may be NULL, and if @aliases those. */
static void zsh_names(
	struct opt_text *t, const struct opt_command *cmd, const char *name, bool aliases)
{
	const char *sep = name ? " | " : "";

	opt_put(t, "\t%s", name ? name : "");
	for (size_t i = 0; aliases && i < OPT_ALIASES_MAX && cmd->aliases[i]; i++) {
		if (strchr(cmd->aliases[i], ' '))
			continue;
		opt_put(t, "%s%s", sep, cmd->aliases[i]);
		sep = " | ";
	}
	opt_put(t, ")\n");
}

static void zsh_command(
	struct opt_text *t, const struct opt_program *prog, const struct opt_command *cmd)
{
	const struct opt *o;
	size_t at = 0;

	opt_put(t, "\t\t_arguments -s -S");
	while ((o = opt_next(prog, cmd, &at)))
		zsh_option(t, o);
	for (size_t i = 0; i < cmd->n_operands; i++) {
		const struct opt_operand *op = &cmd->operands[i];

		opt_put(t, " \\\n\t\t\t'%s:", op->repeatable ? "*" : op->required ? "" : ":");
		zsh_text(t, op->name);
		opt_put(t, ":");
		zsh_action(t, op->complete, op->choices);
		opt_put(t, "'");
	}
	if (cmd->takes_command)
		opt_put(t, " \\\n\t\t\t'*::COMMAND:_normal'");
	opt_put(t, "\n\t\t;;\n");
}

static void zsh_described(struct opt_text *t, const char *name, const char *summary)
{
	opt_put(t, "\t\t'%s:", name);
	put_quoted(t, summary, "'\\''");
	opt_put(t, "'\n");
}

static bool has_short_alias(const struct opt_command *cmd)
{
	for (size_t i = 0; i < OPT_ALIASES_MAX && cmd->aliases[i]; i++) {
		if (!strchr(cmd->aliases[i], ' '))
			return true;
	}
	return false;
}

static void zsh_group(
	struct opt_text *t, const struct opt_program *prog, const struct opt_group *group)
{
	opt_put(t, "\t%s)\n\tcommands=(\n", group->name);
	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *word = opt_word_in(prog, prog->commands[i], group);

		if (word && !prog->commands[i]->hidden)
			zsh_described(t, word, prog->commands[i]->summary);
	}
	opt_put(t, "\t)\n"
		   "\tif ((CURRENT == 2)); then\n"
		   "\t\t_describe -t commands command commands\n"
		   "\t\treturn\n"
		   "\tfi\n"
		   "\tshift words\n"
		   "\t((CURRENT--))\n"
		   "\tcase $words[1] in\n");
	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *word = opt_word_in(prog, prog->commands[i], group);

		if (!word || prog->commands[i]->hidden)
			continue;
		zsh_names(t, prog->commands[i], word, false);
		zsh_command(t, prog, prog->commands[i]);
	}
	opt_put(t, "\tesac\n\t\t;;\n");
}

/* The first word decides: a command, another name of one, or a group. */
static void zsh_first_words(struct opt_text *t, const struct opt_program *prog)
{
	for (size_t i = 0; i < prog->n_commands; i++) {
		const struct opt_command *c = prog->commands[i];
		bool grouped = opt_group_of(prog, c) != NULL;

		if (c->hidden || (grouped && !has_short_alias(c)))
			continue;
		zsh_names(t, c, grouped ? NULL : c->name, true);
		zsh_command(t, prog, c);
	}
	for (size_t i = 0; i < prog->n_groups; i++)
		zsh_group(t, prog, &prog->groups[i]);
}

static void zsh_script(struct opt_text *t, const struct opt_program *prog)
{
	const struct opt *o;
	size_t at = 0;

	opt_put(t,
		"#compdef %s\n"
		"# zsh completion of %s; load it with: source <(%s completion zsh)\n"
		"_%s() {\n"
		"\tlocal -a commands=(\n",
		prog->name, prog->name, prog->name, prog->name);
	for (size_t i = 0; i < prog->n_commands; i++) {
		if (!prog->commands[i]->hidden && !opt_group_of(prog, prog->commands[i]))
			zsh_described(t, prog->commands[i]->name, prog->commands[i]->summary);
	}
	for (size_t i = 0; i < prog->n_groups; i++)
		zsh_described(t, prog->groups[i].name, prog->groups[i].summary);
	opt_put(t, "\t)\n"
		   "\tif ((CURRENT == 2)); then\n"
		   "\t\t_describe -t commands command commands\n"
		   "\t\t_arguments");
	while ((o = opt_next(prog, NULL, &at)))
		zsh_option(t, o);
	opt_put(t, "\n\t\treturn\n"
		   "\tfi\n"
		   "\tshift words\n"
		   "\t((CURRENT--))\n"
		   "\tcase $words[1] in\n");
	zsh_first_words(t, prog);
	opt_put(t,
		"\tesac\n"
		"}\n"
		"if [[ $funcstack[1] == _%s ]]; then _%s \"$@\"; else compdef _%s %s; fi\n",
		prog->name, prog->name, prog->name, prog->name);
}

static void fish_offer(struct opt_text *t, enum opt_complete complete, const char *const *choices)
{
	if (choices) {
		opt_put(t, " -x -a '");
		put_choices(t, choices);
		opt_put(t, "'");
	} else if (complete == OPT_COMPLETE_DIR) {
		opt_put(t, " -x -a '(__fish_complete_directories)'");
	} else {
		opt_put(t, complete == OPT_COMPLETE_FILE ? " -r -F" : " -x");
	}
}

static void fish_option(struct opt_text *t, const struct opt_program *prog,
	const struct opt_command *cmd, const struct opt *o)
{
	if (cmd)
		opt_put(t, "complete -c %s -n '__%s_at %s'", prog->name, prog->name, cmd->name);
	else
		opt_put(t, "complete -c %s -n __fish_use_subcommand", prog->name);
	if (o->letter)
		opt_put(t, " -s %c", o->letter);
	opt_put(t, " -l %s", o->name);
	if (opt_takes_value(o))
		fish_offer(t, o->complete, o->choices);
	opt_put(t, " -d '");
	put_quoted(t, o->help, "\\'");
	opt_put(t, "'\n");
}

static void fish_operand(struct opt_text *t, const struct opt_program *prog,
	const struct opt_command *cmd, const struct opt_operand *op)
{
	opt_put(t, "complete -c %s -n '__%s_at %s'", prog->name, prog->name, cmd->name);
	if (op->choices) {
		opt_put(t, " -f -a '");
		put_choices(t, op->choices);
		opt_put(t, "'\n");
	} else {
		opt_put(t, op->complete == OPT_COMPLETE_NONE ? " -f\n" : " -F\n");
	}
}

/* A name offered where the words before it are those of @group, or none. */
static void fish_name(struct opt_text *t, const struct opt_program *prog, const char *group,
	const char *name, const char *summary)
{
	opt_put(t, "complete -c %s -n '__%s_only %s' -f -a %s -d '", prog->name, prog->name, group,
		name);
	put_quoted(t, summary, "\\'");
	opt_put(t, "'\n");
}

static void fish_names(struct opt_text *t, const struct opt_program *prog)
{
	for (size_t i = 0; i < prog->n_commands; i++) {
		const struct opt_command *c = prog->commands[i];
		const struct opt_group *g = opt_group_of(prog, c);

		if (!c->hidden)
			fish_name(t, prog, g ? g->name : "", g ? opt_in_group(c, g) : c->name,
				c->summary);
	}
	for (size_t i = 0; i < prog->n_groups; i++)
		fish_name(t, prog, "", prog->groups[i].name, prog->groups[i].summary);
}

/* Commands that have a name in a group beside their own. */
static void fish_other_names(struct opt_text *t, const struct opt_program *prog)
{
	for (size_t i = 0; i < prog->n_commands; i++) {
		const struct opt_command *c = prog->commands[i];

		for (size_t k = 0; k < prog->n_groups && !c->hidden; k++) {
			const char *word = opt_word_in(prog, c, &prog->groups[k]);

			if (word && !opt_group_of(prog, c))
				fish_name(t, prog, prog->groups[k].name, word, c->summary);
		}
	}
}

/* The words before the cursor that are no options: do they begin with these, are they just these.
 */
static void fish_functions(struct opt_text *t, const struct opt_program *prog)
{
	opt_put(t,
		"function __%s_words\n"
		"\tfor word in (commandline -opc)[2..-1]\n"
		"\t\tstring match -q -- '-*' $word; or echo $word\n"
		"\tend\n"
		"end\n"
		"function __%s_at\n"
		"\tset -l words (__%s_words)\n"
		"\tset -l n (count $argv)\n"
		"\ttest (count $words) -ge $n; and test \"$words[1..$n]\" = \"$argv\"\n"
		"end\n"
		"function __%s_only\n"
		"\tset -l words (__%s_words)\n"
		"\ttest \"$words\" = \"$argv\"\n"
		"end\n",
		prog->name, prog->name, prog->name, prog->name, prog->name);
}

static void fish_script(struct opt_text *t, const struct opt_program *prog)
{
	const struct opt *o;
	size_t at = 0;

	opt_put(t, "# fish completion of %s; load it with: %s completion fish | source\n",
		prog->name, prog->name);
	fish_functions(t, prog);
	fish_names(t, prog);
	fish_other_names(t, prog);
	while ((o = opt_next(prog, NULL, &at)))
		fish_option(t, prog, NULL, o);
	for (size_t i = 0; i < prog->n_commands; i++) {
		const struct opt_command *cmd = prog->commands[i];

		if (cmd->hidden)
			continue;
		at = 0;
		while ((o = opt_next(prog, cmd, &at)))
			fish_option(t, prog, cmd, o);
		if (cmd->n_operands)
			fish_operand(t, prog, cmd, &cmd->operands[0]);
	}
}

int opt_completion(const struct opt_program *prog, enum opt_shell shell, struct buf *out)
{
	struct opt_text t = {.out = out};

	switch (shell) {
	case OPT_BASH:
		bash_script(&t, prog);
		break;
	case OPT_ZSH:
		zsh_script(&t, prog);
		break;
	case OPT_FISH:
		fish_script(&t, prog);
		break;
	}
	return t.r;
}
