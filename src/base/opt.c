/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines from tables, the parser: see opt.h. */
#include "base/caps.h"
#include "base/opt-internal.h"
#include "base/str.h"

enum { QUOTED = 80, TABLES = 3, GIVEN_WORDS = 2 };

struct table {
	const struct opt *opts;
	size_t n;
	size_t at; /* of what they are about, in the argument struct */
};

struct opt_filler {
	const struct opt_program *prog;
	const struct opt_command *cmd;
	struct table tables[TABLES];
	uint64_t given[TABLES][GIVEN_WORDS]; /* bit per option that stood on the command line */
	uint64_t filled[TABLES][GIVEN_WORDS]; /* ... or was filled in */
	void *args;
	struct opt_words *words;
	struct msb_err *err;
};

static void set_given(struct opt_filler *p, unsigned int table, size_t option)
{
	p->given[table][option / 64] |= UINT64_C(1) << option % 64;
}

static bool is_given(const struct opt_filler *p, unsigned int table, size_t option)
{
	return p->given[table][option / 64] & UINT64_C(1) << option % 64;
}

static void get_tables(
	const struct opt_program *prog, const struct opt_command *cmd, struct table ret[TABLES])
{
	ret[0] = cmd ? (struct table){cmd->opts, opt_own(cmd), cmd->opts_at}
		     : (struct table){prog->top, prog->n_top, 0};
	ret[1] = cmd ? (struct table){cmd->more, cmd->n_more, 0} : (struct table){NULL, 0, 0};
	ret[2] = (struct table){prog->common, prog->n_common, 0};
	for (size_t i = 0; i < TABLES; i++)
		assert(ret[i].n <= GIVEN_WORDS * 64);
}

static bool takes_value(const struct opt *o)
{
	return o->type != OPT_FLAG && o->type != OPT_CONST;
}

static int usage_see_help(const struct opt_filler *p, int r)
{
	return msb_err_hint(p->err, r, "see '%s%s%s --help'", p->prog->name, p->cmd ? " " : "",
		p->cmd ? p->cmd->name : "");
}

int opt_list_add(struct opt_list *list, const char *item)
{
	const char **more;

	if (list->n >= LIMIT_ARGV)
		return -E2BIG;
	more = realloc(list->items, (list->n + 2) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	more[list->n++] = item;
	more[list->n] = NULL;
	list->items = more;
	return 0;
}

static int set_mib(const struct opt *o, void *target, const char *value, struct msb_err *err)
{
	char quoted[QUOTED];
	uint64_t mib;
	int r = str_to_mib(value, &mib);

	(void)str_quote(quoted, sizeof(quoted), value, strlen(value));
	if (r == -EINVAL) {
		r = msb_err_usage(err, "%s is not a size", quoted);
		return msb_err_hint(err, r, "write MiB or a unit, for example 512M or 2G");
	}
	if (r < 0 || mib < o->min || mib > o->max) {
		r = msb_err_usage(err, "%s is out of range", quoted);
		return msb_err_hint(
			err, r, "choose %" PRIu64 "M to %" PRIu64 "G", o->min, o->max / 1024);
	}
	*(uint32_t *)target = (uint32_t)mib;
	return 0;
}

static int set_u32(const struct opt *o, void *target, const char *value, struct msb_err *err)
{
	char quoted[QUOTED];
	uint64_t n;
	int r = str_to_u64(value, &n);

	(void)str_quote(quoted, sizeof(quoted), value, strlen(value));
	if (r == -EINVAL)
		return msb_err_usage(err, "%s is not a whole number", quoted);
	if (r < 0 || n < o->min || n > o->max) {
		r = msb_err_usage(err, "%s is out of range", quoted);
		return msb_err_hint(err, r, "choose %" PRIu64 " to %" PRIu64, o->min, o->max);
	}
	*(uint32_t *)target = (uint32_t)n;
	return 0;
}

static int set_duration(const struct opt *o, void *target, const char *value, struct msb_err *err)
{
	char quoted[QUOTED];
	uint64_t ns;
	int r = str_to_duration_ns(value, &ns);

	(void)str_quote(quoted, sizeof(quoted), value, strlen(value));
	if (r == -EINVAL) {
		r = msb_err_usage(err, "%s is not a duration", quoted);
		return msb_err_hint(
			err, r, "write seconds or a unit, for example 500ms, 30s, 5m or 1h");
	}
	/* A deadline is a point on a 64-bit clock: leave room for the clock's own value. */
	if (r < 0 || ns > INT64_MAX || ns < o->min)
		return msb_err_usage(err, "%s is out of range", quoted);
	*(uint64_t *)target = ns;
	return 0;
}

/* "a, b or c" */
static void join_choices(const char *const *choices, char *to, size_t size)
{
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; choices[i] && at < size; i++) {
		const char *sep = i == 0 ? "" : choices[i + 1] ? ", " : " or ";

		at += (size_t)snprintf(to + at, size - at, "%s%s", sep, choices[i]);
	}
}

