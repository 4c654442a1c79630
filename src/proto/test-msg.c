/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message is encoded with smallest, ordinary and largest values and must come back equal;
 * every truncation of every encoded payload, and one byte too many, must be refused.
 */
#include "proto/msg.h"
#include "proto/wire.h"

#include "test.h"

static struct buf out;

/* A string of @n letters that lives until the test ends. */
static const char *letters(size_t n)
{
	static char pool[256 * 1024];
	static size_t used;
	char *s = pool + used;

	used += n + 1;
	ASSERT_TRUE(used <= sizeof(pool));
	memset(s, 'x', n);
	s[n] = '\0';
	return s;
}

static struct frame encoded(uint8_t type)
{
	struct frame f;

	ASSERT_OK(frame_decode(&out, &f));
	ASSERT_EQ(f.type, type);
	ASSERT_EQ(buf_len(&out), FRAME_HEADER + f.len);
	return f;
}

static void reset(void)
{
	buf_deinit(&out);
	buf_init(&out, LIMIT_CTRL_BACKLOG);
}

/*
 * Decodes what @put encoded into @ret, and refuses each truncation of it. The payload is copied to
 * an allocation of its exact size, so that a sanitizer sees the first byte read beyond it.
 */
#define CHECK(type, put, get, ret)                             \
	do {                                                   \
		struct frame f_;                               \
		uint8_t *copy_;                                \
		reset();                                       \
		ASSERT_OK(put);                                \
		f_ = encoded(type);                            \
		for (uint32_t n_ = 0; n_ < f_.len; n_++) {     \
			struct frame part_ = f_;               \
			copy_ = malloc(n_ + 1);                \
			ASSERT_TRUE(copy_);                    \
			memcpy(copy_ + 1, f_.payload, n_);     \
			part_.payload = copy_ + 1;             \
			part_.len = n_;                        \
			ASSERT_ERR(get(&part_, ret), EBADMSG); \
			free(copy_);                           \
		}                                              \
		ASSERT_OK(buf_append(&out, "", 1));            \
		f_.payload = buf_data(&out) + FRAME_HEADER;    \
		f_.len++;                                      \
		ASSERT_ERR(get(&f_, ret), EBADMSG);            \
		f_.len--;                                      \
		ASSERT_OK(get(&f_, ret));                      \
	} while (0)

#define REFUSED(put, e)                      \
	do {                                 \
		reset();                     \
		ASSERT_ERR(put, e);          \
		ASSERT_EQ(buf_len(&out), 0); \
	} while (0)

TEST(hello_and_ready)
{
	struct msg_hello h;
	struct msg_ready r;

	CHECK(FRAME_HELLO,
		msg_put_hello(
			&out, &(struct msg_hello){UINT32_MAX, UINT64_MAX, 1, letters(255), NULL}),
		msg_get_hello, &h);
	ASSERT_EQ(h.version, UINT32_MAX);
	ASSERT_TRUE(h.pid1_ns == UINT64_MAX);
	ASSERT_EQ(h.pid1_tsc, 1);
	ASSERT_EQ(strlen(h.agent_version), 255);
	ASSERT_STREQ(h.kernel_release, "");
	REFUSED(msg_put_hello(&out, &(struct msg_hello){.agent_version = letters(256)}), EINVAL);

	CHECK(FRAME_READY, msg_put_ready(&out, &(struct msg_ready){1, UINT64_MAX, UINT32_MAX, 3}),
		msg_get_ready, &r);
	ASSERT_EQ(r.ready_ns, 1);
	ASSERT_TRUE(r.ready_tsc == UINT64_MAX);
	ASSERT_EQ(r.cpus, UINT32_MAX);
	ASSERT_EQ(r.mem_total_kib, 3);
	reset();
}

