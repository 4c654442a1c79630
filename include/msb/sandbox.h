/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: sandboxes, from their creation to their removal. */
#ifndef MSB_SANDBOX_H
#define MSB_SANDBOX_H

#include <msb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MSB_NAME_SIZE 129 /* of a sandbox, with the NUL */

/* What a new sandbox is to be. Strings given are copied. */
struct msb_config;

/** msb_config_new - defaults only; NULL: no memory */
MSB_API struct msb_config *msb_config_new(void);
/** msb_config_free - NULL is fine. Return: NULL */
MSB_API struct msb_config *msb_config_free(struct msb_config *c);

/**
 * msb_config_set - an option of msb-create(1)
 * @option: its long name without dashes, e.g. "name", "memory", "volume", "net-rule"
 * @value: as on the command line, e.g. "512M", "./src:/app:ro"; NULL for an option without value
 *
 * All options of msb create are there, with the same meanings, defaults and messages. Repeatable
 * ones add up, others replace what was set. Values that are off are refused at once, with
 * MSB_E_USAGE; what contradicts something else when the sandbox is created. Relative paths are
 * relative to the working directory of the process at that time.
 */
MSB_API int msb_config_set(
	struct msb_config *c, const char *option, const char *value, struct msb_error *err);

/** msb_config_set_image - "python:3.12", "base" (the default), a directory, a disk image */
MSB_API int msb_config_set_image(struct msb_config *c, const char *image, struct msb_error *err);

/**
 * msb_config_set_command - a main process
 * @argv: ends with NULL; replaces the command of the image
 *
 * The sandbox ends with it, as with msb run -d. Without one the sandbox runs until it is stopped.
 */
MSB_API int msb_config_set_command(
	struct msb_config *c, const char *const *argv, struct msb_error *err);

/**
 * msb_create - make a sandbox, start it and wait until its guest is ready
 * @ret_name: MSB_NAME_SIZE bytes that get its name, given or generated; may be NULL
 *
 * It lives on when the process ends, and is no child of it. The image is downloaded if it is
 * missing and the option "pull" does not forbid that. Nothing is left behind on failure.
 */
MSB_API int msb_create(
	struct msb *m, const struct msb_config *c, char *ret_name, struct msb_error *err);

/* What msb_create_watched() is doing. Further phases may come. */
enum msb_phase {
	MSB_PHASE_DOWNLOAD = 1, /* an image is on its way: the watch is told */
	MSB_PHASE_PREPARE, /* it is here, or was not to be had; disks and directories are made */
	MSB_PHASE_BOOT, /* the machine starts */
	MSB_PHASE_EXISTING /* with @run: the sandbox is there, and is used as it is */
};

struct msb_pull_watch;
struct msb_pull_result;
/* Each pointer may be NULL. */
struct msb_create_options {
	size_t size; /* set by the caller: MSB_CREATE_OPTIONS_INIT */
	int quiet; /* the watch is told of warnings only */
	const struct msb_pull_watch *watch; /* of a download; see registry.h */
	/* Told of the phase that begins now. It may call msb_set_cancel(), for that phase: only
	 * downloads and the boot can be cancelled. @what: the image that is downloaded, the name of
	 * the existing sandbox, otherwise "". A negative errno ends it and is returned */
	int (*phase)(void *arg, int phase, const char *what);
	/* An image that was not here has been downloaded */
	void (*pulled)(void *arg, const char *image, const struct msb_pull_result *result);
	/* A published port, "ADDRESS:PORT", that other machines can reach */
	void (*open_port)(void *arg, const char *port);
	void *arg;
	/* As msb run: it ends with its command, and unless it was given a name nothing is left of
	 * it; one that has the name is started if it does not run, and used as it is */
	int run;
};

/* clang-format off */
#define MSB_CREATE_OPTIONS_INIT {sizeof(struct msb_create_options), 0, NULL, NULL, NULL, NULL, NULL, 0}
/* clang-format on */

/** msb_create_watched - msb_create() for those who want to see how it goes; @options: may be NULL
 */
