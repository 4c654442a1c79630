/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: passwd and group files of a hostile image. Input: spec NUL passwd NUL group. */
#include "agent/ops/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = malloc(size + 3);
	struct user u;
	const char *passwd;
	const char *group;

	if (!text)
		return 0;
	memcpy(text, data, size);
	memset(text + size, 0, 3);
	passwd = text + strlen(text) + 1;
	group = passwd + strlen(passwd) + 1;
	/* Each part ends within the copy: there are three NULs behind the input. */
	if (user_parse(text, passwd, group, &u) < 0)
		return 0;
	if (u.uid == UINT32_MAX || u.gid == UINT32_MAX || u.n_groups > USER_GROUPS_MAX ||
		strlen(u.home) >= sizeof(u.home) || strlen(u.name) >= sizeof(u.name))
		abort();
	return 0;
}