TEST(failure)
{
	struct msg_failure m;

	CHECK(FRAME_FAILED,
		msg_put_failed(&out, 5,
			&(struct msg_failure){STAGE_COUNT - 1, ENOENT, letters(MSG_TEXT_MAX)}),
		msg_get_failure, &m);
	ASSERT_EQ(m.stage, STAGE_COUNT - 1);
	ASSERT_EQ(m.errno_, ENOENT);
	ASSERT_EQ(strlen(m.what), MSG_TEXT_MAX);
	CHECK(FRAME_BOOT_FAILED, msg_put_boot_failed(&out, &(struct msg_failure){}),
		msg_get_failure, &m);
	ASSERT_EQ(m.stage, STAGE_REQUEST);
	REFUSED(msg_put_failed(&out, 5, &(struct msg_failure){.stage = STAGE_COUNT}), EINVAL);
	reset();
}

TEST(stages_have_names)
{
	for (uint32_t i = 0; i < STAGE_COUNT; i++)
		ASSERT_TRUE(strlen(msg_stage_name(i)) > 1);
	ASSERT_STREQ(msg_stage_name(STAGE_COUNT), "?");
	ASSERT_STREQ(msg_stage_name(UINT32_MAX), "?");
}

static struct msg_config full_config(void)
{
	struct msg_config m = {
		.version = PROTO_VERSION,
		.real_ns = UINT64_MAX,
		.root_kind = ROOT_DISK,
		.root_fstype = "ext4",
		.upper_bytes = 4 * GIB,
		.hostname = letters(LIMIT_HOSTNAME),
		.user = letters(LIMIT_USER),
		.cwd = "/work",
		.n_tmpfs = LIMIT_MOUNTS,
		.n_rlimits = LIMIT_RLIMITS,
		.n_shares = LIMIT_SHARES,
		.net = {.mtu = 65520,
			.ip4 = 0xac100002,
			.gateway4 = 0xac100001,
			.prefix4 = 30,
			.ip6 = {UINT64_MAX, 2},
			.gateway6 = {UINT64_MAX, 1},
			.prefix6 = 64},
		.restricted = 1,
		.init = "/sbin/init",
		.ca = "-----BEGIN CERTIFICATE-----\n",
	};

	for (uint32_t i = 0; i < LIMIT_MOUNTS; i++)
		m.tmpfs[i] = (struct msg_tmpfs){letters(10 + i), i, i % 2 ? NULL : "mode=0700"};
	for (uint32_t i = 0; i < LIMIT_RLIMITS; i++)
		m.rlimits[i] = (struct msg_rlimit){i, i, UINT64_MAX};
	for (uint32_t i = 0; i < LIMIT_SHARES; i++)
		m.shares[i] = (struct msg_share){"tag", "/path", i % 2 ? "file" : NULL, "ro"};
	return m;
}

