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
	es->net.tls_path = n->tls_path;
	es->net.tls_config_fd = n->tls_config_fd;
	return 0;
}

int sup_env_make(const struct sandbox_spec *spec, struct sup_env *ret)
{
	const struct secret_settings *s = &spec->net.secrets;
	size_t n = 0;

	while (spec->env && spec->env[n])
		n++;
	ret->items = calloc(n + s->n + 1, sizeof(ret->items[0]));
	ret->texts = calloc((size_t)s->n + 1, sizeof(ret->texts[0]));
	if (!ret->items || !ret->texts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ret->items[i] = spec->env[i];
	/* The last one of a name wins. */
	for (uint32_t i = 0; i < s->n; i++) {
		(void)snprintf(ret->texts[i], sizeof(ret->texts[i]), "%s=" SECRET_PLACEHOLDER "%s",
			s->rules[i].name, s->rules[i].name);
		ret->items[n++] = ret->texts[i];
	}
	return 0;
}

void sup_env_deinit(struct sup_env *e)
{
	free(e->items);
	free(e->texts);
}
