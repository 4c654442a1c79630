/* SPDX-License-Identifier: Apache-2.0 */
/* msb run: a command in a new sandbox, which ends with the command. */
#include "cli/attach.h"
#include "cli/cli.h"
#include "cli/detach-keys.h"
#include "cli/interrupt.h"
#include "cli/pull-watch.h"
#include "lib/create.h"
#include "lib/life.h"

struct run_args {
	struct cli_common common;
	struct create_args create;
	/* Only msb run. */
	int tty; /* 1: -t, -1: --no-tty, 0: as stdin and stdout are */
	uint64_t timeout_ns;
	bool detach;
	struct detach_keys detach_keys;
	bool timing;
};

#define AT(field) .offset = offsetof(struct run_args, field)
#define OUTPUT	  .group = "Running"

/* Behind those of create_opts. */
static const struct opt run_opts[] = {
	{.name = "detach",
		.letter = 'd',
		.type = OPT_FLAG,
		AT(detach),
		OUTPUT,
		.help = "Run the command in the background and print the sandbox's name; the "
			"sandbox ends with the command"},
	{.name = "tty",
		.letter = 't',
		.type = OPT_CONST,
		AT(tty),
		.value = 1,
		OUTPUT,
		.excludes = "no-tty",
		.help = "Give the command a terminal; done by itself when stdin and stdout are "
			"one"},
	{.name = "no-tty",
		.type = OPT_CONST,
		AT(tty),
		.value = -1,
		OUTPUT,
		.help = "No terminal: stdout and stderr stay apart"},
	{.name = "timeout",
		.type = OPT_DURATION,
		AT(timeout_ns),
		.arg = "TIME",
		OUTPUT,
		.min = 1,
		.help = "Kill the command after this long (30s, 5m) and exit with 124"},
	{.name = "detach-keys",
		.type = OPT_PARSE,
		AT(detach_keys),
		.parse = detach_keys_parse,
		.arg = "KEYS",
		OUTPUT,
		.def = "ctrl-]",
		.help = "Keys that leave the terminal while the command goes on, e.g. "
			"ctrl-p,ctrl-q, or none"},
	{.name = "timing",
		.type = OPT_FLAG,
		AT(timing),
		OUTPUT,
		.help = "Show on stderr when each phase of the run ended"},
};

static const struct opt_example examples[] = {
	{"One command in the image base", "msb run -- uname -a"},
	{"One in an image of a registry", "msb run python:3.12 -- python -c 'print(\"hello\")'"},
	{"A shell", "msb run"},
	{"More machine, less time", "msb run -m 2G -c 4 --timeout 30s base -- nproc"},
	{"A root file system of your own",
		"mmdebstrap bookworm ./root && msb run ./root -- cat /etc/os-release"},
	{"With a script of yours", "msb run --script setup:./setup.sh -- setup"},
	{"Through a pipe", "echo 'print me' | msb run -- tr a-z A-Z"},
};

static int print_name(const struct create *run)
{
	struct buf text;
	int status = CLI_EXIT_FAILED;

	buf_init(&text, LIMIT_SANDBOX_NAME + 2);
	if (buf_printf(&text, "%s\n", run->spec.name) == 0)
		status = cli_print(&text);
	buf_deinit(&text);
	return status;
}

/* msb run -d of a sandbox that is there: its own main process, if it has one, starts with it. */
static int ensure_running(const struct create *run, const struct run_args *a)
{
	struct life_error err = {.console = ""};
	int r = interrupt_start(run->home, run->lib_dir, run->spec.name, a->common.log_level, &err);

	return r < 0 && r != -EWOULDBLOCK ? life_fail(&err) : print_name(run);
}

/* What the existing sandbox has was decided when it was made. */
static int run_in_existing(const struct create *run, const struct run_args *a)
{
	const struct enter_opts eo = {
		.home = run->home,
		.lib_dir = run->lib_dir,
		.name = run->spec.name,
		.argv = run->config.argv.items,
		.env = &run->env,
		.tty = a->tty,
		.quiet = a->create.quiet,
		.timing = a->timing,
		.timeout_ns = a->timeout_ns,
		.detach_keys = &a->detach_keys,
		.log_level = (enum log_level)a->common.log_level,
	};

	if (!a->create.quiet)
		cli_note("sandbox '%s' exists: options of its creation are ignored", eo.name);
	return a->detach ? ensure_running(run, a) : enter(&eo);
}

