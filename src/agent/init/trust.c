/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom programs in the guest trust: see trust.h.
 *
 * Certificates go to places of three kinds: where the tools of distributions look for additional
 * ones, so that they survive their next run; into each bundle there is, for programs that ask
 * nobody; and into TRUST_BUNDLE, which is made of another bundle where an image has no such file,
 * because the environment of commands names it.
 *
 * In a bundle they stand between two lines, by which the next start finds them: then the authority
 * may be another one, and the old one is not to be trusted any more. Everything is the image's, and
 * the image may be anybody's: files are read up to BUNDLE_MAX and written only if they are some.
 */
#include "trust.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

enum { BUNDLE_MAX = 8 * 1024 * 1024 };

#define MARK_BEGIN "# microsandbox: added at each start\n"
#define MARK_END   "# microsandbox: end\n"

/* Names of one file, some of them, in most images: the second one finds that nothing is to do. */
static const char *const bundles[] = {
	TRUST_BUNDLE, /* Debian, Alpine, Arch, Gentoo, openSUSE's programs in Go */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
	"/etc/pki/tls/certs/ca-bundle.crt", /* and their older releases */
	"/etc/pki/tls/cert.pem", "/var/lib/ca-certificates/ca-bundle.pem", /* SUSE */
	"/etc/ssl/ca-bundle.pem", "/etc/ca-certificates/extracted/tls-ca-bundle.pem", /* Arch */
	"/etc/ssl/cert.pem", /* Alpine's libraries */
	"/usr/lib/ssl/cert.pem", /* OpenSSL's own, Debian */
	"/usr/local/ssl/cert.pem", /* OpenSSL's own, built by hand */
};

/* Directories of tools that make bundles; used if they are there, the first one in any case. */
static const char *const anchors[] = {
	"/usr/local/share/ca-certificates", /* Debian, Alpine */
	"/etc/pki/ca-trust/source/anchors", /* Fedora, RHEL */
	"/etc/pki/trust/anchors", /* SUSE */
	"/usr/share/pki/trust/anchors", "/etc/ca-certificates/trust-source/anchors", /* Arch */
};

struct job {
	const char *root;
	char *block; /* between and with the marks */
};

static int path_of(char to[PATH_MAX], const struct job *j, const char *path)
{
	int n = snprintf(to, PATH_MAX, "%s%s", j->root, path);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The content of @path, if it is a bundle: an image may have a pipe or a terabyte there. */
static int read_bundle(const char *path, char **ret, size_t *ret_len)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	cleanup_free char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > BUNDLE_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	r = io_read_full(fd, text, (size_t)st.st_size);
	if (r < 0)
		return r;
	text[st.st_size] = '\0';
	if (strlen(text) != (size_t)st.st_size)
		return -EINVAL;
	*ret = TAKE_PTR(text);
	*ret_len = (size_t)st.st_size;
	return 0;
}

/* All of @text from @at on, in the file @path, whose owner, mode and other names stay. */
static int write_from(const char *path, size_t at, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (lseek(fd, (off_t)at, SEEK_SET) < 0)
		return -errno;
	r = io_write_full(fd, text, strlen(text));
	if (r == 0 && ftruncate(fd, (off_t)(at + strlen(text))) < 0)
		r = -errno;
	return r;
}

/*
 * What @old is to end with, from *@ret_at on, so that our block is at its end and nowhere else.
 * Return: 1, 0 if all is as it should be, -ENOMEM.
 */
static int plan(const struct job *j, const char *old, size_t *ret_at, char **ret)
{
	const char *begin = strstr(old, MARK_BEGIN);
	const char *end = begin ? strstr(begin, MARK_END) : NULL;
	const char *rest = end ? end + strlen(MARK_END) : "";
	size_t len = begin ? (size_t)(begin - old) : strlen(old);
	bool glue = len > 0 && old[len - 1] != '\n';
	int n;

	/* Half a block is what a guest that was killed has left. */
	if (begin && end && !*rest && strlen(j->block) == (size_t)(rest - begin) &&
		memcmp(begin, j->block, (size_t)(rest - begin)) == 0)
		return 0;
	n = asprintf(ret, "%s%s%s", glue ? "\n" : "", rest, j->block);
	*ret_at = len;
	return n < 0 ? -ENOMEM : 1;
}

