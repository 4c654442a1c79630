/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger of the network: written, gone on with, checked, falsified, in circles, on full disks.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/caps.h"
#include "base/io.h"
#include "base/json.h"

#include "sandbox/ledger-verify.h"

#include "test.h"

static int open_tmp(void)
{
	int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_TRUE(fd >= 0);
	return fd;
}

static struct net_event sample(uint64_t flow)
{
	static const uint8_t v4[4] = {93, 184, 215, 14};

	return (struct net_event){
		.kind = NET_EVENT_CLOSE,
		.flow = flow,
		.remote = {.addr = net_addr_v4(v4), .port = 443},
		.name = "www.example",
		.rule = 2,
		.rule_text = "allow@public",
		.up = 10,
		.down = 20,
		.method = "",
		.path = "",
		.result = "",
		.secret = "",
		.text = "",
	};
}

/* @n events, as one run of a sandbox writes them. */
static void write_run(int dir_fd, unsigned int n)
{
	struct ledger l;

	ledger_init(&l);
	ASSERT_OK(ledger_open(&l, dir_fd));
	ASSERT_OK(ledger_say(&l, "start", NULL));
	for (unsigned int i = 1; i <= n; i++) {
		struct net_event e = sample(i);

		ASSERT_OK(ledger_event(&l, &e));
	}
	ASSERT_OK(ledger_say(&l, "end", NULL));
	ledger_close(&l);
}

static struct ledger_verdict verify(int dir_fd)
{
	struct ledger_verdict v;

	ASSERT_OK(ledger_verify(dir_fd, &v));
	return v;
}

static char *read_file(int dir_fd, const char *name, size_t *len)
{
	char *text = NULL;

	ASSERT_OK(io_read_file(dir_fd, name, LIMIT_LEDGER, &text, len));
	return text;
}

static void write_file(int dir_fd, const char *name, const void *p, size_t n)
{
	ASSERT_OK(io_write_file_atomic(dir_fd, name, p, n, 0600, false));
}

/* Where line number @n (from 1) of @text begins. */
static char *line_at(char *text, unsigned int n)
{
	while (--n) {
		text = strchr(text, '\n');
		ASSERT_TRUE(text);
		text++;
	}
	return text;
}

TEST(what_is_written_holds_over_several_runs)
{
	struct ledger_verdict v;
	int dir_fd = open_tmp();

	ASSERT_ERR(ledger_verify(dir_fd, &v), ENOENT);
	write_run(dir_fd, 3);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && v.lines == 6 && v.first_seq == 1 && v.last.seq == 6 && v.ended);
	write_run(dir_fd, 0);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && v.lines == 8 && v.last.seq == 8 && !v.torn && v.lost == 0);
	fd_close(dir_fd);
}

TEST(a_line_says_what_happened)
{
	cleanup_json struct json *doc = NULL;
	cleanup_free char *text = NULL;
	int dir_fd = open_tmp();
	const char *s = "";
	uint64_t n = 0;
	size_t len;
	char *line;

	write_run(dir_fd, 2);
	text = read_file(dir_fd, ledger_ring.name(1), &len);
	line = line_at(text, 4);
	ASSERT_OK(json_parse(line, strcspn(line, "\n"), &doc, NULL));
	ASSERT_OK(json_get_str(doc, "event", &s, NULL));
	ASSERT_STREQ(s, "close");
	ASSERT_OK(json_get_str(doc, "address", &s, NULL));
	ASSERT_STREQ(s, "93.184.215.14");
	ASSERT_OK(json_get_str(doc, "rule_text", &s, NULL));
	ASSERT_STREQ(s, "allow@public");
	ASSERT_OK(json_get_u64(doc, "flow", &n, NULL));
	ASSERT_EQ(n, 2);
	ASSERT_OK(json_get_u64(doc, "received", &n, NULL));
	ASSERT_EQ(n, 20);
	ASSERT_TRUE(!json_find(doc, "method") && !json_find(doc, "error"));
	fd_close(dir_fd);
}

/* Every byte of every line counts: whichever is changed, that line is named, or its ledger's head.
 */
