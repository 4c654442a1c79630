/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/io.h"
#include "base/loop.h"

#include "test.h"

struct peer {
	struct loop_fd src;
	struct peer *victim;
	unsigned int calls;
};

static void remove_victim(struct loop_fd *src, uint32_t events)
{
	struct peer *p = container_of(src, struct peer, src);

	(void)events;
	p->calls++;
	if (p->victim) {
		loop_fd_del(&p->victim->src);
		memset(p->victim, 0xff, sizeof(*p->victim));
		p->victim = NULL;
	}
	loop_fd_del(src);
}

/* Both are ready in one batch; whichever comes first frees the other. */
TEST(source_removed_during_dispatch_is_not_called)
{
	struct loop l;
	struct peer a = {};
	struct peer b = {};
	int fds[2];

	ASSERT_OK(loop_init(&l));
	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	ASSERT_EQ(write(fds[0], "x", 1), 1);
	ASSERT_EQ(write(fds[1], "x", 1), 1);
	a.victim = &b;
	b.victim = &a;
	ASSERT_OK(loop_fd_add(&l, &a.src, fds[0], EPOLLIN, remove_victim));
	ASSERT_OK(loop_fd_add(&l, &b.src, fds[1], EPOLLIN, remove_victim));
	ASSERT_OK(loop_once(&l, 0));
	ASSERT_TRUE((a.calls == 1) != (b.calls == 1));
	loop_deinit(&l);
	close(fds[0]);
	close(fds[1]);
}

struct alarm_order {
	struct loop_timer t;
	struct loop *l;
	char *at;
	char mark;
	bool last;
};

static char marks[8];
static size_t n_marks;

static void note(struct loop_timer *t)
{
	struct alarm_order *a = container_of(t, struct alarm_order, t);

	marks[n_marks++] = a->mark;
	if (a->last)
		loop_stop(a->l, 7);
}

TEST(timers_fire_in_order_and_can_be_disarmed)
{
	struct loop l;
	uint64_t now = clock_mono_ns();
	struct alarm_order a = {.l = &l, .mark = 'a'};
	struct alarm_order b = {.l = &l, .mark = 'b'};
	struct alarm_order c = {.l = &l, .mark = 'c', .last = true};
	struct alarm_order d = {.l = &l, .mark = 'd'};

	ASSERT_OK(loop_init(&l));
	loop_timer_set(&l, &c.t, now + 3 * NSEC_PER_MSEC, note);
	loop_timer_set(&l, &a.t, now + NSEC_PER_MSEC, note);
	loop_timer_set(&l, &d.t, now + 2 * NSEC_PER_MSEC, note);
	loop_defer(&l, &b.t, note);
	loop_timer_del(&d.t);
	loop_timer_del(&d.t);
	ASSERT_EQ(loop_run(&l), 7);
	ASSERT_STREQ(marks, "bac");
	ASSERT_TRUE(clock_mono_ns() >= now + 3 * NSEC_PER_MSEC);
	loop_deinit(&l);
}

static void again(struct loop_timer *t)
{
	n_marks++;
	loop_defer(t->loop ? t->loop : container_of(t, struct alarm_order, t)->l, t, again);
}

TEST(self_deferring_timer_does_not_starve)
{
	struct loop l;
	struct alarm_order a = {.l = &l};

	ASSERT_OK(loop_init(&l));
	loop_defer(&l, &a.t, again);
	ASSERT_OK(loop_once(&l, 0));
	ASSERT_EQ(n_marks, 1);
	ASSERT_OK(loop_once(&l, 0));
	ASSERT_EQ(n_marks, 2);
	loop_deinit(&l);
}

TEST(add_fails_cleanly)
{
	struct loop l;
	struct peer a = {};
	int fds[2];

	ASSERT_OK(io_pipe(0, fds));
	FAULT_LOOP({
		memset(&a, 0, sizeof(a));
		if (loop_init(&l) == 0) {
			if (loop_fd_add(&l, &a.src, fds[0], EPOLLIN, remove_victim) < 0)
				ASSERT_TRUE(a.src.loop == NULL);
			loop_fd_del(&a.src);
			loop_deinit(&l);
		}
	});
	close(fds[0]);
	close(fds[1]);
}
