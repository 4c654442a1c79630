/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/run-config.h"

#include "test.h"

enum { WORDS = 6 };

static size_t count(const char *const *words)
{
	size_t n = 0;

	while (n < WORDS && words[n])
		n++;
	return n;
}

static void assert_words(const char *what, const struct opt_list *got, const char *const *want)
{
	size_t n = count(want);

	if (got->n != n)
		test_fail(__FILE__, __LINE__, "%s: %zu words, expected %zu", what, got->n, n);
	for (size_t i = 0; i < n; i++) {
		if (!streq(got->items[i], want[i]))
			test_fail(__FILE__, __LINE__, "%s: word %zu is '%s', expected '%s'", what,
				i, got->items[i], want[i]);
	}
}

static const struct {
	const char *what;
	const char *image; /* the image's configuration, NULL: no image of the store */
	const char *entrypoint;
	const char *command[WORDS];
	const char *shell;
	const char *argv[WORDS];
} commands[] = {
	{"nothing at all", NULL, NULL, {NULL}, NULL, {"/bin/sh"}},
	{"a shell of one's own", NULL, NULL, {NULL}, "/bin/ash", {"/bin/ash"}},
	{"command", NULL, NULL, {"ls", "-l"}, NULL, {"ls", "-l"}},
	{"entrypoint and command", NULL, "echo", {"a", "b"}, NULL, {"echo", "a", "b"}},
	{"image says nothing", "{}", NULL, {NULL}, "/bin/zsh", {"/bin/zsh"}},
	{"image CMD", "{\"Cmd\":[\"python3\"]}", NULL, {NULL}, "/bin/ash", {"python3"}},
	{"image CMD replaced", "{\"Cmd\":[\"python3\",\"-i\"]}", NULL, {"ls"}, NULL, {"ls"}},
	{"image ENTRYPOINT", "{\"Entrypoint\":[\"/e\",\"-x\"]}", NULL, {NULL}, NULL, {"/e", "-x"}},
	{"ENTRYPOINT and CMD", "{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\",\"d\"]}", NULL, {NULL},
		NULL, {"/e", "c", "d"}},
	{"ENTRYPOINT and command", "{\"Entrypoint\":[\"/e\",\"-x\"],\"Cmd\":[\"c\",\"d\"]}", NULL,
		{"run"}, NULL, {"/e", "-x", "run"}},
	{"--entrypoint drops CMD", "{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]}", "/bin/sh", {NULL},
		NULL, {"/bin/sh"}},
	{"--entrypoint with command", "{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]}", "/bin/sh",
		{"-c", "id"}, NULL, {"/bin/sh", "-c", "id"}},
	{"--entrypoint ''", "{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]}", "", {"id"}, NULL, {"id"}},
	{"--entrypoint '' alone", "{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]}", "", {NULL}, NULL,
		{"/bin/sh"}},
	{"empty words stay", "{\"Cmd\":[\"\"]}", "/e", {"", "x"}, NULL, {"/e", "", "x"}},
};

static struct oci_config image;
static struct run_config c;

/* @config: the member "config" of a configuration; "" for none. */
static const struct oci_config *read_image(const char *config)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "{\"os\":\"linux\",\"config\":%s}", config);
	ASSERT_OK(oci_config_parse(text, strlen(text), &image, NULL));
	return &image;
}

TEST(what_runs)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct oci_config *from =
			commands[i].image ? read_image(commands[i].image) : NULL;
		const struct run_wish wish = {
			.entrypoint = commands[i].entrypoint,
			.command = commands[i].command,
			.n_command = count(commands[i].command),
			.shell = commands[i].shell,
		};

		ASSERT_OK(run_config_merge(from, &wish, &c, NULL));
		assert_words(commands[i].what, &c.argv, commands[i].argv);
		ASSERT_TRUE(!c.argv.items[c.argv.n]);
		run_config_deinit(&c);
		oci_config_deinit(&image);
	}
}

static const struct {
	const char *image;
	const char *given[WORDS];
	const char *env[WORDS];
} environments[] = {
	{NULL, {NULL}, {NULL}},
	{NULL, {"A=1", "B="}, {"A=1", "B="}},
	{"[\"PATH=/x\",\"A=1\"]", {NULL}, {"PATH=/x", "A=1"}},
	{"[\"A=1\",\"B=2\"]", {"A=3", "C=4"}, {"A=3", "B=2", "C=4"}},
	{"[\"A=1\",\"A=2\"]", {NULL}, {"A=2"}},
	{"[\"AB=1\",\"A=2\"]", {"A=\"q\""}, {"AB=1", "A=\"q\""}},
	{"[\"A=1\"]", {"A="}, {"A="}},
	{"[\"NOVALUE\",\"=x\",\"\",\"A=a=b\"]", {NULL}, {"A=a=b"}},
};

TEST(whose_environment)
{
	for (size_t i = 0; i < ARRAY_SIZE(environments); i++) {
		char config[512];
		struct run_wish wish = {.n_command = 0};

		(void)snprintf(config, sizeof(config), "{\"Env\":%s}",
			environments[i].image ? environments[i].image : "null");
		for (size_t j = 0; j < count(environments[i].given); j++)
			ASSERT_OK(opt_list_add(&wish.env, environments[i].given[j]));
		ASSERT_OK(run_config_merge(read_image(config), &wish, &c, NULL));
		assert_words(config, &c.env, environments[i].env);
		run_config_deinit(&c);
		oci_config_deinit(&image);
		free(wish.env.items);
	}
}