static int choice_index(const char *const *choices, const char *value)
{
	for (int i = 0; choices[i]; i++) {
		if (streq(choices[i], value))
			return i;
	}
	return -1;
}

static int set_choice(const struct opt *o, void *target, const char *value, struct msb_err *err)
{
	char quoted[QUOTED];
	char list[120];
	int i = choice_index(o->choices, value);

	if (i < 0) {
		join_choices(o->choices, list, sizeof(list));
		return msb_err_usage(err, "%s is not one of %s",
			str_quote(quoted, sizeof(quoted), value, strlen(value)), list);
	}
	*(int *)target = i;
	return 0;
}

static int set_list(const struct opt *o, void *target, const char *value, struct msb_err *err)
{
	int r = opt_list_add(target, value);

	if (r == -E2BIG)
		return msb_err_usage(err, "given more than %u times", LIMIT_ARGV);
	return r < 0 ? msb_err_errno(err, r, "reading the command line") : 0;
}

static int set_value(const struct opt *o, void *target, const char *value, struct msb_err *err)
{
	switch (o->type) {
	case OPT_FLAG:
		*(bool *)target = true;
		return 0;
	case OPT_CONST:
		*(int *)target = o->value;
		return 0;
	case OPT_STRING:
		*(const char **)target = value;
		return 0;
	case OPT_U32:
		return set_u32(o, target, value, err);
	case OPT_MIB:
		return set_mib(o, target, value, err);
	case OPT_DURATION:
		return set_duration(o, target, value, err);
	case OPT_CHOICE:
		return set_choice(o, target, value, err);
	case OPT_LIST:
		return set_list(o, target, value, err);
	case OPT_PARSE:
		return o->parse(target, value, err);
	}
	return -EINVAL;
}

static void *target_of(const struct opt_filler *p, const struct opt *o)
{
	size_t at = 0;

	if (p->tables[0].n && o >= p->tables[0].opts && o < p->tables[0].opts + p->tables[0].n)
		at = p->tables[0].at;
	return (char *)p->args + at + o->offset;
}

static int apply(struct opt_filler *p, unsigned int table, const struct opt *o, const char *value)
{
	int r = set_value(o, target_of(p, o), value, p->err);

	if (r < 0)
		return msb_err_prefix(p->err, r, "option --%s", o->name);
	set_given(p, table, (size_t)(o - p->tables[table].opts));
	return 0;
}

static bool has_name(const struct opt *o, const char *name, size_t len)
{
	if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
		return true;
	for (size_t i = 0; i < OPT_ALIASES_MAX && o->aliases[i]; i++) {
		if (strlen(o->aliases[i]) == len && memcmp(o->aliases[i], name, len) == 0)
			return true;
	}
	return false;
}

static const struct opt *find_long(
	const struct opt_filler *p, const char *name, size_t len, unsigned int *ret_table)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			if (has_name(&p->tables[t].opts[i], name, len)) {
				*ret_table = t;
				return &p->tables[t].opts[i];
			}
		}
	}
	return NULL;
}

