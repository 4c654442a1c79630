/* SPDX-License-Identifier: Apache-2.0 */
/* Records of pax headers: "LENGTH KEY=VALUE\n". See tar.h. */
#include "tar-internal.h"

int tar_decimal(const uint8_t *s, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (len == 0)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return -EOVERFLOW;
	}
	*ret = v;
	return 0;
}

/* Seconds with an optional sign and fraction; times before 1970 count down and the fraction up. */
static int pax_time(struct tar_pax *p, const uint8_t *s, size_t len)
{
	bool negative = len && s[0] == '-';
	const uint8_t *dot = memchr(s, '.', len);
	size_t whole = dot ? (size_t)(dot - s) : len;
	uint32_t ns = 0;
	uint32_t scale = 100000000;
	uint64_t v;
	int r = tar_decimal(s + negative, whole - negative, &v);

	if (r < 0)
		return r;
	if (v > INT64_MAX / 2)
		return -EOVERFLOW;
	for (size_t i = whole + 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
		ns += scale * (uint32_t)(s[i] - '0');
		scale /= 10;
	}
	p->mtime_s = negative ? -(int64_t)v : (int64_t)v;
	p->mtime_ns = ns;
	if (negative && ns) {
		p->mtime_s--;
		p->mtime_ns = 1000000000 - ns;
	}
	p->have_mtime = true;
	return 0;
}

static int pax_string(char **field, const uint8_t *s, size_t len, const char **why)
{
	char *copy;

	if (len > TAR_PATH_MAX || memchr(s, '\0', len)) {
		*why = "path too long or with a NUL byte";
		return len > TAR_PATH_MAX ? -ENAMETOOLONG : -EBADMSG;
	}
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, s, len);
	copy[len] = '\0';
	free(*field);
	*field = copy;
	return 0;
}

static int pax_xattr(
	struct tar_pax *p, const char *name, const uint8_t *value, size_t len, const char **why)
{
	struct tar_xattr *x = NULL;
	size_t size = strlen(name) + 1 + len;
	char *store;

	for (size_t i = 0; i < p->n_xattrs && !x; i++) {
		if (streq(p->xattrs[i].name, name))
			x = &p->xattrs[i];
	}
	if ((!x && p->n_xattrs == TAR_XATTRS_MAX) || p->xattr_bytes + size > TAR_XATTR_BYTES_MAX) {
		*why = "too many extended attributes";
		return -E2BIG;
	}
	store = malloc(size);
	if (!store)
		return -ENOMEM;
	memcpy(store, name, strlen(name) + 1);
	if (len)
		memcpy(store + strlen(name) + 1, value, len);
	if (x)
		free((char *)(uintptr_t)x->name);
	else
		x = &p->xattrs[p->n_xattrs++];
	*x = (struct tar_xattr){
		.name = store, .value = (uint8_t *)store + strlen(name) + 1, .len = len};
	p->xattr_bytes += size;
	return 0;
}

/* Version 0.1: all numbers in one record, separated by commas. */
static int sparse_map(struct tar_pax *p, const uint8_t *s, size_t len, const char **why)
{
	uint64_t pair[2];
	unsigned int have = 0;

	p->sparse.n = 0;
	while (len) {
		const uint8_t *comma = memchr(s, ',', len);
		size_t n = comma ? (size_t)(comma - s) : len;
		int r = tar_decimal(s, n, &pair[have]);

		if (r == 0 && ++have == 2) {
			r = tar_sparse_add(&p->sparse, pair[0], pair[1], why);
			have = 0;
		}
		if (r < 0)
			return r;
		n += comma != NULL;
		s += n;
		len -= n;
	}
	return have ? -EBADMSG : 0;
}

static int pax_sparse(
	struct tar_pax *p, const char *key, const uint8_t *s, size_t len, const char **why)
{
	uint64_t v;
	int r;

