/* SPDX-License-Identifier: Apache-2.0 */
/* state.json: see record.h. */
#include "sandbox/record.h"

#include <fcntl.h>

#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

#include "sandbox/state.h"

enum { RECORD_VERSION = 1, READ_ATTEMPTS = 3 };

static const char *const status_names[] = {
	[SANDBOX_CREATED] = "Created",
	[SANDBOX_STARTING] = "Starting",
	[SANDBOX_RUNNING] = "Running",
	[SANDBOX_STOPPING] = "Draining",
	[SANDBOX_STOPPED] = "Stopped",
	[SANDBOX_CRASHED] = "Crashed",
};
_Static_assert(ARRAY_SIZE(status_names) == SANDBOX_STATUS_COUNT, "every status has a name");

static const char *const reason_names[] = {
	[REASON_NONE] = "None",
	[REASON_REQUESTED] = "ShutdownRequested",
	[REASON_COMPLETED] = "Completed",
	[REASON_GUEST] = "GuestPoweroff",
	[REASON_MAX_DURATION] = "MaxDurationExceeded",
	[REASON_IDLE] = "IdleTimeout",
	[REASON_FAILED] = "Failed",
	[REASON_KILLED] = "Killed",
};
_Static_assert(ARRAY_SIZE(reason_names) == REASON_COUNT, "every reason has a name");

const char *sandbox_status_name(enum sandbox_status status)
{
	return status < SANDBOX_STATUS_COUNT ? status_names[status] : "Unknown";
}

const char *sandbox_reason_name(enum sandbox_reason reason)
{
	return reason < REASON_COUNT ? reason_names[reason] : "Unknown";
}

int sandbox_record_format(const struct sandbox_record *rec, char ret_text[RECORD_BYTES])
{
	struct json_out o;
	struct buf text;
	int r;

	/* Room for the newline at the end. */
	buf_init(&text, RECORD_BYTES - 1);
	json_out_init(&o, &text, JSON_COMPACT);
	json_begin_object(&o, NULL);
	json_put_int(&o, "version", RECORD_VERSION);
	json_put_str(&o, "status", sandbox_status_name(rec->status));
	json_put_str(&o, "reason", sandbox_reason_name(rec->reason));
	json_put_int(&o, "pid", rec->pid);
	json_put_str(&o, "engine", rec->engine);
	json_put_u64(&o, "vcpus", rec->machine.vcpus);
	json_put_u64(&o, "max_vcpus", rec->machine.max_vcpus);
	json_put_u64(&o, "mem_mib", rec->machine.mem_mib);
	json_put_u64(&o, "max_mem_mib", rec->machine.max_mem_mib);
	json_put_u64(&o, "started_ns", rec->started_ns);
	json_put_u64(&o, "ready_ns", rec->ready_ns);
	json_put_u64(&o, "ended_ns", rec->ended_ns);
	json_put_int(&o, "exit_status", rec->exit_status);
	if (rec->n_ports) {
		json_begin_array(&o, "ports");
		for (uint32_t i = 0; i < rec->n_ports; i++)
			json_put_u64(&o, NULL, rec->ports[i]);
		json_end_array(&o);
	}
	json_put_str(&o, "detail", rec->detail);
	json_end_object(&o);
	r = json_out_end(&o);
	if (r == 0) {
		size_t len = buf_len(&text);

		memcpy(ret_text, buf_data(&text), len);
		memset(ret_text + len, ' ', RECORD_BYTES - 1 - len);
		ret_text[RECORD_BYTES - 1] = '\n';
	}
	buf_deinit(&text);
	return r;
}

static int get_name(const struct json *obj, const char *key, const char *const *names, size_t n,
	unsigned int *ret)
{
	const char *s;
	int r = json_get_str(obj, key, &s, NULL);

	for (unsigned int i = 0; r == 0 && i < n; i++) {
		if (streq(names[i], s)) {
			*ret = i;
			return 0;
		}
	}
	return r < 0 ? r : -EINVAL;
}

static int get_text(const struct json *obj, const char *key, char *to, size_t size)
{
	const char *s;
	int r = json_get_str(obj, key, &s, NULL);

	if (r < 0)
		return r;
	for (const char *at = s; *at; at++) {
		if (*at < ' ' || *at > '~')
			return -EINVAL;
	}
	return str_copy(to, size, s);
}

static int get_ports(const struct json *obj, struct sandbox_record *rec)
{
	const struct json *list = NULL;
	int r = json_opt_array(obj, "ports", &list, NULL);

	if (r < 0 || !list)
		return r;
	json_foreach (item, list) {
		int64_t port;

		if (rec->n_ports == LIMIT_PORTS ||
			json_to_int(item, "ports", 1, UINT16_MAX, &port, NULL) < 0)
			return -EINVAL;
		rec->ports[rec->n_ports++] = (uint16_t)port;
	}
	return 0;
}