static const struct opt *find_short(
	const struct opt_filler *p, char letter, unsigned int *ret_table)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			if (p->tables[t].opts[i].letter == letter) {
				*ret_table = t;
				return &p->tables[t].opts[i];
			}
		}
	}
	return NULL;
}

static const char *nearest_option(const struct opt_filler *p, const char *typed)
{
	unsigned int best = UINT_MAX;
	const char *name = NULL;

	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			const struct opt *o = &p->tables[t].opts[i];
			unsigned int d = opt_misspelling(typed, o->name);

			if (!o->hidden && d < best) {
				best = d;
				name = o->name;
			}
		}
	}
	return name && opt_near_enough(typed, best) ? name : NULL;
}

static int unknown_option(struct opt_filler *p, const char *word, size_t len)
{
	char quoted[QUOTED];
	char name[48];
	const char *near = NULL;
	int r;

	if (len > 2 && len - 2 < sizeof(name)) {
		memcpy(name, word + 2, len - 2);
		name[len - 2] = '\0';
		near = nearest_option(p, name);
	}
	r = msb_err_usage(
		p->err, "unknown option %s", str_quote(quoted, sizeof(quoted), word, len));
	if (near)
		return msb_err_hint(p->err, r, "did you mean --%s?", near);
	return usage_see_help(p, r);
}

/* The word after the option, or an error. */
static int next_value(struct opt_filler *p, const struct opt *o, char **argv, const char **ret)
{
	if (!argv[1])
		return usage_see_help(p,
			msb_err_usage(p->err, "option --%s needs a value (%s)", o->name, o->arg));
	*ret = argv[1];
	return 0;
}

/* Return: words used, or a negative errno. */
static int parse_long(struct opt_filler *p, char **argv)
{
	const char *word = argv[0];
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	unsigned int table = 0;
	const struct opt *o = find_long(p, word + 2, len - 2, &table);
	const char *value = equals ? equals + 1 : NULL;
	int used = 1;
	int r;

	if (!o)
		return unknown_option(p, word, len);
	if (!takes_value(o) && equals)
		return usage_see_help(
			p, msb_err_usage(p->err, "option --%s takes no value", o->name));
	if (takes_value(o) && !equals) {
		r = next_value(p, o, argv, &value);
		if (r < 0)
			return r;
		used = 2;
	}
	r = apply(p, table, o, value);
	return r < 0 ? r : used;
}

/* A cluster: flags, and at most one option with a value at the end (-qm1G, -m 1G, -m=1G). */
static int parse_short(struct opt_filler *p, char **argv)
{
	for (const char *at = argv[0] + 1; *at; at++) {
		char word[3] = {'-', *at, '\0'};
		unsigned int table = 0;
		const struct opt *o = find_short(p, *at, &table);
		const char *value = NULL;
		int r;

		if (!o)
			return unknown_option(p, word, 2);
		if (takes_value(o)) {
			bool attached = at[1] != '\0';

			value = at + 1 + (at[1] == '=');
			r = attached ? 0 : next_value(p, o, argv, &value);
			if (r == 0)
				r = apply(p, table, o, value);
			return r < 0 ? r : 1 + !attached;
		}
		r = apply(p, table, o, NULL);
		if (r < 0)
			return r;
	}
	return 1;
}

static int parse_operand(struct opt_filler *p, char **argv, int argc)
{
	size_t most = p->cmd ? p->cmd->n_operands : 0;
	int r;

	if (p->cmd && p->cmd->takes_command && p->words->operands.n == most) {
		p->words->command = argv;
		p->words->n_command = (size_t)argc;
		return argc;
	}
	r = opt_list_add(&p->words->operands, argv[0]);
	if (r == -E2BIG)
		return msb_err_usage(p->err, "more than %u words", LIMIT_ARGV);
	return r < 0 ? msb_err_errno(p->err, r, "reading the command line") : 1;
}

