/* SPDX-License-Identifier: Apache-2.0 */
/* FREEZE against a real agent process, whose file system is a few numbers that we share. */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/ops/freeze.h"

#include "test-peer.h"
#include "test.h"

enum { LONG_MS = 50000, PATIENCE_MS = 30000 };

static struct shared {
	_Atomic int freezes;
	_Atomic int thaws;
	_Atomic int error; /* of the next freeze */
	_Atomic int thaw_error;
	_Atomic int hold; /* freezing takes until this is 0 */
} * fake;

static void nap(void)
{
	(void)poll(NULL, 0, 1);
}

static int fake_freeze(void)
{
	while (atomic_load(&fake->hold))
		nap();
	if (atomic_load(&fake->error))
		return atomic_load(&fake->error);
	atomic_fetch_add(&fake->freezes, 1);
	return 0;
}

static int fake_thaw(void)
{
	atomic_fetch_add(&fake->thaws, 1);
	return atomic_load(&fake->thaw_error);
}

static const struct freezer fake_freezer = {.freeze = fake_freeze, .thaw = fake_thaw};

static void start(struct peer *p)
{
	fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(fake != MAP_FAILED);
	peer_freezer = &fake_freezer;
	peer_serve(p);
}

static void ask(struct peer *p, uint32_t id, uint32_t ms)
{
	ASSERT_OK(msg_put_u32(&p->out, FRAME_FREEZE, id, ms));
	peer_flush(p);
}

static void cancel(struct peer *p, uint32_t id)
{
	ASSERT_OK(frame_put(&p->out, FRAME_CANCEL, 0, id, NULL, 0));
	peer_flush(p);
}

static void expect(struct peer *p, uint8_t type, uint32_t id)
{
	struct frame f;

	ASSERT_TRUE(peer_next(p, &f));
	ASSERT_EQ(f.type, type);
	ASSERT_EQ(f.stream, id);
}

static void expect_thawed(struct peer *p, uint32_t id, uint32_t error)
{
	struct frame f;
	uint32_t v;

	ASSERT_TRUE(peer_next(p, &f));
	ASSERT_EQ(f.type, FRAME_THAWED);
	ASSERT_EQ(f.stream, id);
	ASSERT_OK(msg_get_u32(&f, &v));
	ASSERT_EQ(v, error);
}

static void expect_failed(struct peer *p, uint32_t id, uint32_t error)
{
	struct msg_failure m;
	struct frame f;

	ASSERT_TRUE(peer_next(p, &f));
	ASSERT_EQ(f.type, FRAME_FAILED);
	ASSERT_EQ(f.stream, id);
	ASSERT_OK(msg_get_failure(&f, &m));
	ASSERT_EQ(m.errno_, error);
}

TEST(held_until_the_client_is_done)
{
	struct peer p;

	start(&p);
	for (int i = 1; i <= 3; i++) {
		ask(&p, 7, LONG_MS);
		expect(&p, FRAME_FROZEN, 7);
		ASSERT_EQ(fake->freezes, i);
		ASSERT_EQ(fake->thaws, i - 1);
		cancel(&p, 7);
		expect_thawed(&p, 7, 0);
		ASSERT_EQ(fake->thaws, i);
	}
	peer_stop(&p, 0);
}

TEST(time_is_limited)
{
	struct peer p;

	start(&p);
	ask(&p, 1, 0);
	expect(&p, FRAME_FROZEN, 1);
	expect_thawed(&p, 1, ETIMEDOUT);
	ask(&p, 1, 20);
	expect(&p, FRAME_FROZEN, 1);
	expect_thawed(&p, 1, ETIMEDOUT);
	ASSERT_EQ(fake->thaws, 2);
	ask(&p, 1, LIMIT_FREEZE_MS + 1);
	expect_failed(&p, 1, EBADMSG);
	peer_stop(&p, 0);
}

TEST(one_at_a_time)
{
	struct peer p;

	start(&p);
	ask(&p, 1, LONG_MS);
	expect(&p, FRAME_FROZEN, 1);
	ask(&p, 2, LONG_MS);
	expect_failed(&p, 2, EBUSY);
	cancel(&p, 1);
	expect_thawed(&p, 1, 0);
	peer_stop(&p, 0);
}

