/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the engines. */
#pragma once

#include "engine/engine.h"

/* Where KVM is; tests put another path here. */
extern const char *engine_kvm_device;

/** engine_check_spec - are the numbers of @spec within the caps? */
int engine_check_spec(const struct engine_spec *spec, struct msb_err *err) MSB_MUST_CHECK;

/** engine_extents - extents of all disks */
uint32_t engine_extents(const struct engine_spec *spec);

/** engine_vm_reset - @vm without process and descriptors, as before a start */
void engine_vm_reset(struct engine_vm *vm, const struct engine_ops *ops);

/**
 * engine_vm_limit - put the process to be started into a cgroup, where there is one for us
 * @extra_mib: what it needs beside the guest's memory
 * @threads: beside those of the processors
 */
void engine_vm_limit(
	struct engine_vm *vm, const struct engine_spec *spec, uint32_t extra_mib, uint32_t threads);

/** engine_cmdline - kernel parameters: @base of the engine, those of @spec; 0 or -E2BIG */
int engine_cmdline(const struct engine_spec *spec, const char *base, char *to, size_t size)
	MSB_MUST_CHECK;

/**
 * engine_last_words - last line that a process wrote to its stderr
 * @fd: read end of the pipe, non-blocking
 * @to: gets the line with foreign bytes made harmless, "" when there is none
 */
void engine_last_words(int fd, char *to, size_t size);
