/* SPDX-License-Identifier: Apache-2.0 */
/* FS operations against a real agent process, below a directory of the test. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/checksum.h"
#include "base/io.h"

#include "proto/wire.h"

#include "test-peer.h"
#include "test.h"

/* A path below the test's directory; four of them at a time. */
static const char *at(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, PATH_MAX, "%s/%s", test_tmpdir(), name);
	return path;
}

static void put_file(const char *name, const void *data, size_t n)
{
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, at(name), data, n, 0644, false));
}

static void simple(
	struct peer *p, uint32_t op, uint32_t flags, const char *path, const char *path2, int error)
{
	struct result r;

	peer_fs(p,
		&(struct msg_fs){
			.op = op, .flags = flags, .mode = 0750, .path = path, .path2 = path2},
		&r);
	ASSERT_EQ(r.last, FRAME_FS_DONE);
	ASSERT_EQ(r.fs.errno_, error);
	result_deinit(&r);
}

static const char *write_file(
	struct peer *p, const struct msg_fs *m, const void *data, size_t n, struct result *r)
{
	result_init(r);
	ASSERT_OK(msg_put_fs(&p->out, 1, m));
	peer_data(p, 1, data, n, true);
	peer_result(p, 1, r);
	return m->path;
}

TEST(stat_follows_links_only_when_asked)
{
	struct result r;
	struct stat st;
	struct peer p;

	peer_serve(&p);
	put_file("f", "12345", 5);
	ASSERT_OK(symlink("f", at("l")));
	ASSERT_OK(lstat(at("f"), &st));
	peer_fs(&p, &(struct msg_fs){.op = FS_STAT, .path = at("l")}, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.st.mode, st.st_mode);
	ASSERT_EQ(r.fs.st.size, 5);
	ASSERT_EQ(r.fs.st.ino, st.st_ino);
	ASSERT_EQ(r.fs.st.mtime_s, st.st_mtim.tv_sec);
	ASSERT_EQ(r.fs.st.mtime_ns, st.st_mtim.tv_nsec);
	result_deinit(&r);
	peer_fs(&p, &(struct msg_fs){.op = FS_STAT, .flags = FS_NOFOLLOW, .path = at("l")}, &r);
	ASSERT_TRUE(S_ISLNK(r.fs.st.mode));
	result_deinit(&r);
	simple(&p, FS_STAT, 0, at("nothing"), "", ENOENT);
	simple(&p, FS_STAT, 0, "relative", "", EINVAL);
	simple(&p, FS_STAT, 0, "", "", EINVAL);
	peer_stop(&p, 0);
}

TEST(large_file_there_and_back)
{
	enum { TOTAL = 3 * 1024 * 1024 + 7 };
	cleanup_free uint8_t *data = malloc(TOTAL);
	struct credit_tx tx;
	size_t sent = 0;
	struct result r;
	struct frame f;
	struct peer p;

	ASSERT_TRUE(data);
	for (size_t i = 0; i < TOTAL; i++)
		data[i] = (uint8_t)((i * 2654435761u) >> 11);
	peer_serve(&p);
	result_init(&r);
	credit_tx_init(&tx);
	ASSERT_OK(msg_put_fs(
		&p.out, 4, &(struct msg_fs){.op = FS_WRITE, .mode = 0640, .path = at("big")}));
	while (!r.done) {
		size_t n = MIN((size_t)tx.avail, (size_t)LIMIT_FRAME_PAYLOAD);

		n = MIN(n, TOTAL - sent);
		if (n) {
			credit_tx_take(&tx, n);
			sent += n;
			peer_data(&p, 4, data + sent - n, n, sent == TOTAL);
			continue;
		}
		ASSERT_TRUE(peer_next(&p, &f));
		if (f.type == FRAME_CREDIT) {
			uint32_t back;

			ASSERT_OK(msg_get_u32(&f, &back));
			ASSERT_OK(credit_tx_return(&tx, back));
		}
		result_take(&r, &p, &f);
	}
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.bytes, TOTAL);
	ASSERT_EQ(r.fs.st.size, TOTAL);
	ASSERT_EQ(r.fs.st.mode & 07777, 0640);
	result_deinit(&r);

	peer_fs(&p, &(struct msg_fs){.op = FS_READ, .length = UINT64_MAX, .path = at("big")}, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.bytes, TOTAL);
	ASSERT_TRUE(r.eof[0]);
	ASSERT_EQ(buf_len(&r.out[0]), TOTAL);
	ASSERT_MEMEQ(buf_data(&r.out[0]), data, TOTAL);
	result_deinit(&r);
	peer_stop(&p, 0);
}

