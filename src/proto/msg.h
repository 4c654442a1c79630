/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: the payloads of frames as structs, with one encoder and one decoder each.
 *
 * Decoded strings and lists point into the payload: decoding allocates nothing. Encoders never
 * truncate. Every decoder validates counts against base/caps.h and rejects trailing bytes.
 */
#pragma once

#include "base/buf.h"
#include "base/caps.h"

#include "proto/frame.h"
#include "proto/msg-parts.h"

enum { MSG_TEXT_MAX = 4096, MSG_CONSOLE_MAX = 48 * 1024 }; /* reports are cut to fit */
/* A list of strings on the wire; read with msg_strv_next(). */
struct msg_strv {
	uint32_t count;
	const uint8_t *at;
	size_t len;
};

/** msg_strv_next - next string, NULL at the end; the list was validated when decoded */
const char *msg_strv_next(struct msg_strv *v);

struct msg_hello {
	uint32_t version; /* PROTO_VERSION of the agent */
	uint64_t pid1_ns; /* guest CLOCK_MONOTONIC when PID 1 started */
	uint64_t pid1_tsc; /* time stamp counter at the same moment, 0 if there is none */
	const char *agent_version;
	const char *kernel_release;
};

struct msg_ready {
	uint64_t ready_ns;
	uint64_t ready_tsc;
	uint32_t cpus;
	uint64_t mem_total_kib;
};

/* Where something failed inside the guest; names in msg_stage_name(). */
enum msg_stage {
	STAGE_REQUEST = 0, /* malformed or refused */
	STAGE_MOUNT,
	STAGE_ROOT,
	STAGE_SWITCH_ROOT,
	STAGE_HOSTNAME,
	STAGE_NETWORK,
	STAGE_TMPFS,
	STAGE_RLIMIT,
	STAGE_USER,
	STAGE_CWD,
	STAGE_PTY,
	STAGE_FORK,
	STAGE_EXEC,
	STAGE_LIMIT,
	STAGE_IO,
	STAGE_COUNT
};

struct msg_failure {
	uint32_t stage; /* enum msg_stage */
	uint32_t errno_; /* positive Linux errno of the guest, 0 if none */
	const char *what; /* what was tried on which object */
};

enum msg_root_kind {
	ROOT_OVERLAY = 0, /* read-only image on vda below, tmpfs above */
	ROOT_DISK = 1, /* vda is mounted read-write as it is */
	ROOT_OVERLAY_DISK = 2, /* as ROOT_OVERLAY, but the file system of vdb is above */
	ROOT_FLAT = 3, /* a copy of vda's image on vdb, made at the first start */
};

struct msg_config {
	uint32_t version; /* PROTO_VERSION of the host */
	uint64_t real_ns; /* wall clock, 0: leave it */
	uint32_t root_kind; /* enum msg_root_kind */
	const char *root_fstype; /* "" probes erofs, ext4, xfs, squashfs */
	uint64_t upper_bytes; /* of the tmpfs, 0: default; of vdb, 0: its size is not ours */
	const char *hostname;
	const char *user; /* default of exec, "" is root */
	const char *cwd; /* default of exec, "" is / */
	struct msg_strv env; /* NAME=VALUE for every exec */
	uint32_t n_tmpfs;
	struct msg_tmpfs tmpfs[LIMIT_MOUNTS];
	uint32_t n_rlimits; /* for every exec */
	struct msg_rlimit rlimits[LIMIT_RLIMITS];
	uint32_t n_shares;
	struct msg_share shares[LIMIT_SHARES];
	struct msg_net net;
	uint32_t restricted; /* 1: every process of the user gives up what administers a machine */
	const char *ca; /* certificate (PEM) of an authority to trust; "": none */
	const char *init; /* becomes PID 1 when the root is in place; "auto": as usual, "": none */
	struct msg_strv init_args; /* behind its name */
	struct msg_strv init_env; /* NAME=VALUE beside @env, for it alone */
};

struct msg_clock {
	uint64_t real_ns;
};

struct msg_shutdown {
	uint32_t grace_ms; /* SIGTERM first, SIGKILL after this long; 0: at once */
};

