/* SPDX-License-Identifier: Apache-2.0 */
/* A packet of an msb-net that somebody has taken over; what is understood survives a round trip. */
#include "net/event-msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t max)
{
	assert(strlen(s) <= max);
	for (; *s; s++)
		assert(*s >= ' ' && *s <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free uint8_t *copy = malloc(size + 1);
	struct net_event again;
	struct net_event e;
	struct buf out;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	if (net_event_get(copy, size, &e) < 0)
		return 0;
	check_text(e.name, NET_EVENT_NAME);
	check_text(e.path, NET_EVENT_PATH);
	check_text(e.text, NET_EVENT_TEXT);
	buf_init(&out, NET_EVENT_MAX);
	assert(net_event_put(&out, &e) == 0);
	assert(net_event_get(buf_data(&out), buf_len(&out), &again) == 0);
	assert(again.kind == e.kind && again.flow == e.flow && again.rule == e.rule);
	assert(streq(again.path, e.path) && streq(again.text, e.text));
	buf_deinit(&out);
	return 0;
}
