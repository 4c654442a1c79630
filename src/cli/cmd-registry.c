/* SPDX-License-Identifier: Apache-2.0 */
/* msb registry login, logout, ls: credentials for private images. */
#include <fcntl.h>
#include <signal.h>

#include "base/json.h"
#include "base/str.h"

#include "cli/api.h"
#include "cli/pull-show.h"
#include "cli/secret.h"
#include "cli/table.h"

enum { FORMAT_TEXT, FORMAT_JSON };

struct registry_args {
	struct cli_common common;
	const char *username;
	bool password_stdin;
	bool insecure;
	const char *ca_file;
	bool quiet;
	int format;
};

#define AT(field) .offset = offsetof(struct registry_args, field)
#define QUIET_OPT                                                            \
	{                                                                    \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), \
		.help = "Say only what went wrong"                           \
	}

static const struct opt_operand host_operand[] = {
	{.name = "REGISTRY",
		.required = true,
		.help = "As in the names of its images: docker.io, ghcr.io, HOST:PORT"},
};

struct login {
	const struct registry_args *args;
	struct msb *msb;
	char host[MSB_HOST_SIZE];
	int tty; /* -1: there is none */
	char username[SECRET_MAX];
	char password[SECRET_MAX];
};

static int ask(struct login *l, struct msb_err *err)
{
	int r = 0;

	if (!l->args->username)
		r = secret_prompt(l->tty, "Username: ", false, l->username, err);
	if (r == 0)
		r = secret_prompt(l->tty, "Password: ", true, l->password, err);
	return r;
}

static int get_secrets(struct login *l, struct msb_err *err)
{
	const struct registry_args *a = l->args;
	int r;

	if (a->username && strlen(a->username) < sizeof(l->username))
		memcpy(l->username, a->username, strlen(a->username) + 1);
	if (a->password_stdin && !a->username) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "--password-stdin needs --username");
		return r;
	}
	if (a->password_stdin)
		r = secret_read(STDIN_FILENO, l->password, err);
	else if (l->tty >= 0)
		r = ask(l, err);
	else
		r = msb_err_hint(err,
			msb_err_set(err, -ENOTTY, MSB_USAGE, "there is no terminal to ask on"),
			"give --username NAME --password-stdin");
	if (r == 0 && !l->username[0])
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "the user name is empty");
	if (r == 0 && !l->password[0])
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "the password is empty");
	return r;
}

/* With signals that end it. */
static int try_and_keep(struct login *l, struct pull_show *show, struct msb_error *e)
{
	struct msb_pull_options o = MSB_PULL_OPTIONS_INIT;
	int r;

	o.insecure = l->args->insecure;
	o.ca_file = l->args->ca_file;
	o.watch = &show->watch;
	msb_set_cancel(l->msb, show->signal_fd, pull_show_asked, show);
	r = msb_registry_login(l->msb, l->host, l->username, l->password, &o, e);
	msb_set_cancel(l->msb, -1, NULL, NULL);
	return r;
}

/* Return: exit status. */
static int login(struct login *l)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct pull_show show;
	struct msb_err err = {0};
	int r = get_secrets(l, &err);

	if (r == -ECANCELED)
		return 128 + SIGINT;
	pull_show_init(&show);
	if (r == 0)
		r = pull_show_begin(&show, l->host, true, &err);
	if (r < 0)
		return cli_fail(&err);
	r = try_and_keep(l, &show, &e);
	pull_show_end(&show);
	if (r == -ECANCELED && show.signo)
		return 128 + show.signo;
	if (r < 0)
		return cli_api_fail(&e);
	if (!l->args->quiet)
		cli_done("Logged in", "to %s as %s", l->host, l->username);
	return 0;
}

static int run_login(void *args, const struct opt_words *words)
{
	struct login *l = calloc(1, sizeof(*l));
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	struct cli_api api;
	int status;
	int r;

	if (!l) {
		(void)msb_err_errno(&err, -ENOMEM, "logging in");
		return cli_fail(&err);
	}
	l->args = args;
	l->tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	r = cli_api_open(&api, &l->args->common, &e);
	if (r == 0)
		r = msb_registry_host(words->operands.items[0], l->host, &e);
	l->msb = api.msb;
	status = r < 0 ? cli_api_fail(&e) : login(l);
	cli_api_close(&api);
	fd_close(l->tty);
	explicit_bzero(l->password, sizeof(l->password));
	free(l);
	return status;
}

static const struct opt login_opts[] = {
	{.name = "username",
		.letter = 'u',
		.type = OPT_STRING,
		AT(username),
		.arg = "NAME",
		.help = "User at the registry; asked for by default"},
	{.name = "password-stdin",
		.type = OPT_FLAG,
		AT(password_stdin),
		.help = "Read the password, or an access token, from stdin"},
	{.name = "insecure",
		.type = OPT_FLAG,
		AT(insecure),
		.help = "The registry needs no valid certificate, and may speak plain HTTP"},
	{.name = "ca-certs",
		.type = OPT_STRING,
		AT(ca_file),
		.arg = "FILE",
		.aliases = {"ca-cert"},
		.complete = OPT_COMPLETE_FILE,
		.help = "Trust the authorities in this PEM file, too"},
	QUIET_OPT,
};