enum msg_exec_flags {
	EXEC_PTY = 1u << 0, /* terminal for stdin, stdout, stderr; everything comes on channel 1 */
	EXEC_STDIN = 1u << 1, /* stdin is streamed; otherwise it is /dev/null */
};

struct msg_exec {
	uint32_t flags;
	uint16_t rows; /* of the PTY, 0: 24 */
	uint16_t cols; /* 0: 80 */
	const char *user; /* "name", "uid", "user:group"; "" takes the configured default */
	const char *cwd;
	struct msg_strv argv; /* at least one */
	struct msg_strv env; /* added to the configured environment, last one wins */
	uint32_t n_rlimits;
	struct msg_rlimit rlimits[LIMIT_RLIMITS];
};

/* What changes while the guest runs. Commands that run already keep what they began with. */
struct msg_modify {
	uint32_t cpus; /* to be online; 0: as it is */
	uint32_t defaults; /* 1: cwd and env take the place of CONFIG's */
	const char *cwd;
	struct msg_strv env;
};
struct msg_resize {
	uint16_t rows;
	uint16_t cols;
};

struct msg_exited {
	uint32_t code; /* exit status, 0 when killed by a signal */
	uint32_t signal; /* 0 when it exited */
};

enum msg_fs_op {
	FS_STAT = 1, /* follows symlinks unless FS_NOFOLLOW */
	FS_READ, /* DATA from the guest, EOF, FS_DONE */
	FS_WRITE, /* DATA from the client up to EOF, then FS_DONE */
	FS_LIST, /* DATA: encoded msg_dirent one after the other, EOF, FS_DONE */
	FS_MKDIR, /* FS_PARENTS makes parents and tolerates existing ones */
	FS_REMOVE, /* FS_RECURSIVE removes trees without following symlinks */
	FS_RENAME, /* path to path2 */
	FS_SYMLINK, /* path becomes a link to path2; an existing link is replaced */
	FS_SETATTR, /* what the flags say, of an existing path, links followed */
	FS_SUM, /* checksum of what FS_READ would send */
	FS_OP_END
};

enum msg_fs_flags {
	FS_NOFOLLOW = 1u << 0,
	FS_PARENTS = 1u << 1,
	FS_RECURSIVE = 1u << 2,
	FS_APPEND = 1u << 3,
	FS_EXCL = 1u << 4,
	FS_SET_OWNER = 1u << 5, /* WRITE, MKDIR, SETATTR: give to uid:gid */
	FS_SET_MODE = 1u << 6, /* WRITE, SETATTR: exactly these bits, whatever was there */
	FS_SET_MTIME = 1u << 7, /* WRITE, SETATTR: `length` is the time, ns since 1970 */
	FS_WITH_SUM = 1u << 8, /* READ, WRITE: FS_DONE says the checksum of the bytes moved */
	FS_WHOLE = 1u << 9, /* WRITE: a file that does not get all its bytes is removed */
};

struct msg_fs {
	uint32_t op;
	uint32_t flags;
	uint32_t mode; /* WRITE, MKDIR: permission bits */
	uint32_t uid;
	uint32_t gid;
	uint64_t offset; /* READ, SUM, WRITE (WRITE with offset 0 truncates unless FS_APPEND) */
	uint64_t length; /* READ, SUM: at most this many bytes, UINT64_MAX for all */
	const char *path;
	const char *path2;
};

struct msg_dirent {
	struct msg_stat st;
	const char *name;
	const char *target; /* of a symlink, "" otherwise */
};

struct msg_fs_done {
	uint32_t errno_; /* 0: success */
	uint64_t bytes; /* READ, SUM, WRITE: moved; LIST: entries */
	struct msg_stat st; /* STAT, READ, WRITE */
	bool summed; /* only if it was asked for: an older client understands the others */
	uint64_t sum; /* base/checksum.h */
};

struct msg_metrics {
	uint64_t uptime_ns;
	uint64_t cpu_user_ns;
	uint64_t cpu_system_ns;
	uint64_t cpu_idle_ns;
	uint64_t cpu_steal_ns;
	uint64_t mem_total_kib;
	uint64_t mem_available_kib;
	uint64_t mem_free_kib;
	uint64_t mem_cached_kib;
	uint64_t disk_read_bytes;
	uint64_t disk_write_bytes;
	uint64_t root_used_bytes;
	uint64_t root_free_bytes;
	uint32_t procs;
	uint32_t execs; /* execs in flight */
};

