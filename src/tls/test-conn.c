/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, and TLS between the two ends of a socket pair: the client verifies what we make. */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#include "tls/conn.h"

#include "test.h"

struct fixture {
	char dir[64];
	char ca_dir[96], cert[128], key[128];
	struct tls_ca *ca;
	struct tls_server *server;
	struct tls_client *client;
	struct tls_conn *a, *b; /* server's and client's end */
	int fds[2];
};

static struct fixture make(void)
{
	struct fixture f = {.dir = "/tmp/msb-test-tls-XXXXXX"};
	const char *extra[1];

	ASSERT_TRUE(mkdtemp(f.dir) != NULL);
	(void)snprintf(f.ca_dir, sizeof(f.ca_dir), "%s/tls", f.dir);
	(void)snprintf(f.cert, sizeof(f.cert), "%s/" TLS_CA_CERT, f.ca_dir);
	(void)snprintf(f.key, sizeof(f.key), "%s/" TLS_CA_KEY, f.ca_dir);
	ASSERT_OK(tls_ca_make(f.ca_dir, NULL));
	ASSERT_OK(tls_ca_open(f.cert, f.key, &f.ca, NULL));
	ASSERT_OK(tls_server_new(f.ca, &f.server, NULL));
	extra[0] = f.cert;
	ASSERT_OK(tls_client_new(extra, 1, &f.client, NULL));
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, f.fds));
	return f;
}

static void drop(struct fixture *f)
{
	f->a = tls_conn_free(f->a);
	f->b = tls_conn_free(f->b);
	(void)tls_client_free(f->client);
	(void)tls_server_free(f->server);
	(void)tls_ca_free(f->ca);
	fd_close(f->fds[0]);
	fd_close(f->fds[1]);
	(void)unlink(f->cert);
	(void)unlink(f->key);
	(void)rmdir(f->ca_dir);
	ASSERT_OK(rmdir(f->dir));
}

static const struct tls_offer nothing = {.n = 0};
static const struct tls_offer http1 = {.n = 1, .list = {TLS_PROTOCOL_HTTP1}};
static const struct tls_offer both = {.n = 2, .list = {TLS_PROTOCOL_HTTP2, TLS_PROTOCOL_HTTP1}};

static void join(struct fixture *f, const char *name, const struct tls_offer *offer, bool verify)
{
	ASSERT_OK(tls_accept(f->server, f->fds[0], &f->a));
	ASSERT_OK(tls_connect(f->client, f->fds[1], name, offer, verify, &f->b));
}

/* Both ends until one fails or both are done. @answer: what the server says it is; NULL rejects. */
static int shake(
	struct fixture *f, const char *answer, enum tls_protocol choice, struct msb_err *err)
{
	int ra = -EAGAIN;
	int rb = -EAGAIN;

	for (int i = 0; i < 100 && (ra != 0 || rb != 0); i++) {
		if (rb != 0)
			rb = tls_handshake(f->b, err);
		if (rb < 0 && rb != -EAGAIN)
			return rb;
		if (ra != 0)
			ra = tls_handshake(f->a, NULL);
		if (ra == -EINPROGRESS && answer)
			ASSERT_OK(tls_conn_answer(f->a, answer, choice));
		else if (ra == -EINPROGRESS)
			tls_conn_reject(f->a, TLS_REJECT_UPSTREAM);
	}
	return ra < 0 ? ra : rb;
}

TEST(an_authority_is_made_once_and_its_key_is_private)
{
	struct fixture f = make();
	cleanup_free char *before = NULL;
	cleanup_free char *after = NULL;
	struct msb_err err = {0};
	struct stat st;
	size_t n;

	ASSERT_OK(stat(f.key, &st));
	ASSERT_EQ(st.st_mode & 0777, 0600);
	ASSERT_OK(stat(f.ca_dir, &st));
	ASSERT_EQ(st.st_mode & 0777, 0700);
	ASSERT_OK(io_read_file(AT_FDCWD, f.cert, TLS_CA_PEM_MAX, &before, &n));
	ASSERT_OK(tls_ca_make(f.ca_dir, NULL));
	ASSERT_OK(io_read_file(AT_FDCWD, f.cert, TLS_CA_PEM_MAX, &after, &n));
	ASSERT_STREQ(before, after);
	ASSERT_OK(unlink(f.key));
	ASSERT_EQ(tls_ca_make(f.ca_dir, &err), -ENOENT);
	ASSERT_TRUE(strstr(err.hint, TLS_CA_CERT) != NULL);
	/* What a maker that was killed leaves: a key alone. */
	ASSERT_OK(unlink(f.cert));
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, f.key, "x", 1, 0600, false));
	ASSERT_OK(tls_ca_make(f.ca_dir, NULL));
	drop(&f);
}

