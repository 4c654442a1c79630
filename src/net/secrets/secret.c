/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in requests: see secret.h.
 *
 * A placeholder is looked for as it is, and as what a server would make of an encoding that a guest
 * may hide it in: %XX, \uXXXX, and the Base64 of a Basic authorization. Values are put in only for
 * what was written plainly.
 */
#include "net/secrets/secret.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/policy/pattern.h"

enum { PLACEHOLDER_MAX = sizeof(SECRET_PLACEHOLDER) + SECRET_NAME_MAX, BASIC_MAX = 24 * 1024 };
#define VALUES_MAX ((size_t)SECRETS_MAX * (SECRET_VALUE_MAX + sizeof(uint32_t)))

struct secret {
	char name[SECRET_NAME_MAX + 1];
	char placeholder[PLACEHOLDER_MAX];
	size_t placeholder_len;
	uint32_t n_hosts;
	struct name_pattern hosts[SECRET_HOSTS_MAX];
	const char *value;
	uint32_t value_len;
};

struct secrets {
	uint32_t n;
	uint32_t violation; /* enum secret_violation */
	struct secret list[SECRETS_MAX];
	char *values; /* .size bytes that are locked */
	size_t size;
};

static int read_value(struct secret *s, int fd, char *at, off_t *offset)
{
	if (pread(fd, &s->value_len, sizeof(s->value_len), *offset) != sizeof(s->value_len) ||
		s->value_len == 0 || s->value_len > SECRET_VALUE_MAX)
		return -EBADMSG;
	*offset += (off_t)sizeof(s->value_len);
	if (pread(fd, at, s->value_len, *offset) != (ssize_t)s->value_len)
		return -EBADMSG;
	*offset += (off_t)s->value_len;
	s->value = at;
	return 0;
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
	(void)snprintf(
		to->placeholder, sizeof(to->placeholder), SECRET_PLACEHOLDER "%s", rule->name);
	to->placeholder_len = strlen(to->placeholder);
	for (; to->n_hosts < rule->n_hosts && r == 0; to->n_hosts++)
		r = name_pattern_parse(rule->hosts[to->n_hosts], &to->hosts[to->n_hosts], err);
	s->n++;
	return r;
}

int secrets_new(
	const struct secret_settings *settings, int fd, struct secrets **ret, struct msb_err *err)
{
	struct secrets *s = calloc(1, sizeof(*s));
	off_t offset = 0;
	struct stat st;
	int r = 0;

	if (!s)
		return msb_err_errno(err, -ENOMEM, "secrets");
	s->violation = settings->violation;
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || (size_t)st.st_size > VALUES_MAX) {
		free(s);
		return msb_err_set(err, -EBADMSG, MSB_FAIL, "there are no values of secrets");
	}
	s->size = (size_t)st.st_size;
	s->values = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->values == MAP_FAILED) {
		free(s);
		return msb_err_errno(err, -ENOMEM, "secrets");
	}
	if (mlock(s->values, s->size) < 0 || madvise(s->values, s->size, MADV_DONTDUMP) < 0)
		r = msb_err_errno(err, -errno, "cannot lock memory for secrets");
	for (uint32_t i = 0; i < settings->n && r == 0; i++) {
		r = add(s, &settings->rules[i], err);
		if (r == 0)
			r = read_value(&s->list[i], fd, s->values + offset, &offset);
		if (r == -EBADMSG)
			(void)msb_err_set(err, r, MSB_FAIL, "no value for the secret %s",
				settings->rules[i].name);
	}
	if (r == 0)
		r = erase(fd, offset);
	if (r < 0) {
		(void)secrets_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct secrets *secrets_free(struct secrets *s)
{
	if (!s)
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

static bool is_for(const struct secret *s, const struct secret_place *place)
{
	return place->tls && place->pinned && name_pattern_any(s->hosts, s->n_hosts, place->host);
}

/* The first placeholder in @t, of several at one place the longest; NULL: none. */
static const struct secret *find(const struct secrets *s, const char *t, size_t n, size_t *ret_at)
{
	const struct secret *best = NULL;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret *one = &s->list[i];
		const char *p = memmem(t, n, one->placeholder, one->placeholder_len);
		size_t at = p ? (size_t)(p - t) : n;

		if (!p || (best && (at > *ret_at ||
					   (at == *ret_at &&
						   one->placeholder_len < best->placeholder_len))))
			continue;
		best = one;
		*ret_at = at;
	}
	return best;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX and \u00XX become what they mean; the rest stays. Return: the new length. */
static size_t unescape(const char *t, size_t n, char *to)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (t[i] == '%' && n - i > 2 && hex(t[i + 1]) >= 0 && hex(t[i + 2]) >= 0) {
			to[used++] = (char)(hex(t[i + 1]) << 4 | hex(t[i + 2]));
			i += 2;
		} else if (t[i] == '\\' && n - i > 5 && (t[i + 1] | 0x20) == 'u' &&
			   t[i + 2] == '0' && t[i + 3] == '0' && hex(t[i + 4]) >= 0 &&
			   hex(t[i + 5]) >= 0) {
			to[used++] = (char)(hex(t[i + 4]) << 4 | hex(t[i + 5]));
			i += 5;
		} else {
			to[used++] = t[i];
		}
	}
	return used;
}

