/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"

#include "cli/alias.h"

#include "test.h"

static void add(struct opt_list *list, const char *word)
{
	ASSERT_OK(opt_list_add(list, word));
}

/* The script with a program of ours in msb's place, which prints its arguments line by line. */
TEST(words_arrive_as_they_are)
{
	static const char *const odd = "a 'b' \"c\" $HOME `x` \\ *\n#";
	struct alias a = {.image = "it's:1", .sandbox = "box", .home = "/h'", .lib = "/l"};
	char fake[PATH_MAX];
	char script[PATH_MAX];
	char line[2 * PATH_MAX + 200];
	char *got = NULL;
	size_t len;
	struct buf text;
	char out[PATH_MAX];

	ASSERT_TRUE(snprintf(fake, sizeof(fake), "%s/fake 'msb", test_tmpdir()) > 0);
	ASSERT_TRUE(snprintf(script, sizeof(script), "%s/script", test_tmpdir()) > 0);
	ASSERT_TRUE(snprintf(out, sizeof(out), "%s/out", test_tmpdir()) > 0);
	ASSERT_TRUE(snprintf(line, sizeof(line),
			    "#!/bin/sh\nprintf '%%s|' \"$MSB_HOME\" \"$MSB_LIB\" \"$@\" >'%s'\n",
			    out) > 0);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, fake, line, strlen(line), 0755, false));
	a.msb = fake;
	add(&a.options, "-e");
	add(&a.options, odd);
	add(&a.command, "prog");
	buf_init(&text, ALIAS_BYTES_MAX);
	ASSERT_OK(alias_print(&a, &text));
	ASSERT_OK(io_write_file_atomic(
		AT_FDCWD, script, buf_data(&text), buf_len(&text), 0755, false));
	pid_t pid = fork();

	if (pid == 0) {
		execl(script, script, odd, "", "-x", (char *)NULL);
		_exit(126);
	}
	int status;

	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	ASSERT_OK(io_read_file(AT_FDCWD, out, 65536, &got, &len));
	(void)snprintf(line, sizeof(line), "/h'|/l|run|-q|--name|box|-e|%s|it's:1|--|prog|%s||-x|",
		odd, odd);
	ASSERT_STREQ(got, line);
	free(got);
	free(a.options.items);
	free(a.command.items);
	buf_deinit(&text);
}

TEST(a_script_says_what_it_is)
{
	struct alias a = {.image = "python:3.12", .home = "/h", .msb = "/m"};
	const struct json *command;
	struct json *doc = NULL;
	struct buf text;
	const char *s;

	add(&a.command, "python3\n");
	buf_init(&text, ALIAS_BYTES_MAX);
	ASSERT_OK(alias_print(&a, &text));
	ASSERT_OK(alias_parse((const char *)buf_data(&text), buf_len(&text), &doc));
	ASSERT_OK(json_get_str(doc, "image", &s, NULL));
	ASSERT_STREQ(s, "python:3.12");
	ASSERT_OK(json_get_str(doc, "mode", &s, NULL));
	ASSERT_STREQ(s, "tmp");
	ASSERT_OK(json_get_array(doc, "command", &command, NULL));
	ASSERT_OK(json_to_str(json_first(command), "command", &s, NULL));
	ASSERT_STREQ(s, "python3\n");
	json_free(doc);
	for (size_t n = 0; n < 24; n++)
		ASSERT_ERR(alias_parse((const char *)buf_data(&text), n, &doc), ENOMSG);
	ASSERT_ERR(alias_parse("#!/bin/sh\n# msb-command [1]\n", 28, &doc), ENOMSG);
	a.image = "\xff";
	ASSERT_ERR(alias_print(&a, &text), EILSEQ);
	free(a.command.items);
	buf_deinit(&text);
}

TEST(names_of_commands)
{
	static const char *const wrong[] = {
		"", "..", "a/b", "a:b", "a\\b", "msb", "msb-sandbox", "microsandbox", "-x"};
	struct msb_err err;

	ASSERT_OK(alias_name_check("python3.12", &err));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ASSERT_ERR(alias_name_check(wrong[i], &err), EINVAL);
}