static const struct {
	const char *image;
	const char *user;
	const char *workdir;
	const char *want_user;
	const char *want_workdir;
	uint32_t want_signal;
} places[] = {
	{"{}", NULL, NULL, "", "", 0},
	{"{\"User\":\"app:www\",\"WorkingDir\":\"/srv\"}", NULL, NULL, "app:www", "/srv", 0},
	{"{\"User\":\"app\",\"WorkingDir\":\"/srv\"}", "0", "/tmp", "0", "/tmp", 0},
	{"{\"WorkingDir\":\"srv/x\"}", NULL, NULL, "", "/srv/x", 0},
	{"{\"WorkingDir\":\"\",\"User\":\"\"}", NULL, NULL, "", "", 0},
	{"{\"StopSignal\":\"SIGQUIT\"}", NULL, NULL, "", "", 3},
	{"{\"StopSignal\":\"37\"}", NULL, NULL, "", "", 37},
	{"{\"StopSignal\":\"SIGRTMIN+3\"}", NULL, NULL, "", "", 37},
	{"{\"StopSignal\":\"SIGNONE\"}", NULL, NULL, "", "", 0},
};

TEST(who_and_where)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct run_wish wish = {.user = places[i].user, .workdir = places[i].workdir};

		ASSERT_OK(run_config_merge(read_image(places[i].image), &wish, &c, NULL));
		ASSERT_STREQ(c.user, places[i].want_user);
		ASSERT_STREQ(c.workdir, places[i].want_workdir);
		ASSERT_EQ(c.stop_signal, places[i].want_signal);
		run_config_deinit(&c);
		oci_config_deinit(&image);
	}
}

TEST(labels_of_the_user_win_and_ours_are_ours)
{
	static const struct sandbox_label mine[] = {
		{"b", "not this"}, {"sandbox.x", "mine"}, {"b", "mine"}};
	const struct run_wish wish = {.labels = mine, .n_labels = ARRAY_SIZE(mine)};

	read_image("{\"Labels\":{\"a\":\"1\",\"b\":\"2\",\"\":\"3\",\"sandbox.id\":\"4\","
		   "\"microsandbox.y\":\"5\",\"service.z\":\"6\",\"sandboxes\":\"7\"}}");
	ASSERT_OK(run_config_merge(&image, &wish, &c, NULL));
	ASSERT_EQ(c.n_labels, 4);
	ASSERT_STREQ(c.labels[0].name, "a");
	ASSERT_STREQ(c.labels[0].value, "1");
	ASSERT_STREQ(c.labels[1].name, "b");
	ASSERT_STREQ(c.labels[1].value, "mine");
	ASSERT_STREQ(c.labels[2].name, "sandboxes");
	ASSERT_STREQ(c.labels[3].name, "sandbox.x");
	ASSERT_STREQ(c.labels[3].value, "mine");
	run_config_deinit(&c);
	oci_config_deinit(&image);
}

TEST(images_of_other_systems_are_refused)
{
	static const char text[] = "{\"os\":\"windows\"}";
	const struct run_wish wish = {.n_command = 0};
	struct msb_err err = {};

	ASSERT_OK(oci_config_parse(text, strlen(text), &image, NULL));
	ASSERT_ERR(run_config_merge(&image, &wish, &c, &err), EOPNOTSUPP);
	ASSERT_STREQ(err.msg, "the image is made for 'windows', not for Linux");
	run_config_deinit(&c);
	oci_config_deinit(&image);
}

TEST(together_they_are_capped)
{
	static const char *words[LIMIT_ARGV];
	struct run_wish wish = {.entrypoint = "x", .command = words, .n_command = LIMIT_ARGV};
	struct msb_err err = {};

	for (size_t i = 0; i < LIMIT_ARGV; i++)
		words[i] = "w";
	ASSERT_ERR(run_config_merge(NULL, &wish, &c, &err), E2BIG);
	ASSERT_EQ(err.kind, MSB_USAGE);
	run_config_deinit(&c);
	wish.entrypoint = NULL;
	ASSERT_OK(run_config_merge(NULL, &wish, &c, NULL));
	ASSERT_EQ(c.argv.n, LIMIT_ARGV);
	run_config_deinit(&c);
}

TEST(failures_of_memory_leave_nothing)
{
	static const struct sandbox_label mine[] = {{"a", ""}};
	static const char *const command[] = {"x"};
	const struct run_wish wish = {
		.labels = mine, .n_labels = 1, .command = command, .n_command = 1};

	read_image("{\"Env\":[\"A=1\",\"B=2\"],\"Entrypoint\":[\"/e\"],\"Labels\":{\"b\":\"\"}}");
	FAULT_LOOP({
		int r = run_config_merge(&image, &wish, &c, NULL);

		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		run_config_deinit(&c);
	});
	oci_config_deinit(&image);
}
