/* SPDX-License-Identifier: Apache-2.0 */
/* Named volumes: see volume.h. */
#include "sandbox/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include "fs/usage.h"
#include "image/ext4/ext4.h"
#include "sandbox/state.h"
#include "sandbox/volume-tree.h"

#define VOLUME_JSON  "volume.json"
#define VOLUME_LOCK  "lock"
#define VOLUME_DATA  "data"
#define VOLUME_IMAGE "disk.raw"
#define VOLUME_USAGE "usage"

enum { VOLUME_VERSION = 1, HIDDEN_NAME = 32 };

const char *const volume_kind_names[] = {[VOLUME_DIR] = "dir", [VOLUME_DISK] = "disk", NULL};

int volume_name_check(const char *name, struct msb_err *err)
{
	char quoted[80];

	if (sandbox_name_check(name, NULL) == 0)
		return 0;
	(void)msb_err_set(err, -EINVAL, MSB_USAGE, "%s is not a name of a volume",
		str_quote(quoted, sizeof(quoted), name, strlen(name)));
	return msb_err_hint(err, -EINVAL,
		"use 1 to %u letters, digits, '.', '_' and '-', beginning with a letter or digit",
		LIMIT_SANDBOX_NAME);
}

int volume_size_check(enum volume_kind kind, uint64_t bytes, struct msb_err *err)
{
	uint64_t min = kind == VOLUME_DISK ? LIMIT_ROOT_DISK_MIN_MIB : 1;

	if (kind == VOLUME_DIR && bytes == 0)
		return 0;
	if (bytes % MIB == 0 && bytes / MIB >= min && bytes / MIB <= LIMIT_ROOT_DISK_MAX_MIB)
		return 0;
	return msb_err_set(err, -ERANGE, MSB_USAGE,
		"the size of a %s volume must be %" PRIu64 " MiB to %u GiB",
		volume_kind_names[kind], min, LIMIT_ROOT_DISK_MAX_MIB / 1024);
}

