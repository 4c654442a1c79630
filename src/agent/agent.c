/* SPDX-License-Identifier: Apache-2.0 */
/* The guest agent's requests, signals and life: see agent.h. */
#include "agent/agent.h"

#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/log.h"

#include "agent/arch/cycles.h"
#include "agent/init/boot.h"
#include "agent/init/hand-over.h"
#include "agent/init/power.h"
#include "agent/ops/exec.h"
#include "agent/ops/freeze.h"
#include "agent/ops/fs.h"
#include "agent/ops/metrics.h"
#include "agent/ops/modify.h"

enum { PING_MAX = 64, REAP_BATCH = 256 };

/* Bigger steps than this are worth a jump of the guest's clock. */
#define CLOCK_STEP_BOOT (1 * NSEC_PER_SEC)
#define CLOCK_STEP_RUN	(100 * NSEC_PER_MSEC)

int agent_hello(struct agent *a)
{
	struct utsname uts = {};
	struct msg_hello m = {
		.version = PROTO_VERSION,
		.pid1_ns = a->pid1_ns,
		.pid1_tsc = a->pid1_cycles,
		.agent_version = MSB_VERSION,
		.kernel_release = uts.release,
	};
	int r;

	(void)uname(&uts);
	r = msg_put_hello(&a->ch.out, &m);
	if (r == 0)
		channel_kick(&a->ch);
	return r;
}

static uint32_t online_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (uint32_t)CPU_COUNT(&set);
}

static int agent_ready(struct agent *a)
{
	struct sysinfo info = {};
	struct msg_ready m = {.cpus = online_cpus()};
	int r;

	(void)sysinfo(&info);
	m.mem_total_kib = (uint64_t)info.totalram * info.mem_unit / KIB;
	m.ready_ns = clock_mono_ns();
	m.ready_tsc = arch_cycles();
	r = msg_put_ready(&a->ch.out, &m);
	/* The host learns it before the first request is looked at. */
	if (r == 0)
		channel_flush(&a->ch);
	return r;
}

static void clock_step(uint64_t real_ns, uint64_t least)
{
	uint64_t now = clock_real_ns();
	uint64_t off = real_ns > now ? real_ns - now : now - real_ns;
	const struct timespec ts = {
		.tv_sec = (time_t)(real_ns / NSEC_PER_SEC),
		.tv_nsec = (long)(real_ns % NSEC_PER_SEC),
	};

	if (off >= least && clock_settime(CLOCK_REALTIME, &ts) < 0)
		log_warn("cannot set the clock: %s", strerror(errno));
}

/* The root file system cannot be assembled: say why and end the machine. */
static int boot_failed(struct agent *a, const struct msg_failure *why)
{
	log_err("%s: %s: %s", msg_stage_name(why->stage), why->what, strerror((int)why->errno_));
	a->state = AGENT_STOPPING;
	if (msg_put_boot_failed(&a->ch.out, why) < 0)
		return -EPROTO;
	power_off(a);
	return 0;
}

int agent_boot(struct agent *a)
{
	struct msg_failure why;
	char what[256];
	int r = agent_hello(a);

	if (r < 0)
		return r;
	channel_flush(&a->ch);
	if (boot_common(&a->have_lower, &why, what, sizeof(what)) < 0)
		return boot_failed(a, &why);
	return 0;
}

/* Certificates that the boot needs, in pieces of a frame. */
static int handle_trust(struct agent *a, const struct frame *f)
{
	if (a->state != AGENT_WAITING)
		return 0;
	return buf_append(&a->trust, f->payload, f->len);
}

static int boot_machine(struct agent *a, struct msg_failure *why, char *what, size_t size)
{
	const char *host_cas = buf_cstr(&a->trust);
	int r = boot_root(&a->config, host_cas ? host_cas : "", a->have_lower, why, what, size);

	buf_deinit(&a->trust);
	return r;
}