/* Behind "--": the command, or nothing but operands. */
static int parse_rest(struct opt_filler *p, char **argv, int argc)
{
	if (p->cmd && p->cmd->takes_command) {
		p->words->command = argv;
		p->words->n_command = (size_t)argc;
		return 0;
	}
	for (int i = 0; i < argc; i++) {
		int r = parse_operand(p, argv + i, argc - i);

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_words(struct opt_filler *p, int argc, char **argv)
{
	int i = 0;

	while (i < argc) {
		const char *word = argv[i];
		int r;

		if (streq(word, "--"))
			return parse_rest(p, argv + i + 1, argc - i - 1);
		if (str_starts(word, "--"))
			r = parse_long(p, argv + i);
		else if (word[0] == '-' && word[1] != '\0')
			r = parse_short(p, argv + i);
		else
			r = parse_operand(p, argv + i, argc - i);
		if (r < 0)
			return r;
		i += r;
	}
	return 0;
}

static int apply_defaults(struct opt_filler *p)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			const struct opt *o = &p->tables[t].opts[i];
			int r;

			if (!o->def)
				continue;
			r = set_value(o, target_of(p, o), o->def, p->err);
			if (r < 0)
				return msb_err_prefix(p->err, r, "default of option --%s", o->name);
		}
	}
	return 0;
}

static int apply_configured(struct opt_filler *p, const struct opt *o)
{
	const char *value = NULL;
	char number[OPT_NUMBER];
	int r = p->prog->configured(p->prog->configured_arg, o->config, number, &value, p->err);

	if (r < 0 || !value)
		return r;
	/* Texts are borrowed. */
	if (value == number && (o->type == OPT_STRING || o->type == OPT_LIST))
		return msb_err_usage(p->err, "configuration, %s: a text is wanted", o->config);
	r = set_value(o, target_of(p, o), value, p->err);
	return r < 0 ? msb_err_prefix(p->err, r, "configuration, %s", o->config) : 0;
}

/* Only what nobody else decides is looked up, so most commands never read the file. */
static int apply_configuration(struct opt_filler *p)
{
	for (unsigned int t = 0; t < TABLES && p->prog->configured; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			const struct opt *o = &p->tables[t].opts[i];
			const char *value = o->env ? getenv(o->env) : NULL;
			int r;

			if (!o->config || (value && *value) || is_given(p, t, i))
				continue;
			r = apply_configured(p, o);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int apply_environment(struct opt_filler *p)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			const struct opt *o = &p->tables[t].opts[i];
			const char *value = o->env ? getenv(o->env) : NULL;
			int r;

			if (!value || !*value || is_given(p, t, i))
				continue;
			r = set_value(o, target_of(p, o), value, p->err);
			if (r < 0)
				return msb_err_prefix(p->err, r, "environment variable %s", o->env);
		}
	}
	return 0;
}

static int check_exclusions(struct opt_filler *p)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			const struct opt *o = &p->tables[t].opts[i];
			const struct opt *other;
			unsigned int table = 0;

			if (!o->excludes || !is_given(p, t, i))
				continue;
			other = find_long(p, o->excludes, strlen(o->excludes), &table);
			assert(other);
			if (is_given(p, table, (size_t)(other - p->tables[table].opts)))
				return msb_err_usage(p->err,
					"options --%s and --%s exclude each other", o->name,
					other->name);
		}
	}
	return 0;
}

/* A question about the program, such as --help, has its answer whatever is set elsewhere. */
static bool is_alone(const struct opt_filler *p)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < p->tables[t].n; i++) {
			if (p->tables[t].opts[i].alone && is_given(p, t, i))
				return true;
		}
	}
	return false;
}

bool opt_is_given(const struct opt_filler *f, const char *name)
{
	unsigned int table = 0;
	const struct opt *o = find_long(f, name, strlen(name), &table);

	return o && is_given(f, table, (size_t)(o - f->tables[table].opts));
}

size_t opt_operands_given(const struct opt_filler *f)
{
	return f->words->operands.n;
}