TEST(read_ranges_and_refusals)
{
	struct result r;
	struct peer p;

	peer_serve(&p);
	put_file("f", "0123456789", 10);
	peer_fs(&p, &(struct msg_fs){.op = FS_READ, .offset = 3, .length = 4, .path = at("f")}, &r);
	ASSERT_STREQ(result_text(&r, 0), "3456");
	ASSERT_EQ(r.fs.bytes, 4);
	result_deinit(&r);
	peer_fs(&p, &(struct msg_fs){.op = FS_READ, .offset = 100, .length = 4, .path = at("f")},
		&r);
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(buf_len(&r.out[0]), 0);
	ASSERT_TRUE(r.eof[0]);
	result_deinit(&r);
	peer_fs(&p, &(struct msg_fs){.op = FS_READ, .offset = UINT64_MAX, .path = at("f")}, &r);
	ASSERT_EQ(r.fs.errno_, EINVAL);
	result_deinit(&r);
	simple(&p, FS_READ, 0, at("nothing"), "", ENOENT);
	simple(&p, FS_READ, 0, test_tmpdir(), "", EISDIR);
	ASSERT_OK(symlink("f", at("l")));
	simple(&p, FS_READ, FS_NOFOLLOW, at("l"), "", ELOOP);
	/* What could block is refused at once. */
	ASSERT_OK(mkfifo(at("fifo"), 0600));
	simple(&p, FS_READ, 0, at("fifo"), "", EOPNOTSUPP);
	simple(&p, FS_WRITE, 0, at("fifo"), "", ENXIO);
	simple(&p, FS_READ, 0, "/dev/zero", "", EOPNOTSUPP);
	simple(&p, FS_WRITE, 0, "/dev/null", "", EOPNOTSUPP);
	peer_stop(&p, 0);
}

static void file_is(const char *name, const char *text)
{
	cleanup_free char *got = NULL;

	ASSERT_OK(io_read_file(AT_FDCWD, at(name), 1000, &got, NULL));
	ASSERT_STREQ(got, text);
}

TEST(write_modes)
{
	struct msg_fs m = {.op = FS_WRITE, .mode = 0600, .path = at("w")};
	struct result r;
	struct peer p;

	peer_serve(&p);
	write_file(&p, &m, "hello world", 11, &r);
	result_deinit(&r);
	file_is("w", "hello world");
	/* From the start it truncates, from an offset it does not. */
	m.path = at("w");
	write_file(&p, &m, "HELLO", 5, &r);
	result_deinit(&r);
	file_is("w", "HELLO");
	m.offset = 2;
	write_file(&p, &m, "__", 2, &r);
	result_deinit(&r);
	file_is("w", "HE__O");
	m.flags = FS_APPEND;
	write_file(&p, &m, "x", 1, &r);
	ASSERT_EQ(r.fs.errno_, EINVAL);
	result_deinit(&r);
	m.offset = 0;
	write_file(&p, &m, "!", 1, &r);
	result_deinit(&r);
	file_is("w", "HE__O!");
	m.flags = FS_EXCL;
	write_file(&p, &m, "x", 1, &r);
	ASSERT_EQ(r.fs.errno_, EEXIST);
	result_deinit(&r);
	/* Empty. */
	m.flags = 0;
	write_file(&p, &m, "", 0, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.bytes, 0);
	result_deinit(&r);
	file_is("w", "");
	if (geteuid() == 0) {
		m = (struct msg_fs){.op = FS_WRITE,
			.flags = FS_SET_OWNER,
			.mode = 04711,
			.uid = 1234,
			.gid = 4321,
			.path = at("owned")};
		write_file(&p, &m, "x", 1, &r);
		ASSERT_EQ(r.fs.st.uid, 1234);
		ASSERT_EQ(r.fs.st.gid, 4321);
		ASSERT_EQ(r.fs.st.mode & 07777, 04711);
		result_deinit(&r);
	}
	peer_stop(&p, 0);
}

