/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: every message decoder.
 *
 * The first input byte chooses the decoder, the rest is the payload. Every accepted string and list
 * is walked, and a message whose encoder takes the decoded struct must encode back to the same
 * bytes.
 */
#include "proto/msg.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touched;

static void touch(const char *s)
{
	touched += strlen(s);
}

/* Collects a decoded list for its encoder. */
static const char *const *strv_array(struct msg_strv v)
{
	static const char *array[LIMIT_ARGV + 1];
	uint32_t n = 0;
	const char *s;

	while ((s = msg_strv_next(&v)))
		array[n++] = s;
	array[n] = NULL;
	return array;
}

static void must_equal(int r, struct buf *out, const struct frame *f)
{
	if (r < 0 || buf_len(out) != FRAME_HEADER + f->len ||
		memcmp(buf_data(out) + FRAME_HEADER, f->payload, f->len) != 0)
		abort();
}

#define ROUND_TRIP(name, ...)                                                 \
	do {                                                                  \
		struct msg_##name m_;                                         \
		if (msg_get_##name(f, &m_) == 0)                              \
			must_equal(msg_put_##name(__VA_ARGS__, &m_), out, f); \
	} while (0)

static void fuzz_config(const struct frame *f, struct buf *out)
{
	const char *env[LIMIT_ARGV + 1];
	const char *args[LIMIT_ARGV + 1];
	struct msg_config m;

	if (msg_get_config(f, &m) < 0)
		return;
	if (m.n_tmpfs > LIMIT_MOUNTS || m.n_rlimits > LIMIT_RLIMITS || m.n_shares > LIMIT_SHARES ||
		m.env.count > LIMIT_ARGV || m.init_args.count > LIMIT_ARGV ||
		m.init_env.count > LIMIT_ARGV)
		abort();
	memcpy(env, strv_array(m.env), (m.env.count + 1) * sizeof(env[0]));
	memcpy(args, strv_array(m.init_args), (m.init_args.count + 1) * sizeof(args[0]));
	must_equal(msg_put_config(
			   out, &m, &(struct msg_config_lists){env, args, strv_array(m.init_env)}),
		out, f);
}

static void fuzz_exec(const struct frame *f, struct buf *out)
{
	const char *argv[LIMIT_ARGV + 1];
	struct msg_exec m;

	if (msg_get_exec(f, &m) < 0)
		return;
	if (m.n_rlimits > LIMIT_RLIMITS || m.argv.count == 0 || m.argv.count > LIMIT_ARGV)
		abort();
	memcpy(argv, strv_array(m.argv), (m.argv.count + 1) * sizeof(argv[0]));
	must_equal(msg_put_exec(out, 1, &m, argv, strv_array(m.env)), out, f);
}

static void fuzz_failure(const struct frame *f, struct buf *out)
{
	struct msg_failure m;

	if (msg_get_failure(f, &m) < 0)
		return;
	touch(msg_stage_name(m.stage));
	must_equal(msg_put_failed(out, 1, &m), out, f);
}

static void fuzz_shutdown(const struct frame *f, struct buf *out)
{
	struct msg_shutdown m;

	if (msg_get_shutdown(f, &m) == 0)
		must_equal(msg_put_shutdown(out, FRAME_SHUTDOWN, &m), out, f);
}

static void fuzz_u32(const struct frame *f, struct buf *out)
{
	uint32_t v;

	if (msg_get_u32(f, &v) == 0)
		must_equal(msg_put_u32(out, FRAME_CREDIT, 1, v), out, f);
}

static void fuzz_dirents(const struct frame *f)
{
	struct msg_dirent m;
	struct wire_in in;

	wire_in_init(&in, f->payload, f->len);
	while (in.at < in.end && msg_get_dirent(&in, &m) == 0) {
		touch(m.name);
		touch(m.target);
	}
}

static void fuzz_one(unsigned int which, const struct frame *f, struct buf *out)
{
	switch (which) {
	case 0:
		ROUND_TRIP(hello, out);
		break;
	case 1:
		ROUND_TRIP(ready, out);
		break;
	case 2:
		fuzz_failure(f, out);
		break;
	case 3:
		fuzz_config(f, out);
		break;
	case 4:
		ROUND_TRIP(clock, out);
		break;
	case 5:
		fuzz_shutdown(f, out);
		break;
	case 6:
		fuzz_exec(f, out);
		break;
	case 7:
		ROUND_TRIP(resize, out, 1);
		break;
	case 8:
		ROUND_TRIP(exited, out, 1);
		break;
	case 9:
		ROUND_TRIP(fs, out, 1);
		break;
	case 10:
		ROUND_TRIP(fs_done, out, 1);
		break;
	case 11:
		ROUND_TRIP(metrics, out, 1);
		break;
	case 12:
		ROUND_TRIP(sb_ready, out);
		break;
	case 13:
		ROUND_TRIP(sb_failed, out);
		break;
	case 14:
		ROUND_TRIP(sb_stopped, out);
		break;
	case 15:
		fuzz_u32(f, out);
		break;
	default:
		fuzz_dirents(f);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f;
	struct buf out;

	if (size == 0 || size - 1 > LIMIT_FRAME_PAYLOAD)
		return 0;
	f = (struct frame){.len = (uint32_t)size - 1, .payload = data + 1};
	buf_init(&out, 2 * (FRAME_HEADER + LIMIT_FRAME_PAYLOAD));
	fuzz_one(data[0] % 17, &f, &out);
	buf_deinit(&out);
	return 0;
}
