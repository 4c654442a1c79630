/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QEMU, a msb-vmm and a msb-net for tests, in one program: as which it was started it sees by its
 * name. The kernel command line ends with "fake=MODE", which says what the machines do.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/base.h"

#include "net/config.h"
#include "vmm/config.h"

/* Descriptor numbers of qemu.c. */
enum { QFD_QMP = 5, QFD_CHANNEL = 6, QFD_CONSOLE = 7, QFD_DISK = 8 };

static const char greeting[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, "
			       "\"major\": 7}, \"package\": "
			       "\"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n{\"return\": {}}\r\n";

static const char reset[] = "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": "
			    "\"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
			    "\"guest-reset\"}}\r\n";

static void send_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t put = write(fd, text, n);

		if (put < 0)
			_exit(99);
		text += put;
		n -= (size_t)put;
	}
}

static void say(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

static MSB_NORETURN void hang(void)
{
	for (;;)
		pause();
}

/* Sends back what comes on the channel until the other side closes it. */
static void echo(int channel)
{
	struct pollfd p = {.fd = channel, .events = POLLIN};
	char text[4096];
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, -1) < 0)
			_exit(99);
		n = read(channel, text, sizeof(text));
		if (n <= 0)
			return;
		send_all(channel, text, (size_t)n);
	}
}

static void flood_stderr(void)
{
	char line[101];

	memset(line, 'x', 99);
	line[99] = '\n';
	line[100] = '\0';
	for (int i = 0; i < 10000; i++) {
		/* The reader may be slow or absent: that is its choice, not ours to wait for. */
		if (write(STDERR_FILENO, line, 100) < 0 && errno != EAGAIN)
			_exit(98);
	}
}

static void complain(bool bad, const char *what)
{
	if (!bad)
		return;
	say(STDERR_FILENO, what);
	say(STDERR_FILENO, "\n");
	_exit(97);
}

/* What both engines promise about the process they start. */
static void check_process(int last_fd)
{
	complain(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1, "no_new_privs is off");
	complain(getsid(0) != getpid(), "not in a session of its own");
	for (int fd = 3; fd < 64; fd++)
		complain((fcntl(fd, F_GETFD) >= 0) != (fd <= last_fd), "unexpected descriptors");
	complain(environ && environ[0], "an environment");
}

/* Effective ones; a fake VMM has what the real one gives up by itself. */
static uint32_t capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, data) < 0)
		_exit(99);
	return data[0].effective | data[1].effective;
}

static void check_files(void)
{
	cleanup_fd int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	cleanup_fd int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	complain(fd >= 0 || dir >= 0, "files can be opened");
	fd = open("/proc/self/fd/3", O_RDONLY | O_CLOEXEC);
	complain(fd < 0, "the kernel cannot be opened again");
}

/* Modes that need nothing of the engine's protocol. */
static void common(const char *mode)
{
	if (streq(mode, "dies")) {
		say(STDERR_FILENO, "a warning\nout of \033[31mluck\n");
		_exit(1);
	}
	if (streq(mode, "dies-silently"))
		_exit(3);
	if (streq(mode, "crashes")) {
		(void)raise(SIGSEGV);
		hang();
	}
	if (streq(mode, "floods")) {
		flood_stderr();
		_exit(1);
	}
	if (streq(mode, "hangs"))
		hang();
}

/* Disk 0 of test-engines.c: two files of which one is used twice. */
static void check_vmdk(void)
{
	static const char want[] = "# Disk DescriptorFile\n"
				   "version=1\n"
				   "CID=00000001\n"
				   "parentCID=ffffffff\n"
				   "createType=\"twoGbMaxExtentFlat\"\n"
				   "RW 8 FLAT \"/dev/fdset/0\" 0\n"
				   "RW 3 FLAT \"/dev/fdset/1\" 1\n"
				   "RW 16 FLAT \"/dev/fdset/2\" 8\n";
	char text[1024] = {0};

	for (int i = 0; i < 4; i++)
		complain((fcntl(QFD_DISK + i, F_GETFL) & O_ACCMODE) != O_RDONLY,
			"an extent is writable");
	complain((fcntl(QFD_DISK + 4, F_GETFL) & O_ACCMODE) != O_RDWR, "disk 1 is not");
	if (pread(QFD_DISK + 3, text, sizeof(text) - 1, 0) < 0)
		_exit(99);
	complain(!streq(text, want), "another VMDK descriptor");
}

