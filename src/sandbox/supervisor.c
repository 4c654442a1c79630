/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a sandbox: see supervisor.h. Starting it is in sup-start.c.
 *
 * #syscalls(sandbox:loop): wait4 pidfd_send_signal
 */
#include "sandbox/supervisor.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#include "sandbox/sup-internal.h"
#include "sandbox/sup-net.h"
#include "sandbox/sup-tls.h"

enum {
	/* From SHUTDOWN's grace to the end of unmounting. */
	STOP_MARGIN_MS = 5000,
	/* An orderly end that nobody waits for any more. */
	ABANDONED_MS = 3000,
	/* The time in CONFIG has waited for the guest to boot; longer than this shows. */
	CLOCK_STALE_MS = 250,
	MAX_DURATION_GRACE_MS = 2000,
	/* Whatever the main process has left running. */
	REST_GRACE_MS = 1000,
	SIGNAL_GRACE_MS = 10000,
	/* Clients may take this long over their last bytes. */
	LINGER_MS = 5000,
	/* A machine that was switched off and does not die is a broken host. */
	KILL_PATIENCE_MS = 30000,
	/* Console in a failure report. */
	REPORT_CONSOLE = 16 * 1024,
};

static struct supervisor *of_relay(struct relay *r)
{
	return container_of(r, struct supervisor, relay);
}

static uint64_t after_ms(uint64_t ms)
{
	return clock_mono_ns() + ms * NSEC_PER_MSEC;
}

/* The last frame to every client. */
static int outcome_frame(struct supervisor *sup, struct buf *out)
{
	char console[REPORT_CONSOLE];
	struct msg_sb_stopped stopped = {.reason = sup->reason, .detail = sup->detail};
	struct msg_sb_failed failed = {
		.kind = sup->failure.kind,
		.errno_ = (uint32_t)sup->failure.errno_,
		.msg = sup->failure.msg,
		.hint = sup->failure.hint,
	};

	if (!sup->failed)
		return msg_put_sb_stopped(out, &stopped);
	failed.console = console_tail(&sup->console, console, sizeof(console));
	return msg_put_sb_failed(out, &failed);
}

/* The process ends when its clients know and its machine is gone. */
static void stop_if_done(struct supervisor *sup)
{
	if (sup->all_told && !sup->vm_alive)
		loop_stop(&sup->loop, sup->failed);
}

static void linger_over(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, tell_timer);

	log_debug("a client does not take its last bytes");
	sup->all_told = true;
	stop_if_done(sup);
}

static void tell_outcome(struct supervisor *sup)
{
	struct buf last;

	if (sup->told)
		return;
	sup->told = true;
	loop_timer_set(&sup->loop, &sup->tell_timer, after_ms(LINGER_MS), linger_over);
	buf_init(&last, FRAME_HEADER + LIMIT_FRAME_PAYLOAD);
	if (outcome_frame(sup, &last) < 0)
		log_err("no memory to report the end");
	relay_finish(&sup->relay, &last);
	buf_deinit(&last);
}

static void tell_now(struct loop_timer *t)
{
	tell_outcome(container_of(t, struct supervisor, tell_timer));
}

/* Nobody has used a sandbox that never came up: its creation has failed. */
static bool outlives(const struct supervisor *sup)
{
	return !sup->spec.ephemeral && sup->persisted && (sup->adopted || sup->was_ready);
}

static void remove_directory(struct supervisor *sup)
{
	int r;

	if (sup->dir.fd < 0)
		return;
	sup_record_end(sup);
	exec_log_say(&sup->log, "sandbox stopped: %s%s%s", sandbox_reason_name(sup->record.reason),
		sup->record.detail[0] ? ": " : "", sup->record.detail);
	exec_log_close(&sup->log);
	ledger_close(&sup->ledger);
	r = outlives(sup) ? 0 : sandbox_dir_remove(&sup->dir);
	if (r < 0)
		log_warn("%s/sandboxes/%s: %s", sup->spec.home, sup->spec.name, strerror(-r));
	if (sup->listen_fd >= 0 && outlives(sup))
		(void)unlinkat(sup->dir.fd, SANDBOX_SOCKET, 0);
	loop_fd_del(&sup->listen_src);
	loop_timer_del(&sup->listen_timer);
	sup->listen_fd = fd_close(sup->listen_fd);
	console_deinit(&sup->console);
	sandbox_dir_close(&sup->dir);
}

