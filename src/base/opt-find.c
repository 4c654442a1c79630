/* SPDX-License-Identifier: Apache-2.0 */
/* Words to commands, and what a misspelt word may have meant: see opt.h. */
#include "base/opt-internal.h"
#include "base/str.h"

unsigned int opt_misspelling(const char *typed, const char *word)
{
	unsigned int d = str_distance(typed, word);

	if (strlen(typed) >= 2 && str_starts(word, typed))
		d = MIN(d, 1u);
	return d;
}

bool opt_near_enough(const char *typed, unsigned int distance)
{
	return distance <= MAX(1u, (unsigned int)strlen(typed) / 3);
}

/* Behind "GROUP " of @name. */
static const char *behind_group(const char *name, const struct opt_group *group)
{
	size_t len = strlen(group->name);

	return str_starts(name, group->name) && name[len] == ' ' ? name + len + 1 : NULL;
}

const char *opt_in_group(const struct opt_command *cmd, const struct opt_group *group)
{
	return behind_group(cmd->name, group);
}

const struct opt_group *opt_group_of(const struct opt_program *prog, const struct opt_command *cmd)
{
	for (size_t i = 0; i < prog->n_groups; i++) {
		if (opt_in_group(cmd, &prog->groups[i]))
			return &prog->groups[i];
	}
	return NULL;
}

const char *opt_word_in(const struct opt_program *prog, const struct opt_command *cmd,
	const struct opt_group *group)
{
	const char *word = NULL;

	if (opt_group_of(prog, cmd))
		return opt_in_group(cmd, group);
	for (size_t i = 0; i < OPT_ALIASES_MAX && cmd->aliases[i] && !word; i++)
		word = behind_group(cmd->aliases[i], group);
	return word;
}

/* Name of a command by number: 0 is the real one. */
static const char *name_at(const struct opt_command *cmd, size_t i)
{
	return i == 0 ? cmd->name : i <= OPT_ALIASES_MAX ? cmd->aliases[i - 1] : NULL;
}

/* How many of @words spell @name; 0: they do not. */
static size_t spells(const char *name, const char *const *words, size_t n)
{
	const char *space = strchr(name, ' ');

	if (!space)
		return n >= 1 && streq(name, words[0]);
	return n >= 2 && strlen(words[0]) == (size_t)(space - name) && str_starts(name, words[0]) &&
			       streq(space + 1, words[1])
		       ? 2
		       : 0;
}

struct nearest {
	const char *typed;
	const char *name;
	unsigned int distance;
};

static void consider(struct nearest *n, const char *word, const char *name)
{
	unsigned int d = opt_misspelling(n->typed, word);

	if (d < n->distance) {
		n->distance = d;
		n->name = name;
	}
}

/* Only words of the place where the unknown one stands: of the group, or first ones. */
static const char *find_near(
	const struct opt_program *prog, const struct opt_group *group, const char *typed)
{
	struct nearest n = {.typed = typed, .distance = UINT_MAX};

	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *name;

		for (size_t k = 0;
			!prog->commands[i]->hidden && (name = name_at(prog->commands[i], k)); k++) {
			const char *word = group	       ? behind_group(name, group)
					   : strchr(name, ' ') ? NULL
							       : name;

			if (word)
				consider(&n, word, name);
		}
	}
	for (size_t i = 0; !group && i < prog->n_groups; i++)
		consider(&n, prog->groups[i].name, prog->groups[i].name);
	return n.name && opt_near_enough(typed, n.distance) ? n.name : NULL;
}

void opt_find(
	const struct opt_program *prog, const char *const *words, size_t n, struct opt_found *ret)
{
	*ret = (struct opt_found){.cmd = NULL};
	for (size_t i = 0; n && i < prog->n_groups; i++) {
		if (streq(prog->groups[i].name, words[0]))
			ret->group = &prog->groups[i];
	}
	for (size_t i = 0; i < prog->n_commands; i++) {
		const char *name;

		for (size_t k = 0; (name = name_at(prog->commands[i], k)); k++) {
			ret->used = spells(name, words, n);
			if (ret->used) {
				ret->cmd = prog->commands[i];
				return;
			}
		}
	}
	if (ret->group ? n > 1 : n > 0)
		ret->near = find_near(prog, ret->group, words[ret->group ? 1 : 0]);
}
