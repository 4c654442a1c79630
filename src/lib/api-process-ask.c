/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what a caller asks of a command that runs, and tells it. */
#include "lib/api-process.h"

int msb_process_fd(const struct msb_process *p)
{
	return p->loop.epoll_fd;
}

int msb_process_poll_ms(const struct msb_process *p)
{
	uint64_t now;
	uint64_t ms;

	if (p->over)
		return 0;
	if (!p->loop.timers)
		return -1;
	now = clock_mono_ns();
	if (p->loop.timers->deadline_ns <= now)
		return 0;
	ms = (p->loop.timers->deadline_ns - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

uint32_t msb_process_pid(const struct msb_process *p)
{
	return p->pid;
}

int msb_process_state(const struct msb_process *p)
{
	if (p->over)
		return MSB_PROCESS_OVER;
	if (!p->open || p->given_up || p->detaching)
		return MSB_PROCESS_ENDING;
	return p->pid ? MSB_PROCESS_RUNNING : MSB_PROCESS_BOOTING;
}

int msb_process_end(const struct msb_process *p)
{
	return (int)p->end;
}

const char *msb_process_sandbox(const struct msb_process *p)
{
	return p->name;
}

int msb_process_owns(const struct msb_process *p)
{
	return p->started;
}

const char *msb_process_notice(const struct msb_process *p)
{
	return p->notice;
}

void msb_process_times(const struct msb_process *p, struct msb_process_times *ret)
{
	const struct msb_process_times x = {
		.size = ret->size,
		.spawn_ns = p->boot.spawn_ns,
		.engine_ns = p->boot.engine_ns,
		.vm_created_ns = p->boot.vm_created_ns,
		.first_run_ns = p->boot.first_run_ns,
		.hello_ns = p->boot.hello_ns,
		.ready_ns = p->boot.ready_ns,
		.guest_pid1_ns = p->boot.guest_pid1_ns,
		.guest_ready_ns = p->boot.guest_ready_ns,
		.exec_ns = p->exec_ns,
		.exit_ns = p->exit_ns,
		.end_ns = p->end_ns,
	};

	memcpy(ret, &x, MIN(ret->size, sizeof(x)));
}

/* Can it be told something? */
static int check_running(const struct msb_process *p)
{
	if (p->open && !p->pid)
		return -EAGAIN;
	return p->open && !p->given_up && !p->detaching ? 0 : -ESRCH;
}

int msb_process_signal(struct msb_process *p, int signo)
{
	int r = check_running(p);

	if (signo <= 0 || signo > 64)
		return -EINVAL;
	return r < 0 ? r : sandbox_stream_signal(&p->stream, signo);
}

int msb_process_resize(struct msb_process *p, unsigned int rows, unsigned int columns)
{
	int r = check_running(p);

	return r < 0 ? r
		     : sandbox_stream_resize(&p->stream,
			       (uint16_t)MIN(rows, (unsigned int)UINT16_MAX),
			       (uint16_t)MIN(columns, (unsigned int)UINT16_MAX));
}

int msb_process_more(struct msb_process *p)
{
	int r = check_running(p);

	if (r == 0)
		process_feed(p);
	return r;
}

int msb_process_detach(struct msb_process *p)
{
	int r = check_running(p);

	if (r < 0)
		return r;
	r = sandbox_stream_detach(&p->stream);
	p->detaching = r == 0;
	loop_timer_del(&p->limit);
	return r;
}

int msb_process_kill(struct msb_process *p)
{
	if (p->over || !p->open)
		return -ESRCH;
	p->asking.asked = true;
	process_give_up(p, MSB_END_CANCELED,
		msb_err_set(&p->err, -ECANCELED, MSB_FAIL, "the command was killed"));
	return 0;
}