/* The machine is gone, or never was. */
static void sup_ended(struct supervisor *sup)
{
	sup->state = SUP_ENDED;
	loop_timer_del(&sup->boot_timer);
	loop_timer_del(&sup->duration_timer);
	loop_timer_del(&sup->idle_timer);
	loop_timer_del(&sup->end_timer);
	sup_memory_end(sup);
	remove_directory(sup);
	sup_volumes_release(sup);
	tell_outcome(sup);
	stop_if_done(sup);
}

static void kill_impatient(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, end_timer);

	log_err("process %d of the machine does not die", (int)sup->vm.pid);
	loop_timer_set(&sup->loop, t, after_ms(KILL_PATIENCE_MS), kill_impatient);
}

/* Does the guest write to a disk of the user's? */
static bool keeps_disk(const struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->spec.n_disks; i++) {
		if (!sup->disk_notes[i].read_only)
			return true;
	}
	return sup->spec.root_kind == ROOT_DISK || sup->spec.root_disk.kind == UPPER_FILE;
}

static void sup_kill(struct supervisor *sup)
{
	if (sup->state >= SUP_KILLING)
		return;
	sup->state = SUP_KILLING;
	if (!sup->vm_alive)
		return;
	loop_timer_set(&sup->loop, &sup->end_timer, after_ms(KILL_PATIENCE_MS), kill_impatient);
	sup->vm.ops->kill(&sup->vm);
	/*
	 * The kernel needs tens of milliseconds to take a machine apart. It dies with this process
	 * or without it, so nobody has to wait for that unless there is something to be had from
	 * it: the reason of a failure, a disk or a name that somebody may want next.
	 */
	if (!sup->spec.ephemeral)
		return;
	remove_directory(sup);
	if (!sup->failed && !keeps_disk(sup) && !sup->n_volume_locks)
		loop_defer(&sup->loop, &sup->tell_timer, tell_now);
}

void sup_fail(struct supervisor *sup, const struct msb_err *err)
{
	if (sup->state >= SUP_KILLING)
		return;
	log_debug("sandbox failed: %s", err->msg);
	sup->failed = true;
	sup->failure = *err;
	sup_kill(sup);
}

static void stop_impatient(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, end_timer);

	log_debug("the guest did not stop in time");
	sup_kill(sup);
}

/* Everything in the guest is asked to end, and killed after the grace. */
static void shutdown_guest(struct supervisor *sup, uint32_t grace_ms, uint32_t margin_ms)
{
	if (relay_shutdown_guest(&sup->relay, grace_ms) < 0) {
		sup_kill(sup);
		return;
	}
	loop_timer_set(&sup->loop, &sup->end_timer, after_ms((uint64_t)grace_ms + margin_ms),
		stop_impatient);
}

/* The main process was asked by its own signal and has not ended in time. */
static void main_impatient(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, end_timer);

	sup->asked_main = false;
	shutdown_guest(sup, 0, STOP_MARGIN_MS);
}

/* The main process runs for us or for the owner. */
static bool signal_main(struct supervisor *sup, int signo)
{
	if (!sup->workload.running)
		return relay_signal_main(&sup->relay, signo);
	workload_signal(&sup->workload, signo);
	return true;
}

/*
 * Ends the sandbox because somebody wants that. The guest is asked first if it has something to
 * lose: data on a disk, or time that was granted to its processes.
 */
static void sup_stop(
	struct supervisor *sup, enum msg_stop_reason reason, uint32_t grace_ms, uint32_t margin_ms)
{
	bool again = sup->state == SUP_STOPPING;
	bool ask = grace_ms || keeps_disk(sup) || !sup->spec.ephemeral;

	if (sup->state >= SUP_KILLING)
		return;
	if (!again)
		sup->reason = reason;
	/* What is being prepared is thrown away. */
	if (sup->state == SUP_STARTING || sup->spec.prepare || !ask || (again && !grace_ms)) {
		sup_kill(sup);
		return;
	}
	if (again)
		return;
	sup->state = SUP_STOPPING;
	sup_record_say(sup, SANDBOX_STOPPING);
	/* SIGTERM everything gets anyway. */
	if (grace_ms && sup->spec.stop_signal && sup->spec.stop_signal != SIGTERM &&
		signal_main(sup, (int)sup->spec.stop_signal)) {
		sup->asked_main = true;
		loop_timer_set(&sup->loop, &sup->end_timer, after_ms(grace_ms), main_impatient);
		return;
	}
	shutdown_guest(sup, grace_ms, margin_ms);
}