MSB_API int msb_create_watched(struct msb *m, const struct msb_config *c,
	const struct msb_create_options *options, char *ret_name, struct msb_error *err);

/** msb_start - start a stopped one and wait until its guest is ready; -EWOULDBLOCK (MSB_E_BUSY) if
 * it runs */
MSB_API int msb_start(struct msb *m, const char *name, struct msb_error *err);

/**
 * msb_stop - end it; success if it does not run
 * @grace_ms: time for its processes between SIGTERM and SIGKILL
 */
MSB_API int msb_stop(struct msb *m, const char *name, unsigned int grace_ms, struct msb_error *err);

/** msb_kill - @signo to its main process; SIGKILL switches the machine off at once, what was not
 * written out is lost */
MSB_API int msb_kill(struct msb *m, const char *name, int signo, struct msb_error *err);

/** msb_remove - with all its files; -EWOULDBLOCK (MSB_E_BUSY) if it runs, unless @force */
MSB_API int msb_remove(struct msb *m, const char *name, int force, struct msb_error *err);

/** msb_wait - until it does not run; -ETIMEDOUT (MSB_E_TIMEOUT) after @timeout_ms, 0: no limit */
MSB_API int msb_wait(struct msb *m, const char *name, uint64_t timeout_ms, struct msb_error *err);

/** msb_rename - another name for a stopped one */
MSB_API int msb_rename(
	struct msb *m, const char *name, const char *new_name, struct msb_error *err);

/** msb_ping - does its guest answer? @touch: it also counts as used from now on */
MSB_API int msb_ping(struct msb *m, const char *name, int touch, struct msb_error *err);

/* A sandbox as it was at the moment of the call. */
struct msb_info;

enum msb_status {
	MSB_STATUS_CREATED = 0, /* never started */
	MSB_STATUS_STARTING,
	MSB_STATUS_RUNNING,
	MSB_STATUS_STOPPING,
	MSB_STATUS_STOPPED,
	MSB_STATUS_CRASHED
};

/** msb_inspect - one of them; msb_info_free() */
MSB_API int msb_inspect(
	struct msb *m, const char *name, struct msb_info **ret, struct msb_error *err);
/** msb_info_free - NULL is fine. Return: NULL */
MSB_API struct msb_info *msb_info_free(struct msb_info *i);

MSB_API const char *msb_info_name(const struct msb_info *i);
MSB_API enum msb_status msb_info_status(const struct msb_info *i);
/** msb_info_status_name - "Running" */
MSB_API const char *msb_info_status_name(const struct msb_info *i);
/** msb_info_reason - why it ended: "ShutdownRequested", "Completed", "GuestPoweroff",
 * "MaxDurationExceeded", "IdleTimeout", "Failed", "Killed"; "" if it has not */
MSB_API const char *msb_info_reason(const struct msb_info *i);
/** msb_info_detail - more about the reason, "" if there is nothing to say */
MSB_API const char *msb_info_detail(const struct msb_info *i);
/** msb_info_exit_status - of the main process; -1: none, or it still runs */
MSB_API int msb_info_exit_status(const struct msb_info *i);
/** msb_info_engine - "kvm" or "qemu"; "" before the first start */
MSB_API const char *msb_info_engine(const struct msb_info *i);
/** msb_info_image - as it was named when the sandbox was made */
MSB_API const char *msb_info_image(const struct msb_info *i);
MSB_API unsigned int msb_info_cpus(const struct msb_info *i);
MSB_API unsigned int msb_info_memory_mib(const struct msb_info *i);
/* Nanoseconds since 1970; 0: not yet. */
MSB_API uint64_t msb_info_created_ns(const struct msb_info *i);
MSB_API uint64_t msb_info_started_ns(const struct msb_info *i);
MSB_API uint64_t msb_info_ended_ns(const struct msb_info *i);
/* What it has now if it runs, and otherwise what it will start with; how far that can be changed
 * while it runs. */
