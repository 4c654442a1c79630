/* SPDX-License-Identifier: Apache-2.0 */
/* MODIFY: see modify.h. */
#include "modify.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>

/* @on: 0 or 1. -ENOENT: there is no such processor. */
static int switch_cpu(int dir_fd, uint32_t cpu, bool on)
{
	char path[32];
	cleanup_fd int fd = -EBADF;

	(void)snprintf(path, sizeof(path), "cpu%" PRIu32 "/online", cpu);
	fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	return write(fd, on ? "1" : "0", 1) < 0 ? -errno : 0;
}

/* As the kernel sees it, after a switch that did not work. */
static bool is_on(int dir_fd, uint32_t cpu)
{
	char path[32];
	cleanup_fd int fd = -EBADF;
	char c = '0';

	(void)snprintf(path, sizeof(path), "cpu%" PRIu32 "/online", cpu);
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

int modify_cpus(int dir_fd, uint32_t want, uint32_t *ret_online)
{
	uint32_t online = 1;
	int error = 0;

	for (uint32_t cpu = 1; cpu < LIMIT_VCPUS; cpu++) {
		bool on = cpu < want;
		int r = switch_cpu(dir_fd, cpu, on);

		if (r == -ENOENT) {
			if (on && error == 0)
				error = -ENODEV;
			break;
		}
		if (r < 0) {
			error = error ? error : r;
			on = is_on(dir_fd, cpu);
		}
		online += on;
	}
	*ret_online = online;
	return error;
}

/* A descriptor of devices/system/cpu, of a mount that nobody else sees. musl lacks the calls. */
static int open_switches(void)
{
	cleanup_fd int fs_fd = (int)syscall(SYS_fsopen, "sysfs", FSOPEN_CLOEXEC);
	cleanup_fd int mount_fd = -EBADF;
	int fd;

	if (fs_fd < 0 || syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount_fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC);
	if (mount_fd < 0)
		return -errno;
	fd = openat(mount_fd, "devices/system/cpu", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int set_cpus(const struct agent *a, uint32_t want, uint32_t *ret_online)
{
	/* The host's are not ours to switch. */
	cleanup_fd int fd = a->machine ? open_switches() : -EOPNOTSUPP;

	return fd < 0 ? fd : modify_cpus(fd, want, ret_online);
}

/* The strings stay where the frame was copied to, until the next one comes. */
static int set_defaults(struct agent *a, const struct frame *f)
{
	uint8_t *text = malloc(f->len);
	struct frame copy = *f;
	struct msg_modify m;

	if (!text)
		return -ENOMEM;
	memcpy(text, f->payload, f->len);
	copy.payload = text;
	if (msg_get_modify(&copy, &m) < 0) {
		free(text);
		return -EBADMSG;
	}
	a->config.cwd = m.cwd;
	a->config.env = m.env;
	free(a->defaults_text);
	a->defaults_text = text;
	return 0;
}

int modify_request(struct agent *a, const struct frame *f)
{
	struct msg_modify m;
	uint32_t online = 0;
	int r;

	if (msg_get_modify(f, &m) < 0) {
		agent_refuse(a, f->stream, STAGE_REQUEST, -EBADMSG, "MODIFY");
		return 0;
	}
	r = m.cpus ? set_cpus(a, m.cpus, &online) : 0;
	if (r < 0) {
		agent_refuse(a, f->stream, STAGE_IO, r, "switch processors");
		return 0;
	}
	r = m.defaults ? set_defaults(a, f) : 0;
	if (r < 0) {
		agent_refuse(a, f->stream, STAGE_IO, r, "new environment");
		return 0;
	}
	r = msg_put_u32(&a->ch.out, FRAME_MODIFIED, f->stream, online);
	if (r == 0)
		channel_kick(&a->ch);
	return r;
}
