/* SPDX-License-Identifier: Apache-2.0 */
/* What is dropped is told at once, then once a second, and never more than there was. */
#include <sys/socket.h>

#include "base/io.h"

#include "net/drops.h"

#include "test.h"

static struct loop loop;
static struct net_events events;
static struct stack_stats stats;
static struct net_drops drops;
static int heard;

static void init(void)
{
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	ASSERT_OK(loop_init(&loop));
	heard = fds[1];
	net_events_init(&events, &loop, fds[0]);
	stats = (struct stack_stats){.bad_frames = 7};
	net_drops_init(&drops, &loop, &events, &stats);
}

static void deinit(void)
{
	net_drops_deinit(&drops);
	net_events_deinit(&events);
	loop_deinit(&loop);
	(void)close(heard);
}

/* The number of packets that the next event tells of, 0: there is none. */
static uint64_t told(const char *text)
{
	uint8_t packet[NET_EVENT_MAX];
	struct net_event e;
	ssize_t n = recv(heard, packet, sizeof(packet), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	ASSERT_OK(net_event_get(packet, (size_t)n, &e));
	ASSERT_EQ(e.kind, NET_EVENT_DROPPED);
	ASSERT_TRUE(e.log);
	ASSERT_STREQ(e.text, text);
	return e.lost;
}

TEST(what_is_dropped_is_told)
{
	init();
	net_drops_look(&drops);
	ASSERT_EQ(told(NULL), 0); /* seven were before */
	stats.bad_frames++;
	net_drops_look(&drops);
	ASSERT_EQ(told("dropped: 1 malformed or of no known protocol"), 1);
	net_drops_look(&drops);
	ASSERT_EQ(told(NULL), 0);
	deinit();
}

TEST(a_flood_is_told_in_sums)
{
	uint64_t n = 0;

	init();
	stats.spoofed = 1;
	net_drops_look(&drops);
	ASSERT_EQ(told("dropped: 1 from an address that is not the sandbox's"), 1);
	for (int i = 0; i < 1000; i++) {
		stats.tcp_refused_limit++;
		stats.fragments_refused += 2;
		net_drops_look(&drops);
	}
	ASSERT_EQ(told(NULL), 0);
	while (n == 0) {
		ASSERT_OK(loop_once(&loop, clock_mono_ns() + NSEC_PER_SEC));
		n = told("dropped: 2000 fragments that do not fit, 1000 connections beyond the "
			 "limit");
	}
	ASSERT_EQ(n, 3000);
	/* And once nothing comes, nobody waits. */
	while (drops.timer.loop)
		ASSERT_OK(loop_once(&loop, clock_mono_ns() + NSEC_PER_SEC));
	ASSERT_EQ(told(NULL), 0);
	deinit();
}