TEST(config_round_trip)
{
	const char *const env[] = {"A=1", "B=", "C= =x", NULL};
	const char *const args[] = {"", "--flag=x", NULL};
	const char *const init_env[] = {"D=4", NULL};
	const struct msg_config_lists lists = {env, args, init_env};
	struct msg_config m = full_config();
	struct msg_config got;
	const char *s;
	unsigned int n = 0;

	CHECK(FRAME_CONFIG, msg_put_config(&out, &m, &lists), msg_get_config, &got);
	ASSERT_EQ(got.version, PROTO_VERSION);
	ASSERT_TRUE(got.real_ns == UINT64_MAX);
	ASSERT_EQ(got.root_kind, ROOT_DISK);
	ASSERT_EQ(got.restricted, 1);
	ASSERT_STREQ(got.init, "/sbin/init");
	ASSERT_STREQ(got.ca, m.ca);
	ASSERT_STREQ(got.root_fstype, "ext4");
	ASSERT_EQ(got.upper_bytes, 4 * GIB);
	ASSERT_STREQ(got.hostname, m.hostname);
	ASSERT_STREQ(got.user, m.user);
	ASSERT_STREQ(got.cwd, "/work");
	ASSERT_EQ(got.env.count, 3);
	while ((s = msg_strv_next(&got.env)))
		ASSERT_STREQ(s, env[n++]);
	ASSERT_EQ(n, 3);
	ASSERT_EQ(got.init_args.count, 2);
	ASSERT_STREQ(msg_strv_next(&got.init_args), "");
	ASSERT_STREQ(msg_strv_next(&got.init_args), "--flag=x");
	ASSERT_EQ(got.init_env.count, 1);
	ASSERT_STREQ(msg_strv_next(&got.init_env), "D=4");
	ASSERT_EQ(got.n_tmpfs, LIMIT_MOUNTS);
	for (uint32_t i = 0; i < LIMIT_MOUNTS; i++) {
		ASSERT_STREQ(got.tmpfs[i].path, m.tmpfs[i].path);
		ASSERT_EQ(got.tmpfs[i].size_bytes, i);
		ASSERT_STREQ(got.tmpfs[i].options, i % 2 ? "" : "mode=0700");
	}
	ASSERT_EQ(got.n_rlimits, LIMIT_RLIMITS);
	for (uint32_t i = 0; i < LIMIT_RLIMITS; i++) {
		ASSERT_EQ(got.rlimits[i].resource, i);
		ASSERT_EQ(got.rlimits[i].soft, i);
		ASSERT_TRUE(got.rlimits[i].hard == UINT64_MAX);
	}
	ASSERT_EQ(got.n_shares, LIMIT_SHARES);
	ASSERT_MEMEQ(&got.net, &m.net, offsetof(struct msg_net, prefix6));
	ASSERT_EQ(got.net.prefix6, 64);
	for (uint32_t i = 0; i < LIMIT_SHARES; i++) {
		ASSERT_STREQ(got.shares[i].tag, "tag");
		ASSERT_STREQ(got.shares[i].path, "/path");
		ASSERT_STREQ(got.shares[i].only, i % 2 ? "file" : "");
		ASSERT_STREQ(got.shares[i].options, "ro");
	}
	CHECK(FRAME_CONFIG,
		msg_put_config(&out, &(struct msg_config){}, &(struct msg_config_lists){}),
		msg_get_config, &got);
	ASSERT_EQ(got.env.count, 0);
	ASSERT_TRUE(msg_strv_next(&got.env) == NULL);
	reset();
}

TEST(config_caps)
{
	struct msg_config m = full_config();
	const char *const no_value[] = {"PATH", NULL};
	const char *const no_name[] = {"=x", NULL};

	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){.env = no_value}), EINVAL);
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){.env = no_name}), EINVAL);
	m.n_tmpfs = LIMIT_MOUNTS + 1;
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){}), E2BIG);
	m = full_config();
	m.n_rlimits = LIMIT_RLIMITS + 1;
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){}), E2BIG);
	m = full_config();
	m.rlimits[3] = (struct msg_rlimit){3, 2, 1};
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){}), EINVAL);
	m = full_config();
	m.n_shares = LIMIT_SHARES + 1;
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){}), E2BIG);
	m = full_config();
	m.hostname = letters(LIMIT_HOSTNAME + 1);
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){}), EINVAL);
	m = full_config();
	m.root_kind = ROOT_FLAT + 1;
	REFUSED(msg_put_config(&out, &m, &(struct msg_config_lists){}), EINVAL);
	reset();
}

