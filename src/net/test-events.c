/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for the log: whole, few, and counted where they are left out. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"

#include "net/events.h"

#include "test.h"

struct rig {
	struct loop loop;
	struct net_events events;
	int fd;
};

static void rig_init(struct rig *g)
{
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	ASSERT_OK(loop_init(&g->loop));
	g->fd = fds[1];
	net_events_init(&g->events, &g->loop, fds[0]);
}

static void rig_deinit(struct rig *g)
{
	net_events_deinit(&g->events);
	loop_deinit(&g->loop);
	(void)close(g->fd);
}

static bool next_event(const struct rig *g, uint8_t packet[NET_EVENT_MAX], struct net_event *ret)
{
	ssize_t n = recv(g->fd, packet, NET_EVENT_MAX, MSG_DONTWAIT);

	if (n < 0)
		return false;
	ASSERT_OK(net_event_get(packet, (size_t)n, ret));
	return true;
}

/* The next line; -1 when there is none. */
static ssize_t line(const struct rig *g, char *to, size_t size)
{
	uint8_t packet[NET_EVENT_MAX];
	struct net_event e;

	if (!next_event(g, packet, &e))
		return -1;
	ASSERT_TRUE(e.kind == NET_EVENT_NOTE && e.log);
	return snprintf(to, size, "%s", e.text);
}

/* What a line of the number says, 0 for other lines. */
static uint64_t number_in(const char *text)
{
	char digits[32] = {0};
	uint64_t n = 0;

	memcpy(digits, text, MIN(strcspn(text, " "), sizeof(digits) - 1));
	return strstr(text, "more were not told of") && str_to_u64(digits, &n) == 0 ? n : 0;
}

/* Reads until told of and counted are @all. Return: how many lines there were. */
static unsigned int collect(struct rig *g, unsigned int all)
{
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	unsigned int lines = 0;
	uint64_t counted = 0;
	char text[NET_EVENT_TEXT + 1];

	while (lines + counted < all) {
		if (line(g, text, sizeof(text)) < 0) {
			ASSERT_TRUE(clock_mono_ns() < deadline);
			ASSERT_OK(loop_once(&g->loop, clock_mono_ns() + NSEC_PER_SEC));
		} else if (number_in(text)) {
			counted += number_in(text);
		} else {
			ASSERT_STREQ(text, "egress tcp 10.0.0.1:80 (private): denied");
			lines++;
		}
	}
	ASSERT_EQ(lines + counted, all);
	return lines;
}

static void flood(struct rig *g, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		net_events_say(&g->events, "egress tcp 10.0.0.1:80 (private): denied");
}

TEST(few_are_told_as_they_are)
{
	struct rig g;

	rig_init(&g);
	flood(&g, EVENTS_BURST);
	ASSERT_EQ(collect(&g, EVENTS_BURST), EVENTS_BURST);
	rig_deinit(&g);
}

TEST(of_many_the_number_is_told)
{
	enum { MANY = 10000 };
	struct rig g;
	unsigned int lines;

	rig_init(&g);
	flood(&g, MANY);
	lines = collect(&g, MANY);
	ASSERT_TRUE(lines >= EVENTS_BURST && lines < MANY / 2);
	rig_deinit(&g);
}

