/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: see msg.h.
 *
 * The plain fields of a message are listed once in a table that its encoder and its decoder walk,
 * so the two cannot drift apart; lists follow the plain fields. Each entry carries the largest
 * valid value (or the longest string): the decoder refuses more (-EBADMSG), and so does the encoder
 * (-EINVAL), because the peer would end the connection over it.
 */
#include "proto/msg.h"

#include "proto/wire.h"

enum field_kind { FIELD_U16, FIELD_U32, FIELD_U64, FIELD_STR };

struct field {
	uint16_t offset;
	uint8_t kind; /* enum field_kind */
	uint64_t max;
};

#define FIELD_OF(s, m, type)                                                                      \
	(uint16_t)(offsetof(struct s, m) + 0 * sizeof(struct {                                    \
		_Static_assert(__builtin_types_compatible_p(typeof(((struct s *)NULL)->m), type), \
			"the field has another type");                                            \
		int unused_;                                                                      \
	}))

#define U16(s, m)                                               \
	{                                                       \
		FIELD_OF(s, m, uint16_t), FIELD_U16, UINT16_MAX \
	}
#define U32(s, m)                                               \
	{                                                       \
		FIELD_OF(s, m, uint32_t), FIELD_U32, UINT32_MAX \
	}
#define U32_MAX(s, m, max)                               \
	{                                                \
		FIELD_OF(s, m, uint32_t), FIELD_U32, max \
	}
#define U64(s, m)                                               \
	{                                                       \
		FIELD_OF(s, m, uint64_t), FIELD_U64, UINT64_MAX \
	}
#define I64(s, m)                                              \
	{                                                      \
		FIELD_OF(s, m, int64_t), FIELD_U64, UINT64_MAX \
	}
#define STR(s, m, max)                                       \
	{                                                    \
		FIELD_OF(s, m, const char *), FIELD_STR, max \
	}

static void fields_put(
	struct wire_out *out, const struct field *fields, size_t n, const void *message)
{
	for (const struct field *f = fields; f < fields + n; f++) {
		const char *at = (const char *)message + f->offset;
		const char *str = "";
		uint64_t v = 0;
		uint32_t v32 = 0;
		uint16_t v16 = 0;

		switch ((enum field_kind)f->kind) {
		case FIELD_U16:
			memcpy(&v16, at, sizeof(v16));
			v = v16;
			wire_put_u16(out, v16);
			break;
		case FIELD_U32:
			memcpy(&v32, at, sizeof(v32));
			v = v32;
			wire_put_u32(out, v32);
			break;
		case FIELD_U64:
			memcpy(&v, at, sizeof(v));
			wire_put_u64(out, v);
			break;
		case FIELD_STR:
			memcpy(&str, at, sizeof(str));
			v = str ? strlen(str) : 0;
			wire_put_str(out, str);
			break;
		}
		if (v > f->max && out->error == 0)
			out->error = -EINVAL;
	}
}

static void fields_get(struct wire_in *in, const struct field *fields, size_t n, void *message)
{
	for (const struct field *f = fields; f < fields + n; f++) {
		char *at = (char *)message + f->offset;
		const char *str;
		uint64_t v = 0;
		uint32_t v32;
		uint16_t v16;

		switch ((enum field_kind)f->kind) {
		case FIELD_U16:
			v16 = wire_u16(in);
			v = v16;
			memcpy(at, &v16, sizeof(v16));
			break;
		case FIELD_U32:
			v32 = wire_u32(in);
			v = v32;
			memcpy(at, &v32, sizeof(v32));
			break;
		case FIELD_U64:
			v = wire_u64(in);
			memcpy(at, &v, sizeof(v));
			break;
		case FIELD_STR:
			str = wire_str(in, f->max);
			memcpy(at, &str, sizeof(str));
			break;
		}
		if (v > f->max)
			in->bad = true;
	}
}

#define FIELDS_PUT(out, table, m) fields_put(out, table, ARRAY_SIZE(table), m)
#define FIELDS_GET(in, table, m)  fields_get(in, table, ARRAY_SIZE(table), m)

