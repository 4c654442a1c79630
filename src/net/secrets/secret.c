/* SPDX-License-Identifier: Apache-2.0 */
/* The values of secrets, and which hosts they are for: see secret.h. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/secrets/secret-internal.h"

#define VALUES_MAX ((size_t)SECRETS_MAX * (SECRET_VALUE_MAX + sizeof(uint32_t)))

struct reader {
	int fd;
	off_t offset; /* in the file */
	char *at, *end; /* where values go */
};

static int keep_value(struct secret *s, const struct secrets *old, struct reader *r)
{
	for (uint32_t i = 0; old && i < old->n; i++) {
		const struct secret *o = &old->list[i];

		if (!streq(o->name, s->name))
			continue;
		memcpy(r->at, o->value, o->value_len);
		s->value_len = o->value_len;
		return 0;
	}
	return -EBADMSG;
}

static int read_value(struct secret *s, const struct secrets *old, struct reader *r)
{
	int e = 0;

	if (pread(r->fd, &s->value_len, sizeof(s->value_len), r->offset) != sizeof(s->value_len) ||
		s->value_len > SECRET_VALUE_MAX || s->value_len > (size_t)(r->end - r->at))
		return -EBADMSG;
	r->offset += (off_t)sizeof(s->value_len);
	if (s->value_len == 0)
		e = keep_value(s, old, r);
	else if (pread(r->fd, r->at, s->value_len, r->offset) != (ssize_t)s->value_len)
		e = -EBADMSG;
	else
		r->offset += (off_t)s->value_len;
	s->value = r->at;
	r->at += s->value_len;
	return e;
}

/* Other holders of the descriptor, and the pages behind it, have nothing any more. */
static int erase(int fd, off_t size)
{
	static const char zeros[4096];

	for (off_t at = 0; at < size; at += (off_t)sizeof(zeros)) {
		size_t n = (size_t)MIN((off_t)sizeof(zeros), size - at);

		if (pwrite(fd, zeros, n, at) != (ssize_t)n)
			return -EIO;
	}
	return ftruncate(fd, 0) < 0 ? -errno : 0;
}

static int add(struct secrets *s, const struct secret_rule *rule, struct msb_err *err)
{
	struct secret *to = &s->list[s->n];
	int r = 0;

	(void)snprintf(to->name, sizeof(to->name), "%s", rule->name);
	to->name_len = strlen(to->name);
	to->inject = rule->inject ? rule->inject : SECRET_IN_DEFAULT;
	for (; to->n_hosts < rule->n_hosts && r == 0; to->n_hosts++)
		r = name_pattern_parse(rule->hosts[to->n_hosts], &to->hosts[to->n_hosts], err);
	s->n++;
	return r;
}

int secrets_new(
	const struct secret_settings *settings, int fd, struct secrets **ret, struct msb_err *err)
{
	return secrets_renew(settings, fd, NULL, ret, err);
}

int secrets_renew(const struct secret_settings *settings, int fd, const struct secrets *old,
	struct secrets **ret, struct msb_err *err)
{
	struct secrets *s = calloc(1, sizeof(*s));
	struct reader reader = {.fd = fd};
	struct stat st;
	int r = 0;

	if (!s)
		return msb_err_errno(err, -ENOMEM, "secrets");
	s->refs = 1;
	s->violation = settings->violation;
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || (size_t)st.st_size > VALUES_MAX) {
		free(s);
		return msb_err_set(err, -EBADMSG, MSB_FAIL, "there are no values of secrets");
	}
	s->size = (size_t)st.st_size + (old ? old->size : 0);
	s->values = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->values == MAP_FAILED) {
		free(s);
		return msb_err_errno(err, -ENOMEM, "secrets");
	}
	if (mlock(s->values, s->size) < 0 || madvise(s->values, s->size, MADV_DONTDUMP) < 0)
		r = msb_err_errno(err, -errno, "cannot lock memory for secrets");
	reader.at = s->values;
	reader.end = s->values + s->size;
	for (uint32_t i = 0; i < settings->n && r == 0; i++) {
		r = add(s, &settings->rules[i], err);
		if (r == 0)
			r = read_value(&s->list[i], old, &reader);
		if (r == -EBADMSG)
			(void)msb_err_set(err, r, MSB_FAIL, "no value for the secret %s",
				settings->rules[i].name);
	}
	if (r == 0)
		r = erase(fd, st.st_size);
	if (r < 0) {
		(void)secrets_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct secrets *secrets_ref(struct secrets *s)
{
	if (s)
		s->refs++;
	return s;
}

struct secrets *secrets_free(struct secrets *s)
{
	if (!s || --s->refs > 0)
		return NULL;
	explicit_bzero(s->values, s->size);
	(void)munmap(s->values, s->size);
	free(s);
	return NULL;
}

bool secrets_loud(const struct secrets *s)
{
	return s->violation != SECRET_BLOCK;
}

bool secrets_fatal(const struct secrets *s)
{
	return s->violation == SECRET_TERMINATE;
}