TEST(an_authority_is_described_and_replaced)
{
	struct fixture f = make();
	struct tls_ca_info one;
	struct tls_ca_info two;
	struct tls_ca *ca;
	struct stat st;
	time_t now = time(NULL);

	ASSERT_OK(tls_ca_describe(f.ca_dir, &one, NULL));
	ASSERT_STREQ(one.subject, "CN=microsandbox CA,O=microsandbox");
	ASSERT_EQ(strlen(one.fingerprint), 95);
	ASSERT_EQ(strspn(one.fingerprint, "0123456789ABCDEF:"), 95);
	ASSERT_TRUE(one.not_before < (uint64_t)now && one.not_after > (uint64_t)now);
	ASSERT_TRUE(strncmp(one.pem, "-----BEGIN CERTIFICATE-----\n", 28) == 0);
	ASSERT_TRUE(strstr(one.pem, "PRIVATE") == NULL);

	ASSERT_OK(tls_ca_rotate(f.ca_dir, NULL));
	ASSERT_OK(tls_ca_describe(f.ca_dir, &two, NULL));
	ASSERT_TRUE(!streq(one.fingerprint, two.fingerprint) && !streq(one.pem, two.pem));
	ASSERT_OK(stat(f.key, &st));
	ASSERT_EQ(st.st_mode & 0777, 0600);
	/* They belong together. */
	ASSERT_OK(tls_ca_open(f.cert, f.key, &ca, NULL));
	(void)tls_ca_free(ca);

	ASSERT_OK(unlink(f.cert));
	ASSERT_EQ(tls_ca_describe(f.ca_dir, &one, NULL), -ENOENT);
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, f.cert, "nothing", 7, 0644, false));
	ASSERT_EQ(tls_ca_describe(f.ca_dir, &one, NULL), -EINVAL);
	drop(&f);
}

TEST(a_key_of_somebody_else)
{
	struct fixture f = make();
	struct fixture g = make();
	struct msb_err err = {0};
	struct tls_ca *ca;

	ASSERT_EQ(tls_ca_open(f.cert, g.key, &ca, &err), -EINVAL);
	ASSERT_EQ(tls_ca_open(f.key, f.key, &ca, &err), -EINVAL);
	ASSERT_EQ(tls_ca_open("/nowhere", f.key, &ca, &err), -ENOENT);
	drop(&f);
	drop(&g);
}

TEST(certificates_are_for_names_only)
{
	static const char *const bad[] = {"", "a,DNS:b", "a b", "a\nb", "a:b", "*"};
	struct fixture f = make();
	const struct tls_leaf *one = tls_ca_leaf(f.ca, "one.example");

	ASSERT_TRUE(one != NULL);
	ASSERT_TRUE(tls_ca_leaf(f.ca, "ONE.example") == one);
	ASSERT_TRUE(tls_ca_leaf(f.ca, "two.example") != one);
	ASSERT_TRUE(tls_ca_leaf(f.ca, "2001:db8::1") != NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_TRUE(tls_ca_leaf(f.ca, bad[i]) == NULL);
	for (unsigned int i = 0; i < 1200; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "n%u.example", i);
		ASSERT_TRUE(tls_ca_leaf(f.ca, name) != NULL);
	}
	drop(&f);
}

TEST(bytes_and_an_orderly_end_both_ways)
{
	struct fixture f = make();
	char got[16];

	join(&f, "www.example", &http1, true);
	ASSERT_OK(shake(&f, "www.example", TLS_PROTOCOL_HTTP1, NULL));
	ASSERT_STREQ(tls_conn_hello(f.a)->name, "www.example");
	ASSERT_EQ(tls_conn_protocol(f.a), TLS_PROTOCOL_HTTP1);
	ASSERT_EQ(tls_conn_protocol(f.b), TLS_PROTOCOL_HTTP1);
	ASSERT_EQ(tls_write(f.b, "question", 8), 8);
	ASSERT_EQ(tls_read(f.a, got, sizeof(got)), 8);
	ASSERT_MEMEQ(got, "question", 8);
	ASSERT_EQ(tls_read(f.a, got, sizeof(got)), -EAGAIN);
	ASSERT_OK(tls_end(f.b));
	ASSERT_EQ(tls_read(f.a, got, sizeof(got)), 0);
	ASSERT_EQ(tls_write(f.a, "answer", 6), 6);
	ASSERT_EQ(tls_read(f.b, got, sizeof(got)), 6);
	/* An end without a word is none. */
	f.fds[0] = fd_close(f.fds[0]);
	ASSERT_EQ(tls_read(f.b, got, sizeof(got)), -EPIPE);
	drop(&f);
}

