/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test-api.h"

#include <signal.h>
#include <sys/eventfd.h>

#include "base/io.h"
#include "base/str.h"

#include "lib/api-words.h"
#include "lib/secret-args.h"
#include "msb/msb.h"
#include "sandbox/info.h"
#include "sandbox/ledger.h"
#include "sandbox/state.h"

/* A sandbox that has never run. */
static void put_sandbox(const char *name)
{
	static const char *const env[] = {"A=1", "B=2", NULL};
	static const char *const command[] = {"sh", "-l", NULL};
	static const struct sandbox_label label = {.name = "tier", .value = "one"};
	struct msb_err err = {.msg = ""};
	struct policy policy = {.n_rules = 0};
	struct sandbox_spec spec;
	struct sandbox_dir d;
	struct buf json;

	sandbox_spec_init(&spec);
	spec.name = name;
	spec.home = test_tmpdir();
	spec.lib_dir = test_tmpdir();
	spec.ephemeral = false;
	spec.vcpus = 1;
	spec.mem_mib = 256;
	spec.created_ns = 1;
	spec.env = env;
	spec.command = command;
	spec.workdir = "/srv";
	spec.max_duration_ns = NSEC_PER_SEC;
	spec.labels = &label;
	spec.n_labels = 1;
	spec.vsocks =
		(struct vsock_routes){.n = 1, .list = {{.path = "/run/some.sock", .port = 77}}};
	spec.net.policy = &policy;
	spec.net.ports = (struct net_ports){
		.n = 1, .list = {{.bind = {.family = NET_V4, .b = {127, 0, 0, 1}}, .guest = 80}}};
	buf_init(&json, MIB);
	ASSERT_OK(sandbox_spec_to_json(&spec, &json));
	ASSERT_OK(sandbox_dir_create(test_tmpdir(), name, &d, &err));
	ASSERT_OK(io_write_file_atomic(
		d.fd, SANDBOX_SPEC, buf_data(&json), buf_len(&json), 0600, false));
	buf_deinit(&json);
	sandbox_dir_close(&d);
}

static void release_secrets(void *args)
{
	run_secrets_deinit(args);
}