static void survive_file_limit(void)
{
	(void)signal(SIGXFSZ, SIG_IGN);
}

TEST(write_reports_a_full_disk)
{
	static const char zeros[65536];
	struct result r;
	struct frame f;
	struct peer p;

	peer_start(&p, survive_file_limit);
	peer_config(&p);
	/* A file size limit stands for the disk. */
	ASSERT_OK(prlimit(p.pid, RLIMIT_FSIZE, &(struct rlimit){100000, 100000}, NULL));
	result_init(&r);
	ASSERT_OK(msg_put_fs(
		&p.out, 1, &(struct msg_fs){.op = FS_WRITE, .mode = 0600, .path = at("w")}));
	peer_data(&p, 1, zeros, sizeof(zeros), false);
	peer_data(&p, 1, zeros, sizeof(zeros), false);
	peer_result(&p, 1, &r);
	ASSERT_EQ(r.fs.errno_, EFBIG);
	result_deinit(&r);
	/* What was still on its way finds no stream. */
	peer_data(&p, 1, zeros, 10, true);
	ASSERT_OK(frame_put(&p.out, FRAME_PING, 0, 1, "x", 1));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_PONG);
	peer_stop(&p, 0);
}

TEST(cancelled_transfers_end)
{
	static const char zeros[65536];
	struct result r;
	struct frame f;
	struct peer p;

	peer_serve(&p);
	for (int i = 0; i < 8; i++)
		put_file(i % 2 ? "odd" : "even", zeros, sizeof(zeros));
	result_init(&r);
	ASSERT_OK(msg_put_fs(&p.out, 1, &(struct msg_fs){.op = FS_WRITE, .path = at("w")}));
	ASSERT_OK(frame_put(&p.out, FRAME_CANCEL, 0, 1, NULL, 0));
	peer_flush(&p);
	peer_result(&p, 1, &r);
	ASSERT_EQ(r.fs.errno_, ECANCELED);
	result_deinit(&r);

	/* A reader that stalls: one window came, then nothing until CANCEL. */
	ASSERT_OK(truncate(at("even"), 10 * (off_t)LIMIT_STREAM_WINDOW));
	result_init(&r);
	r.no_credit = true;
	ASSERT_OK(msg_put_fs(&p.out, 1,
		&(struct msg_fs){.op = FS_READ, .length = UINT64_MAX, .path = at("even")}));
	peer_flush(&p);
	while (buf_len(&r.out[0]) < LIMIT_STREAM_WINDOW) {
		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_OK(frame_put(&p.out, FRAME_PING, 0, 2, "x", 1));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_PONG);
	ASSERT_OK(frame_put(&p.out, FRAME_CANCEL, 0, 1, NULL, 0));
	peer_flush(&p);
	peer_result(&p, 1, &r);
	ASSERT_EQ(r.fs.errno_, ECANCELED);
	ASSERT_EQ(r.fs.bytes, LIMIT_STREAM_WINDOW);
	result_deinit(&r);
	peer_stop(&p, 0);
}

