/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "base/str.h"

#include "lib/api-words.h"
#include "lib/secret-args.h"
#include "msb/msb.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

#include "test.h"

static struct msb_error e = MSB_ERROR_INIT;

/* A handle on a place of its own; nothing is installed there. */
static struct msb *open_here(void)
{
	struct msb *m = NULL;

	ASSERT_OK(msb_open(test_tmpdir(), test_tmpdir(), &m, &e));
	ASSERT_STREQ(msb_home(m), test_tmpdir());
	return m;
}

#define ASSERT_FAILS(call, r_, code_)                         \
	do {                                                  \
		e = (struct msb_error)MSB_ERROR_INIT;         \
		ASSERT_ERR(call, r_);                         \
		ASSERT_STREQ(msb_code_name(e.code), (code_)); \
		ASSERT_EQ(e.sys_errno, (r_));                 \
		ASSERT_TRUE(e.message[0]);                    \
	} while (0)

/* A sandbox that has never run. */
static void put_sandbox(const char *name)
{
	static const char *const env[] = {"A=1", "B=2", NULL};
	struct msb_err err = {.msg = ""};
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
	ASSERT_OK(msb_config_set(c, "memory", "512M", &e));
	ASSERT_OK(msb_config_set(c, "memory", "256M", &e));
	ASSERT_OK(msb_config_set(c, "replace", NULL, &e));
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
