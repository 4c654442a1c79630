/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: options by name: see api-words.h. */
#include "lib/api-words.h"

#include "base/str.h"

static const struct opt *find_option(
	const struct api_table *t, const char *name, struct msb_err *err)
{
	for (const struct opt *o = t->command->opts; o->name; o++) {
		bool same = streq(o->name, name);

		for (size_t i = 0; i < OPT_ALIASES_MAX && o->aliases[i]; i++)
			same |= streq(o->aliases[i], name);
		if (same)
			return o;
	}
	(void)msb_err_hint(err, msb_err_usage(err, "%s has no option '%.60s'", t->noun, name),
		"the options are those of %s, without dashes", t->page);
	return NULL;
}

static void erase(const char *word)
{
	char *text = (char *)(uintptr_t)word;

	explicit_bzero(text, strlen(text));
	free(text);
}

void api_words_deinit(struct opt_list *words)
{
	for (size_t i = 0; i < words->n; i++)
		erase(words->items[i]);
	free(words->items);
	*words = (struct opt_list){.n = 0};
}

/* Of an option that is given once the last value counts: the earlier one goes. */
static void forget(struct opt_list *words, const struct opt *o)
{
	size_t kept = 0;

	if (o->repeatable || o->type == OPT_LIST)
		return;
	for (size_t i = 0; i < words->n; i++) {
		const char *name = words->items[i] + 2;
		size_t len = strcspn(name, "=");

		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			erase(words->items[i]);
		else
			words->items[kept++] = words->items[i];
	}
	words->n = kept;
	if (words->items)
		words->items[kept] = NULL;
}

/* Is the word fine, taken alone? */
static int try_word(const char *word, const struct api_table *t, struct msb_err *err)
{
	static const struct opt_program prog = {.name = "msb"};
	const char *items[] = {word, NULL};
	const struct opt_list words = {.items = items, .n = 1};
	void *args = calloc(1, t->args_size);
	struct api_parsed p;
	int r;

	if (!args)
		return msb_err_errno(err, -ENOMEM, "an option");
	r = api_parse(&p, &words, t, &prog, args, err);
	api_parsed_deinit(&p);
	free(args);
	return r;
}

int api_words_set(struct opt_list *words, const struct api_table *t, const char *option,
	const char *value, struct msb_err *err)
{
	const struct opt *o = find_option(t, option, err);
	char *word = NULL;
	bool flag;
	int r;

	if (!o)
		return -EINVAL;
	flag = o->type == OPT_FLAG || o->type == OPT_CONST;
	if (flag == (value != NULL))
		return msb_err_usage(err, "option --%s: %s", o->name,
			flag ? "it has no value" : "the value is missing");
	r = flag ? asprintf(&word, "--%s", o->name) : asprintf(&word, "--%s=%s", o->name, value);
	if (r < 0)
		return msb_err_errno(err, -ENOMEM, "an option");
	r = try_word(word, t, err);
	if (r == 0) {
		forget(words, o);
		r = opt_list_add(words, word);
		if (r < 0)
			(void)msb_err_errno(err, r, "an option");
	}
	if (r < 0)
		erase(word);
	return r;
}

static int copy_words(struct opt_list *to, const struct opt_list *words)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < words->n; i++) {
		char *copy = strdup(words->items[i]);

		r = copy ? opt_list_add(to, copy) : -ENOMEM;
		if (r < 0 && copy)
			erase(copy);
	}
	return r;
}

int api_parse(struct api_parsed *p, const struct opt_list *words, const struct api_table *t,
	const struct opt_program *program, void *args, struct msb_err *err)
{
	char *none[] = {NULL};
	struct opt_words rest;
	int r;

	*p = (struct api_parsed){.table = t, .program = program, .args = args};
	r = copy_words(&p->copy, words);
	if (r < 0)
		return msb_err_errno(err, r, "the options");
	r = opt_parse(program, t->command, (int)words->n,
		words->n ? (char **)(uintptr_t)p->copy.items : none, args, &rest, err);
	if (r == 0)
		opt_words_deinit(&rest);
	return r;
}

void api_parsed_deinit(struct api_parsed *p)
{
	opt_deinit(p->program, p->table->command, p->args);
	p->table->release(p->args);
	api_words_deinit(&p->copy);
}
