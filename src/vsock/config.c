/* SPDX-License-Identifier: Apache-2.0 */
/* How msb-vsock is started: see config.h. */
#include "vsock/config.h"

#include "base/str.h"

static int parse_role(const char *word, enum vsock_role *ret)
{
	static const char *const words[] = {
		[VSOCK_LINK] = "link", [VSOCK_VHOST] = "vhost", [VSOCK_DIAL] = "dial"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (streq(word, words[i])) {
			*ret = (enum vsock_role)i;
			return 0;
		}
	}
	return -EINVAL;
}

int vsock_config_parse(int argc, char *const *argv, struct vsock_config *ret, struct msb_err *err)
{
	*ret = (struct vsock_config){.n = 0};
	if (argc < 3 || parse_role(argv[1], &ret->role) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"msb-vsock is started by msb: 'link', 'vhost' or 'dial', and a list");
	if (argc - 2 > (int)LIMIT_VSOCKS)
		return msb_err_set(err, -E2BIG, MSB_USAGE, "more than %u sockets", LIMIT_VSOCKS);
	ret->paths = argv + 2;
	for (int i = 2; i < argc; i++, ret->n++) {
		if (ret->role == VSOCK_DIAL
				? argv[i][0] != '/'
				: str_to_u32(argv[i], 1, UINT32_MAX - 1, &ret->ports[ret->n]) < 0)
			return msb_err_set(err, -EINVAL, MSB_USAGE, "'%.100s' is no %s", argv[i],
				ret->role == VSOCK_DIAL ? "absolute path" : "port");
	}
	return 0;
}