static const struct opt_example login_examples[] = {
	{"On a terminal", "msb registry login ghcr.io"},
	{"In a script", "msb registry login ghcr.io -u octocat --password-stdin <token"},
};

const struct cli_command cmd_registry_login = {
	.table = {.name = "registry login",
		.summary = "Log in to a registry",
		.description =
			"Tries the credentials at the registry and, if they are good, keeps them "
			"in "
			"registry.json of MSB_HOME, which only its owner can read. Logins of "
			"docker login and its credential helpers are used, too, where msb has none "
			"of its own.",
		.group = "Images",
		.opts = login_opts,
		.n_opts = ARRAY_SIZE(login_opts),
		.operands = host_operand,
		.n_operands = ARRAY_SIZE(host_operand),
		.examples = login_examples,
		.n_examples = ARRAY_SIZE(login_examples)},
	.args_size = sizeof(struct registry_args),
	.run = run_login,
};

static int run_logout(void *args, const struct opt_words *words)
{
	const struct registry_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	char host[MSB_HOST_SIZE];
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_registry_host(words->operands.items[0], host, &e);
	if (r == 0)
		r = msb_registry_logout(api.msb, host, &e);
	cli_api_close(&api);
	if (r == -ENOENT) {
		cli_note("warning: there is no login for %s", host);
		return 0;
	}
	if (r < 0)
		return cli_api_fail(&e);
	if (!a->quiet)
		cli_done("Logged out", "of %s", host);
	return 0;
}

static const struct opt logout_opts[] = {
	QUIET_OPT,
};

const struct cli_command cmd_registry_logout = {
	.table = {.name = "registry logout",
		.summary = "Forget a login",
		.description = "Logins of docker login are not touched.",
		.group = "Images",
		.opts = logout_opts,
		.n_opts = ARRAY_SIZE(logout_opts),
		.operands = host_operand,
		.n_operands = ARRAY_SIZE(host_operand)},
	.args_size = sizeof(struct registry_args),
	.run = run_logout,
};

struct listing {
	const struct registry_args *args;
	struct table table;
	struct json_out json;
	struct buf out;
	size_t n;
};

static int list_one(void *arg, const char *host, const char *username, const char *source)
{
	struct listing *l = arg;

	l->n++;
	if (l->args->format == FORMAT_JSON) {
		json_begin_object(&l->json, NULL);
		json_put_str(&l->json, "registry", host);
		json_put_str(&l->json, "username", username);
		json_put_str(&l->json, "source", source);
		json_end_object(&l->json);
		return 0;
	}
	if (l->args->quiet)
		return buf_printf(&l->out, "%s\n", host);
	table_add(&l->table, host, 0);
	table_add(&l->table, username ? username : "-", 0);
	table_add(&l->table, source, 0);
	return 0;
}

static int print_list(struct listing *l)
{
	struct msb_err err = {0};
	int r = 0;

	if (l->args->format == FORMAT_JSON) {
		json_end_array(&l->json);
		return cli_print_json(&l->json, &l->out);
	}
	if (!l->n && !l->args->quiet) {
		cli_note("No logins found.");
		return 0;
	}
	if (!l->args->quiet)
		r = table_format(&l->table, &l->out);
	if (r == 0)
		return cli_print(&l->out);
	(void)msb_err_errno(&err, r, "writing the list");
	return cli_fail(&err);
}

static int run_ls(void *args, const struct opt_words *words)
{
	static const char *const headers[] = {"REGISTRY", "USERNAME", "SOURCE"};
	struct listing l = {.args = args};
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &l.args->common, &e);

	(void)words;
	buf_init(&l.out, CLI_TEXT_MAX);
	json_out_init(&l.json, &l.out, JSON_PRETTY);
	table_init(&l.table, headers, ARRAY_SIZE(headers));
	if (l.args->format == FORMAT_JSON)
		json_begin_array(&l.json, NULL);
	if (r == 0)
		r = msb_registry_each(api.msb, list_one, &l, &e);
	status = r < 0 ? cli_api_fail(&e) : print_list(&l);
	table_deinit(&l.table);
	buf_deinit(&l.out);
	cli_api_close(&api);
	return status;
}

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

static const struct opt ls_opts[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "Only registries"},
};

const struct cli_command cmd_registry_ls = {
	.table = {.name = "registry ls",
		.aliases = {"registries", "regs", "registry list"},
		.summary = "List logins",
		.description = "Own ones first (source msb), then those of docker login, in its "
			       "file (docker) or kept by its helpers (docker-helper).",
		.group = "Images",
		.opts = ls_opts,
		.n_opts = ARRAY_SIZE(ls_opts)},
	.args_size = sizeof(struct registry_args),
	.run = run_ls,
};