/* Files, because the speed of processes is the scheduler's business. */
TEST(busy_streams_share_the_channel)
{
	enum { N = 50, TOTAL = 50 * 1024 * 1024 };
	static struct result r[N];
	size_t got[N] = {};
	size_t sum = 0;
	struct frame f;
	struct peer p;

	peer_serve(&p);
	put_file("f", "", 0);
	ASSERT_OK(truncate(at("f"), TOTAL));
	for (uint32_t i = 0; i < N; i++) {
		result_init(&r[i]);
		ASSERT_OK(msg_put_fs(&p.out, i + 1,
			&(struct msg_fs){.op = FS_READ, .length = UINT64_MAX, .path = at("f")}));
	}
	peer_flush(&p);
	/* A client that always returns credit: only the channel itself is short. */
	while (sum < TOTAL) {
		struct result *to;

		ASSERT_TRUE(peer_next(&p, &f));
		to = &r[f.stream - 1];
		result_take(to, &p, &f);
		sum += buf_len(&to->out[0]);
		got[f.stream - 1] += buf_len(&to->out[0]);
		buf_consume(&to->out[0], buf_len(&to->out[0]));
	}
	for (uint32_t i = 0; i < N; i++) {
		ASSERT_TRUE(got[i] + LIMIT_STREAM_WINDOW >= TOTAL / N);
		ASSERT_TRUE(got[i] <= TOTAL / N + LIMIT_STREAM_WINDOW);
		result_deinit(&r[i]);
	}
	peer_stop(&p, 0);
}

TEST(list_streams_every_entry_once)
{
	enum { N = 1500 };
	static bool seen[N];
	struct msg_dirent e;
	struct wire_in in;
	struct result r;
	struct peer p;
	unsigned int links = 0;
	unsigned int n = 0;

	peer_serve(&p);
	ASSERT_OK(mkdir(at("d"), 0755));
	/* Long names: several windows of entries. */
	for (int i = 0; i < N; i++) {
		char name[320];

		(void)snprintf(name, sizeof(name), "d/%0200d", i);
		if (i % 100 == 0)
			ASSERT_OK(symlink("target", at(name)));
		else
			put_file(name, "", 0);
	}
	peer_fs(&p, &(struct msg_fs){.op = FS_LIST, .path = at("d")}, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.bytes, N);
	ASSERT_TRUE(r.eof[0]);
	ASSERT_TRUE(buf_len(&r.out[0]) > LIMIT_STREAM_WINDOW);
	wire_in_init(&in, buf_data(&r.out[0]), buf_len(&r.out[0]));
	while (in.at < in.end) {
		unsigned long i = 0;

		ASSERT_OK(msg_get_dirent(&in, &e));
		for (const char *c = e.name; *c; c++)
			i = i * 10 + (unsigned long)(*c - '0');
		ASSERT_TRUE(i < N && !seen[i]);
		seen[i] = true;
		n++;
		ASSERT_EQ(S_ISLNK(e.st.mode), i % 100 == 0);
		ASSERT_STREQ(e.target, i % 100 == 0 ? "target" : "");
		links += S_ISLNK(e.st.mode);
	}
	ASSERT_EQ(n, N);
	ASSERT_EQ(links, N / 100);
	result_deinit(&r);
	simple(&p, FS_LIST, 0, at("nothing"), "", ENOENT);
	put_file("f", "", 0);
	simple(&p, FS_LIST, 0, at("f"), "", ENOTDIR);
	peer_stop(&p, 0);
}