/* A placeholder in @t that is written in another way: also NULL when out of memory, then *@ret_r.
 */
static const struct secret *find_hidden(
	const struct secrets *s, const char *t, size_t n, int *ret_r)
{
	const struct secret *found = NULL;
	char *plain;
	size_t at;

	if (!memchr(t, '%', n) && !memchr(t, '\\', n))
		return NULL;
	plain = malloc(n);
	if (!plain) {
		*ret_r = -ENOMEM;
		return NULL;
	}
	found = find(s, plain, unescape(t, n, plain), &at);
	free(plain);
	return found;
}

static int violation(const struct secrets *s, const struct secret *one, const char *why,
	struct secret_verdict *ret)
{
	*ret = (struct secret_verdict){.name = one->name, .why = why};
	return s->violation == SECRET_PASSTHROUGH ? 0 : -EACCES;
}

/* Nothing may be here: neither plain nor hidden. */
static int none_in(const struct secrets *s, const char *t, size_t n, const char *why,
	struct secret_verdict *ret)
{
	size_t at;
	int r = 0;
	const struct secret *one = find(s, t, n, &at);

	if (!one)
		one = find_hidden(s, t, n, &r);
	return one ? violation(s, one, why, ret) : r;
}

static const char foreign[] = "a placeholder on its way to a host that its secret is not for";

/* Append @t with values in it. */
static int fill(const struct secrets *s, const struct secret_place *place, const char *t, size_t n,
	struct buf *out, struct secret_verdict *ret)
{
	int r = 0;
	size_t at = 0;
	const struct secret *one;

	while (r == 0 && (one = find(s, t, n, &at))) {
		bool ok = is_for(one, place);

		if (!ok)
			r = violation(s, one, foreign, ret);
		else
			ret->name = one->name;
		if (r == 0)
			r = buf_append(out, t, at);
		if (r == 0)
			r = buf_append(out, ok ? one->value : one->placeholder,
				ok ? one->value_len : one->placeholder_len);
		t += at + one->placeholder_len;
		n -= at + one->placeholder_len;
	}
	if (r == 0)
		r = buf_append(out, t, n);
	return r == 0 || r == -EACCES ? r : -ENOMEM;
}

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool decode64(const char *t, size_t n, char *to, size_t *ret_n)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t used = 0;

	while (n > 0 && t[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		const char *d = t[i] ? strchr(digits64, t[i]) : NULL;

		if (!d)
			return false;
		bits = bits << 6 | (uint32_t)(d - digits64);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		to[used++] = (char)(bits >> have & 0xff);
	}
	*ret_n = used;
	return true;
}

static int encode64(const uint8_t *t, size_t n, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i += 3) {
		uint32_t v = (uint32_t)t[i] << 16 | (uint32_t)(i + 1 < n ? t[i + 1] : 0) << 8 |
			     (i + 2 < n ? t[i + 2] : 0);
		char four[4] = {digits64[v >> 18], digits64[v >> 12 & 63],
			i + 1 < n ? digits64[v >> 6 & 63] : '=',
			i + 2 < n ? digits64[v & 63] : '='};

		r = buf_append(out, four, sizeof(four));
	}
	return r;
}

static void wipe(struct buf *b)
{
	if (b->base)
		explicit_bzero(b->base, b->cap);
	buf_deinit(b);
}