int opt_fill(struct opt_filler *f, const char *name, const char *value, struct msb_err *err)
{
	unsigned int table = 0;
	const struct opt *o = find_long(f, name, strlen(name), &table);
	size_t i;
	int r;

	if (!o)
		return -ENOPROTOOPT;
	i = (size_t)(o - f->tables[table].opts);
	if (is_given(f, table, i) && !o->repeatable && o->type != OPT_LIST)
		return 0;
	r = set_value(o, target_of(f, o), value, err);
	/* Nobody else decides it now. */
	if (r == 0)
		f->filled[table][i / 64] |= UINT64_C(1) << (i % 64);
	return r;
}

/* After the command line: a bad variable does not matter where an option overrides it. */
static int complete_options(struct opt_filler *p)
{
	int r = check_exclusions(p);

	if (r == 0 && p->cmd && p->cmd->fill)
		r = p->cmd->fill((char *)p->args + p->tables[0].at, p, p->err);
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < GIVEN_WORDS; i++)
			p->given[t][i] |= p->filled[t][i];
	}
	if (r == 0)
		r = apply_configuration(p);
	return r < 0 ? r : apply_environment(p);
}

int opt_parse(const struct opt_program *prog, const struct opt_command *cmd, int argc, char **argv,
	void *args, struct opt_words *ret, struct msb_err *err)
{
	struct opt_words words = {.command = NULL};
	struct opt_filler p = {.prog = prog, .cmd = cmd, .args = args, .words = &words, .err = err};
	int r;

	get_tables(prog, cmd, p.tables);
	r = apply_defaults(&p);
	if (r == 0)
		r = parse_words(&p, argc, argv);
	if (r == 0 && !is_alone(&p))
		r = complete_options(&p);
	if (r < 0) {
		opt_words_deinit(&words);
		opt_deinit(prog, cmd, args);
		return r;
	}
	*ret = words;
	return 0;
}

int opt_check_operands(const struct opt_program *prog, const struct opt_command *cmd,
	const struct opt_words *words, struct msb_err *err)
{
	struct opt_filler p = {.prog = prog, .cmd = cmd, .err = err};
	char quoted[QUOTED];
	char list[120];

	for (size_t i = 0; i < cmd->n_operands; i++) {
		const struct opt_operand *op = &cmd->operands[i];
		const char *word = i < words->operands.n ? words->operands.items[i] : NULL;

		if (!word && op->required)
			return usage_see_help(&p, msb_err_usage(err, "%s is missing", op->name));
		if (!word || !op->choices || choice_index(op->choices, word) >= 0)
			continue;
		join_choices(op->choices, list, sizeof(list));
		return msb_err_usage(err, "%s must be %s, not %s", op->name, list,
			str_quote(quoted, sizeof(quoted), word, strlen(word)));
	}
	if (words->operands.n > cmd->n_operands &&
		!(cmd->n_operands && cmd->operands[cmd->n_operands - 1].repeatable)) {
		const char *word = words->operands.items[cmd->n_operands];

		return usage_see_help(
			&p, msb_err_usage(err, "unexpected argument %s",
				    str_quote(quoted, sizeof(quoted), word, strlen(word))));
	}
	return 0;
}

void opt_deinit(const struct opt_program *prog, const struct opt_command *cmd, void *args)
{
	struct table tables[TABLES];

	get_tables(prog, cmd, tables);
	for (unsigned int t = 0; t < TABLES; t++) {
		for (size_t i = 0; i < tables[t].n; i++) {
			struct opt_list *list;

			if (tables[t].opts[i].type != OPT_LIST)
				continue;
			list = (struct opt_list *)(void *)((char *)args + tables[t].at +
							   tables[t].opts[i].offset);
			free(list->items);
			*list = (struct opt_list){.n = 0};
		}
	}
}

void opt_words_deinit(struct opt_words *words)
{
	free(words->operands.items);
	*words = (struct opt_words){.command = NULL};
}