TEST(mkdir_rename_remove)
{
	struct stat st;
	struct peer p;

	peer_serve(&p);
	simple(&p, FS_MKDIR, 0, at("a/b/c"), "", ENOENT);
	simple(&p, FS_MKDIR, FS_PARENTS, at("a/b/c"), "", 0);
	ASSERT_OK(stat(at("a/b"), &st));
	ASSERT_EQ(st.st_mode & 07777, 0750);
	simple(&p, FS_MKDIR, FS_PARENTS, at("a/b/c"), "", 0);
	simple(&p, FS_MKDIR, 0, at("a"), "", EEXIST);
	put_file("a/f", "x", 1);
	simple(&p, FS_MKDIR, FS_PARENTS, at("a/f"), "", ENOTDIR);
	simple(&p, FS_RENAME, 0, at("a/f"), at("a/b/g"), 0);
	file_is("a/b/g", "x");
	simple(&p, FS_RENAME, 0, at("a/f"), at("a/b/g"), ENOENT);
	simple(&p, FS_RENAME, 0, at("a/b/g"), "relative", EINVAL);
	simple(&p, FS_SYMLINK, 0, at("a/l"), "b/../b/g", 0);
	file_is("a/l", "x");
	simple(&p, FS_SYMLINK, 0, at("a/l"), "b", 0);
	ASSERT_OK(lstat(at("a/l"), &st));
	ASSERT_TRUE(S_ISLNK(st.st_mode) && st.st_size == 1);
	simple(&p, FS_SYMLINK, 0, at("a/b/g"), "b", EEXIST);
	simple(&p, FS_SYMLINK, 0, at("a/none/l"), "b", ENOENT);
	simple(&p, FS_REMOVE, 0, at("a/l"), "", 0);
	simple(&p, FS_REMOVE, 0, at("a/b"), "", ENOTEMPTY);
	simple(&p, FS_REMOVE, 0, at("a/b/c"), "", 0);
	simple(&p, FS_REMOVE, 0, at("a/b/g"), "", 0);
	simple(&p, FS_REMOVE, 0, at("a/b/g"), "", ENOENT);
	simple(&p, FS_REMOVE, FS_RECURSIVE, at("nothing"), "", ENOENT);
	peer_stop(&p, 0);
}

TEST(trees_are_removed_without_following_links)
{
	struct result r;
	char deep[400] = "t";
	struct peer p;

	peer_serve(&p);
	ASSERT_OK(mkdir(at("keep"), 0755));
	put_file("keep/me", "x", 1);
	ASSERT_OK(mkdir(at("t"), 0755));
	ASSERT_OK(symlink("../keep", at("t/link")));
	for (int i = 0; i < 500; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "t/%d", i);
		put_file(name, "", 0);
	}
	for (int i = 0; i < 100; i++) {
		(void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d");
		ASSERT_OK(mkdir(at(deep), 0755));
	}
	peer_fs(&p, &(struct msg_fs){.op = FS_REMOVE, .flags = FS_RECURSIVE, .path = at("t")}, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.bytes, 1 + 1 + 500 + 100);
	result_deinit(&r);
	ASSERT_TRUE(access(at("t"), F_OK) < 0);
	file_is("keep/me", "x");
	/* A link to a tree is a file. */
	ASSERT_OK(symlink("keep", at("l")));
	simple(&p, FS_REMOVE, FS_RECURSIVE, at("l"), "", 0);
	file_is("keep/me", "x");
	peer_stop(&p, 0);
}

