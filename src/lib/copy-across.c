/* SPDX-License-Identifier: Apache-2.0 */
/* Copying from one sandbox to another: see copy.h. Nothing touches a disk of the host. */
#include <sys/stat.h>

#include "base/str.h"

#include "lib/copy.h"

enum { PIECE = 1024 * 1024 };

/* A file of the one guest as the source of a write to the other. */
struct across {
	struct guest_fs *from;
	const char *path;
	uint64_t at; /* of what comes next */
	uint64_t left; /* what the file had when it was looked at */
	struct buf piece;
};

static int keep(void *arg, const void *p, size_t n)
{
	struct across *x = arg;

	return buf_append(&x->piece, p, n);
}

/* The other connection waits meanwhile. */
static ssize_t next_bytes(void *arg, void *p, size_t n)
{
	struct across *x = arg;

	if (buf_len(&x->piece) == 0 && x->left) {
		int r = guest_fs_read_range(
			x->from, x->path, x->at, MIN(x->left, (uint64_t)PIECE), keep, x);

		if (r < 0)
			return r;
		/* It has become shorter. */
		if (buf_len(&x->piece) == 0)
			return 0;
		x->at += buf_len(&x->piece);
		x->left -= MIN(x->left, (uint64_t)buf_len(&x->piece));
	}
	n = MIN(n, buf_len(&x->piece));
	memcpy(p, buf_data(&x->piece), n);
	buf_consume(&x->piece, n);
	return (ssize_t)n;
}

static int write_across(struct copy *c, const struct guest_attr *attr, const char *from,
	uint64_t size, const char *to, uint64_t at)
{
	struct across x = {.from = c->guest, .path = from, .at = at, .left = size - at};
	int r;

	buf_init(&x.piece, PIECE);
	r = c->resume ? guest_fs_write_from(c->to, to, attr, at, next_bytes, &x)
		      : guest_fs_write(c->to, to, attr, next_bytes, &x);
	buf_deinit(&x.piece);
	return r;
}

int copy_across_file(struct copy *c, const char *from, const struct msg_stat *st, const char *to,
	struct msb_err *err)
{
	struct guest_attr attr = copy_guest_attr(c, st);
	int r;

	attr.whole = true;
	if (c->resume)
		return copy_resume_across(c, &attr, from, st->size, to, write_across, err);
	r = write_across(c, &attr, from, st->size, to, 0);
	if (r == -EBADMSG)
		(void)!guest_fs_unlink(c->to, to);
	return r < 0 ? copy_error(err, r, "copy of", from) : 0;
}

static int across_tree(
	struct copy *c, const char *from, const char *to, unsigned int depth, struct msb_err *err);

static int across_dir(struct copy *c, const char *from, const struct msg_stat *st, const char *to,
	unsigned int depth, struct msb_err *err)
{
	const struct guest_attr attr = copy_guest_attr(c, st);
	char q[200];
	int r = guest_fs_mkdir(c->to, to, attr.mode | 0700);

	if (r < 0)
		return msb_err_errno(
			err, r, "directory %s", str_quote(q, sizeof(q), to, strlen(to)));
	r = across_tree(c, from, to, depth + 1, err);
	if (r < 0)
		return r;
	r = guest_fs_setattr(c->to, to, &attr);
	return r < 0 ? msb_err_errno(
			       err, r, "directory %s", str_quote(q, sizeof(q), to, strlen(to)))
		     : 0;
}

static int across_entry(
	struct copy *c, const struct copy_entry *entry, void *arg, struct msb_err *err)
{
	const struct msg_dirent *e = entry->e;
	const char *to_dir = arg;
	char target[LIMIT_PATH];
	char to[LIMIT_PATH];
	char q[200];
	int r;

	if (copy_join(to, to_dir, e->name) < 0) {
		copy_skip(c, entry->dir, e->name, "not a name");
		return 0;
	}
	if (S_ISDIR(e->st.mode))
		return across_dir(c, entry->path, &e->st, to, entry->depth, err);
	if (S_ISREG(e->st.mode))
		return copy_across_file(c, entry->path, &e->st, to, err);
	if (!S_ISLNK(e->st.mode)) {
		copy_skip(c, entry->dir, e->name, "neither a file nor a directory nor a link");
		return 0;
	}
	/* Through one that leads elsewhere the next entries would be written there. */
	if (copy_link_target(e->target, entry->depth, target, sizeof(target)) < 0) {
		copy_skip(c, entry->dir, e->name, "the link leads out of the tree");
		return 0;
	}
	r = guest_fs_symlink(c->to, to, target);
	return r < 0 ? msb_err_errno(err, r, "link %s", str_quote(q, sizeof(q), to, strlen(to)))
		     : 0;
}

static int across_tree(
	struct copy *c, const char *from, const char *to, unsigned int depth, struct msb_err *err)
{
	return copy_walk(c, from, "", depth, across_entry, (void *)(uintptr_t)to, err);
}

int copy_across_tree(struct copy *c, const char *from, const char *to, struct msb_err *err)
{
	return across_tree(c, from, to, 0, err);
}
