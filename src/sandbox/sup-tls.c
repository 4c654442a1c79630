/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interception of TLS: see sup-tls.h.
 *
 * This process knows no OpenSSL and no key: msb-tls makes the certificate authority, when it is
 * first needed, and reads it when it starts. Only the certificate passes through here.
 */
#include "sandbox/sup-tls.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/io.h"

#include "net/intercept/config.h"
#include "sandbox/authority.h"
#include "sandbox/sup-internal.h"

static int join(char *to, size_t size, const char *dir, const char *name, struct msb_err *err)
{
	int n = snprintf(to, size, "%s/%s", dir, name);

	return n < 0 || (size_t)n >= size
		       ? msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "%s: the path is too long", dir)
		       : 0;
}

enum { HOST_BUNDLE_MAX = 4 * 1024 * 1024 };

static int write_config(const struct intercept_config *c, int *ret_fd)
{
	cleanup_fd int fd = memfd_create("msb-tls", MFD_CLOEXEC);
	struct buf json;
	int r;

	if (fd < 0)
		return -errno;
	buf_init(&json, LIMIT_JSON_BYTES);
	r = intercept_config_to_json(c, &json);
	if (r == 0)
		r = io_write_full(fd, buf_data(&json), buf_len(&json));
	buf_deinit(&json);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* The authority that the user has given, or the installation's. */
static int find_ca(struct supervisor *sup, const char *program, struct tls_settings *t,
	char cert[PATH_MAX], char key[PATH_MAX], struct msb_err *err)
{
	char dir[PATH_MAX];
	struct buf none;
	int r;

	if (t->ca_cert)
		return 0;
	buf_init(&none, AUTHORITY_TEXT_MAX);
	r = authority_path(dir, sup->spec.home, "", err);
	if (r == 0)
		r = authority_path(cert, sup->spec.home, AUTHORITY_CERT, err);
	if (r == 0)
		r = authority_path(key, sup->spec.home, AUTHORITY_KEY, err);
	if (r == 0 && (access(cert, F_OK) < 0 || access(key, F_OK) < 0))
		r = authority_ask(program, INTERCEPT_MAKE_CA, dir, &none, err);
	buf_deinit(&none);
	t->ca_cert = cert;
	t->ca_key = key;
	return r;
}

/* A socket that keeps packets apart, for other secrets while it runs. */
static int open_control(struct supervisor *sup, struct sup_net *n)
{
	int fds[2];
	int r = io_socketpair(SOCK_SEQPACKET, fds);

	if (r < 0)
		return r;
	n->tls_control_fd = fds[0];
	sup->tls_control_fd = fds[1];
	return 0;
}

int sup_tls_open(
	struct supervisor *sup, struct sup_net *n, struct engine_spec *es, struct msb_err *err)
{
	struct intercept_config c = {.tls = sup->spec.net.tls, .secrets = sup->spec.net.secrets};
	char cert[PATH_MAX];
	char key[PATH_MAX];
	size_t len;
	int r;

	if (!c.tls.on)
		return 0;
	r = join(n->tls_path, sizeof(n->tls_path), sup->spec.lib_dir, "msb-tls", err);
	if (r == 0)
		r = find_ca(sup, n->tls_path, &c.tls, cert, key, err);
	if (r < 0)
		return r;
	r = io_read_file(AT_FDCWD, c.tls.ca_cert, LIMIT_CA, &sup->ca, &len);
	if (r < 0)
		return msb_err_errno(err, r, "%s", c.tls.ca_cert);
	r = write_config(&c, &n->tls_config_fd);
	if (r < 0)
		return msb_err_errno(err, r, "cannot describe the interception of TLS");
	if (c.secrets.n && !sup->has_secrets)
		return msb_err_set(err, -EBADF, MSB_FAIL, "the values of its secrets are missing");
	if (sup->has_secrets)
		n->secrets_fd = SUP_FD_SECRETS;
	es->net.tls_secrets_fd = n->secrets_fd;
	r = open_control(sup, n);
	if (r < 0)
		return msb_err_errno(err, r, "the socket of msb-tls");
	es->net.tls_control_fd = n->tls_control_fd;
	es->net.tls_path = n->tls_path;
	es->net.tls_config_fd = n->tls_config_fd;
	return 0;
}

/* Where systems keep whom they trust. */
static const char *const host_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END	  "-----END CERTIFICATE-----"

/* Whole lines from PEM_BEGIN to PEM_END and nothing else, in place. Return: bytes left. */
static size_t keep_certificates(char *text)
{
	const char *from = text;
	size_t kept = 0;

	while ((from = strstr(from, PEM_BEGIN))) {
		const char *end = strstr(from, PEM_END);
		const char *line = end ? strchr(end, '\n') : NULL;
		size_t n;

		/* One that is cut off. */
		if (!line)
			break;
		n = (size_t)(line + 1 - from);
		memmove(text + kept, from, n);
		kept += n;
		from += n;
	}
	text[kept] = '\0';
	return kept;
}

int sup_trust_open(struct supervisor *sup, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = -ENOENT;

	if (!sup->spec.net.trust_host_cas)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(host_bundles) && r == -ENOENT; i++)
		r = io_read_file(AT_FDCWD, host_bundles[i], HOST_BUNDLE_MAX, &text, &len);
	if (r == -ENOENT) {
		r = msb_err_set(err, r, MSB_NOT_FOUND, "this host has no list of authorities");
		return msb_err_hint(
			err, r, "install ca-certificates, or leave out --trust-host-cas");
	}
	if (r < 0)
		return msb_err_errno(err, r, "the authorities of the host");
	len = keep_certificates(text);
	if (len > LIMIT_HOST_CAS)
		return msb_err_set(err, -EFBIG, MSB_LIMIT,
			"the authorities of the host take %zu bytes, more than %u", len,
			LIMIT_HOST_CAS);
	sup->host_cas = TAKE_PTR(text);
	return 0;
}

int sup_trust_put(const struct supervisor *sup, struct buf *out)
{
	const char *text = sup->host_cas ? sup->host_cas : "";
	size_t left = strlen(text);
	int r = 0;

	while (left && r == 0) {
		size_t n = MIN(left, (size_t)LIMIT_FRAME_PAYLOAD);

		r = frame_put(out, FRAME_TRUST, 0, 0, text, n);
		text += n;
		left -= n;
	}
	return r;
}

int sup_tls_secrets(struct supervisor *sup, const void *text, size_t len, int fd)
{
	ssize_t n;

	if (sup->tls_control_fd < 0)
		return -ENETDOWN;
	if (fd < 0)
		return -EBADF;
	n = io_send_fd(sup->tls_control_fd, text, len, fd);
	return n < 0 ? (int)n : 0;
}
