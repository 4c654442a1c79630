/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a named volume: see volumes.h. */
#include "lib/volumes.h"

#include "sandbox/volume.h"

bool volume_used_by(const struct sandbox_info *info, const char *name)
{
	/* One whose description cannot be read may need anything. */
	if (!info->readable)
		return true;
	for (uint32_t i = 0; i < info->spec.n_shares; i++) {
		if (streq(info->spec.shares[i].volume, name))
			return true;
	}
	for (uint32_t i = 0; i < info->spec.n_disks; i++) {
		if (streq(info->spec.disks[i].volume, name))
			return true;
	}
	return false;
}

const char *volume_user(const struct sandbox_list *sandboxes, const char *name)
{
	for (size_t i = 0; i < sandboxes->n; i++) {
		if (volume_used_by(&sandboxes->items[i], name))
			return sandboxes->items[i].name;
	}
	return NULL;
}

int volume_prune(const char *home, void (*removed)(void *arg, const char *name), void *arg,
	struct msb_err *err)
{
	cleanup_with(sandbox_list_deinit) struct sandbox_list sandboxes = {.n = 0};
	cleanup_with(volume_list_deinit) struct volume_list list = {.n = 0};
	int r = sandbox_list_get(home, &sandboxes, err);

	if (r == 0)
		r = volume_list_get(home, &list, err);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		const char *name = list.items[i].name;

		if (volume_user(&sandboxes, name))
			continue;
		r = volume_remove(home, name, err);
		if (r == 0 && removed)
			removed(arg, name);
		/* Somebody uses it now, or was faster. */
		if (r == -EWOULDBLOCK || r == -ENOENT)
			r = 0;
	}
	if (r == 0)
		volume_reap(home);
	return r;
}