static int handle_config(struct agent *a, const struct frame *f)
{
	struct msg_failure why = {};
	struct frame copy = *f;
	char what[256];

	/* A supervisor that connects anew repeats what is long done. */
	if (a->state != AGENT_WAITING)
		return 0;
	a->config_text = malloc(f->len ? f->len : 1);
	if (!a->config_text)
		return -ENOMEM;
	memcpy(a->config_text, f->payload, f->len);
	copy.payload = a->config_text;
	if (msg_get_config(&copy, &a->config) < 0) {
		why = (struct msg_failure){STAGE_REQUEST, EBADMSG, "CONFIG is malformed"};
		return boot_failed(a, &why);
	}
	if (a->config.version != PROTO_VERSION) {
		(void)snprintf(what, sizeof(what),
			"the host speaks protocol %" PRIu32 ", the guest agent %d",
			a->config.version, PROTO_VERSION);
		why = (struct msg_failure){STAGE_REQUEST, EPROTONOSUPPORT, what};
		return boot_failed(a, &why);
	}
	if (a->machine) {
		a->freezer = &root_freezer;
		if (boot_machine(a, &why, what, sizeof(what)) < 0)
			return boot_failed(a, &why);
		if (a->config.init[0] && hand_over(a, &why, what, sizeof(what)) < 0)
			return boot_failed(a, &why);
		if (a->config.real_ns)
			clock_step(a->config.real_ns, CLOCK_STEP_BOOT);
	}
	a->state = AGENT_SERVING;
	return agent_ready(a);
}

static int handle_clock(struct agent *a, const struct frame *f)
{
	struct msg_clock m;

	if (msg_get_clock(f, &m) < 0)
		return -EBADMSG;
	if (a->machine && m.real_ns)
		clock_step(m.real_ns, CLOCK_STEP_RUN);
	return 0;
}

static int handle_shutdown(struct agent *a, const struct frame *f)
{
	struct msg_shutdown m;

	if (msg_get_shutdown(f, &m) < 0)
		return -EBADMSG;
	power_stop(a, m.grace_ms, 0);
	return 0;
}

void agent_refuse(
	struct agent *a, uint32_t stream, enum msg_stage stage, int error, const char *what)
{
	const struct msg_failure m = {.stage = stage, .errno_ = (uint32_t)-error, .what = what};
	int r = msg_put_failed(&a->ch.out, stream, &m);

	if (r < 0)
		channel_break(&a->ch, r);
	else
		channel_kick(&a->ch);
}

static int handle_ping(struct agent *a, const struct frame *f)
{
	int r;

	if (f->len > PING_MAX) {
		agent_refuse(a, f->stream, STAGE_REQUEST, -EMSGSIZE, "PING");
		return 0;
	}
	r = frame_put(&a->ch.out, FRAME_PONG, 0, f->stream, f->payload, f->len);
	if (r == 0)
		channel_kick(&a->ch);
	return r;
}

static int handle_metrics(struct agent *a, const struct frame *f)
{
	struct msg_metrics m;
	int r;

	metrics_read(&m);
	m.execs = a->n_execs;
	r = msg_put_metrics(&a->ch.out, f->stream, &m);
	if (r == 0)
		channel_kick(&a->ch);
	return r;
}

/* Requests that open a stream. */
static int handle_request(struct agent *a, const struct frame *f)
{
	if (a->state == AGENT_WAITING) {
		agent_refuse(a, f->stream, STAGE_REQUEST, -EAGAIN, "the guest is not ready");
		return 0;
	}
	if (a->state == AGENT_STOPPING && f->type != FRAME_PING) {
		agent_refuse(a, f->stream, STAGE_REQUEST, -ESHUTDOWN, "the guest is shutting down");
		return 0;
	}
	switch (f->type) {
	case FRAME_EXEC:
		return exec_request(a, f);
	case FRAME_FS:
		return fs_request(a, f);
	case FRAME_PING:
		return handle_ping(a, f);
	case FRAME_FREEZE:
		return freeze_request(a, f);
	case FRAME_MODIFY:
		return modify_request(a, f);
	default:
		return handle_metrics(a, f);
	}
}

