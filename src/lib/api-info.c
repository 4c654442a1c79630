/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what there is. */
#include "lib/api.h"
#include "lib/info-json.h"
#include "lib/labels.h"
#include "msb/sandbox.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

struct msb_info {
	struct sandbox_info info;
};

struct msb_list {
	struct sandbox_list list;
	size_t n;
	const struct msb_info **items; /* those that were asked for, inside @list */
};

/* An array of one is an array of the other. */
_Static_assert(sizeof(struct msb_info) == sizeof(struct sandbox_info), "nothing but its member");

_Static_assert((int)MSB_STATUS_CREATED == (int)SANDBOX_CREATED &&
		       (int)MSB_STATUS_STARTING == (int)SANDBOX_STARTING &&
		       (int)MSB_STATUS_RUNNING == (int)SANDBOX_RUNNING &&
		       (int)MSB_STATUS_STOPPING == (int)SANDBOX_STOPPING &&
		       (int)MSB_STATUS_STOPPED == (int)SANDBOX_STOPPED &&
		       (int)MSB_STATUS_CRASHED == (int)SANDBOX_CRASHED,
	"the same numbers");

int msb_inspect(struct msb *m, const char *name, struct msb_info **ret, struct msb_error *error)
{
	struct msb_err err = {0};
	struct msb_info *i = calloc(1, sizeof(*i));
	int r = i ? sandbox_info_get(m->home, name, &i->info, &err) : -ENOMEM;

	*ret = NULL;
	if (r < 0) {
		free(i);
		return api_fail(error, &err, r);
	}
	*ret = i;
	return 0;
}

struct msb_info *msb_info_free(struct msb_info *i)
{
	if (i)
		sandbox_info_deinit(&i->info);
	free(i);
	return NULL;
}

const char *msb_info_name(const struct msb_info *i)
{
	return i->info.name;
}

enum msb_status msb_info_status(const struct msb_info *i)
{
	return (enum msb_status)i->info.record.status;
}

const char *msb_info_status_name(const struct msb_info *i)
{
	return sandbox_status_name(i->info.record.status);
}

const char *msb_info_reason(const struct msb_info *i)
{
	enum sandbox_reason reason = i->info.record.reason;

	return reason == REASON_NONE ? "" : sandbox_reason_name(reason);
}

const char *msb_info_detail(const struct msb_info *i)
{
	return i->info.readable ? i->info.record.detail : i->info.spec_err.msg;
}

int msb_info_exit_status(const struct msb_info *i)
{
	return i->info.record.exit_status;
}

const char *msb_info_engine(const struct msb_info *i)
{
	return i->info.record.engine;
}

const char *msb_info_image(const struct msb_info *i)
{
	return i->info.readable && i->info.spec.image ? i->info.spec.image : "";
}

unsigned int msb_info_cpus(const struct msb_info *i)
{
	return i->info.readable ? i->info.spec.vcpus : 0;
}

unsigned int msb_info_memory_mib(const struct msb_info *i)
{
	return i->info.readable ? i->info.spec.mem_mib : 0;
}

uint64_t msb_info_created_ns(const struct msb_info *i)
{
	return i->info.readable ? i->info.spec.created_ns : 0;
}

uint64_t msb_info_started_ns(const struct msb_info *i)
{
	return i->info.record.started_ns;
}

uint64_t msb_info_ended_ns(const struct msb_info *i)
{
	return i->info.record.ended_ns;
}

unsigned int msb_info_cpus_now(const struct msb_info *i)
{
	return sandbox_info_machine(&i->info).vcpus;
}

unsigned int msb_info_cpus_max(const struct msb_info *i)
{
	return sandbox_info_machine(&i->info).max_vcpus;
}

unsigned int msb_info_memory_mib_now(const struct msb_info *i)
{
	return sandbox_info_machine(&i->info).mem_mib;
}

unsigned int msb_info_memory_mib_max(const struct msb_info *i)
{
	return sandbox_info_machine(&i->info).max_mem_mib;
}