/* Return: 0 if @path is a bundle, which has the block now. */
static int extend(const struct job *j, const char *path)
{
	cleanup_free char *text = NULL;
	cleanup_free char *more = NULL;
	size_t len;
	size_t at = 0;
	int r = read_bundle(path, &text, &len);

	if (r < 0 || !text)
		return r;
	r = plan(j, text, &at, &more);
	return r > 0 ? write_from(path, at, more) : r;
}

/* There is no TRUST_BUNDLE: it becomes a copy of the first bundle there is. */
static int make_bundle(const struct job *j)
{
	cleanup_free char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r;

	for (size_t i = 1; i < ARRAY_SIZE(bundles) && !text; i++) {
		if (path_of(path, j, bundles[i]) < 0 || read_bundle(path, &text, &len) < 0)
			text = NULL;
	}
	r = path_of(path, j, "/etc/ssl/certs");
	if (r == 0)
		r = io_mkdir_p(path, 0755);
	if (r == 0)
		r = path_of(path, j, TRUST_BUNDLE);
	if (r == 0)
		r = io_write_file_atomic(AT_FDCWD, path, text ? text : "", len, 0644, false);
	return r == 0 ? extend(j, path) : r;
}

/* @pem as the file @name of an anchors' directory; none if it is empty. */
static int put_anchor(const char *dir, const char *name, const char *pem)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	if (!pem[0])
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	return io_write_file_atomic(AT_FDCWD, path, pem, strlen(pem), 0644, false);
}

static void add_anchors(const struct job *j, const char *ca, const char *host)
{
	for (size_t i = 0; i < ARRAY_SIZE(anchors); i++) {
		char dir[PATH_MAX];
		int r = path_of(dir, j, anchors[i]);

		if (r == 0 && i == 0)
			r = io_mkdir_p(dir, 0755);
		if (r == 0 && access(dir, F_OK) < 0)
			continue;
		if (r == 0)
			r = put_anchor(dir, "microsandbox-ca.crt", ca);
		if (r == 0)
			r = put_anchor(dir, "microsandbox-host-cas.crt", host);
		if (r < 0)
			log_warn("cannot add a certificate to %s: %s", anchors[i], strerror(-r));
	}
}

static void put_alone(const struct job *j, const char *ca)
{
	char path[PATH_MAX];
	int r = path_of(path, j, TRUST_DIR);

	if (r == 0)
		r = io_mkdir_p(path, 0755);
	if (r == 0)
		r = path_of(path, j, TRUST_CA);
	if (r == 0)
		r = io_write_file_atomic(AT_FDCWD, path, ca, strlen(ca), 0644, false);
	if (r < 0)
		log_warn("cannot write " TRUST_CA ": %s", strerror(-r));
}

static void add_to_bundles(const struct job *j)
{
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
		char path[PATH_MAX];
		int r = path_of(path, j, bundles[i]);

		if (r == 0)
			r = extend(j, path);
		if (r == -ENOENT && i == 0)
			r = make_bundle(j);
		if (r < 0 && r != -ENOENT)
			log_warn("cannot add a certificate to %s: %s", bundles[i], strerror(-r));
	}
}

void trust_install(const char *root, const char *ca, const char *host)
{
	struct job j = {.root = root};

	if (asprintf(&j.block, MARK_BEGIN "%s%s" MARK_END, ca, host) < 0) {
		log_warn("cannot add certificates: %s", strerror(ENOMEM));
		return;
	}
	if (ca[0])
		put_alone(&j, ca);
	add_anchors(&j, ca, host);
	add_to_bundles(&j);
	free(j.block);
}
