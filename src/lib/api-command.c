/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what a command is to be. */
#include "lib/api-command.h"

#include "lib/api.h"

struct msb_command *msb_command_new(const char *const *argv)
{
	struct msb_command *c;

	if (!argv || !argv[0])
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	for (int i = 0; i < 3; i++)
		c->fds[i] = -1;
	c->argv = api_list_dup(argv);
	return c->argv ? c : msb_command_free(c);
}

struct msb_command *msb_command_free(struct msb_command *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->env.n; i++)
		free((char *)(uintptr_t)c->env.items[i]);
	free(c->env.items);
	free(c->argv);
	free(c->user);
	free(c->workdir);
	free(c);
	return NULL;
}

int msb_command_env(struct msb_command *c, const char *entry)
{
	char *copy;
	int r;

	if (!strchr(entry, '=') || entry[0] == '=')
		return -EINVAL;
	copy = strdup(entry);
	r = copy ? opt_list_add(&c->env, copy) : -ENOMEM;
	if (r < 0)
		free(copy);
	return r;
}

static int replace(char **to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

int msb_command_user(struct msb_command *c, const char *user)
{
	return user[0] ? replace(&c->user, user) : -EINVAL;
}

int msb_command_workdir(struct msb_command *c, const char *dir)
{
	return dir[0] == '/' ? replace(&c->workdir, dir) : -EINVAL;
}

int msb_command_rlimit(struct msb_command *c, const char *limit)
{
	struct msb_err err;

	return run_parse_rlimit(&c->rlimits, limit, &err);
}

void msb_command_start_sandbox(struct msb_command *c, int start)
{
	c->start_sandbox = start != 0;
}

void msb_command_detach(struct msb_command *c, int detach)
{
	c->detach = detach != 0;
}

void msb_command_timeout(struct msb_command *c, uint64_t ms)
{
	c->timeout_ns = MIN(ms, UINT64_MAX / 4 / NSEC_PER_MSEC) * NSEC_PER_MSEC;
}

void msb_command_terminal(struct msb_command *c, unsigned int rows, unsigned int columns)
{
	c->terminal = true;
	c->rows = (uint16_t)MIN(rows, (unsigned int)UINT16_MAX);
	c->columns = (uint16_t)MIN(columns, (unsigned int)UINT16_MAX);
}

void msb_command_output(struct msb_command *c,
	int (*fn)(void *arg, int stream, const void *data, size_t n), void *arg)
{
	c->output = fn;
	c->output_arg = arg;
}

void msb_command_input(
	struct msb_command *c, ssize_t (*fn)(void *arg, void *to, size_t n), void *arg)
{
	c->input = fn;
	c->input_arg = arg;
}

void msb_command_fds(struct msb_command *c, int in, int out, int err)
{
	c->fds[0] = in;
	c->fds[1] = out;
	c->fds[2] = err;
}
