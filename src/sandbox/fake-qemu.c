/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QEMU for tests: takes the descriptors of the real one and runs a fake guest instead of a
 * machine. The host name in CONFIG says how it boots: anything ordinary boots well; "boot-crash",
 * "boot-hang", "boot-fail", "boot-garbage", "boot-exit" do not; "slow-stop" ignores SHUTDOWN;
 * "greedy" keeps GREEDY_MIB of its memory whatever it is told.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "proto/frame.h"
#include "sandbox/fake-guest.h"

/* Descriptor numbers of qemu.c. */
enum { GREEDY_MIB = 400 };
enum { FD_QMP = 5, FD_CHANNEL = 6, FD_CONSOLE = 7, FD_UPPER = 9 };

static struct loop loop;
static struct fake_guest guest;
static struct fake_store store;
static struct loop_fd qmp_src;

static void say(int fd, const char *text)
{
	if (io_write_full(fd, text, strlen(text)) < 0)
		_exit(3);
}

/* The guest has reset its machine: QEMU runs with -no-reboot. */
static void machine_ends(void)
{
	say(FD_QMP, "{\"timestamp\":{\"seconds\":1,\"microseconds\":2},\"event\":\"SHUTDOWN\","
		    "\"data\":{\"guest\":true,\"reason\":\"guest-reset\"}}\r\n");
	_exit(0);
}

static void say_bye(struct fake_guest *g, uint32_t sig)
{
	struct buf b;

	buf_init(&b, 100);
	if (msg_put_u32(&b, FRAME_BYE, 0, sig) < 0)
		_exit(3);
	fake_guest_raw(g, FRAME_BYE, 0, 0, buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER);
	buf_deinit(&b);
}

static void on_end(struct fake_guest *g, const char *how)
{
	if (streq(how, "closed"))
		_exit(0);
	if (streq(how, "shutdown") && streq(g->hostname, "slow-stop"))
		return;
	if (streq(how, "crash")) {
		say(FD_CONSOLE, "[    1.0] Kernel panic - not syncing: on demand\r\n");
		machine_ends();
	}
	if (fake_store_sync(&store) < 0)
		_exit(3);
	say_bye(g, streq(how, "shutdown") ? 0 : 12);
	machine_ends();
}

static void boot_failed(struct fake_guest *g)
{
	struct msg_failure m = {.stage = STAGE_ROOT, .errno_ = EINVAL, .what = "/dev/vda"};
	struct buf b;

	buf_init(&b, 1000);
	if (msg_put_boot_failed(&b, &m) < 0)
		_exit(3);
	fake_guest_raw(g, FRAME_BOOT_FAILED, 0, 0, buf_data(&b) + FRAME_HEADER,
		buf_len(&b) - FRAME_HEADER);
	buf_deinit(&b);
	machine_ends();
}

static void on_config(struct fake_guest *g)
{
	const char *how = g->hostname;

	say(FD_CONSOLE, "[    0.0] Linux version 6.12-fake\r\n");
	if (streq(how, "boot-hang"))
		return;
	if (streq(how, "boot-exit"))
		_exit(7);
	if (streq(how, "boot-crash")) {
		say(FD_CONSOLE, "[    0.5] Kernel panic - not syncing: \033[31mno init\r\n");
		machine_ends();
	}
	if (streq(how, "boot-garbage")) {
		fake_guest_raw(g, FRAME_EXITED, 0, 1, "garbage", 7);
		return;
	}
	fake_guest_hello(g);
	if (streq(how, "boot-fail"))
		boot_failed(g);
	fake_guest_ready(g);
}

/* The memory that is to be left, in bytes; 0: that was another command. */
static uint64_t balloon_value(const char *text)
{
	static const char key[] = "\"value\":";
	const char *at = NULL;
	char number[32];
	uint64_t bytes;

	/* Of several that came at once the last one counts. */
	for (const char *next = text; (next = strstr(next, key)); at = next)
		next += strlen(key);
	if (!at)
		return 0;
	(void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at, "0123456789"), at);
	return str_to_u64(number, &bytes) < 0 ? 0 : bytes;
}

static void on_qmp(struct loop_fd *src, uint32_t events)
{
	char text[256];
	ssize_t n = read(src->fd, text, sizeof(text) - 1);
	uint64_t bytes;

	(void)events;
	if (n <= 0)
		_exit(0);
	text[n] = '\0';
	say(FD_QMP, "{\"return\": {}}\r\n");
	bytes = balloon_value(text);
	if (!bytes)
		return;
	if (streq(guest.hostname, "greedy"))
		bytes = MAX(bytes, GREEDY_MIB * MIB);
	(void)snprintf(text, sizeof(text),
		"{\"event\":\"BALLOON_CHANGE\",\"data\":{\"actual\":%" PRIu64 "}}\r\n", bytes);
	say(FD_QMP, text);
}

/* The root disk, if there is one. */
static int upper_fd(void)
{
	struct stat st;
	int flags = fcntl(FD_UPPER, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == O_RDWR && fstat(FD_UPPER, &st) == 0 &&
			       S_ISREG(st.st_mode) && (uint64_t)st.st_size > 2 * GIB
		       ? FD_UPPER
		       : -EBADF;
}

int main(void)
{
	(void)prctl(PR_SET_NAME, "fake-qemu");
	say(FD_QMP, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
	if (loop_init(&loop) < 0 || loop_fd_add(&loop, &qmp_src, FD_QMP, EPOLLIN, on_qmp) < 0)
		return 3;
	if (fake_store_load(&store, upper_fd()) < 0)
		return 3;
	guest.store = &store;
	guest.on_config = on_config;
	guest.on_end = on_end;
	fake_guest_init(&guest, &loop, FD_CHANNEL);
	return loop_run(&loop) < 0 ? 3 : 0;
}
