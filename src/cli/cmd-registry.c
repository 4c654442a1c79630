/* SPDX-License-Identifier: Apache-2.0 */
/* msb registry login, logout, ls: credentials for private images. */
#include <fcntl.h>
#include <signal.h>

#include "base/json.h"

#include "cli/cli.h"
#include "cli/pull-show.h"
#include "cli/secret.h"
#include "cli/table.h"
#include "image/registry/creds.h"
#include "lib/where.h"
#include "sandbox/state.h"

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

/* As in image names: docker.io, ghcr.io, localhost:5000. */
static int parse_host(const char *word, char ret[REF_HOST_MAX + 1], struct msb_err *err)
{
	char text[REF_HOST_MAX + 8];
	struct image_ref ref;
	int n = snprintf(text, sizeof(text), "%s/x", word);
	int r;

	if (n > 0 && (size_t)n < sizeof(text) && image_ref_parse(text, &ref, NULL) == 0 &&
		(streq(ref.path, "x") || streq(ref.path, "library/x"))) {
		memcpy(ret, ref.host, sizeof(ref.host));
		return 0;
	}
	r = msb_err_set(err, -EINVAL, MSB_USAGE, "'%.100s' is no registry", word);
	return msb_err_hint(err, r, "write HOST[:PORT], as in image names, for example ghcr.io");
}

static const struct opt_operand host_operand[] = {
	{.name = "REGISTRY",
		.required = true,
		.help = "As in the names of its images: docker.io, ghcr.io, HOST:PORT"},
};

struct login {
	const struct registry_args *args;
	char home[PATH_MAX];
	char lib_dir[PATH_MAX];
	char host[REF_HOST_MAX + 1];
	struct config config;
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

/* Return: exit status. */
static int login(struct login *l)
{
	const struct registry_args *a = l->args;
	struct pull_show show;
	const struct pull_opts opts = {
		.home = l->home,
		.lib_dir = l->lib_dir,
		.config = &l->config,
		.insecure = a->insecure,
		.ca_file = a->ca_file,
		.quiet = true,
		.watch = &show.watch,
	};
	struct msb_err err = {0};
	int r = get_secrets(l, &err);

	pull_show_init(&show);
	if (r == -ECANCELED)
		return 128 + SIGINT;
	if (r == 0)
		r = pull_login(&opts, l->host, l->username, l->password, &err);
	if (r == -ECANCELED && show.signo)
		return 128 + show.signo;
	if (r == 0)
		r = creds_set(l->home, l->host, l->username, l->password, &err);
	if (r < 0)
		return cli_fail(&err);
	if (!a->quiet)
		cli_done("Logged in", "to %s as %s", l->host, l->username);
	return 0;
}

static int run_login(void *args, const struct opt_words *words)
{
	struct msb_err err = {0};
	struct login *l = calloc(1, sizeof(*l));
	int status;
	int r;

	if (!l) {
		(void)msb_err_errno(&err, -ENOMEM, "logging in");
		return cli_fail(&err);
	}
	l->args = args;
	l->tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	r = parse_host(words->operands.items[0], l->host, &err);
	if (r == 0)
		r = sandbox_home_default(l->home, sizeof(l->home), &err);
	if (r == 0)
		r = where_lib_dir(l->lib_dir, sizeof(l->lib_dir), &err);
	if (r == 0)
		r = config_load(l->home, &l->config, &err);
	status = r < 0 ? cli_fail(&err) : login(l);
	config_deinit(&l->config);
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
	char host[REF_HOST_MAX + 1];
	struct msb_err err = {0};
	char home[PATH_MAX];
	int r = parse_host(words->operands.items[0], host, &err);

	if (r == 0)
		r = sandbox_home_default(home, sizeof(home), &err);
	if (r == 0)
		r = creds_remove(home, host, &err);
	if (r == -ENOENT) {
		cli_note("warning: there is no login for %s", host);
		return 0;
	}
	if (r < 0)
		return cli_fail(&err);
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

static const char *source_name(enum creds_source source)
{
	switch (source) {
	case CREDS_OWN:
		return "msb";
	case CREDS_DOCKER_FILE:
		return "docker";
	case CREDS_DOCKER_HELPER:
		return "docker-helper";
	case CREDS_NONE:
	case CREDS_REQUEST:
		break;
	}
	return "-";
}

static int list_one(void *arg, const char *host, const char *username, enum creds_source source)
{
	struct listing *l = arg;

	l->n++;
	if (l->args->format == FORMAT_JSON) {
		json_begin_object(&l->json, NULL);
		json_put_str(&l->json, "registry", host);
		json_put_str(&l->json, "username", username);
		json_put_str(&l->json, "source", source_name(source));
		json_end_object(&l->json);
		return 0;
	}
	if (l->args->quiet)
		return buf_printf(&l->out, "%s\n", host);
	table_add(&l->table, host, 0);
	table_add(&l->table, username ? username : "-", 0);
	table_add(&l->table, source_name(source), 0);
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
	struct msb_err err = {0};
	char home[PATH_MAX];
	int status;
	int r = sandbox_home_default(home, sizeof(home), &err);

	(void)words;
	buf_init(&l.out, CLI_TEXT_MAX);
	json_out_init(&l.json, &l.out, JSON_PRETTY);
	table_init(&l.table, headers, ARRAY_SIZE(headers));
	if (l.args->format == FORMAT_JSON)
		json_begin_array(&l.json, NULL);
	if (r == 0)
		r = creds_each(home, list_one, &l, &err);
	status = r < 0 ? cli_fail(&err) : print_list(&l);
	table_deinit(&l.table);
	buf_deinit(&l.out);
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
