/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files, and what the command line makes of them. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "lib/create.h"

#include "test.h"

static const struct opt_operand operands[] = {{.name = "IMAGE"}};

static struct opt_command cmd = {.name = "create",
	.opts = create_opts,
	.n_opts = OPT_ENDED,
	.fill = conf_fill,
	.operands = operands,
	.n_operands = 1};
static const struct opt_command *const commands[] = {&cmd};
static const struct opt_program prog = {.name = "msb", .commands = commands, .n_commands = 1};

static struct create_args a;
static struct opt_words words;
static struct msb_err err;

static void file(const char *name, const char *text)
{
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, name, text, strlen(text), 0600, false));
}

static void done(void)
{
	opt_words_deinit(&words);
	run_volumes_deinit(&a.volumes);
	run_tmpfs_deinit(&a.tmpfs);
	run_scripts_deinit(&a.scripts);
	run_patches_deinit(&a.patches);
	run_root_disk_deinit(&a.root_disk);
	run_net_deinit(&a.net);
	run_conf_deinit(&a.conf);
	opt_deinit(&prog, &cmd, &a);
	memset(&a, 0, sizeof(a));
}

static int parse(const char *const *argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return opt_parse(&prog, &cmd, argc, (char **)(uintptr_t)argv, &a, &words, &err);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void expect(const char *const *argv)
{
	if (parse(argv) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
}

#define EXPECT(...) expect((const char *const[]){__VA_ARGS__, NULL})

static void refuse(const char *text, const char *msg)
{
	file("bad.yaml", text);
	ASSERT_TRUE(PARSE("--conf", "bad.yaml") < 0);
	if (!strstr(err.msg, msg))
		test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", err.msg, msg);
	done();
}

static void set_up(void)
{
	ASSERT_OK(chdir(test_tmpdir()));
	ASSERT_OK(setenv("CONF_TEST", "from here", 1));
	ASSERT_OK(unsetenv("CONF_NONE"));
}

TEST(secrets)
{
	static const char text[] =
		"secrets:\n"
		"  ONE: {value: \"${ONE}\", allow: [api.example, \"*.good.example\"]}\n"
		"  TWO: {value: \"${CONF_TEST}\", allow: [a.example], inject: [headers, body]}\n"
		"  THREE: {allow: [\"*\"], inject: [query_params], require_tls_identity: true}\n";
	struct secret_settings got;

	set_up();
	file("secrets.yaml", text);
	EXPECT("--conf", "secrets.yaml", "--secret", "ONE@other.example");
	ASSERT_OK(run_secrets_apply(&a.net.secrets, &got, &err));
	ASSERT_EQ(got.n, 3);
	ASSERT_STREQ(got.rules[0].name, "ONE");
	ASSERT_TRUE(got.rules[0].value == NULL);
	ASSERT_EQ(got.rules[0].n_hosts, 3);
	ASSERT_EQ(got.rules[0].inject, 0);
	ASSERT_STREQ(got.rules[1].value, "from here");
	ASSERT_EQ(got.rules[1].inject, SECRET_IN_HEADERS | SECRET_IN_BODY);
	ASSERT_STREQ(got.rules[2].hosts[0], "*");
	ASSERT_EQ(got.rules[2].inject, SECRET_IN_QUERY);
	done();
}

TEST(host_sockets)
{
	cleanup_free char *here = NULL;
	char want[PATH_MAX];

	set_up();
	here = realpath(".", NULL);
	ASSERT_TRUE(here != NULL);
	ASSERT_OK(mkdir("d", 0700));
	file("d/box.yaml", "vsock: [\"s:5000\", \"/run/a.sock:5001/stream\"]\n");
	EXPECT("--conf", "d/box.yaml", "--vsock", "s:5002");
	ASSERT_EQ(a.vsocks.n, 3);
	for (uint32_t i = 0; i < a.vsocks.n; i++) {
		const struct vsock_route *r = &a.vsocks.list[i];

		(void)snprintf(want, sizeof(want), "%s%s", r->port == 5001 ? "" : here,
			r->port == 5000	  ? "/d/s"
			: r->port == 5001 ? "/run/a.sock"
					  : "/s");
		ASSERT_STREQ(r->path, want);
	}
	done();
	refuse("vsock: [\"s:0\"]\n", "bad.yaml:1:9: port 0 cannot be used");
	refuse("vsock: {s: 5}\n", "a list is wanted");
}

TEST(a_whole_file)
{
	set_up();
	ASSERT_OK(mkdir("d", 0700));
	file("d/data", "x");
	ASSERT_OK(mkdir("d/src", 0700));
	file("d/a.yaml",
		"image: python:3.12\n"
		"pull_policy: never\n"
		"resources:\n  cpus: 3\n  memory: 1G\n  max_duration: 5m\n"
		"  rlimits:\n  - {resource: nofile, soft: 10, hard: 20}\n"
		"runtime:\n  workdir: /w\n  user: \"1000\"\n  entrypoint: [a, b]\n  cmd: [c]\n"
		"  env: {A: '${CONF_TEST}', B: '$${X}'}\n  labels: {l: 1}\n  security: restricted\n"
		"fs:\n  mounts:\n  - ./src:/src:ro\n"
		"  - {bind: src, target: /t, readonly: true, noexec: false, stat_virtualization: "
		"off-ish}\n");
	ASSERT_TRUE(PARSE("--conf", "d/a.yaml") < 0);
	if (!strstr(err.msg, "d/a.yaml:20:5: "))
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	done();
	file("d/a.yaml",
		"image: python:3.12\n"
		"pull_policy: never\n"
		"resources:\n  cpus: 3\n  memory: 1G\n  max_duration: 5m\n"
		"  rlimits:\n  - {resource: nofile, soft: 10, hard: 20}\n"
		"runtime:\n  workdir: /w\n  user: \"1000\"\n  entrypoint: [a, b]\n  cmd: [c]\n"
		"  env: {A: '${CONF_TEST}', B: '$${X}'}\n  labels: {l: 1}\n  security: restricted\n"
		"fs:\n  mounts:\n  - ./src:/src:ro\n"
		"  - {bind: src, target: /t, readonly: true}\n"
		"  - tmpfs: {size: 10M}\n    target: /tm\n    noexec: true\n"
		"  patches:\n  - copy_file: {src: data, dst: /etc/data, mode: \"0600\"}\n"
		"  - text: {path: /etc/x, content: \"hi\\n\"}\n"
		"  - remove: {path: /etc/y}\n"
		"net:\n  policy: none\n  deny: [10.0.0.1]\n  tls: {enabled: true}\n"
		"  trust_host_cas: true\n"
		"scripts:\n  hi: |\n    echo ${HOME}\n");
	EXPECT("--conf", "d/a.yaml");
	ASSERT_STREQ(a.conf.image, "python:3.12");
	ASSERT_EQ(a.cpus, 3);
	ASSERT_EQ(a.mem_mib, 1024);
	ASSERT_EQ(a.max_duration_ns, 300 * NSEC_PER_SEC);
	ASSERT_TRUE(a.net.tls.trust_host_cas);
	ASSERT_EQ(a.rlimits.n, 1);
	ASSERT_EQ(a.rlimits.list[0].hard, 20);
	ASSERT_STREQ(a.workdir, "/w");
	ASSERT_STREQ(a.user, "1000");
	ASSERT_EQ(a.conf.entrypoint.n, 2);
	ASSERT_STREQ(a.conf.cmd.items[0], "c");
	ASSERT_STREQ(a.env.items[0], "A=from here");
	ASSERT_STREQ(a.env.items[1], "B=${X}");
	ASSERT_STREQ(a.labels.items[0], "l=1");
	ASSERT_EQ(a.volumes.n, 2);
	ASSERT_STREQ(a.volumes.list[0].path, "/src");
	ASSERT_STREQ(a.volumes.list[0].source, a.volumes.list[1].source);
	ASSERT_EQ(a.tmpfs.list[0].size_bytes, 10 * MIB);
	ASSERT_STREQ(a.tmpfs.list[0].options, "noexec");
	ASSERT_EQ(a.patches.n, 3u);
	ASSERT_STREQ(a.patches.list[0].source, "./d/data");
	ASSERT_EQ(a.patches.list[0].mode, 0600);
	ASSERT_EQ(a.patches.list[1].kind, PATCH_TEXT);
	ASSERT_TRUE(a.net.choice.no_net && a.net.tls.intercept);
	ASSERT_STREQ(a.scripts.list[0].body, "#!/bin/sh\necho ${HOME}\n\n");
	done();
}

TEST(the_command_line_wins)
{
	set_up();
	file("a.yaml", "image: {oci: python, upper_size: 1G}\n"
		       "resources: {cpus: 3, memory: 1G, rlimits: [{resource: nofile, soft: 10}]}\n"
		       "runtime: {env: {A: 1, B: 2}, entrypoint: [x]}\n"
		       "net: {policy: open, deny: [10.0.0.1]}\n"
		       "fs: {patches: [{mkdir: {path: /a}}]}\n"
		       "scripts: {hi: a, ho: b}\n");
	EXPECT("--conf", "a.yaml", "-c", "2", "-e", "A=own", "--rlimit", "nofile=5", "--net",
		"public", "--net-rule", "allow@10.0.0.2", "--script", "hi=own", "--entrypoint",
		"own", "--mkdir", "/a/b");
	ASSERT_EQ(a.cpus, 2);
	ASSERT_EQ(a.mem_mib, 1024);
	ASSERT_STREQ(a.env.items[2], "A=own");
	ASSERT_EQ(a.rlimits.n, 1);
	ASSERT_EQ(a.rlimits.list[0].soft, 5);
	ASSERT_EQ(a.scripts.n, 2);
	ASSERT_STREQ(a.scripts.list[0].body, "own");
	ASSERT_EQ(a.conf.entrypoint.n, 0);
	ASSERT_EQ(a.net.choice.rules.n_rules, 2u);
	ASSERT_STREQ(a.patches.list[0].path, "/a");
	ASSERT_STREQ(a.patches.list[1].path, "/a/b");
	ASSERT_TRUE(a.root_disk.given);
	done();
}

TEST(files_are_laid_over_each_other)
{
	set_up();
	file("a.yaml",
		"resources: {cpus: 1, memory: 1G}\nruntime: {env: {A: 1, B: 1}, cmd: [a, b]}\n");
	file("b.yaml", "cpus: 2\n");
	file("c.yaml", "# nothing\n");
	file("d.yaml", "env: {B: 2, C: 2}\ncmd: [c]\n");
	EXPECT("--conf", "a.yaml", "--resource-conf", "b.yaml", "--runtime-conf", "d.yaml",
		"--conf", "c.yaml");
	ASSERT_EQ(a.cpus, 2);
	ASSERT_EQ(a.mem_mib, 1024);
	ASSERT_EQ(a.env.n, 3u);
	ASSERT_STREQ(a.env.items[1], "B=2");
	ASSERT_EQ(a.conf.cmd.n, 1);
	ASSERT_STREQ(a.conf.cmd.items[0], "c");
	done();
	file("s.yaml", "hi: '#!/bin/cat'\n");
	EXPECT("--script-conf", "s.yaml");
	ASSERT_STREQ(a.scripts.list[0].body, "#!/bin/cat");
	done();
}

TEST(what_is_wrong_has_a_place)
{
	set_up();
	refuse("resources:\n  cpu: 1\n", "bad.yaml:2:3: unknown field 'cpu'");
	ASSERT_STREQ(err.hint, "did you mean cpus?");
	refuse("resource: {}\n", "bad.yaml:1:1: unknown field");
	refuse("resources:\n  cpus: many\n", "bad.yaml:2:9: 'many' is not a whole number");
	refuse("resources:\n  cpus:\n", "bad.yaml:2:3: the value of cpus is missing");
	refuse("resources: [1]\n", "bad.yaml:1:12: keys and values are wanted");
	refuse("- a\n", "bad.yaml:1:1: a file has keys");
	refuse("runtime:\n  env: {A: '${CONF_NONE}'}\n", "bad.yaml:2:12: the environment has no");
	refuse("runtime:\n  env: {A: '${x-y}'}\n", "is no variable");
	refuse("runtime:\n  env: {A: ~}\n", "a value is missing");
	refuse("runtime:\n  env: {A: [1]}\n", "bad.yaml:2:12: a text or a number");
	refuse("net: {dns: {rebind_protection: 1}}\n", "true or false is wanted");
	refuse("net: {tls: {verify_upstream: false}}\n", "'verify_upstream' is not supported");
	refuse("secrets: {A: {inject: [body]}}\n", "allow is missing");
	refuse("secrets: {A: {allow: [x], inject: [path]}}\n", "no part of a request");
	refuse("secrets: {A: {allow: [x], value: \"${CONF_NONE}\"}}\n", "no variable CONF_NONE");
	refuse("secrets: {A: {allow: [x], require_tls_identity: false}}\n", "not supported");
	refuse("secrets: {A: {allow: [a b]}}\n", "bad.yaml:1:");
	refuse("net: {trust_host_cas: 1}\n", "true or false is wanted");
	refuse("net: {policy: some}\n", "none, public or open");
	refuse("fs: {mounts: [{bind: x}]}\n", "target is missing");
	refuse("fs: {mounts: [{bind: x, named: y, target: /z}]}\n", "one of bind, named");
	refuse("fs: {mounts: [{tmpfs: ~, target: /z, fstype: ext4}]}\n",
		"kind tmpfs has no fstype");
	refuse("fs: {patches: [{mkdir: {path: /x, mode: 0755}}]}\n", "four octal digits in quotes");
	refuse("fs: {patches: [{mkdir: {path: ../x}}]}\n", "bad.yaml:1:");
	refuse("fs: {patches: [{mkdr: {path: /x}}]}\n", "unknown field 'mkdr'");
	refuse("fs: {patches: [{remove: {path: /x, mode: \"0755\"}}]}\n", "unknown field 'mode'");
	refuse("image: {bind: /x}\n", "not supported");
	refuse("image: {oci: a, disk: b}\n", "one of oci");
	refuse("registry: {username: x}\n", "not supported");
	ASSERT_ERR(PARSE("--conf", "missing.yaml"), ENOENT);
	done();
	ASSERT_ERR(PARSE("--conf", ""), EINVAL);
	done();
}
