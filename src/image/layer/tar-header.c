/* SPDX-License-Identifier: Apache-2.0 */
/* Header blocks of tar: V7, ustar and GNU. See tar.h. */
#include "tar-internal.h"

/* Offsets and lengths of the fields. */
enum {
	AT_NAME = 0,
	LEN_NAME = 100,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	LEN_ID = 8,
	AT_SIZE = 124,
	AT_MTIME = 136,
	LEN_LONG = 12,
	AT_CHECKSUM = 148,
	AT_TYPE = 156,
	AT_LINK = 157,
	AT_MAGIC = 257,
	AT_MAJOR = 329,
	AT_MINOR = 337,
	AT_PREFIX = 345,
	LEN_PREFIX = 155,
	AT_GNU_SPARSE = 386,
	GNU_SPARSE_N = 4,
	AT_GNU_EXTENDED = 482,
	AT_GNU_REAL_SIZE = 483,
	EXTENSION_N = 21,
	AT_EXTENSION_MORE = 504,
	LEN_EXTENT = 24,
};

bool tar_header_is_zero(const uint8_t block[TAR_BLOCK])
{
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		if (block[i])
			return false;
	}
	return true;
}

/* Base-256: the first byte's high bit is set, its second bit is the sign, the rest is big-endian.
 */
static int number_binary(const uint8_t *s, size_t len, bool sign_ok, int64_t *ret)
{
	bool negative = s[0] & 0x40;
	uint64_t v = negative ? UINT64_MAX : 0;

	if (negative && !sign_ok)
		return -EOVERFLOW;
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = i ? s[i] : (uint8_t)(negative ? s[0] | 0x80 : s[0] & 0x3f);

		/* What is shifted out must be nothing but sign. */
		if (v >> 55 != (negative ? 0x1ff : 0))
			return -EOVERFLOW;
		v = v << 8 | byte;
	}
	*ret = (int64_t)v;
	return 0;
}

/* Octal digits, padded by spaces or zeroes in front and by spaces or NULs behind. An empty field is
 * zero. */
static int number_octal(const uint8_t *s, size_t len, int64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < len && s[i] == ' ')
		i++;
	for (; i < len && s[i] >= '0' && s[i] <= '7'; i++) {
		if (v >> 60)
			return -EOVERFLOW;
		v = v << 3 | (uint64_t)(s[i] - '0');
	}
	for (; i < len; i++) {
		if (s[i] != ' ' && s[i] != '\0')
			return -EBADMSG;
	}
	*ret = (int64_t)v;
	return 0;
}

static int number(const uint8_t *s, size_t len, uint64_t *ret)
{
	int64_t v;
	int r = s[0] & 0x80 ? number_binary(s, len, false, &v) : number_octal(s, len, &v);

	if (r == 0)
		*ret = (uint64_t)v;
	return r;
}

static bool checksum_ok(const uint8_t block[TAR_BLOCK])
{
	uint64_t want;
	uint64_t sum = 0;
	int64_t signed_sum = 0;

	if (number(block + AT_CHECKSUM, LEN_ID, &want) < 0)
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		uint8_t byte = i >= AT_CHECKSUM && i < AT_CHECKSUM + LEN_ID ? ' ' : block[i];

		sum += byte;
		signed_sum += (int8_t)byte; /* some old writers summed signed characters */
	}
	return want == sum || (int64_t)want == signed_sum;
}

static void field_copy(char *to, const uint8_t *from, size_t len)
{
	size_t n = strnlen((const char *)from, len);

	memcpy(to, from, n);
	to[n] = '\0';
}

static void header_name(const uint8_t block[TAR_BLOCK], struct tar_header *h)
{
	bool ustar = memcmp(block + AT_MAGIC, "ustar\0", 6) == 0;
	size_t n = 0;

	if (ustar && block[AT_PREFIX]) {
		field_copy(h->name, block + AT_PREFIX, LEN_PREFIX);
		n = strlen(h->name);
		h->name[n++] = '/';
	}
	field_copy(h->name + n, block + AT_NAME, LEN_NAME);
}