TEST(a_reader_who_is_slow_gets_the_number)
{
	struct rig g;
	int small = 1;

	rig_init(&g);
	ASSERT_EQ(setsockopt(g.events.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	flood(&g, EVENTS_BURST);
	ASSERT_TRUE(collect(&g, EVENTS_BURST) < EVENTS_BURST);
	rig_deinit(&g);
}

TEST(every_event_is_told_but_only_some_are_lines_of_the_log)
{
	enum { MANY = EVENTS_BURST + 30 };
	const struct net_event ev = {.kind = NET_EVENT_DENIED, .log = true, .text = "denied"};
	uint8_t packet[NET_EVENT_MAX];
	struct net_event e;
	unsigned int logged = 0;
	unsigned int told = 0;
	struct rig g;

	rig_init(&g);
	for (unsigned int i = 0; i < MANY; i++)
		net_events_tell(&g.events, &ev);
	while (next_event(&g, packet, &e)) {
		ASSERT_EQ(e.kind, NET_EVENT_DENIED);
		told++;
		logged += e.log;
	}
	ASSERT_EQ(told, MANY);
	ASSERT_TRUE(logged >= EVENTS_BURST && logged < MANY);
	ASSERT_EQ(g.events.left_out, MANY - logged);
	rig_deinit(&g);
}

TEST(events_that_are_lost_are_counted_and_told_in_their_place)
{
	enum { MANY = 5000 };
	const struct net_event ev = {.kind = NET_EVENT_OPEN, .name = "www.example"};
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	uint8_t packet[NET_EVENT_MAX];
	struct net_event e;
	uint64_t told = 0;
	uint64_t lost = 0;
	struct rig g;

	rig_init(&g);
	for (unsigned int i = 0; i < MANY; i++)
		net_events_tell(&g.events, &ev);
	ASSERT_TRUE(g.events.lost > 0);
	while (told + lost < MANY) {
		if (next_event(&g, packet, &e)) {
			told += e.kind == NET_EVENT_OPEN;
			lost += e.kind == NET_EVENT_LOST ? e.lost : 0;
			continue;
		}
		ASSERT_TRUE(clock_mono_ns() < deadline);
		ASSERT_OK(loop_once(&g.loop, clock_mono_ns() + NSEC_PER_SEC));
	}
	ASSERT_EQ(told + lost, MANY);
	ASSERT_TRUE(told > 0 && lost > 0);
	rig_deinit(&g);
}

TEST(use_is_told_now_and_then)
{
	uint8_t packet[NET_EVENT_MAX];
	struct rig g;

	rig_init(&g);
	for (int i = 0; i < 1000; i++)
		net_events_used(&g.events);
	ASSERT_EQ(recv(g.fd, packet, sizeof(packet), MSG_DONTWAIT), 1);
	ASSERT_EQ(packet[0], EVENTS_USED);
	g.events.used_ns = 1; /* long ago */
	net_events_used(&g.events);
	ASSERT_EQ(recv(g.fd, packet, sizeof(packet), MSG_DONTWAIT), 1);
	ASSERT_TRUE(recv(g.fd, packet, sizeof(packet), MSG_DONTWAIT) < 0);
	rig_deinit(&g);
}

/* Also where the supervisor is behind. */
TEST(an_order_is_answered)
{
	uint8_t packet[NET_EVENT_MAX];
	unsigned int answers = 0;
	struct rig g;

	rig_init(&g);
	net_events_answer(&g.events, true);
	ASSERT_EQ(recv(g.fd, packet, sizeof(packet), MSG_DONTWAIT), 1);
	ASSERT_EQ(packet[0], EVENTS_TAKEN);
	while (!g.events.lost)
		net_events_tell(&g.events, &(struct net_event){.kind = NET_EVENT_OPEN});
	net_events_answer(&g.events, false);
	ASSERT_EQ(g.events.answer, EVENTS_REFUSED);
	for (uint64_t end = clock_mono_ns() + 60 * NSEC_PER_SEC; !answers;) {
		ASSERT_TRUE(clock_mono_ns() < end);
		if (recv(g.fd, packet, sizeof(packet), MSG_DONTWAIT) == 1)
			answers += packet[0] == EVENTS_REFUSED;
		ASSERT_OK(loop_once(&g.loop, clock_mono_ns() + NSEC_PER_MSEC));
	}
	ASSERT_EQ(g.events.answer, 0);
	rig_deinit(&g);
}

TEST(nobody_listens)
{
	struct net_events e;
	struct loop l;

	ASSERT_OK(loop_init(&l));
	net_events_init(&e, &l, -EBADF);
	net_events_say(&e, "nobody hears this");
	net_events_used(&e);
	ASSERT_TRUE(!e.timer.loop);
	net_events_deinit(&e);
	loop_deinit(&l);
}