TEST(a_changed_byte_is_found_in_its_line)
{
	cleanup_free char *text = NULL;
	struct ledger_verdict v;
	int dir_fd = open_tmp();
	uint64_t line = 1;
	size_t len;

	write_run(dir_fd, 2);
	text = read_file(dir_fd, ledger_ring.name(1), &len);
	for (size_t i = 0; i + 1 < len; i++) {
		char was = text[i];

		text[i] = was == '\n' ? ' ' : (char)(was ^ 1);
		write_file(dir_fd, ledger_ring.name(1), text, len);
		v = verify(dir_fd);
		if (!v.broken || (v.line != line && i >= 8))
			test_fail(__FILE__, __LINE__, "byte %zu of line %" PRIu64 ": line %" PRIu64,
				i, line, v.line);
		text[i] = was;
		line += was == '\n';
	}
	write_file(dir_fd, ledger_ring.name(1), text, len);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken);
	fd_close(dir_fd);
}

static void check_cut(int dir_fd, const char *text, size_t n, const char *why)
{
	struct ledger_verdict v;

	write_file(dir_fd, ledger_ring.name(1), text, n);
	v = verify(dir_fd);
	ASSERT_TRUE(v.broken);
	if (!strstr(v.why, why))
		test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", v.why, why);
}

TEST(lines_that_are_missing_are_noticed)
{
	cleanup_free char *text = NULL;
	cleanup_free char *without = NULL;
	struct ledger_verdict v;
	int dir_fd = open_tmp();
	size_t len;
	char *at;

	write_run(dir_fd, 4);
	text = read_file(dir_fd, ledger_ring.name(1), &len);
	check_cut(dir_fd, text, (size_t)(line_at(text, 5) - text), "cut off");
	check_cut(dir_fd, text, (size_t)(line_at(text, 5) - text) - 7, "cut off");
	check_cut(dir_fd, text, 0, "gone");
	without = malloc(len);
	ASSERT_TRUE(without);
	at = line_at(text, 3);
	memcpy(without, text, (size_t)(at - text));
	memcpy(without + (at - text), line_at(text, 4), len - (size_t)(line_at(text, 4) - text));
	check_cut(dir_fd, without, len - (size_t)(line_at(text, 4) - at),
		"it is number 4 and should be 3");
	/* Going on does not cover it up. */
	write_file(dir_fd, ledger_ring.name(1), text, (size_t)(line_at(text, 5) - text));
	write_run(dir_fd, 1);
	v = verify(dir_fd);
	ASSERT_TRUE(v.broken && v.line == 5);
	fd_close(dir_fd);
}

TEST(the_head_is_looked_after)
{
	cleanup_free char *head = NULL;
	struct ledger_verdict v;
	int dir_fd = open_tmp();
	size_t len;

	write_run(dir_fd, 1);
	head = read_file(dir_fd, SANDBOX_LEDGER_HEAD, &len);
	ASSERT_EQ(unlinkat(dir_fd, SANDBOX_LEDGER_HEAD, 0), 0);
	v = verify(dir_fd);
	ASSERT_TRUE(v.broken && v.line == 0);
	write_file(dir_fd, SANDBOX_LEDGER_HEAD, "{}", 2);
	ASSERT_TRUE(verify(dir_fd).broken);
	head[strcspn(head, ":") + 1] = '3'; /* of 4 lines */
	write_file(dir_fd, SANDBOX_LEDGER_HEAD, head, len);
	v = verify(dir_fd);
	ASSERT_TRUE(v.broken && v.line == 3);
	/* No head says that nothing was written, least of all with a hash to go on with. */
	head[strcspn(head, ":") + 1] = '0';
	write_file(dir_fd, SANDBOX_LEDGER_HEAD, head, len);
	write_file(dir_fd, ledger_ring.name(1), "{\"file\":1,\"seq\":1,", 18);
	ASSERT_TRUE(verify(dir_fd).broken);
	write_run(dir_fd, 1);
	ASSERT_TRUE(!verify(dir_fd).broken);
	fd_close(dir_fd);
}

