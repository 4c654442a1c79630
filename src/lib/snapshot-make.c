/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of a sandbox: see snapshot-make.h. */
#include "lib/snapshot-make.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/snapshot/sparse.h"
#include "image/store/store.h"
#include "lib/life.h"
#include "sandbox/client.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

enum {
	FREEZE_MS = 30000,
	COPY_MS = 25000, /* the rest of it is for the way there and back */
	ANSWER_MS = 180000, /* writing back what is dirty takes as long as it takes */
	ATTEMPTS = 5,
	BASE_MAX = 256 * 1024 * 1024,
};

int snapshot_base_digest(const char *path, char ret[DIGEST_TEXT], struct msb_err *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, BASE_MAX, &text, &len);

	if (r < 0)
		return msb_err_errno(err, r, "%.300s", path);
	digest_of(text, len, ret);
	return 0;
}

static int cannot(const char *name, const char *why, const char *hint, struct msb_err *err)
{
	int r = msb_err_set(
		err, -EOPNOTSUPP, MSB_UNSUPPORTED, "sandbox '%s' cannot be saved: %s", name, why);

	return hint ? msb_err_hint(err, r, "%s", hint) : r;
}

/* Only what can be started again anywhere from its image and its root disk. */
static int check_source(const struct sandbox_info *info, struct msb_err *err)
{
	const struct sandbox_spec *spec = &info->spec;

	if (!info->readable) {
		if (err)
			*err = info->spec_err;
		return msb_err_prefix(err, -EINVAL, "sandbox '%s'", info->name);
	}
	if (spec->image_kind != IMAGE_OCI && spec->image_kind != IMAGE_BASE)
		return cannot(info->name, "its image is a file of yours",
			"copy that file, or use an image of a registry", err);
	if (spec->root_disk.kind == UPPER_FILE)
		return cannot(
			info->name, "its root disk is a file of yours", "copy that file", err);
	if (spec->root_disk.kind == UPPER_TMPFS)
		return cannot(info->name, "it keeps its changes in memory",
			"make it with a root disk, for example --root-disk 4G", err);
	if (spec->ephemeral)
		return cannot(info->name, "its disk goes with it",
			"give the sandbox a name when it is made: --name", err);
	return 0;
}

struct live {
	struct loop loop;
	struct sandbox *sb;
	struct sandbox_stream stream;
	bool frozen;
	bool done;
	bool over;
	struct msb_err lost; /* why the connection ended */
	struct sandbox_result result;
};

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct live *l = arg;

	(void)sb;
	(void)console;
	l->over = true;
	l->lost = *err;
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct live *l = arg;

	(void)sb;
	(void)m;
	l->over = true;
	(void)msb_err_set(&l->lost, -ECANCELED, MSB_FAIL, "the sandbox was stopped");
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

static void on_frozen(struct sandbox_stream *s, uint32_t zero)
{
	(void)zero;
	container_of(s, struct live, stream)->frozen = true;
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct live *l = container_of(s, struct live, stream);

	l->done = true;
	l->result = *r;
}

static const struct sandbox_stream_ops stream_ops = {.started = on_frozen, .done = on_done};

/* Until @*flag, the end of the stream or that of the connection. */
static int await(struct live *l, const bool *flag, struct msb_err *err)
{
	uint64_t deadline = clock_mono_ns() + ANSWER_MS * NSEC_PER_MSEC;

	while (!*flag && !l->done && !l->over) {
		int r;

		if (clock_mono_ns() >= deadline)
			return msb_err_set(
				err, -ETIMEDOUT, MSB_TIMEOUT, "the guest does not answer");
		r = loop_once(&l->loop, deadline);
		if (r < 0)
			return msb_err_errno(err, r, "waiting for the guest");
	}
	if (l->over && !l->done) {
		if (err)
			*err = l->lost;
		return -ECANCELED;
	}
	return 0;
}

/* The guest did not hold its writes at all. */
static int not_frozen(const struct live *l, struct msb_err *err)
{
	int r = -EIO;

	if (err)
		*err = l->result.err;
	if (l->result.type == FRAME_FAILED && l->result.failure.errno_ == EBUSY)
		r = msb_err_set(err, -EBUSY, MSB_BUSY,
			"another snapshot of it is being made at this moment");
	return r;
}

