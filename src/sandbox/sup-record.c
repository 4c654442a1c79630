/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's side of state.json: see record.h.
 *
 * The descriptor is opened before the jail; afterwards one write at offset 0 is all there is:
 * #syscalls(sandbox:loop): pwrite64
 */
#include <fcntl.h>

#include "base/io.h"
#include "base/log.h"

#include "sandbox/sup-internal.h"

int sup_record_open(struct supervisor *sup)
{
	char text[RECORD_BYTES];
	int r;

	sup->record.status = SANDBOX_STARTING;
	sup->record.reason = REASON_NONE;
	sup->record.pid = getpid();
	sup->record.started_ns = clock_real_ns();
	sup->record.machine = (struct sandbox_machine){
		.vcpus = sup->spec.vcpus,
		.max_vcpus = sandbox_spec_max_vcpus(&sup->spec),
		.mem_mib = sup->spec.mem_mib,
		.max_mem_mib = sandbox_spec_max_mem_mib(&sup->spec),
	};
	r = sandbox_record_format(&sup->record, text);
	if (r == 0)
		r = io_write_file_alone(
			sup->dir.fd, SANDBOX_STATE, text, sizeof(text), 0600, false);
	if (r < 0)
		return r;
	sup->record_fd = openat(sup->dir.fd, SANDBOX_STATE, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return sup->record_fd < 0 ? -errno : 0;
}

static void record_write(struct supervisor *sup)
{
	char text[RECORD_BYTES];
	int r;

	if (sup->record_fd < 0)
		return;
	r = sandbox_record_format(&sup->record, text);
	if (r == 0 && pwrite(sup->record_fd, text, sizeof(text), 0) != (ssize_t)sizeof(text))
		r = -errno;
	if (r < 0)
		log_warn("%s: %s", SANDBOX_STATE, strerror(-r));
}

void sup_record_say(struct supervisor *sup, enum sandbox_status status)
{
	if (status == SANDBOX_RUNNING) {
		sup->record.ready_ns = clock_real_ns();
		(void)snprintf(
			sup->record.engine, sizeof(sup->record.engine), "%s", sup->vm.ops->name);
		/* Somebody wanted its end while it came up. */
		if (sup->record.status == SANDBOX_STOPPING)
			status = SANDBOX_STOPPING;
	}
	sup->record.status = status;
	record_write(sup);
}

void sup_record_again(struct supervisor *sup)
{
	record_write(sup);
}

static enum sandbox_reason reason_of(const struct supervisor *sup)
{
	if (sup->failed)
		return REASON_FAILED;
	switch (sup->reason) {
	case STOP_GUEST:
		return REASON_GUEST;
	case STOP_MAX_DURATION:
		return REASON_MAX_DURATION;
	case STOP_IDLE:
		return REASON_IDLE;
	case STOP_COMPLETED:
		return REASON_COMPLETED;
	case STOP_REQUESTED:
	case STOP_FAILED:
	default:
		return REASON_REQUESTED;
	}
}

/* The file is one of printable ASCII; the message may quote what the guest said. */
static void put_detail(struct sandbox_record *rec, const char *text)
{
	size_t n = 0;

	for (; text[n] && n < sizeof(rec->detail) - 1; n++)
		rec->detail[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	rec->detail[n] = '\0';
}

void sup_record_end(struct supervisor *sup)
{
	sup->record.ended_ns = clock_real_ns();
	sup->record.status = sup->failed ? SANDBOX_CRASHED : SANDBOX_STOPPED;
	sup->record.reason = reason_of(sup);
	put_detail(&sup->record, sup->failed ? sup->failure.msg : sup->detail);
	record_write(sup);
	sup->record_fd = fd_close(sup->record_fd);
}
