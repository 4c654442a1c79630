/* SPDX-License-Identifier: Apache-2.0 */
/* Describes processors and interrupt lines to the guest: Intel MultiProcessor Specification 1.4. */
#pragma once

#include "base/base.h"

enum {
	MPTABLE_POINTER_SIZE = 16,
	MPTABLE_SIZE_MAX = 4096,
};

/**
 * mptable_build - write the configuration table
 * @to: at least MPTABLE_SIZE_MAX bytes
 * @vcpus: processors, at most LIMIT_VCPUS; processor n has APIC id n
 *
 * Every ISA interrupt n is wired to pin n of the only I/O APIC.
 * Return: length of the table in bytes.
 */
size_t mptable_build(uint8_t *to, unsigned int vcpus);

/** mptable_build_pointer - write the structure that a kernel scans for; the table is at @gpa */
void mptable_build_pointer(uint8_t to[MPTABLE_POINTER_SIZE], uint32_t gpa);