/* Files of before there was something to change do not have it. */
static int get_machine(const struct json *obj, struct sandbox_machine *ret)
{
	const struct {
		const char *key;
		uint32_t *to;
	} fields[] = {
		{"vcpus", &ret->vcpus},
		{"max_vcpus", &ret->max_vcpus},
		{"mem_mib", &ret->mem_mib},
		{"max_mem_mib", &ret->max_mem_mib},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields) && r == 0; i++)
		r = json_opt_u32(obj, fields[i].key, 0, UINT32_MAX, fields[i].to, NULL);
	return r;
}

int sandbox_record_parse(const char *text, size_t len, struct sandbox_record *ret)
{
	cleanup_json struct json *doc = NULL;
	struct sandbox_record rec = {.exit_status = -1};
	unsigned int status = 0;
	unsigned int reason = 0;
	int64_t version = 0;
	int64_t pid = 0;
	int64_t exit_status = -1;
	int r = json_parse(text, len, &doc, NULL);

	if (r == 0)
		r = json_get_int(doc, "version", RECORD_VERSION, RECORD_VERSION, &version, NULL);
	if (r == 0)
		r = get_name(doc, "status", status_names, ARRAY_SIZE(status_names), &status);
	if (r == 0)
		r = get_name(doc, "reason", reason_names, ARRAY_SIZE(reason_names), &reason);
	if (r == 0)
		r = json_get_int(doc, "pid", 0, INT32_MAX, &pid, NULL);
	if (r == 0)
		r = get_text(doc, "engine", rec.engine, sizeof(rec.engine));
	if (r == 0)
		r = get_machine(doc, &rec.machine);
	if (r == 0)
		r = json_get_u64(doc, "started_ns", &rec.started_ns, NULL);
	if (r == 0)
		r = json_get_u64(doc, "ready_ns", &rec.ready_ns, NULL);
	if (r == 0)
		r = json_get_u64(doc, "ended_ns", &rec.ended_ns, NULL);
	if (r == 0)
		r = json_get_int(doc, "exit_status", -1, UINT8_MAX, &exit_status, NULL);
	if (r == 0)
		r = get_ports(doc, &rec);
	if (r == 0)
		r = get_text(doc, "detail", rec.detail, sizeof(rec.detail));
	if (r < 0)
		return r;
	rec.status = (enum sandbox_status)status;
	rec.reason = (enum sandbox_reason)reason;
	rec.pid = (pid_t)pid;
	rec.exit_status = (int)exit_status;
	*ret = rec;
	return 0;
}

/* What the file says. -EINVAL may be a write that is going on. */
static int read_file(int dir_fd, struct sandbox_record *ret)
{
	cleanup_fd int fd = openat(
		dir_fd, SANDBOX_STATE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char text[RECORD_BYTES];
	int r = -EINVAL;

	if (fd < 0)
		return -errno;
	for (int i = 0; i < READ_ATTEMPTS && r < 0; i++) {
		ssize_t n = pread(fd, text, sizeof(text), 0);

		r = n < 0 ? -errno : sandbox_record_parse(text, (size_t)n, ret);
	}
	return r;
}

void sandbox_record_read(int dir_fd, struct sandbox_record *ret)
{
	cleanup_fd int lock_fd = sandbox_lock_open(dir_fd);
	struct sandbox_record rec;
	bool alive = false;
	bool found = false;

	for (int i = 0; i < READ_ATTEMPTS; i++) {
		rec = (struct sandbox_record){.exit_status = -1};
		alive = sandbox_lock_held(lock_fd);
		found = read_file(dir_fd, &rec) == 0;
		/* Nobody writes what says that it has ended without the lock. */
		if (!alive && found && !sandbox_status_alive(rec.status))
			break;
		/* The two are of one moment when the lock was the same before and after. */
		if (sandbox_lock_held(lock_fd) == alive)
			break;
	}
	if (!found)
		rec.status = alive ? SANDBOX_STARTING : SANDBOX_CREATED;
	else if (alive && !sandbox_status_alive(rec.status))
		rec.status = SANDBOX_STARTING; /* it has not said so yet */
	else if (!alive && rec.status == SANDBOX_STOPPING)
		rec.status = SANDBOX_STOPPED;
	else if (!alive && sandbox_status_alive(rec.status))
		rec.status = SANDBOX_CRASHED;
	if (!alive && rec.status == SANDBOX_CRASHED && rec.reason == REASON_NONE)
		rec.reason = REASON_KILLED;
	*ret = rec;
}
