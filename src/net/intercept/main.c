/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-tls: the interception of TLS of one sandbox. See config.h for how it is started.
 *
 *	msb-tls serve			speak TLS with the guest and with its servers
 *	msb-tls make-ca DIRECTORY	make the certificate authority of an installation, if
 *missing msb-tls show-ca DIRECTORY	the same, and describe it msb-tls rotate-ca DIRECTORY make
 *another one, and describe it
 *
 * It reads its files, gives up every right, and then sees the first flow. stderr gets one line when
 * it cannot start or go on; the exit status is 0 when msb-net has ended, 1 for a failure and 2 for
 * words it does not know.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/io.h"
#include "base/jail.h"

#include "net/intercept/jail.h"
#include "net/intercept/session.h"

enum { FLOWS_BATCH = 16 };

struct process {
	struct loop loop;
	struct loop_fd flows;
	struct loop_fd control;
	struct net_events events;
	struct intercept_config config;
	struct intercept intercept;
};

static int complain(const struct msb_err *err)
{
	(void)fprintf(stderr, "msb-tls: %s\n", err->msg);
	return 1;
}

static int read_config(struct intercept_config *ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(INTERCEPT_FD_CONFIG, &st) < 0)
		return msb_err_errno(err, -errno, "no description");
	if (st.st_size > LIMIT_JSON_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "the description is too large");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return msb_err_errno(err, -ENOMEM, "description");
	n = pread(INTERCEPT_FD_CONFIG, text, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return msb_err_errno(err, n < 0 ? -errno : -EIO, "description");
	(void)close(INTERCEPT_FD_CONFIG);
	return intercept_config_from_json(text, (size_t)n, ret, err);
}

/* Those that came; the others are negative. Where numbers run out the kernel gives only some. */
static void take_fds(const struct msghdr *msg, int fds[INTERCEPT_FDS])
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t n;

	fds[0] = fds[1] = -EBADF;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	n = MIN(c->cmsg_len - CMSG_LEN(0), INTERCEPT_FDS * sizeof(int));
	memcpy(fds, CMSG_DATA(c), n / sizeof(int) * sizeof(int));
}

static bool is_sound(struct intercept_flow *f)
{
	f->addr[sizeof(f->addr) - 1] = '\0';
	f->authority[sizeof(f->authority) - 1] = '\0';
	return f->version == INTERCEPT_VERSION && f->kind <= INTERCEPT_HTTP;
}

/* Return: is there more to come? */
static bool next_flow(struct process *p)
{
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(INTERCEPT_FDS * sizeof(int))];
	} control = {};
	struct intercept_flow flow = {.version = 0};
	struct iovec iov = {.iov_base = &flow, .iov_len = sizeof(flow)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room)};
	int fds[INTERCEPT_FDS];
	ssize_t n = recvmsg(INTERCEPT_FD_FLOWS, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		loop_stop(&p->loop, n < 0 ? -errno : 0);
		return false;
	}
	take_fds(&msg, fds);
	if (n == sizeof(flow) && fds[0] >= 0 && fds[1] >= 0 && is_sound(&flow)) {
		intercept_take(&p->intercept, &flow, fds[0], fds[1]);
	} else {
		fd_close(fds[0]);
		fd_close(fds[1]);
	}
	return true;
}

/* Other secrets: they count for what comes after them. */
static void take_secrets(struct process *p)
{
	static char text[LIMIT_FRAME_PAYLOAD];
	cleanup_fd int fd = -EBADF;
	struct msb_err err = {0};
	ssize_t n = io_recv_fd(INTERCEPT_FD_CONTROL, text, sizeof(text), MSG_DONTWAIT, &fd);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		loop_fd_del(&p->control);
		return;
	}
	if (intercept_secrets(&p->intercept, text, (size_t)n, fd, &err) < 0)
		net_events_say(&p->events, err.msg);
}

static void on_control(struct loop_fd *src, uint32_t events)
{
	(void)events;
	take_secrets(container_of(src, struct process, control));
}

