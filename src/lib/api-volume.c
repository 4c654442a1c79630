/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: named volumes. */
#include "base/str.h"

#include "lib/api-items.h"
#include "lib/api.h"
#include "lib/volumes.h"
#include "msb/sandbox.h"
#include "sandbox/state.h"
#include "sandbox/volume.h"

static int create_volume(
	struct msb *m, struct volume_info *info, const char *kind, struct msb_err *err)
{
	int k = 0;
	int r = 0;

	while (volume_kind_names[k] && !streq(volume_kind_names[k], kind))
		k++;
	if (!volume_kind_names[k])
		return msb_err_usage(err, "a volume is a 'dir' or a 'disk'");
	info->kind = (enum volume_kind)k;
	if (info->kind == VOLUME_DISK && !info->size_bytes)
		return msb_err_hint(err, msb_err_usage(err, "a disk volume needs a size"),
			"give --size, e.g. --size 10G");
	/* Only a directory may be without bound. */
	if (info->size_bytes)
		r = volume_size_check(info->kind, info->size_bytes, err);
	if (r == 0)
		r = volume_create(m->home, info, err);
	if (r == 0)
		volume_reap(m->home);
	return r;
}

int msb_volume_create(
	struct msb *m, const char *name, const char *kind, uint64_t bytes, struct msb_error *error)
{
	struct volume_info info = {.size_bytes = bytes};
	struct msb_err err = {0};
	int r = volume_name_check(name, &err);

	if (r == 0)
		r = str_copy(info.name, sizeof(info.name), name);
	if (r == 0)
		r = create_volume(m, &info, kind, &err);
	return api_result(error, &err, r);
}

int msb_volume_create_any(
	struct msb *m, const char *kind, uint64_t bytes, char *ret_name, struct msb_error *error)
{
	struct volume_info info = {.size_bytes = bytes};
	char name[SANDBOX_NAME_GENERATED];
	struct msb_err err = {0};
	int r = sandbox_name_generate(name);

	if (r == 0) {
		(void)snprintf(info.name, sizeof(info.name), "vol-%s", name + strlen("msb-"));
		r = create_volume(m, &info, kind, &err);
	}
	if (r == 0)
		item_put(ret_name, MSB_NAME_SIZE, info.name);
	return api_result(error, &err, r);
}

static void put_volume(struct item *to, const struct volume_info *info)
{
	item_put(to->name, sizeof(to->name), info->name);
	to->kind = volume_kind_names[info->kind];
	to->bytes = info->size_bytes;
	to->created_ns = info->created_ns;
}

int msb_volume_list(struct msb *m, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(volume_list_deinit) struct volume_list list = {.n = 0};
	struct msb_err err = {0};
	int r = volume_list_get(m->home, &list, &err);

	*ret = NULL;
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		put_volume(&(*ret)->items[i], &list.items[i]);
	return api_result(error, &err, r);
}

int msb_volume_inspect(
	struct msb *m, const char *name, struct msb_items **ret, struct msb_error *error)
{
	struct volume_info info;
	struct msb_err err = {0};
	int r = volume_get(m->home, name, &info, &err);

	*ret = NULL;
	if (r == 0)
		r = items_new(1, ret);
	if (r == 0)
		put_volume(&(*ret)->items[0], &info);
	return api_result(error, &err, r);
}

int msb_volume_path(struct msb *m, const char *name, char **ret, struct msb_error *error)
{
	struct volume_info info;
	struct msb_err err = {0};
	char path[PATH_MAX];
	int r = volume_get(m->home, name, &info, &err);

	*ret = NULL;
	if (r == 0) {
		volume_path(m->home, &info, path);
		*ret = strdup(path);
		r = *ret ? 0 : -ENOMEM;
	}
	return api_result(error, &err, r);
}

int msb_volume_used(struct msb *m, const char *name, uint64_t *ret, struct msb_error *error)
{
	struct volume_info info;
	struct msb_err err = {0};
	int r = volume_get(m->home, name, &info, &err);

	if (r == 0)
		r = volume_used(m->home, &info, ret, &err);
	return api_result(error, &err, r);
}

int msb_volume_remove(struct msb *m, const char *name, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, volume_remove(m->home, name, &err));
}

int msb_volume_users(
	struct msb *m, const char *name, struct msb_items **ret, struct msb_error *error)
{
	cleanup_with(sandbox_list_deinit) struct sandbox_list list = {.n = 0};
	struct volume_info info;
	struct msb_err err = {0};
	size_t n = 0;
	int r = volume_get(m->home, name, &info, &err);

	*ret = NULL;
	/* One whose description is damaged has users, too. */
	if (r != -ENOENT && r != -EINVAL)
		r = sandbox_list_get(m->home, &list, &err);
	if (r == 0)
		r = items_new(list.n, ret);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct item *to = &(*ret)->items[n];

		if (!volume_used_by(&list.items[i], name))
			continue;
		item_put(to->name, sizeof(to->name), list.items[i].name);
		to->kind = list.items[i].readable ? NULL : "unknown";
		n++;
	}
	if (r == 0)
		(*ret)->n = n;
	return api_result(error, &err, r);
}

int msb_volume_prune(struct msb *m, void (*removed)(void *arg, const char *name), void *arg,
	struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(error, &err, volume_prune(m->home, removed, arg, &err));
}