TEST(words_are_tried_and_replaced)
{
	struct msb_config *c = msb_config_new();
	struct msb_change *ch = msb_change_new();

	ASSERT_FAILS(msb_config_set(c, "colour", "red", &e), EINVAL, "usage");
	ASSERT_STREQ(e.hint, "the options are those of msb-create(1), without dashes");
	ASSERT_FAILS(msb_config_set(c, "memory", "much", &e), EINVAL, "usage");
	ASSERT_FAILS(msb_config_set(c, "memory", NULL, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_config_set(c, "replace", "yes", &e), EINVAL, "usage");
	ASSERT_FAILS(msb_config_set_image(c, "", &e), EINVAL, "usage");
	ASSERT_FAILS(msb_config_set_command(c, (const char *const[]){NULL}, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_config_set(c, "secret", "KEY=value", &e), EINVAL, "usage");
	ASSERT_FAILS(msb_config_set(c, "secret-inject", "KEY=path", &e), EINVAL, "usage");
	/* Texts of the caller are never written to. */
	ASSERT_OK(msb_config_set(c, "secret", "KEY=value@api.example", &e));
	ASSERT_OK(msb_config_set(c, "secret-inject", "KEY=headers,body", &e));
	ASSERT_OK(msb_config_set(c, "memory", "512M", &e));
	ASSERT_OK(msb_config_set(c, "memory", "256M", &e));
	ASSERT_OK(msb_config_set(c, "replace", NULL, &e));
	ASSERT_OK(msb_change_set(ch, "secret", "KEY=value@example.com", &e));
	ASSERT_FAILS(msb_change_set(ch, "name", "x", &e), EINVAL, "usage");
	ASSERT_STREQ(e.message, "a change has no option 'name'");
	ASSERT_ERR(msb_change_set(ch, "cpus", "0", NULL), EINVAL);
	(void)msb_config_free(c);
	(void)msb_change_free(ch);
	(void)msb_config_free(NULL);
	(void)msb_change_free(NULL);
}

/* A parser erases the value of a secret where it reads it; what was set must last. */
TEST(secrets_are_read_more_than_once)
{
	static const struct opt opts[] = {{.name = "secret",
						  .type = OPT_PARSE,
						  .parse = run_parse_secret,
						  .repeatable = true},
		{.name = NULL}};
	static const struct opt_command command = {
		.name = "test", .opts = opts, .n_opts = OPT_ENDED};
	static const struct api_table table = {.command = &command,
		.args_size = sizeof(struct run_secrets),
		.release = release_secrets,
		.noun = "a test",
		.page = "test"};
	static const struct opt_program program = {.name = "test"};
	struct opt_list words = {.n = 0};
	struct msb_err err = {0};

	ASSERT_OK(api_words_set(&words, &table, "secret", "KEY=value@example.com", &err));
	for (int i = 0; i < 2; i++) {
		struct run_secrets s = {.n_texts = 0};
		struct api_parsed p;

		ASSERT_OK(api_parse(&p, &words, &table, &program, &s, &err));
		ASSERT_EQ(s.settings.n, 1);
		ASSERT_STREQ(s.settings.rules[0].value, "value");
		api_parsed_deinit(&p);
	}
	api_words_deinit(&words);
}

static void plan_is(const struct msb_plan *p, size_t i, const char *field, const char *before,
	const char *after)
{
	ASSERT_STREQ(msb_plan_field(p, i), field);
	if (before)
		ASSERT_STREQ(msb_plan_before(p, i), before);
	else
		ASSERT_TRUE(!msb_plan_before(p, i));
	if (after)
		ASSERT_STREQ(msb_plan_after(p, i), after);
	else
		ASSERT_TRUE(!msb_plan_after(p, i));
	ASSERT_EQ(msb_plan_at_once(p, i), str_starts(field, "label"));
}

TEST(modify_a_stopped_one)
{
	struct msb_change *c = msb_change_new();
	struct msb_info *info = NULL;
	struct msb_plan *p = NULL;
	struct msb *m = open_here();

	put_sandbox("box");
	ASSERT_OK(msb_change_set(c, "memory", "512M", &e));
	ASSERT_OK(msb_change_set(c, "env", "A=3", &e));
	ASSERT_OK(msb_change_set(c, "env-rm", "B", &e));
	ASSERT_OK(msb_change_set(c, "label", "stage=test", &e));
	for (int i = 0; i < 2; i++) {
		if (msb_modify(m, "box", c, i ? MSB_MODIFY_NOW : MSB_MODIFY_DRY_RUN, &p, &e) < 0)
			test_fail(__FILE__, __LINE__, "%s", e.message);
		ASSERT_EQ(msb_plan_size(p), 4);
		plan_is(p, 0, "memory", "256 MiB", "512 MiB");
		plan_is(p, 1, "env", "A=1", "A=3");
		plan_is(p, 2, "env", "B=2", NULL);
		plan_is(p, 3, "label stage", NULL, "test");
		ASSERT_TRUE(!msb_plan_field(p, 4) && !msb_plan_before(p, 4));
		ASSERT_STREQ(msb_plan_warning(p), "");
		p = msb_plan_free(p);
	}
	ASSERT_OK(msb_modify(m, "box", c, MSB_MODIFY_RESTART, &p, &e));
	ASSERT_EQ(msb_plan_size(p), 0);
	p = msb_plan_free(p);
	ASSERT_OK(msb_inspect(m, "box", &info, &e));
	ASSERT_EQ(msb_info_memory_mib(info), 512);
	ASSERT_STREQ(msb_info_label(info, "stage"), "test");
	info = msb_info_free(info);
	ASSERT_FAILS(msb_modify(m, "box", c, (enum msb_modify_how)9, NULL, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_modify(m, "nobody", c, MSB_MODIFY_NOW, &p, &e), ENOENT, "not-found");
	ASSERT_EQ(msb_plan_size(p), 0);
	p = msb_plan_free(p);
	(void)msb_change_free(c);
	(void)msb_close(m);
}

TEST(handles)
{
	struct msb *m = NULL;
	struct msb_info *info = NULL;
	char cwd[PATH_MAX];

	ASSERT_FAILS(msb_open("", NULL, &m, &e), EINVAL, "usage");
	ASSERT_TRUE(!m);
	ASSERT_FAILS(msb_open(NULL, "/nonexistent", &m, &e), ENOENT, "not-found");
	ASSERT_OK(chdir(test_tmpdir()));
	ASSERT_TRUE(getcwd(cwd, sizeof(cwd)));
	ASSERT_OK(msb_open("sub", test_tmpdir(), &m, &e));
	ASSERT_TRUE(str_starts(msb_home(m), cwd));
	/* Nobody has to want to know why. */
	ASSERT_ERR(msb_inspect(m, "nobody", &info, NULL), ENOENT);
	ASSERT_TRUE(!info);
	ASSERT_TRUE(!msb_close(m));
	ASSERT_TRUE(!msb_close(NULL));
	ASSERT_STREQ(msb_code_name(MSB_E_NOT_RUNNING), "not-running");
	ASSERT_STREQ(msb_code_name(MSB_E_CANCELED), "canceled");
	ASSERT_STREQ(msb_code_name(4711), "failed");
}

/* A program that was compiled when the struct had fewer members. */
TEST(nothing_is_written_behind_what_the_caller_has)
{
	struct msb *m = open_here();
	struct msb_info *info = NULL;
	struct {
		struct msb_error e;
		char guard;
	} small;

	memset(&small, 'x', sizeof(small));
	small.e.size = offsetof(struct msb_error, message);
	ASSERT_ERR(msb_inspect(m, "nobody", &info, &small.e), ENOENT);
	ASSERT_EQ(small.e.code, MSB_E_NOT_FOUND);
	ASSERT_EQ(small.e.sys_errno, ENOENT);
	ASSERT_EQ(small.e.message[0], 'x');
	ASSERT_EQ(small.e.hint[0], 'x');
	ASSERT_EQ(small.e.console[0], 'x');
	small.e.size = sizeof(size_t);
	small.e.code = 77;
	ASSERT_ERR(msb_inspect(m, "nobody", &info, &small.e), ENOENT);
	ASSERT_EQ(small.e.code, 77);
	(void)msb_close(m);
}

TEST(what_does_not_run)
{
	static const char *const argv[] = {"true", NULL};
	struct msb_command *c = msb_command_new(argv);
	struct msb_metrics metrics = MSB_METRICS_INIT;
	struct msb *m = open_here();
	struct msb_monitor *mon = NULL;
	struct msb_process *p = NULL;
	struct msb_files *f = NULL;
	char *text = NULL;
	int status = -7;

	put_sandbox("box");
	ASSERT_FAILS(msb_exec(m, "box", c, &status, &e), ENOTCONN, "not-running");
	ASSERT_EQ(status, -7);
	ASSERT_FAILS(msb_process_start(m, "box", c, &p, &e), ENOTCONN, "not-running");
	ASSERT_TRUE(!p && !msb_process_free(p));
	ASSERT_FAILS(msb_exec_output(m, "box", argv, 10, &text, NULL, NULL, &e), ENOTCONN,
		"not-running");
	ASSERT_TRUE(!text);
	ASSERT_FAILS(msb_files_open(m, "box", &f, &e), ENOTCONN, "not-running");
	ASSERT_TRUE(!f && !msb_files_close(f));
	ASSERT_FAILS(msb_ping(m, "box", 0, &e), ENOTCONN, "not-running");
	ASSERT_FAILS(msb_metrics_get(m, "box", &metrics, &e), ENOTCONN, "not-running");
	ASSERT_FAILS(msb_monitor_open(m, "box", NULL, &mon, &e), ENOTCONN, "not-running");
	ASSERT_TRUE(!mon && !msb_monitor_close(mon));
	ASSERT_ERR(msb_kill(m, "box", SIGHUP, &e), ESRCH);
	ASSERT_FAILS(msb_kill(m, "box", 65, &e), EINVAL, "usage");
	/* Where nothing is installed nothing is started. */
	msb_command_start_sandbox(c, 1);
	ASSERT_ERR(msb_exec(m, "box", c, &status, &e), ENOENT);
	ASSERT_ERR(msb_files_start(m, "box", &f, &e), ENOENT);
	ASSERT_TRUE(!f);
	/* Ends that are reached already. */
	ASSERT_OK(msb_stop(m, "box", 0, &e));
	ASSERT_OK(msb_kill(m, "box", SIGKILL, &e));
	ASSERT_OK(msb_wait(m, "box", 1, &e));
	ASSERT_OK(msb_rename(m, "box", "other", &e));
	ASSERT_FAILS(msb_rename(m, "other", "a/b", &e), EINVAL, "usage");
	ASSERT_OK(msb_remove(m, "other", 0, &e));
	ASSERT_FAILS(msb_remove(m, "other", 1, &e), ENOENT, "not-found");
	(void)msb_command_free(c);
	(void)msb_close(m);
}

TEST(nobody_to_be_looked_at)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	static const char *const bad[] = {"=", NULL};
	struct msb_sample sample = MSB_SAMPLE_INIT;
	struct msb *m = open_here();
	struct msb_monitor *mon = NULL;

	put_sandbox("box");
	ASSERT_FAILS(msb_monitor_open(m, NULL, bad, &mon, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_monitor_open(m, "nobody", NULL, &mon, &e), ENOENT, "not-found");
	ASSERT_OK(msb_monitor_open(m, NULL, NULL, &mon, &e));
	ASSERT_EQ(msb_monitor_size(mon), 0);
	ASSERT_EQ(msb_monitor_at(mon, 0, &sample, NULL), 0);
	/* There is nobody to wait for. */
	ASSERT_OK(msb_monitor_ask(mon, 3600 * 1000, &e));
	ASSERT_OK(msb_monitor_wait(mon, 1, &e));
	msb_set_cancel(m, fd, NULL, NULL);
	ASSERT_FAILS(msb_monitor_wait(mon, 3600 * 1000, &e), ECANCELED, "canceled");
	(void)msb_monitor_close(mon);
	(void)msb_close(m);
	close(fd);
}

TEST(commands_are_checked_when_they_are_described)
{
	static const char *const none[] = {NULL};
	static const char *const argv[] = {"true", NULL};
	struct msb_command *c = msb_command_new(argv);
	struct msb *m = open_here();
	char *text;

	ASSERT_TRUE(!msb_command_new(none) && !msb_command_new(NULL));
	ASSERT_ERR(msb_command_env(c, "NAME"), EINVAL);
	ASSERT_ERR(msb_command_env(c, "=x"), EINVAL);
	ASSERT_OK(msb_command_env(c, "NAME="));
	ASSERT_ERR(msb_command_user(c, ""), EINVAL);
	ASSERT_ERR(msb_command_workdir(c, "tmp"), EINVAL);
	ASSERT_ERR(msb_command_rlimit(c, "nofile"), EINVAL);
	ASSERT_ERR(msb_command_rlimit(c, "files=1"), EINVAL);
	ASSERT_OK(msb_command_rlimit(c, "nofile=10:20"));
	ASSERT_FAILS(msb_exec_output(m, "box", none, 1, &text, NULL, NULL, &e), EINVAL, "usage");
	ASSERT_TRUE(!msb_command_free(c) && !msb_command_free(NULL));
	(void)msb_close(m);
}

static unsigned int asked_times;

static int asked(void *arg)
{
	uint64_t n;

	asked_times++;
	return read(*(int *)arg, &n, sizeof(n)) == (ssize_t)sizeof(n) && n == 2;
}

/* Somebody has the lock, so it runs, as far as anybody can tell. */
TEST(waiting_is_cancelled)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct msb *m = open_here();
	struct sandbox_dir d;

	put_sandbox("box");
	ASSERT_OK(sandbox_dir_lock(test_tmpdir(), "box", &d, NULL));
	ASSERT_FAILS(msb_wait(m, "box", 1, &e), ETIMEDOUT, "timeout");
	ASSERT_FAILS(msb_start(m, "box", &e), EWOULDBLOCK, "busy");
	ASSERT_FAILS(msb_remove(m, "box", 0, &e), EWOULDBLOCK, "busy");
	ASSERT_FAILS(msb_rename(m, "box", "other", &e), EWOULDBLOCK, "busy");
	/* To be readable is enough, and nothing is read. */
	msb_set_cancel(m, fd, NULL, NULL);
	ASSERT_OK(eventfd_write(fd, 2));
	for (int i = 0; i < 2; i++)
		ASSERT_FAILS(msb_wait(m, "box", 0, &e), ECANCELED, "canceled");
	/* Who is asked decides. */
	msb_set_cancel(m, fd, asked, &fd);
	ASSERT_FAILS(msb_wait(m, "box", 0, &e), ECANCELED, "canceled");
	ASSERT_EQ(asked_times, 1);
	ASSERT_OK(eventfd_write(fd, 1));
	ASSERT_FAILS(msb_wait(m, "box", 50, &e), ETIMEDOUT, "timeout");
	ASSERT_EQ(asked_times, 2);
	sandbox_dir_close(&d);
	ASSERT_OK(msb_wait(m, "box", 0, &e));
	(void)msb_close(m);
	close(fd);
}

TEST(copies_need_a_sandbox)
{
	struct msb_copy_options o = MSB_COPY_OPTIONS_INIT;
	struct msb *m = open_here();
	unsigned int skipped = 7;

	ASSERT_FAILS(msb_copy(m, "a", "b", NULL, &skipped, &e), EINVAL, "usage");
	ASSERT_STREQ(e.hint, "at least one of both is NAME:/path");
	ASSERT_EQ(skipped, 0);
	ASSERT_FAILS(msb_copy(m, "box:rel", "b", &o, NULL, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_copy(m, "-", "box:/b", &o, NULL, &e), EINVAL, "usage");
	o.in = 0;
	o.resume = 1;
	ASSERT_FAILS(msb_copy(m, "-", "box:/b", &o, NULL, &e), EINVAL, "usage");
	/* Only what the caller says it has is looked at. */
	o.size = sizeof(size_t);
	ASSERT_FAILS(msb_copy(m, "-", "box:/b", &o, NULL, &e), EINVAL, "usage");
	ASSERT_STREQ(e.message, "there is no descriptor that - could mean");
	o.size = sizeof(o);
	ASSERT_ERR(msb_copy(m, "a", "nobody:/b", &o, NULL, &e), ENOENT);
	(void)msb_close(m);
}

TEST(what_is_known)
{
	struct msb_port port = MSB_PORT_INIT;
	struct msb *m = open_here();
	struct msb_info *info = NULL;
	struct msb_list *list = NULL;
	unsigned int vsock = 0;
	char *json;

	put_sandbox("box");
	put_sandbox("car");
	ASSERT_OK(msb_inspect(m, "box", &info, &e));
	ASSERT_STREQ(msb_info_name(info), "box");
	ASSERT_EQ(msb_info_status(info), MSB_STATUS_CREATED);
	ASSERT_EQ(msb_info_cpus_now(info), 1);
	ASSERT_EQ(msb_info_cpus_max(info), 1);
	ASSERT_EQ(msb_info_memory_mib_now(info), 256);
	ASSERT_EQ(msb_info_memory_mib_max(info), 256);
	ASSERT_STREQ(msb_info_command(info, 0), "sh");
	ASSERT_STREQ(msb_info_command(info, 1), "-l");
	ASSERT_TRUE(!msb_info_command(info, 2) && !msb_info_command(info, 3));
	ASSERT_STREQ(msb_info_env(info, 1), "B=2");
	ASSERT_TRUE(!msb_info_env(info, 2));
	ASSERT_STREQ(msb_info_label_key(info, 0), "tier");
	ASSERT_STREQ(msb_info_label(info, msb_info_label_key(info, 0)), "one");
	ASSERT_TRUE(!msb_info_label_key(info, 1));
	ASSERT_TRUE(!msb_info_tmpfs(info, 0) && !msb_info_script(info, 0));
	ASSERT_STREQ(msb_info_user(info), "");
	ASSERT_STREQ(msb_info_workdir(info), "/srv");
	ASSERT_STREQ(msb_info_shell(info), "/bin/sh");
	ASSERT_STREQ(msb_info_root_disk(info, NULL), "memory");
	ASSERT_EQ(msb_info_idle_timeout_ns(info), 0);
	ASSERT_EQ(msb_info_max_duration_ns(info), NSEC_PER_SEC);
	ASSERT_STREQ(msb_info_problem(info), "");
	ASSERT_STREQ(msb_info_vsock(info, 0, &vsock), "/run/some.sock");
	ASSERT_EQ(vsock, 77);
	ASSERT_TRUE(!msb_info_vsock(info, 1, NULL));
	ASSERT_EQ(msb_info_port(info, 0, &port), 1);
	ASSERT_STREQ(port.bind, "127.0.0.1");
	ASSERT_EQ(port.host_port, 0);
	ASSERT_EQ(port.guest_port, 80);
	ASSERT_EQ(msb_info_port(info, 1, &port), 0);
	/* Only what the caller has room for. */
	port = (struct msb_port){.size = sizeof(size_t)};
	ASSERT_EQ(msb_info_port(info, 0, &port), 1);
	ASSERT_STREQ(port.bind, "");
	json = msb_info_json(info);
	ASSERT_TRUE(json && strstr(json, "\"host_port\": null"));
	ASSERT_TRUE(strstr(json, "\"status\": \"Created\""));
	free(json);
	ASSERT_TRUE(!msb_info_free(info) && !msb_info_free(NULL));
	ASSERT_OK(msb_list(m, NULL, &list, &e));
	ASSERT_EQ(msb_list_size(list), 2);
	ASSERT_STREQ(msb_info_name(msb_list_at(list, 1)), "car");
	ASSERT_TRUE(!msb_list_at(list, 2));
	(void)msb_list_free(list);
	ASSERT_FAILS(msb_list(m, (const char *const[]){"=", NULL}, &list, &e), EINVAL, "usage");
	ASSERT_TRUE(!list && !msb_list_free(NULL));
	(void)msb_close(m);
}

TEST(logs_of_what_has_never_run)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct msb_log_entry entry = MSB_LOG_ENTRY_INIT;
	struct msb *m = open_here();
	struct msb_logs *l = NULL;
	char *text = NULL;

	put_sandbox("box");
	ASSERT_FAILS(msb_logs_open(m, "nobody", &l, &e), ENOENT, "not-found");
	ASSERT_TRUE(!l && !msb_logs_close(l));
	ASSERT_OK(msb_logs_open(m, "box", &l, &e));
	ASSERT_EQ(msb_logs_next(l, &entry, &e), 0);
	ASSERT_EQ(msb_logs_lost(l), 0);
	ASSERT_EQ(msb_logs_running(l), 0);
	/* The first time it only begins to look. */
	ASSERT_OK(msb_logs_wait(l, 3600 * 1000, &e));
	ASSERT_OK(msb_logs_wait(l, 1, &e));
	msb_set_cancel(m, fd, NULL, NULL);
	ASSERT_FAILS(msb_logs_wait(l, 3600 * 1000, &e), ECANCELED, "canceled");
	ASSERT_FAILS(msb_kernel_log(m, "box", &text, NULL, &e), ENOENT, "not-found");
	ASSERT_TRUE(!text);
	(void)msb_logs_close(l);
	(void)msb_close(m);
	close(fd);
}

static int no_phase(void *arg, int phase, const char *image)
{
	test_fail(__FILE__, __LINE__, "phase %d", phase);
	return 0;
}

static int one_phase(void *arg, int phase, const char *image)
{
	ASSERT_EQ(phase, MSB_PHASE_DOWNLOAD);
	ASSERT_STREQ(image, "localhost:1/nothing:1");
	++*(unsigned int *)arg;
	return -EPIPE;
}

TEST(mistakes_before_anything_starts)
{
	struct msb_create_options o = MSB_CREATE_OPTIONS_INIT;
	struct msb_config *c = msb_config_new();
	struct msb *m = open_here();
	unsigned int phases = 0;
	char name[MSB_NAME_SIZE] = "";

	put_sandbox("box");
	o.phase = no_phase;
	ASSERT_OK(msb_config_set(c, "kernel", "/dev/null", &e));
	ASSERT_OK(msb_config_set(c, "name", "box", &e));
	ASSERT_FAILS(msb_create_watched(m, c, &o, name, &e), EEXIST, "exists");
	ASSERT_OK(msb_config_set(c, "name", "car", &e));
	ASSERT_OK(msb_config_set(c, "pull", "never", &e));
	ASSERT_OK(msb_config_set_image(c, "localhost:1/nothing:1", &e));
	ASSERT_FAILS(msb_create_watched(m, c, &o, name, &e), ENOENT, "not-found");
	/* Who looks on can end it. */
	ASSERT_OK(msb_config_set(c, "pull", "missing", &e));
	o.phase = one_phase;
	o.arg = &phases;
	ASSERT_ERR(msb_create_watched(m, c, &o, name, &e), EPIPE);
	ASSERT_EQ(phases, 1);
	ASSERT_STREQ(name, "");
	(void)msb_config_free(c);
	(void)msb_close(m);
}

static int note_phase(void *arg, int phase, const char *what)
{
	char *said = arg;
	size_t n = strlen(said);

	(void)snprintf(said + n, 64 - n, "%d %s;", phase, what);
	return 0;
}

TEST(a_command_in_a_sandbox_of_its_own)
{
	struct msb_create_options o = MSB_CREATE_OPTIONS_INIT;
	struct msb_command *c = msb_command_usual();
	struct msb_config *config = msb_config_new();
	struct msb *m = open_here();
	struct msb_process *p = NULL;
	char said[64] = "";

	put_sandbox("box");
	o.phase = note_phase;
	o.arg = said;
	ASSERT_ERR(msb_command_term(c, ""), EINVAL);
	ASSERT_OK(msb_command_term(c, "xterm"));
	ASSERT_OK(msb_config_set(config, "kernel", "/dev/null", &e));
	ASSERT_OK(msb_config_set(config, "pull", "never", &e));
	ASSERT_OK(msb_config_set_image(config, "localhost:1/nothing:1", &e));
	ASSERT_FAILS(msb_process_run(m, config, &o, c, &p, &e), ENOENT, "not-found");
	ASSERT_TRUE(!p);
	ASSERT_STREQ(said, "");
	/* One that is there is used as it is; it cannot be started where nothing is installed. */
	ASSERT_OK(msb_config_set(config, "name", "box", &e));
	ASSERT_TRUE(msb_process_run(m, config, &o, c, &p, &e) < 0);
	ASSERT_TRUE(!p && e.message[0]);
	ASSERT_STREQ(said, "4 box;3 ;");
	/* What an image runs by itself cannot be known of nobody's. */
	ASSERT_FAILS(msb_process_start(m, "nobody", c, &p, &e), ENOENT, "not-found");
	ASSERT_FAILS(msb_process_start(m, "box", c, &p, &e), ENOTCONN, "not-running");
	(void)msb_config_free(config);
	(void)msb_command_free(c);
	(void)msb_close(m);
}

TEST(what_a_connection_would_meet)
{
	struct msb *m = open_here();
	struct msb_verdict *v = NULL;

	put_sandbox("box");
	ASSERT_FAILS(msb_net_explain(m, "box", "nonsense", NULL, &v, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_net_explain(m, "box", "a.b:1", "there", &v, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_net_explain(m, "nobody", "a.b:1", NULL, &v, &e), ENOENT, "not-found");
	ASSERT_TRUE(!v && !msb_verdict_free(v));
	ASSERT_OK(msb_net_explain(m, "box", "192.168.0.1:80", NULL, &v, &e));
	ASSERT_TRUE(strstr(msb_verdict_text(v), "192.168.0.1"));
	ASSERT_TRUE(strstr(msb_verdict_json(v),
		msb_verdict_allowed(v) ? "\"allowed\": true" : "\"allowed\": false"));
	ASSERT_TRUE(strstr(msb_verdict_json(v), "\"port\": 80"));
	(void)msb_verdict_free(v);
	(void)msb_close(m);
}

/* A ledger of the lines "start" and "end". */
static void put_ledger(const char *name)
{
	cleanup_fd int dir_fd = -EBADF;
	struct ledger l;

	ASSERT_OK(sandbox_dir_find(test_tmpdir(), name, &dir_fd, NULL));
	ledger_init(&l);
	ASSERT_OK(ledger_open(&l, dir_fd));
	ASSERT_OK(ledger_say(&l, "start", NULL));
	ASSERT_OK(ledger_say(&l, "end", "Completed"));
	ledger_flush(&l);
	ledger_close(&l);
}

TEST(ledgers)
{
	struct msb_ledger_check check = MSB_LEDGER_CHECK_INIT;
	struct msb_log_entry entry = MSB_LOG_ENTRY_INIT;
	struct msb *m = open_here();
	struct msb_logs *l = NULL;
	bool ended = false;
	unsigned int n = 0;

	put_sandbox("box");
	ASSERT_FAILS(msb_net_verify(m, "nobody", &check, &e), ENOENT, "not-found");
	ASSERT_FAILS(msb_net_verify(m, "box", &check, &e), ENOENT, "not-found");
	ASSERT_TRUE(strstr(e.message, "has no ledger"));
	put_ledger("box");
	ASSERT_OK(msb_net_verify(m, "box", &check, &e));
	ASSERT_TRUE(check.whole && check.ended && !check.torn && !check.running);
	ASSERT_EQ(check.first, 1);
	ASSERT_EQ(check.last, check.lines);
	ASSERT_EQ(strlen(check.hash), LEDGER_HASH);
	ASSERT_STREQ(check.reason, "");
	ASSERT_FAILS(msb_net_events(m, "nobody", &l, &e), ENOENT, "not-found");
	ASSERT_OK(msb_net_events(m, "box", &l, &e));
	while (msb_logs_next(l, &entry, &e) == 1) {
		n++;
		ASSERT_TRUE(!entry.time && !entry.data && entry.line_len > 2);
		ended = memmem(entry.line, entry.line_len, "Completed", 9) != NULL;
	}
	ASSERT_EQ(n, check.lines);
	ASSERT_TRUE(ended);
	ASSERT_EQ(msb_logs_running(l), 0);
	(void)msb_logs_close(l);
	/* Where nothing is installed nobody knows the authority. */
	ASSERT_TRUE(msb_net_ca(m, 0, &(struct msb_authority *){NULL}, &e) < 0);
	(void)msb_close(m);
}
