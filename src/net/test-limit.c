/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets over a clock of our own: the rate holds, bursts are there once, debts are paid. */
#include "base/buf.h"

#include "net/limit.h"

#include "test.h"

static struct net_meter meter(const char *bytes, uint64_t burst, const char *packets)
{
	struct net_limit l = {.bytes.burst = burst};
	struct net_meter m;

	if (bytes)
		ASSERT_OK(net_rate_parse_bytes(&l.bytes, bytes, NULL));
	if (packets)
		ASSERT_OK(net_rate_parse_count(&l.packets, packets, NULL));
	net_meter_init(&m, &l, 1000);
	return m;
}

/* Sends frames of @len as fast as it may, for @ns. Return: bytes. */
static uint64_t flood(struct net_meter *m, size_t len, uint64_t ns)
{
	uint64_t now = 1000;
	uint64_t end = now + ns;
	uint64_t sent = 0;

	for (;;) {
		uint64_t due = net_meter_due(m, now);

		if (due) {
			ASSERT_TRUE(due > now);
			now = due;
			if (now > end)
				return sent;
			ASSERT_EQ(net_meter_due(m, now), 0);
		}
		net_meter_take(m, len);
		sent += len;
	}
}

enum { ROUNDING = 8192 };

TEST(without_a_limit_everything_passes)
{
	struct net_meter m = meter(NULL, 0, NULL);

	ASSERT_TRUE(!net_meter_limited(&m));
	for (int i = 0; i < 1000; i++) {
		net_meter_take(&m, 65535);
		ASSERT_EQ(net_meter_due(&m, 1000), 0);
	}
}

TEST(the_rate_holds_whatever_the_frames)
{
	static const size_t sizes[] = {60, 1514, 65549};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct net_meter m = meter("1M", 0, NULL);
		uint64_t sent = flood(&m, sizes[i], 100 * NSEC_PER_SEC);
		/* The bucket was full at first, the last frame makes a debt, and time is rounded.
		 */
		uint64_t least = UINT64_C(101) << 20;

		ASSERT_TRUE(net_meter_limited(&m));
		ASSERT_TRUE(sent >= least && sent <= least + sizes[i] + ROUNDING);
	}
}

TEST(windows_count)
{
	struct net_meter m = meter("1M/100ms", 0, NULL);
	uint64_t sent = flood(&m, 1514, 10 * NSEC_PER_SEC);

	ASSERT_TRUE(sent >= UINT64_C(101) << 20 && sent < (UINT64_C(101) << 20) + 4096);
}

TEST(a_burst_is_there_once)
{
	struct net_meter m = meter("1M", 50 << 20, NULL);
	uint64_t sent = flood(&m, 1514, 10 * NSEC_PER_SEC);

	ASSERT_TRUE(sent >= UINT64_C(61) << 20 && sent < (UINT64_C(61) << 20) + 4096);
	/* Idling does not bring it back. */
	ASSERT_EQ(net_meter_due(&m, 3600 * NSEC_PER_SEC), 0);
	net_meter_take(&m, 1 << 20);
	ASSERT_TRUE(net_meter_due(&m, 3600 * NSEC_PER_SEC) > 0);
}

TEST(bytes_of_a_time)
{
	struct net_limit l = {0};

	ASSERT_EQ(net_limit_bytes(&l, NSEC_PER_SEC), UINT32_MAX);
	ASSERT_OK(net_rate_parse_bytes(&l.bytes, "1M/100ms", NULL));
	ASSERT_EQ(net_limit_bytes(&l, 10 * NSEC_PER_MSEC), (1 << 20) / 10);
	ASSERT_OK(net_rate_parse_count(&l.packets, "100", NULL));
	ASSERT_EQ(net_limit_bytes(&l, 10 * NSEC_PER_MSEC), 1514);
	ASSERT_OK(net_rate_parse_bytes(&l.bytes, "1000000G/1ms", NULL));
	l.packets.size = 0;
	ASSERT_EQ(net_limit_bytes(&l, 24 * 3600 * NSEC_PER_SEC), UINT32_MAX);
}