TEST(too_deep_trees_are_refused_not_mishandled)
{
	char deep[800] = "t";
	struct peer p;

	peer_serve(&p);
	ASSERT_OK(mkdir(at("t"), 0755));
	for (int i = 0; i < 200; i++) {
		(void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d");
		ASSERT_OK(mkdir(at(deep), 0755));
	}
	simple(&p, FS_REMOVE, FS_RECURSIVE, at("t"), "", ENAMETOOLONG);
	ASSERT_OK(access(at(deep), F_OK));
	peer_stop(&p, 0);
}

static uint64_t sum_of(const void *p, size_t n)
{
	struct checksum c;

	checksum_init(&c);
	checksum_add(&c, p, n);
	return checksum_value(&c);
}

TEST(checksums_of_what_was_moved)
{
	enum { N = 200 * 1024 + 3 };
	cleanup_free uint8_t *data = malloc(N);
	struct msg_fs m = {.op = FS_WRITE, .flags = FS_WITH_SUM, .mode = 0600, .path = at("f")};
	struct result r;
	struct peer p;

	ASSERT_TRUE(data);
	for (size_t i = 0; i < N; i++)
		data[i] = (uint8_t)((i * 2654435761u) >> 13);
	peer_serve(&p);
	write_file(&p, &m, data, 50 * 1024, &r);
	ASSERT_TRUE(r.fs.errno_ == 0 && r.fs.summed && r.fs.sum == sum_of(data, 50 * 1024));
	result_deinit(&r);
	/* Behind what is there: of these bytes only. */
	m.offset = 50 * 1024;
	write_file(&p, &m, data + m.offset, 100, &r);
	ASSERT_TRUE(r.fs.sum == sum_of(data + m.offset, 100));
	ASSERT_EQ(r.fs.st.size, m.offset + 100);
	result_deinit(&r);
	put_file("f", data, N);
	m = (struct msg_fs){
		.op = FS_READ, .flags = FS_WITH_SUM, .offset = 7, .length = N - 9, .path = at("f")};
	peer_fs(&p, &m, &r);
	ASSERT_TRUE(r.fs.summed && r.fs.sum == sum_of(data + 7, N - 9));
	result_deinit(&r);
	/* Without moving them; at most what is there. */
	m.op = FS_SUM;
	m.flags = 0;
	peer_fs(&p, &m, &r);
	ASSERT_TRUE(r.fs.errno_ == 0 && r.fs.sum == sum_of(data + 7, N - 9));
	ASSERT_EQ(r.fs.bytes, N - 9);
	ASSERT_EQ(buf_len(&r.out[0]), 0);
	result_deinit(&r);
	m.length = UINT64_MAX;
	peer_fs(&p, &m, &r);
	ASSERT_TRUE(r.fs.bytes == N - 7 && r.fs.sum == sum_of(data + 7, N - 7));
	result_deinit(&r);
	/* Nobody else hears of it. */
	m.op = FS_READ;
	peer_fs(&p, &m, &r);
	ASSERT_TRUE(!r.fs.summed);
	result_deinit(&r);
	simple(&p, FS_SUM, 0, at("nothing"), "", ENOENT);
	simple(&p, FS_SUM, 0, at("."), "", EISDIR);
	ASSERT_OK(symlink("f", at("l")));
	simple(&p, FS_SUM, FS_NOFOLLOW, at("l"), "", ELOOP);
	peer_stop(&p, 0);
}

/* Starts a write of which half comes. */
static void half(struct peer *p, uint32_t flags, const char *path)
{
	struct frame f;

	ASSERT_OK(msg_put_fs(&p->out, 1,
		&(struct msg_fs){.op = FS_WRITE, .flags = flags, .mode = 0600, .path = path}));
	peer_data(p, 1, "half", 4, false);
	/* Answered only when it has been seen. */
	ASSERT_OK(msg_put_fs(&p->out, 2, &(struct msg_fs){.op = FS_STAT, .path = "/"}));
	peer_flush(p);
	do {
		ASSERT_TRUE(peer_next(p, &f));
	} while (f.stream != 2);
}

static void cancelled(struct peer *p)
{
	struct result r;

	result_init(&r);
	ASSERT_OK(frame_put(&p->out, FRAME_CANCEL, 0, 1, NULL, 0));
	peer_flush(p);
	peer_result(p, 1, &r);
	ASSERT_EQ(r.fs.errno_, ECANCELED);
	result_deinit(&r);
}

TEST(what_does_not_become_whole_is_removed)
{
	struct stat st;
	struct result r;
	struct peer p;

	peer_serve(&p);
	half(&p, 0, at("kept"));
	cancelled(&p);
	ASSERT_OK(stat(at("kept"), &st));
	ASSERT_EQ(st.st_size, 4);
	half(&p, FS_WHOLE, at("gone"));
	ASSERT_OK(access(at("gone"), F_OK));
	cancelled(&p);
	ASSERT_EQ(access(at("gone"), F_OK), -1);
	/* The link is the user's, and so is what has taken the name meanwhile. */
	ASSERT_OK(symlink("target", at("link")));
	half(&p, FS_WHOLE, at("link"));
	cancelled(&p);
	ASSERT_OK(lstat(at("link"), &st));
	ASSERT_OK(stat(at("target"), &st));
	ASSERT_EQ(st.st_size, 0);
	half(&p, FS_WHOLE, at("moved"));
	put_file("moved", "another", 7);
	cancelled(&p);
	ASSERT_OK(stat(at("moved"), &st));
	ASSERT_EQ(st.st_size, 7);
	write_file(&p,
		&(struct msg_fs){.op = FS_WRITE, .flags = FS_WHOLE, .mode = 0600, .path = at("w")},
		"whole", 5, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	result_deinit(&r);
	ASSERT_OK(stat(at("w"), &st));
	ASSERT_EQ(st.st_size, 5);
	/* A host that goes. */
	half(&p, FS_WHOLE, at("gone"));
	peer_stop(&p, 0);
	ASSERT_EQ(access(at("gone"), F_OK), -1);
}

TEST(streams_are_capped)
{
	struct rlimit lim;
	struct frame f;
	struct peer p;
	struct msg_fs_done done;

	ASSERT_OK(getrlimit(RLIMIT_NOFILE, &lim));
	if (lim.rlim_max < LIMIT_STREAMS + 100)
		SKIP("the limit of open files is too low");
	lim.rlim_cur = lim.rlim_max;
	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &lim));
	peer_serve(&p);
	for (uint32_t i = 1; i <= LIMIT_STREAMS + 1; i++)
		ASSERT_OK(msg_put_fs(&p.out, i, &(struct msg_fs){.op = FS_WRITE, .path = at("w")}));
	peer_flush(&p);
	/* Only the one too many is answered. */
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.stream, LIMIT_STREAMS + 1);
	ASSERT_OK(msg_get_fs_done(&f, &done));
	ASSERT_EQ(done.errno_, EMFILE);
	/* A number that is free again serves again. */
	ASSERT_OK(frame_put(&p.out, FRAME_CANCEL, 0, 7, NULL, 0));
	ASSERT_OK(msg_put_fs(&p.out, 7, &(struct msg_fs){.op = FS_STAT, .path = "/"}));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_OK(msg_get_fs_done(&f, &done));
	ASSERT_EQ(done.errno_, ECANCELED);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_OK(msg_get_fs_done(&f, &done));
	ASSERT_EQ(done.errno_, 0);
	peer_stop(&p, 0);
}

