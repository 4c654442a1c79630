/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the ledger: see ledger.h.
 *
 * #syscalls(sandbox:loop): ftruncate lseek pwrite64
 */
#include "sandbox/ledger.h"

#include <fcntl.h>

#include "base/caps.h"
#include "base/digest.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

#include "sandbox/ledger-json.h"

enum { PREFIX = sizeof("sha256:") - 1, HEAD_BYTES = 64 };

static const char hash_key[] = ",\"hash\":\"";

static const char *file_name(unsigned int i)
{
	static const char *const names[LEDGER_FILES] = {
		"ledger-0.jsonl", "ledger-1.jsonl", "ledger-2.jsonl", "ledger-3.jsonl"};

	return names[i % LEDGER_FILES];
}

/* The number in the first line of a file; 0: not one of ours, or empty. */
static uint64_t file_number(const char *text, size_t len)
{
	static const char head[] = "{\"file\":";
	const char *end = memchr(text, ',', MIN(len, (size_t)HEAD_BYTES));
	char digits[HEAD_BYTES];
	uint64_t number = 0;
	size_t n;

	if (!end || len < sizeof(head) || memcmp(text, head, sizeof(head) - 1) != 0)
		return 0;
	n = (size_t)(end - text) - (sizeof(head) - 1);
	memcpy(digits, text + sizeof(head) - 1, n);
	digits[n] = '\0';
	return str_to_u64(digits, &number) == 0 ? number : 0;
}

const struct log_ring ledger_ring = {
	.files = LEDGER_FILES, .name = file_name, .number = file_number, .line_max = LEDGER_LINE};

void ledger_init(struct ledger *l)
{
	*l = (struct ledger){.head_fd = -EBADF};
	for (size_t i = 0; i < ARRAY_SIZE(l->fds); i++)
		l->fds[i] = -EBADF;
	buf_init(&l->line, LEDGER_LINE);
}

void ledger_close(struct ledger *l)
{
	ledger_flush(l);
	for (size_t i = 0; i < ARRAY_SIZE(l->fds); i++)
		l->fds[i] = fd_close(l->fds[i]);
	l->head_fd = fd_close(l->head_fd);
	buf_deinit(&l->line);
	l->open = false;
}

static void hash_of(const char *prev, const char *a, size_t n, const char *b, char ret[])
{
	char text[DIGEST_TEXT];
	struct digest d;

	digest_init(&d);
	digest_add(&d, prev, LEDGER_HASH);
	digest_add(&d, a, n);
	digest_add(&d, b, strlen(b));
	digest_text(&d, text);
	memcpy(ret, text + PREFIX, LEDGER_HASH + 1);
}

static bool is_hash(const char *s)
{
	return strspn(s, "0123456789abcdef") == LEDGER_HASH && s[LEDGER_HASH] == '\0';
}

int ledger_line_hash(const char *text, size_t len, const char *prev, char ret[LEDGER_HASH + 1],
	char stated[LEDGER_HASH + 1])
{
	const size_t key = sizeof(hash_key) - 1;
	const size_t tail = key + LEDGER_HASH + 2;

	if (len <= tail || memcmp(text + len - tail, hash_key, key) != 0 ||
		memcmp(text + len - 2, "\"}", 2) != 0)
		return -EBADMSG;
	memcpy(stated, text + len - tail + key, LEDGER_HASH);
	stated[LEDGER_HASH] = '\0';
	if (!is_hash(stated))
		return -EBADMSG;
	hash_of(prev, text, len - tail, "}", ret);
	return 0;
}

int ledger_head_parse(const char *text, size_t len, struct ledger_head *ret)
{
	cleanup_json struct json *doc = NULL;
	struct ledger_head h = {0};
	const char *hash = "";
	int r = json_parse(text, len, &doc, NULL);

	if (r == 0)
		r = json_get_u64(doc, "seq", &h.seq, NULL);
	if (r == 0)
		r = json_get_u64(doc, "file", &h.file, NULL);
	if (r == 0)
		r = json_get_str(doc, "hash", &hash, NULL);
	/* It is written with the first line and not before. */
	if (r < 0 || !h.seq || !is_hash(hash))
		return -EBADMSG;
	memcpy(h.hash, hash, sizeof(h.hash));
	*ret = h;
	return 0;
}