/* A message without lists as one whole frame. */
static int frame_put_fields(struct buf *out, uint8_t type, uint32_t stream,
	const struct field *fields, size_t n, const void *message)
{
	struct wire_out w;
	size_t mark;
	int r = frame_begin(out, type, 0, stream, &mark);

	if (r < 0)
		return r;
	wire_out_init(&w, out);
	fields_put(&w, fields, n, message);
	return frame_finish(out, mark, w.error);
}

static int frame_get_fields(
	const struct frame *f, const struct field *fields, size_t n, void *message)
{
	struct wire_in in;

	wire_in_init(&in, f->payload, f->len);
	fields_get(&in, fields, n, message);
	return wire_end(&in);
}

/* Encoder and decoder of a message on the control stream, and of one on any stream. */
#define MSG_CONTROL(name, table, type)                                              \
	int msg_put_##name(struct buf *out, const struct msg_##name *m)             \
	{                                                                           \
		return frame_put_fields(out, type, 0, table, ARRAY_SIZE(table), m); \
	}                                                                           \
	MSG_GET(name, table)
#define MSG_STREAM(name, table, type)                                                    \
	int msg_put_##name(struct buf *out, uint32_t stream, const struct msg_##name *m) \
	{                                                                                \
		return frame_put_fields(out, type, stream, table, ARRAY_SIZE(table), m); \
	}                                                                                \
	MSG_GET(name, table)
#define MSG_GET(name, table)                                               \
	int msg_get_##name(const struct frame *f, struct msg_##name *ret)  \
	{                                                                  \
		return frame_get_fields(f, table, ARRAY_SIZE(table), ret); \
	}

/* Longest name that no cap of base/caps.h covers. */
enum { NAME_LEN_MAX = 255 };

_Static_assert(MSG_CONSOLE_MAX + 2 * MSG_TEXT_MAX + 64 <= LIMIT_FRAME_PAYLOAD,
	"the largest msg_sb_failed fits a frame");

static const struct field hello_fields[] = {
	U32(msg_hello, version),
	U64(msg_hello, pid1_ns),
	U64(msg_hello, pid1_tsc),
	STR(msg_hello, agent_version, NAME_LEN_MAX),
	STR(msg_hello, kernel_release, NAME_LEN_MAX),
};
MSG_CONTROL(hello, hello_fields, FRAME_HELLO)

static const struct field ready_fields[] = {
	U64(msg_ready, ready_ns),
	U64(msg_ready, ready_tsc),
	U32(msg_ready, cpus),
	U64(msg_ready, mem_total_kib),
};
MSG_CONTROL(ready, ready_fields, FRAME_READY)

static const struct field failure_fields[] = {
	U32_MAX(msg_failure, stage, STAGE_COUNT - 1),
	U32(msg_failure, errno_),
	STR(msg_failure, what, MSG_TEXT_MAX),
};

int msg_put_boot_failed(struct buf *out, const struct msg_failure *m)
{
	return frame_put_fields(
		out, FRAME_BOOT_FAILED, 0, failure_fields, ARRAY_SIZE(failure_fields), m);
}

int msg_put_failed(struct buf *out, uint32_t stream, const struct msg_failure *m)
{
	return frame_put_fields(
		out, FRAME_FAILED, stream, failure_fields, ARRAY_SIZE(failure_fields), m);
}

MSG_GET(failure, failure_fields)

static const struct field clock_fields[] = {U64(msg_clock, real_ns)};
MSG_CONTROL(clock, clock_fields, FRAME_CLOCK)

static const struct field shutdown_fields[] = {U32(msg_shutdown, grace_ms)};

int msg_put_shutdown(struct buf *out, uint8_t type, const struct msg_shutdown *m)
{
	return frame_put_fields(out, type, 0, shutdown_fields, ARRAY_SIZE(shutdown_fields), m);
}

MSG_GET(shutdown, shutdown_fields)

static const struct field resize_fields[] = {U16(msg_resize, rows), U16(msg_resize, cols)};
MSG_STREAM(resize, resize_fields, FRAME_RESIZE)

static const struct field exited_fields[] = {
	U32_MAX(msg_exited, code, 255),
	U32_MAX(msg_exited, signal, 127),
};
MSG_STREAM(exited, exited_fields, FRAME_EXITED)

int msg_put_u32(struct buf *out, uint8_t type, uint32_t stream, uint32_t v)
{
	return frame_put(out, type, 0, stream, &v, sizeof(v));
}

