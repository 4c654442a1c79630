/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "sandbox/spec.h"
#include "sandbox/state.h"

#include "test.h"

static const char *const init_args[] = {"--log", "", NULL};
static const char *const init_env[] = {"I=1", NULL};
static const char *const env[] = {"A=1", "LONG=x y\n\"z\"", "EMPTY=", NULL};

static const struct sandbox_label labels[] = {{"org.x", "y\"z"}, {"empty", ""}};

static const struct sandbox_script scripts[] = {{"setup", "#!/bin/sh\n"}, {"_a.b-C", ""}};
static struct policy_rule rules[] = {
	{.action = POLICY_ALLOW, .directions = 1u << POLICY_EGRESS, .target = POLICY_DNS},
	{.action = POLICY_DENY,
		.directions = 1u << POLICY_EGRESS,
		.target = POLICY_GROUP,
		.group = NET_CLASS_META},
};
static const struct policy policy = {.n_rules = ARRAY_SIZE(rules), .rules = rules};

static void fill(struct sandbox_spec *s)
{
	sandbox_spec_init(s);
	s->name = "web-1";
	s->ephemeral = false;
	s->engine = ENGINE_QEMU;
	s->image_kind = IMAGE_DISK;
	s->image = "./disk.img";
	s->image_path = "/srv/disk.img";
	s->root_kind = ROOT_DISK;
	s->root_fstype = "ext4";
	s->root_disk = (struct sandbox_root_disk){.path = ""};
	s->vcpus = 3;
	s->mem_mib = 777;
	s->max_vcpus = 9;
	s->max_mem_mib = 888;
	s->hostname = "h";
	s->restricted = true;
	s->user = "nobody:1000";
	s->workdir = "/w";
	s->shell = "/bin/ash";
	s->env = env;
	s->init = "/sbin/init";
	s->init_args = init_args;
	s->init_env = init_env;
	s->stop_signal = 3;
	s->n_scripts = ARRAY_SIZE(scripts);
	s->scripts = scripts;
	s->net.policy = &policy;
	s->net.max_connections = 77;
	s->net.pools =
		(struct net_pools){.v4 = net_addr_v4((const uint8_t[]){10, 9, 0, 0}), .bits4 = 16};
	s->net.dns.timeout_ms = 250;
	s->net.ports.n = 1;
	s->net.ports.list[0] = (struct net_port){.bind = {.family = NET_V6}, .host = 7, .guest = 8};
	s->vsocks.n = 2;
	s->vsocks.list[0] = (struct vsock_route){.port = 5000, .path = "/run/a.sock"};
	s->vsocks.list[1] = (struct vsock_route){.port = UINT32_MAX - 1, .path = "/b"};
	s->n_labels = ARRAY_SIZE(labels);
	s->labels = labels;
	s->n_tmpfs = 2;
	s->tmpfs[0] = (struct msg_tmpfs){.path = "/tmp", .size_bytes = 4096, .options = "noexec"};
	s->tmpfs[1] = (struct msg_tmpfs){.path = "/run", .options = ""};
	s->n_rlimits = 2;
	s->rlimits[0] = (struct msg_rlimit){.resource = 7, .soft = 100, .hard = UINT64_MAX};
	s->rlimits[1] = (struct msg_rlimit){.resource = 3, .soft = 0, .hard = INT64_MAX};
	s->max_duration_ns = 5;
	s->boot_timeout_ns = 6;
	s->home = "/home/u/.microsandbox";
	s->lib_dir = "/usr/lib/msb";
	s->kernel_path = "/boot/k";
	s->qemu_path = "/opt/q";
	s->log_level = LOG_DEBUG;
}

