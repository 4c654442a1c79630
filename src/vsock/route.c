/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host that a guest may reach: see route.h. */
#include "vsock/route.h"

#include "base/str.h"

enum { PORT_MSB = 123 }; /* kept for msb's own use */

static int bad_port(uint32_t port, struct msb_err *err)
{
	if (port != 0 && port != PORT_MSB && port != UINT32_MAX)
		return 0;
	return msb_err_set(err, -EINVAL, MSB_USAGE, "port %" PRIu32 " cannot be used%s", port,
		port == PORT_MSB ? ": it is reserved" : "");
}

static int cut_kind(char *text, struct msb_err *err)
{
	char *port = strrchr(text, ':');
	char *kind = port ? strchr(port, '/') : NULL;
	int r;

	if (!kind)
		return 0;
	*kind++ = '\0';
	if (streq(kind, "stream"))
		return 0;
	if (!streq(kind, "dgram"))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"'%.20s' is no kind of socket: stream is the one there is", kind);
	r = msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED,
		"datagrams are not possible: the guest's Linux 6.12 has no vsock datagrams over "
		"virtio");
	return msb_err_hint(err, r, "use a stream");
}

int vsock_route_parse(const char *text, struct vsock_route *ret, struct msb_err *err)
{
	char copy[VSOCK_PATH_SIZE + 32];
	char *colon;
	int r;

	*ret = (struct vsock_route){.port = 0};
	/* Neither is a path as long as this one useful, nor can its end be cut off. */
	if (str_copy(copy, sizeof(copy), text) < 0)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
			"the path of a Unix socket has less than %d bytes", VSOCK_PATH_SIZE);
	r = cut_kind(copy, err);
	if (r < 0)
		return r;
	colon = strrchr(copy, ':');
	if (!colon || colon == copy || str_to_u32(colon + 1, 0, UINT32_MAX, &ret->port) < 0) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "'%.100s' is not PATH:PORT", text);
		return msb_err_hint(err, r, "for example ./service.sock:5000");
	}
	*colon = '\0';
	if (str_copy(ret->path, sizeof(ret->path), copy) < 0)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE,
			"the path of a Unix socket has less than %d bytes", VSOCK_PATH_SIZE);
	return bad_port(ret->port, err);
}

int vsock_route_check(const struct vsock_route *r, struct msb_err *err)
{
	if (r->path[0] != '/' || r->path[1] == '\0')
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "the path of a host socket must be absolute");
	return bad_port(r->port, err);
}

int vsock_routes_add(struct vsock_routes *to, const struct vsock_route *r, struct msb_err *err)
{
	for (uint32_t i = 0; i < to->n; i++) {
		if (to->list[i].port == r->port)
			return msb_err_set(err, -EEXIST, MSB_USAGE,
				"port %" PRIu32 " is given twice", r->port);
	}
	if (to->n == LIMIT_VSOCKS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %u host sockets", LIMIT_VSOCKS);
	to->list[to->n++] = *r;
	return 0;
}
