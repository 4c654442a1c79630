/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making certificates: see pki.h.
 *
 * A guest's clock may be behind, so certificates are valid from yesterday on; a day later they are
 * made anew. All have the same key: making one costs a signature then, and the guest is the only
 * one who is to trust them.
 */
#include "tls/pki.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#include "tls/pki-internal.h"

enum {
	TLS_LEAVES = 1000,
	DAY_S = 24 * 60 * 60,
	CA_DAYS = 3650,
	LEAF_DAYS = 3,
	SERIAL_BYTES = 16,
	COMMON_NAME_MAX = 64
};
#define LEAF_FRESH_NS (DAY_S * NSEC_PER_SEC)

DEFINE_CLEANUP(X509 *, X509_free);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(BIO *, BIO_free_all);
#define cleanup_x509 cleanup_with(X509_free_p)
#define cleanup_pkey cleanup_with(EVP_PKEY_free_p)
#define cleanup_bio  cleanup_with(BIO_free_all_p)

int tls_fail(struct msb_err *err, int r, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return msb_err_set(err, r, MSB_FAIL, "%s: %s", what, reason ? reason : "OpenSSL failed");
}

static int set_serial(X509 *c)
{
	uint8_t bytes[SERIAL_BYTES];
	BIGNUM *n;
	int ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return 0;
	bytes[0] &= 0x7f; /* positive, and at most 20 bytes */
	bytes[0] |= 0x40;
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c)) != NULL;
	BN_free(n);
	return ok;
}

static int add_extension(X509 *c, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!e)
		return 0;
	ok = X509_add_ext(c, e, -1);
	X509_EXTENSION_free(e);
	return ok;
}

static int set_name(X509_NAME *n, const char *field, const char *value)
{
	return X509_NAME_add_entry_by_txt(
		n, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0);
}

/* The parts that both kinds of certificates have. */
static X509 *blank(EVP_PKEY *key, int days)
{
	X509 *c = X509_new();

	if (c && X509_set_version(c, X509_VERSION_3) && set_serial(c) &&
		X509_gmtime_adj(X509_getm_notBefore(c), -DAY_S) &&
		X509_gmtime_adj(X509_getm_notAfter(c), (long)days * DAY_S) &&
		X509_set_pubkey(c, key))
		return c;
	X509_free(c);
	return NULL;
}

static X509 *make_authority(EVP_PKEY *key)
{
	cleanup_x509 X509 *c = blank(key, CA_DAYS);
	X509_NAME *n = c ? X509_get_subject_name(c) : NULL;

	if (!c || !set_name(n, "O", "microsandbox") || !set_name(n, "CN", "microsandbox CA") ||
		!X509_set_issuer_name(c, n) ||
		!add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
		!add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
		!add_extension(c, c, NID_subject_key_identifier, "hash") ||
		X509_sign(c, key, EVP_sha256()) <= 0)
		return NULL;
	return TAKE_PTR(c);
}

static bool is_address(const char *name)
{
	uint8_t b[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, b) == 1 || inet_pton(AF_INET6, name, b) == 1;
}

static X509 *make_leaf(const struct tls_ca *ca, const char *name)
{
	cleanup_x509 X509 *c = blank(ca->leaf_key, LEAF_DAYS);
	bool short_name = strlen(name) <= COMMON_NAME_MAX;
	char alt[300];
	int n = snprintf(alt, sizeof(alt), "%s%s:%s", short_name ? "" : "critical,",
		is_address(name) ? "IP" : "DNS", name);

	if (!c || n < 0 || (size_t)n >= sizeof(alt))
		return NULL;
	if ((short_name && !set_name(X509_get_subject_name(c), "CN", name)) ||
		!X509_set_issuer_name(c, X509_get_subject_name(ca->cert)) ||
		!add_extension(c, ca->cert, NID_basic_constraints, "critical,CA:FALSE") ||
		!add_extension(c, ca->cert, NID_key_usage, "critical,digitalSignature") ||
		!add_extension(c, ca->cert, NID_ext_key_usage, "serverAuth") ||
		!add_extension(c, ca->cert, NID_subject_key_identifier, "hash") ||
		!add_extension(c, ca->cert, NID_authority_key_identifier, "keyid") ||
		!add_extension(c, ca->cert, NID_subject_alt_name, alt) ||
		X509_sign(c, ca->key, EVP_sha256()) <= 0)
		return NULL;
	return TAKE_PTR(c);
}

