/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory while it runs.
 *
 * The engine asks the guest to give memory back, or to take some; the guest's kernel does that in
 * its own time, or not at all, and the engine hears how far it is. A guest that comes no nearer for
 * PATIENCE_MS, or is not there after LIMIT_MS, has refused: it is asked to go back to what it had,
 * and the client is told how far it came. What state.json says is what the guest was asked for and
 * agreed to; if it then takes back more, as a guest may whose root wants that, state.json says so.
 *
 * One change at a time. Whoever asked for it may go away: it is carried out all the same.
 */
#include "base/log.h"

#include "sandbox/sup-internal.h"

enum {
	PATIENCE_MS = 5000,
	LIMIT_MS = 60000,
};

static uint32_t gap_mib(uint32_t a, uint32_t b)
{
	return a > b ? a - b : b - a;
}

static void memory_over(struct supervisor *sup)
{
	sup->memory_mib = 0;
	loop_timer_del(&sup->memory_timer);
}

static void refused(struct supervisor *sup)
{
	uint32_t had = sup->record.machine.mem_mib;
	uint32_t want = sup->memory_mib;
	uint32_t has = sup->vm.mem_mib;
	char text[160];

	if (has > want)
		(void)snprintf(text, sizeof(text),
			"the guest did not give back %" PRIu32 " of %" PRIu32 " MiB", has - want,
			MAX(had, has) - want);
	else
		(void)snprintf(text, sizeof(text),
			"the guest did not take %" PRIu32 " of %" PRIu32 " MiB", want - has,
			want - MIN(had, has));
	memory_over(sup);
	sup->memory_settled = false;
	if (sup->vm.ops->resize(&sup->vm, had) < 0)
		log_warn("the machine does not hear that its memory stays as it was");
	relay_memory_done(&sup->relay, 0, text);
}

static void impatient(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, memory_timer);
	uint32_t has = sup->vm.mem_mib;
	bool nearer =
		gap_mib(has, sup->memory_mib) < gap_mib(sup->memory_seen_mib, sup->memory_mib);

	if (has == sup->memory_mib) {
		sup_memory_look(sup);
		return;
	}
	if (!nearer || clock_mono_ns() >= sup->memory_deadline_ns) {
		refused(sup);
		return;
	}
	sup->memory_seen_mib = has;
	loop_timer_set(&sup->loop, t, clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC, impatient);
}

int sup_memory(struct supervisor *sup, uint32_t mib)
{
	uint64_t now = clock_mono_ns();
	int r;

	if (sup->state != SUP_RUNNING || !sup->vm_alive)
		return -EBUSY;
	if (mib < LIMIT_MEM_MIN_MIB || mib > sup->vm.max_mem_mib)
		return -ERANGE;
	r = sup->vm.ops->resize(&sup->vm, mib);
	if (r < 0)
		return r;
	sup->memory_mib = mib;
	sup->memory_seen_mib = sup->vm.mem_mib;
	sup->memory_deadline_ns = now + LIMIT_MS * NSEC_PER_MSEC;
	/* Of what is no change the machine may say nothing. */
	loop_timer_set(&sup->loop, &sup->memory_timer,
		sup->vm.mem_mib == mib ? now : now + PATIENCE_MS * NSEC_PER_MSEC, impatient);
	return 0;
}

void sup_memory_look(struct supervisor *sup)
{
	struct sandbox_machine *m = &sup->record.machine;
	uint32_t mib = sup->memory_mib;

	if (!mib && sup->memory_settled && sup->vm_alive && sup->vm.mem_mib != m->mem_mib) {
		m->mem_mib = sup->vm.mem_mib;
		sup_record_again(sup);
	}
	sup->memory_settled |= sup->vm.mem_mib == m->mem_mib;
	if (!mib || sup->vm.mem_mib != mib)
		return;
	memory_over(sup);
	sup->memory_settled = true;
	m->mem_mib = mib;
	sup_record_again(sup);
	relay_memory_done(&sup->relay, mib, NULL);
}

void sup_memory_end(struct supervisor *sup)
{
	if (!sup->memory_mib)
		return;
	memory_over(sup);
	relay_memory_done(&sup->relay, 0, "the sandbox ends");
}
