/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what a command is to be, and the simple case. */
#include "lib/api-command.h"

#include "base/buf.h"

#include "lib/api.h"

struct msb_command *msb_command_usual(void)
{
	struct msb_command *c = calloc(1, sizeof(*c));

	for (int i = 0; c && i < 3; i++)
		c->fds[i] = -1;
	return c;
}

struct msb_command *msb_command_new(const char *const *argv)
{
	struct msb_command *c;

	if (!argv || !argv[0])
		return NULL;
	c = msb_command_usual();
	if (!c)
		return NULL;
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
	free(c->term);
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

int msb_command_term(struct msb_command *c, const char *type)
{
	return type[0] ? replace(&c->term, type) : -EINVAL;
}

void msb_command_lose_stderr(struct msb_command *c, int lose)
{
	c->lose_stderr = lose != 0;
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

struct capture {
	struct buf buf;
	size_t max;
};

static int take(void *arg, int stream, const void *data, size_t n)
{
	struct capture *p = arg;
	int r;

	if (stream != MSB_STDOUT)
		return 0;
	if (n > p->max - buf_len(&p->buf))
		return -E2BIG;
	r = buf_append(&p->buf, data, n);
	return r == -ENOBUFS ? -E2BIG : r;
}

int msb_exec_output(struct msb *m, const char *name, const char *const *argv, size_t max,
	char **ret, size_t *ret_len, int *ret_status, struct msb_error *error)
{
	struct msb_command *c = msb_command_new(argv);
	struct capture p = {.max = MIN(max, (size_t)SSIZE_MAX)};
	struct msb_err err = {0};
	int r;

	*ret = NULL;
	if (!c)
		return api_fail(error, &err,
			argv && argv[0] ? -ENOMEM
					: msb_err_usage(&err, "the command has no words"));
	buf_init(&p.buf, p.max + 1);
	msb_command_output(c, take, &p);
	r = msb_exec(m, name, c, ret_status, error);
	(void)msb_command_free(c);
	if (r == -E2BIG)
		(void)api_fail(error, &err,
			msb_err_set(&err, r, MSB_LIMIT,
				"the command has printed more than %zu bytes", max));
	if (r == 0) {
		*ret = malloc(buf_len(&p.buf) + 1);
		if (*ret) {
			if (buf_len(&p.buf))
				memcpy(*ret, buf_data(&p.buf), buf_len(&p.buf));
			(*ret)[buf_len(&p.buf)] = '\0';
		} else {
			r = api_fail(error, &err, -ENOMEM);
		}
		if (ret_len)
			*ret_len = buf_len(&p.buf);
	}
	buf_deinit(&p.buf);
	return r;
}