static void on_flows(struct loop_fd *src, uint32_t events)
{
	struct process *p = container_of(src, struct process, flows);

	(void)events;
	if (p->control.loop)
		take_secrets(p);
	for (int i = 0; i < FLOWS_BATCH && next_flow(p); i++)
		;
}

static int setup(struct process *p, struct msb_err *err)
{
	static const int keep[] = {INTERCEPT_FD_FLOWS, INTERCEPT_FD_CONFIG, INTERCEPT_FD_EVENTS,
		INTERCEPT_FD_SECRETS, INTERCEPT_FD_CONTROL};
	int events = fcntl(INTERCEPT_FD_EVENTS, F_GETFD) < 0 ? -EBADF : INTERCEPT_FD_EVENTS;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	/* Before there is a key in this process. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return msb_err_errno(err, -errno, "cannot make the process unreadable");
	r = jail_close_fds(keep, ARRAY_SIZE(keep), err);
	if (r == 0)
		r = read_config(&p->config, err);
	if (r < 0)
		return r;
	r = loop_init(&p->loop);
	if (r < 0)
		return msb_err_errno(err, r, "event loop");
	net_events_init(&p->events, &p->loop, events);
	r = intercept_init(
		&p->intercept, &p->loop, &p->events, &p->config, INTERCEPT_FD_SECRETS, err);
	(void)close(INTERCEPT_FD_SECRETS);
	if (r == 0)
		r = intercept_jail_enter(err);
	if (r < 0)
		return r;
	r = loop_fd_add(&p->loop, &p->flows, INTERCEPT_FD_FLOWS, EPOLLIN, on_flows);
	if (r < 0)
		return msb_err_errno(err, r, "cannot hear of flows");
	if (fcntl(INTERCEPT_FD_CONTROL, F_GETFD) >= 0)
		r = loop_fd_add(&p->loop, &p->control, INTERCEPT_FD_CONTROL, EPOLLIN, on_control);
	if (r < 0)
		return msb_err_errno(err, r, "cannot hear of secrets");
	return intercept_jail_lock(err);
}

static int serve(void)
{
	static struct process p;
	struct msb_err err = {0};
	int r = setup(&p, &err);

	if (r < 0)
		return complain(&err);
	r = loop_run(&p.loop);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "event loop");
		return complain(&err);
	}
	_exit(0);
}

static int describe_ca(const char *path, struct msb_err *err)
{
	static struct tls_ca_info info;
	struct json_out o;
	struct buf out;
	int r = tls_ca_describe(path, &info, err);

	if (r < 0)
		return r;
	buf_init(&out, LIMIT_JSON_BYTES);
	json_out_init(&o, &out, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_str(&o, "subject", info.subject);
	json_put_str(&o, "fingerprint", info.fingerprint);
	json_put_u64(&o, "not_before", info.not_before);
	json_put_u64(&o, "not_after", info.not_after);
	json_put_str(&o, "pem", info.pem);
	json_end_object(&o);
	r = json_out_end(&o);
	if (r == 0)
		r = io_write_full(STDOUT_FILENO, buf_data(&out), buf_len(&out));
	buf_deinit(&out);
	return r < 0 ? msb_err_errno(err, r, "cannot describe the certificate authority") : 0;
}

static int authority(const char *word, const char *path, struct msb_err *err)
{
	bool rotate = streq(word, INTERCEPT_ROTATE_CA);
	int r = rotate ? tls_ca_rotate(path, err) : tls_ca_make(path, err);

	return r == 0 && !streq(word, INTERCEPT_MAKE_CA) ? describe_ca(path, err) : r;
}

static bool about_authority(const char *word)
{
	return streq(word, INTERCEPT_MAKE_CA) || streq(word, INTERCEPT_SHOW_CA) ||
	       streq(word, INTERCEPT_ROTATE_CA);
}

int main(int argc, char **argv)
{
	struct msb_err err = {0};

	if (argc == 2 && streq(argv[1], INTERCEPT_SERVE))
		return serve();
	if (argc == 3 && about_authority(argv[1]))
		return authority(argv[1], argv[2], &err) < 0 ? complain(&err) : 0;
	(void)fprintf(stderr, "msb-tls: msb-tls is started by msb\n");
	return 2;
}