int msg_get_u32(const struct frame *f, uint32_t *ret)
{
	struct wire_in in;
	uint32_t v;

	wire_in_init(&in, f->payload, f->len);
	v = wire_u32(&in);
	if (wire_end(&in) < 0)
		return -EBADMSG;
	*ret = v;
	return 0;
}

/* Lists of strings. */

const char *msg_strv_next(struct msg_strv *v)
{
	struct wire_in in;
	const char *s;

	if (v->count == 0)
		return NULL;
	wire_in_init(&in, v->at, v->len);
	s = wire_str(&in, v->len);
	v->at = in.at;
	v->len = (size_t)(in.end - in.at);
	v->count--;
	return s;
}

static bool env_valid(const char *s)
{
	return s[0] != '=' && strchr(s, '=') != NULL;
}

/* @budget: bytes (NULs included) all lists of the message may still use. */
static void strv_put(struct wire_out *out, const char *const *v, bool is_env, size_t *budget)
{
	uint32_t count = 0;

	for (const char *const *s = v; s && *s; s++) {
		size_t size = strlen(*s) + 1;

		if (out->error == 0 && (size > *budget || count == LIMIT_ARGV))
			out->error = -E2BIG;
		if (out->error == 0 && is_env && !env_valid(*s))
			out->error = -EINVAL;
		if (out->error < 0)
			return;
		*budget -= size;
		count++;
	}
	wire_put_u32(out, count);
	for (uint32_t i = 0; i < count; i++)
		wire_put_str(out, v[i]);
}

static void strv_get(struct wire_in *in, struct msg_strv *ret, bool is_env, size_t *budget)
{
	uint32_t count = wire_count(in, LIMIT_ARGV);

	*ret = (struct msg_strv){.count = count, .at = in->at};
	for (uint32_t i = 0; i < count && !in->bad; i++) {
		const char *s = wire_str(in, LIMIT_EXEC_BYTES);
		size_t size = strlen(s) + 1;

		if (size > *budget || (is_env && !env_valid(s))) {
			in->bad = true;
			break;
		}
		*budget -= size;
	}
	ret->len = (size_t)(in->at - ret->at);
	if (in->bad)
		*ret = (struct msg_strv){.at = in->at};
}

static const struct field rlimit_fields[] = {
	U32_MAX(msg_rlimit, resource, 31),
	U64(msg_rlimit, soft),
	U64(msg_rlimit, hard),
};

static void rlimits_put(struct wire_out *out, const struct msg_rlimit *v, uint32_t n)
{
	if (n > LIMIT_RLIMITS) {
		out->error = out->error < 0 ? out->error : -E2BIG;
		return;
	}
	wire_put_u32(out, n);
	for (uint32_t i = 0; i < n; i++) {
		FIELDS_PUT(out, rlimit_fields, &v[i]);
		if (v[i].soft > v[i].hard && out->error == 0)
			out->error = -EINVAL;
	}
}

static void rlimits_get(struct wire_in *in, struct msg_rlimit *v, uint32_t *ret_n)
{
	*ret_n = wire_count(in, LIMIT_RLIMITS);
	for (uint32_t i = 0; i < *ret_n; i++) {
		FIELDS_GET(in, rlimit_fields, &v[i]);
		if (v[i].soft > v[i].hard)
			in->bad = true;
	}
}

static const struct field config_fields[] = {
	U32(msg_config, version),
	U64(msg_config, real_ns),
	U32_MAX(msg_config, root_kind, ROOT_FLAT),
	STR(msg_config, root_fstype, 32),
	U64(msg_config, upper_bytes),
	STR(msg_config, hostname, LIMIT_HOSTNAME),
	STR(msg_config, user, LIMIT_USER),
	STR(msg_config, cwd, LIMIT_PATH - 1),
};

static const struct field config_tail_fields[] = {
	U32_MAX(msg_config, restricted, 1),
	STR(msg_config, ca, LIMIT_CA),
	STR(msg_config, init, LIMIT_PATH - 1),
};

static const struct field tmpfs_fields[] = {
	STR(msg_tmpfs, path, LIMIT_PATH - 1),
	U64(msg_tmpfs, size_bytes),
	STR(msg_tmpfs, options, 256),
};

