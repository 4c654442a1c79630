/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No memory, at every place where OpenSSL or we want some: the flow ends with an error, nothing is
 * left behind, and the next flow works.
 */
#include <openssl/crypto.h>

#include "base/io.h"

#include "tls/conn.h"

#include "test.h"

/* What the library keeps for good once it needed it: tables of errors, of algorithms. */
enum { KEPT = 64, EVERY = 300, STEP = 11, ROUNDS_MAX = 1000000 };

static long live; /* blocks of the library */

static void *want(size_t n, const char *file, int line)
{
	void *p = fault_now(ENOMEM) ? NULL : malloc(n);

	(void)file;
	(void)line;
	live += p != NULL;
	return p;
}

static void *want_more(void *old, size_t n, const char *file, int line)
{
	void *p;

	(void)file;
	(void)line;
	if (fault_now(ENOMEM))
		return NULL;
	p = realloc(old, n);
	live += p && !old;
	return p;
}

static void give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	live -= p != NULL;
	free(p);
}

/* Before the library has any. */
__attribute__((constructor)) static void watch_memory(void)
{
	if (CRYPTO_set_mem_functions(want, want_more, give_back) != 1)
		abort();
}

struct place {
	char dir[200], cert[256], key[256];
};

static struct place make_place(void)
{
	struct place p;

	(void)snprintf(p.dir, sizeof(p.dir), "%s/tls", test_tmpdir());
	(void)snprintf(p.cert, sizeof(p.cert), "%s/" TLS_CA_CERT, p.dir);
	(void)snprintf(p.key, sizeof(p.key), "%s/" TLS_CA_KEY, p.dir);
	ASSERT_OK(tls_ca_make(p.dir, NULL));
	return p;
}

/* Everything that a start does, and its end: most of it is the host's list of authorities. Return:
 * did it come about? */
static bool start(const struct place *p)
{
	const char *const extra[] = {p->cert};
	struct tls_server *server = NULL;
	struct tls_client *client = NULL;
	struct tls_ca *ca = NULL;
	int r = tls_ca_open(p->cert, p->key, &ca, NULL);

	if (r == 0)
		r = tls_server_new(ca, &server, NULL);
	if (r == 0)
		r = tls_client_new(extra, 1, &client, NULL);
	if (r == 0 && !tls_ca_leaf(ca, "localhost"))
		r = -ENOMEM;
	(void)tls_client_free(client);
	(void)tls_server_free(server);
	(void)tls_ca_free(ca);
	return r == 0;
}

struct ends {
	struct tls_ca *ca;
	struct tls_server *server;
	struct tls_client *client;
	char name[32]; /* whom the guest wants */
};

/* Both ends in turn, until one has failed or both have what they want. */
static bool shake(struct tls_conn *a, struct tls_conn *b, const char *name)
{
	int ra = -EAGAIN;
	int rb = -EAGAIN;

	for (int i = 0; i < 100 && (ra || rb); i++) {
		if (rb)
			rb = tls_handshake(b, NULL);
		if (rb && rb != -EAGAIN)
			return false;
		if (ra)
			ra = tls_handshake(a, NULL);
		if (ra == -EINPROGRESS && tls_conn_answer(a, name, TLS_PROTOCOL_HTTP1) < 0)
			return false;
		if (ra && ra != -EAGAIN && ra != -EINPROGRESS)
			return false;
	}
	return ra == 0 && rb == 0;
}

/* One flow: handshakes, bytes, its end. Return: did it come about? */
static bool flow(struct ends *e)
{
	static const struct tls_offer http1 = {.n = 1, .list = {TLS_PROTOCOL_HTTP1}};
	struct tls_conn *a = NULL;
	struct tls_conn *b = NULL;
	bool fine = false;
	char got[8];
	int fds[2];

	if (io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds) < 0)
		return false;
	if (tls_accept(e->server, fds[0], &a) == 0 &&
		tls_connect(e->client, fds[1], e->name, &http1, true, &b) == 0 &&
		shake(a, b, e->name))
		fine = tls_write(b, "question", 8) == 8 && tls_read(a, got, sizeof(got)) == 8 &&
		       tls_end(b) == 0 && tls_read(a, got, sizeof(got)) == 0;
	(void)tls_conn_free(a);
	(void)tls_conn_free(b);
	fd_close(fds[0]);
	fd_close(fds[1]);
	return fine;
}

/* The first places one by one, of the many others a part. */
static unsigned int next(unsigned int n)
{
	return n < EVERY ? n + 1 : n + STEP;
}

TEST(a_start_without_memory)
{
	struct place p = make_place();
	unsigned int n = 1;
	long before;

	ASSERT_TRUE(start(&p));
	before = live;
	for (; n < ROUNDS_MAX; n += n < 100 ? 1 : n / 4) {
		bool fine;

		fault_arm(n);
		fine = start(&p);
		if (!fault_hit()) {
			ASSERT_TRUE(fine);
			break;
		}
	}
	ASSERT_TRUE(n > EVERY && n < ROUNDS_MAX);
	ASSERT_TRUE(start(&p));
	ASSERT_TRUE(live - before < KEPT);
}

TEST(flows_without_memory)
{
	struct place p = make_place();
	const char *const extra[] = {p.cert};
	struct ends e = {.name = "www.example"};
	unsigned int n = 1;
	long before;

	ASSERT_OK(tls_ca_open(p.cert, p.key, &e.ca, NULL));
	ASSERT_OK(tls_server_new(e.ca, &e.server, NULL));
	ASSERT_OK(tls_client_new(extra, 1, &e.client, NULL));
	ASSERT_TRUE(flow(&e));
	before = live;
	for (; n < ROUNDS_MAX; n = next(n)) {
		bool fine;

		fault_arm(n);
		fine = flow(&e);
		if (!fault_hit()) {
			ASSERT_TRUE(fine);
			break;
		}
	}
	ASSERT_TRUE(n > EVERY && n < ROUNDS_MAX);
	ASSERT_TRUE(flow(&e));
	ASSERT_TRUE(live - before < KEPT);
	(void)tls_client_free(e.client);
	(void)tls_server_free(e.server);
	(void)tls_ca_free(e.ca);
}