/* The Base64 @t of a name and a password. Return: 1: there is no placeholder in it. */
static int fill_basic(const struct secrets *s, const struct secret_place *place, const char *t,
	size_t n, struct buf *out, struct secret_verdict *ret)
{
	cleanup_free char *plain = malloc(n + 1);
	struct buf filled;
	size_t len;
	size_t at;
	int r;

	if (!plain)
		return -ENOMEM;
	if (!decode64(t, n, plain, &len) || !find(s, plain, len, &at))
		return 1;
	buf_init(&filled, VALUES_MAX + BASIC_MAX);
	/* All of it at once: growing would leave copies behind. */
	r = buf_reserve(&filled, len + 8 * (size_t)SECRET_VALUE_MAX) ? 0 : -ENOMEM;
	if (r == 0)
		r = fill(s, place, plain, len, &filled, ret);
	if (r == 0)
		r = encode64(buf_data(&filled), buf_len(&filled), out);
	wipe(&filled);
	return r;
}

static bool is_basic(const struct http_field *f, size_t *ret_skip)
{
	static const char word[] = "Basic ";
	size_t skip = sizeof(word) - 1;

	if ((!http_is(&f->name, "Authorization") && !http_is(&f->name, "Proxy-Authorization")) ||
		f->value.len < skip || strncasecmp(f->value.at, word, skip) != 0)
		return false;
	while (skip < f->value.len && f->value.at[skip] == ' ')
		skip++;
	*ret_skip = skip;
	return true;
}

static int fill_value(const struct secrets *s, const struct secret_place *place,
	const struct http_field *f, struct buf *out, struct secret_verdict *ret)
{
	const char *t = f->value.at;
	size_t n = f->value.len;
	const struct secret *hidden;
	size_t skip = 0;
	int r = 0;

	if (is_basic(f, &skip) && n <= BASIC_MAX) {
		size_t before = buf_len(out);

		r = buf_append(out, t, skip);
		if (r == 0)
			r = fill_basic(s, place, t + skip, n - skip, out, ret);
		if (r <= 0)
			return r;
		out->tail = out->head + before;
		r = 0;
	}
	hidden = find_hidden(s, t, n, &r);
	if (hidden && !is_for(hidden, place))
		r = violation(s, hidden, foreign, ret);
	return r == 0 ? fill(s, place, t, n, out, ret) : r;
}

static int fill_head(const struct secrets *s, const struct secret_place *place, const char *raw,
	size_t n, const struct http_head *h, struct buf *out, struct secret_verdict *ret)
{
	const char *done = raw;
	int r = none_in(s, h->method.at, h->method.len, "a placeholder as the method", ret);

	if (r == 0)
		r = none_in(s, h->target.at, h->target.len,
			"a placeholder in the target of a request, where no value is put in", ret);
	for (uint32_t i = 0; i < h->n_fields && r == 0; i++) {
		const struct http_field *f = &h->fields[i];

		r = none_in(
			s, f->name.at, f->name.len, "a placeholder in the name of a field", ret);
		if (r == 0)
			r = buf_append(out, done, (size_t)(f->value.at - done));
		if (r == 0)
			r = fill_value(s, place, f, out, ret);
		done = f->value.at + f->value.len;
	}
	return r == 0 ? buf_append(out, done, (size_t)(raw + n - done)) : r;
}

int secrets_head(const struct secrets *s, const struct secret_place *place, const char *raw,
	size_t n, const struct http_head *h, struct buf *out, struct secret_verdict *ret)
{
	size_t before = buf_len(out);
	int r;

	*ret = (struct secret_verdict){.name = NULL};
	r = fill_head(s, place, raw, n, h, out, ret);
	if (r < 0)
		out->tail = out->head + before;
	return r == 0 || r == -EACCES ? r : -ENOMEM;
}

int secrets_body(const struct secrets *s, struct secret_scan *scan, const void *p, size_t n,
	struct secret_verdict *ret)
{
	cleanup_free char *window = malloc(scan->n + n + 1);
	size_t len = scan->n + n;
	int r;

	*ret = (struct secret_verdict){.name = NULL};
	if (!window)
		return -ENOMEM;
	memcpy(window, scan->carry, scan->n);
	memcpy(window + scan->n, p, n);
	r = none_in(s, window, len, "a placeholder in a body, where no value is put in", ret);
	scan->n = MIN(len, sizeof(scan->carry));
	memcpy(scan->carry, window + len - scan->n, scan->n);
	return r;
}