void ledger_flush(struct ledger *l)
{
	char text[LEDGER_HEAD_BYTES];
	int n;

	if (!l->open || !l->head_is_old)
		return;
	memset(text, ' ', sizeof(text));
	n = snprintf(text, sizeof(text),
		"{\"seq\":%" PRIu64 ",\"file\":%" PRIu64 ",\"hash\":\"%s\"}", l->head.seq,
		l->head.file, l->head.hash);
	text[n] = ' ';
	text[sizeof(text) - 1] = '\n';
	/* A file that exists is written over in its place: this needs no new block. */
	if (pwrite(l->head_fd, text, sizeof(text), 0) == (ssize_t)sizeof(text))
		l->head_is_old = false;
}

/* The line that @l->line holds, without its hash, at the end of the file @fd. */
static int append(struct ledger *l, int fd, uint64_t at)
{
	char hash[LEDGER_HASH + 1];
	int r;

	hash_of(l->head.hash, (const char *)buf_data(&l->line), buf_len(&l->line), "}", hash);
	r = buf_printf(&l->line, "%s%s\"}\n", hash_key, hash);
	if (r == 0)
		r = io_write_full(fd, buf_data(&l->line), buf_len(&l->line));
	if (r < 0) {
		/* Half a line is none. */
		if (ftruncate(fd, (off_t)at) < 0 || lseek(fd, (off_t)at, SEEK_SET) < 0)
			l->open = false;
		return r;
	}
	memcpy(l->head.hash, hash, sizeof(hash));
	l->head.seq++;
	l->bytes = at + buf_len(&l->line);
	l->head_is_old = true;
	return 0;
}

/* The next file of the ring, emptied, with its first line. */
static int next_file(struct ledger *l)
{
	uint64_t number = l->head.file + 1;
	int fd = l->fds[number % LEDGER_FILES];
	int r;

	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = ledger_json_file(&l->line, number, l->head.seq + 1, clock_real_ns(), l->head.hash);
	if (r == 0)
		r = append(l, fd, 0);
	if (r == 0)
		l->head.file = number;
	return r;
}

static int make_room(struct ledger *l)
{
	return l->head.file && l->bytes <= LIMIT_LEDGER - LEDGER_LINE ? 0 : next_file(l);
}

static int append_here(struct ledger *l)
{
	return append(l, l->fds[l->head.file % LEDGER_FILES], l->bytes);
}

/* Before anything else is written after a loss, it is said what was lost. */
static int say_lost(struct ledger *l)
{
	int r;

	if (!l->lost)
		return 0;
	r = ledger_json_lost(&l->line, l->head.seq + 1, clock_real_ns(), l->lost, l->lost_since_ns,
		l->lost_error);
	if (r == 0)
		r = append_here(l);
	if (r == 0)
		l->lost = 0;
	return r;
}

static int lose(struct ledger *l, int error)
{
	if (l->lost++)
		return 0;
	l->lost_since_ns = clock_real_ns();
	l->lost_error = error;
	return error;
}

int ledger_event(struct ledger *l, const struct net_event *e)
{
	int r;

	if (!l->open)
		return 0;
	r = make_room(l);
	if (r == 0)
		r = say_lost(l);
	if (r == 0)
		r = ledger_json_event(&l->line, l->head.seq + 1, clock_real_ns(), e);
	if (r == 0)
		r = append_here(l);
	return r < 0 ? lose(l, r) : 0;
}

int ledger_say(struct ledger *l, const char *event, const char *text)
{
	int r;

	if (!l->open)
		return 0;
	r = make_room(l);
	if (r == 0)
		r = say_lost(l);
	if (r == 0)
		r = ledger_json_say(&l->line, l->head.seq + 1, clock_real_ns(), event, text);
	if (r == 0)
		r = append_here(l);
	ledger_flush(l);
	return r < 0 ? lose(l, r) : 0;
}

