/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a hostile kernel. The input is a list of requests; what a number in them refers to is
 * chosen from what the server gave out, more often than not.
 */
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>

#include "fs/testpeer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

enum { NUMBERS = 16, FDS = 64, REQUESTS = 64, ARG_MAX_BYTES = 512, FILE_MAX_BYTES = 64 * MIB };

struct input {
	const uint8_t *at;
	size_t left;
};

/* Numbers that the server gave out: nodes and handles, the newest replaces the oldest. */
struct numbers {
	uint64_t v[NUMBERS];
	unsigned int n;
};

static struct peer p;
static char top[] = "/tmp/msb-fuzz-fs-XXXXXX";
static bool have_top;
static struct stat secret;

static uint8_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static void remember(struct numbers *k, uint64_t v)
{
	k->v[k->n++ % NUMBERS] = v;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	return ftw->level > 0 ? remove(path) : 0;
}

static void make_file(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	REQUIRE(fd >= 0 && write(fd, text, strlen(text)) >= 0);
	fd_close(fd);
}

static void remove_top(void)
{
	(void)nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	(void)rmdir(top);
}

static void make_top(void)
{
	const struct rlimit small = {FILE_MAX_BYTES, FILE_MAX_BYTES};

	/* An allocation that fits the disk of the host would leave no room for anybody else. */
	REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	REQUIRE(mkdtemp(top) && atexit(remove_top) == 0);
	REQUIRE(chdir(top) == 0 && mkdir("share", 0755) == 0);
	make_file(AT_FDCWD, "secret", "secret");
	REQUIRE(stat("secret", &secret) == 0);
	have_top = true;
}

static void make_share(void)
{
	char path[64];
	int fd;

	if (have_top) {
		(void)snprintf(path, sizeof(path), "%s/share", top);
		REQUIRE(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
	} else {
		make_top();
	}
	(void)snprintf(path, sizeof(path), "%s/share", top);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(fd >= 0 && mkdirat(fd, "d", 0755) == 0);
	make_file(fd, "a", "text of a");
	make_file(fd, "d/b", "text of b");
	REQUIRE(symlinkat("../secret", fd, "l") == 0 && symlinkat("..", fd, "u") == 0);
	REQUIRE(mkfifoat(fd, "p", 0600) == 0);
	fd_close(fd);
}

static uint64_t choose(struct input *in, const struct numbers *k)
{
	uint8_t i = take(in);

	return i < 0x10 ? 1 : i < 0xf0 ? k->v[i % NUMBERS] : (uint64_t)i << (i % 57);
}

/* The argument: as in the input, but with numbers at the places where the structures have them. */
static size_t make_arg(struct input *in, const struct numbers *k, uint8_t *arg)
{
	static const char *const names[] = {"a", "b", "d", "l", "u", "p", "new", "..", "d/b", ""};
	uint8_t form = take(in);
	size_t n = take(in) % 72;

	for (size_t i = 0; i < n; i++)
		arg[i] = take(in);
	for (unsigned int place = 0; place < 2; place++) {
		uint64_t v = form & (1u << place) ? choose(in, k) : 0;

		if (v && n >= (place + 1) * 8)
			memcpy(arg + (size_t)place * 8, &v, sizeof(v));
	}
	for (unsigned int i = 0; i < (form >> 6); i++) {
		const char *name = names[take(in) % ARRAY_SIZE(names)];

		memcpy(arg + n, name, strlen(name) + 1);
		n += strlen(name) + 1;
	}
	return n;
}

static void learn(struct numbers *k, uint32_t opcode)
{
	const uint8_t *body = peer_body(&p);
	uint64_t v;

	if (p.len < 8)
		return;
	memcpy(&v, body, sizeof(v));
	remember(k, v);
	if (opcode == FUSE_CREATE && p.len >= sizeof(struct fuse_entry_out) + 8) {
		memcpy(&v, body + sizeof(struct fuse_entry_out), sizeof(v));
		remember(k, v);
	}
}

static void request(struct input *in, struct numbers *k)
{
	uint8_t arg[ARG_MAX_BYTES];
	uint32_t opcode = take(in) % 72;
	uint64_t node = choose(in, k);
	size_t n;

	if (opcode == 71) { /* bytes as they are */
		struct fs_request rq = {.head = in->at, .head_len = in->left};
		struct fs_reply rp = {.buf = p.reply, .room = FS_REPLY_MAX};
		struct iovec iov = {p.reply + FS_REPLY_HEAD, FS_DATA_MAX};

		rp.data = &iov;
		rp.n_data = 1;
		REQUIRE(fs_handle(p.fs, &rq, &rp) <= FS_REPLY_MAX);
		return;
	}
	n = make_arg(in, k, arg);
	p.room = opcode & 1 ? FS_REPLY_MAX : (size_t)take(in) * 64;
	if (opcode == FUSE_WRITE)
		(void)peer_write(&p, node, choose(in, k), take(in) * 64u, arg, n);
	else if (peer_call(&p, opcode, node, arg, n, NULL, 0) == 0)
		learn(k, opcode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct numbers k = {.v = {1}};
	struct fs_options o = {0};
	char path[64];
	uint8_t how = take(&in);
	uint32_t inodes;
	uint32_t handles;
	uint32_t fds;
	struct stat st;
	cleanup_fd int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	o.read_only = how & 1;
	o.stat_virt = (enum fs_stat_virt)((how >> 1) % 3);
	o.quota = how & 8 ? 64 * 1024 : 0;
	if (how & 16)
		(void)snprintf(o.only, sizeof(o.only), "a");
	make_share();
	(void)snprintf(path, sizeof(path), "%s/share%s", top, o.only[0] ? "/a" : "");
	peer_start(&p, path, &o, FDS);
	for (unsigned int i = 0; in.left > 0 && i < REQUESTS; i++)
		request(&in, &k);
	fs_held(p.fs, &inodes, &handles, &fds);
	REQUIRE(fds <= FDS);
	peer_stop(&p);
	(void)snprintf(path, sizeof(path), "%s/secret", top);
	REQUIRE(stat(path, &st) == 0 && st.st_size == 6 && st.st_nlink == 1 &&
		st.st_mode == secret.st_mode && st.st_uid == secret.st_uid &&
		st.st_ctim.tv_sec == secret.st_ctim.tv_sec &&
		st.st_ctim.tv_nsec == secret.st_ctim.tv_nsec);
	REQUIRE(home >= 0 && fchdir(home) == 0);
	return 0;
}
