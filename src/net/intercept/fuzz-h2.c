/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes of a guest and of its server, in turn, as HTTP/2.
 *
 * The input is pieces: a byte that says who speaks (bit 7) and what h2_write() may take afterwards
 * (bits 5 and 6), one that says how many bytes follow, and those. A client's magic comes by itself.
 * The first byte of all says whether there are secrets: their values never get to the guest.
 */
#include <sys/mman.h>
#include <sys/random.h>

#include "net/intercept/h2-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FROM_SERVER = 0x80, TO_GUEST = 0x40, TO_SERVER = 0x20, OUT_BYTES = 256 * 1024 };

enum { WITH_SECRETS = 1, IN_BODIES = 2, VALUE_BYTES = 16 };

struct seen {
	unsigned int done, refused;
};

/*
 * Something that no input has. It is looked for by a sum over bytes: libFuzzer watches memmem() and
 * its like, and would put what these look for into its inputs.
 */
static char value[2 * VALUE_BYTES + 1];

static uint64_t sum_of(const uint8_t *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < 2 * VALUE_BYTES; i++)
		sum = sum * UINT64_C(1099511628211) + p[i];
	return sum;
}

static bool has_value(const struct buf *b)
{
	uint64_t sum = sum_of((const uint8_t *)value);

	for (size_t i = 0; value[0] && i + 2 * VALUE_BYTES <= buf_len(b); i++) {
		if (sum_of(buf_data(b) + i) == sum)
			return true;
	}
	return false;
}

static struct secrets *make_secrets(uint32_t inject)
{
	const struct secret_settings settings = {
		.n = 1, .rules = {{.name = "K", .n_hosts = 1, .hosts = {"a"}, .inject = inject}}};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	uint8_t noise[VALUE_BYTES];
	struct secrets *s = NULL;

	if (value[0] == '\0') {
		if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
			abort();
		for (size_t i = 0; i < sizeof(noise); i++)
			(void)snprintf(value + 2 * i, 3, "%02x", noise[i]);
	}
	if (fd < 0 || secret_value_write(fd, value, NULL) < 0 ||
		secrets_new(&settings, fd, &s, NULL) < 0)
		abort();
	(void)close(fd);
	return s;
}

static const struct secrets *secrets_for(uint8_t what)
{
	static struct secrets *made[2];
	struct secrets **s = &made[what & IN_BODIES ? 1 : 0];

	if (!(what & WITH_SECRETS))
		return NULL;
	if (!*s)
		*s = make_secrets(what & IN_BODIES
					  ? SECRET_IN_DEFAULT | SECRET_IN_QUERY | SECRET_IN_BODY
					  : 0);
	return *s;
}

static void on_done(void *ctx, const struct exchange_request *r)
{
	struct seen *s = ctx;

	if (!r->method[0] || r->path[0] == '\0')
		abort();
	s->done++;
}

static void on_refused(void *ctx, const char *why, const char *secret)
{
	struct seen *s = ctx;

	if (!why)
		abort();
	(void)secret;
	s->refused++;
}

/* What may wait in memory, whatever comes. */
static void check(const struct h2 *h)
{
	size_t waiting = 0;
	size_t n = 0;

	for (const struct h2_stream *st = h->streams; st; st = st->next) {
		n++;
		if (!st->open[H2_GUEST] && !st->open[H2_SERVER])
			abort();
		for (int i = 0; i < 2; i++) {
			size_t len = buf_len(&st->from[i].bytes);

			if (len > st->from[i].window + (size_t)(st->fill ? SECRET_ROOM : 0))
				abort();
			waiting += st->fill ? 0 : len;
		}
	}
	if (n != h->n_streams || n > H2_STREAMS_MAX + 64 || h->more > H2_WINDOWS_MORE ||
		waiting > 2 * n * H2_WINDOW + h->more)
		abort();
}

static int step(struct h2 *h, uint8_t what, const uint8_t *p, size_t n, struct buf out[2])
{
	int r = 0;

	if (h2_may_read(h, what & FROM_SERVER ? H2_SERVER : H2_GUEST))
		r = h2_read(h, what & FROM_SERVER ? H2_SERVER : H2_GUEST, p, n);
	for (int i = 0; i < 2 && r == 0; i++) {
		if (!(what & (i == H2_GUEST ? TO_GUEST : TO_SERVER)))
			continue;
		r = MIN(h2_write(h, (enum h2_side)i, &out[i]), 0);
		if (i == H2_GUEST && has_value(&out[i]))
			abort();
		buf_consume(&out[i], buf_len(&out[i]));
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = {.done = 0};
	const struct h2_rules rules = {.host = "a",
		.port = 443,
		.secrets = size ? secrets_for(data[0]) : NULL,
		.place = {.host = "a", .tls = true, .pinned = true},
		.done = on_done,
		.refused = on_refused,
		.ctx = &seen};
	struct h2 *h = NULL;
	struct buf out[2];
	int r;

	if (size == 0)
		return 0;
	data++;
	size--;
	r = h2_new(&rules, &h);
	buf_init(&out[0], OUT_BYTES);
	buf_init(&out[1], OUT_BYTES);
	if (r == 0)
		r = h2_read(h, H2_GUEST, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	while (r == 0 && size >= 2) {
		size_t n = MIN(size - 2, (size_t)data[1]);

		r = step(h, data[0], data + 2, n, out);
		check(h);
		data += 2 + n;
		size -= 2 + n;
	}
	if (r == 0) {
		h2_end(h, size ? H2_SERVER : H2_GUEST);
		(void)step(h, TO_GUEST | TO_SERVER, NULL, 0, out);
		check(h);
	}
	(void)h2_free(h);
	buf_deinit(&out[0]);
	buf_deinit(&out[1]);
	return 0;
}