/* Killed: lines that the head does not know of yet, and half a line. */
TEST(a_killed_writer_leaves_a_ledger_that_goes_on)
{
	cleanup_free char *head = NULL;
	cleanup_free char *text = NULL;
	struct ledger_verdict v;
	int dir_fd = open_tmp();
	size_t head_len;
	size_t len;

	write_run(dir_fd, 1);
	head = read_file(dir_fd, SANDBOX_LEDGER_HEAD, &head_len);
	write_run(dir_fd, 2);
	write_file(dir_fd, SANDBOX_LEDGER_HEAD, head, head_len);
	text = read_file(dir_fd, ledger_ring.name(1), &len);
	write_file(dir_fd, ledger_ring.name(1), text, len - 20);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && v.torn && v.lines == 7 && !v.ended);
	write_run(dir_fd, 0);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && !v.torn && v.lines == 9);
	fd_close(dir_fd);
}

TEST(it_goes_round_in_circles)
{
	static char path[NET_EVENT_PATH + 1];
	struct net_event e = sample(1);
	struct log_reader r;
	struct ledger_verdict v;
	int dir_fd = open_tmp();
	struct ledger l;
	const char *line;
	uint64_t n = 0;
	size_t len;

	memset(path, '"', NET_EVENT_PATH); /* twice as long when quoted */
	e.kind = NET_EVENT_HTTP;
	e.path = path;
	ledger_init(&l);
	ASSERT_OK(ledger_open(&l, dir_fd));
	while (l.head.file < LEDGER_FILES + 2)
		ASSERT_OK(ledger_event(&l, &e));
	ledger_close(&l);
	for (unsigned int i = 0; i < LEDGER_FILES; i++) {
		struct stat st;

		ASSERT_EQ(fstatat(dir_fd, ledger_ring.name(i), &st, 0), 0);
		ASSERT_TRUE(st.st_size > 0 && st.st_size <= (off_t)LIMIT_LEDGER);
	}
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && v.first_seq > 1 && v.last.seq == v.first_seq + v.lines - 1);
	log_reader_init_ring(&r, &ledger_ring, dir_fd);
	while (log_reader_line(&r, &line, &len) == 0)
		n++;
	ASSERT_EQ(n, v.lines);
	log_reader_deinit(&r);
	/* The oldest file may be gone by going round, and by nothing else. */
	ASSERT_EQ(unlinkat(dir_fd, ledger_ring.name((LEDGER_FILES + 3) % LEDGER_FILES), 0), 0);
	v = verify(dir_fd);
	ASSERT_TRUE(v.broken);
	fd_close(dir_fd);
}

/* What does not fit is lost, counted, and said so when there is room again. */
TEST(a_full_disk_is_accounted_for)
{
	struct rlimit all;
	struct rlimit limit;
	struct ledger_verdict v;
	int dir_fd = open_tmp();
	struct net_event e = sample(1);
	unsigned int complaints = 0;
	struct ledger l;

	write_run(dir_fd, 5);
	ledger_init(&l);
	ASSERT_OK(ledger_open(&l, dir_fd));
	ASSERT_TRUE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &all), 0);
	limit = (struct rlimit){.rlim_cur = l.bytes + 500, .rlim_max = all.rlim_max};
	ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 100; i++)
		complaints += ledger_event(&l, &e) < 0;
	ledger_flush(&l);
	ASSERT_EQ(complaints, 1);
	ASSERT_TRUE(l.lost > 90 && l.lost < 100);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && !v.torn && v.lost == 0);
	ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &all), 0);
	complaints = (unsigned int)l.lost;
	ASSERT_OK(ledger_event(&l, &e));
	ASSERT_EQ(l.lost, 0);
	ledger_close(&l);
	v = verify(dir_fd);
	ASSERT_TRUE(!v.broken && v.lost == complaints);
	fd_close(dir_fd);
}

TEST(without_a_ledger_nothing_is_written)
{
	struct net_event e = sample(1);
	struct ledger l;

	ledger_init(&l);
	ASSERT_OK(ledger_event(&l, &e));
	ASSERT_OK(ledger_say(&l, "end", NULL));
	ledger_flush(&l);
	ledger_close(&l);
	ASSERT_EQ(l.head.seq, 0);
}
