/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-vmm: runs one virtual machine on KVM, locked into its own process.
 *
 * Life: take the configuration and the descriptors (config.h); give up every right of the process
 * except system calls; build the machine; confine each thread to its few system calls; only then
 * let the guest run. The main thread then runs the devices until the guest ends or the supervisor
 * closes the control socket; on it the supervisor may say how much memory the guest is to give
 * back. Nothing is opened by path at any time.
 *
 * Everything that happens is told on the control socket. The exit status is 0 when the guest ran
 * and 1 when it never did.
 *
 * System calls of the main thread once the guest may run, besides those of the devices
 * (clock_gettime only where the vDSO cannot answer):
 * #syscalls(vmm:loop): epoll_ctl sendto recvmsg clock_gettime futex tgkill(0=@pid) exit_group
 * #syscalls(vmm:loop:musl): epoll_pwait
 * #syscalls(vmm:loop:glibc): epoll_wait
 */
#include <signal.h>

#include "base/base.h"
#include "base/err.h"
#include "base/io.h"
#include "base/loop.h"

#include "vmm/config.h"
#include "vmm/jail/jail.h"
#include "vmm/machine.h"

/* How long the supervisor may go without reading more of the guest's last words. */
#define DRAIN_NS (2 * NSEC_PER_SEC)

struct vmm {
	struct vmm_config config;
	struct loop loop;
	struct loop_fd control;
	struct machine machine;
};

static struct vmm vmm;

static void send_event(struct vmm_event *ev, const char *text)
{
	ev->mono_ns = ev->mono_ns ? ev->mono_ns : clock_mono_ns();
	(void)snprintf(ev->text, sizeof(ev->text), "%s", text);
	/* A supervisor that is gone or does not read has its reasons; we end either way. */
	(void)send(VMM_FD_CONTROL, ev, sizeof(*ev), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int fail(const struct msb_err *err)
{
	struct vmm_event ev = {
		.type = VMM_EV_FAILED, .reason = VMM_EXIT_HOST_FAULT, .errno_ = err->errno_};
	char text[sizeof(ev.text)];

	(void)snprintf(text, sizeof(text), "%.150s%s%.100s", err->msg, err->hint[0] ? "; " : "",
		err->hint);
	send_event(&ev, text);
	return 1;
}

static int read_config(struct vmm_config *c, struct msb_err *err)
{
	ssize_t n = recv(VMM_FD_CONTROL, c, sizeof(*c), MSG_TRUNC);

	if (n < 0)
		return msb_err_errno(err, -errno, "cannot read the start configuration");
	if ((size_t)n < vmm_config_size(0) || (size_t)n > sizeof(*c) || (size_t)n != c->size)
		return msb_err_set(err, -EINVAL, MSB_PROTOCOL,
			"start configuration: %zd bytes instead of %" PRIu32, n, c->size);
	return vmm_config_check(c, err);
}

static int close_foreign_fds(const struct vmm_config *c, struct msb_err *err)
{
	int keep[8 + LIMIT_EXTENTS + LIMIT_SHARES] = {
		VMM_FD_CONTROL, c->kvm_fd, c->kernel_fd, c->initramfs_fd, c->channel_fd, c->log_fd};
	unsigned int n = 6;

	for (uint32_t i = 0; i < c->n_extents; i++)
		keep[n++] = c->extents[i].fd;
	for (uint32_t i = 0; i < c->n_shares; i++)
		keep[n++] = c->shares[i].fd;
	keep[n++] = c->net.fd; /* -1: none */
	keep[n++] = c->vsock_fd; /* the same */
	return jail_close_fds(keep, n, err);
}

/* These made the machine; now they would only be something to steal. */
static void close_build_fds(struct vmm_config *c)
{
	c->kvm_fd = fd_close(c->kvm_fd);
	c->kernel_fd = fd_close(c->kernel_fd);
	c->initramfs_fd = fd_close(c->initramfs_fd);
}

/* One command; -EAGAIN when there was none, anything else when no more will come. */
static int take_command(struct vmm *v)
{
	struct vmm_command c;
	struct iovec iov = {.iov_base = &c, .iov_len = sizeof(c)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(VMM_FD_CONTROL, &msg, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n != (ssize_t)sizeof(c) || (msg.msg_flags & MSG_TRUNC) || c.type != VMM_CMD_BALLOON)
		return -EPROTO;
	return machine_balloon(&v->machine, c.value);
}

/* Words that are no commands, and the end of the supervisor's life, both mean the end of ours. */
static void on_control(struct loop_fd *src, uint32_t events)
{
	struct vmm *v = container_of(src, struct vmm, control);
	int r = take_command(v);

	(void)events;
	if (r == 0 || r == -EAGAIN)
		return;
	/* Stays readable: it would end the draining of the console before it began. */
	loop_fd_del(src);
	loop_stop(&v->loop, 0);
}

static void on_balloon(struct machine *m, uint32_t mib)
{
	struct vmm_event ev = {.type = VMM_EV_BALLOON, .value = mib};

	(void)m;
	send_event(&ev, "");
}

static void on_end(struct machine *m)
{
	loop_stop(m->loop, 0);
}

static int confine_vcpu(void)
{
	return jail_filter(JAIL_VCPU);
}

static int setup(struct vmm *v, uint32_t *ret_level, struct msb_err *err)
{
	struct vmm_event created = {.type = VMM_EV_CREATED};
	int r;

	r = read_config(&v->config, err);
	if (r == 0)
		r = close_foreign_fds(&v->config, err);
	if (r == 0)
		r = jail_enter(ret_level, err);
	if (r < 0)
		return r;
	r = loop_init(&v->loop);
	if (r == 0)
		r = loop_fd_add(
			&v->loop, &v->control, VMM_FD_CONTROL, EPOLLIN | EPOLLRDHUP, on_control);
	if (r < 0)
		return msb_err_errno(err, r, "cannot create the event loop");
	v->machine.on_balloon = on_balloon;
	r = machine_build(&v->machine, &v->config, &v->loop, on_end, err);
	if (r < 0)
		return r;
	close_build_fds(&v->config);
	send_event(&created, "");
	r = machine_start(&v->machine, confine_vcpu, err);
	if (r == 0)
		r = jail_limits(v->machine.disk_max, err);
	return r;
}

static void run(struct vmm *v, uint32_t level)
{
	struct vmm_event running = {.type = VMM_EV_RUNNING, .jail_level = level};
	struct vmm_event end = {.type = VMM_EV_EXIT};
	const char *text;
	int r;

	running.mono_ns = clock_mono_ns();
	machine_go(&v->machine);
	send_event(&running, "");
	r = loop_run(&v->loop);

	v->loop.stopped = false;
	machine_stop(&v->machine, DRAIN_NS);
	end.reason = machine_end(&v->machine, &text);
	if (r < 0) {
		end.reason = VMM_EXIT_HOST_FAULT;
		end.errno_ = -r;
		text = "the event loop failed";
	}
	send_event(&end, text);
}

int main(void)
{
	struct msb_err err = {0};
	uint32_t level = 0;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	r = setup(&vmm, &level, &err);
	if (r < 0)
		_exit(fail(&err));
	r = jail_filter(JAIL_LOOP);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "cannot confine the main thread");
		_exit(fail(&err));
	}
	run(&vmm, level | VMM_JAIL_SECCOMP);
	_exit(0);
}
