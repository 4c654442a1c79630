/* SPDX-License-Identifier: Apache-2.0 */
/* msb config show: what holds when no option says otherwise, and who says so. */
#include "base/json.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "lib/config.h"
#include "sandbox/state.h"

enum { FORMAT_TEXT, FORMAT_JSON };

struct config_args {
	struct cli_common common;
	int format;
	bool origin;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct config_args, field)

static const struct opt opts[] = {
	{.name = "origin", .type = OPT_FLAG, AT(origin), .help = "Also where each value is from"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output; json always has the origins"},
};

static const struct opt_example examples[] = {
	{"Who says so", "msb config show --origin"},
};

struct shown {
	const struct config_args *args;
	const struct config *config;
	struct table table;
	struct json_out json;
};

static void show(struct shown *s, const char *key, const char *value, const char *origin)
{
	if (s->args->format == FORMAT_JSON) {
		json_begin_object(&s->json, key);
		json_put_str(&s->json, "value", value);
		json_put_str(&s->json, "origin", origin);
		json_end_object(&s->json);
		return;
	}
	table_add(&s->table, key, 0);
	table_add(&s->table, value ? value : "-", 0);
	if (s->args->origin)
		table_add(&s->table, origin, 0);
}

static const char *set_variable(const char *name)
{
	const char *value = name ? getenv(name) : NULL;

	return value && *value ? value : NULL;
}

static int show_option(struct shown *s, const struct opt *o, struct msb_err *err)
{
	const char *env = set_variable(o->env);
	char origin[PATH_MAX + 32] = "default";
	const char *value = NULL;
	char number[OPT_NUMBER];
	int r = config_text(s->config, o->config, number, &value, err);

	if (r < 0)
		return r;
	if (env)
		(void)snprintf(origin, sizeof(origin), "environment %s", o->env);
	else if (value)
		(void)snprintf(origin, sizeof(origin), "file %s", s->config->path);
	show(s, o->config, env ? env : value ? value : o->def, origin);
	return 0;
}

/* Hosts by name: the file is the only place that can say something about them. */
static void show_registries(struct shown *s)
{
	const struct json *registries = json_find(s->config->root, "registries");
	const struct json *hosts = registries ? json_find(registries, "hosts") : NULL;
	char origin[PATH_MAX + 32];
	const char *text = NULL;
	char key[300];

	(void)snprintf(origin, sizeof(origin), "file %s", s->config->path);
	if (registries && json_opt_str(registries, "ca_certs", &text, NULL) == 0 && text)
		show(s, "registries.ca_certs", text, origin);
	for (const struct json *host = hosts ? json_first(hosts) : NULL; host;
		host = json_next(host)) {
		struct json_out o;
		struct buf b;

		buf_init(&b, CLI_TEXT_MAX);
		json_out_init(&o, &b, JSON_COMPACT);
		json_put_value(&o, NULL, host);
		(void)snprintf(key, sizeof(key), "registries.hosts.%.250s", json_key(host));
		if (json_out_end(&o) == 0)
			show(s, key, buf_cstr(&b), origin);
		buf_deinit(&b);
	}
}

static int show_all(struct shown *s, const char *home, struct msb_err *err)
{
	const struct opt_command *create = &cmd_create.table;
	int r = 0;

	show(s, "home", home, set_variable("MSB_HOME") ? "environment MSB_HOME" : "default");
	for (size_t i = 0; i < opt_own(create) && r == 0; i++) {
		if (create->opts[i].config)
			r = show_option(s, &create->opts[i], err);
	}
	if (r == 0 && s->config->root)
		show_registries(s);
	return r;
}

static int run_show(void *args, const struct opt_words *words)
{
	static const char *const header[] = {"KEY", "VALUE", "ORIGIN"};
	struct config config = {.root = NULL};
	struct shown s = {.args = args, .config = &config};
	size_t columns = s.args->origin ? 3 : 2;
	struct msb_err err = {0};
	char home[PATH_MAX];
	struct buf text;
	int status;
	int r = sandbox_home_default(home, sizeof(home), &err);

	if (r == 0)
		r = config_load(home, &config, &err);
	if (r < 0)
		return cli_fail(&err);
	buf_init(&text, CLI_TEXT_MAX);
	json_out_init(&s.json, &text, JSON_PRETTY);
	table_init(&s.table, header, columns);
	if (s.args->format == FORMAT_JSON)
		json_begin_object(&s.json, NULL);
	r = show_all(&s, home, &err);
	if (s.args->format == FORMAT_JSON)
		json_end_object(&s.json);
	else if (r == 0 && table_format(&s.table, &text) < 0)
		r = msb_err_errno(&err, -ENOMEM, "writing the table");
	if (r < 0)
		status = cli_fail(&err);
	else
		status = s.args->format == FORMAT_JSON ? cli_print_json(&s.json, &text)
						       : cli_print(&text);
	table_deinit(&s.table);
	buf_deinit(&text);
	config_deinit(&config);
	return status;
}

const struct cli_command cmd_config_show = {
	.table = {.name = "config show",
		.summary = "Show what holds when no option says otherwise",
		.description =
			"An option wins over its environment variable, that over "
			"MSB_HOME/config.json (or what MSB_CONFIG_PATH names), that over what is "
			"built in. The file is JSON, for example {\"sandbox_defaults\": {\"cpus\": "
			"2, \"memory_mib\": 1024}}.",
		.group = "Other",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct config_args),
	.run = run_show,
};