TEST(what_the_server_does_not_choose_is_not_chosen)
{
	struct fixture f = make();

	join(&f, "10.0.0.1", &both, true);
	ASSERT_OK(shake(&f, "10.0.0.1", TLS_PROTOCOL_NONE, NULL));
	ASSERT_STREQ(tls_conn_hello(f.a)->name, "");
	ASSERT_TRUE(tls_conn_hello(f.a)->alpn);
	ASSERT_EQ(tls_conn_protocol(f.a), TLS_PROTOCOL_NONE);
	ASSERT_EQ(tls_conn_protocol(f.b), TLS_PROTOCOL_NONE);
	drop(&f);
}

TEST(an_offer_keeps_its_order_and_any_of_it_can_be_chosen)
{
	static const enum tls_protocol choices[] = {TLS_PROTOCOL_HTTP1, TLS_PROTOCOL_HTTP2};

	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		struct fixture f = make();

		join(&f, "www.example", &both, true);
		ASSERT_OK(shake(&f, "www.example", choices[i], NULL));
		ASSERT_EQ(tls_conn_hello(f.a)->offer.n, 2);
		ASSERT_MEMEQ(tls_conn_hello(f.a)->offer.list, both.list, 2);
		ASSERT_EQ(tls_conn_protocol(f.a), choices[i]);
		ASSERT_EQ(tls_conn_protocol(f.b), choices[i]);
		drop(&f);
	}
}

TEST(what_was_not_offered_is_not_chosen)
{
	struct fixture f = make();

	join(&f, "www.example", &http1, true);
	ASSERT_OK(shake(&f, "www.example", TLS_PROTOCOL_HTTP2, NULL));
	ASSERT_EQ(tls_conn_protocol(f.b), TLS_PROTOCOL_NONE);
	drop(&f);
	f = make();
	join(&f, "www.example", &nothing, true);
	ASSERT_OK(shake(&f, "www.example", TLS_PROTOCOL_HTTP2, NULL));
	ASSERT_TRUE(!tls_conn_hello(f.a)->alpn);
	ASSERT_EQ(tls_conn_protocol(f.b), TLS_PROTOCOL_NONE);
	drop(&f);
}

TEST(a_certificate_of_another_name_or_nobody)
{
	struct fixture f = make();
	struct msb_err err = {0};

	join(&f, "www.example", &nothing, true);
	ASSERT_EQ(shake(&f, "other.example", TLS_PROTOCOL_NONE, &err), -EPROTO);
	ASSERT_TRUE(strstr(err.msg, "not trusted") && strstr(err.msg, "ostname mismatch"));
	drop(&f);

	f = make();
	(void)tls_client_free(f.client);
	ASSERT_OK(tls_client_new(NULL, 0, &f.client, NULL));
	join(&f, "www.example", &nothing, true);
	ASSERT_EQ(shake(&f, "www.example", TLS_PROTOCOL_NONE, &err), -EPROTO);
	ASSERT_TRUE(strstr(err.msg, "not trusted") != NULL);
	drop(&f);

	f = make();
	join(&f, "www.example", &nothing, false);
	ASSERT_OK(shake(&f, "other.example", TLS_PROTOCOL_NONE, NULL));
	drop(&f);
}

TEST(a_rejected_client_hears_of_it)
{
	struct fixture f = make();
	struct msb_err err = {0};

	join(&f, "www.example", &http1, true);
	ASSERT_EQ(shake(&f, NULL, TLS_PROTOCOL_NONE, &err), -EPROTO);
	ASSERT_TRUE(strstr(err.msg, "alert") != NULL);
	drop(&f);
}

TEST(a_file_that_is_none)
{
	const char *extra[] = {"/dev/null"};
	struct tls_client *c;

	ASSERT_EQ(tls_client_new(extra, 1, &c, NULL), -EINVAL);
}