TEST(exec_round_trip)
{
	const char *const argv[] = {"sh", "-c", "", letters(40000), NULL};
	const char *const env[] = {"PATH=/bin", NULL};
	struct msg_exec m = {.flags = EXEC_PTY | EXEC_STDIN,
		.rows = UINT16_MAX,
		.cols = 1,
		.user = "a:b",
		.cwd = letters(LIMIT_PATH - 1),
		.n_rlimits = 1,
		.rlimits = {{7, 0, UINT64_MAX}}};
	struct msg_exec got;

	/* Truncations of a long message take long: once with a short list. */
	CHECK(FRAME_EXEC, msg_put_exec(&out, 3, &m, env, env), msg_get_exec, &got);
	reset();
	ASSERT_OK(msg_put_exec(&out, 3, &m, argv, env));
	ASSERT_OK(msg_get_exec(&(struct frame){.payload = buf_data(&out) + FRAME_HEADER,
				       .len = (uint32_t)buf_len(&out) - FRAME_HEADER},
		&got));
	ASSERT_EQ(got.flags, EXEC_PTY | EXEC_STDIN);
	ASSERT_EQ(got.rows, UINT16_MAX);
	ASSERT_EQ(got.cols, 1);
	ASSERT_STREQ(got.user, "a:b");
	ASSERT_STREQ(got.cwd, m.cwd);
	ASSERT_EQ(got.argv.count, 4);
	for (int i = 0; i < 4; i++)
		ASSERT_STREQ(msg_strv_next(&got.argv), argv[i]);
	ASSERT_TRUE(msg_strv_next(&got.argv) == NULL);
	ASSERT_STREQ(msg_strv_next(&got.env), "PATH=/bin");
	ASSERT_EQ(got.n_rlimits, 1);
	ASSERT_EQ(got.rlimits[0].resource, 7);
	reset();
}

TEST(exec_caps)
{
	const char *many[LIMIT_ARGV + 2] = {};
	const char *const none[] = {NULL};
	const char *const one[] = {"x", NULL};
	const char *big[] = {letters(LIMIT_EXEC_BYTES - 5), NULL};
	const char *const env[] = {"A=1", NULL};
	struct msg_exec m = {};
	struct msg_exec got;

	REFUSED(msg_put_exec(&out, 1, &m, none, NULL), EINVAL);
	REFUSED(msg_put_exec(&out, 1, &m, NULL, NULL), EINVAL);
	m.flags = (EXEC_PTY | EXEC_STDIN) + 1;
	REFUSED(msg_put_exec(&out, 1, &m, one, NULL), EINVAL);
	m.flags = 0;

	for (unsigned int i = 0; i < LIMIT_ARGV; i++)
		many[i] = "";
	reset();
	ASSERT_OK(msg_put_exec(&out, 1, &m, many, NULL));
	ASSERT_OK(msg_get_exec(&(struct frame){.payload = buf_data(&out) + FRAME_HEADER,
				       .len = (uint32_t)buf_len(&out) - FRAME_HEADER},
		&got));
	ASSERT_EQ(got.argv.count, LIMIT_ARGV);
	many[LIMIT_ARGV] = "";
	REFUSED(msg_put_exec(&out, 1, &m, many, NULL), E2BIG);

	/* argv and env share the byte budget: exactly full, then one too many. */
	reset();
	ASSERT_OK(msg_put_exec(&out, 1, &m, big, env));
	big[0] = letters(LIMIT_EXEC_BYTES - 4);
	REFUSED(msg_put_exec(&out, 1, &m, big, env), E2BIG);
	reset();
}