/* $MSB_HOME/volumes */
static int open_parent(const char *home, bool make)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/volumes", home);
	int fd;
	int r;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	r = make ? io_mkdir_p(path, 0700) : 0;
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_dir(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_file(int dir_fd, const char *name, int flags)
{
	int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

	return fd < 0 ? -errno : fd;
}

/* A lock in the volume at @dir_fd: its descriptor, -EWOULDBLOCK, or another negative errno. */
static int take_lock(int dir_fd, int how, int flags)
{
	cleanup_fd int fd = open_file(dir_fd, VOLUME_LOCK, O_RDWR | flags);

	if (fd < 0)
		return fd;
	return flock(fd, how | LOCK_NB) < 0 ? -errno : TAKE_FD(fd);
}

static int hidden_name(const char *prefix, char to[HIDDEN_NAME])
{
	uint64_t v;

	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		return -errno;
	(void)snprintf(to, HIDDEN_NAME, "%s%016" PRIx64, prefix, v);
	return 0;
}

static int make_disk(int dir_fd, const struct volume_info *info, struct msb_err *err)
{
	cleanup_fd int fd = open_file(dir_fd, VOLUME_IMAGE, O_RDWR | O_CREAT | O_EXCL);
	struct ext4_opts o = {.size_bytes = info->size_bytes,
		.journal = true,
		.now_s = info->created_ns / NSEC_PER_SEC};

	if (fd < 0)
		return msb_err_errno(err, fd, VOLUME_IMAGE);
	if (getrandom(o.uuid, sizeof(o.uuid), 0) != (ssize_t)sizeof(o.uuid))
		return msb_err_errno(err, -errno, VOLUME_IMAGE);
	o.uuid[6] = (uint8_t)((o.uuid[6] & 0x0f) | 0x40);
	o.uuid[8] = (uint8_t)((o.uuid[8] & 0x3f) | 0x80);
	return ext4_format(fd, &o, err);
}

static int make_dir(int dir_fd, const struct volume_info *info, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;

	if (mkdirat(dir_fd, VOLUME_DATA, 0755) < 0)
		return msb_err_errno(err, -errno, VOLUME_DATA);
	if (!info->size_bytes)
		return 0;
	fd = open_file(dir_fd, VOLUME_USAGE, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0 || ftruncate(fd, FS_USAGE_SIZE) < 0)
		return msb_err_errno(err, fd < 0 ? fd : -errno, VOLUME_USAGE);
	return 0;
}

static int write_json(int dir_fd, const struct volume_info *info)
{
	struct json_out o;
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_BYTES);
	json_out_init(&o, &text, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_int(&o, "version", VOLUME_VERSION);
	json_put_str(&o, "kind", volume_kind_names[info->kind]);
	json_put_u64(&o, "size", info->size_bytes);
	json_put_u64(&o, "created_ns", info->created_ns);
	json_end_object(&o);
	r = json_out_end(&o);
	if (r == 0)
		r = io_write_file_atomic(
			dir_fd, VOLUME_JSON, buf_data(&text), buf_len(&text), 0600, true);
	buf_deinit(&text);
	return r;
}

static int fill(int dir_fd, const struct volume_info *info, struct msb_err *err)
{
	int r = info->kind == VOLUME_DISK ? make_disk(dir_fd, info, err)
					  : make_dir(dir_fd, info, err);

	if (r < 0)
		return r;
	r = write_json(dir_fd, info);
	return r < 0 ? msb_err_errno(err, r, VOLUME_JSON) : 0;
}

static int exists(const char *name, struct msb_err *err)
{
	return msb_err_set(err, -EEXIST, MSB_EXISTS, "volume '%s' exists already", name);
}

int volume_create(const char *home, const struct volume_info *info, struct msb_err *err)
{
	cleanup_fd int parent_fd = -EBADF;
	cleanup_fd int dir_fd = -EBADF;
	cleanup_fd int lock_fd = -EBADF;
	struct volume_info made = *info;
	char hidden[HIDDEN_NAME];
	int r = volume_name_check(info->name, err);

	if (r == 0)
		r = volume_size_check(info->kind, info->size_bytes, err);
	if (r < 0)
		return r;
	parent_fd = open_parent(home, true);
	if (parent_fd < 0)
		return msb_err_errno(err, parent_fd, "%s/volumes", home);
	if (faccessat(parent_fd, info->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return exists(info->name, err);
	made.created_ns = clock_real_ns();
	r = hidden_name(".new-", hidden);
	if (r == 0 && mkdirat(parent_fd, hidden, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = dir_fd = open_dir(parent_fd, hidden);
	if (r >= 0) {
		lock_fd = take_lock(dir_fd, LOCK_EX, O_CREAT | O_EXCL);
		r = lock_fd;
	}
	if (r < 0)
		return msb_err_errno(err, r, "volume '%s'", info->name);
	r = fill(dir_fd, &made, err);
	if (r < 0)
		r = msb_err_prefix(err, r, "volume '%s'", info->name);
	else if (syscall(SYS_renameat2, parent_fd, hidden, parent_fd, info->name,
			 1u /* RENAME_NOREPLACE */) < 0)
		r = errno == EEXIST ? exists(info->name, err)
				    : msb_err_errno(err, -errno, "volume '%s'", info->name);
	/* volume_reap() tries again. */
	if (r < 0 && volume_tree_remove(parent_fd, hidden) < 0)
		log_debug("%s stays behind", hidden);
	return r;
}

static int no_such(const char *name, struct msb_err *err)
{
	int r = msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "no volume is named '%s'", name);

	return msb_err_hint(err, r, "'msb volume ls' lists what there is");
}

static int read_json(int dir_fd, const char *name, struct volume_info *ret, struct msb_err *err)
{
	cleanup_json struct json *doc = NULL;
	const char *kind = "";
	uint32_t version;
	int r = json_read_file(dir_fd, VOLUME_JSON, &doc, err);

	*ret = (struct volume_info){.kind = VOLUME_DIR};
	if (r == 0)
		r = str_copy(ret->name, sizeof(ret->name), name);
	if (r == 0)
		r = json_get_u32(doc, "version", VOLUME_VERSION, VOLUME_VERSION, &version, err);
	if (r == 0)
		r = json_get_str(doc, "kind", &kind, err);
	if (r == 0)
		r = json_get_u64(doc, "size", &ret->size_bytes, err);
	if (r == 0)
		r = json_get_u64(doc, "created_ns", &ret->created_ns, err);
	if (r < 0)
		return msb_err_prefix(err, r, "volume '%.100s'", name);
	ret->kind = streq(kind, volume_kind_names[VOLUME_DISK]) ? VOLUME_DISK : VOLUME_DIR;
	return 0;
}

/* Directory of the volume @name, and what it is. */
static int find(const char *home, const char *name, struct volume_info *ret, struct msb_err *err)
{
	cleanup_fd int parent_fd = -EBADF;
	cleanup_fd int dir_fd = -EBADF;
	int r = volume_name_check(name, err);

	if (r < 0)
		return r;
	r = parent_fd = open_parent(home, false);
	if (r >= 0)
		r = dir_fd = open_dir(parent_fd, name);
	if (r < 0)
		return r == -ENOENT ? no_such(name, err)
				    : msb_err_errno(err, r, "volume '%s'", name);
	r = read_json(dir_fd, name, ret, err);
	return r < 0 ? r : TAKE_FD(dir_fd);
}

int volume_get(const char *home, const char *name, struct volume_info *ret, struct msb_err *err)
{
	cleanup_fd int dir_fd = find(home, name, ret, err);

	return dir_fd < 0 ? dir_fd : 0;
}

void volume_path(const char *home, const struct volume_info *info, char ret[PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%s/volumes/%s/%s", home, info->name,
		info->kind == VOLUME_DISK ? VOLUME_IMAGE : VOLUME_DATA);
}

int volume_used(
	const char *home, const struct volume_info *info, uint64_t *ret, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	char path[PATH_MAX];
	struct stat st;
	int r = 0;

	volume_path(home, info, path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (info->kind == VOLUME_DIR)
		r = fs_usage_count(fd, ret);
	else
		*ret = (uint64_t)st.st_blocks * 512;
	return r < 0 ? msb_err_errno(err, r, "volume '%s'", info->name) : 0;
}

static int busy(const char *name, struct msb_err *err)
{
	int r = msb_err_set(err, -EWOULDBLOCK, MSB_BUSY, "volume '%s' is in use", name);

	return msb_err_hint(err, r, "stop the sandbox that uses it: 'msb ps'");
}

int volume_remove(const char *home, const char *name, struct msb_err *err)
{
	cleanup_fd int parent_fd = -EBADF;
	cleanup_fd int dir_fd = -EBADF;
	cleanup_fd int lock_fd = -EBADF;
	char hidden[HIDDEN_NAME];
	int r = volume_name_check(name, err);

	if (r < 0)
		return r;
	r = parent_fd = open_parent(home, false);
	if (r >= 0)
		r = dir_fd = open_dir(parent_fd, name);
	if (r >= 0) {
		lock_fd = take_lock(dir_fd, LOCK_EX, 0);
		r = lock_fd;
	}
	if (r == -EWOULDBLOCK)
		return busy(name, err);
	if (r >= 0)
		r = hidden_name(".old-", hidden);
	if (r == 0 && renameat(parent_fd, name, parent_fd, hidden) < 0)
		r = -errno;
	if (r == -ENOENT)
		return no_such(name, err);
	if (r == 0)
		r = volume_tree_remove(parent_fd, hidden);
	return r < 0 ? msb_err_errno(err, r, "volume '%s'", name) : 0;
}

void volume_reap(const char *home)
{
	cleanup_fd int parent_fd = open_parent(home, false);
	int fd = parent_fd < 0 ? -EBADF : open_dir(parent_fd, ".");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		fd_close(fd);
		return;
	}
	while ((e = readdir(d))) {
		cleanup_fd int dir_fd = -EBADF;
		cleanup_fd int lock_fd = -EBADF;

		if (!str_starts(e->d_name, ".new-") && !str_starts(e->d_name, ".old-"))
			continue;
		dir_fd = open_dir(parent_fd, e->d_name);
		lock_fd = dir_fd < 0 ? dir_fd : take_lock(dir_fd, LOCK_EX, 0);
		/* One that is being made has no lock for a moment, and is empty then. */
		if (lock_fd == -ENOENT && str_starts(e->d_name, ".new-"))
			(void)unlinkat(parent_fd, e->d_name, AT_REMOVEDIR);
		else if (lock_fd != -EWOULDBLOCK && volume_tree_remove(parent_fd, e->d_name) < 0)
			log_debug("%s stays behind", e->d_name);
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	const struct volume_info *x = a;
	const struct volume_info *y = b;

	return strcmp(x->name, y->name);
}

static int list_add(struct volume_list *list, const struct volume_info *info)
{
	struct volume_info *more;

	if ((list->n & (list->n - 1)) == 0) {
		more = reallocarray(list->items, list->n ? list->n * 2 : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		list->items = more;
	}
	list->items[list->n++] = *info;
	return 0;
}

int volume_list_get(const char *home, struct volume_list *ret, struct msb_err *err)
{
	struct volume_list list = {.n = 0};
	int fd = open_parent(home, false);
	struct dirent *e;
	DIR *d;
	int r = 0;

	*ret = list;
	if (fd < 0)
		return fd == -ENOENT ? 0 : msb_err_errno(err, fd, "%s/volumes", home);
	d = fdopendir(fd);
	if (!d) {
		fd_close(fd);
		return msb_err_errno(err, -ENOMEM, "%s/volumes", home);
	}
	while (r == 0 && (e = readdir(d))) {
		cleanup_fd int dir_fd = -EBADF;
		struct volume_info info;

		if (sandbox_name_check(e->d_name, NULL) < 0)
			continue;
		dir_fd = open_dir(dirfd(d), e->d_name);
		if (dir_fd >= 0 && read_json(dir_fd, e->d_name, &info, NULL) == 0)
			r = list_add(&list, &info);
	}
	closedir(d);
	if (r < 0) {
		volume_list_deinit(&list);
		return msb_err_errno(err, r, "%s/volumes", home);
	}
	if (list.n)
		qsort(list.items, list.n, sizeof(list.items[0]), by_name);
	*ret = list;
	return 0;
}

void volume_list_deinit(struct volume_list *list)
{
	free(list->items);
	*list = (struct volume_list){.n = 0};
}

void volume_init(struct volume *v)
{
	*v = (struct volume){.lock_fd = -EBADF, .fd = -EBADF, .usage_fd = -EBADF};
}

void volume_close(struct volume *v)
{
	fd_close(v->fd);
	fd_close(v->usage_fd);
	fd_close(v->lock_fd);
	volume_init(v);
}

/* What the machine gets; the lock of an image passes to it and ends with it. */
static int open_content(int dir_fd, bool read_only, struct volume *v)
{
	if (v->info.kind == VOLUME_DIR) {
		v->fd = openat(dir_fd, VOLUME_DATA, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (v->fd < 0)
			return -errno;
		if (v->info.size_bytes)
			v->usage_fd = open_file(dir_fd, VOLUME_USAGE, O_RDWR);
		return v->info.size_bytes && v->usage_fd < 0 ? v->usage_fd : 0;
	}
	v->fd = open_file(dir_fd, VOLUME_IMAGE, read_only ? O_RDONLY : O_RDWR);
	if (v->fd < 0)
		return v->fd;
	return flock(v->fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0 ? -errno : 0;
}

int volume_attach(
	const char *home, const char *name, bool read_only, struct volume *ret, struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	struct stat st;
	int r;

	volume_init(ret);
	r = dir_fd = find(home, name, &ret->info, err);
	if (r < 0)
		return r;
	r = ret->lock_fd = take_lock(dir_fd, LOCK_SH, 0);
	if (r >= 0)
		r = open_content(dir_fd, read_only, ret);
	if (r == 0 && fstat(ret->lock_fd, &st) == 0 && st.st_nlink == 0)
		r = -ENOENT;
	if (r == 0)
		return 0;
	volume_close(ret);
	if (r == -EWOULDBLOCK)
		return busy(name, err);
	return r == -ENOENT ? no_such(name, err) : msb_err_errno(err, r, "volume '%s'", name);
}