/* What the end of the freeze says about a copy that went well. -EAGAIN: try again. */
static int judge(const struct live *l, struct msb_err *err)
{
	int r;

	if (l->result.type != FRAME_THAWED)
		return not_frozen(l, err);
	switch (l->result.thawed) {
	case 0:
		return 0;
	case EBUSY:
		return msb_err_set(err, -EAGAIN, MSB_BUSY,
			"files are copied into it all the time, and spoil every copy");
	case ETIMEDOUT:
		r = msb_err_set(err, -ETIMEDOUT, MSB_TIMEOUT,
			"copying its disk takes longer than its writes can be held (%d s)",
			FREEZE_MS / 1000);
		return msb_err_hint(err, r, "stop the sandbox first");
	default:
		return msb_err_set(
			err, -EIO, MSB_GUEST, "the guest wrote to its disk while it was copied");
	}
}

static int copy_frozen(struct live *l, int from, int to, struct msb_err *err)
{
	const bool never = false;
	uint64_t deadline;
	int copied;
	int r;

	l->stream.ops = &stream_ops;
	r = sandbox_freeze(l->sb, &l->stream, FREEZE_MS);
	if (r < 0)
		return msb_err_errno(err, r, "asking the guest to hold its writes");
	r = await(l, &l->frozen, err);
	if (r < 0)
		return r;
	if (!l->frozen)
		return not_frozen(l, err);
	deadline = clock_mono_ns() + COPY_MS * NSEC_PER_MSEC;
	copied = sparse_copy(from, to, deadline);
	if (!l->done && !l->over)
		(void)sandbox_stream_cancel(&l->stream);
	if (copied < 0 && copied != -ETIMEDOUT)
		return msb_err_errno(err, copied, "copying the root disk");
	r = await(l, &never, err);
	if (r == 0 && copied == -ETIMEDOUT)
		l->result.thawed = ETIMEDOUT;
	return r < 0 ? r : judge(l, err);
}

/* -ENOTCONN: it does not run any more. */
static int copy_live_once(
	const struct snapshot_make_opts *o, int dir_fd, int from, int to, struct msb_err *err)
{
	struct live l = {.frozen = false};
	int r = loop_init(&l.loop);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = sandbox_connect(&l.loop, o->home, o->sandbox, &events, &l, &l.sb, err);
	/* Whoever answers has to be the one whose disk this is. */
	if (r == 0 && !sandbox_dir_alive(dir_fd))
		r = -ENOTCONN;
	if (r == 0)
		r = copy_frozen(&l, from, to, err);
	l.sb = sandbox_close(l.sb);
	loop_deinit(&l.loop);
	return r;
}

static int copy_live(
	const struct snapshot_make_opts *o, int dir_fd, int from, int to, struct msb_err *err)
{
	int r = -EAGAIN;

	for (int i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
		if (ftruncate(to, 0) < 0)
			return msb_err_errno(err, -errno, "copying the root disk");
		r = copy_live_once(o, dir_fd, from, to, err);
	}
	return r == -EAGAIN ? -EBUSY : r;
}

static int open_upper(int dir_fd, const char *sandbox, int *ret_fd, struct msb_err *err)
{
	struct stat st;

	*ret_fd = openat(dir_fd, SANDBOX_UPPER, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0)
		return msb_err_errno(err, -errno, "root disk of sandbox '%s'", sandbox);
	return 0;
}

/* One look at whether it runs, and the copy. -EAGAIN: that has just changed. */
static int copy_once(const struct snapshot_make_opts *o, int to, struct msb_err *err)
{
	struct sandbox_dir dir;
	cleanup_fd int dir_fd = -EBADF;
	cleanup_fd int from = -EBADF;
	int r = sandbox_dir_lock(o->home, o->sandbox, &dir, err);

	if (r == 0) {
		r = open_upper(dir.fd, o->sandbox, &from, err);
		if (r == 0)
			r = sparse_copy(from, to, UINT64_MAX);
		sandbox_dir_close(&dir);
		return r < 0 ? msb_err_errno(
				       err, r, "copying the root disk of sandbox '%s'", o->sandbox)
			     : 0;
	}
	if (r != -EWOULDBLOCK)
		return r;
	r = sandbox_dir_find(o->home, o->sandbox, &dir_fd, err);
	if (r == 0)
		r = open_upper(dir_fd, o->sandbox, &from, err);
	if (r < 0)
		return r;
	r = life_await_listening(o->home, o->sandbox, err);
	if (r == 0)
		r = copy_live(o, dir_fd, from, to, err);
	if (r == -ENOTCONN)
		return -EAGAIN;
	return r < 0 ? msb_err_prefix(err, r, "sandbox '%s'", o->sandbox) : 0;
}