static int agent_frame(struct channel *ch, const struct frame *f)
{
	struct agent *a = container_of(ch, struct agent, ch);

	switch (f->type) {
	case FRAME_CONFIG:
		return handle_config(a, f);
	case FRAME_TRUST:
		return handle_trust(a, f);
	case FRAME_CLOCK:
		return handle_clock(a, f);
	case FRAME_SHUTDOWN:
		return handle_shutdown(a, f);
	case FRAME_EXEC:
	case FRAME_FS:
	case FRAME_PING:
	case FRAME_METRICS:
	case FRAME_FREEZE:
	case FRAME_MODIFY:
		return handle_request(a, f);
	default:
		/* What only the guest or the supervisor sends. */
		return -EPROTO;
	}
}

static void agent_channel_state(struct channel *ch, bool up)
{
	struct agent *a = container_of(ch, struct agent, ch);
	int r;

	if (!up) {
		log_warn("the host closed the channel");
		if (!a->machine)
			loop_stop(&a->loop, 0);
		return;
	}
	r = agent_hello(a);
	if (r == 0 && a->state == AGENT_SERVING)
		r = agent_ready(a);
	if (r < 0)
		channel_break(ch, r);
}

static void agent_channel_broken(struct channel *ch, int error)
{
	struct agent *a = container_of(ch, struct agent, ch);

	log_err("the channel to the host is broken: %s", strerror(-error));
	if (a->machine)
		power_off(a);
	else
		loop_stop(&a->loop, error);
}

static const struct channel_owner agent_owner = {
	.frame = agent_frame,
	.state = agent_channel_state,
	.broken = agent_channel_broken,
};

/* As PID 1 every orphan of the guest is ours. */
static void agent_reap(struct agent *a)
{
	int status;
	pid_t pid = 1;

	for (int i = 0; i < REAP_BATCH && pid > 0; i++) {
		pid = waitpid(-1, &status, WNOHANG);
		if (pid > 0)
			exec_reaped(a, pid, status);
	}
	/* There may be more, and others want their turn. */
	if (pid > 0)
		(void)kill(getpid(), SIGCHLD);
	if (a->state == AGENT_STOPPING)
		power_check(a);
}

static void agent_signal(struct loop_fd *src, uint32_t events)
{
	struct agent *a = container_of(src, struct agent, signals);
	struct signalfd_siginfo si;

	(void)events;
	if (read(a->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGCHLD)
		agent_reap(a);
	else
		power_stop(a, POWER_GRACE_MS, si.ssi_signo);
}

int agent_watch_signals(struct agent *a)
{
	static const int watched[] = {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
	sigset_t set;
	int r;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		sigaddset(&set, watched[i]);
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->signal_fd < 0)
		return -errno;
	/* Not watched, only kept from killing us: a write to a pipe without reader. */
	sigaddset(&set, SIGPIPE);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r = loop_fd_add(&a->loop, &a->signals, a->signal_fd, EPOLLIN, agent_signal);
	return r;
}

int agent_init(struct agent *a, int fd, bool machine)
{
	int r;

	*a = (struct agent){.machine = machine, .signal_fd = -EBADF};
	buf_init(&a->trust, LIMIT_HOST_CAS + 1);
	r = loop_init(&a->loop);
	if (r < 0)
		return r;
	r = channel_init(&a->ch, &a->loop, fd, &agent_owner);
	if (r < 0)
		goto fail_loop;
	r = agent_watch_signals(a);
	if (r < 0)
		goto fail_channel;
	return 0;

fail_channel:
	fd_close(a->signal_fd);
	channel_deinit(&a->ch);
fail_loop:
	loop_deinit(&a->loop);
	return r;
}

void agent_deinit(struct agent *a)
{
	channel_deinit(&a->ch); /* kills the execs with their streams */
	freeze_end(a);
	loop_timer_del(&a->stop_timer);
	loop_timer_del(&a->ask_timer);
	loop_fd_del(&a->signals);
	fd_close(a->signal_fd);
	loop_deinit(&a->loop);
	buf_deinit(&a->trust);
	free(a->config_text);
	free(a->defaults_text);
}