	if (streq(key, "name"))
		return pax_string(&p->path, s, len, why);
	if (streq(key, "map"))
		return sparse_map(p, s, len, why);
	r = tar_decimal(s, len, &v);
	if (r < 0)
		return r;
	p->sparse.used = true;
	if (streq(key, "major")) {
		p->sparse_in_data = v == 1;
	} else if (streq(key, "size") || streq(key, "realsize")) {
		p->sparse.real_size = v;
		p->sparse.have_real_size = true;
	} else if (streq(key, "offset")) {
		p->pending_at = v;
		p->have_pending = true;
	} else if (streq(key, "numbytes") && p->have_pending) {
		p->have_pending = false;
		return tar_sparse_add(&p->sparse, p->pending_at, v, why);
	}
	return 0; /* minor, numblocks */
}

static int pax_record(
	struct tar_pax *p, const char *key, const uint8_t *s, size_t len, const char **why)
{
	static const char xattr[] = "SCHILY.xattr.";
	static const char sparse[] = "GNU.sparse.";

	/* By the standard an empty value takes a keyword back; what a record said before stays for
	 * the rest. */
	if (len == 0)
		return 0;
	if (strncmp(key, xattr, sizeof(xattr) - 1) == 0)
		return pax_xattr(p, key + sizeof(xattr) - 1, s, len, why);
	if (strncmp(key, sparse, sizeof(sparse) - 1) == 0)
		return pax_sparse(p, key + sizeof(sparse) - 1, s, len, why);
	if (streq(key, "path"))
		return pax_string(&p->path, s, len, why);
	if (streq(key, "linkpath"))
		return pax_string(&p->link, s, len, why);
	if (streq(key, "mtime"))
		return pax_time(p, s, len);
	if (streq(key, "size")) {
		p->have_size = true;
		return tar_decimal(s, len, &p->size);
	}
	if (streq(key, "uid")) {
		p->have_uid = true;
		return tar_decimal(s, len, &p->uid);
	}
	if (streq(key, "gid")) {
		p->have_gid = true;
		return tar_decimal(s, len, &p->gid);
	}
	return 0; /* atime, ctime, comment, names of owners: of no use to an image */
}

/* Length of the record at the head of [@s, @s + @len), and where its key starts. */
static int record_split(const uint8_t *s, size_t len, size_t *ret_len, const uint8_t **ret_key,
	const uint8_t **ret_eq)
{
	const uint8_t *space = memchr(s, ' ', MIN(len, (size_t)20));
	uint64_t n;

	if (!space || tar_decimal(s, (size_t)(space - s), &n) < 0)
		return -EBADMSG;
	if (n > len || n < (uint64_t)(space - s) + 3 || s[n - 1] != '\n')
		return -EBADMSG;
	*ret_key = space + 1;
	*ret_eq = memchr(space + 1, '=', (size_t)(s + n - (space + 1)));
	if (!*ret_eq || *ret_eq == space + 1)
		return -EBADMSG;
	*ret_len = (size_t)n;
	return 0;
}

int tar_pax_parse(struct tar_pax *p, const uint8_t *text, size_t len, const char **why)
{
	while (len) {
		const uint8_t *name;
		const uint8_t *eq;
		char key[300];
		size_t n;
		int r;

		*why = "malformed pax record";
		if (record_split(text, len, &n, &name, &eq) < 0)
			return -EBADMSG;
		/* Names of extended attributes have at most 255 bytes; longer keys are nothing we
		 * know. */
		if ((size_t)(eq - name) < sizeof(key) && !memchr(name, '\0', (size_t)(eq - name))) {
			memcpy(key, name, (size_t)(eq - name));
			key[eq - name] = '\0';
			r = pax_record(p, key, eq + 1, (size_t)(text + n - 1 - (eq + 1)), why);
			if (r < 0)
				return r;
		}
		text += n;
		len -= n;
	}
	*why = "";
	return 0;
}

void tar_pax_deinit(struct tar_pax *p)
{
	free(p->path);
	free(p->link);
	for (size_t i = 0; i < p->n_xattrs; i++)
		free((char *)(uintptr_t)p->xattrs[i].name);
	tar_sparse_deinit(&p->sparse);
	*p = (struct tar_pax){};
}
