/* SPDX-License-Identifier: Apache-2.0 */
/* What there is: see info.h. */
#include "sandbox/info.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/str.h"

#include "sandbox/state.h"

int sandbox_spec_load(int dir_fd, struct sandbox_spec *ret, struct msb_err *err)
{
	cleanup_fd int fd = openat(
		dir_fd, SANDBOX_SPEC, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_free char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "%s", SANDBOX_SPEC);
	if (!S_ISREG(st.st_mode) || st.st_size > LIMIT_JSON_BYTES)
		return msb_err_set(
			err, -EINVAL, MSB_FAIL, "%s is not what msb has written", SANDBOX_SPEC);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return msb_err_errno(err, -ENOMEM, "%s", SANDBOX_SPEC);
	r = io_read_full(fd, text, (size_t)st.st_size);
	if (r < 0)
		return msb_err_errno(err, r, "%s", SANDBOX_SPEC);
	return sandbox_spec_from_json(text, (size_t)st.st_size, ret, err);
}

/* The new text takes the place of one that is there, and never that of one that is gone. */
static int exchange(int dir_fd, const char *tmp, bool locked)
{
	/* musl has no function for it. */
	if (syscall(SYS_renameat2, dir_fd, tmp, dir_fd, SANDBOX_SPEC, RENAME_EXCHANGE) == 0)
		return unlinkat(dir_fd, tmp, 0) < 0 ? -errno : 0;
	if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
		return -errno;
	/* Not every file system can do it; who holds the lock is alone anyway. */
	if (!locked)
		return -ENOTSUP;
	return renameat(dir_fd, tmp, dir_fd, SANDBOX_SPEC) < 0 ? -errno : 0;
}

static int replace_text(int dir_fd, const void *text, size_t n, bool locked)
{
	char tmp[64];
	cleanup_fd int fd = -EBADF;
	int r;

	(void)snprintf(tmp, sizeof(tmp), SANDBOX_SPEC ".tmp.%ld", (long)getpid());
	fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, text, n);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = exchange(dir_fd, tmp, locked);
	if (r < 0)
		(void)unlinkat(dir_fd, tmp, 0);
	return r;
}

int sandbox_spec_replace(
	int dir_fd, const struct sandbox_spec *spec, bool locked, struct msb_err *err)
{
	struct buf json;
	int r;

	buf_init(&json, LIMIT_JSON_BYTES);
	r = sandbox_spec_to_json(spec, &json);
	if (r == 0)
		r = replace_text(dir_fd, buf_data(&json), buf_len(&json), locked);
	buf_deinit(&json);
	if (r == -ENOENT)
		return msb_err_set(err, r, MSB_NOT_FOUND, "it was removed meanwhile");
	if (r == -ENOTSUP)
		return msb_err_hint(err,
			msb_err_errno(err, r, "%s cannot be changed while it runs", SANDBOX_SPEC),
			"stop the sandbox first");
	return r < 0 ? msb_err_errno(err, r, "%s", SANDBOX_SPEC) : 0;
}

/* -ENOENT: it is about to come or to go. */
static int read_info(const char *name, int dir_fd, struct sandbox_info *info)
{
	int r;

	memset(info, 0, sizeof(*info));
	sandbox_spec_init(&info->spec);
	r = str_copy(info->name, sizeof(info->name), name);
	if (r < 0)
		return r;
	r = sandbox_spec_load(dir_fd, &info->spec, &info->spec_err);
	if (r == -ENOENT || r == -ENOMEM)
		return r;
	info->readable = r == 0;
	sandbox_record_read(dir_fd, &info->record);
	if (info->readable && info->spec.ephemeral && !sandbox_status_alive(info->record.status)) {
		sandbox_spec_deinit(&info->spec);
		return -ENOENT;
	}
	/* Killed while it was being made. */
	if (info->record.status == SANDBOX_CRASHED && sandbox_dir_unmade(dir_fd)) {
		sandbox_spec_deinit(&info->spec);
		return -ENOENT;
	}
	return 0;
}

int sandbox_info_get(
	const char *home, const char *name, struct sandbox_info *ret, struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	int r = sandbox_dir_find(home, name, &dir_fd, err);

	if (r < 0)
		return r;
	r = read_info(name, dir_fd, ret);
	if (r == -ENOENT)
		return msb_err_set(err, r, MSB_NOT_FOUND, "no sandbox is named '%s'", name);
	return r < 0 ? msb_err_errno(err, r, "sandbox '%s'", name) : 0;
}

struct sandbox_machine sandbox_info_machine(const struct sandbox_info *info)
{
	const struct sandbox_record *rec = &info->record;

	if (sandbox_status_alive(rec->status) && rec->machine.vcpus)
		return rec->machine;
	return (struct sandbox_machine){
		.vcpus = info->spec.vcpus,
		.max_vcpus = sandbox_spec_max_vcpus(&info->spec),
		.mem_mib = info->spec.mem_mib,
		.max_mem_mib = sandbox_spec_max_mem_mib(&info->spec),
	};
}

void sandbox_info_deinit(struct sandbox_info *info)
{
	sandbox_spec_deinit(&info->spec);
}

static int add_info(const char *name, int dir_fd, void *arg)
{
	struct sandbox_list *list = arg;
	struct sandbox_info *more;
	int r;

	/* Room for twice as many whenever their number is a power of two. */
	if ((list->n & (list->n - 1)) == 0) {
		more = realloc(list->items, (list->n ? list->n * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		list->items = more;
	}
	r = read_info(name, dir_fd, &list->items[list->n]);
	if (r == 0)
		list->n++;
	else if (r == -ENOENT)
		list->stale = true;
	return r == -ENOENT ? 0 : r;
}

static int by_name(const void *a, const void *b)
{
	const struct sandbox_info *x = a;
	const struct sandbox_info *y = b;

	return strcmp(x->name, y->name);
}

int sandbox_list_get(const char *home, struct sandbox_list *ret, struct msb_err *err)
{
	struct sandbox_list list = {.n = 0};
	int r = sandbox_each(home, add_info, &list);

	if (r < 0) {
		sandbox_list_deinit(&list);
		return msb_err_errno(err, r, "%s/sandboxes", home);
	}
	if (list.n)
		qsort(list.items, list.n, sizeof(list.items[0]), by_name);
	*ret = list;
	return 0;
}

void sandbox_list_deinit(struct sandbox_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		sandbox_info_deinit(&list->items[i]);
	free(list->items);
	*list = (struct sandbox_list){.n = 0};
}
