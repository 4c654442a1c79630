/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by supervisor.c (the life of a sandbox) and sup-start.c (its beginning). */
#pragma once

#include "sandbox/supervisor.h"

/* Reads of the console of a dead machine; more than a pipe or a socket holds. */
enum { CONSOLE_DRAIN = 1024 };

extern const struct relay_events sup_relay_events;

/** sup_start - everything up to the running machine; -ECONNABORTED: there is nobody to tell */
int sup_start(struct supervisor *sup, struct msb_err *err) MSB_MUST_CHECK;

/** sup_open_file - a regular file or block device; @what is the word for it in messages */
int sup_open_file(const char *what, const char *path, int flags, int *ret_fd, struct msb_err *err)
	MSB_MUST_CHECK;

/** sup_jail - give up every right that is not needed any more; once everything is open */
int sup_jail(struct supervisor *sup, struct msb_err *err) MSB_MUST_CHECK;

/* sup-record.c: state.json. */

/** sup_record_open - write it for the first time; the descriptor stays open */
int sup_record_open(struct supervisor *sup) MSB_MUST_CHECK;
/** sup_record_say - the sandbox is @status now */
void sup_record_say(struct supervisor *sup, enum sandbox_status status);
/** sup_record_again - something of the record has changed */
void sup_record_again(struct supervisor *sup);
/** sup_record_end - the last words */
void sup_record_end(struct supervisor *sup);

/* sup-memory.c: the guest's memory while it runs. */

/** sup_memory - @mib for the guest; 0: relay_memory_done() follows, or a negative errno */
int sup_memory(struct supervisor *sup, uint32_t mib) MSB_MUST_CHECK;
/** sup_memory_look - the engine may know more */
void sup_memory_look(struct supervisor *sup);
/** sup_memory_end - the machine is gone */
void sup_memory_end(struct supervisor *sup);

void sup_fail(struct supervisor *sup, const struct msb_err *err);
uint64_t sup_boot_timeout_ns(const struct supervisor *sup);

/** sup_unwatch - hear the machine and its helpers no more */
void sup_unwatch(struct supervisor *sup);

/* Loop callbacks. */
void sup_vm_event(struct loop_fd *src, uint32_t events);
void sup_control_event(struct loop_fd *src, uint32_t events);
void sup_console_event(struct loop_fd *src, uint32_t events);
void sup_signal_event(struct loop_fd *src, uint32_t events);
void sup_boot_timeout(struct loop_timer *t);
void sup_max_duration(struct loop_timer *t);
void sup_idle(struct loop_timer *t);
void sup_main_ended(struct workload *w, int exit_status, const char *err);
