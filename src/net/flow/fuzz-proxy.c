/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile proxy: the first byte chooses its kind, whether there is a login, and how its bytes
 * come; whole or one at a time they must mean the same.
 */
#include "net/flow/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int talk(
	const struct net_proxy *proxy, const uint8_t *p, size_t n, size_t step, size_t *used)
{
	static const uint8_t v4[4] = {93, 184, 215, 14};
	const struct net_peer to = {.addr = net_addr_v4(v4), .port = 443};
	struct proxy_talk t;
	int r = proxy_talk_begin(&t, proxy, &to, "www.example");

	assert(r == 0);
	*used = 0;
	while (r == 0 && *used < n) {
		size_t part = 0;

		assert(t.n_out <= sizeof(t.out));
		proxy_talk_sent(&t, t.n_out);
		r = proxy_talk_take(&t, p + *used, MIN(step, n - *used), &part);
		assert(part <= MIN(step, n - *used) && (r != 0 || part > 0 || t.n_out));
		*used += part;
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_proxy proxy = {0};
	size_t whole;
	size_t bytes;
	int r;

	if (size == 0)
		return 0;
	proxy.kind = (uint8_t)(1 + data[0] % (NET_PROXY_KINDS - 1));
	if (data[0] & 64) {
		memset(proxy.user, 'u', NET_PROXY_WORD);
		memset(proxy.password, 'p', NET_PROXY_WORD);
	}
	/* A method and a request are asked for one after the other: not in one piece. */
	r = talk(&proxy, data + 1, size - 1, 1, &bytes);
	if (proxy.kind != NET_PROXY_SOCKS5) {
		assert(talk(&proxy, data + 1, size - 1, size, &whole) == r);
		assert(r != 1 || whole == bytes);
	}
	return 0;
}