MSB_API unsigned int msb_info_cpus_now(const struct msb_info *i);
MSB_API unsigned int msb_info_cpus_max(const struct msb_info *i);
MSB_API unsigned int msb_info_memory_mib_now(const struct msb_info *i);
MSB_API unsigned int msb_info_memory_mib_max(const struct msb_info *i);
/** msb_info_command - word @n of its main process; NULL when there are fewer */
MSB_API const char *msb_info_command(const struct msb_info *i, size_t n);

/** msb_info_problem - why its description cannot be read; "": it can. If it cannot, little else is
 * known */
MSB_API const char *msb_info_problem(const struct msb_info *i);
/** msb_info_user - of its commands; "": that of the image */
MSB_API const char *msb_info_user(const struct msb_info *i);
/** msb_info_shell - of msb shell */
MSB_API const char *msb_info_shell(const struct msb_info *i);
/** msb_info_workdir - of its commands; "": that of the image */
MSB_API const char *msb_info_workdir(const struct msb_info *i);
/* 0: none. */
MSB_API uint64_t msb_info_max_duration_ns(const struct msb_info *i);
MSB_API uint64_t msb_info_idle_timeout_ns(const struct msb_info *i);
/**
 * msb_info_root_disk - where changes to its root file system go
 * @ret_bytes: how many, 0 where nobody says; may be NULL
 *
 * Return: "memory", "disk" (one of its own), the path of a disk image, or "" when they go to the
 * image itself.
 */
MSB_API const char *msb_info_root_disk(const struct msb_info *i, uint64_t *ret_bytes);

/* Number @n of a list; NULL when there are fewer. */
/** msb_info_env - NAME=VALUE */
MSB_API const char *msb_info_env(const struct msb_info *i, size_t n);
/** msb_info_label_key - the value is msb_info_label()'s */
MSB_API const char *msb_info_label_key(const struct msb_info *i, size_t n);
/** msb_info_tmpfs - path of a file system in memory */
MSB_API const char *msb_info_tmpfs(const struct msb_info *i, size_t n);
/** msb_info_script - name of a program in /.msb/scripts */
MSB_API const char *msb_info_script(const struct msb_info *i, size_t n);
/** msb_info_vsock - path of a socket of the host that the guest reaches as vsock port @ret_port */
MSB_API const char *msb_info_vsock(const struct msb_info *i, size_t n, unsigned int *ret_port);

#define MSB_PORT_BIND 48

/* A published port. */
struct msb_port {
	size_t size; /* set by the caller: MSB_PORT_INIT */
	char bind[MSB_PORT_BIND]; /* address on the host */
	unsigned int host_port; /* 0: the host chooses one when it starts */
	unsigned int guest_port;
	int udp; /* otherwise tcp */
	int reserved;
};

/* clang-format off */
#define MSB_PORT_INIT {sizeof(struct msb_port), "", 0, 0, 0, 0}
/* clang-format on */

/** msb_info_port - published port @n; 0: there are fewer */
MSB_API int msb_info_port(const struct msb_info *i, size_t n, struct msb_port *ret);

/** msb_info_json - all that is known, as msb inspect --format json prints it, for free(); NULL: no
 * memory */
MSB_API char *msb_info_json(const struct msb_info *i);

/** msb_info_label - value of label @key ("" if it has none), NULL if there is no such label */
MSB_API const char *msb_info_label(const struct msb_info *i, const char *key);

/* Several of them, by name. */
struct msb_list;

/**
 * msb_list - sandboxes, running or not
 * @labels: only those with all of these, KEY or KEY=VALUE each, ends with NULL; NULL: all
 * @ret: msb_list_free()
 */
MSB_API int msb_list(
	struct msb *m, const char *const *labels, struct msb_list **ret, struct msb_error *err);
/** msb_list_free - NULL is fine. Return: NULL */
MSB_API struct msb_list *msb_list_free(struct msb_list *l);
MSB_API size_t msb_list_size(const struct msb_list *l);
/** msb_list_at - number @i; belongs to the list. NULL when there are fewer */
MSB_API const struct msb_info *msb_list_at(const struct msb_list *l, size_t i);

#ifdef __cplusplus
}
#endif

#endif