static void on_ready(void *arg)
{
	image_release(arg);
}

static int attach(struct create *run, const struct run_args *a)
{
	struct session_opts so = {
		.home = run->home,
		.name = run->spec.name,
		.spec = &run->spec,
		.image_fd = run->image.fd >= 0 ? run->image.fd : -1,
		.argv = run->config.argv.items,
		.quiet = a->create.quiet,
		.timing = a->timing,
		.timeout_ns = a->timeout_ns,
		.detach_keys = &a->detach_keys,
		.prepare = run->spec.prepare ? &run->preparation : NULL,
		.ready = on_ready,
		.ready_arg = &run->image,
	};

	return attach_run(&so, a->tty, &run->config.env, NULL);
}

/* In the background; returns when the guest is ready. */
static int launch(struct create *run)
{
	struct life_error err = {.console = ""};

	run->spec.detached = true;
	if (interrupt_create(&run->spec, run->image.fd >= 0 ? run->image.fd : -1,
		    run->spec.prepare ? &run->preparation : NULL, &err) < 0)
		return life_fail(&err);
	return print_name(run);
}

/* The default is the host itself; more than that should be meant. */
static void warn_of_open_ports(const struct create *run)
{
	const struct net_ports *ports = &run->spec.net.ports;
	char text[NET_PORT_TEXT];

	for (uint32_t i = 0; i < ports->n && !run->args->quiet; i++) {
		if (net_addr_class(&ports->list[i].bind) != NET_CLASS_LOOPBACK)
			cli_note("port %s can be reached from other machines",
				net_port_host_text(&ports->list[i], text));
	}
}

static int run_new(struct create *run, const struct run_args *a)
{
	warn_of_open_ports(run);
	return a->detach ? launch(run) : attach(run, a);
}

static int run_run(void *args, const struct opt_words *words)
{
	struct run_args *a = args;
	struct create run;
	struct pull_watcher show;
	struct msb_err err = {0};
	bool exists = false;
	int status;
	int r;

	create_init(&run, &a->create);
	pull_watcher_init(&show);
	a->create.log_level = a->common.log_level;
	run.watch = &show.watch;
	run.main_command = a->detach;
	r = create_describe(&run, words, &err);
	run.spec.ephemeral = !a->create.name;
	if (r == 0)
		exists = create_exists(&run);
	if (r == 0 && !exists) {
		r = create_prepare(&run, words, &err);
		if (r == 0)
			pull_watcher_done(run.spec.image, &run.pulled);
	}
	if (r == -ECANCELED && show.show.signo)
		status = 128 + show.show.signo;
	else if (r < 0)
		status = cli_fail(&err);
	else if (exists)
		status = run_in_existing(&run, a);
	else
		status = run_new(&run, a);
	create_deinit(&run);
	return status;
}

const struct cli_command cmd_run = {
	.table = {.name = "run",
		.summary = "Run a command in a new sandbox",
		.description =
			"Starts a virtual machine with its own Linux kernel, runs the command in "
			"it, "
			"and throws the machine away when the command ends. Output comes as it is "
			"written; stdin, signals and the size of the terminal go to the "
			"command.\n\n"
			"With --name the sandbox and its files stay, stopped; if there is one of "
			"that name already, the command runs in that.\n\n"
			"The first word that is no option is the image, unless it stands behind "
			"--; "
			"what follows is the command, with its own options.",
		.group = "Sandboxes",
		.opts = create_opts,
		.n_opts = OPT_ENDED,
		.opts_at = offsetof(struct run_args, create),
		.fill = conf_fill,
		.more = run_opts,
		.n_more = ARRAY_SIZE(run_opts),
		.operands = create_operands,
		.n_operands = ARRAY_SIZE(create_operands),
		.takes_command = true,
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples),
		.exit_status = "That of the command; 128 plus the signal's number if a signal "
			       "killed it; 124 "
			       "when a time limit passed; 126 when the program cannot be executed, "
			       "127 when "
			       "it does not exist; 125 when msb or the host failed; 2 for options "
			       "msb does "
			       "not understand."},
	.args_size = sizeof(struct run_args),
	.run = run_run,
};