static void assert_same(const struct sandbox_spec *a, const struct sandbox_spec *b)
{
	ASSERT_STREQ(a->name, b->name);
	ASSERT_EQ(a->ephemeral, b->ephemeral);
	ASSERT_EQ(a->engine, b->engine);
	ASSERT_EQ(a->image_kind, b->image_kind);
	ASSERT_STREQ(a->image, b->image);
	ASSERT_STREQ(a->image_digest, b->image_digest);
	ASSERT_STREQ(a->image_path, b->image_path);
	ASSERT_EQ(a->root_kind, b->root_kind);
	ASSERT_STREQ(a->root_fstype, b->root_fstype);
	ASSERT_EQ(a->root_disk.kind, b->root_disk.kind);
	ASSERT_EQ(a->root_disk.size_bytes, b->root_disk.size_bytes);
	ASSERT_STREQ(a->root_disk.path, b->root_disk.path);
	ASSERT_EQ(a->vcpus, b->vcpus);
	ASSERT_EQ(a->mem_mib, b->mem_mib);
	ASSERT_EQ(a->max_vcpus, b->max_vcpus);
	ASSERT_EQ(a->max_mem_mib, b->max_mem_mib);
	ASSERT_STREQ(a->hostname, b->hostname);
	ASSERT_STREQ(a->user, b->user);
	ASSERT_STREQ(a->workdir, b->workdir);
	ASSERT_STREQ(a->shell, b->shell);
	for (size_t i = 0; b->env[i]; i++)
		ASSERT_STREQ(a->env[i], b->env[i]);
	ASSERT_TRUE(!a->env[ARRAY_SIZE(env) - 1]);
	ASSERT_STREQ(a->init, b->init);
	ASSERT_STREQ(a->init_args[0], b->init_args[0]);
	ASSERT_STREQ(a->init_args[1], b->init_args[1]);
	ASSERT_TRUE(!a->init_args[2]);
	ASSERT_STREQ(a->init_env[0], b->init_env[0]);
	ASSERT_TRUE(!a->init_env[1]);
	ASSERT_EQ(a->restricted, b->restricted);
	ASSERT_EQ(a->stop_signal, b->stop_signal);
	ASSERT_EQ(a->n_labels, b->n_labels);
	for (uint32_t i = 0; i < b->n_labels; i++) {
		ASSERT_STREQ(a->labels[i].name, b->labels[i].name);
		ASSERT_STREQ(a->labels[i].value, b->labels[i].value);
	}
	ASSERT_EQ(a->n_scripts, b->n_scripts);
	for (uint32_t i = 0; i < b->n_scripts; i++) {
		ASSERT_STREQ(a->scripts[i].name, b->scripts[i].name);
		ASSERT_STREQ(a->scripts[i].body, b->scripts[i].body);
	}
	ASSERT_EQ(a->n_tmpfs, b->n_tmpfs);
	for (uint32_t i = 0; i < b->n_tmpfs; i++) {
		ASSERT_STREQ(a->tmpfs[i].path, b->tmpfs[i].path);
		ASSERT_STREQ(a->tmpfs[i].options, b->tmpfs[i].options);
		ASSERT_EQ(a->tmpfs[i].size_bytes, b->tmpfs[i].size_bytes);
	}
	ASSERT_EQ(a->n_rlimits, b->n_rlimits);
	ASSERT_MEMEQ(a->rlimits, b->rlimits, sizeof(a->rlimits[0]) * b->n_rlimits);
	ASSERT_EQ(a->net.max_connections, b->net.max_connections);
	ASSERT_TRUE(net_addr_equal(&a->net.pools.v4, &b->net.pools.v4));
	ASSERT_EQ(a->net.pools.bits4, b->net.pools.bits4);
	ASSERT_EQ(a->net.pools.v6.family, b->net.pools.v6.family);
	ASSERT_EQ(a->net.dns.timeout_ms, b->net.dns.timeout_ms);
	ASSERT_EQ(a->net.ports.n, b->net.ports.n);
	for (uint32_t i = 0; i < b->net.ports.n; i++) {
		char text[2][NET_PORT_TEXT];

		ASSERT_STREQ(net_port_text(&a->net.ports.list[i], text[0]),
			net_port_text(&b->net.ports.list[i], text[1]));
	}
	ASSERT_EQ(a->vsocks.n, b->vsocks.n);
	for (uint32_t i = 0; i < b->vsocks.n; i++) {
		ASSERT_EQ(a->vsocks.list[i].port, b->vsocks.list[i].port);
		ASSERT_STREQ(a->vsocks.list[i].path, b->vsocks.list[i].path);
	}
	ASSERT_EQ(!a->net.policy, !b->net.policy);
	if (b->net.policy) {
		ASSERT_EQ(a->net.policy->n_rules, b->net.policy->n_rules);
		ASSERT_MEMEQ(a->net.policy->rules, b->net.policy->rules,
			b->net.policy->n_rules * sizeof(b->net.policy->rules[0]));
	}
	ASSERT_EQ(a->max_duration_ns, b->max_duration_ns);
	ASSERT_EQ(a->boot_timeout_ns, b->boot_timeout_ns);
	ASSERT_STREQ(a->home, b->home);
	ASSERT_STREQ(a->lib_dir, b->lib_dir);
	ASSERT_STREQ(a->kernel_path, b->kernel_path);
	ASSERT_STREQ(a->qemu_path, b->qemu_path);
	ASSERT_EQ(a->log_level, b->log_level);
}

