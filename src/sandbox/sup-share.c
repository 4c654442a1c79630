/* SPDX-License-Identifier: Apache-2.0 */
/* Shares on their way to the machine: see sup-share.h. */
#include "sandbox/sup-share.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sandbox/sup-internal.h"
#include "sandbox/sup-net.h"
#include "sandbox/volume.h"

/* What a share of a file calls it. */
#define FILE_NAME "file"

/* For a machine that has ended a connection to end itself. */
enum { MACHINE_END_MS = 3000 };

void sup_shares_init(struct sup_shares *s)
{
	for (unsigned int i = 0; i < LIMIT_SHARES; i++) {
		s->fds[i] = s->usage_fds[i] = -EBADF;
		s->disk_fds[i] = -EBADF;
	}
	s->fs_path[0] = '\0';
}

void sup_shares_deinit(struct sup_shares *s)
{
	for (unsigned int i = 0; i < LIMIT_SHARES; i++) {
		s->fds[i] = fd_close(s->fds[i]);
		s->usage_fds[i] = fd_close(s->usage_fds[i]);
		s->disk_fds[i] = fd_close(s->disk_fds[i]);
	}
}

/*
 * A link at the end of the path is refused: what lies in a shared directory is changed by guests,
 * and a link left there must not become what the next sandbox is given.
 */
static int open_source(const char *path, int *ret, bool *ret_is_file, struct msb_err *err)
{
	cleanup_fd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot share %s", path);
	if (S_ISLNK(st.st_mode)) {
		r = msb_err_set(
			err, -ELOOP, MSB_USAGE, "cannot share %s: it is a symbolic link", path);
		return msb_err_hint(err, r, "name what it points to");
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"cannot share %s: it is neither a directory nor a file", path);
	*ret_is_file = S_ISREG(st.st_mode);
	*ret = TAKE_FD(fd);
	return 0;
}

/* The descriptor of the volume @name; its lock is kept until the sandbox has ended. */
static int open_volume(struct supervisor *sup, const char *name, enum volume_kind kind,
	bool read_only, struct volume *ret, struct msb_err *err)
{
	int r = volume_attach(sup->spec.home, name, read_only, ret, err);

	if (r < 0)
		return r;
	if (ret->info.kind != kind) {
		volume_close(ret);
		return msb_err_set(err, -EINVAL, MSB_USAGE, "volume '%s' is %s now", name,
			kind == VOLUME_DIR ? "a disk" : "a directory");
	}
	sup->volume_locks[sup->n_volume_locks++] = TAKE_FD(ret->lock_fd);
	return 0;
}

static int open_share(struct supervisor *sup, struct sup_shares *s, uint32_t i,
	struct fs_options *o, struct msb_err *err)
{
	const struct sandbox_share *from = &sup->spec.shares[i];
	struct volume v;
	int r;

	if (!from->volume[0])
		return open_source(from->source, &s->fds[i], &sup->shares[i].is_file, err);
	r = open_volume(sup, from->volume, VOLUME_DIR, o->read_only, &v, err);
	if (r < 0)
		return r;
	s->fds[i] = TAKE_FD(v.fd);
	s->usage_fds[i] = TAKE_FD(v.usage_fd);
	o->quota = v.info.size_bytes;
	o->whole = o->quota != 0;
	return 0;
}