/* What only a hostile encoder makes: the decoder's own limits. */
TEST(decoder_limits)
{
	struct msg_exec exec;
	struct msg_config config;
	struct wire_out w;
	struct frame f;

	reset();
	wire_out_init(&w, &out);
	wire_put_u32(&w, 0);
	wire_put_u16(&w, 0);
	wire_put_u16(&w, 0);
	wire_put_str(&w, "");
	wire_put_str(&w, "");
	wire_put_u32(&w, LIMIT_ARGV + 1);
	for (unsigned int i = 0; i <= LIMIT_ARGV; i++)
		wire_put_str(&w, "");
	wire_put_u32(&w, 0);
	wire_put_u32(&w, 0);
	ASSERT_OK(w.error);
	f = (struct frame){.payload = buf_data(&out), .len = (uint32_t)buf_len(&out)};
	ASSERT_ERR(msg_get_exec(&f, &exec), EBADMSG);

	/* A count without the elements, and no argv at all. */
	f = (struct frame){.payload = (const uint8_t *)"\0\0\0\0\0\0\0\0"
						       "\0\0\0\0\0\0\0\0\0\0"
						       "\0\4\0\0",
		.len = 22};
	ASSERT_ERR(msg_get_exec(&f, &exec), EBADMSG);
	f = (struct frame){.payload = (const uint8_t *)"\0\0\0\0\0\0\0\0"
						       "\0\0\0\0\0\0\0\0\0\0"
						       "\0\0\0\0\0\0\0\0\0\0\0\0",
		.len = 30};
	ASSERT_ERR(msg_get_exec(&f, &exec), EBADMSG);
	f.len = 0;
	ASSERT_ERR(msg_get_config(&f, &config), EBADMSG);
	reset();
}

TEST(small_messages)
{
	struct msg_clock c;
	struct msg_shutdown s;
	struct msg_resize z;
	struct msg_exited e;
	uint32_t v;

	CHECK(FRAME_CLOCK, msg_put_clock(&out, &(struct msg_clock){UINT64_MAX}), msg_get_clock, &c);
	ASSERT_TRUE(c.real_ns == UINT64_MAX);
	CHECK(FRAME_SHUTDOWN,
		msg_put_shutdown(&out, FRAME_SHUTDOWN, &(struct msg_shutdown){UINT32_MAX}),
		msg_get_shutdown, &s);
	ASSERT_EQ(s.grace_ms, UINT32_MAX);
	CHECK(FRAME_SB_STOP, msg_put_shutdown(&out, FRAME_SB_STOP, &(struct msg_shutdown){0}),
		msg_get_shutdown, &s);
	ASSERT_EQ(s.grace_ms, 0);
	CHECK(FRAME_RESIZE, msg_put_resize(&out, 1, &(struct msg_resize){0, UINT16_MAX}),
		msg_get_resize, &z);
	ASSERT_EQ(z.rows, 0);
	ASSERT_EQ(z.cols, UINT16_MAX);
	CHECK(FRAME_EXITED, msg_put_exited(&out, 1, &(struct msg_exited){255, 127}), msg_get_exited,
		&e);
	ASSERT_EQ(e.code, 255);
	ASSERT_EQ(e.signal, 127);
	REFUSED(msg_put_exited(&out, 1, &(struct msg_exited){256, 0}), EINVAL);
	CHECK(FRAME_CREDIT, msg_put_u32(&out, FRAME_CREDIT, 1, UINT32_MAX), msg_get_u32, &v);
	ASSERT_EQ(v, UINT32_MAX);
	CHECK(FRAME_BYE, msg_put_u32(&out, FRAME_BYE, 0, 15), msg_get_u32, &v);
	ASSERT_EQ(v, 15);
	CHECK(FRAME_FREEZE, msg_put_u32(&out, FRAME_FREEZE, 1, 1000), msg_get_u32, &v);
	ASSERT_EQ(v, 1000);
	CHECK(FRAME_THAWED, msg_put_u32(&out, FRAME_THAWED, 1, 110), msg_get_u32, &v);
	ASSERT_EQ(v, 110);
	reset();
}

static const struct msg_stat full_stat = {UINT64_MAX, 1, 2, UINT32_MAX, 3, 4, 5, 6, INT64_MIN, 7};

static void assert_stat(const struct msg_stat *st)
{
	ASSERT_TRUE(st->ino == UINT64_MAX);
	ASSERT_EQ(st->size, 1);
	ASSERT_EQ(st->blocks, 2);
	ASSERT_EQ(st->mode, UINT32_MAX);
	ASSERT_EQ(st->nlink, 3);
	ASSERT_EQ(st->uid, 4);
	ASSERT_EQ(st->gid, 5);
	ASSERT_EQ(st->rdev, 6);
	ASSERT_EQ(st->mtime_s, INT64_MIN);
	ASSERT_EQ(st->mtime_ns, 7);
}