static void main_ended(struct supervisor *sup, int exit_status, const char *err)
{
	sup->record.exit_status = exit_status;
	if (err[0]) {
		exec_log_say(&sup->log, "%s", err);
		sup->detail = "the command could not be run";
	}
	if (sup->asked_main) {
		sup->asked_main = false;
		shutdown_guest(sup, REST_GRACE_MS, STOP_MARGIN_MS);
		return;
	}
	sup_stop(sup, STOP_COMPLETED, REST_GRACE_MS, STOP_MARGIN_MS);
}

void sup_main_ended(struct workload *w, int exit_status, const char *err)
{
	main_ended(container_of(w, struct supervisor, workload), exit_status, err);
}

/* Commands, transfers and traffic of published ports count as use, and so does whoever says so. */
void sup_idle(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, idle_timer);
	uint64_t now = clock_mono_ns();
	uint64_t since = sup->relay.n_busy ? now : sup->relay.active_ns;

	if (now - since < sup->spec.idle_timeout_ns) {
		loop_timer_set(&sup->loop, t, since + sup->spec.idle_timeout_ns, sup_idle);
		return;
	}
	sup_stop(sup, STOP_IDLE, MAX_DURATION_GRACE_MS, STOP_MARGIN_MS);
}

static void on_hello(struct relay *r, const struct msg_hello *m)
{
	struct supervisor *sup = of_relay(r);

	sup->timing.hello_ns = clock_mono_ns();
	sup->timing.guest_pid1_ns = m->pid1_ns;
	sup->timing.guest_pid1_tsc = m->pid1_tsc;
	(void)snprintf(sup->kernel_release, sizeof(sup->kernel_release), "%s", m->kernel_release);
}

void sup_max_duration(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, duration_timer);

	sup_stop(sup, STOP_MAX_DURATION, MAX_DURATION_GRACE_MS, STOP_MARGIN_MS);
}

/* From now on it is a sandbox that somebody may have used. */
static void in_use(struct supervisor *sup)
{
	sup->was_ready = true;
	sup->relay.active_ns = clock_mono_ns();
	if (sup->spec.idle_timeout_ns)
		loop_timer_set(&sup->loop, &sup->idle_timer,
			sup->relay.active_ns + sup->spec.idle_timeout_ns, sup_idle);
	sup_record_say(sup, SANDBOX_RUNNING);
}

/* The main process and other clients have waited for this. */
static bool on_prepared(struct relay *r)
{
	struct supervisor *sup = of_relay(r);

	if (!sup->spec.prepare || sup->state != SUP_RUNNING)
		return false;
	if (!sup->spec.ephemeral && unlinkat(sup->dir.fd, SANDBOX_UNMADE, 0) < 0)
		return false;
	sup->spec.prepare = false;
	in_use(sup);
	relay_release(r);
	return true;
}

static void on_ready(struct relay *r, const struct msg_ready *m)
{
	struct supervisor *sup = of_relay(r);
	struct msg_sb_ready ready = {.engine = sup->vm.ops->name};
	struct buf frame;
	int e;

	sup->timing.ready_ns = clock_mono_ns();
	sup->timing.guest_ready_ns = m->ready_ns;
	sup->timing.guest_ready_tsc = m->ready_tsc;
	loop_timer_del(&sup->boot_timer);
	if (sup->state == SUP_STARTING)
		sup->state = SUP_RUNNING;
	/* What the machine said about its start is there by now. */
	if (sup->control_src.loop && sup->vm.ops->control(&sup->vm) < 0)
		loop_fd_del(&sup->control_src);

	sup->timing.engine_ns = sup->vm.spawned_ns;
	sup->timing.vm_created_ns = sup->vm.created_ns;
	sup->timing.first_run_ns = sup->vm.first_run_ns;
	ready.timing = sup->timing;
	ready.kernel_release = sup->kernel_release;
	/* First the record: whoever was told that the sandbox is up also finds it so in `ls`. */
	if (!sup->spec.prepare)
		in_use(sup);
	buf_init(&frame, FRAME_HEADER + LIMIT_FRAME_PAYLOAD);
	e = msg_put_sb_ready(&frame, &ready);
	if (e == 0)
		e = relay_announce(r, &frame);
	buf_deinit(&frame);
	if (e < 0)
		log_warn("clients are not told that the guest is ready: %s", strerror(-e));
	if (sup->timing.ready_ns - sup->config_ns > CLOCK_STALE_MS * NSEC_PER_MSEC &&
		relay_set_clock(r) < 0)
		log_debug("the guest's clock is behind");
}