/* Encoders append one whole frame: 0, or -ENOBUFS, -ENOMEM, -EMSGSIZE, -E2BIG (over a cap), -EINVAL
 * (the peer would refuse it) and nothing is appended. Decoders: 0, or -EBADMSG: @ret is garbage. */
int msg_put_hello(struct buf *out, const struct msg_hello *m) MSB_MUST_CHECK;
int msg_get_hello(const struct frame *f, struct msg_hello *ret) MSB_MUST_CHECK;
int msg_put_ready(struct buf *out, const struct msg_ready *m) MSB_MUST_CHECK;
int msg_get_ready(const struct frame *f, struct msg_ready *ret) MSB_MUST_CHECK;
int msg_put_boot_failed(struct buf *out, const struct msg_failure *m) MSB_MUST_CHECK;
int msg_put_failed(struct buf *out, uint32_t stream, const struct msg_failure *m) MSB_MUST_CHECK;
int msg_get_failure(const struct frame *f, struct msg_failure *ret) MSB_MUST_CHECK;
int msg_put_clock(struct buf *out, const struct msg_clock *m) MSB_MUST_CHECK;
int msg_get_clock(const struct frame *f, struct msg_clock *ret) MSB_MUST_CHECK;
int msg_put_shutdown(struct buf *out, uint8_t type, const struct msg_shutdown *m) MSB_MUST_CHECK;
int msg_get_shutdown(const struct frame *f, struct msg_shutdown *ret) MSB_MUST_CHECK;
int msg_put_exec(struct buf *out, uint32_t stream, const struct msg_exec *m,
	const char *const *argv, const char *const *env) MSB_MUST_CHECK;
int msg_get_exec(const struct frame *f, struct msg_exec *ret) MSB_MUST_CHECK;
int msg_put_modify(struct buf *out, uint32_t stream, const struct msg_modify *m,
	const char *const *env) MSB_MUST_CHECK;
int msg_get_modify(const struct frame *f, struct msg_modify *ret) MSB_MUST_CHECK;
int msg_put_resize(struct buf *out, uint32_t stream, const struct msg_resize *m) MSB_MUST_CHECK;
int msg_get_resize(const struct frame *f, struct msg_resize *ret) MSB_MUST_CHECK;
/* CREDIT, SIGNAL, STARTED, FREEZE, THAWED, MODIFIED, SB_MEMORY carry one u32. */
int msg_put_u32(struct buf *out, uint8_t type, uint32_t stream, uint32_t v) MSB_MUST_CHECK;
int msg_get_u32(const struct frame *f, uint32_t *ret) MSB_MUST_CHECK;
int msg_put_exited(struct buf *out, uint32_t stream, const struct msg_exited *m) MSB_MUST_CHECK;
int msg_get_exited(const struct frame *f, struct msg_exited *ret) MSB_MUST_CHECK;
int msg_put_fs(struct buf *out, uint32_t stream, const struct msg_fs *m) MSB_MUST_CHECK;
int msg_get_fs(const struct frame *f, struct msg_fs *ret) MSB_MUST_CHECK;
int msg_put_fs_done(struct buf *out, uint32_t stream, const struct msg_fs_done *m) MSB_MUST_CHECK;
int msg_get_fs_done(const struct frame *f, struct msg_fs_done *ret) MSB_MUST_CHECK;
int msg_put_metrics(struct buf *out, uint32_t stream, const struct msg_metrics *m) MSB_MUST_CHECK;
int msg_get_metrics(const struct frame *f, struct msg_metrics *ret) MSB_MUST_CHECK;
/* Directory entries are concatenated inside DATA payloads, never split over two frames. */
int msg_put_dirent(struct buf *out, const struct msg_dirent *m) MSB_MUST_CHECK;
struct wire_in;
int msg_get_dirent(struct wire_in *in, struct msg_dirent *ret) MSB_MUST_CHECK;
const char *msg_stage_name(uint32_t stage);
#include "proto/msg-config.h"
#include "proto/msg-sb.h"