static const struct field share_fields[] = {
	STR(msg_share, tag, 35),
	STR(msg_share, path, LIMIT_PATH - 1),
	STR(msg_share, only, 255),
	STR(msg_share, options, 256),
};

static const struct field net_fields[] = {
	U32_MAX(msg_net, mtu, 65535),
	U32(msg_net, ip4),
	U32(msg_net, gateway4),
	U32_MAX(msg_net, prefix4, 32),
	U64(msg_net, ip6[0]),
	U64(msg_net, ip6[1]),
	U64(msg_net, gateway6[0]),
	U64(msg_net, gateway6[1]),
	U32_MAX(msg_net, prefix6, 128),
};

int msg_put_config(
	struct buf *out, const struct msg_config *m, const struct msg_config_lists *lists)
{
	static const struct msg_config_lists none = {.env = NULL};
	size_t budget = LIMIT_EXEC_BYTES;
	struct wire_out w;
	size_t mark;
	int r = frame_begin(out, FRAME_CONFIG, 0, 0, &mark);

	if (r < 0)
		return r;
	if (!lists)
		lists = &none;
	wire_out_init(&w, out);
	FIELDS_PUT(&w, config_fields, m);
	strv_put(&w, lists->env, true, &budget);
	if (m->n_tmpfs > LIMIT_MOUNTS || m->n_shares > LIMIT_SHARES)
		return frame_finish(out, mark, -E2BIG);
	wire_put_u32(&w, m->n_tmpfs);
	for (uint32_t i = 0; i < m->n_tmpfs; i++)
		FIELDS_PUT(&w, tmpfs_fields, &m->tmpfs[i]);
	rlimits_put(&w, m->rlimits, m->n_rlimits);
	wire_put_u32(&w, m->n_shares);
	for (uint32_t i = 0; i < m->n_shares; i++)
		FIELDS_PUT(&w, share_fields, &m->shares[i]);
	FIELDS_PUT(&w, net_fields, &m->net);
	FIELDS_PUT(&w, config_tail_fields, m);
	strv_put(&w, lists->init_args, false, &budget);
	strv_put(&w, lists->init_env, true, &budget);
	return frame_finish(out, mark, w.error);
}

int msg_get_config(const struct frame *f, struct msg_config *ret)
{
	size_t budget = LIMIT_EXEC_BYTES;
	struct wire_in in;

	wire_in_init(&in, f->payload, f->len);
	FIELDS_GET(&in, config_fields, ret);
	strv_get(&in, &ret->env, true, &budget);
	ret->n_tmpfs = wire_count(&in, LIMIT_MOUNTS);
	for (uint32_t i = 0; i < ret->n_tmpfs; i++)
		FIELDS_GET(&in, tmpfs_fields, &ret->tmpfs[i]);
	rlimits_get(&in, ret->rlimits, &ret->n_rlimits);
	ret->n_shares = wire_count(&in, LIMIT_SHARES);
	for (uint32_t i = 0; i < ret->n_shares; i++)
		FIELDS_GET(&in, share_fields, &ret->shares[i]);
	FIELDS_GET(&in, net_fields, &ret->net);
	FIELDS_GET(&in, config_tail_fields, ret);
	strv_get(&in, &ret->init_args, false, &budget);
	strv_get(&in, &ret->init_env, true, &budget);
	return wire_end(&in);
}

/* All bits below the highest flag are in use, so the mask is the largest value. */
static const struct field exec_fields[] = {
	U32_MAX(msg_exec, flags, EXEC_PTY | EXEC_STDIN),
	U16(msg_exec, rows),
	U16(msg_exec, cols),
	STR(msg_exec, user, LIMIT_USER),
	STR(msg_exec, cwd, LIMIT_PATH - 1),
};

int msg_put_exec(struct buf *out, uint32_t stream, const struct msg_exec *m,
	const char *const *argv, const char *const *env)
{
	size_t budget = LIMIT_EXEC_BYTES;
	struct wire_out w;
	size_t mark;
	int r;

	if (!argv || !argv[0])
		return -EINVAL;
	r = frame_begin(out, FRAME_EXEC, 0, stream, &mark);
	if (r < 0)
		return r;
	wire_out_init(&w, out);
	FIELDS_PUT(&w, exec_fields, m);
	strv_put(&w, argv, false, &budget);
	strv_put(&w, env, true, &budget);
	rlimits_put(&w, m->rlimits, m->n_rlimits);
	return frame_finish(out, mark, w.error);
}

