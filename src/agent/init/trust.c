/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom programs in the guest trust: see trust.h.
 *
 * The certificate goes to three kinds of places: where the tools of distributions look for
 * additional ones, so that it survives their next run; into each bundle there is, for programs that
 * ask nobody; and into TRUST_BUNDLE, which is made of another bundle where an image has no such
 * file, because the environment of commands names it.
 */
#include "trust.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

enum { BUNDLE_MAX = 8 * 1024 * 1024 };

static const char *const bundles[] = {
	TRUST_BUNDLE, /* Debian, Alpine, Arch, Gentoo */
	"/etc/pki/tls/certs/ca-bundle.crt", /* Fedora, RHEL */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/ca-bundle.pem", /* SUSE */
	"/etc/ssl/cert.pem", /* Alpine's libraries */
};

/* Directories of tools that make bundles; used if their parents are there. */
static const char *const anchors[] = {
	"/etc/pki/ca-trust/source/anchors",
	"/usr/share/pki/trust/anchors",
	"/etc/ca-certificates/trust-source/anchors",
};

/* As PEM files are put one after the other. */
static int append(const char *path, const char *pem)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = io_write_full(fd, "\n", 1);
	return r < 0 ? r : io_write_full(fd, pem, strlen(pem));
}

/* Return: 0 if @path is a bundle, which has @pem now. */
static int extend(const char *path, const char *pem)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, BUNDLE_MAX, &text, &len);

	if (r < 0 || strstr(text, pem))
		return r;
	return append(path, pem);
}

/* There is no TRUST_BUNDLE: it becomes a copy of the first bundle there is. */
static int make_bundle(const char *pem)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r;

	for (size_t i = 1; i < ARRAY_SIZE(bundles) && !text; i++) {
		if (io_read_file(AT_FDCWD, bundles[i], BUNDLE_MAX, &text, &len) < 0)
			text = NULL;
	}
	r = io_mkdir_p("/etc/ssl/certs", 0755);
	if (r == 0)
		r = io_write_file_atomic(
			AT_FDCWD, TRUST_BUNDLE, text ? text : "", len, 0644, false);
	return r == 0 && !(text && strstr(text, pem)) ? append(TRUST_BUNDLE, pem) : r;
}

static void add_anchor(const char *dir, const char *pem)
{
	char path[128];
	int r;

	(void)snprintf(path, sizeof(path), "%s/microsandbox-ca.crt", dir);
	if (access(dir, F_OK) < 0)
		return;
	r = io_write_file_atomic(AT_FDCWD, path, pem, strlen(pem), 0644, false);
	if (r < 0)
		log_warn("cannot write %s: %s", path, strerror(-r));
}

void trust_install(const char *pem)
{
	int r = io_mkdir_p("/usr/local/share/ca-certificates", 0755);

	if (r == 0)
		r = io_write_file_atomic(AT_FDCWD, TRUST_CA, pem, strlen(pem), 0644, false);
	if (r < 0)
		log_warn("cannot write " TRUST_CA ": %s", strerror(-r));
	for (size_t i = 0; i < ARRAY_SIZE(anchors); i++)
		add_anchor(anchors[i], pem);
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
		r = extend(bundles[i], pem);
		if (r == -ENOENT && i == 0)
			r = make_bundle(pem);
		if (r < 0 && r != -ENOENT)
			log_warn("cannot add a certificate to %s: %s", bundles[i], strerror(-r));
	}
}