static void send_frame(int link)
{
	complain(send(link, "frame", 5, MSG_NOSIGNAL) != 5, "no link to msb-net");
}

/* What the engine asks of the balloon has come: what it says is done. */
static void await_command(int fd, const char *word)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[1024];
	size_t n = 0;

	do {
		ssize_t got;

		if (n + 1 >= sizeof(text) || poll(&p, 1, -1) != 1)
			_exit(99);
		got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			_exit(98);
		n += (size_t)got;
		text[n] = '\0';
	} while (!strstr(text, word));
}

static void qemu_balloon(void)
{
	await_command(QFD_QMP, "{\"execute\":\"balloon\",\"arguments\":{\"value\":134217728}}\n");
	say(QFD_QMP, "{\"return\": {}}\r\n{\"event\": \"BALLOON_CHANGE\", \"data\": "
		     "{\"actual\": 134217728}}\r\n");
	await_command(QFD_QMP, "{\"execute\":\"balloon\",\"arguments\":{\"value\":268435456}}\n");
	say(QFD_QMP, "{\"return\": {}}\r\n{\"event\": \"BALLOON_CHANGE\", \"data\": "
		     "{\"actual\": 268435456}}\r\n");
}

static void qemu(const char *mode)
{
	char long_line[20000];

	if (streq(mode, "checks")) {
		check_process(QFD_DISK + 1);
		complain(capabilities() != 0, "capabilities");
		check_files();
		complain((fcntl(QFD_DISK, F_GETFL) & O_ACCMODE) != O_RDONLY, "disk 0 is writable");
		complain((fcntl(QFD_DISK + 1, F_GETFL) & O_ACCMODE) != O_RDWR, "disk 1 is not");
	}
	if (streq(mode, "extents"))
		check_vmdk();
	if (streq(mode, "garbage")) {
		say(QFD_QMP, greeting);
		say(QFD_QMP, "hello\n");
		hang();
	}
	if (streq(mode, "long-line")) {
		memset(long_line, ' ', sizeof(long_line));
		long_line[sizeof(long_line) - 1] = '\0';
		say(QFD_QMP, long_line);
		hang();
	}
	say(QFD_QMP, greeting);
	if (streq(mode, "panics"))
		say(QFD_QMP,
			"{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}\r\n");
	if (streq(mode, "refuses")) {
		say(QFD_QMP,
			"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not today\"}}\r\n");
		_exit(1);
	}
	if (streq(mode, "host-ends")) {
		say(QFD_QMP, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": "
			     "\"host-signal\"}}\r\n");
		_exit(0);
	}
	if (streq(mode, "echoes")) {
		say(QFD_CONSOLE, "[    0.000000] Linux version\r\n");
		echo(QFD_CHANNEL);
	}
	if (streq(mode, "balloon"))
		qemu_balloon();
	if (streq(mode, "network")) {
		check_process(QFD_DISK + 2);
		send_frame(QFD_DISK + 2);
	}
	say(QFD_QMP, reset);
	_exit(0);
}

static void tell(uint32_t type, uint32_t reason, const char *text)
{
	struct vmm_event ev = {.type = type,
		.reason = reason,
		.jail_level = VMM_JAIL_SECCOMP,
		.mono_ns = 1000 + type};

	(void)snprintf(ev.text, sizeof(ev.text), "%s", text);
	if (send(VMM_FD_CONTROL, &ev, sizeof(ev), MSG_NOSIGNAL) != (ssize_t)sizeof(ev))
		_exit(99);
}

static void vmm_balloon(const struct vmm_config *c)
{
	struct vmm_event ev = {.type = VMM_EV_BALLOON, .value = 384};
	struct pollfd p = {.fd = VMM_FD_CONTROL, .events = POLLIN};
	struct vmm_command cmd;

	complain(c->vcpus != 4 || !strstr(c->cmdline, " maxcpus=1 "), "other processors");
	complain(c->mem_mib != 512 || c->balloon_mib != 384, "another balloon");
	if (send(VMM_FD_CONTROL, &ev, sizeof(ev), MSG_NOSIGNAL) != (ssize_t)sizeof(ev))
		_exit(99);
	if (poll(&p, 1, -1) != 1)
		_exit(99);
	complain(recv(VMM_FD_CONTROL, &cmd, sizeof(cmd), 0) != (ssize_t)sizeof(cmd) ||
			 cmd.type != VMM_CMD_BALLOON || cmd.value != 256,
		"another command");
	ev.value = cmd.value;
	if (send(VMM_FD_CONTROL, &ev, sizeof(ev), MSG_NOSIGNAL) != (ssize_t)sizeof(ev))
		_exit(99);
}