static int write_pem(int dir, const char *name, BIO *bio, unsigned int mode)
{
	char *text;
	long len = BIO_get_mem_data(bio, &text);
	int r;

	if (len <= 0)
		return -EIO;
	r = io_write_file_alone(dir, name, text, (size_t)len, mode, true);
	OPENSSL_cleanse(text, (size_t)len);
	return r;
}

/* The key first: a certificate says that both are there. */
static int make_both(int dir, struct msb_err *err)
{
	cleanup_pkey EVP_PKEY *key = EVP_EC_gen("P-256");
	cleanup_x509 X509 *cert = key ? make_authority(key) : NULL;
	cleanup_bio BIO *key_text = BIO_new(BIO_s_mem());
	cleanup_bio BIO *cert_text = BIO_new(BIO_s_mem());
	int r;

	if (!cert || !key_text || !cert_text ||
		!PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) ||
		!PEM_write_bio_X509(cert_text, cert))
		return tls_fail(err, -EIO, "cannot make a certificate authority");
	r = write_pem(dir, TLS_CA_KEY, key_text, 0600);
	if (r == 0)
		r = write_pem(dir, TLS_CA_CERT, cert_text, 0644);
	return r < 0 ? msb_err_errno(err, r, "cannot keep the certificate authority") : 0;
}

/* The directory, and nobody else changes it while it is open. */
static int open_locked(const char *path, int *ret_dir, struct msb_err *err)
{
	cleanup_fd int dir = -EBADF;
	int r = io_mkdir_p(path, 0700);

	if (r < 0)
		return msb_err_errno(err, r, "%s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || flock(dir, LOCK_EX) < 0)
		return msb_err_errno(err, -errno, "%s", path);
	*ret_dir = TAKE_FD(dir);
	return 0;
}

int tls_ca_make(const char *path, struct msb_err *err)
{
	cleanup_fd int dir = -EBADF;
	bool cert;
	int r = open_locked(path, &dir, err);

	if (r < 0)
		return r;
	cert = faccessat(dir, TLS_CA_CERT, F_OK, 0) == 0;
	/* A key alone is what a maker that was killed has left. */
	if (!cert)
		return make_both(dir, err);
	if (faccessat(dir, TLS_CA_KEY, F_OK, 0) == 0)
		return 0;
	r = msb_err_errno(err, -errno, "%s/%s", path, TLS_CA_KEY);
	return msb_err_hint(err, r, "remove %s/%s to have both made anew", path, TLS_CA_CERT);
}

int tls_ca_rotate(const char *path, struct msb_err *err)
{
	cleanup_fd int dir = -EBADF;
	int r = open_locked(path, &dir, err);

	if (r < 0)
		return r;
	/* Never an old certificate beside a new key. */
	if (unlinkat(dir, TLS_CA_CERT, 0) < 0 && errno != ENOENT)
		return msb_err_errno(err, -errno, "%s/%s", path, TLS_CA_CERT);
	return make_both(dir, err);
}

static int read_key(const char *path, EVP_PKEY **ret, struct msb_err *err)
{
	cleanup_bio BIO *bio = NULL;
	char *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, TLS_CA_PEM_MAX, &text, &len);

	if (r < 0)
		return msb_err_errno(err, r, "%s", path);
	bio = BIO_new_mem_buf(text, (int)len);
	*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	explicit_bzero(text, len);
	free(text);
	return *ret ? 0 : tls_fail(err, -EINVAL, path);
}

static int read_cert(const char *path, X509 **ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	cleanup_bio BIO *bio = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, TLS_CA_PEM_MAX, &text, &len);

	if (r < 0)
		return msb_err_errno(err, r, "%s", path);
	bio = BIO_new_mem_buf(text, (int)len);
	*ret = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	return *ret ? 0 : tls_fail(err, -EINVAL, path);
}

static bool seconds_of(const ASN1_TIME *t, uint64_t *ret)
{
	struct tm tm;
	time_t s;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	s = timegm(&tm);
	*ret = s > 0 ? (uint64_t)s : 0;
	return true;
}

static bool print_fingerprint(const X509 *c, char to[TLS_FINGERPRINT])
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (X509_digest(c, EVP_sha256(), md, &len) != 1 || len * 3 != TLS_FINGERPRINT)
		return false;
	for (unsigned int i = 0; i < len; i++) {
		to[3 * i] = digits[md[i] >> 4];
		to[3 * i + 1] = digits[md[i] & 15];
		to[3 * i + 2] = ':';
	}
	to[TLS_FINGERPRINT - 1] = '\0';
	return true;
}