TEST(large_frames_are_many_packets)
{
	struct net_meter small = meter(NULL, 0, "100");
	struct net_meter large = meter(NULL, 0, "100");

	ASSERT_EQ(flood(&small, 60, 10 * NSEC_PER_SEC), UINT64_C(1100) * 60);
	/* 44 packets each; the last debt is not paid. */
	ASSERT_TRUE(flood(&large, 65549, 10 * NSEC_PER_SEC) <= (1100 / 44 + 2) * UINT64_C(65549));
}

TEST(what_is_larger_than_the_bucket_passes_once)
{
	struct net_meter m = meter("1K", 0, NULL);
	uint64_t due;

	ASSERT_EQ(net_meter_due(&m, 1000), 0);
	net_meter_take(&m, 10 * 1024);
	due = net_meter_due(&m, 1000);
	ASSERT_TRUE(due > 1000 + 9 * NSEC_PER_SEC && due < 1000 + 10 * NSEC_PER_SEC);
}

/* A clock that stands still or jumps far makes neither tokens nor debts. */
TEST(odd_clocks)
{
	struct net_meter m = meter("1024G/1ms", 0, "1/24h");

	net_meter_take(&m, 1514);
	ASSERT_TRUE(net_meter_due(&m, 0) > 1000);
	ASSERT_EQ(net_meter_due(&m, UINT64_MAX / 2), 0);
	net_meter_take(&m, 1514);
	ASSERT_TRUE(net_meter_due(&m, UINT64_MAX / 2) > UINT64_MAX / 2);
}

TEST(words)
{
	static const char *const bad[] = {"", "0", "-1", "1X", "1M/", "1M/0", "1M/25h", "M", "1MB",
		"99999999999999999999", "2000000G", "1M/1s/1s", "1.5M",
		"1111111111111111111111111111111111111111111111"};
	struct net_rate r = {.burst = 7};
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct msb_err err = {0};

		ASSERT_ERR(net_rate_parse_bytes(&r, bad[i], &err), EINVAL);
		ASSERT_TRUE(err.msg[0]);
		ASSERT_ERR(net_rate_parse_count(&r, bad[i], &err), EINVAL);
	}
	ASSERT_ERR(net_rate_parse_count(&r, "1K", NULL), EINVAL);
	ASSERT_OK(net_rate_parse_bytes(&r, "512k/100ms", NULL));
	ASSERT_TRUE(r.size == 512 * 1024 && r.window_ns == 100 * NSEC_PER_MSEC && r.burst == 7);
	ASSERT_OK(net_rate_parse_size(&n, "3G", NULL));
	ASSERT_EQ(n, UINT64_C(3) << 30);
}

TEST(stored_and_read)
{
	struct net_limits l = {.egress.bytes = {1 << 20, NSEC_PER_SEC, 5},
		.ingress.packets = {100, NSEC_PER_MSEC, 0}};
	struct net_limits got = {0};
	cleanup_json struct json *doc = NULL;
	struct json_out o;
	struct buf b;

	buf_init(&b, 4096);
	json_out_init(&o, &b, JSON_COMPACT);
	json_begin_object(&o, NULL);
	net_limits_to_json(&l, &o, "limits");
	json_end_object(&o);
	ASSERT_OK(json_out_end(&o));
	ASSERT_OK(json_parse((const char *)buf_data(&b), buf_len(&b), &doc, NULL));
	ASSERT_OK(net_limits_from_json(doc, "limits", &got, NULL));
	ASSERT_TRUE(memcmp(&l, &got, sizeof(l)) == 0);
	ASSERT_OK(net_limits_from_json(doc, "nothing", &got, NULL));
	ASSERT_TRUE(memcmp(&l, &got, sizeof(l)) == 0);
	buf_deinit(&b);
}