static void vmm(const char *mode, const struct vmm_config *c)
{
	if (streq(mode, "checks"))
		check_process(c->extents[1].fd);
	if (streq(mode, "extents")) {
		complain(c->size != vmm_config_size(4), "another size");
		complain(c->n_disks != 2 || c->disks[0].n_extents != 3, "other disks");
		complain(
			c->extents[1].offset != 512 || c->extents[1].len != 1536, "another extent");
		complain(c->extents[2].offset != 4096 || c->extents[2].len != 8192,
			"another last extent");
		check_process(c->extents[3].fd);
	}
	if (streq(mode, "garbage")) {
		if (send(VMM_FD_CONTROL, "hello", 5, MSG_NOSIGNAL) != 5)
			_exit(99);
		hang();
	}
	if (streq(mode, "fails")) {
		tell(VMM_EV_FAILED, 0, "no more luck");
		_exit(1);
	}
	tell(VMM_EV_CREATED, 0, "");
	if (streq(mode, "bad-call")) {
		(void)raise(SIGSYS);
		hang();
	}
	tell(VMM_EV_RUNNING, 0, "");
	if (streq(mode, "unknown-event"))
		tell(77, 77, "");
	if (streq(mode, "echoes")) {
		say(c->log_fd, "[    0.000000] Linux version\r\n");
		echo(c->channel_fd);
	}
	if (streq(mode, "balloon"))
		vmm_balloon(c);
	if (streq(mode, "network")) {
		check_process(c->net.fd);
		send_frame(c->net.fd);
	}
	if (streq(mode, "guest-fault"))
		tell(VMM_EV_EXIT, VMM_EXIT_GUEST_FAULT, "read of nothing at 0xdead");
	else if (streq(mode, "host-fault"))
		tell(VMM_EV_EXIT, VMM_EXIT_HOST_FAULT, "KVM_RUN: Bad address");
	else if (streq(mode, "resets"))
		tell(VMM_EV_EXIT, VMM_EXIT_SHUTDOWN, "");
	else if (streq(mode, "stops"))
		tell(VMM_EV_EXIT, VMM_EXIT_STOPPED, "");
	else
		tell(VMM_EV_EXIT, VMM_EXIT_POWEROFF, "");
	_exit(0);
}

/* Tells its word, its description and the first packet, and ends with the link. */
static void net(const char *word)
{
	struct pollfd p = {.fd = NET_FD_LINK, .events = POLLIN};
	char config[64] = {0}, frame[64] = {0}, line[256];
	int n;

	check_process(NET_FD_EVENTS);
	complain(pread(NET_FD_CONFIG, config, sizeof(config) - 1, 0) <= 0, "no description");
	complain(recv(NET_FD_LINK, frame, sizeof(frame) - 1, 0) <= 0, "no packet");
	n = snprintf(line, sizeof(line), "%s %s %s", word, config, frame);
	complain(send(NET_FD_EVENTS, line, (size_t)n, MSG_NOSIGNAL) != n, "nobody listens");
	if (poll(&p, 1, -1) != 1)
		_exit(99);
	_exit(0);
}

static const char *mode_of(const char *cmdline)
{
	const char *at = strstr(cmdline, "fake=");

	return at ? at + strlen("fake=") : "";
}

int main(int argc, char **argv)
{
	struct vmm_config c;

	if (argc < 1)
		return 99;
	if (streq(argv[0], "msb-net") && argc == 2)
		net(argv[1]);
	if (streq(argv[0], "msb-vmm")) {
		if (recv(VMM_FD_CONTROL, &c, sizeof(c), 0) != (ssize_t)c.size ||
			c.magic != VMM_CONFIG_MAGIC || c.size != vmm_config_size(c.n_extents))
			return 99;
		c.cmdline[sizeof(c.cmdline) - 1] = '\0';
		common(mode_of(c.cmdline));
		vmm(mode_of(c.cmdline), &c);
	}
	for (int i = 1; i + 1 < argc; i++) {
		if (!streq(argv[i], "-append"))
			continue;
		common(mode_of(argv[i + 1]));
		qemu(mode_of(argv[i + 1]));
	}
	return 99;
}