/* All of @bio as a string. */
static bool print_bio(BIO *bio, char *to, size_t size)
{
	char *text;
	long len = BIO_get_mem_data(bio, &text);

	if (len <= 0 || (size_t)len >= size)
		return false;
	memcpy(to, text, (size_t)len);
	to[len] = '\0';
	return true;
}

int tls_ca_describe(const char *path, struct tls_ca_info *ret, struct msb_err *err)
{
	cleanup_x509 X509 *c = NULL;
	cleanup_bio BIO *subject = BIO_new(BIO_s_mem());
	cleanup_bio BIO *pem = BIO_new(BIO_s_mem());
	char file[PATH_MAX];
	int r = snprintf(file, sizeof(file), "%s/" TLS_CA_CERT, path);

	if (r < 0 || (size_t)r >= sizeof(file))
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "%s: the path is too long", path);
	r = read_cert(file, &c, err);
	if (r < 0)
		return r;
	if (!subject || !pem || !print_fingerprint(c, ret->fingerprint) ||
		!seconds_of(X509_get0_notBefore(c), &ret->not_before) ||
		!seconds_of(X509_get0_notAfter(c), &ret->not_after) ||
		X509_NAME_print_ex(subject, X509_get_subject_name(c), 0, XN_FLAG_RFC2253) < 0 ||
		!print_bio(subject, ret->subject, sizeof(ret->subject)) ||
		!PEM_write_bio_X509(pem, c) || !print_bio(pem, ret->pem, sizeof(ret->pem)))
		return tls_fail(err, -EIO, file);
	return 0;
}

int tls_ca_open(
	const char *cert_path, const char *key_path, struct tls_ca **ret, struct msb_err *err)
{
	struct tls_ca *ca = calloc(1, sizeof(*ca));
	int r;

	if (!ca)
		return msb_err_errno(err, -ENOMEM, "certificate authority");
	r = read_cert(cert_path, &ca->cert, err);
	if (r == 0)
		r = read_key(key_path, &ca->key, err);
	if (r == 0 && X509_check_private_key(ca->cert, ca->key) != 1)
		r = tls_fail(err, -EINVAL, "the key is not the certificate's");
	if (r == 0 && X509_check_ca(ca->cert) != 1)
		r = msb_err_usage(err, "%s: not the certificate of an authority", cert_path);
	if (r == 0) {
		ca->leaf_key = EVP_EC_gen("P-256");
		ca->leaves = calloc(TLS_LEAVES, sizeof(ca->leaves[0]));
		if (!ca->leaf_key || !ca->leaves)
			r = tls_fail(err, -ENOMEM, "key for certificates");
	}
	if (r < 0) {
		(void)tls_ca_free(ca);
		return r;
	}
	*ret = ca;
	return 0;
}

struct tls_ca *tls_ca_free(struct tls_ca *ca)
{
	if (!ca)
		return NULL;
	for (size_t i = 0; i < ca->n_leaves; i++)
		X509_free(ca->leaves[i].cert);
	free(ca->leaves);
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	EVP_PKEY_free(ca->leaf_key);
	free(ca);
	return NULL;
}

/* The place of @name, or the one to give up for it. */
static struct tls_leaf *place(struct tls_ca *ca, const char *name)
{
	struct tls_leaf *oldest = &ca->leaves[0];

	for (size_t i = 0; i < ca->n_leaves; i++) {
		if (strcasecmp(ca->leaves[i].name, name) == 0)
			return &ca->leaves[i];
		if (ca->leaves[i].used < oldest->used)
			oldest = &ca->leaves[i];
	}
	return ca->n_leaves < TLS_LEAVES ? &ca->leaves[ca->n_leaves++] : oldest;
}

/* A guest chose it, and it becomes part of a text that has a grammar. */
static bool fit(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(name);

	return len > 0 && len < sizeof(((struct tls_leaf *)0)->name) &&
	       (strspn(name, letters) == len || is_address(name));
}

const struct tls_leaf *tls_ca_leaf(struct tls_ca *ca, const char *name)
{
	uint64_t now = clock_mono_ns();
	struct tls_leaf *l = NULL;
	X509 *cert = NULL;

	if (!fit(name))
		return NULL;
	l = place(ca, name);
	if (l->cert && strcasecmp(l->name, name) == 0 && now - l->made_ns < LEAF_FRESH_NS) {
		l->used = ++ca->uses;
		return l;
	}
	cert = make_leaf(ca, name);
	if (!cert) {
		ERR_clear_error();
		return NULL;
	}
	X509_free(l->cert);
	*l = (struct tls_leaf){.cert = cert, .made_ns = now, .used = ++ca->uses};
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	return l;
}