TEST(round_trip_keeps_every_field)
{
	struct sandbox_spec a;
	struct sandbox_spec b;
	struct msb_err err = {};
	struct buf json;

	fill(&a);
	buf_init(&json, LIMIT_JSON_BYTES);
	ASSERT_OK(sandbox_spec_to_json(&a, &json));
	if (sandbox_spec_from_json((const char *)buf_data(&json), buf_len(&json), &b, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	assert_same(&b, &a);
	sandbox_spec_deinit(&b);
	buf_deinit(&json);
}

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void fill_oci(struct sandbox_spec *s)
{
	fill(s);
	s->image_kind = IMAGE_OCI;
	s->image = "python:3.12";
	s->image_digest = DIGEST;
	s->image_path = "";
	s->root_kind = ROOT_OVERLAY;
	s->root_disk = (struct sandbox_root_disk){UPPER_DISK, ROOT_DISK_DEFAULT_BYTES, ""};
}

TEST(images_of_the_store_keep_digest_and_root_disk)
{
	struct sandbox_spec a;
	struct sandbox_spec b;
	struct msb_err err = {};
	struct buf json;

	fill_oci(&a);
	a.snapshot = "/srv/snapshots/one";
	a.snapshot_digest = DIGEST;
	buf_init(&json, LIMIT_JSON_BYTES);
	ASSERT_OK(sandbox_spec_to_json(&a, &json));
	if (sandbox_spec_from_json((const char *)buf_data(&json), buf_len(&json), &b, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	assert_same(&b, &a);
	ASSERT_STREQ(b.snapshot, a.snapshot);
	ASSERT_STREQ(b.snapshot_digest, a.snapshot_digest);
	sandbox_spec_deinit(&b);
	buf_deinit(&json);
}

/* One good description of an image of the store, changed by a statement. */
#define OCI(expect, change)                                       \
	do {                                                      \
		struct sandbox_spec s;                            \
		fill_oci(&s);                                     \
		change;                                           \
		ASSERT_EQ(sandbox_spec_check(&s, NULL), -expect); \
	} while (0)

TEST(images_of_the_store_are_checked)
{
	OCI(0, (void)0);
	OCI(EINVAL, s.image_digest = "");
	OCI(EINVAL, s.image_digest = "sha256:0123");
	OCI(EINVAL, s.image_digest = "../../../etc/passwd");
	OCI(EINVAL, s.image_path = "/srv/disk.img");
	OCI(EINVAL, s.root_kind = ROOT_DISK);
	OCI(EINVAL, s.image_kind = IMAGE_EROFS);
}

TEST(root_disks_are_checked)
{
	OCI(0, s.root_disk.size_bytes = LIMIT_ROOT_DISK_MIN_MIB * MIB);
	OCI(0, s.root_disk.size_bytes = LIMIT_ROOT_DISK_MAX_MIB * MIB);
	OCI(0, s.root_disk.kind = UPPER_FLAT);
	OCI(ERANGE, s.root_disk.size_bytes = 0);
	OCI(ERANGE, s.root_disk.size_bytes = LIMIT_ROOT_DISK_MIN_MIB * MIB - 1);
	OCI(ERANGE, s.root_disk.size_bytes += 1);
	OCI(ERANGE, s.root_disk.size_bytes = (LIMIT_ROOT_DISK_MAX_MIB + 1) * MIB);
	OCI(ERANGE, s.root_disk.size_bytes = UINT64_MAX);
	OCI(EINVAL, s.root_disk.path = "/srv/upper.img");
	OCI(EINVAL, s.root_disk.kind = (enum sandbox_upper_kind)99);
	OCI(0, s.root_disk = ((struct sandbox_root_disk){UPPER_FILE, 0, "/srv/upper.img"}));
	OCI(EINVAL, s.root_disk = ((struct sandbox_root_disk){UPPER_FILE, 0, "upper.img"}));
	OCI(EINVAL, s.root_disk = ((struct sandbox_root_disk){UPPER_FILE, 0, ""}));
	OCI(EINVAL, s.root_disk = ((struct sandbox_root_disk){UPPER_FILE, MIB, "/srv/u.img"}));
	OCI(0, s.root_disk = ((struct sandbox_root_disk){UPPER_TMPFS, 0, ""}));
	OCI(0, s.root_disk = ((struct sandbox_root_disk){UPPER_TMPFS, 777 * MIB, ""}));
	OCI(ERANGE, s.root_disk = ((struct sandbox_root_disk){UPPER_TMPFS, 777 * MIB + 1, ""}));
}

TEST(snapshots_are_checked)
{
	OCI(0, s.snapshot = "/srv/s"; s.snapshot_digest = DIGEST);
	OCI(EINVAL, s.snapshot = "/srv/s");
	OCI(EINVAL, s.snapshot_digest = DIGEST);
	OCI(EINVAL, s.snapshot = "s"; s.snapshot_digest = DIGEST);
	OCI(EINVAL, s.snapshot = "/srv/s"; s.snapshot_digest = "sha256:1");
	OCI(EINVAL, s.snapshot = "/srv/s"; s.snapshot_digest = DIGEST;
		s.root_disk = ((struct sandbox_root_disk){UPPER_TMPFS, 0, ""}));
}

TEST(absent_text_comes_back_as_default)
{
	struct sandbox_spec a;
	struct sandbox_spec b;
	struct buf json;

	sandbox_spec_init(&a);
	a.name = "x";
	a.home = "/h";
	a.lib_dir = "/l";
	buf_init(&json, LIMIT_JSON_BYTES);
	ASSERT_OK(sandbox_spec_to_json(&a, &json));
	ASSERT_OK(sandbox_spec_from_json((const char *)buf_data(&json), buf_len(&json), &b, NULL));
	ASSERT_STREQ(b.image_path, "");
	ASSERT_TRUE(!b.hostname);
	ASSERT_TRUE(b.env && !b.env[0]);
	ASSERT_TRUE(b.ephemeral);
	ASSERT_EQ(b.mem_mib, 512);
	ASSERT_EQ(b.stop_signal, 0);
	ASSERT_EQ(b.n_labels, 0);
	ASSERT_TRUE(!b.net.policy);
	sandbox_spec_deinit(&b);
	buf_deinit(&json);
}

/* Replaces the first @from in the JSON of a good spec by @to and reads it. */
static int read_changed(const char *from, const char *to)
{
	struct sandbox_spec a;
	struct sandbox_spec b;
	struct buf json;
	struct buf changed;
	const char *text;
	const char *at;
	int r;

	fill(&a);
	buf_init(&json, LIMIT_JSON_BYTES);
	buf_init(&changed, LIMIT_JSON_BYTES);
	ASSERT_OK(sandbox_spec_to_json(&a, &json));
	text = buf_cstr(&json);
	at = strstr(text, from);
	ASSERT_TRUE(at);
	ASSERT_OK(buf_printf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)));
	r = sandbox_spec_from_json((const char *)buf_data(&changed), buf_len(&changed), &b, NULL);
	if (r == 0)
		sandbox_spec_deinit(&b);
	buf_deinit(&json);
	buf_deinit(&changed);
	return r;
}

TEST(host_sockets_are_checked)
{
	ASSERT_OK(read_changed("\"port\":5000", "\"port\":5001"));
	ASSERT_ERR(read_changed("\"port\":5000", "\"port\":0"), EINVAL);
	ASSERT_ERR(read_changed("\"port\":5000", "\"port\":123"), EINVAL);
	ASSERT_ERR(read_changed("\"port\":5000", "\"port\":4294967295"), EINVAL);
	ASSERT_ERR(read_changed("\"port\":5000", "\"port\":4294967294"), EEXIST);
	ASSERT_ERR(read_changed("/run/a.sock", "run/a.sock"), EINVAL);
	ASSERT_ERR(read_changed("\"kind\":\"stream\"", "\"kind\":\"dgram\""), EINVAL);
	ASSERT_ERR(read_changed("{\"path\":\"/b\"", "{\"x\":\"/b\""), EINVAL);
}

TEST(reader_is_strict)
{
	ASSERT_OK(read_changed("\"vcpus\":3", "\"vcpus\":4"));
	ASSERT_ERR(read_changed("\"vcpus\":3", "\"vcpus\":0"), ERANGE);
	ASSERT_ERR(read_changed("\"vcpus\":3", "\"vcpus\":65"), ERANGE);
	ASSERT_ERR(read_changed("\"vcpus\":3", "\"vcpus\":\"3\""), EINVAL);
	ASSERT_ERR(read_changed("\"mem_mib\":777", "\"mem_mib\":63"), ERANGE);
	ASSERT_ERR(read_changed("\"mem_mib\":777", "\"mem_mib\":889"), ERANGE);
	ASSERT_ERR(read_changed("\"max_vcpus\":9", "\"max_vcpus\":0"), ERANGE);
	ASSERT_ERR(read_changed("\"max_vcpus\":9", "\"max_vcpus\":65"), ERANGE);
	ASSERT_ERR(read_changed("\"max_vcpus\":9", "\"max_vcpus\":1"), ERANGE);
	ASSERT_ERR(read_changed("\"vcpus\":3", "\"vcpus\":3,\"more\":1"), EINVAL);
	ASSERT_ERR(read_changed("\"version\":1", "\"version\":2"), EOPNOTSUPP);
	ASSERT_ERR(read_changed("\"qemu\"", "\"vmware\""), EINVAL);
	ASSERT_ERR(read_changed("\"name\":\"web-1\"", "\"name\":\"../x\""), EINVAL);
	ASSERT_ERR(read_changed("\"/srv/disk.img\"", "\"disk.img\""), EINVAL);
	ASSERT_ERR(read_changed("\"A=1\"", "\"A\""), EINVAL);
	ASSERT_ERR(read_changed("\"kind\":\"tmpfs\"", "\"kind\":\"disk\""), EINVAL);
	ASSERT_ERR(read_changed("\"kind\":\"tmpfs\"", "\"kind\":\"floppy\""), EINVAL);
	ASSERT_ERR(read_changed("\"kind\":\"disk\"", "\"kind\":\"oci\""), EINVAL);
	ASSERT_ERR(read_changed("\"soft\":100,\"hard\":null", "\"soft\":100,\"hard\":99"), EINVAL);
	ASSERT_ERR(read_changed("\"path\":\"/tmp\"", "\"path\":\"tmp\""), EINVAL);
	ASSERT_ERR(read_changed("\"hostname\":\"h\"", "\"hostname\":\"a b\""), EINVAL);
	ASSERT_OK(read_changed("\"stop_signal\":3", "\"stop_signal\":64"));
	ASSERT_ERR(read_changed("\"stop_signal\":3", "\"stop_signal\":65"), ERANGE);
	ASSERT_ERR(read_changed("\"stop_signal\":3", "\"stop_signal\":\"SIGINT\""), EINVAL);
	ASSERT_ERR(read_changed("\"org.x\":", "\"\":"), EINVAL);
	ASSERT_ERR(read_changed("\"empty\":\"\"", "\"empty\":1"), EINVAL);
	ASSERT_ERR(read_changed("\"max_connections\":77", "\"max_connections\":-1"), ERANGE);
	ASSERT_ERR(read_changed("\"max_connections\":77", "\"slots\":77"), EINVAL);
	ASSERT_ERR(read_changed("10.9.0.0/16", "10.9.0.0/31"), EINVAL);
	ASSERT_ERR(read_changed("\"strict\":false", "\"strict\":0"), EINVAL);
	ASSERT_ERR(read_changed("\"empty\":", "\"org.x\":"), EBADMSG);
}

TEST(labels_are_bounded)
{
	static char big[LIMIT_LABEL_BYTES];
	const struct sandbox_label one = {"a", big};
	struct sandbox_spec s;

	fill(&s);
	s.n_labels = LIMIT_LABELS + 1;
	ASSERT_ERR(sandbox_spec_check(&s, NULL), E2BIG);
	memset(big, 'x', sizeof(big) - 1);
	s.n_labels = 1;
	s.labels = &one;
	ASSERT_ERR(sandbox_spec_check(&s, NULL), E2BIG);
	big[sizeof(big) - 4] = '\0';
	ASSERT_OK(sandbox_spec_check(&s, NULL));
}

TEST(failures_of_memory_leave_nothing)
{
	struct sandbox_spec a;
	struct sandbox_spec b;
	struct buf json;

	fill(&a);
	buf_init(&json, LIMIT_JSON_BYTES);
	ASSERT_OK(sandbox_spec_to_json(&a, &json));
	FAULT_LOOP({
		if (sandbox_spec_from_json(
			    (const char *)buf_data(&json), buf_len(&json), &b, NULL) == 0)
			sandbox_spec_deinit(&b);
	});
	buf_deinit(&json);
}

TEST(names)
{
	char longest[LIMIT_SANDBOX_NAME + 2];

	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_SANDBOX_NAME + 1] = '\0';
	ASSERT_ERR(sandbox_name_check(longest, NULL), EINVAL);
	longest[LIMIT_SANDBOX_NAME] = '\0';
	ASSERT_OK(sandbox_name_check(longest, NULL));
	ASSERT_OK(sandbox_name_check("A", NULL));
	ASSERT_OK(sandbox_name_check("0.a_b-C", NULL));
	ASSERT_ERR(sandbox_name_check("", NULL), EINVAL);
	ASSERT_ERR(sandbox_name_check(".a", NULL), EINVAL);
	ASSERT_ERR(sandbox_name_check("-a", NULL), EINVAL);
	ASSERT_ERR(sandbox_name_check("a/b", NULL), EINVAL);
	ASSERT_ERR(sandbox_name_check("a b", NULL), EINVAL);
	ASSERT_ERR(sandbox_name_check("\xc3\xa4", NULL), EINVAL);
}

TEST(generated_names_are_valid_and_differ)
{
	char a[SANDBOX_NAME_GENERATED];
	char b[SANDBOX_NAME_GENERATED];

	ASSERT_OK(sandbox_name_generate(a));
	ASSERT_OK(sandbox_name_generate(b));
	ASSERT_OK(sandbox_name_check(a, NULL));
	ASSERT_EQ(strlen(a), 12);
	ASSERT_TRUE(!streq(a, b));
}

TEST(long_names_become_host_names_that_differ)
{
	char name[LIMIT_SANDBOX_NAME + 1];
	char a[LIMIT_HOSTNAME + 1];
	char b[LIMIT_HOSTNAME + 1];

	sandbox_hostname("short", a);
	ASSERT_STREQ(a, "short");
	memset(name, 'x', LIMIT_SANDBOX_NAME);
	name[LIMIT_SANDBOX_NAME] = '\0';
	sandbox_hostname(name, a);
	name[LIMIT_SANDBOX_NAME - 1] = 'y';
	sandbox_hostname(name, b);
	ASSERT_EQ(strlen(a), LIMIT_HOSTNAME);
	ASSERT_TRUE(!streq(a, b));
	ASSERT_EQ(strncmp(a, b, 56), 0);
}

TEST(scripts_are_checked)
{
	static const char *const names[] = {"", ".", "..", "a/b", ".x", "-x", "a b", "\xc3\xa4"};
	struct sandbox_script list[LIMIT_SCRIPTS + 1] = {{"a", ""}};
	cleanup_free char *big = malloc(LIMIT_SCRIPT_BYTES + 2);
	struct sandbox_spec s;
	struct msb_err err;

	fill(&s);
	s.scripts = list;
	s.n_scripts = 1;
	ASSERT_OK(sandbox_spec_check(&s, &err));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		list[0].name = names[i];
		ASSERT_ERR(sandbox_spec_check(&s, &err), EINVAL);
	}
	list[0] = (struct sandbox_script){"a", "\xff"};
	ASSERT_ERR(sandbox_spec_check(&s, &err), EILSEQ);
	ASSERT_TRUE(big);
	memset(big, 'x', LIMIT_SCRIPT_BYTES + 1);
	big[LIMIT_SCRIPT_BYTES + 1] = '\0';
	list[0].body = big;
	ASSERT_ERR(sandbox_spec_check(&s, &err), E2BIG);
	big[LIMIT_SCRIPT_BYTES] = '\0';
	ASSERT_OK(sandbox_spec_check(&s, &err));
	s.n_scripts = LIMIT_SCRIPTS + 1;
	ASSERT_ERR(sandbox_spec_check(&s, &err), E2BIG);
	s.n_scripts = 3;
	list[1] = list[2] = (struct sandbox_script){"b", big};
	ASSERT_ERR(sandbox_spec_check(&s, &err), E2BIG);
}