TEST(failures_are_told)
{
	struct peer p;

	start(&p);
	fake->error = -EIO;
	ask(&p, 1, LONG_MS);
	expect_failed(&p, 1, EIO);
	fake->error = 0;
	fake->thaw_error = -EINVAL;
	ask(&p, 1, LONG_MS);
	expect(&p, FRAME_FROZEN, 1);
	cancel(&p, 1);
	/* Somebody in the guest let go before us. */
	expect_thawed(&p, 1, EINVAL);
	peer_stop(&p, 0);
}

TEST(nothing_to_freeze)
{
	struct peer p;

	peer_freezer = NULL;
	peer_serve(&p);
	ask(&p, 1, 1);
	expect_failed(&p, 1, EOPNOTSUPP);
	ASSERT_OK(frame_put(&p.out, FRAME_FREEZE, 0, 2, "abc", 3));
	peer_flush(&p);
	expect_failed(&p, 2, EBADMSG);
	peer_stop(&p, 0);
}

/* The agent would hold itself up. */
TEST(writes_of_the_agent_end_it)
{
	struct result r;
	struct peer p;
	char path[PATH_MAX];

	start(&p);
	(void)snprintf(path, sizeof(path), "%s/d", test_tmpdir());
	ask(&p, 5, LONG_MS);
	expect(&p, FRAME_FROZEN, 5);
	peer_fs(&p, &(struct msg_fs){.op = FS_STAT, .path = "/"}, &r);
	ASSERT_EQ(r.fs.errno_, 0);
	result_deinit(&r);
	ASSERT_EQ(fake->thaws, 0);
	ASSERT_OK(msg_put_fs(&p.out, 6,
		&(struct msg_fs){.op = FS_MKDIR, .mode = 0700, .path = path, .path2 = ""}));
	peer_flush(&p);
	expect(&p, FRAME_FS_DONE, 6);
	expect_thawed(&p, 5, EBUSY);
	peer_stop(&p, 0);
}

/* After the client has said that it is done nothing spoils its copy. */
TEST(writes_after_the_copy_do_not_matter)
{
	struct frame f;
	struct peer p;
	uint32_t v = 1;
	bool thawed = false;
	bool done = false;

	start(&p);
	ask(&p, 5, LONG_MS);
	expect(&p, FRAME_FROZEN, 5);
	ASSERT_OK(frame_put(&p.out, FRAME_CANCEL, 0, 5, NULL, 0));
	ASSERT_OK(msg_put_fs(
		&p.out, 6, &(struct msg_fs){.op = FS_MKDIR, .path = "/proc/nowhere", .path2 = ""}));
	peer_flush(&p);
	while (!thawed || !done) {
		ASSERT_TRUE(peer_next(&p, &f));
		if (f.type == FRAME_THAWED)
			ASSERT_OK(msg_get_u32(&f, &v));
		thawed |= f.type == FRAME_THAWED;
		done |= f.type == FRAME_FS_DONE;
	}
	ASSERT_EQ(v, 0);
	peer_stop(&p, 0);
}

static void await_thaws(int n)
{
	uint64_t deadline = clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC;

	while (atomic_load(&fake->thaws) < n) {
		ASSERT_TRUE(clock_mono_ns() < deadline);
		nap();
	}
}

TEST(a_client_that_is_gone_holds_nothing)
{
	struct peer p;

	start(&p);
	ask(&p, 1, LONG_MS);
	expect(&p, FRAME_FROZEN, 1);
	peer_stop(&p, 0);
	await_thaws(1);
	ASSERT_EQ(fake->freezes, 1);
}

TEST(gone_while_it_is_being_frozen)
{
	struct peer p;

	start(&p);
	fake->hold = 1;
	ask(&p, 1, LONG_MS);
	cancel(&p, 1);
	fake->hold = 0;
	expect(&p, FRAME_FROZEN, 1);
	expect_thawed(&p, 1, 0);
	peer_stop(&p, 0);
	ASSERT_EQ(fake->thaws, 1);
}

TEST(the_end_of_the_guest_waits_for_the_thaw)
{
	const struct msg_shutdown end = {.grace_ms = 1000};
	struct frame f;
	struct peer p;

	start(&p);
	ask(&p, 1, LONG_MS);
	expect(&p, FRAME_FROZEN, 1);
	ASSERT_OK(msg_put_shutdown(&p.out, FRAME_SHUTDOWN, &end));
	peer_flush(&p);
	expect_thawed(&p, 1, ESHUTDOWN);
	ASSERT_TRUE(peer_next(&p, &f));
	ASSERT_EQ(f.type, FRAME_BYE);
	ASSERT_EQ(fake->thaws, 1);
	peer_stop(&p, 0);
}