static void on_boot_failed(struct relay *r, const struct msg_failure *m)
{
	struct supervisor *sup = of_relay(r);
	char what[200];
	struct msb_err err;

	(void)str_quote(what, sizeof(what), m->what, strlen(m->what));
	(void)msb_err_set(&err, -EIO, MSB_GUEST, "the guest could not start: %s: %s%s%s",
		msg_stage_name(m->stage), what, m->errno_ ? ": " : "",
		m->errno_ ? strerror((int)m->errno_) : "");
	sup_fail(sup, &err);
}

/* Everything is synced and unmounted: no need to wait for the machine's own end. */
static void on_bye(struct relay *r, uint32_t sig)
{
	struct supervisor *sup = of_relay(r);

	if (sup->state < SUP_STOPPING)
		sup->reason = STOP_GUEST;
	log_debug("the guest said goodbye (%u)", sig);
	sup_kill(sup);
}

static void on_broken(struct relay *r, const struct msb_err *err)
{
	sup_fail(of_relay(r), err);
}

static void channel_patience(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, boot_timer);
	struct msb_err err;

	(void)msb_err_set(&err, -EPIPE, MSB_GUEST, "the channel to the guest was closed");
	sup_fail(sup, &err);
}

/* Usually the process is dying; if not, it is of no use any more. */
static void on_channel_end(struct relay *r)
{
	struct supervisor *sup = of_relay(r);

	if (sup->vm_alive && sup->state < SUP_KILLING)
		loop_timer_set(
			&sup->loop, &sup->boot_timer, after_ms(ABANDONED_MS), channel_patience);
}

static void on_stop(struct relay *r, uint32_t grace_ms)
{
	sup_stop(of_relay(r), STOP_REQUESTED, grace_ms, STOP_MARGIN_MS);
}

static void on_owner_gone(struct relay *r)
{
	struct supervisor *sup = of_relay(r);

	if (sup->spec.detached && !sup->spec.prepare)
		return;
	log_debug("the owner is gone");
	sup_stop(sup, STOP_REQUESTED, 0, ABANDONED_MS);
}

/* From now on it is as if it had been started in the background. */
static void on_main_detached(struct relay *r)
{
	of_relay(r)->spec.detached = true;
}

/* As long as the owner is there it decides what the end of its command means. */
static void on_main_ended(struct relay *r, bool detached, int exit_status, const char *err)
{
	struct supervisor *sup = of_relay(r);

	if (detached || sup->asked_main)
		main_ended(sup, exit_status, err);
}

static void on_give_failed(struct relay *r, int error)
{
	log_ratelimit(LOG_WARN, "a script could not be put into the guest: %s", strerror(-error));
	exec_log_say(&of_relay(r)->log, "a script could not be put into the guest: %s",
		strerror(-error));
}

static bool on_signal_main(struct relay *r, int signo)
{
	return signal_main(of_relay(r), signo);
}

static int on_memory(struct relay *r, uint32_t mib)
{
	return sup_memory(of_relay(r), mib);
}

static void on_cpus(struct relay *r, uint32_t online)
{
	struct supervisor *sup = of_relay(r);

	/* More than the machine has nobody can switch on. */
	sup->record.machine.vcpus = MIN(online, sup->record.machine.max_vcpus);
	sup_record_again(sup);
}

static int on_policy(struct relay *r, const void *text, size_t len)
{
	return sup_net_policy(of_relay(r), text, len);
}

static int on_secrets(struct relay *r, const void *text, size_t len, int fd)
{
	return sup_tls_secrets(of_relay(r), text, len, fd);
}

static void on_output(struct relay *r, const struct relay_stream *s, unsigned int channel,
	const void *p, size_t n)
{
	exec_log_write(&of_relay(r)->log,
		s->pty	       ? "output"
		: channel == 2 ? "stderr"
			       : "stdout",
		s->exec_id, p, n);
}

static void on_finished(struct relay *r)
{
	struct supervisor *sup = of_relay(r);

	sup->all_told = true;
	stop_if_done(sup);
}

const struct relay_events sup_relay_events = {
	.hello = on_hello,
	.ready = on_ready,
	.boot_failed = on_boot_failed,
	.bye = on_bye,
	.broken = on_broken,
	.channel_end = on_channel_end,
	.stop = on_stop,
	.owner_gone = on_owner_gone,
	.main_detached = on_main_detached,
	.main_ended = on_main_ended,
	.give_failed = on_give_failed,
	.prepared = on_prepared,
	.signal = on_signal_main,
	.memory = on_memory,
	.cpus = on_cpus,
	.output = on_output,
	.policy = on_policy,
	.secrets = on_secrets,
	.finished = on_finished,
};