int msg_get_exec(const struct frame *f, struct msg_exec *ret)
{
	size_t budget = LIMIT_EXEC_BYTES;
	struct wire_in in;

	wire_in_init(&in, f->payload, f->len);
	FIELDS_GET(&in, exec_fields, ret);
	strv_get(&in, &ret->argv, false, &budget);
	strv_get(&in, &ret->env, true, &budget);
	rlimits_get(&in, ret->rlimits, &ret->n_rlimits);
	if (ret->argv.count == 0)
		in.bad = true;
	return wire_end(&in);
}

static const struct field modify_fields[] = {
	U32_MAX(msg_modify, cpus, LIMIT_VCPUS),
	U32_MAX(msg_modify, defaults, 1),
	STR(msg_modify, cwd, LIMIT_PATH - 1),
};

int msg_put_modify(
	struct buf *out, uint32_t stream, const struct msg_modify *m, const char *const *env)
{
	size_t budget = LIMIT_EXEC_BYTES;
	struct wire_out w;
	size_t mark;
	int r = frame_begin(out, FRAME_MODIFY, 0, stream, &mark);

	if (r < 0)
		return r;
	wire_out_init(&w, out);
	FIELDS_PUT(&w, modify_fields, m);
	strv_put(&w, env, true, &budget);
	return frame_finish(out, mark, w.error);
}

int msg_get_modify(const struct frame *f, struct msg_modify *ret)
{
	size_t budget = LIMIT_EXEC_BYTES;
	struct wire_in in;

	wire_in_init(&in, f->payload, f->len);
	FIELDS_GET(&in, modify_fields, ret);
	strv_get(&in, &ret->env, true, &budget);
	return wire_end(&in);
}

static const struct field fs_fields[] = {
	U32_MAX(msg_fs, op, FS_OP_END - 1),
	U32_MAX(msg_fs, flags,
		FS_NOFOLLOW | FS_PARENTS | FS_RECURSIVE | FS_APPEND | FS_EXCL | FS_SET_OWNER |
			FS_SET_MODE | FS_SET_MTIME | FS_WITH_SUM | FS_WHOLE),
	U32_MAX(msg_fs, mode, 07777),
	U32(msg_fs, uid),
	U32(msg_fs, gid),
	U64(msg_fs, offset),
	U64(msg_fs, length),
	STR(msg_fs, path, LIMIT_PATH - 1),
	STR(msg_fs, path2, LIMIT_PATH - 1),
};
MSG_STREAM(fs, fs_fields, FRAME_FS)

/* For a message that carries a msg_stat as member @m. */
#define STAT_FIELDS(s, m)                                                                 \
	U64(s, m.ino), U64(s, m.size), U64(s, m.blocks), U32(s, m.mode), U32(s, m.nlink), \
		U32(s, m.uid), U32(s, m.gid), U64(s, m.rdev), I64(s, m.mtime_s),          \
		U32(s, m.mtime_ns)

static const struct field fs_done_fields[] = {
	U32(msg_fs_done, errno_),
	U64(msg_fs_done, bytes),
	STAT_FIELDS(msg_fs_done, st),
};

int msg_put_fs_done(struct buf *out, uint32_t stream, const struct msg_fs_done *m)
{
	struct wire_out w;
	size_t mark;
	int r = frame_begin(out, FRAME_FS_DONE, 0, stream, &mark);

	if (r < 0)
		return r;
	wire_out_init(&w, out);
	FIELDS_PUT(&w, fs_done_fields, m);
	if (m->summed)
		wire_put_u64(&w, m->sum);
	return frame_finish(out, mark, w.error);
}

int msg_get_fs_done(const struct frame *f, struct msg_fs_done *ret)
{
	struct wire_in in;

	wire_in_init(&in, f->payload, f->len);
	FIELDS_GET(&in, fs_done_fields, ret);
	ret->summed = in.at < in.end;
	ret->sum = ret->summed ? wire_u64(&in) : 0;
	return wire_end(&in);
}