int tar_header_decode(const uint8_t block[TAR_BLOCK], struct tar_header *ret, const char **why)
{
	struct tar_header h = {.type = (char)block[AT_TYPE]};
	uint64_t mode = 0;
	int r;

	if (!checksum_ok(block)) {
		*why = "wrong checksum in a header";
		return -EBADMSG;
	}
	h.gnu = memcmp(block + AT_MAGIC, "ustar  ", 7) == 0;
	header_name(block, &h);
	field_copy(h.link, block + AT_LINK, LEN_NAME);
	*why = "malformed number in a header";
	r = number(block + AT_MODE, LEN_ID, &mode);
	if (r == 0)
		r = number(block + AT_UID, LEN_ID, &h.uid);
	if (r == 0)
		r = number(block + AT_GID, LEN_ID, &h.gid);
	if (r == 0)
		r = number(block + AT_SIZE, LEN_LONG, &h.size);
	if (r == 0)
		r = block[AT_MTIME] & 0x80
			    ? number_binary(block + AT_MTIME, LEN_LONG, true, &h.mtime)
			    : number_octal(block + AT_MTIME, LEN_LONG, &h.mtime);
	/* Only device nodes have these fields for sure; V7 has other bytes there. */
	if (r == 0 && (h.type == '3' || h.type == '4')) {
		r = number(block + AT_MAJOR, LEN_ID, &h.major);
		if (r == 0)
			r = number(block + AT_MINOR, LEN_ID, &h.minor);
	}
	if (r < 0)
		return r;
	h.mode = (uint32_t)(mode & 07777);
	*ret = h;
	*why = "";
	return 0;
}

int tar_sparse_add(struct tar_sparse *s, uint64_t at, uint64_t len, const char **why)
{
	uint64_t end;

	if (__builtin_add_overflow(at, len, &end) || end > INT64_MAX ||
		(s->n && at < s->map[s->n - 1].at + s->map[s->n - 1].len)) {
		*why = "sparse map does not ascend";
		return -EBADMSG;
	}
	if (s->n == TAR_SPARSE_MAX) {
		*why = "sparse map too long";
		return -E2BIG;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8;
		struct tar_extent *more = realloc(s->map, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->map = more;
		s->cap = cap;
	}
	s->used = true;
	s->map[s->n++] = (struct tar_extent){.at = at, .len = len};
	return 0;
}

void tar_sparse_deinit(struct tar_sparse *s)
{
	free(s->map);
	*s = (struct tar_sparse){};
}

static int extents(const uint8_t *from, size_t n, struct tar_sparse *s, const char **why)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *e = from + i * LEN_EXTENT;
		uint64_t at;
		uint64_t len;
		int r;

		if (e[0] == '\0')
			break;
		*why = "malformed number in a sparse map";
		r = number(e, LEN_LONG, &at);
		if (r == 0)
			r = number(e + LEN_LONG, LEN_LONG, &len);
		if (r == 0)
			r = tar_sparse_add(s, at, len, why);
		if (r < 0)
			return r;
	}
	return 0;
}

int tar_header_sparse(
	const uint8_t block[TAR_BLOCK], struct tar_sparse *s, bool *ret_more, const char **why)
{
	int r = number(block + AT_GNU_REAL_SIZE, LEN_LONG, &s->real_size);

	if (r < 0) {
		*why = "malformed size of a sparse file";
		return r;
	}
	s->used = true;
	s->have_real_size = true;
	*ret_more = block[AT_GNU_EXTENDED] != 0;
	return extents(block + AT_GNU_SPARSE, GNU_SPARSE_N, s, why);
}

int tar_extension_sparse(
	const uint8_t block[TAR_BLOCK], struct tar_sparse *s, bool *ret_more, const char **why)
{
	*ret_more = block[AT_EXTENSION_MORE] != 0;
	return extents(block, EXTENSION_N, s, why);
}