void sup_boot_timeout(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, boot_timer);
	struct msb_err err;

	(void)msb_err_set(&err, -ETIMEDOUT, MSB_GUEST,
		"the guest was not ready after %" PRIu64 " s (%s)",
		sup_boot_timeout_ns(sup) / NSEC_PER_SEC,
		sup->relay.hello ? "its agent runs" : "its agent did not report");
	sup_fail(sup, &err);
}

/* Both a panic and a forced reboot end in a triple fault; the kernel says which it is. */
static bool panicked(const struct supervisor *sup)
{
	char console[REPORT_CONSOLE];

	return sup->vm.exit == ENGINE_EXIT_PANIC ||
	       strstr(console_tail(&sup->console, console, sizeof(console)), "Kernel panic");
}

/* The machine ended and nobody had asked for it. */
static void unexpected_end(struct supervisor *sup)
{
	struct engine_vm *vm = &sup->vm;

	sup->failed = true;
	if (vm->exit == ENGINE_EXIT_FAILED && vm->exit_err.msg[0])
		sup->failure = vm->exit_err;
	else if (sup->state == SUP_STARTING)
		(void)msb_err_set(&sup->failure, -EIO, MSB_GUEST,
			"the guest %s before it was ready",
			vm->exit == ENGINE_EXIT_PANIC ? "crashed" : "ended");
	else
		(void)msb_err_set(&sup->failure, -EIO, MSB_GUEST, "%s",
			panicked(sup) ? "the guest crashed"
				      : "the guest reset its machine or switched it off");
}

void sup_unwatch(struct supervisor *sup)
{
	loop_fd_del(&sup->vm_src);
	loop_fd_del(&sup->control_src);
	loop_fd_del(&sup->console_src);
	sup_shares_unwatch(sup);
	sup_net_unwatch(sup);
}

/* The process of the machine has ended. */
void sup_vm_event(struct loop_fd *src, uint32_t events)
{
	struct supervisor *sup = container_of(src, struct supervisor, vm_src);
	int status = 0;
	pid_t pid;

	(void)events;
	pid = waitpid(sup->vm.pid, &status, WNOHANG);
	if (pid == 0 || (pid < 0 && errno == EINTR))
		return;
	sup->vm_alive = false;
	sup_unwatch(sup);
	sup->vm.ops->reaped(&sup->vm, status);

	/* Its last words: goodbye, results, console. */
	relay_detach(&sup->relay);
	for (int i = 0; i < CONSOLE_DRAIN && console_read(&sup->console, sup->vm.console_fd) > 0;
		i++)
		;
	if (sup->state < SUP_STOPPING)
		unexpected_end(sup);
	engine_vm_deinit(&sup->vm);
	sup_ended(sup);
}

void sup_control_event(struct loop_fd *src, uint32_t events)
{
	struct supervisor *sup = container_of(src, struct supervisor, control_src);

	(void)events;
	if (sup->vm.ops->control(&sup->vm) < 0)
		loop_fd_del(src);
	sup_memory_look(sup);
}

void sup_console_event(struct loop_fd *src, uint32_t events)
{
	struct supervisor *sup = container_of(src, struct supervisor, console_src);

	(void)events;
	if (console_read(&sup->console, src->fd) == 0)
		loop_fd_del(src);
}

void sup_signal_event(struct loop_fd *src, uint32_t events)
{
	struct supervisor *sup = container_of(src, struct supervisor, signal_src);
	struct signalfd_siginfo si;

	(void)events;
	if (read(src->fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	log_debug("signal %u", si.ssi_signo);
	sup->detail = "by signal";
	sup_stop(sup, STOP_REQUESTED, sup->spec.ephemeral ? 0 : SIGNAL_GRACE_MS, STOP_MARGIN_MS);
}

int sup_run(struct supervisor *sup)
{
	struct msb_err err;
	int r = sup_start(sup, &err);

	if (r == -ECONNABORTED)
		return 1;
	if (r < 0) {
		sup->failed = true;
		sup->failure = err;
		sup_ended(sup);
	}
	r = loop_run(&sup->loop);
	/* Dying kills the machine, too: it is never left alone. */
	if (r < 0)
		log_err("event loop: %s", strerror(-r));
	workload_deinit(&sup->workload);
	relay_deinit(&sup->relay);
	sandbox_dir_close(&sup->dir);
	sandbox_spec_deinit(&sup->spec);
	loop_deinit(&sup->loop);
	return r == 0 ? 0 : 1;
}