const char *msb_info_problem(const struct msb_info *i)
{
	return i->info.readable ? "" : i->info.spec_err.msg;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* The description of one that cannot be read is an empty one. */
const char *msb_info_user(const struct msb_info *i)
{
	return or_empty(i->info.spec.user);
}

const char *msb_info_shell(const struct msb_info *i)
{
	const char *shell = i->info.spec.shell;

	return shell && shell[0] ? shell : "/bin/sh";
}

const char *msb_info_workdir(const struct msb_info *i)
{
	return or_empty(i->info.spec.workdir);
}

uint64_t msb_info_max_duration_ns(const struct msb_info *i)
{
	return i->info.spec.max_duration_ns;
}

uint64_t msb_info_idle_timeout_ns(const struct msb_info *i)
{
	return i->info.spec.idle_timeout_ns;
}

const char *msb_info_root_disk(const struct msb_info *i, uint64_t *ret_bytes)
{
	const struct sandbox_root_disk *d = &i->info.spec.root_disk;

	if (ret_bytes)
		*ret_bytes = 0;
	if (!i->info.readable || i->info.spec.root_kind != ROOT_OVERLAY)
		return "";
	if (ret_bytes)
		*ret_bytes = d->size_bytes;
	return d->kind == UPPER_FILE ? d->path : d->kind == UPPER_DISK ? "disk" : "memory";
}

static const char *word_at(const char *const *words, size_t n)
{
	for (size_t k = 0; words && words[k]; k++) {
		if (k == n)
			return words[k];
	}
	return NULL;
}

const char *msb_info_env(const struct msb_info *i, size_t n)
{
	return word_at(i->info.spec.env, n);
}

const char *msb_info_label_key(const struct msb_info *i, size_t n)
{
	return n < i->info.spec.n_labels ? i->info.spec.labels[n].name : NULL;
}

const char *msb_info_tmpfs(const struct msb_info *i, size_t n)
{
	return n < i->info.spec.n_tmpfs ? i->info.spec.tmpfs[n].path : NULL;
}

const char *msb_info_script(const struct msb_info *i, size_t n)
{
	return n < i->info.spec.n_scripts ? i->info.spec.scripts[n].name : NULL;
}

const char *msb_info_vsock(const struct msb_info *i, size_t n, unsigned int *ret_port)
{
	const struct vsock_routes *v = &i->info.spec.vsocks;

	if (n >= v->n)
		return NULL;
	if (ret_port)
		*ret_port = v->list[n].port;
	return v->list[n].path;
}

const char *msb_info_command(const struct msb_info *i, size_t n)
{
	return word_at(i->info.spec.command, n);
}

int msb_info_port(const struct msb_info *i, size_t n, struct msb_port *ret)
{
	struct msb_port p;

	if (!info_port(&i->info, n, &p))
		return 0;
	p.size = ret->size;
	memcpy(ret, &p, MIN(ret->size, sizeof(p)));
	return 1;
}

char *msb_info_json(const struct msb_info *i)
{
	char *copy = NULL;
	struct buf text;

	buf_init(&text, (size_t)LIMIT_JSON_BYTES * 2);
	if (info_json(&i->info, &text) == 0 && buf_cstr(&text))
		copy = strdup(buf_cstr(&text));
	buf_deinit(&text);
	return copy;
}

const char *msb_info_label(const struct msb_info *i, const char *key)
{
	const struct sandbox_spec *spec = &i->info.spec;

	for (uint32_t k = 0; i->info.readable && k < spec->n_labels; k++) {
		if (streq(spec->labels[k].name, key))
			return spec->labels[k].value;
	}
	return NULL;
}

static int choose(struct msb_list *l, const struct opt_list *labels)
{
	l->items = calloc(MAX(l->list.n, (size_t)1), sizeof(struct msb_info *));
	if (!l->items)
		return -ENOMEM;
	for (size_t i = 0; i < l->list.n; i++) {
		const struct sandbox_info *info = &l->list.items[i];

		if (labels->n && (!info->readable || !labels_match(&info->spec, labels)))
			continue;
		l->items[l->n++] = container_of(info, const struct msb_info, info);
	}
	return 0;
}

int msb_list(
	struct msb *m, const char *const *labels, struct msb_list **ret, struct msb_error *error)
{
	struct msb_list *l = calloc(1, sizeof(*l));
	struct opt_list wanted = {.n = 0};
	struct msb_err err = {0};
	int r = l ? 0 : -ENOMEM;

	*ret = NULL;
	for (; r == 0 && labels && *labels; labels++)
		r = opt_list_add(&wanted, *labels);
	if (r == 0)
		r = labels_check(&wanted, &err);
	if (r == 0)
		r = sandbox_list_get(m->home, &l->list, &err);
	/* As msb ls does: what killed sandboxes left goes. */
	if (r == 0 && l->list.stale)
		(void)sandbox_reap_stale(m->home);
	if (r == 0)
		r = choose(l, &wanted);
	free(wanted.items);
	if (r < 0) {
		(void)msb_list_free(l);
		return api_fail(error, &err, r);
	}
	*ret = l;
	return 0;
}

struct msb_list *msb_list_free(struct msb_list *l)
{
	if (!l)
		return NULL;
	sandbox_list_deinit(&l->list);
	free(l->items);
	free(l);
	return NULL;
}

size_t msb_list_size(const struct msb_list *l)
{
	return l->n;
}

const struct msb_info *msb_list_at(const struct msb_list *l, size_t i)
{
	return i < l->n ? l->items[i] : NULL;
}
