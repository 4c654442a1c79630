/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of a run: see timing.h. */
#include "cli/timing.h"

/*
 * When PID 1 started, on the host's clock: READY arrived, minus what the agent needed on its own
 * clock. The two clocks have no common zero, but both tick seconds.
 */
static uint64_t kernel_end_ns(const struct msb_process_times *s)
{
	uint64_t agent = s->guest_ready_ns - s->guest_pid1_ns;

	if (!s->ready_ns || !s->guest_pid1_ns || s->guest_ready_ns < s->guest_pid1_ns)
		return 0;
	/* The guest's figures are the guest's word. */
	return agent < s->ready_ns ? s->ready_ns - agent : 0;
}

int timing_print(uint64_t begin_ns, const struct msb_process_times *t, struct buf *out)
{
	struct {
		const char *name;
		uint64_t at_ns;
	} phases[] = {
		{"spawn", t->spawn_ns},
		{"engine", t->engine_ns},
		{"vm created", t->vm_created_ns},
		{"first run", t->first_run_ns},
		{"kernel", kernel_end_ns(t)},
		{"agent", t->hello_ns},
		{"ready", t->ready_ns},
		{"exec", t->exec_ns},
		{"exit", t->exit_ns},
		{"end", t->end_ns},
	};
	uint64_t last = begin_ns;
	uint64_t next = UINT64_MAX;
	int r = buf_printf(out, "%-12s%10s%10s\n", "phase", "at ms", "took ms");

	/* Who took the time may have been late: nothing ended after what followed it had ended. */
	for (size_t i = ARRAY_SIZE(phases); i-- > 0;) {
		if (phases[i].at_ns < begin_ns)
			continue;
		phases[i].at_ns = MIN(phases[i].at_ns, next);
		next = phases[i].at_ns;
	}
	for (size_t i = 0; i < ARRAY_SIZE(phases) && r == 0; i++) {
		uint64_t at = MAX(phases[i].at_ns, last);

		if (phases[i].at_ns < begin_ns)
			continue;
		r = buf_printf(out, "%-12s%10.1f%10.1f\n", phases[i].name,
			(double)(at - begin_ns) / 1e6, (double)(at - last) / 1e6);
		last = at;
	}
	return r;
}