static int open_disk(struct supervisor *sup, struct sup_shares *s, uint32_t i,
	const struct disk_options *o, struct msb_err *err)
{
	const struct sandbox_disk *from = &sup->spec.disks[i];
	struct volume v;
	int r;

	if (from->volume[0]) {
		r = open_volume(sup, from->volume, VOLUME_DISK, o->read_only, &v, err);
		if (r == 0)
			s->disk_fds[i] = TAKE_FD(v.fd);
		return r;
	}
	r = sup_open_file(
		"disk", from->source, o->read_only ? O_RDONLY : O_RDWR, &s->disk_fds[i], err);
	if (r < 0)
		return r;
	/* The lock passes to the machine with the descriptor. */
	if (flock(s->disk_fds[i], (o->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return msb_err_errno(err, -errno, "disk '%.200s'", from->source);
	r = msb_err_set(err, -EWOULDBLOCK, MSB_BUSY, "disk '%.200s' is in use", from->source);
	return msb_err_hint(err, r, "stop the sandbox that uses it, or give :ro to both");
}

static int open_disks(
	struct supervisor *sup, struct sup_shares *s, struct engine_spec *es, struct msb_err *err)
{
	for (uint32_t i = 0; i < sup->spec.n_disks; i++) {
		struct sup_disk_note *note = &sup->disk_notes[i];
		struct disk_options o;
		int r = disk_options_parse(sup->spec.disks[i].options, &o, err);

		if (r == 0)
			r = open_disk(sup, s, i, &o, err);
		if (r < 0)
			return r;
		(void)snprintf(
			note->device, sizeof(note->device), "/dev/vd%c", (char)('a' + es->n_disks));
		note->read_only = o.read_only;
		memcpy(note->mount, o.mount, sizeof(note->mount));
		memcpy(note->fstype, o.fstype, sizeof(note->fstype));
		s->disks[i] = (struct engine_extent){.fd = s->disk_fds[i]}; /* the whole file */
		es->disks[es->n_disks++] = (struct engine_disk){
			.read_only = o.read_only, .n_extents = 1, .extents = &s->disks[i]};
	}
	return 0;
}

int sup_shares_open(
	struct supervisor *sup, struct sup_shares *s, struct engine_spec *es, struct msb_err *err)
{
	const struct sandbox_spec *spec = &sup->spec;
	struct sup_share *notes = sup->shares;
	int n = snprintf(s->fs_path, sizeof(s->fs_path), "%s/msb-fs", spec->lib_dir);

	if (n < 0 || (size_t)n >= sizeof(s->fs_path))
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_USAGE, "the program directory's path is too long");
	es->fs_path = s->fs_path;
	for (uint32_t i = 0; i < spec->n_shares; i++) {
		struct engine_share *share = &es->shares[i];
		struct share_options o;
		int r = share_options_parse(spec->shares[i].options, &o, err);

		if (r == 0)
			r = open_share(sup, s, i, &o.fs, err);
		if (r < 0)
			return r;
		(void)snprintf(notes[i].tag, sizeof(notes[i].tag), "msb%" PRIu32, i);
		memcpy(notes[i].mount, o.mount, sizeof(notes[i].mount));
		*share = (struct engine_share){.fd = s->fds[i],
			.usage_fd = s->usage_fds[i],
			.tag = notes[i].tag,
			.options = o.fs};
		if (notes[i].is_file)
			(void)snprintf(share->options.only, sizeof(share->options.only), FILE_NAME);
	}
	es->n_shares = spec->n_shares;
	return open_disks(sup, s, es, err);
}

void sup_volumes_release(struct supervisor *sup)
{
	while (sup->n_volume_locks > 0)
		fd_close(sup->volume_locks[--sup->n_volume_locks]);
}

void sup_shares_config(const struct supervisor *sup, struct msg_config *m)
{
	const struct sandbox_spec *spec = &sup->spec;

	m->n_shares = spec->n_shares + spec->n_disks;
	for (uint32_t i = 0; i < spec->n_shares; i++)
		m->shares[i] = (struct msg_share){.tag = sup->shares[i].tag,
			.path = spec->shares[i].path,
			.only = sup->shares[i].is_file ? FILE_NAME : "",
			.options = sup->shares[i].mount};
	for (uint32_t i = 0; i < spec->n_disks; i++)
		m->shares[spec->n_shares + i] = (struct msg_share){.tag = sup->disk_notes[i].device,
			.path = spec->disks[i].path,
			.only = sup->disk_notes[i].fstype,
			.options = sup->disk_notes[i].mount};
}

/* What helper @i does, in words; "": a share. */
static const char *helper_does(const struct supervisor *sup, uint32_t i)
{
	if (i < sup->spec.n_shares)
		return "";
	return streq(sup->vm.helpers[i].name, "msb-vsock") ? "sockets of the host" : "the network";
}

static void machine_patience(struct loop_timer *t)
{
	struct sup_share_watch *w = container_of(t, struct sup_share_watch, patience);
	struct msb_err err;

	(void)msb_err_set(&err, -EPIPE, MSB_GUEST, "the machine has closed its connection to %s",
		w->index < w->sup->spec.n_shares ? "a shared directory"
						 : helper_does(w->sup, w->index));
	sup_fail(w->sup, &err);
}

/*
 * A process of msb-fs has ended. Its file system in the guest answers with errors, or never, and no
 * other process could take its place: it would not know what the guest has open.
 */
static void share_event(struct loop_fd *src, uint32_t events)
{
	struct sup_share_watch *w = container_of(src, struct sup_share_watch, src);
	struct msb_err err = {0};
	int r = engine_helper_ended(&w->sup->vm, w->index, &err);

	(void)events;
	if (r == -EAGAIN)
		return;
	loop_fd_del(src);
	/* It may have said why. */
	sup_net_listen(w->sup);
	/* Ended by the machine: as a rule that is ending, too, and its own words say more. */
	if (r == 0) {
		loop_timer_set(&w->sup->loop, &w->patience,
			clock_mono_ns() + MACHINE_END_MS * NSEC_PER_MSEC, machine_patience);
		return;
	}
	if (w->index < w->sup->spec.n_shares)
		(void)msb_err_prefix(
			&err, r, "the share at %.100s", w->sup->spec.shares[w->index].path);
	else
		(void)msb_err_prefix(&err, r, "%s", helper_does(w->sup, w->index));
	sup_fail(w->sup, &err);
}

int sup_shares_watch(struct supervisor *sup)
{
	int r = 0;

	for (uint32_t i = 0; i < sup->vm.n_helpers && r == 0; i++) {
		struct sup_share_watch *w = &sup->share_watches[i];

		w->sup = sup;
		w->index = i;
		r = loop_fd_add(
			&sup->loop, &w->src, sup->vm.helpers[i].pidfd, EPOLLIN, share_event);
	}
	return r;
}

void sup_shares_unwatch(struct supervisor *sup)
{
	for (size_t i = 0; i < ARRAY_SIZE(sup->share_watches); i++) {
		loop_fd_del(&sup->share_watches[i].src);
		loop_timer_del(&sup->share_watches[i].patience);
	}
}