TEST(fs)
{
	struct msg_fs m = {.op = FS_RENAME,
		.flags = 0xff,
		.mode = 07777,
		.uid = UINT32_MAX,
		.gid = 1,
		.offset = 2,
		.length = UINT64_MAX,
		.path = letters(LIMIT_PATH - 1),
		.path2 = "b"};
	struct msg_fs_done got_done;
	struct msg_fs_done done;
	struct msg_fs got;
	struct frame f;

	CHECK(FRAME_FS, msg_put_fs(&out, 9, &m), msg_get_fs, &got);
	ASSERT_EQ(got.op, FS_RENAME);
	ASSERT_EQ(got.flags, 0xff);
	ASSERT_EQ(got.mode, 07777);
	ASSERT_EQ(got.uid, UINT32_MAX);
	ASSERT_EQ(got.gid, 1);
	ASSERT_EQ(got.offset, 2);
	ASSERT_TRUE(got.length == UINT64_MAX);
	ASSERT_STREQ(got.path, m.path);
	ASSERT_STREQ(got.path2, "b");
	m.op = FS_OP_END;
	REFUSED(msg_put_fs(&out, 9, &m), EINVAL);
	m.op = FS_STAT;
	m.flags = 0x400;
	REFUSED(msg_put_fs(&out, 9, &m), EINVAL);
	m.flags = 0;
	m.path = letters(LIMIT_PATH);
	REFUSED(msg_put_fs(&out, 9, &m), EINVAL);

	CHECK(FRAME_FS_DONE,
		msg_put_fs_done(
			&out, 9, &(struct msg_fs_done){EIO, UINT64_MAX, full_stat, false, 0}),
		msg_get_fs_done, &done);
	ASSERT_EQ(done.errno_, EIO);
	ASSERT_TRUE(done.bytes == UINT64_MAX);
	assert_stat(&done.st);
	ASSERT_TRUE(!done.summed);
	/* Without its end this is the message of who asked for no checksum. */
	reset();
	ASSERT_OK(
		msg_put_fs_done(&out, 9, &(struct msg_fs_done){0, 1, full_stat, true, UINT64_MAX}));
	ASSERT_OK(frame_decode(&out, &f));
	ASSERT_OK(msg_get_fs_done(&f, &done));
	for (uint32_t n = 1; n < 8; n++) {
		struct frame cut = f;

		cut.len -= n;
		ASSERT_ERR(msg_get_fs_done(&cut, &got_done), EBADMSG);
	}
	assert_stat(&done.st);
	ASSERT_TRUE(done.summed && done.sum == UINT64_MAX);
	reset();
}

TEST(directory_entries_follow_each_other)
{
	struct msg_dirent e = {full_stat, letters(255), letters(LIMIT_PATH)};
	struct msg_dirent got;
	struct wire_in in;
	size_t one;

	reset();
	ASSERT_OK(msg_put_dirent(&out, &e));
	one = buf_len(&out);
	ASSERT_OK(msg_put_dirent(&out, &(struct msg_dirent){.name = "b"}));
	wire_in_init(&in, buf_data(&out), buf_len(&out));
	ASSERT_OK(msg_get_dirent(&in, &got));
	assert_stat(&got.st);
	ASSERT_STREQ(got.name, e.name);
	ASSERT_STREQ(got.target, e.target);
	ASSERT_OK(msg_get_dirent(&in, &got));
	ASSERT_STREQ(got.name, "b");
	ASSERT_STREQ(got.target, "");
	ASSERT_OK(wire_end(&in));
	for (size_t n = 0; n < one; n++) {
		wire_in_init(&in, buf_data(&out), n);
		ASSERT_ERR(msg_get_dirent(&in, &got), EBADMSG);
	}
	e.name = letters(256);
	reset();
	ASSERT_OK(msg_put_dirent(&out, &(struct msg_dirent){.name = "b"}));
	one = buf_len(&out);
	ASSERT_ERR(msg_put_dirent(&out, &e), EINVAL);
	ASSERT_EQ(buf_len(&out), one);
	reset();
}