static int copy_disk(const struct snapshot_make_opts *o, int to, struct msb_err *err)
{
	int r = -EAGAIN;

	for (int i = 0; i < ATTEMPTS && r == -EAGAIN; i++)
		r = copy_once(o, to, err);
	if (r == -EAGAIN)
		r = msb_err_set(err, -EBUSY, MSB_BUSY,
			"sandbox '%s' is started and stopped all the time", o->sandbox);
	return r;
}

static int describe(const struct snapshot_make_opts *o, const struct sandbox_spec *spec, int disk,
	struct buf *out, struct msb_err *err)
{
	char base[DIGEST_TEXT];
	char content[DIGEST_TEXT];
	struct stat st = {.st_size = 0};
	struct snapshot_manifest m = {
		.created_ns = clock_real_ns(),
		.parent = spec->snapshot_digest ? spec->snapshot_digest : "",
		.image = spec->image_kind == IMAGE_BASE ? SNAPSHOT_BASE : SNAPSHOT_OCI,
		.reference = spec->image,
		.image_digest = spec->image_kind == IMAGE_BASE ? base : spec->image_digest,
		.sandbox = o->sandbox,
		.cpus = spec->vcpus,
		.memory_mib = spec->mem_mib,
		.flat = spec->root_disk.kind == UPPER_FLAT,
		.disk_digest = content,
	};
	int r = sparse_digest(disk, content);

	if (r == 0 && fstat(disk, &st) < 0)
		r = -errno;
	if (r < 0)
		return msb_err_errno(err, r, "reading the copy");
	m.size_bytes = (uint64_t)st.st_size;
	if (spec->image_kind == IMAGE_BASE)
		r = snapshot_base_digest(spec->image_path, base, err);
	if (r < 0)
		return r;
	r = snapshot_manifest_put(&m, o->labels->items, o->labels->n, out);
	return r < 0 ? msb_err_errno(err, r, "writing the description") : 0;
}

static int fill(const struct snapshot_make_opts *o, const struct sandbox_spec *spec,
	struct snapshot_new *n, struct msb_err *err)
{
	cleanup_fd int disk = -EBADF;
	struct buf text;
	int r = snapshot_new_disk(n, &disk, err);

	buf_init(&text, SNAPSHOT_MANIFEST_MAX);
	if (r == 0)
		r = copy_disk(o, disk, err);
	if (r == 0)
		r = describe(o, spec, disk, &text, err);
	if (r == 0)
		r = snapshot_new_publish(n, buf_data(&text), buf_len(&text), o->replace, err);
	buf_deinit(&text);
	return r;
}

int snapshot_make(const struct snapshot_make_opts *o, struct snapshot *ret, struct msb_err *err)
{
	cleanup_with(store_close_p) struct store *store = NULL;
	struct sandbox_info info = {.readable = false};
	char parent[PATH_MAX];
	char path[PATH_MAX];
	struct snapshot_new n;
	int r = snapshots_dir(o->home, parent, err);

	*ret = (struct snapshot){.fd = -EBADF, .m.parent = ""};
	if (r == 0 && o->parent)
		r = str_copy(parent, sizeof(parent), o->parent);
	if (r < 0)
		return msb_err_errno(err, r, "the place for the snapshot");
	r = sandbox_info_get(o->home, o->sandbox, &info, err);
	if (r < 0)
		return r;
	r = check_source(&info, err);
	if (r == 0 && info.spec.image_kind == IMAGE_OCI)
		r = store_open(o->home, &store, err);
	if (r == 0) {
		r = snapshot_new_begin(parent, o->name, o->replace, &n, err);
		if (r == 0)
			r = fill(o, &info.spec, &n, err);
		snapshot_new_end(&n);
	}
	sandbox_info_deinit(&info);
	if (r < 0)
		return r;
	if (snprintf(path, sizeof(path), "%s/%s", parent, o->name) >= (int)sizeof(path))
		return msb_err_errno(err, -ENAMETOOLONG, "%.200s", parent);
	return snapshot_open(o->home, path, ret, err);
}

/* The contents of the disk against the manifest. */
int snapshot_verify(const struct snapshot *s, struct msb_err *err)
{
	cleanup_fd int disk = -EBADF;
	char digest[DIGEST_TEXT];
	int r = snapshot_open_disk(s, &disk, err);

	if (r < 0)
		return r;
	r = sparse_digest(disk, digest);
	if (r < 0)
		return msb_err_errno(err, r, "disk of snapshot '%s'", s->name);
	if (!streq(digest, s->m.disk_digest))
		return msb_err_set(err, -EBADMSG, MSB_FAIL,
			"the disk of snapshot '%s' is damaged: its contents have another digest",
			s->name);
	return 0;
}
