/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ops/metrics.h"

#include "test-peer.h"
#include "test.h"

TEST(cpu_times)
{
	struct msg_metrics m = {};

	metrics_parse_stat("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 100 0 0 0\n", &m);
	ASSERT_EQ(m.cpu_user_ns, 30000000);
	ASSERT_EQ(m.cpu_system_ns, (3 + 6 + 7) * 10000000);
	ASSERT_EQ(m.cpu_idle_ns, (4 + 5) * 10000000);
	ASSERT_EQ(m.cpu_steal_ns, 80000000);
	m = (struct msg_metrics){};
	metrics_parse_stat("cpu  1", &m);
	ASSERT_EQ(m.cpu_user_ns, 10000000);
	metrics_parse_stat("", &m);
	metrics_parse_stat("cpu  99999999999999999999999 x", &m);
	ASSERT_EQ(m.cpu_user_ns, 0);
}

TEST(memory)
{
	struct msg_metrics m = {};

	metrics_parse_meminfo(
		"MemTotal:         243536 kB\nMemFree:   1000 kB\nMemAvailable: 7 kB\n"
		"SwapCached: 9 kB\nCached: 5 kB",
		&m);
	ASSERT_EQ(m.mem_total_kib, 243536);
	ASSERT_EQ(m.mem_free_kib, 1000);
	ASSERT_EQ(m.mem_available_kib, 7);
	ASSERT_EQ(m.mem_cached_kib, 5);
}

TEST(whole_virtio_disks_count)
{
	struct msg_metrics m = {};

	metrics_parse_diskstats(
		" 254       0 vda 10 0 200 0 5 0 40 0 0 0 0\n 254       1 vda1 10 0 999 0 5 0 999 "
		"0\n"
		"   7       0 loop0 1 0 999 0 0 0 999 0\n 254      16 vdb 10 0 1 0 5 0 2 0 0 0 0",
		&m);
	ASSERT_EQ(m.disk_read_bytes, 201 * 512);
	ASSERT_EQ(m.disk_write_bytes, 42 * 512);
	metrics_parse_diskstats("\n\nvda\n 254 0\n", &m);
	ASSERT_EQ(m.disk_read_bytes, 201 * 512);
}

TEST(request)
{
	struct msg_metrics m;
	struct frame f;
	struct peer p;

	peer_serve(&p);
	ASSERT_OK(frame_put(&p.out, FRAME_METRICS, 0, 6, NULL, 0));
	peer_flush(&p);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_METRICS_DONE);
	ASSERT_OK(msg_get_metrics(&f, &m));
	ASSERT_TRUE(m.uptime_ns > 0);
	ASSERT_TRUE(m.cpu_user_ns > 0);
	ASSERT_TRUE(m.mem_available_kib > 0 && m.mem_available_kib <= m.mem_total_kib);
	ASSERT_TRUE(m.root_free_bytes > 0);
	ASSERT_TRUE(m.procs > 1);
	ASSERT_EQ(m.execs, 0);
	peer_stop(&p, 0);
}