TEST(metrics)
{
	struct msg_metrics m;
	struct msg_metrics got;

	memset(&m, 0x5a, sizeof(m));
	m.execs = 7;
	memset(&got, 0, sizeof(got));
	CHECK(FRAME_METRICS_DONE, msg_put_metrics(&out, 2, &m), msg_get_metrics, &got);
	/* No padding and no pointer inside: every byte must have travelled. */
	_Static_assert(sizeof(m) == 13 * 8 + 2 * 4, "a field was added without a test");
	ASSERT_MEMEQ(&m, &got, sizeof(m));
	reset();
}

TEST(supervisor_messages)
{
	struct msg_sb_ready ready = {.engine = "kvm", .kernel_release = "6.12.1"};
	struct msg_sb_ready got_ready;
	struct msg_sb_failed failed;
	struct msg_sb_stopped stopped;

	memset(&ready.timing, 0xa5, sizeof(ready.timing));
	ready.timing.hello_ns = 11;
	CHECK(FRAME_SB_READY, msg_put_sb_ready(&out, &ready), msg_get_sb_ready, &got_ready);
	ASSERT_STREQ(got_ready.engine, "kvm");
	ASSERT_STREQ(got_ready.kernel_release, "6.12.1");
	ASSERT_MEMEQ(&ready.timing, &got_ready.timing, sizeof(ready.timing));

	/* The largest report fits its frame. */
	CHECK(FRAME_SB_FAILED,
		msg_put_sb_failed(&out, &(struct msg_sb_failed){1, 2, "m", "h", "c"}),
		msg_get_sb_failed, &failed);
	reset();
	ASSERT_OK(msg_put_sb_failed(
		&out, &(struct msg_sb_failed){UINT32_MAX, 1, letters(MSG_TEXT_MAX),
			      letters(MSG_TEXT_MAX), letters(MSG_CONSOLE_MAX)}));
	ASSERT_OK(msg_get_sb_failed(&(struct frame){.payload = buf_data(&out) + FRAME_HEADER,
					    .len = (uint32_t)buf_len(&out) - FRAME_HEADER},
		&failed));
	ASSERT_EQ(strlen(failed.console), MSG_CONSOLE_MAX);

	CHECK(FRAME_SB_STOPPED,
		msg_put_sb_stopped(&out, &(struct msg_sb_stopped){STOP_FAILED, "why"}),
		msg_get_sb_stopped, &stopped);
	ASSERT_EQ(stopped.reason, STOP_FAILED);
	ASSERT_STREQ(stopped.detail, "why");
	REFUSED(msg_put_sb_stopped(&out, &(struct msg_sb_stopped){STOP_COMPLETED + 1, ""}), EINVAL);
	reset();
}

TEST(encoders_fail_whole)
{
	struct msg_config m = full_config();
	const char *const env[] = {"A=1", NULL};

	/* At every possible size of the buffer, and with every allocation failing. */
	for (size_t max = 0; max < 6000; max++) {
		int r;

		buf_deinit(&out);
		buf_init(&out, max);
		r = msg_put_config(&out, &m, &(struct msg_config_lists){.env = env});
		ASSERT_TRUE(r == 0 || r == -ENOBUFS);
		ASSERT_TRUE((r == 0) == (buf_len(&out) > 0));
	}
	ASSERT_TRUE(buf_len(&out) > 0);
	FAULT_LOOP({
		int r;

		reset();
		r = msg_put_config(&out, &m, &(struct msg_config_lists){.env = env});
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		ASSERT_TRUE((r == 0) == (buf_len(&out) > 0));
	});
	buf_deinit(&out);
}