static const struct field dirent_fields[] = {
	STAT_FIELDS(msg_dirent, st),
	STR(msg_dirent, name, NAME_LEN_MAX),
	STR(msg_dirent, target, LIMIT_PATH),
};

int msg_put_dirent(struct buf *out, const struct msg_dirent *m)
{
	size_t before = buf_len(out);
	struct wire_out w;

	wire_out_init(&w, out);
	FIELDS_PUT(&w, dirent_fields, m);
	if (w.error < 0)
		out->tail = out->head + before;
	return w.error;
}

int msg_get_dirent(struct wire_in *in, struct msg_dirent *ret)
{
	FIELDS_GET(in, dirent_fields, ret);
	return in->bad ? -EBADMSG : 0;
}

static const struct field metrics_fields[] = {
	U64(msg_metrics, uptime_ns),
	U64(msg_metrics, cpu_user_ns),
	U64(msg_metrics, cpu_system_ns),
	U64(msg_metrics, cpu_idle_ns),
	U64(msg_metrics, cpu_steal_ns),
	U64(msg_metrics, mem_total_kib),
	U64(msg_metrics, mem_available_kib),
	U64(msg_metrics, mem_free_kib),
	U64(msg_metrics, mem_cached_kib),
	U64(msg_metrics, disk_read_bytes),
	U64(msg_metrics, disk_write_bytes),
	U64(msg_metrics, root_used_bytes),
	U64(msg_metrics, root_free_bytes),
	U32(msg_metrics, procs),
	U32(msg_metrics, execs),
};
MSG_STREAM(metrics, metrics_fields, FRAME_METRICS_DONE)

static const struct field sb_ready_fields[] = {
	STR(msg_sb_ready, engine, NAME_LEN_MAX),
	STR(msg_sb_ready, kernel_release, NAME_LEN_MAX),
	U64(msg_sb_ready, timing.spawn_ns),
	U64(msg_sb_ready, timing.engine_ns),
	U64(msg_sb_ready, timing.vm_created_ns),
	U64(msg_sb_ready, timing.first_run_ns),
	U64(msg_sb_ready, timing.hello_ns),
	U64(msg_sb_ready, timing.ready_ns),
	U64(msg_sb_ready, timing.guest_pid1_ns),
	U64(msg_sb_ready, timing.guest_ready_ns),
	U64(msg_sb_ready, timing.guest_pid1_tsc),
	U64(msg_sb_ready, timing.guest_ready_tsc),
};
MSG_CONTROL(sb_ready, sb_ready_fields, FRAME_SB_READY)

static const struct field sb_failed_fields[] = {
	U32(msg_sb_failed, kind),
	U32(msg_sb_failed, errno_),
	STR(msg_sb_failed, msg, MSG_TEXT_MAX),
	STR(msg_sb_failed, hint, MSG_TEXT_MAX),
	STR(msg_sb_failed, console, MSG_CONSOLE_MAX),
};
MSG_CONTROL(sb_failed, sb_failed_fields, FRAME_SB_FAILED)

static const struct field sb_stopped_fields[] = {
	U32_MAX(msg_sb_stopped, reason, STOP_COMPLETED),
	STR(msg_sb_stopped, detail, MSG_TEXT_MAX),
};
MSG_CONTROL(sb_stopped, sb_stopped_fields, FRAME_SB_STOPPED)

const char *msg_stage_name(uint32_t stage)
{
	static const char *const names[] = {
		[STAGE_REQUEST] = "request",
		[STAGE_MOUNT] = "mount",
		[STAGE_ROOT] = "root",
		[STAGE_SWITCH_ROOT] = "switch root",
		[STAGE_HOSTNAME] = "hostname",
		[STAGE_NETWORK] = "network",
		[STAGE_TMPFS] = "tmpfs",
		[STAGE_RLIMIT] = "resource limit",
		[STAGE_USER] = "user",
		[STAGE_CWD] = "working directory",
		[STAGE_PTY] = "terminal",
		[STAGE_FORK] = "fork",
		[STAGE_EXEC] = "exec",
		[STAGE_LIMIT] = "limit",
		[STAGE_IO] = "input/output",
	};
	_Static_assert(ARRAY_SIZE(names) == STAGE_COUNT, "every stage has a name");

	return stage < STAGE_COUNT ? names[stage] : "?";
}