TEST(attributes_are_set_last)
{
	struct result r;
	struct stat st;
	struct peer p;

	peer_serve(&p);
	put_file("f", "old", 3);
	ASSERT_OK(chmod(at("f"), 0600));
	result_init(&r);
	ASSERT_OK(msg_put_fs(&p.out, 4,
		&(struct msg_fs){.op = FS_WRITE,
			.flags = FS_SET_MODE | FS_SET_MTIME,
			.mode = 0644,
			.length = 1000000000123456789ull,
			.path = at("f")}));
	peer_data(&p, 4, "new", 3, true);
	while (!r.done) {
		struct frame f;

		ASSERT_TRUE(peer_next(&p, &f));
		result_take(&r, &p, &f);
	}
	ASSERT_EQ(r.fs.errno_, 0);
	ASSERT_EQ(r.fs.st.mtime_s, 1000000000);
	ASSERT_EQ(r.fs.st.mtime_ns, 123456789);
	result_deinit(&r);
	ASSERT_OK(stat(at("f"), &st));
	ASSERT_EQ(st.st_mode & 07777, 0644);
	ASSERT_EQ(st.st_mtim.tv_nsec, 123456789);

	peer_fs(&p,
		&(struct msg_fs){.op = FS_SETATTR,
			.flags = FS_SET_MODE | FS_SET_MTIME | FS_SET_OWNER,
			.mode = 0501,
			.uid = getuid(),
			.gid = getgid(),
			.length = 5,
			.path = at("f")},
		&r);
	ASSERT_EQ(r.fs.errno_, 0);
	result_deinit(&r);
	ASSERT_OK(stat(at("f"), &st));
	ASSERT_EQ(st.st_mode & 07777, 0501);
	ASSERT_EQ(st.st_mtim.tv_sec, 0);
	ASSERT_EQ(st.st_mtim.tv_nsec, 5);
	simple(&p, FS_SETATTR, FS_SET_MODE, at("nothing"), "", ENOENT);
	simple(&p, FS_SETATTR, FS_SET_MTIME, at("nothing"), "", ENOENT);
	peer_stop(&p, 0);
}