/* Number and hash of the last whole line of @fd; what follows it is the work of a kill. -ENODATA:
 * there is none. */
static int read_end(struct ledger *l, int fd, struct ledger_head *ret)
{
	cleanup_free char *text = malloc(2 * (size_t)LEDGER_LINE);
	cleanup_json struct json *doc = NULL;
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > 2 * LEDGER_LINE ? size - 2 * LEDGER_LINE : 0;
	char again[LEDGER_HASH + 1];
	const char *line;
	const char *end;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = size < 0 ? -1 : pread(fd, text, 2 * (size_t)LEDGER_LINE, from);
	if (n < 0)
		return -errno;
	end = memrchr(text, '\n', (size_t)n);
	if (!end)
		return -ENODATA;
	line = memrchr(text, '\n', (size_t)(end - text));
	line = line ? line + 1 : text;
	l->bytes = (uint64_t)(from + (end + 1 - text));
	if (ftruncate(fd, (off_t)l->bytes) < 0 || lseek(fd, 0, SEEK_END) < 0)
		return -errno;
	if (ledger_line_hash(line, (size_t)(end - line), LEDGER_ZERO, again, ret->hash) < 0 ||
		json_parse(line, (size_t)(end - line), &doc, NULL) < 0)
		return -EBADMSG;
	return json_get_u64(doc, "seq", &ret->seq, NULL) < 0 ? -EBADMSG : 0;
}

static uint64_t number_of(int fd)
{
	char head[HEAD_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n > 0 ? file_number(head, (size_t)n) : 0;
}

/* The end of the youngest file that has a whole line: one that was begun may have none. */
static int find_last(struct ledger *l, struct ledger_head *ret)
{
	uint64_t youngest = 0;
	int r = -ENODATA;

	for (unsigned int i = 0; i < LEDGER_FILES; i++)
		youngest = MAX(youngest, number_of(l->fds[i]));
	for (uint64_t n = youngest; n > 0 && n + LEDGER_FILES > youngest && r == -ENODATA; n--) {
		int fd = l->fds[n % LEDGER_FILES];

		ret->file = n;
		if (number_of(fd) == n)
			r = read_end(l, fd, ret);
		/* Readers would take what was begun for the youngest. */
		if (r == -ENODATA && ftruncate(fd, 0) < 0)
			r = -errno;
	}
	if (r == -ENODATA)
		ret->file = 0;
	return r;
}

static int find_end(struct ledger *l)
{
	struct ledger_head said = {.hash = LEDGER_ZERO};
	struct ledger_head found = {.hash = LEDGER_ZERO};
	char text[LEDGER_HEAD_BYTES];
	ssize_t n = pread(l->head_fd, text, sizeof(text), 0);
	int r = find_last(l, &found);

	if (n > 0 && ledger_head_parse(text, (size_t)n, &said) < 0)
		said = (struct ledger_head){.hash = LEDGER_ZERO};
	if (r < 0 && r != -ENODATA && r != -EBADMSG)
		return r;
	/* A broken end is not repaired: from the head on the chain shows what was done to it. */
	if (r < 0 || said.seq >= found.seq) {
		said.file = found.file;
		found = said;
	}
	l->head = found;
	return 0;
}

int ledger_open(struct ledger *l, int dir_fd)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int r = 0;

	for (unsigned int i = 0; i < LEDGER_FILES && r == 0; i++) {
		l->fds[i] = openat(dir_fd, file_name(i), flags, 0600);
		r = l->fds[i] < 0 ? -errno : 0;
	}
	if (r == 0) {
		l->head_fd = openat(dir_fd, SANDBOX_LEDGER_HEAD, flags, 0600);
		r = l->head_fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = find_end(l);
	if (r < 0) {
		ledger_close(l);
		return r;
	}
	l->open = true;
	return 0;
}
